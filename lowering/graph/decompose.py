"""graph-decompose: derived ops become the ops that state them."""

from __future__ import annotations

from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects import builtin
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from dialects.graph.derived import Derived


@dataclass(frozen=True)
class GraphDecompose(ModulePass):
    """Puts the formula of every derived op (log_softmax, pad, cross_entropy, ...) in its place.

    Expects: functions at the graph level.
    Does: replaces each derived op by its formula, whose ops have its location, and the derived ops of formulas in turn.
    Leaves: a function without derived ops; results may differ in the last bits from the references.
    """

    name = "graph-decompose"

    stats: dict[str, int] = field(default_factory=dict, compare=False, repr=False)

    def apply(self, ctx: Context, op: builtin.ModuleOp) -> None:
        work = [inner for inner in op.walk() if isinstance(inner, Derived)]
        while work:
            derived = work.pop()
            ops, values = derived.decomposed()
            Rewriter.insert_op(ops, InsertPoint.before(derived))
            for old, new in zip(derived.results, values, strict=True):
                if new.name_hint is None:
                    new.name_hint = old.name_hint
                old.replace_all_uses_with(new)
            derived.detach()
            derived.erase()
            work += [new for new in ops if isinstance(new, Derived)]
            self.stats["decomposed"] = self.stats.get("decomposed", 0) + 1
