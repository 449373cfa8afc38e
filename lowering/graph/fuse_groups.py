"""Groups of graph ops that will be kernels, and the rules by which they grow."""

from __future__ import annotations

from dataclasses import dataclass, field

from xdsl.ir import Operation, SSAValue

from dialects.graph import ConstantOp, GraphOp, operation_name
from dialects.graph.elementwise import Elementwise
from dialects.graph.reduction import Reduce
from dialects.graph.shapes import Shape, axis_of, ints
from dialects.types import dims_of
from lowering.graph.fixed import Fixed
from lowering.graph.fuse_remarks import Apart, NoPrologue, Refusal, anchor

PASS = "graph-fuse"

VIEWS = frozenset({"reshape", "transpose", "broadcast", "slice"})
"""Ops that are index maps: they go into each kernel that reads through them."""

MAX_OPS = 48
"""More ops than this in one kernel help no cache and slow every pass."""


CHEAP = frozenset(
    {"add", "sub", "mul", "neg", "abs", "min", "max", "relu", "where", "compare", "cast", "logical_not"}
)
"""Ops that cost no more than the load that they follow: a contraction may compute them each time that it reads."""

MAX_PROLOGUE = 4


@dataclass(eq=False)
class Group:
    """Ops that will be one kernel.

    shape is the iteration shape of its elementwise ops, result_shape that of its last results. reduced says which dims of
    which shape its reductions remove. A heavy group holds a contraction, or another op that is no sum of its parts.
    closed groups take no more ops: the closer reads from them, or is an op of their own that nothing follows.
    """

    ops: list[Operation] = field(default_factory=list)
    shape: Shape = ()
    result_shape: Shape = ()
    reduced: tuple[Shape, tuple[int, ...]] | None = None
    heavy: bool = False
    closer: Operation | None = None

    @property
    def closed(self) -> bool:
        """Whether it takes no more ops."""
        return self.closer is not None

    def close(self, closer: Operation) -> None:
        """Lets it take no more ops; the first reason is kept."""
        self.closer = self.closer or closer

    @property
    def by_rows(self) -> bool:
        """Whether its reductions remove the last dims: then what they give is known before a row is walked again."""
        if self.reduced is None or self.heavy:
            return False
        dims, axes = self.reduced
        return axes == tuple(range(len(dims) - len(axes), len(dims)))


# -- ops ---------------------------------------------------------------------------------------------------------


def is_view(op: object) -> bool:
    """Whether an op is an index map."""
    return isinstance(op, GraphOp) and operation_name(op) in VIEWS


def is_scalar_constant(op: ConstantOp) -> bool:
    """Whether a constant has one element."""
    return all(d.value == 1 for d in dims_of(op.outputs[0].type))


def through_views(value: SSAValue) -> SSAValue:
    """The value that a chain of views starts from."""
    while isinstance(value.owner, Operation) and is_view(value.owner):
        value = value.owner.operands[0]
    return value


def reduction_key(op: Operation) -> tuple[Shape, tuple[int, ...]]:
    """Which dims a reduction removes, of which shape."""
    assert isinstance(op, GraphOp)
    shape, values = dims_of(op.operands[0].type), op.values()
    if isinstance(op, Reduce):
        return shape, ints(values, "axes")
    return shape, (axis_of(values.get("axis", -1), len(shape), operation_name(op)),) if shape else ()


# -- rules -------------------------------------------------------------------------------------------------------


def refusal(op: Operation, group: Group) -> Refusal | None:
    """Why an op cannot become part of a group: it is closed or full, or its iteration is another."""
    if group.closed:
        return Refusal.CLOSED
    if len(group.ops) >= MAX_OPS:
        return Refusal.FULL
    shape = dims_of(op.results[0].type)
    if isinstance(op, Elementwise):
        if shape == group.result_shape or (shape == group.shape and (group.reduced is None or group.by_rows)):
            return None
        return Refusal.ROWS if shape == group.shape else Refusal.SHAPE
    if group.heavy:
        return Refusal.HEAVY
    if dims_of(op.operands[0].type) != group.shape:
        return Refusal.READS
    return None if group.reduced in (None, reduction_key(op)) else Refusal.AXES


def apart(target: Group, other: Group) -> Apart | None:
    """What keeps a group from becoming part of the one that an op which reads both joins."""
    if other.heavy or other.reduced is not None:
        return Apart.BOTH
    if other.shape != target.shape:
        return Apart.SHAPE
    return Apart.FULL if len(target.ops) + len(other.ops) > MAX_OPS else None


def no_prologue(op: Operation, producer: Group, fixed: Fixed) -> tuple[NoPrologue, Operation] | None:
    """What keeps a group from being the prologue of a contraction that reads it: the reason, and the op at fault."""
    first = producer.ops[0]
    if producer.heavy or producer.reduced is not None:
        return NoPrologue.HEAVY, anchor(producer)
    if producer.closed:
        return NoPrologue.CLOSED, first
    if all(fixed.is_compact(r) for member in producer.ops for r in member.results):
        return NoPrologue.FIXED, first
    members = set(producer.ops)
    if len(members) > MAX_PROLOGUE:
        return NoPrologue.LONG, first
    for member in producer.ops:
        if operation_name(member) not in CHEAP:
            return NoPrologue.DEAR, member
    for member in producer.ops:
        for result in member.results:
            if (reader := _other_reader(result, {*members, op})) is not None:
                return NoPrologue.READ, reader
    return None


def _other_reader(value: SSAValue, users: set[Operation]) -> Operation | None:
    """An op that reads a value, directly or through views, and is none of the given ones."""
    work = [value]
    while work:
        for use in work.pop().uses:
            if is_view(use.operation):
                work.append(use.operation.results[0])
            elif use.operation not in users:
                return use.operation
    return None
