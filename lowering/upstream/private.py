"""Which loop a thread's own array belongs to, so that a parallel loop keeps its meaning without a team of threads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xdsl.ir import Operation

from dialects import loop


@dataclass(frozen=True)
class Private:
    """`inside` gives the arrays to make in the body of a loop, or under None in the function; `serial` holds parallel
    loops that fill an array that outlives them, which threads would have to share."""

    inside: Mapping[loop.ForOp | None, Sequence[loop.AllocOp]]
    serial: frozenset[loop.ForOp]


def private_arrays(func: loop.FuncOp) -> Private:
    """An array that one parallel loop alone uses is made in its body; all others in the function."""
    inside: dict[loop.ForOp | None, list[loop.AllocOp]] = {}
    serial: set[loop.ForOp] = set()
    for op in func.body.walk():
        if not isinstance(op, loop.AllocOp):
            continue
        users = [use.operation for use in op.result.uses]
        homes = {outermost_parallel(user) for user in users}
        shared = op.ref_type.space.data == "team"
        home = next(iter(homes)) if len(homes) == 1 and not shared else None
        inside.setdefault(home, []).append(op)
        if home is None and not shared:
            filled = {outermost_parallel(user) for user in users if isinstance(user, loop.StoreOp)}
            serial |= {each for each in filled if each is not None}
    return Private(inside, frozenset(serial))


def outermost_parallel(op: Operation) -> loop.ForOp | None:
    """The outermost parallel loop around an op."""
    found = None
    around = op.parent_op()
    while around is not None:
        if isinstance(around, loop.ForOp) and around.role.data == "parallel":
            found = around
        around = around.parent_op()
    return found
