"""buffer-tile-time: a loop that applies one stencil again and again takes several steps while rows are in cache."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.passes import ModulePass

from dialects.buffer import BarrierOp, CallOp, Carry, ForOp, ProgramOp
from dialects.dims import Dim, product
from dialects.errors import IrkitError
from dialects.loop import FuncOp as LoopFunc
from dialects.types import RefType, element_bytes
from lowering.loop.wavefront import Group, Stencil, stencil_of, wavefront
from lowering.remarks import listener
from lowering.target import get_target

SWEEP = 4.0
"""What reading and writing all of two arrays that lie in no cache costs, in steps on arrays that do."""

SHORT = 8 << 10
"""Bytes of a block of rows, at least: less work than that between two barriers is not worth them."""


LEAST, MOST = 4, 16
"""Steps in a group."""


@dataclass(frozen=True)
class BufferTileTime(ModulePass):
    """Takes several steps of a loop over a stencil at once, as a wavefront, so that rows stay in cache between steps.

    Expects: `buffer.program`s with placed arrays, and the kernels that they call, before barriers are placed.
    Does: a `buffer.for` of known length that carries one array and only calls one kernel from it to its spare array
    becomes a loop over groups of steps and a loop over what is left, (1) where each row of the kernel depends on rows a
    known distance away; (2) where both arrays together are larger than the second-level cache; and (3) where the rows
    of a group fit into it, or into half of the third level. `steps` sets the size of a group, 0 turns the pass off.
    Leaves: the same numbers, and a kernel more for each loop that it found.
    """

    name = "buffer-tile-time"

    target: str = "native"
    cc: str = "gcc"
    steps: int | None = None

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        if self.steps == 0:
            return
        if self.steps is not None and (self.steps < 0 or self.steps % 2):
            raise IrkitError(
                f"buffer-tile-time cannot take {self.steps} steps at once",
                op,
                expected="an even number, so that a group ends in the array in which it begins; 0 for no groups",
            )
        kernels = {f.sym_name.data: f for f in op.ops if isinstance(f, LoopFunc)}
        before = _called(op)
        for program in [o for o in op.ops if isinstance(o, ProgramOp)]:
            for loop in [o for o in program.walk() if isinstance(o, ForOp)]:
                self._loop(loop, kernels, op)
        called = _called(op)
        for name, kernel in kernels.items():
            if name in before and name not in called:
                op.body.block.erase_op(kernel)

    def _loop(self, loop: ForOp, kernels: dict[str, LoopFunc], module: ModuleOp) -> None:
        found = _one_call(loop)
        if found is None:
            return
        call, carry, trips = found
        source, target = (
            i for a in (carry.current, carry.following) for i, o in enumerate(call.args_) if o is a
        )
        kernel = kernels[call.callee.root_reference.data]
        tell = listener("tile", self.name)
        stencil = stencil_of(kernel, source, target)
        group = stencil if isinstance(stencil, str) else self._group(stencil, trips)
        if isinstance(stencil, str) or isinstance(group, str):
            if tell is not None:
                tell.missed(kernel, "the steps of its loop run one by one", str(group))
            return
        name = f"{kernel.sym_name.data}_steps{group.steps}"
        if name not in kernels:
            kernels[name] = wavefront(stencil, group, name)
            module.body.block.insert_op_after(kernels[name], kernel)
        if tell is not None:
            strips = f" of {group.strip} of their rows" if group.strip else ""
            message = (
                f"its loop takes {group.steps} of {trips} steps at once, in fronts of {group.rows}{strips}"
            )
            reason = (
                f"a row depends on rows at most {stencil.rows.reach} away, and stays in cache between steps"
            )
            facts = {
                "steps": group.steps,
                "rows": group.rows,
                "strip": group.strip,
                "reach": stencil.rows.reach,
            }
            tell.applied(kernel, message, reason, (), **facts)
        _replace(loop, call, carry, trips, group.steps, name)

    def _group(self, stencil: Stencil, trips: int) -> Group | str:
        """What to take at once; a text that says why nothing."""
        array = stencil.func.block.args[stencil.source].type
        assert isinstance(array, RefType)
        row = (product(array.shape.data[1:]) * element_bytes(array.element_type)).value
        if not row:
            return "its rows are of no known size"
        rows, inner = stencil.rows, stencil.inner
        target = get_target(self.target, self.cc)
        block = max(1, SHORT // row)
        if self.steps is not None:
            return Group(self.steps, block) if trips >= self.steps else f"it takes {trips} steps"
        if 2 * rows.count * row <= target.l2:
            return f"both arrays lie in the second-level cache of {target.l2 >> 10} KiB"
        span = 2 * (block + rows.reach)  # rows that a step adds to what is in use
        room = target.l2 * 3 // 4
        longest = min(MOST, trips, rows.count) // 2 * 2
        if longest >= LEAST and inner is not None and longest * span * row > room:
            steps = _best(longest, trips)
            strip = room // (steps * span * (row // inner.count))
            if strip >= 4 * inner.reach:
                return Group(steps, block, min(strip, inner.count))
        for space in (room, target.l3 // 2):
            if (most := min(space // (span * row), longest)) >= LEAST:
                return Group(_best(most, trips), block)
        return f"in cache there is room for fewer than {LEAST} steps, or it takes fewer"


def _best(most: int, trips: int) -> int:
    """The even number of steps, at most so many, that costs least: groups, and what is left one by one."""
    return min(range(2, most + 1, 2), key=lambda s: (trips // s) * (SWEEP + s) + trips % s * SWEEP)


def _called(module: ModuleOp) -> set[str]:
    return {c.callee.root_reference.data for c in module.walk() if isinstance(c, CallOp)}


def _one_call(loop: ForOp) -> tuple[CallOp, Carry, int] | None:
    """The call, the carried array and the number of steps of a loop that does nothing else."""
    if loop.lower_ref is not None or loop.upper_ref is not None:
        return None
    trips = (loop.upper.data - loop.lower.data).value
    work = [op for op in loop.block.ops if not isinstance(op, BarrierOp)]
    carries = loop.carries()
    if trips is None or len(work) != 1 or not isinstance(call := work[0], CallOp) or len(carries) != 1:
        return None
    (carry,) = carries
    args = list(call.args_)
    once = carry.following is not None and args.count(carry.current) == args.count(carry.following) == 1
    outer = (carry.init, carry.spare, loop.block.args[0])
    if not once or call.team is not None or any(a in args for a in outer):
        return None
    return call, carry, trips


def _replace(loop: ForOp, call: CallOp, carry: Carry, trips: int, steps: int, name: str) -> None:
    """Groups of steps, then those that are left; the groups end in the array in which they begin."""
    init, spare = carry.init, carry.spare
    assert spare is not None
    block = loop.parent
    assert block is not None
    outside: dict[SSAValue, SSAValue] = {carry.current: init, carry.following: spare}  # pyright: ignore[reportAssignmentType]
    grouped: Operation = CallOp(name, [outside.get(a, a) for a in call.args_])
    grouped.location = call.location
    if trips // steps > 1:
        body = Block(arg_types=[loop.block.args[0].type], ops=[grouped])
        body.args[0].name_hint = loop.block.args[0].name_hint
        grouped = ForOp(Dim.of(0), Dim.of(trips // steps), [], [], Region(body))
        grouped.location = loop.location
    block.insert_op_before(grouped, loop)
    if left := trips % steps:
        loop.properties["lower"] = type(loop.lower)(loop.upper.data - left)
        return
    loop.results[0].replace_all_uses_with(init)
    block.erase_op(loop)
