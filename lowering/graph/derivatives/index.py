"""Reverse mode of index notation that only moves elements, alone or summed; all other is taken apart first."""

from __future__ import annotations

from collections.abc import Sequence

from dialects.graph.sketch import Term
from dialects.graph.structure import IndexOp
from lowering.graph.derivatives.access import adjoint, scattered
from lowering.graph.derivatives.explode import is_plain, moved_elements
from lowering.graph.derivatives.rules import Step, reverse, spread_to


@reverse("index")
def _index(step: Step) -> Sequence[Term | None]:
    op = step.op
    assert isinstance(op, IndexOp) and is_plain(op)
    number, axes = op.body.block.args.index(op.body.block.last_op.operands[0]), op.extents()  # pyright: ignore
    access = op.accesses()[number]
    source = step.x[access.operand]
    sizes = [size for _, size in axes]
    g = step.cotangent
    w = spread_to(g.reshape([*g.dims, *[1] * (len(sizes) - len(g.dims))]), sizes)
    read = sorted({n for e in access.index for n in e.names() if n.startswith("_")})
    out: list[Term | None] = [None] * len(step.x)
    if read:
        places = {n: moved_elements(op, step.sketch, int(n[1:])).cast("i64") for n in read}
        out[access.operand] = scattered(w, axes, access.index, access.boundary, source.dims, places)
    else:
        out[access.operand] = adjoint(w, axes, access.index, access.boundary, source.dims)
    return out
