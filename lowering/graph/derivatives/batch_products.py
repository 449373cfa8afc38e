"""Products, convolutions and index notation on all parts at once."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import i64

from dialects.dims import ONE, Dim
from dialects.graph.shapes import integer
from dialects.graph.sketch import Term
from dialects.graph.structure import Access, IndexOp
from lowering.graph.derivatives.batch_rules import Parts, batched, merged, reshaped


@batched("matmul")
def _matmul(p: Parts) -> Sequence[Term]:
    """The first dim is one more batch dim; vectors are matrices where both sides have it."""
    (a, b), left, right = p.x, p.dims(0), p.dims(1)
    if not p.differs[1] and len(right) <= 2:
        return p.made(p.x)
    lead = max(len(left), len(right), 2) - 2

    def matrices(x: Term, number: int, shape: Sequence[Dim]) -> Term:
        first = [p.size, *[ONE] * (lead + 2 - len(shape))] if p.differs[number] else []
        return reshaped(x, [*first, *shape])

    rows = matrices(a, 0, (ONE, *left) if len(left) == 1 else left)
    columns = matrices(b, 1, (*right, ONE) if len(right) == 1 else right)
    return [reshaped(rows.of("matmul", columns), [p.size, *p.result_dims()])]


@batched("conv2d")
def _conv2d(p: Parts) -> Sequence[Term] | None:
    """Where the filters differ each part is a group of channels of its own; images that the parts share stay so without
    groups, as all filters see them. A bias that differs is added."""
    if p.only_first:
        return merged(p)
    w, groups = p.x[1], integer(p.values, "groups")
    n, c, *image = p.dims(0)
    y_dims = p.result_dims()
    has_bias = len(p.x) == 3
    if not p.differs[1]:
        x = p.x[0].reshape([p.size * n, c, *image]) if p.differs[0] else p.x[0]
        y = p.made([x, w])[0].reshape([p.size if p.differs[0] else ONE, *y_dims])
    elif not p.differs[0] and groups == 1:
        (y,) = p.made([p.x[0], w.reshape([p.size * w.dims[1], *w.dims[2:]])])
        y = y.reshape([n, p.size, *y_dims[1:]]).of("transpose", perm=(1, 0, 2, 3, 4))
    elif p.size.value is None:
        return None
    else:
        x = p.whole(0).of("transpose", perm=(1, 0, 2, 3, 4)).reshape([n, p.size * c, *image])
        filters = w.reshape([p.size * w.dims[1], *w.dims[2:]])
        (y,) = p.made([x, filters], groups=groups * p.size.value)
        y = y.reshape([n, p.size, *y_dims[1:]]).of("transpose", perm=(1, 0, 2, 3, 4))
    if not has_bias:
        return [y]
    return [y + p.x[2].reshape([p.size if p.differs[2] else ONE, ONE, y_dims[1], ONE, ONE])]


@batched("index")
def _index(p: Parts) -> Sequence[Term]:
    """One more axis, the first, along which the operands that differ are read."""
    op = p.op
    assert isinstance(op, IndexOp)
    taken = {name for name, _ in op.extents()}.union(*(e.names() for a in op.accesses() for e in a.index))
    number = 0
    while f"part{number}_" in taken:
        number += 1
    name = f"part{number}_"
    reads = [
        Access(a.operand, (Dim.of(name), *a.index), a.boundary, a.value) if p.differs[a.operand] else a
        for a in op.accesses()
    ]
    body = op.body.clone()
    body.block.insert_arg(i64, len(reads))
    combiner = None if op.combiner is None else op.combiner.data
    new = IndexOp(
        [t.value for t in p.x],
        [(name, p.size), *op.axes.data],
        reads,
        op.results[0].type.element_type,  # pyright: ignore[reportAttributeAccessIssue]
        body,
        combiner,
        op.reduced.data,
    )
    return [p.sketch.term(p.sketch.add(new).results[0])]
