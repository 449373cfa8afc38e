"""Casts past ops that move elements: on the side of fewer bytes. Both ways give the same bits."""

from __future__ import annotations

from xdsl.ir import SSAValue

from dialects.dims import product
from dialects.graph import OPS, GraphOp, symbol_ranges
from dialects.graph.elementwise import CastOp
from dialects.graph.movement import ConcatOp, ReshapeOp, TransposeOp
from dialects.types import dims_of
from lowering.graph.sink.places import View, again, bytes_of, can_move, is_made_for, is_result
from lowering.rewriting import Pattern, Rewriter, pattern


def cast_to(value: SSAValue, narrower: bool) -> CastOp | None:
    """The cast that a value is, if it is to fewer bytes, or to more."""
    op = value.owner
    if not isinstance(op, CastOp) or not can_move(op):
        return None
    before, after = bytes_of(op.operands[0]), bytes_of(op.results[0])
    return op if (after < before if narrower else after > before) else None


@pattern(CastOp)
def cast_of_concat(op: CastOp, rewriter: Rewriter) -> None:
    """cast(concat(x, y), t) = concat(cast(x, t), cast(y, t)), where t takes fewer bytes"""
    inner = op.operands[0].owner
    if (
        cast_to(op.results[0], narrower=True) is None
        or not isinstance(inner, ConcatOp)
        or not can_move(inner)
    ):
        return
    if not op.operands[0].has_one_use():
        return
    parts = {v: again(op, v) for v in inner.operands}
    joined = again(inner, *(parts[v].results[0] for v in inner.operands))
    rewriter.replace(op, [*parts.values(), joined], absorbed=(inner,))


@pattern(ConcatOp)
def concat_of_casts(op: ConcatOp, rewriter: Rewriter) -> None:
    """concat(cast(x, t), cast(y, t)) = cast(concat(x, y), t), where x and y are of one dtype and t takes more bytes; a result
    stays, since its cast would be one more kernel"""
    if is_result(op.results[0]):
        return
    casts = [cast_to(v, narrower=False) for v in op.operands]
    if not can_move(op) or len({c.operands[0].type.element_type for c in casts if c is not None}) != 1:  # pyright: ignore
        return
    if any(c is None or not c.results[0].has_one_use() for c in casts):
        return
    found = [c for c in casts if c is not None]
    joined = again(op, *(c.operands[0] for c in found))
    rewriter.replace(op, [joined, again(found[0], joined.results[0])], absorbed=found)


@pattern(OPS["gather"])
def gather_of_cast(op: GraphOp, rewriter: Rewriter) -> None:
    """gather(cast(x, t), i) = cast(gather(x, i), t), where t takes more bytes, and no more elements are gathered than x has"""
    inner = cast_to(op.operands[0], narrower=False)
    if inner is None or not can_move(op):
        return
    fewer = product(dims_of(inner.results[0].type)) - product(dims_of(op.results[0].type))
    if fewer.bounds(symbol_ranges(op))[0] < 0:
        return
    gathered = again(op, inner.operands[0], op.operands[1])
    rewriter.replace(op, [gathered, again(inner, gathered.results[0])], absorbed=(inner,))


@pattern(TransposeOp, ReshapeOp)
def view_of_cast(op: View, rewriter: Rewriter) -> None:
    """view(cast(x, t)) = cast(view(x), t), where t takes more bytes, and a kernel makes x for this cast alone"""
    inner = cast_to(op.operands[0], narrower=False)
    if (
        inner is None
        or not can_move(op)
        or not op.operands[0].has_one_use()
        or not is_made_for(inner.operands[0])
    ):
        return
    viewed = again(op, inner.operands[0])
    rewriter.replace(op, [viewed, again(inner, viewed.results[0])], absorbed=(inner,))


CASTS: tuple[Pattern, ...] = (cast_of_concat, concat_of_casts, gather_of_cast, view_of_cast)
