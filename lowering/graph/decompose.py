"""graph-decompose: derived ops, and those that a file declares, become the ops that state them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects import builtin
from xdsl.ir import Operation, Region, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from dialects.dims import ONE, ZERO, Dim
from dialects.graph import CustomOp, ForOp, IfOp, YieldOp, make, symbol_ranges
from dialects.graph.contraction import AttentionOp
from dialects.graph.derived import Derived
from dialects.graph.kernels import WHOLE, runs_by_hand
from dialects.types import tensor
from lowering.graph.attention import by_products, fits_tensor_cores, goes_by_products
from lowering.rewriting import replace_by
from lowering.target import is_cuda


@dataclass(frozen=True)
class GraphDecompose(ModulePass):
    """Puts the formula of every derived op (log_softmax, pad, ...), and of every op of the file, in its place.

    Expects: functions at the graph level.
    Does: (1) replaces each derived op by its formula, whose ops have its location, and the derived ops of formulas in turn;
    (2) replaces `graph.if` by two loops of one iteration or none: from 0 to n and from n to 1, where n is the condition;
    (3) replaces `graph.custom` by its body, whose ops have its location beside their own; (4) large attention of known
    sizes, and such as was recognised, becomes products and softmax, for blocks of rows where all scores would leave the
    caches; for a target with tensor cores that compute it in one kernel, it is marked as `graph.whole` instead.
    Leaves: a function without derived ops, custom ops and choices; results may differ in the last bits from the references.
    """

    name = "graph-decompose"

    target: str = "native"
    stats: dict[str, int] = field(default_factory=dict, compare=False, repr=False)

    def apply(self, ctx: Context, op: builtin.ModuleOp) -> None:
        if is_cuda(self.target):
            for each in op.walk():
                if isinstance(each, AttentionOp) and fits_tensor_cores(
                    each.operand_types, each.values(), symbol_ranges(each)
                ):
                    each.attributes[WHOLE] = builtin.UnitAttr()
        work = [
            o
            for o in op.walk()
            if (
                isinstance(o, Derived | CustomOp | IfOp)
                or (isinstance(o, AttentionOp) and goes_by_products(o))
            )
            and not runs_by_hand(o)
        ]
        while work:
            stated = [new for outer in put_formula(work.pop()) for new in outer.walk()]
            work += [new for new in stated if isinstance(new, Derived) and not runs_by_hand(new)]
            self.stats["decomposed"] = self.stats.get("decomposed", 0) + 1


def put_formula(op: Derived | CustomOp | IfOp | AttentionOp) -> list[Operation]:
    """Puts the ops that state an op in its place; returns them."""
    if isinstance(op, AttentionOp):
        ops, values = by_products(op)
    else:
        ops, values = as_loops(op) if isinstance(op, IfOp) else op.decomposed()
    Rewriter.insert_op(ops, InsertPoint.before(op))
    schedule = op.attributes.get("graph.schedule")
    if schedule is not None and isinstance(owner := values[0].owner, Operation) and owner in ops:
        owner.attributes["graph.schedule"] = schedule
    replace_by(op, values)
    return ops


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
