"""Where the new value of an argument that a run updates is made: in the argument's memory where nothing reads the old value
any more; else elsewhere, and it is copied when all is read.
"""

from __future__ import annotations

from collections.abc import Mapping

from xdsl.dialects.func import FuncOp
from xdsl.ir import BlockArgument, Operation, SSAValue

from lowering.buffer.liveness import Liveness


def chain(value: SSAValue, takes: Mapping[SSAValue, SSAValue]) -> list[SSAValue]:
    """A value, then the one whose array it takes, then the one whose array that takes, and so on."""
    found = [value]
    while found[-1] in takes:
        found.append(takes[found[-1]])
    return found


def may_be_made_in(
    arg: BlockArgument, value: SSAValue, takes: Mapping[SSAValue, SSAValue], live: Liveness
) -> bool:
    """Whether a new value may be made in the argument's memory: it takes the old one's place, or the old one is read for
    the last time before the first value is made that comes to lie there."""
    made = chain(value, takes)
    if arg in made:
        return True
    first = [v.owner for v in made if isinstance(v.owner, Operation)][-1]
    last = live.last.get(arg)
    return last is None or live.end[last.op] < live.begin[first]


def swapped_arguments(func: FuncOp, updated: Mapping[int, BlockArgument], live: Liveness) -> set[int]:
    """The results that give one updated argument what another one held: their values are set aside before any is copied."""
    last = func.body.block.last_op
    assert last is not None
    values = {number: live.root(last.operands[number]) for number in updated}
    changed = {arg for number, arg in updated.items() if values[number] is not arg}
    return {n for n, arg in updated.items() if values[n] in changed and values[n] is not arg}
