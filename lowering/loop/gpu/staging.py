"""How a block copies what its threads read of an operand to shared memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xdsl.dialects.builtin import FloatAttr, IntegerAttr, IntegerType
from xdsl.ir import Attribute, Block, SSAValue

from dialects import loop
from dialects.dims import ONE, Dim, dmin
from dialects.types import RefType, element_bytes
from lowering.loop.gpu.aligned import unit_lanes
from lowering.loop.gpu.chain import Axis
from lowering.loop.gpu.products import Operand

DEPTH = 16
"""Points of the reduced axis that are staged at once."""


@dataclass(frozen=True)
class Part:
    """What a block has of an operand: where it begins along each axis, how many points of the operand's own axis it has,
    and the ranges of all names."""

    first: Mapping[Axis, Dim]
    length: int
    ranges: Mapping[str, tuple[float, float]]

    def unproved(self, conditions: Sequence[Dim]) -> list[Dim]:
        """The conditions (each at least zero) that do not hold for all blocks and threads."""
        return [c for c in conditions if c.bounds(self.ranges)[0] < 0]


class Copy:
    """One vector on its way from an operand to shared memory, along the dim in which the operand is contiguous."""

    def __init__(self, operand: Operand, reduced: loop.ForOp, start: Dim, part: Part, access: int):
        self.operand, self.reduced, self.start, self.part = operand, reduced, start, part
        load = operand.load
        array = load.array.type
        assert isinstance(array, RefType) and load.along is not None
        self.element: Attribute = array.element_type
        self.axis_dim = load.along.data[0].value or 0
        named = [n for n, e in enumerate(load.index.data) if e.coefficient(reduced.variable) == ONE]
        self.reduced_dim = named[0] if len(named) == 1 and named[0] != self.axis_dim else None
        most = access // element_bytes(self.element)
        self.along_reduced, self.lanes = False, 1
        for dim, along_reduced in ((self.axis_dim, False), (self.reduced_dim, True)):
            steps = {(reduced if along_reduced else operand.axis).variable: most}
            lanes = 1 if dim is None else unit_lanes(array, load.index.data, dim, most, steps)
            if lanes > self.lanes:
                self.along_reduced, self.lanes = along_reduced, lanes
        if self.lanes == 1:
            self.along_reduced = self.reduced_dim is not None and array.strides.data[self.reduced_dim] == ONE

    def emit(self, number: Dim, array: SSAValue, shared: SSAValue, block: Block) -> None:
        """The copy with a number: neighbouring ones follow the dim that is contiguous."""
        lanes, axis, reduced = self.lanes, self.operand.axis, self.reduced
        if self.along_reduced:
            k, point = number % (DEPTH // lanes) * lanes, number // (DEPTH // lanes)
        else:
            k, point = number // (self.part.length // lanes), number % (self.part.length // lanes) * lanes
        base = self.part.first[axis]
        left_k, left_point = reduced.upper - self.start - k, axis.upper - base - point
        names = {
            **{a.variable: p for a, p in self.part.first.items()},
            axis.variable: base + point,
            reduced.variable: self.start + k,
        }
        index = [e.subst(names) for e in self.operand.load.index.data]
        guard = [left_point - 1, left_k - 1]
        shape, along, valid = (), [], None
        if lanes > 1:
            left = left_k if self.along_reduced else left_point
            guard = [left_point - 1] if self.along_reduced else [left_k - 1]
            dim = self.reduced_dim if self.along_reduced else self.axis_dim
            assert dim is not None
            shape, along = [lanes], [dim]
            valid = [dmin(lanes, left)] if self.part.unproved([left - lanes]) else None
        guard = self.part.unproved(guard)
        otherwise = zero_of(self.element) if guard else None
        load = loop.LoadOp(
            array, index, shape=shape, along=along, valid=valid, guard=guard or None, otherwise=otherwise
        )
        store = loop.StoreOp(load.result, shared, [k, point], along=[0 if self.along_reduced else 1])
        block.add_ops([load, store])


def zero_of(element: Attribute) -> Attribute:
    """Zero, as an attribute."""
    return IntegerAttr(0, element) if isinstance(element, IntegerType) else FloatAttr(0.0, element)  # pyright: ignore
