"""Transposes past reductions, which leave less to transpose."""

from __future__ import annotations

from dialects.graph import OPS, GraphOp, make, operation_name
from dialects.graph.movement import TransposeOp
from dialects.graph.reduction import ArgmaxOp, Reduce, SoftmaxOp
from dialects.graph.shapes import axis_of, integer, ints
from dialects.types import dims_of
from lowering.graph.sink.places import again, can_move, is_made_for, view_of
from lowering.rewriting import Pattern, Rewriter, pattern


@pattern(*{cls for cls in OPS.values() if issubclass(cls, Reduce)}, ArgmaxOp)
def transpose_behind_reduce(op: GraphOp, rewriter: Rewriter) -> None:
    """reduce(transpose(x, p), axes) = transpose(reduce(x, p[axes]), the rest of p), where that one does nothing, or the
    reduction joins the kernel that makes x"""
    inner = view_of(op.operands[0])
    if not isinstance(inner, TransposeOp) or not can_move(op):
        return
    perm, values = ints(inner.values(), "perm"), op.values()
    axes = {integer(values, "axis")} if isinstance(op, ArgmaxOp) else set(ints(values, "axes"))
    gone = sorted(perm[a] for a in axes)
    kept = list(perm) if values["keepdims"] else [p for p in perm if p not in gone]
    rest = [sorted(kept).index(p) for p in kept]
    sizes = dims_of(op.results[0].type)
    moves = [p for p, size in zip(rest, sizes, strict=True) if size.value != 1]
    if moves != sorted(moves) and not is_made_for(op.operands[0]):
        return
    values["axis" if isinstance(op, ArgmaxOp) else "axes"] = (
        gone[0] if isinstance(op, ArgmaxOp) else tuple(gone)
    )
    reduced = make(operation_name(op), inner.operands, values)
    new = [reduced]
    if rest != sorted(rest):
        as_view = {"shape": sizes} if moves == sorted(moves) else {"perm": rest}
        new.append(make("reshape" if "shape" in as_view else "transpose", reduced.results, as_view))
    rewriter.replace(op, new, absorbed=(inner,))


@pattern(SoftmaxOp)
def softmax_of_transpose(op: GraphOp, rewriter: Rewriter) -> None:
    """softmax(transpose(x, p), axis) = transpose(softmax(x, p[axis]), p), where that is along the last dim of x, and joins
    the kernel that makes x"""
    inner = view_of(op.operands[0])
    if not isinstance(inner, TransposeOp) or not can_move(op) or not is_made_for(op.operands[0]):
        return
    perm = ints(inner.values(), "perm")
    axis = perm[axis_of(op.values()["axis"], len(perm), "softmax")]
    if axis != len(perm) - 1:
        return
    new = make("softmax", inner.operands, {**op.values(), "axis": axis})
    rewriter.replace(op, [new, again(inner, new.results[0])], absorbed=(inner,))


REDUCTIONS: tuple[Pattern, ...] = (transpose_behind_reduce, softmax_of_transpose)
