"""graph-sink: transposes, reshapes and casts go where they cancel, or where they cost less."""

from __future__ import annotations

from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects import builtin
from xdsl.dialects.func import FuncOp
from xdsl.passes import ModulePass

from lowering.graph.simplify.pairs import (
    broadcast_of_broadcast,
    cast_of_cast,
    reshape_of_reshape,
    transpose_of_transpose,
)
from lowering.graph.sink.casts import CASTS
from lowering.graph.sink.reductions import REDUCTIONS
from lowering.graph.sink.views import VIEWS
from lowering.rewriting import Pattern, rewrite_greedily, unless_scheduled

CANCEL = (transpose_of_transpose, reshape_of_reshape, broadcast_of_broadcast, cast_of_cast)

PATTERNS: tuple[Pattern, ...] = (*unless_scheduled(CANCEL), *VIEWS, *REDUCTIONS, *CASTS)
"""The rules, in the order in which they are tried at an op."""


@dataclass(frozen=True)
class GraphSink(ModulePass):
    """Moves transposes, reshapes and casts past other ops.

    A kernel reads through a view for nothing; but no op joins the kernel of a producer through a view, and a view that is a
    result is a kernel of its own. So what counts are kernels, and bytes between them.
    Expects: functions at the graph level.
    Does: (1) sinks a transpose or reshape below an elementwise op, if all large operands come through the same one, either
    where that lets the op join the kernel that makes its operand, or where a view below undoes it: layouts that an exporter
    changes back and forth; (2) lifts a transpose that is a result above elementwise ops on one tensor that no kernel makes:
    they read through it; (3) sinks a transpose below a reduction, an argmax or a softmax; (4) casts to fewer bytes ahead of
    a concat, and to more behind a concat, a gather and a view; (5) undoes pairs that have come together.
    Sinking needs an operand made by a kernel that would take the op, lifting one that none makes; casts move to the side of
    fewer elements or bytes. So no rule undoes another, and none moves more bytes than before.
    Leaves: a function at the graph level. Elementwise results are the same to the last bit; a sum over a tensor that was
    transposed may be taken in another order.
    """

    name = "graph-sink"

    stats: dict[str, int] = field(default_factory=dict, compare=False, repr=False)

    def apply(self, ctx: Context, op: builtin.ModuleOp) -> None:
        for function in op.ops:
            if isinstance(function, FuncOp):
                for name, count in rewrite_greedily(function, PATTERNS).items():
                    self.stats[name] = self.stats.get(name, 0) + count
