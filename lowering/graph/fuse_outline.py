"""Moves the ops of a group into a kernel.group."""

from __future__ import annotations

from xdsl.dialects.builtin import FusedLoc
from xdsl.ir import Block, Operation, Region, SSAValue

from dialects.errors import union_location
from dialects.graph import ConstantOp, operation_name
from dialects.graph.kernels import runs_by_hand
from dialects.kernel import GroupOp, YieldOp as KernelYield
from lowering.graph import fuse_remarks
from lowering.graph.fuse_groups import PASS, Group, is_scalar_constant, is_view
from lowering.remarks import listener

MAX_PLACES = 64
"""A constant that thousands of ops share stands for as many places: told by each of its kernels, they would be millions."""


def outline_in_place(group: Group) -> None:
    """Moves a group's ops, with copies of the views and scalar constants that they read, into a kernel.group."""
    members = set(group.ops)
    outside: list[SSAValue] = []
    views: list[Operation] = []
    for op in group.ops:
        for result in op.results:
            if _is_read_outside(result, members, seen := []) and result not in outside:
                outside.append(result)
            else:
                views += seen
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
    for view in reversed(dict.fromkeys(views)):  # each reader has a copy
        parent.erase_op(view)
    for value, result in zip(outside, wrapper.results, strict=True):
        result.name_hint = value.name_hint
        for use in list(value.uses):
            if use.operation.parent is not inner:
                use.operation.operands[use.index] = result
    told = (op for op in inner.ops if op in members or not _is_widespread(op))
    wrapper.location = union_location((*group.ops, *told))  # copies after what the group is for
    end = KernelYield(*outside)
    end.location = wrapper.location
    inner.add_op(end)


def _is_read_outside(value: SSAValue, members: set[Operation], views: list[Operation]) -> bool:
    """Whether anything but members reads a value, themselves or through views, which are added to a list in their order."""
    for use in value.uses:
        op = use.operation
        if op in members:
            if views and runs_by_hand(op):  # takes no copies of views
                return True
            continue
        if not is_view(op):
            return True
        views.append(op)
        if _is_read_outside(op.results[0], members, views):
            return True
    return False


def _is_widespread(op: Operation) -> bool:
    """Whether an op stands for so many places of the source that they say nothing of a kernel which has a copy of it."""
    places = op.location.locations if isinstance(op.location, FusedLoc) else ()
    return len(tuple(places)) > MAX_PLACES  # pyright: ignore[reportArgumentType]


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
        if is_view(owner) and (tell := listener("fuse", PASS)) is not None:
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
