"""Times and last uses of the tensors in a host function, and its counted loops read into one form.

Time counts ops in program order; a loop has a time at which it begins and one at which it ends, and its body lies
between. A use inside a loop of a value from outside counts as a use by the loop.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from xdsl.dialects.func import FuncOp
from xdsl.ir import Block, BlockArgument, Operation, SSAValue

from dialects.dims import Dim
from dialects.graph import ForOp
from dialects.graph.movement import ReshapeOp
from lowering.kernel.once import runs_once


@dataclass(frozen=True)
class HostLoop:
    """A `graph.for`: bounds (a Dim, or a rank-0 tensor), the values that it carries, and the arguments of its body."""

    op: Operation
    lower: Dim | SSAValue
    upper: Dim | SSAValue
    inits: tuple[SSAValue, ...]
    body: Block
    conditional: bool = False
    """Whether it goes on only while the first value is true."""

    @property
    def induction(self) -> BlockArgument:
        return self.body.args[0]

    @property
    def carried(self) -> tuple[BlockArgument, ...]:
        return tuple(self.body.args[1:])

    @property
    def yielded(self) -> tuple[SSAValue, ...]:
        last = self.body.last_op
        assert last is not None
        return tuple(last.operands)

    @property
    def trips(self) -> int | None:
        """How often the body runs, where that is known."""
        if isinstance(self.lower, SSAValue) or isinstance(self.upper, SSAValue) or self.conditional:
            return None
        count = (self.upper - self.lower).value
        return None if count is None else max(0, count)


@dataclass(frozen=True)
class LastUse:
    """The op of the value's own block at (or inside) which it is used last, and how often it is used there."""

    op: Operation
    count: int


@dataclass
class Liveness:
    """What is known of a host function before anything is placed."""

    begin: dict[Operation, int] = field(default_factory=dict)
    end: dict[Operation, int] = field(default_factory=dict)
    loops: dict[Operation, HostLoop] = field(default_factory=dict)
    roots: dict[SSAValue, SSAValue] = field(default_factory=dict)
    last: dict[SSAValue, LastUse] = field(default_factory=dict)

    def root(self, value: SSAValue) -> SSAValue:
        """The value whose memory this one shares: the source of a reshape, or what a loop leaves alone."""
        return self.roots.get(value, value)

    def dies_at(self, value: SSAValue, op: Operation) -> bool:
        """Whether `op` reads a value of its own block once, and nothing reads it afterwards."""
        last = self.last.get(value)
        return last is not None and last.op is op and last.count == 1 and home(value) is op.parent


def home(value: SSAValue) -> Block | None:
    """The block that a value belongs to."""
    return value.owner if isinstance(value.owner, Block) else value.owner.parent


def is_prepared(value: SSAValue) -> bool:
    """Whether a run reads what a launch has left that runs once, and it is not read by others of these alone."""
    return runs_once(value.owner) and _read_in_runs(value)


def _read_in_runs(value: SSAValue) -> bool:
    for use in value.uses:
        op = use.operation
        if _read_in_runs(op.results[0]) if isinstance(op, ReshapeOp) else not runs_once(op):
            return True
    return False


def walk_host(block: Block) -> Iterator[tuple[Operation, bool]]:
    """The ops in program order; a loop comes twice, before its body with True and after it with False."""
    for op in block.ops:
        yield op, True
        if isinstance(op, ForOp):
            yield from walk_host(op.block)
            yield op, False


def analyse_liveness(func: FuncOp) -> Liveness:
    """One walk over the function."""
    live = Liveness()
    time = 0
    for op, entering in walk_host(func.body.block):
        time += 1
        live.end[op] = time
        if not entering:
            continue
        live.begin[op] = time
        if isinstance(op, ForOp):
            _enter_loop(op, live)
        elif isinstance(op, ReshapeOp):
            live.roots[op.results[0]] = live.root(op.operands[0])
        for operand in op.operands:
            _use(live.root(operand), op, live)
    return live


def _enter_loop(op: ForOp, live: Liveness) -> None:
    loop = read_loop(op)
    live.loops[op] = loop
    for init, inner, value, result in zip(loop.inits, loop.carried, loop.yielded, op.results, strict=True):
        if value is inner:  # the loop does not change it
            live.roots[inner] = live.roots[result] = live.root(init)


def _use(value: SSAValue, user: Operation, live: Liveness) -> None:
    block, at = home(value), user
    while at.parent is not block:
        parent = at.parent_op()
        assert parent is not None
        at = parent
    last = live.last.get(value)
    live.last[value] = LastUse(at, last.count + 1 if last is not None and last.op is at else 1)


def read_loop(op: ForOp) -> HostLoop:
    """A `graph.for` with its bounds as one thing each."""
    return HostLoop(
        op,
        op.bounds()[0],
        op.bounds()[1],
        tuple(op.inits),
        op.block,
        op.conditional is not None,
    )
