"""Weights: values that parameters alone decide, by copies that a kernel which runs once may make."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation, SSAValue

from dialects.dims import product
from dialects.graph import ConstantOp, GraphOp, make, operation_name
from dialects.graph.carrying import has_quantised
from dialects.types import dims_of
from lowering.graph.fixed import is_parameter

COPIES = frozenset({"transpose", "reshape", "cast"})
"""What may stand between a parameter and the product that reads it."""


class Weights:
    """The weights of one function."""

    def __init__(self, func: FuncOp):
        self.func = func
        self.block = func.body.block

    def includes(self, value: SSAValue) -> bool:
        """Whether a value is a parameter that no run writes or a constant, of known size, or a copy of one."""
        if product(dims_of(value.type)).value is None or has_quantised([value.type]):  # pyright: ignore
            return False
        while isinstance(op := value.owner, GraphOp) and operation_name(op) in COPIES:
            value = op.operands[0]
        return isinstance(op, ConstantOp) or is_parameter(value, self.func)

    def copied(self, value: SSAValue, ops: list[Operation]) -> SSAValue:
        """The value, made by ops of its own where ops make it: it may be wanted ahead of them."""
        if not isinstance(op := value.owner, GraphOp):
            return value
        clone = op.clone({v: self.copied(v, ops) for v in op.operands})
        ops.append(clone)
        return clone.results[0]

    def joined(self, values: Sequence[SSAValue], axis: int, ops: list[Operation]) -> SSAValue:
        """All of them one after another along a dim."""
        join = make("concat", [self.copied(v, ops) for v in values], {"axis": axis})
        ops.append(join)
        return join.results[0]

    def ahead_of(self, op: Operation) -> Operation:
        """The op of the function's own block that an op is, or lies in: ahead of it weights are made."""
        around = self.block.find_ancestor_op_in_block(op)
        assert around is not None
        return around
