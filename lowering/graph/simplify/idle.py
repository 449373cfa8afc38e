"""Ops that change nothing."""

from __future__ import annotations

from dialects.graph import OPS, GraphOp, make
from dialects.graph.reduction import Reduce
from dialects.graph.shapes import ints
from dialects.types import dims_of
from lowering.rewriting import Pattern, Rewriter, pattern


@pattern(OPS["concat"])
def concat_of_one(op: GraphOp, rewriter: Rewriter) -> None:
    """concat(x) = x"""
    if len(op.operands) == 1:
        rewriter.replace_with_values(op, op.operands)


@pattern(OPS["slice"])
def slice_of_all(op: GraphOp, rewriter: Rewriter) -> None:
    """x[:] = x"""
    if op.operands[0].type == op.results[0].type:
        rewriter.replace_with_values(op, op.operands)


@pattern(*{cls for cls in OPS.values() if issubclass(cls, Reduce)})
def reduce_of_ones(op: GraphOp, rewriter: Rewriter) -> None:
    """A reduction over no dims, or over dims of size 1, is a reshape."""
    sizes = dims_of(op.operands[0].type)
    if any(sizes[a].value != 1 for a in ints(op.values(), "axes")):
        return
    if op.operands[0].type == op.results[0].type:
        rewriter.replace_with_values(op, op.operands)
    else:
        rewriter.replace(op, make("reshape", op.operands, {"shape": dims_of(op.results[0].type)}))


IDLE: tuple[Pattern, ...] = (concat_of_one, slice_of_all, reduce_of_ones)
