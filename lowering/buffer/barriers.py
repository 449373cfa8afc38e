"""buffer-place-barriers: threads wait for each other where one call depends on another, and nowhere else."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, Operation, SSAValue
from xdsl.passes import ModulePass

from dialects.buffer import (
    BarrierOp,
    CallOp,
    ConstantOp,
    CopyOp,
    ForOp,
    LeaveOp,
    OnceOp,
    ProgramOp,
    ReshapeOp,
    ViewOp,
)
from dialects.dims import Dim
from dialects.errors import IrkitError
from dialects.loop import FuncOp as LoopFunc
from dialects.types import RefType
from lowering.buffer.accesses import Access, Footprint, Span
from lowering.loop.memory import kernel_memory

INF = float("inf")


class BufferPlaceBarriers(ModulePass):
    """Places `buffer.barrier` between calls that depend on each other.

    *Expects* `buffer.program`s with placed arrays, and the kernels that they call. Barriers that are there stay.

    *Does*, in one sweep that keeps what was touched since the last barrier:
    1. before a call or copy that touches bytes of the arena or of an argument that another one since the last barrier
       has written, or writes bytes that it has read: a barrier. Kernels split their work each in its own way, so that
       any overlap counts;
    2. in a loop, the same against the end of the iteration before; arrays that a swap exchanges are followed there;
    3. before a loop, once, for what its body touches ahead of its own first barrier;
    4. in `buffer.once` the same, by itself: it ends before a run begins.

    *Leaves* a program without races between calls. Arguments are taken not to overlap one another.
    """

    name = "buffer-place-barriers"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        kernels = {f.sym_name.data: f for f in op.ops if isinstance(f, LoopFunc)}
        for program in op.ops:
            if isinstance(program, ProgramOp):
                sweep = Sweep(program, kernels)
                for late in sweep.block(program.block, Footprint()).waits:
                    barrier = BarrierOp()
                    barrier.location = late.location
                    parent = late.parent
                    assert parent is not None
                    parent.insert_op_before(barrier, late)


@dataclass
class Stretch:
    """What a block or loop does to the threads' order: what it touches before its first barrier and after its last."""

    first: Footprint = field(default_factory=Footprint)
    last: Footprint = field(default_factory=Footprint)
    synchronises: bool = False
    waits: list[Operation] = field(default_factory=list)
    """The ops that a barrier has to go before."""

    def synchronise(self) -> None:
        """A barrier."""
        self.synchronises, self.last = True, Footprint()

    def touch(self, op: Operation, access: Access) -> None:
        """An op with its access, and a barrier before it if it has to wait."""
        if self.last.clashes(access):
            self.waits.append(op)
            self.synchronise()
        if not self.synchronises:
            self.first.add(access)
        self.last.add(access)


class Sweep:
    """The analysis of one program."""

    def __init__(self, program: ProgramOp, kernels: Mapping[str, LoopFunc]):
        self.kernels = kernels
        self.ranges = program.symbols.ranges()
        self.spans: dict[SSAValue, tuple[Span, ...]] = {}
        self.loops: dict[ForOp, Stretch] = {}
        self.team: dict[str, Dim] = {}
        for argument in program.block.args:
            self.spans[argument] = (Span(argument, 0, INF),)

    def block(self, block: Block, entry: Footprint) -> Stretch:
        """Sweeps the ops of a block, given what is pending where it begins."""
        stretch = Stretch(last=entry)
        for op in block.ops:
            self._locate(op)
            if isinstance(op, BarrierOp):
                stretch.synchronise()
            elif isinstance(op, CallOp | CopyOp):
                stretch.touch(op, self._access(op))
            elif isinstance(op, LeaveOp):
                stretch.touch(op, Access(self.spans[op.condition], ()))
            elif isinstance(op, OnceOp):
                stretch.waits += self.block(op.block, Footprint()).waits
            elif isinstance(op, ForOp):
                inner = self._loop(op)
                stretch.touch(op, inner.first.as_access())
                stretch.waits += inner.waits
                if inner.synchronises and (_trips(op) or 0) > 0:
                    stretch.synchronise()
                stretch.last.add(inner.last.as_access())
        return stretch

    def _loop(self, op: ForOp) -> Stretch:
        """The loop seen from outside; in its body, an iteration begins with what the one before left pending."""
        if op in self.loops:
            return self.loops[op]
        current, following = self._enter_loop(op)
        bounds = [self.spans[b] for b in (op.lower_ref, op.upper_ref) if b is not None]
        entry = Footprint()
        entry.add(Access(sum(bounds, ()), ()))
        exchanged: dict[Hashable, tuple[Span, ...]] = {}
        for a, b in zip(current, following, strict=True):
            exchanged[a], exchanged[b] = self.spans[b], self.spans[a]
        while True:
            body = self.block(op.block, entry.copy())
            around = body.last.renamed(exchanged)
            if entry.contains(around) or _trips(op) in (0, 1):
                break
            entry.add(around)
        seen = Stretch(synchronises=body.synchronises, waits=body.waits)
        seen.first.add(Access(sum(bounds, ()), ()))
        seen.first.add(body.first.renamed(self._outside(op, 1 if body.synchronises else None)))
        seen.last.add(body.last.renamed(self._outside(op, _trips(op))))
        if (
            leave := _leave(op)
        ) is not None:  # some threads read the condition while others go on behind the loop
            read = Footprint()
            read.add(Access(self.spans[leave.condition], ()))
            seen.last.add(read.renamed(self._outside(op, None)))
        self.loops[op] = seen
        return seen

    def _enter_loop(self, op: ForOp) -> tuple[list[SSAValue], list[SSAValue]]:
        """Gives spans to the body's arguments and to the results; returns the arrays that change places."""
        current: list[SSAValue] = []
        following: list[SSAValue] = []
        self.spans[op.block.args[0]] = ()
        trips = _trips(op)
        for carry, result in zip(op.carries(), op.results, strict=True):
            if carry.spare is None or carry.following is None:
                self.spans[carry.current] = self.spans[result] = self.spans[carry.init]
                continue
            init, spare = self.spans[carry.init], self.spans[carry.spare]
            self.spans[result] = init + spare if trips is None else spare if trips % 2 else init
            for array, group in ((carry.current, current), (carry.following, following)):
                self.spans[array] = (Span(array, 0, INF),)
                group.append(array)
        return current, following

    def _outside(self, op: ForOp, iteration: int | None) -> dict[Hashable, tuple[Span, ...]]:
        """What a swapped pair is outside the loop in a given iteration, counted from one; either where it is None."""
        names: dict[Hashable, tuple[Span, ...]] = {}
        for carry in op.carries():
            if carry.spare is None or carry.following is None:
                continue
            init, spare = self.spans[carry.init], self.spans[carry.spare]
            if iteration is None:
                names[carry.current] = names[carry.following] = init + spare
            else:
                pair = (init, spare) if iteration % 2 else (spare, init)
                names[carry.current], names[carry.following] = pair
        return names

    # -- ops --------------------------------------------------------------------------------------------------

    def _locate(self, op: Operation) -> None:
        """Gives spans to the arrays that an op makes."""
        if isinstance(op, ViewOp):
            space = "arena" if op.prepared is None else "prepared"
            self.spans[op.result] = (self._span(space, op.offset.data, _bytes(op.result)),)
        elif isinstance(op, ReshapeOp):
            self.spans[op.result] = self.spans[op.source]
        elif isinstance(op, ConstantOp):
            self.spans[op.result] = ()  # nothing writes it

    def _span(self, space: str, offset: Dim, size: Dim) -> Span:
        low, high = offset.bounds(self.ranges)[0], (offset + size).bounds(self.ranges)[1]
        return Span(space, low, high)

    def _access(self, op: CallOp | CopyOp) -> Access:
        if isinstance(op, CopyOp):
            return Access(self.spans[op.source], self.spans[op.target])
        name = op.callee.root_reference.data
        kernel = self.kernels.get(name)
        if kernel is None or len(kernel.signature) != len(op.args_):
            found = (
                "no such loop.func" if kernel is None else f"a kernel of {len(kernel.signature)} arguments"
            )
            raise IrkitError(f"call of kernel @{name} with {len(op.args_)} arguments", op, found=found)
        reads: tuple[Span, ...] = ()
        writes: tuple[Span, ...] = ()
        for value, facts in zip(op.args_, kernel.signature, strict=True):
            if facts.mode.data != "out":
                reads += self.spans[value]
            if facts.is_output:
                writes += self.spans[value]
        if op.team is not None:
            if name not in self.team:
                self.team[name] = kernel_memory(kernel)[1]
            writes += (self._span("arena", op.team.data, self.team[name]),)
        return Access(reads, writes)


def _trips(op: ForOp) -> int | None:
    """How often a loop runs, where that is known."""
    if op.lower_ref is not None or op.upper_ref is not None or _leave(op) is not None:
        return None
    count = (op.upper.data - op.lower.data).value
    return None if count is None else max(0, count)


def _leave(op: ForOp) -> LeaveOp | None:
    """The op by which a loop ends early."""
    return next((inner for inner in op.block.ops if isinstance(inner, LeaveOp)), None)


def _bytes(array: SSAValue) -> Dim:
    assert isinstance(array.type, RefType)
    return array.type.bytes()
