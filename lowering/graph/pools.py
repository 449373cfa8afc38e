"""Rules of graph-simplify-reductions: poolings that are reductions, or other poolings."""

from __future__ import annotations

from dialects.dims import Dim
from dialects.graph import GraphOp, make
from dialects.graph.carrying import has_quantised
from dialects.graph.contraction import AvgPool2dOp, MaxPool2dOp
from dialects.graph.derived.window import AdaptiveAvgPool2dOp, AdaptivePool, GlobalPool
from dialects.graph.movement import ReshapeOp
from dialects.graph.reduction import Reduce
from dialects.graph.shapes import Shape, edges, extents, two
from dialects.types import dims_of
from lowering.graph.simplify.values import reduce_to_shape, type_of
from lowering.rewriting import Pattern, Rewriter, is_scheduled, pattern, unless_scheduled

WORTH = 1.5
"""So many times the comparisons are made for one kernel and one array less."""


def as_reduction(op: GraphOp, kind: str, first: int, rewriter: Rewriter) -> None:
    """Reduces all dims from one on, and keeps them."""
    axes = tuple(range(first, len(dims_of(type_of(op.operands[0])))))
    rewriter.replace(op, make(kind, op.operands, {"axes": axes, "keepdims": True}))


@pattern(GlobalPool)
def global_pool(op: GlobalPool, rewriter: Rewriter) -> None:
    """global_avg_pool(x) = mean(x, 2 3 ...), global_max_pool(x) = max(x, 2 3 ...)"""
    if not has_quantised([type_of(op.operands[0])]):
        as_reduction(op, op.KIND, 2, rewriter)


def equal_windows(sizes: Shape, wanted: Shape) -> list[int] | None:
    """How large the windows are that cover an image side by side, if all are of one size."""
    pairs = [(s.value, w.value) for s, w in zip(sizes, wanted, strict=True)]
    known = [(s, w) for s, w in pairs if s and w and s % w == 0]
    return [s // w for s, w in known] if len(known) == len(pairs) else None


@pattern(AdaptivePool)
def adaptive_pool(op: GraphOp, rewriter: Rewriter) -> None:
    """To one pixel it is a reduction, to as many as there are it is x, to a divisor of that a plain pooling"""
    sizes, wanted = dims_of(type_of(op.operands[0]))[2:], extents(op.values(), "size")
    kind = "avg" if isinstance(op, AdaptiveAvgPool2dOp) else "max"
    if wanted == tuple(sizes):
        rewriter.replace_with_values(op, op.operands)
    elif all(d.value == 1 for d in wanted):
        as_reduction(op, "reduce_mean" if kind == "avg" else "reduce_max", 2, rewriter)
    elif (kernel := equal_windows(sizes, wanted)) is not None:
        rewriter.replace(op, make(f"{kind}_pool2d", op.operands, {"kernel": kernel}))


@pattern(AvgPool2dOp, MaxPool2dOp)
def pool_of_all(op: GraphOp, rewriter: Rewriter) -> None:
    """avg_pool(x) over all of the last two dims = mean(x, those); so for the greatest"""
    x = type_of(op.operands[0])
    kernel, padding = two(op.values(), "kernel"), edges(op.values(), 2)
    if (
        tuple(map(Dim.of, kernel)) == dims_of(x)[-2:]
        and not any(map(any, padding))
        and not has_quantised([x])
    ):
        kind = "reduce_mean" if isinstance(op, AvgPool2dOp) else "reduce_max"
        as_reduction(op, kind, len(dims_of(x)) - 2, rewriter)


@pattern(MaxPool2dOp)
def max_pool_of_max_pool(op: MaxPool2dOp, rewriter: Rewriter) -> None:
    """max_pool(max_pool(x, k, stride=1, padding=p), l, stride=s) = max_pool(x, k + l - 1, stride=s, padding=p)"""
    inner = op.operands[0].owner
    if not isinstance(inner, MaxPool2dOp) or not op.operands[0].has_one_use() or is_scheduled(inner):
        return
    values, first = op.values(), inner.values()
    if (
        two(first, "stride") != (1, 1)
        or any(map(any, edges(values, 2)))
        or has_quantised([type_of(op.operands[0])])
    ):
        return
    (k, m), (j, n), (s, t) = two(first, "kernel"), two(values, "kernel"), two(values, "stride")
    kernel = (k + j - 1, m + n - 1)
    if kernel[0] * kernel[1] > WORTH * (k * m * s * t + j * n):
        return
    new = make("max_pool2d", inner.operands, {**first, "kernel": kernel, "stride": (s, t)})
    rewriter.replace(op, new, absorbed=(inner,))


@pattern(ReshapeOp)
def reshape_of_kept_dims(op: ReshapeOp, rewriter: Rewriter) -> None:
    """reshape(sum(x, a, keepdims)) = sum(x, a), and the other way round"""
    if isinstance(inner := op.operands[0].owner, Reduce):
        reduce_to_shape(op, inner, rewriter)


PATTERNS: tuple[Pattern, ...] = unless_scheduled(
    (global_pool, adaptive_pool, pool_of_all, max_pool_of_max_pool, reshape_of_kept_dims)
)
