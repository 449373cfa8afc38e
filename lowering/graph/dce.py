"""graph-dce: removes what computes something that nothing uses."""

from __future__ import annotations

from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects import builtin
from xdsl.dialects.func import FuncOp
from xdsl.ir import Block, Operation, SSAValue
from xdsl.passes import ModulePass

from dialects.graph import CustomOp, ForOp, IfOp, YieldOp
from lowering.rewriting import is_dead, put_in_place


@dataclass(frozen=True)
class GraphDce(ModulePass):
    """Removes dead ops and dead carried values.

    Expects: functions at the graph level.
    Does: from the last op of each block to its first, (1) drops from a loop the carried values that neither its results
    nor the other carried values need, and (2) erases ops without effect whose results are not used.
    Leaves: a function in which every op is needed for a result; its arguments stay as they are.
    """

    name = "graph-dce"

    stats: dict[str, int] = field(default_factory=dict, compare=False, repr=False)

    def apply(self, ctx: Context, op: builtin.ModuleOp) -> None:
        for function in op.ops:
            if isinstance(function, FuncOp) and function.body.blocks:
                for block in function.body.blocks:
                    self.stats["ops removed"] = self.stats.get("ops removed", 0) + clean_block(block)


def clean_block(block: Block) -> int:
    """Removes what is dead in a block and in the bodies inside it; returns how many ops that were."""
    removed = 0
    op = block.last_op
    while op is not None:
        before = op.prev_op
        if is_dead(op):
            removed += 1
            block.erase_op(op)
        elif isinstance(op, ForOp):
            kept = without_dead_values(op)
            removed += clean_block(kept.block)
        elif isinstance(op, IfOp | CustomOp):
            removed += sum(clean_block(region.block) for region in op.regions)
        op = before
    return removed


def without_dead_values(loop: ForOp) -> ForOp:
    """The loop without the carried values that nothing needs (the same loop where all are needed)."""
    needed = needed_values(loop)
    if all(needed):
        return loop
    last = loop.block.last_op
    assert isinstance(last, YieldOp)
    kept = [i for i, is_needed in enumerate(needed) if is_needed]
    last.operands = [last.operands[i] for i in kept]
    dropped = [arg for arg, is_needed in zip(loop.block.args[1:], needed, strict=True) if not is_needed]
    for op in reversed(list(loop.block.ops)):  # what fed them only
        if is_dead(op):
            loop.block.erase_op(op)
    for arg in dropped:
        loop.block.erase_arg(arg)
    body = loop.detach_region(0)
    new = ForOp(*loop.bounds(), [loop.inits[i] for i in kept], body, loop.conditional is not None)
    put_in_place(new, loop, kept)
    return new


def needed_values(loop: ForOp) -> list[bool]:
    """For each carried value, whether its result or another needed carried value depends on it."""
    last = loop.block.last_op
    assert last is not None
    position: dict[SSAValue, int] = {arg: i for i, arg in enumerate(loop.block.args[1:])}
    needed = [result.first_use is not None for result in loop.results]
    needed[:1] = [needed[0] or loop.conditional is not None] if needed else []
    work: list[SSAValue] = [last.operands[i] for i, is_needed in enumerate(needed) if is_needed]
    seen: set[Operation] = set()
    while work:
        value = work.pop()
        if (i := position.get(value)) is not None:
            if not needed[i]:
                needed[i] = True
                work.append(last.operands[i])
        elif isinstance(op := value.owner, Operation) and op not in seen:
            seen.add(op)
            work.extend(operand for nested in op.walk() for operand in nested.operands)
    return needed
