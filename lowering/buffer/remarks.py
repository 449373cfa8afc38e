"""What kernel-to-buffer says of memory: results in place or not, values that loops carry, copies, the arena."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdsl.dialects import func
from xdsl.ir import Block, BlockArgument, Operation, SSAValue

from dialects.graph import ConstantOp, ForOp
from dialects.kernel import LaunchOp
from lowering.buffer.arrays import Array, Storage
from lowering.buffer.liveness import HostLoop, Liveness, home
from lowering.kernel.once import runs_once
from lowering.remarks import label_of, listener

if TYPE_CHECKING:
    from lowering.buffer.places import Places

PASS = "kernel-to-buffer"

LIVES = "it is needed after"
"""Why an operand's memory is not free; the remark says by what."""


def refused(
    launch: LaunchOp, result: SSAValue, operand: SSAValue, why: str, live: Liveness, copies: bool
) -> None:
    """A result does not take the operand's memory that its kernel would write to."""
    if (tell := listener("in-place", PASS)) is None:
        return
    message = f"{named(result)} does not take the memory of {named(operand)}"
    if copies:
        message += ", which is copied first"
    last = live.last.get(operand)
    see = [last.op] if why == LIVES and last is not None and last.op is not launch else []
    tell.missed(launch, message, _still_needed(operand, launch, live) if why == LIVES else why, see)


def placed(result: SSAValue, array: Array, operand: SSAValue | None, old: Array | None) -> None:
    """A result has an array; `operand` is one whose array `old` it may take."""
    if not isinstance(result.owner, Operation) or (tell := listener("in-place", PASS)) is None:
        return
    name = named(result)
    if operand is not None and old is not None and old.find() is array.find():
        message = f"{name} takes the memory of {named(operand)}"
        tell.applied(result.owner, message, "nothing reads the operand afterwards")
    elif operand is not None and old is not None and not old.writable:
        what = {"constant": "a constant", "prepared": "made once for all runs"}.get(old.kind, "the caller's")
        tell.missed(result.owner, f"{name} does not take the memory of {named(operand)}", f"that is {what}")
    elif array.kind == "argument":
        tell.applied(
            result.owner, f"{name} is written where the caller wants it", "it is a result of the program"
        )
    elif array.kind == "loop":
        tell.applied(result.owner, f"{name} is written where the next round of the loop reads it")


def heard() -> bool:
    """Whether anybody listens to remarks on results in place."""
    return listener("in-place", PASS) is not None


def carried(loop: HostLoop, number: int, live: Liveness, swaps: bool, in_place: bool) -> None:
    """How a loop keeps a value from round to round."""
    if (tell := listener("in-place", PASS)) is None:
        return
    name = named(loop.carried[number])
    if swaps:
        message = f"{name} changes places between two arrays from round to round"
        tell.analysis(loop.op, message, "its next value is not made in the memory of the one before")
    elif in_place:
        message = f"{name} is updated in its own memory from round to round"
        tell.applied(loop.op, message, "each step of its next value takes the memory of the one before")
    else:
        value = named(live.root(loop.yielded[number]))
        message = f"{name} is copied at the end of each round"
        tell.missed(loop.op, message, f"its next value is {value}, which no call in the loop makes")


def copied_init(loop: HostLoop, number: int, live: Liveness, is_free: bool) -> None:
    """What a loop starts with is copied; `is_free` says that nothing else needs it."""
    if (tell := listener("in-place", PASS)) is None:
        return
    init = live.root(loop.inits[number])
    is_once = runs_once(init.owner)
    what = "a constant" if isinstance(init.owner, ConstantOp) else "made once" if is_once else "the caller's"
    reason = f"{named(init)} is {what}" if is_free else _still_needed(init, loop.op, live)
    message = f"what {named(loop.carried[number])} starts with is copied before the loop"
    tell.missed(loop.op, message, reason)


def copied_out(end: Operation, value: SSAValue, array: Array, is_output: bool) -> None:
    """A result of the program is copied to where the caller wants it; it lies in an array, which may be another output."""
    if (tell := listener("in-place", PASS)) is None:
        return
    if array.kind == "either":
        reason = "the number of rounds tells in which of two arrays the loop leaves it"
    elif array.kind in ("constant", "prepared"):
        reason = "it is a constant" if array.kind == "constant" else "it is made once for all runs"
    elif is_output:
        reason = "it is returned twice, and made where the first is wanted"
    elif array.kind == "argument":
        reason = "it lies in an argument"
    else:
        reason = "other values share its memory"
    tell.missed(end, f"{named(value)} is copied to where the caller wants it", reason)


def arena(function: func.FuncOp, storage: Storage, places: Places) -> None:
    """What the arena takes at its peak, and the largest pieces of it: arrays, and what calls need for their time."""
    if (tell := listener("memory", PASS)) is None:
        return
    names: dict[Array, str] = {}
    for value, array in storage.arrays.items():
        names.setdefault(array.find(), named(value))
    for op, plans in storage.loops.items():
        for plan in plans:
            for array in (plan.array, plan.spare):
                if array is not None:
                    names.setdefault(array.find(), f"an array of {named(op.results[plan.number])}")
    largest = sorted(places.intervals.items(), key=lambda piece: -piece[1].size)[:3]
    text = ", ".join(
        f"{names[what] if isinstance(what, Array) else f'team arrays of {label_of(what)}'} {interval.size} bytes"
        for what, interval in largest
    )
    peak, bound = places.peak_bytes, places.lower_bound_bytes
    message = f"intermediates take {peak} bytes at the peak, and {bound} are live at one time"
    tell.analysis(function, message, f"the largest: {text}" if text else "", peak=peak, bound=bound)
    if places.prepared_bytes:
        message = f"what is made once for all runs takes {places.prepared_bytes} bytes"
        tell.analysis(function, message, bytes=places.prepared_bytes)


def named(value: SSAValue) -> str:
    """A value as the source calls it, or by what makes it."""
    if value.name_hint:
        return value.name_hint
    if isinstance(value, BlockArgument):
        return f"argument {value.index + 1}"
    owner = value.owner
    return f"the result of {label_of(owner)}" if isinstance(owner, LaunchOp) else _reader(owner)


def _still_needed(value: SSAValue, op: Operation, live: Liveness) -> str:
    """Why an op does not read a value last (`Liveness.dies_at`)."""
    last = live.last.get(value)
    if home(value) is not op.parent:
        return f"{named(value)} is made outside of the loop, and the next round reads it again"
    if last is None or last.op is op:
        return f"{_reader(op)} reads {named(value)} more than once"
    return f"{_reader(last.op)} reads {named(value)} afterwards"


def _reader(op: Operation | Block) -> str:
    if isinstance(op, func.ReturnOp):
        return "the caller"
    if isinstance(op, ForOp):
        return "a loop"
    if isinstance(op, ConstantOp):
        return "a constant"
    if isinstance(op, Operation):
        return "the next round of the loop" if op.name == "graph.yield" else label_of(op)
    return "an argument"
