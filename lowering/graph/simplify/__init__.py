"""graph-simplify: algebra that keeps every bit, and on demand some that does not."""

from __future__ import annotations

from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects import builtin
from xdsl.dialects.func import FuncOp
from xdsl.passes import ModulePass

from lowering.graph.simplify.cheaper import CHEAPER
from lowering.graph.simplify.constants import FOLD_LIMIT, constants
from lowering.graph.simplify.fast import FAST
from lowering.graph.simplify.idle import IDLE
from lowering.graph.simplify.loops import LOOPS
from lowering.graph.simplify.neutral import NEUTRAL
from lowering.graph.simplify.pairs import PAIRS
from lowering.rewriting import rewrite_greedily, unless_scheduled


@dataclass(frozen=True)
class GraphSimplify(ModulePass):
    """Simplifies by rules under which results stay the same to the last bit, NaN and signed zeros included.

    Expects: functions at the graph level.
    Does: in one worklist walk, (1) drops neutral elements: x + 0, x - 0, x * 1, x / 1, x ** 1; (2) undoes pairs:
    neg neg, not not, transposes, reshapes, broadcasts, casts; (3) drops what changes nothing: a cast to the same
    dtype, an identity transpose, a reduction over dims of size 1, ...; (4) takes cheaper ops of the same bits: a division by
    a power of two is a product; (5) computes ops on constants by their references, up to `fold-limit` elements;
    (6) takes what a loop does not change out of its carried values. An op that the program schedules stays.
    With `fast-math` it also goes by the algebra of real numbers (`fast.py`): x * 0 = 0, x / x = 1, x / c = x * (1 / c),
    constants of sums and products come together, a * b + a * c = a * (b + c), exp(a) * exp(b) = exp(a + b), log(exp(x)) = x,
    x ** 2 = x * x, ... Then results change by rounding, and are anything where numbers are NaN, infinite or overflow.
    Leaves: a function at the graph level. Transcendental functions of constants are as exact as NumPy has them.
    """

    name = "graph-simplify"

    fast_math: bool = False
    fold_limit: int = FOLD_LIMIT
    stats: dict[str, int] = field(default_factory=dict, compare=False, repr=False)

    def apply(self, ctx: Context, op: builtin.ModuleOp) -> None:
        fast = FAST if self.fast_math else ()
        patterns = (*NEUTRAL, *fast, *PAIRS, *IDLE, *CHEAPER, *constants(self.fold_limit), *LOOPS)
        for function in op.ops:
            if isinstance(function, FuncOp):
                for name, count in rewrite_greedily(function, unless_scheduled(patterns)).items():
                    self.stats[name] = self.stats.get(name, 0) + count
