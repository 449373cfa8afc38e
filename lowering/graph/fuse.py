"""graph-fuse: chooses which graph ops run as one kernel."""

from __future__ import annotations

from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects import builtin, func
from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.passes import ModulePass

from dialects.dims import Dim
from dialects.errors import union_location
from dialects.graph import ConstantOp, ForOp, GraphOp, IndexOp, operation_name
from dialects.graph.elementwise import CastOp, Elementwise
from dialects.graph.movement import ConcatOp
from dialects.graph.reduction import ArgmaxOp, LayerNormOp, Reduce, SoftmaxOp
from dialects.kernel import GroupOp, YieldOp as KernelYield
from dialects.types import dims_of

VIEWS = frozenset({"reshape", "transpose", "broadcast", "slice"})
"""Ops that are index maps: they go into each kernel that reads through them."""

MAX_OPS = 48
"""More ops than this in one kernel help no cache and slow every pass."""


@dataclass
class Group:
    """Ops that will be one kernel; `shape` is the iteration shape of its elementwise ops."""

    ops: list[Operation] = field(default_factory=list)
    shape: tuple[Dim, ...] = ()
    heavy: bool = False
    reduced: tuple[object, ...] | None = None
    result_shape: tuple[Dim, ...] | None = None
    consumed: bool = False
    alive: bool = True


@dataclass(frozen=True)
class GraphFuse(ModulePass):
    """Groups graph ops into kernels.

    Expects: graph ops in functions and loops.
    Does: (1) elementwise ops join the kernel of a producer with the same iteration shape, and join two such kernels
    into one; (2) a reduction joins the elementwise kernel that feeds it; (3) elementwise ops join a contraction or a
    reduction as its epilogue, several results allowed; (4) views go into every kernel that reads through them.
    A kernel grows only while no other kernel has read from it, so that no cycle can arise.
    Leaves: every graph op inside a `kernel.group`, but for constants of more than one element and loops.
    """

    name = "graph-fuse"

    stats: dict[str, int] = field(default_factory=dict, compare=False, repr=False)

    def apply(self, ctx: Context, op: builtin.ModuleOp) -> None:
        for function in [o for o in op.ops if isinstance(o, func.FuncOp)]:
            blocks = [function.body.block, *(o.block for o in function.body.walk() if isinstance(o, ForOp))]
            for block in blocks:
                before = sum(isinstance(o, GraphOp | IndexOp) for o in block.ops)
                groups = _Grouping(block).run()
                self.stats["ops"] = self.stats.get("ops", 0) + before
                self.stats["kernels"] = self.stats.get("kernels", 0) + groups


class _Grouping:
    """One walk over a block that assigns ops to groups, then one that moves them."""

    def __init__(self, block: Block):
        self.block = block
        self.groups: list[Group] = []
        self.of: dict[Operation, Group] = {}

    def run(self) -> int:
        for op in self.block.ops:
            if isinstance(op, GraphOp | IndexOp) and not self._stays(op) and not is_view(op):
                self._place(op)
            elif not is_view(op):
                self._consume(op)
        self._materialise_views()
        alive = [g for g in self.groups if g.alive]
        for group in alive:
            _outline_in_place(group)
        for op in list(self.block.ops):
            if (is_view(op) or (isinstance(op, ConstantOp) and is_scalar_constant(op))) and not any(
                r.uses for r in op.results
            ):
                self.block.erase_op(op)
        for op in reversed(list(self.block.ops)):
            if is_view(op) and not any(True for _ in op.results[0].uses):
                self.block.erase_op(op)
        return len(alive)

    def _stays(self, op: Operation) -> bool:
        return isinstance(op, ConstantOp)

    # -- placing ----------------------------------------------------------------------------------------------

    def _place(self, op: Operation) -> None:
        candidates = self._producer_groups(op)
        target = self._join(op, candidates)
        if target is None:
            target = Group()
            self.groups.append(target)
            _describe(target, op)
        target.ops.append(op)
        target.consumed = target.consumed or isinstance(op, ConcatOp)  # it writes its parts one by one
        self.of[op] = target
        for operand in op.operands:
            self._consume_value(operand, target)

    def _producer_groups(self, op: Operation) -> list[Group]:
        """The groups of the ops whose results this op reads directly, in operand order."""
        found: dict[int, Group] = {}
        for operand in op.operands:
            owner = operand.owner
            if isinstance(owner, Operation) and owner in self.of:
                group = self.of[owner]
                found[id(group)] = group
        return list(found.values())

    def _join(self, op: Operation, candidates: list[Group]) -> Group | None:
        if not joins_producers(op):
            return None
        open_groups = [g for g in candidates if not g.consumed and len(g.ops) < MAX_OPS and _fits(op, g)]
        if not open_groups:
            return None
        target = next((g for g in open_groups if g.heavy or g.reduced is not None), open_groups[0])
        if isinstance(op, Elementwise | CastOp):
            for other in open_groups:
                if (
                    other is not target
                    and not other.heavy
                    and other.reduced is None
                    and other.shape == target.shape
                ):
                    self._merge(target, other)
        if not isinstance(op, Elementwise | CastOp):
            _describe_reduction(target, op)
        return target

    def _merge(self, target: Group, other: Group) -> None:
        if len(target.ops) + len(other.ops) > MAX_OPS:
            return
        position = (
            {op: i for i, op in enumerate(self.block.ops)} if len(other.ops) + len(target.ops) > 2 else {}
        )
        target.ops = (
            sorted([*target.ops, *other.ops], key=lambda o: position[o])
            if position
            else [*other.ops, *target.ops]
        )
        for op in other.ops:
            self.of[op] = target
        other.alive = False

    # -- consumption ------------------------------------------------------------------------------------------

    def _consume(self, op: Operation) -> None:
        for operand in op.operands:
            self._consume_value(operand, None)
        for region in op.regions:
            for inner in region.walk():
                for operand in inner.operands:
                    self._consume_value(operand, None)

    def _consume_value(self, value: SSAValue, by: Group | None) -> None:
        """A group is closed when something outside reads from it, directly or through views."""
        through_view = False
        owner = value.owner
        while isinstance(owner, Operation) and is_view(owner):
            value, through_view = owner.operands[0], True
            owner = value.owner
        group = self.of.get(owner) if isinstance(owner, Operation) else None
        if group is not None and (group is not by or through_view):
            group.consumed = True

    def _materialise_views(self) -> None:
        """Views that others than kernels read become kernels of their own."""
        for op in self.block.ops:
            if not is_view(op):
                continue
            for use in op.results[0].uses:
                user = use.operation
                if user not in self.of and not is_view(user):
                    group = Group([op])
                    self.groups.append(group)
                    break


def is_view(op: object) -> bool:
    """Whether an op is an index map."""
    return isinstance(op, GraphOp) and operation_name(op) in VIEWS


def is_scalar_constant(op: ConstantOp) -> bool:
    """Whether a constant has one element."""
    return all(d.value == 1 for d in dims_of(op.outputs[0].type))


def joins_producers(op: Operation) -> bool:
    """Whether an op may be computed where its operands are."""
    return isinstance(op, Elementwise | CastOp | Reduce | SoftmaxOp | LayerNormOp | ArgmaxOp)


def _describe(group: Group, op: Operation) -> None:
    group.shape = dims_of(op.results[0].type)
    group.result_shape = group.shape
    if isinstance(op, Elementwise | CastOp):
        return
    if isinstance(op, Reduce | SoftmaxOp | LayerNormOp | ArgmaxOp):
        group.shape = dims_of(op.operands[0].type)
        _describe_reduction(group, op)
        return
    group.heavy = True


def _describe_reduction(group: Group, op: Operation) -> None:
    group.reduced = _reduction_key(op)
    group.result_shape = dims_of(op.results[0].type)


def _reduction_key(op: Operation) -> tuple[object, ...]:
    """Which dims a reduction removes, of which shape."""
    dims = dims_of(op.operands[0].type)
    if isinstance(op, Reduce):
        return (dims, Reduce.axes.__func__(type(op), op.values(), len(dims)))  # pyright: ignore
    axis = op.values().get("axis", -1) if isinstance(op, GraphOp) else -1
    return (dims, (int(axis) % len(dims),)) if isinstance(axis, int) and dims else (dims, ())


def _fits(op: Operation, group: Group) -> bool:
    """Whether an op's iteration matches the group's."""
    shape = dims_of(op.results[0].type)
    if isinstance(op, Elementwise | CastOp):
        return (
            shape in (group.shape, group.result_shape)
            if group.reduced is None
            else shape == group.result_shape
        )
    if group.heavy:
        return False
    source = dims_of(op.operands[0].type)
    if source != group.shape:
        return False
    if group.reduced is None:
        return True
    same_result = isinstance(op, SoftmaxOp | LayerNormOp) and group.result_shape == group.shape
    return group.reduced == _reduction_key(op) and (
        same_result or (group.result_shape != group.shape and False)
    )


def _outline_in_place(group: Group) -> None:
    """Moves a group's ops, with copies of the views and scalar constants that they read, into a kernel.group."""
    members = set(group.ops)
    last = group.ops[-1]
    outside: list[SSAValue] = []
    for op in group.ops:
        for result in op.results:
            if (
                any(
                    use.operation not in members and not _only_feeds(use.operation, members)
                    for use in result.uses
                )
                and result not in outside
            ):
                outside.append(result)
    copies: dict[SSAValue, SSAValue] = {}
    inner = Block()
    parent = last.parent
    assert parent is not None
    wrapper = GroupOp(title_of(group.ops), [v.type for v in outside], Region(inner))
    wrapper.location = union_location(group.ops)
    parent.insert_op_before(wrapper, last)
    for op in group.ops:
        for position, operand in enumerate(list(op.operands)):
            if (copy := _copied(operand, members, copies, inner)) is not operand:
                op.operands[position] = copy
        op.detach()
        inner.add_op(op)
    for value, result in zip(outside, wrapper.results, strict=True):
        result.name_hint = value.name_hint
        for use in list(value.uses):
            if use.operation.parent is not inner:
                use.operation.operands[use.index] = result
    end = KernelYield(*outside)
    end.location = wrapper.location
    inner.add_op(end)


def _only_feeds(op: Operation, members: set[Operation]) -> bool:
    """Never: a view outside reads the stored array."""
    return False


def _copied(
    value: SSAValue, members: set[Operation], copies: dict[SSAValue, SSAValue], block: Block
) -> SSAValue:
    """The value inside the kernel: views and scalar constants are copied in, everything else is read from outside."""
    chain: list[SSAValue] = []
    current = value
    while current not in copies:
        owner = current.owner
        if not isinstance(owner, Operation) or owner in members:
            break
        if isinstance(owner, ConstantOp) and is_scalar_constant(owner):
            chain.append(current)
            break
        if not is_view(owner):
            break
        chain.append(current)
        current = owner.operands[0]
    for link in reversed(chain):
        owner = link.owner
        assert isinstance(owner, Operation)
        clone = owner.clone(dict(copies))
        block.add_op(clone)
        copies[link] = clone.results[0]
    return copies.get(value, value)


def title_of(ops: list[Operation]) -> str:
    """A kernel's name: its ops in order, each once, no longer than a line."""
    names = dict.fromkeys(operation_name(op).removeprefix("graph.") for op in ops)
    text = "_".join(names)
    return text if len(text) <= 48 else text[:48].rsplit("_", 1)[0]
