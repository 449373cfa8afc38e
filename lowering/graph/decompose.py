"""graph-decompose: derived ops become the ops that state them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects import builtin
from xdsl.ir import Operation, Region, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from dialects.dims import ONE, ZERO, Dim
from dialects.graph import ForOp, IfOp, YieldOp, make
from dialects.graph.derived import Derived
from dialects.graph.kernels import runs_by_hand
from dialects.types import tensor


@dataclass(frozen=True)
class GraphDecompose(ModulePass):
    """Puts the formula of every derived op (log_softmax, pad, cross_entropy, ...) in its place.

    Expects: functions at the graph level.
    Does: (1) replaces each derived op by its formula, whose ops have its location, and the derived ops of formulas in turn;
    (2) replaces `graph.if` by two loops of one iteration or none: from 0 to n and from n to 1, where n is the condition.
    Leaves: a function without derived ops and choices; results may differ in the last bits from the references.
    """

    name = "graph-decompose"

    stats: dict[str, int] = field(default_factory=dict, compare=False, repr=False)

    def apply(self, ctx: Context, op: builtin.ModuleOp) -> None:
        work = [inner for inner in op.walk() if isinstance(inner, Derived | IfOp) and not runs_by_hand(inner)]
        while work:
            derived = work.pop()
            ops, values = derived.decomposed() if isinstance(derived, Derived) else as_loops(derived)
            Rewriter.insert_op(ops, InsertPoint.before(derived))
            schedule = derived.attributes.get("graph.schedule")
            if schedule is not None and isinstance(owner := values[0].owner, Operation):
                owner.attributes["graph.schedule"] = schedule
            for old, new in zip(derived.results, values, strict=True):
                if new.name_hint is None:
                    new.name_hint = old.name_hint
                old.replace_all_uses_with(new)
            derived.detach()
            derived.erase()
            work += [
                new
                for outer in ops
                for new in outer.walk()
                if isinstance(new, Derived) and not runs_by_hand(new)
            ]
            self.stats["decomposed"] = self.stats.get("decomposed", 0) + 1


def as_loops(op: IfOp) -> tuple[list[Operation], list[SSAValue]]:
    """The loops that stand for a choice. One that changes nothing is left out."""
    count = make("cast", [op.condition], {"dtype": "i64"})
    count.location = op.location
    ops: list[Operation] = [count]
    values: list[SSAValue] = list(op.inits)
    for region, (lower, upper) in zip(
        list(op.regions), ((ZERO, count.results[0]), (count.results[0], ONE)), strict=True
    ):
        if not _is_identity(region):
            loop = _once(lower, upper, values, op.detach_region(region))
            loop.location = op.location
            ops.append(loop)
            values = list(loop.results)
    return ops, values


def _once(lower: Dim | SSAValue, upper: Dim | SSAValue, values: Sequence[SSAValue], body: Region) -> ForOp:
    body.block.insert_arg(tensor("i64", []), 0)
    return ForOp(lower, upper, values, body)


def _is_identity(region: Region) -> bool:
    last = region.block.last_op
    return isinstance(last, YieldOp) and list(last.operands) == list(region.block.args)
