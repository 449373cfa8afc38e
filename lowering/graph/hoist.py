"""graph-hoist: what is the same in every round of a loop, or both ways of a choice, is computed before it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects import builtin
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from dialects.graph import ConstantOp, CustomOp, ForOp, GraphOp, IfOp, IndexOp, operation_name
from dialects.graph.elementwise import Elementwise
from dialects.graph.kernels import runs_by_hand
from lowering.graph.choices import join
from lowering.graph.fuse_groups import CHEAP, is_view

FILLS = frozenset(
    {"iota", "tril", "triu", "pad", "flip", "one_hot", "stop_gradient", "square", "sign", "reinterpret"}
)
"""Further ops that cost a kernel no more than reading their result would."""


@dataclass(frozen=True)
class GraphHoist(ModulePass):
    """Moves out of loops what their rounds do not change, and out of choices what both ways compute.

    Expects: functions at the graph level, derivatives in place.
    Does: from the inner loops to the outer ones, moves ops of which all operands come from around the loop ahead of it, if
    they cost more than reading a result: products, reductions, functions like exp, concats, gathers, random numbers, whole
    loops and choices; with them goes what feeds them. Cheap arithmetic and views alone stay: each kernel of a round computes
    them on the way, for nothing. No op of a graph fails or has an effect, so a loop of no rounds (bounds of a run, `while`)
    only computes in vain what one round of it would take; what is moved lives until the loop has ended. Of a choice only
    what both ways compute, of the same values, moves ahead, since one of them runs.
    Leaves: a function at the graph level, the same numbers.
    """

    name = "graph-hoist"

    stats: dict[str, int] = field(default_factory=dict, compare=False, repr=False)

    def apply(self, ctx: Context, op: builtin.ModuleOp) -> None:
        for function in op.ops:
            if isinstance(function, FuncOp):
                for outer in reversed([o for o in function.walk() if isinstance(o, ForOp | IfOp)]):
                    is_loop = isinstance(outer, ForOp)
                    moved = hoist(outer) if is_loop else join(outer, lambda op: not is_free_on_the_way(op))
                    what = "ops hoisted" if is_loop else "ops of both ways"
                    self.stats[what] = self.stats.get(what, 0) + moved


def hoist(loop: ForOp) -> int:
    """Moves ahead of a loop what is worth it; returns how many ops that were."""
    block, around = loop.block, loop.parent
    assert around is not None
    changing: set[SSAValue] = set(block.args)
    fixed: dict[Operation, None] = {}
    for op in block.ops:
        if isinstance(op, GraphOp | IndexOp | ForOp | IfOp | CustomOp) and changing.isdisjoint(read_by(op)):
            fixed[op] = None
        else:
            changing.update(op.results)
    wanted = {op for op in fixed if not is_free_on_the_way(op)}
    work = list(wanted)
    while work:
        feeds = {v.owner for v in read_by(work.pop())}
        new = {op for op in feeds if isinstance(op, Operation) and op in fixed} - wanted
        wanted |= new
        work.extend(new)
    moved = 0
    for op in (o for o in fixed if o in wanted):
        if is_view(op) or isinstance(op, ConstantOp):
            _leave_a_copy(op, wanted)
        op.detach()
        around.insert_op_before(op, loop)
        moved += 1
    return moved


def _leave_a_copy(op: Operation, moved: set[Operation]) -> None:
    """Keeps a view or a constant for the ops that stay in the loop: they compute it on the way."""
    uses = [use for use in op.results[0].uses if _in_block_of(op, use.operation) not in moved]
    if not uses:
        return
    copy = op.clone()
    copy.location = op.location
    assert op.parent is not None
    op.parent.insert_op_after(copy, op)
    for use in uses:
        use.operation.operands[use.index] = copy.results[0]


def _in_block_of(op: Operation, user: Operation) -> Operation | None:
    """The op beside `op` that a user is, or lies in."""
    current: Operation | None = user
    while current is not None and current.parent is not op.parent:
        current = current.parent_op()
    return current


def read_by(op: Operation) -> Iterator[SSAValue]:
    """What an op and those inside it read."""
    for inner in op.walk():
        yield from inner.operands


def is_free_on_the_way(op: Operation) -> bool:
    """Whether computing an op costs no more than reading what it gives."""
    if isinstance(op, ConstantOp) or is_view(op):
        return True
    if isinstance(op, IndexOp):
        return op.combiner is None and not any(inner.name.startswith("math.") for inner in op.body.walk())
    if isinstance(op, CustomOp):
        return all(
            is_free_on_the_way(inner)
            for inner in op.body.block.ops
            if isinstance(inner, GraphOp | IndexOp | ForOp | IfOp)
        )
    if isinstance(op, GraphOp) and not runs_by_hand(op):
        name = operation_name(op)
        return name in FILLS or (isinstance(op, Elementwise) and name in CHEAP)
    return False
