"""graph-recognise: what is written out becomes the op that says it."""

from __future__ import annotations

from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects import builtin
from xdsl.dialects.func import FuncOp
from xdsl.passes import ModulePass

from lowering.graph.recognise import activations, attention, fast, heads, normalisations, reductions, rotary
from lowering.rewriting import Pattern, rewrite_greedily

PATTERNS: tuple[Pattern, ...] = (
    *reductions.RULES,
    *activations.RULES,
    *normalisations.RULES,
    *rotary.RULES,
    *attention.RULES,
    *heads.RULES,
)
"""The rules, in the order in which they are tried at an op."""


@dataclass(frozen=True)
class GraphRecognise(ModulePass):
    """Puts the op in the place of ops that write out what it computes, as exporters and people do.

    Expects: functions at the graph level, where equal expressions are one.
    Does: in one worklist walk, on plain floats, recognises (1) means, softmax and its logarithm; (2) activations, by the
    formulas that derived ops state and by other ways to write them; (3) layer, root-mean-square and group norm, then the
    scale and bias behind them; (4) rotary embedding; (5) attention, with masks that are added, of bools, or causal, and with
    zeros for NaN; (6) in attention, heads of keys and values that are repeated for several of queries.
    What other ops use too stays written out, unless it is cheap; so does what has a schedule.
    Leaves: a function at the graph level. Results differ by rounding alone: sums and factors are in another order, and f16
    and the like are rounded once and not after each op, as in one kernel; where they were NaN or infinite they are, but
    that layer norm in TensorFlow's form had NaN where its scale is infinite, and that `x - logsumexp(x)`, where x has +inf,
    had -inf beside it and has NaN. With `fast-math` also (7) a softmax, log-softmax, logsumexp, sigmoid or softplus
    that overflows as it is written; what it is recognised as does not.
    """

    name = "graph-recognise"

    fast_math: bool = False
    stats: dict[str, int] = field(default_factory=dict, compare=False, repr=False)

    def apply(self, ctx: Context, op: builtin.ModuleOp) -> None:
        patterns = (*PATTERNS, *fast.FAST) if self.fast_math else PATTERNS
        for function in op.ops:
            if isinstance(function, FuncOp):
                for name, count in rewrite_greedily(function, patterns).items():
                    self.stats[name] = self.stats.get(name, 0) + count
