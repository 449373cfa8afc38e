"""What graph-to-kernel says of results that may take no operand's memory."""

from __future__ import annotations

from collections.abc import Collection

from xdsl.ir import Block, BlockArgument, SSAValue

from dialects.kernel import DefOp, ReadOp, WriteOp
from dialects.types import RefType
from lowering.remarks import listener

PASS = "graph-to-kernel"


def no_alias(kernel: DefOp, block: Block, position: int, taken: Collection[int | None]) -> None:
    """An output of a kernel takes the memory of none of its inputs, by the tests of the pass."""
    if (tell := listener("in-place", PASS)) is None:
        return
    target = block.args[position]
    writes = [op for op in block.ops if isinstance(op, WriteOp) and op.array is target]
    message = f"{_name(target)} may lie in the memory of no operand"
    same = [a for a in block.args[:position] if a.type == target.type and a not in _outputs(block)]
    if len(writes) != 1:
        tell.missed(kernel, message, "it is written in several parts")
    elif not any(expr.names() for expr in writes[0].index.data):
        tell.missed(kernel, message, "it is one number: every thread reads the operand, and one writes")
    elif not same:
        tell.analysis(kernel, message, f"none has its type, {_type(target)}")
    else:
        reasons = [_reason(block, a, writes[0], a.index in taken) for a in same]
        tell.missed(kernel, message, "; ".join(dict.fromkeys(reasons)))


def _reason(block: Block, source: BlockArgument, write: WriteOp, is_taken: bool) -> str:
    name, index = _name(source), ", ".join(map(str, write.index.data))
    if is_taken:
        return f"another result takes that of {name}"
    for use in source.uses:
        op = use.operation
        if not isinstance(op, ReadOp) or op.indices:
            return f"{name} is read at places that fields tell"
        if op.index != write.index:
            return f"{name} is read at [{', '.join(map(str, op.index.data))}], and the result written at [{index}]"
    if source.first_use is None:
        return f"{name} is not read"
    return f"while {name} is read at [{index}], another result is written at other places"


def _outputs(block: Block) -> set[SSAValue]:
    return {op.array for op in block.ops if isinstance(op, WriteOp)}


def _name(array: SSAValue) -> str:
    return array.name_hint or f"operand {array.index + 1}" if isinstance(array, BlockArgument) else "an array"


def _type(array: SSAValue) -> str:
    assert isinstance(array.type, RefType)
    dims = ", ".join(map(str, array.type.shape.data))
    return f"{array.type.element_type}[{dims}]"
