"""graph-fuse: chooses which graph ops run as one kernel."""

from __future__ import annotations

from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects import builtin, func
from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.passes import ModulePass

from dialects.errors import union_location
from dialects.graph import ConstantOp, ForOp, GraphOp, IndexOp, operation_name
from dialects.graph.contraction import MatmulOp
from dialects.graph.elementwise import Elementwise
from dialects.graph.kernels import runs_by_hand
from dialects.graph.movement import ConcatOp
from dialects.graph.reduction import Reduce
from dialects.graph.scan import Scan
from dialects.graph.scatter import Scatter
from dialects.graph.shapes import Shape, axis_of, ints
from dialects.kernel import GroupOp, YieldOp as KernelYield
from dialects.types import dims_of
from lowering.graph import fuse_remarks
from lowering.graph.fuse_remarks import Apart, NoPrologue, Refusal, is_reduction
from lowering.remarks import listener

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


@dataclass(frozen=True)
class GraphFuse(ModulePass):
    """Groups graph ops into kernels.

    Expects: graph ops in functions and loops.
    Does: in one walk, (1) an elementwise op joins the group of a producer of the same iteration shape, and makes one of
    several such groups; (2) a reduction joins the elementwise group that feeds it, and the group of a reduction of the
    same dims of the same tensor; (3) elementwise ops join a contraction or a reduction as its epilogue; (4) where a
    reduction removes the last dims, elementwise ops over the whole rows join it too, and reductions of what they give:
    a normalisation is one kernel; (5) a few cheap elementwise ops that only a matmul reads join it as its prologue;
    (6) views go into every kernel that reads through them. Results that others read become outputs, several allowed.
    A group grows only while nothing else has read from it, so that no cycle can arise.
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
        self.groups: dict[Group, None] = {}
        self.of: dict[Operation, Group] = {}
        self.order = {op: position for position, op in enumerate(block.ops)}
        self.reductions: dict[tuple[SSAValue, object], Group] = {}

    def run(self) -> int:
        for op in self.block.ops:
            if isinstance(op, GraphOp | IndexOp) and not isinstance(op, ConstantOp):
                if not is_view(op):
                    self._place(op)
            else:
                self._close_what_feeds(op)
        for group in self.groups:
            _outline_in_place(group)
        views = self._outline_views()
        for op in reversed(list(self.block.ops)):
            is_copied = is_view(op) or (isinstance(op, ConstantOp) and is_scalar_constant(op))
            if is_copied and not any(True for r in op.results for _ in r.uses):
                self.block.erase_op(op)
        return len(self.groups) + views

    # -- placing ----------------------------------------------------------------------------------------------

    def _place(self, op: Operation) -> None:
        target = self._join(op) or self._new(op)
        target.ops.append(op)
        self.of[op] = target
        if is_reduction(op):
            target.reduced = reduction_key(op)
            self.reductions[op.operands[0], target.reduced] = target
        target.result_shape = dims_of(op.results[0].type)
        if isinstance(op, ConcatOp | Scatter | Scan) or runs_by_hand(op):
            target.close(op)
        for operand in op.operands:
            self._close(operand, target, op)

    def _new(self, op: Operation) -> Group:
        group = Group(shape=dims_of(op.operands[0].type if is_reduction(op) else op.results[0].type))
        group.heavy = not isinstance(op, Elementwise) and not is_reduction(op)
        if isinstance(op, MatmulOp) and not runs_by_hand(op):
            for operand in op.operands:
                self._absorb_prologue(group, op, operand)
        self.groups[group] = None
        return group

    def _join(self, op: Operation) -> Group | None:
        """The group that an op becomes part of, if there is one."""
        candidates = {group: refusal(op, group) for group in self._candidates(op)}
        fitting = [group for group, refused in candidates.items() if refused is None]
        tell = listener("fuse", GraphFuse.name)
        if not fitting:
            if tell is not None:
                refused = {group: why for group, why in candidates.items() if why is not None}
                fuse_remarks.started(tell, op, refused, self._sources(op))
            return None
        target = next((g for g in fitting if g.heavy or g.reduced is not None), fitting[0])
        if tell is not None:
            fuse_remarks.joined(tell, op, target, dims_of(op.results[0].type))
            for other, why in candidates.items():
                if why is not None:
                    fuse_remarks.merged(tell, op, target, other, why)
        for other in fitting:
            if other is not target:
                apart = self._apart(target, other)
                if tell is not None:
                    fuse_remarks.merged(tell, op, target, other, apart)
                if apart is None:
                    self._merge(target, other)
        return target

    def _candidates(self, op: Operation) -> list[Group]:
        """The groups that an op may become part of: those whose results it reads, and that of a sibling reduction."""
        if runs_by_hand(op) or (not isinstance(op, Elementwise) and not is_reduction(op)):
            return []
        groups = [
            self.of[o.owner] for o in op.operands if isinstance(o.owner, Operation) and o.owner in self.of
        ]
        if is_reduction(op) and (sibling := self.reductions.get((op.operands[0], reduction_key(op)))):
            groups.append(sibling)
        return list(dict.fromkeys(groups))

    def _sources(self, op: Operation) -> list[tuple[Group, bool]]:
        """The groups that compute what an op reads, each with whether it reads through views."""
        found: dict[tuple[Group, bool], None] = {}
        for operand in op.operands:
            source = through_views(operand)
            if isinstance(source.owner, Operation) and source.owner in self.of:
                found[self.of[source.owner], source is not operand] = None
        return list(found)

    def _apart(self, target: Group, other: Group) -> Apart | None:
        """What keeps a group from becoming part of the one that an op which reads both joins."""
        if other.heavy or other.reduced is not None:
            return Apart.BOTH
        if other.shape != target.shape:
            return Apart.SHAPE
        return Apart.FULL if len(target.ops) + len(other.ops) > MAX_OPS else None

    def _merge(self, target: Group, other: Group) -> None:
        target.ops = sorted([*target.ops, *other.ops], key=self.order.__getitem__)
        for op in other.ops:
            self.of[op] = target
        del self.groups[other]

    def _absorb_prologue(self, group: Group, op: Operation, operand: SSAValue) -> None:
        """Takes over the cheap elementwise group that computes an operand of a contraction, if nothing else reads it."""
        owner = through_views(operand).owner
        producer = self.of.get(owner) if isinstance(owner, Operation) else None
        if producer is None:
            return
        refused = _no_prologue(op, producer)
        if (tell := listener("fuse", GraphFuse.name)) is not None:
            fuse_remarks.prologue(tell, op, producer, refused)
        if refused is None:
            self._merge(group, producer)

    # -- closing ----------------------------------------------------------------------------------------------

    def _close_what_feeds(self, op: Operation) -> None:
        for inner in op.walk():
            for operand in inner.operands:
                self._close(operand, None, op)

    def _close(self, value: SSAValue, by: Group | None, reader: Operation) -> None:
        """A group is closed when something outside reads from it, directly or through views."""
        source = through_views(value)
        group = self.of.get(source.owner) if isinstance(source.owner, Operation) else None
        if group is not None and (group is not by or source is not value):
            group.close(reader)

    def _outline_views(self) -> int:
        """Views that others than kernels read become kernels of their own, each where it is read first: the kernel that it
        reads from may have grown behind the view itself. Returns how many."""
        count = 0
        order = {op: position for position, op in enumerate(self.block.ops)}
        for op in list(self.block.ops):
            if not is_view(op):
                continue
            uses = [u for u in op.results[0].uses if not self._copies_views(u.operation)]
            if uses:
                count += 1
                before = min((self._in_block(u.operation) for u in uses), key=order.__getitem__)
                copy = op.clone()
                if (tell := listener("fuse", GraphFuse.name)) is not None:
                    fuse_remarks.view_alone(tell, op, uses[0].operation)
                self.block.insert_op_before(copy, before)
                for use in uses:
                    use.operation.operands[use.index] = copy.results[0]
                _outline_in_place(Group([copy]))
        return count

    def _copies_views(self, op: Operation) -> bool:
        """Whether an op reads through copies of its own: a view of this block, or an op that is fused."""
        if is_view(op) and op.parent is self.block:
            return True
        return isinstance(op.parent_op(), GroupOp) and not runs_by_hand(op)

    def _in_block(self, op: Operation) -> Operation:
        """The op of this block that an op is, or lies in."""
        while op.parent is not self.block:
            parent = op.parent_op()
            assert parent is not None
            op = parent
        return op


def through_views(value: SSAValue) -> SSAValue:
    """The value that a chain of views starts from."""
    while isinstance(value.owner, Operation) and is_view(value.owner):
        value = value.owner.operands[0]
    return value


def _no_prologue(op: Operation, producer: Group) -> tuple[NoPrologue, Operation] | None:
    """What keeps a group from being the prologue of a contraction that reads it: the reason, and the op at fault."""
    first = producer.ops[0]
    if producer.heavy or producer.reduced is not None:
        return NoPrologue.HEAVY, fuse_remarks.anchor(producer)
    if producer.closed:
        return NoPrologue.CLOSED, first
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


def is_view(op: object) -> bool:
    """Whether an op is an index map."""
    return isinstance(op, GraphOp) and operation_name(op) in VIEWS


def is_scalar_constant(op: ConstantOp) -> bool:
    """Whether a constant has one element."""
    return all(d.value == 1 for d in dims_of(op.outputs[0].type))


def reduction_key(op: Operation) -> tuple[Shape, tuple[int, ...]]:
    """Which dims a reduction removes, of which shape."""
    assert isinstance(op, GraphOp)
    shape, values = dims_of(op.operands[0].type), op.values()
    if isinstance(op, Reduce):
        return shape, ints(values, "axes")
    return shape, (axis_of(values.get("axis", -1), len(shape), operation_name(op)),) if shape else ()


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


def _outline_in_place(group: Group) -> None:
    """Moves a group's ops, with copies of the views and scalar constants that they read, into a kernel.group."""
    members = set(group.ops)
    outside: list[SSAValue] = []
    for op in group.ops:
        for result in op.results:
            if any(use.operation not in members for use in result.uses) and result not in outside:
                outside.append(result)
    copies: dict[SSAValue, SSAValue] = {}
    inner = Block()
    last = group.ops[-1]
    parent = last.parent
    assert parent is not None
    wrapper = GroupOp(title_of(group.ops), [v.type for v in outside], Region(inner))
    parent.insert_op_before(wrapper, last)
    for op in group.ops:
        for position, operand in enumerate(() if runs_by_hand(op) else list(op.operands)):
            if (copy := _copied(operand, op, members, copies, inner)) is not operand:
                op.operands[position] = copy
        op.detach()
        inner.add_op(op)
    for value, result in zip(outside, wrapper.results, strict=True):
        result.name_hint = value.name_hint
        for use in list(value.uses):
            if use.operation.parent is not inner:
                use.operation.operands[use.index] = result
    wrapper.location = union_location((*group.ops, *inner.ops))  # copies after what the group is for
    end = KernelYield(*outside)
    end.location = wrapper.location
    inner.add_op(end)


def _copied(
    value: SSAValue,
    reader: Operation,
    members: set[Operation],
    copies: dict[SSAValue, SSAValue],
    block: Block,
) -> SSAValue:
    """The value that an op reads inside the kernel: views and scalar constants are copied in, all else comes from outside."""
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
        if is_view(owner) and (tell := listener("fuse", GraphFuse.name)) is not None:
            fuse_remarks.view_inside(tell, owner, reader)
        clone = owner.clone(dict(copies))
        block.add_op(clone)
        copies[link] = clone.results[0]
    return copies.get(value, value)


def title_of(ops: list[Operation]) -> str:
    """A kernel's name: its ops in order, each once, no longer than a line."""
    names = dict.fromkeys(operation_name(op).removeprefix("graph.") for op in ops)
    text = "_".join(names)
    return text if len(text) <= 48 else text[:48].rsplit("_", 1)[0]
