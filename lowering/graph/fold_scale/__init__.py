"""graph-fold-scale: factors and summands for each channel become part of weights and biases."""

from __future__ import annotations

from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects import builtin
from xdsl.dialects.func import FuncOp
from xdsl.passes import ModulePass

from lowering.graph.fold_scale.folding import Folding
from lowering.graph.fold_scale.products import WEIGHTED
from lowering.rewriting import rewrite_greedily
from lowering.target import get_target


@dataclass(frozen=True)
class GraphFoldScale(ModulePass):
    """Folds what is multiplied and added for each channel into the weights and biases of products.

    Expects: functions at the graph level.
    Does: where a convolution, a transposed one, or a matmul by a matrix on its right has a weight that is the same in every
    run, (1) a multiplication, division, addition, subtraction or batch normalisation of its result, by fixed numbers for
    each channel or one for all, becomes part of weight and bias, if nothing else reads that result; (2) so does a chain
    of them in what it reads, for as many products as read it: additions only where no padding stands beside them. Scaled
    weights take no more than `limit` bytes together. What a run writes is not fixed; f32 and f64 alone are folded, and
    nothing that the program schedules. Targets on which nothing runs once are left alone.
    Transposes and reshapes may stand between them, those that leave the dims of channels to themselves, or split them: the
    layouts that an exporter changes back and forth. It runs again behind what brings reductions next to products.
    Leaves: a function at the graph level, with arithmetic on parameters that `kernel-prepack` runs once. Results differ by
    rounding, and by where a sum of products overflows; a factor that is itself infinite (or a divisor that is zero) gives
    NaN where it gave infinities of either sign.
    """

    name = "graph-fold-scale"

    target: str = "native"
    cc: str = "gcc"
    limit: int = 1 << 28
    stats: dict[str, int] = field(default_factory=dict, compare=False, repr=False)

    def apply(self, ctx: Context, op: builtin.ModuleOp) -> None:
        if not get_target(self.target, self.cc).packs:
            return
        for function in op.ops:
            if isinstance(function, FuncOp) and any(isinstance(o, WEIGHTED) for o in function.walk()):
                for name, count in rewrite_greedily(function, Folding(function, self.limit).patterns).items():
                    self.stats[name] = self.stats.get(name, 0) + count
