"""What passes need that make a function of another one's nest: names for new loops, and places in the source."""

from __future__ import annotations

from xdsl.dialects.builtin import UnknownLoc
from xdsl.ir import Block, Operation

from dialects import loop
from dialects.names import unique


def fresh_name(wanted: str, func: loop.FuncOp) -> str:
    """A loop variable that a function does not have."""
    used = {n for n, _, _ in func.symbols.data}
    used |= {op.variable for op in func.body.walk() if isinstance(op, loop.ForOp)}
    return unique(wanted, used, between="")


def fill_locations(block: Block, like: Operation) -> None:
    """Gives each op without a place in the source that of another op."""
    for op in block.walk():
        if isinstance(op.location, UnknownLoc):
            op.location = like.location
