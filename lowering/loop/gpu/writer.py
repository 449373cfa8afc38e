"""Writes ops of the loop level one after another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from xdsl.dialects import arith
from xdsl.dialects.builtin import DenseIntOrFPElementsAttr, FloatAttr, VectorType, f32
from xdsl.ir import Block, Operation, SSAValue

from dialects import loop
from dialects.dims import Dim


class Writer:
    """Adds ops to a block, and to those of the loops that it opens, whose variables are called by the given names."""

    def __init__(self, block: Block, names: Mapping[str, str]):
        self.block = block
        self.names = names

    def add(self, op: Operation) -> SSAValue:
        """Adds an op; gives its result, where it has one."""
        self.block.add_op(op)
        return op.results[0] if op.results else None  # pyright: ignore[reportReturnType]

    def loop(
        self,
        name: str,
        lower: Dim,
        upper: Dim,
        inits: Sequence[SSAValue],
        step: Callable[[Sequence[SSAValue]], Sequence[SSAValue]],
        role: str = "unrolled",
    ) -> list[SSAValue]:
        """A loop around what `step` adds; what that gives is carried on."""
        op = loop.ForOp(self.names[name], lower, upper, role=role, inits=inits)
        self.block.add_op(op)
        outer, self.block = self.block, op.block
        values = step(op.block.args)
        if inits:
            self.add(loop.YieldOp(*values))
        self.block = outer
        return list(op.results)

    @contextmanager
    def only(self, conditions: Sequence[Dim]) -> Iterator[None]:
        """What is added meanwhile runs where all conditions are at least zero."""
        outer = self.block
        if conditions:
            branch = loop.IfOp(conditions)
            self.block.add_op(branch)
            self.block = branch.then.block
        yield
        self.block = outer

    def number(self, value: float) -> SSAValue:
        return self.add(arith.ConstantOp(FloatAttr(value, f32)))

    def splat(self, value: float, shape: Sequence[int]) -> SSAValue:
        type_ = VectorType(f32, shape)
        return self.add(arith.ConstantOp(DenseIntOrFPElementsAttr.from_list(type_, [value]), type_))
