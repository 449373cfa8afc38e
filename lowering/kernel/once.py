"""What depends on parameters and constants alone: it is the same in every run, so that one run of it serves all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeGuard

from xdsl.dialects.builtin import ModuleOp, UnitAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import BlockArgument, Operation, SSAValue

from dialects.graph import ConstantOp
from dialects.graph.movement import ReshapeOp
from dialects.kernel import DefOp, LaunchOp
from dialects.types import ref_of
from lowering.graph.fixed import is_parameter
from lowering.remarks import listener

ROOM = 2
"""A launch runs once only where its results take at most so many times the bytes of its operands: those stay in memory."""


def is_constant(value: SSAValue, func: FuncOp) -> bool:
    """Whether a value of a host function is the same in every run: a parameter that no run writes, a constant, or what a
    launch that runs once makes of them; of known size."""
    while isinstance(value.owner, ReshapeOp) and value.owner.parent is func.body.block:
        value = value.owner.operands[0]
    if not isinstance(value, BlockArgument):
        op = value.owner
        is_fixed = isinstance(op, Operation) and (isinstance(op, ConstantOp) or runs_once(op))
        return is_fixed and op.parent is func.body.block and bytes_of(value) is not None
    return is_parameter(value, func) and bytes_of(value) is not None


def bytes_of(value: SSAValue) -> int | None:
    """What the array of a tensor takes; None where that depends on the sizes of a run."""
    return ref_of(value.type).bytes().value  # pyright: ignore[reportArgumentType]


def insert_once(launch: LaunchOp, func: FuncOp, after: LaunchOp | None) -> None:
    """Puts a launch with constant operands behind the last op that makes one of them; else behind another launch, or at
    the start of its function."""
    block = func.body.block
    makers = {v.owner for v in launch.inputs if isinstance(v.owner, Operation)}
    last = next((op for op in reversed(block.ops) if op in makers), None) if makers else after
    if last is not None:
        block.insert_op_after(launch, last)
    else:
        assert block.first_op is not None
        block.insert_op_before(launch, block.first_op)


def runs_once(op: object) -> TypeGuard[LaunchOp]:
    """Whether an op is a launch that runs when the parameters are set."""
    return isinstance(op, LaunchOp) and op.once is not None


def mark_once(module: ModuleOp, kernels: Mapping[str, DefOp], pass_name: str) -> int:
    """Marks the launches of which all operands are constant, those inside loops too, and brings them to the start of their
    function; tells so, and returns their number."""
    count = 0
    for func in [op for op in module.ops if isinstance(op, FuncOp)]:
        last: LaunchOp | None = None
        for launch in [op for op in func.body.walk() if isinstance(op, LaunchOp) and op.once is None]:
            kernel = kernels.get(launch.callee.root_reference.data)
            if kernel is None or kernel.symbols.data or not launch.inputs:
                continue
            if not all(is_constant(v, func) for v in launch.inputs) or not _has_room(launch, pass_name):
                continue
            launch.detach()
            launch.properties["once"] = UnitAttr()
            insert_once(launch, func, last)
            last = launch
            count += 1
            if (tell := listener("once", pass_name)) is not None:
                tell.applied(launch, "runs once, before all runs", "it reads parameters and constants alone")
    return count


def _has_room(launch: LaunchOp, pass_name: str) -> bool:
    reads = sum(bytes_of(v) or 0 for v in dict.fromkeys(launch.inputs))
    makes = sum(bytes_of(v) or 0 for v in launch.results)
    if makes > ROOM * reads and (tell := listener("once", pass_name)) is not None:
        reason = (
            f"its results would take {makes} bytes for good, more than {ROOM} times the {reads} that it reads"
        )
        tell.missed(launch, "runs in each run", reason)
    return makes <= ROOM * reads
