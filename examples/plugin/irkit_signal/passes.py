"""signal-simplify: what needs no computing."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects import builtin
from xdsl.passes import ModulePass

from irkit_signal.ops import MedianOp
from lowering.rewriting import Rewriter, pattern, rewrite_greedily


@pattern(MedianOp)
def median_of_one(op: MedianOp, rewriter: Rewriter) -> None:
    """median(x, width=1) = x"""
    if op.values()["width"] == 1:
        rewriter.replace_with_values(op, [op.operands[0]])


@dataclass(frozen=True)
class SignalSimplify(ModulePass):
    """Takes out medians of a single sample.

    Expects: functions at the graph level.
    Does: replaces each `signal.median` of width 1 by its operand.
    Leaves: the same function.
    """

    name = "signal-simplify"

    def apply(self, ctx: Context, op: builtin.ModuleOp) -> None:
        rewrite_greedily(op, [median_of_one])
