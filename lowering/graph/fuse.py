"""graph-fuse: chooses which graph ops run as one kernel."""

from __future__ import annotations

from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects import builtin, func
from xdsl.ir import Block, Operation, SSAValue
from xdsl.passes import ModulePass

from dialects.graph import ConstantOp, ForOp, GraphOp, IndexOp
from dialects.graph.contraction import MatmulOp
from dialects.graph.elementwise import Elementwise
from dialects.graph.kernels import runs_by_hand
from dialects.graph.movement import ConcatOp
from dialects.graph.scan import Scan
from dialects.graph.scatter import Scatter
from dialects.kernel import GroupOp
from dialects.types import dims_of
from lowering.graph import fuse_remarks
from lowering.graph.fixed import Fixed
from lowering.graph.fuse_groups import (
    PASS,
    Group,
    apart,
    is_scalar_constant,
    is_view,
    no_prologue,
    reduction_key,
    refusal,
    through_views,
)
from lowering.graph.fuse_outline import outline_in_place
from lowering.graph.fuse_remarks import is_reduction
from lowering.remarks import listener


@dataclass(frozen=True)
class GraphFuse(ModulePass):
    """Groups graph ops into kernels.

    Expects: graph ops in functions and loops.
    Does: in one walk, (1) an elementwise op joins the group of a producer of the same iteration shape, and makes one of
    several such groups; (2) a reduction joins the elementwise group that feeds it, and the group of a reduction of the
    same dims of the same tensor; (3) elementwise ops join a contraction or a reduction as its epilogue; (4) where a
    reduction removes the last dims, elementwise ops over the whole rows join it too, and reductions of what they give:
    a normalisation is one kernel; (5) a few cheap elementwise ops that only a matmul reads join it as its prologue, unless
    they run once; (6) views go into every kernel that reads through them. Results that others read become outputs, several allowed.
    A group grows only while nothing else has read from it, so that no cycle can arise.
    Leaves: every graph op inside a `kernel.group`, but for constants of more than one element and loops.
    """

    name = PASS

    stats: dict[str, int] = field(default_factory=dict, compare=False, repr=False)

    def apply(self, ctx: Context, op: builtin.ModuleOp) -> None:
        for function in [o for o in op.ops if isinstance(o, func.FuncOp)]:
            fixed = Fixed(function)
            blocks = [function.body.block, *(o.block for o in function.body.walk() if isinstance(o, ForOp))]
            for block in blocks:
                before = sum(isinstance(o, GraphOp | IndexOp) for o in block.ops)
                groups = _Grouping(block, fixed).run()
                self.stats["ops"] = self.stats.get("ops", 0) + before
                self.stats["kernels"] = self.stats.get("kernels", 0) + groups


class _Grouping:
    """One walk over a block that assigns ops to groups, then one that moves them."""

    def __init__(self, block: Block, fixed: Fixed):
        self.block = block
        self.fixed = fixed
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
            outline_in_place(group)
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
        tell = listener("fuse", PASS)
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
                why = apart(target, other)
                if tell is not None:
                    fuse_remarks.merged(tell, op, target, other, why)
                if why is None:
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
        refused = no_prologue(op, producer, self.fixed)
        if (tell := listener("fuse", PASS)) is not None:
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
                if (tell := listener("fuse", PASS)) is not None:
                    fuse_remarks.view_alone(tell, op, uses[0].operation)
                self.block.insert_op_before(copy, before)
                for use in uses:
                    use.operation.operands[use.index] = copy.results[0]
                outline_in_place(Group([copy]))
        return count

    def _copies_views(self, op: Operation) -> bool:
        """Whether an op reads through copies of its own: a view of this block, or an op that is fused."""
        if is_view(op) and op.parent is self.block:
            return True
        return isinstance(op.parent_op(), GroupOp) and not runs_by_hand(op)

    def _in_block(self, op: Operation) -> Operation:
        """The op of this block that an op is, or lies in."""
        around = self.block.find_ancestor_op_in_block(op)
        assert around is not None
        return around
