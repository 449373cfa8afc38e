"""Vectors along some dims of an array, as vectors along all of its last dims: size 1 along the others."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import DenseArrayBase, VectorType, i64
from xdsl.ir import SSAValue

from dialects.types import element_of, shape_of
from lowering.upstream.build import Build


def spread_shape(shape: Sequence[int], along: Sequence[int], rank: int) -> list[int]:
    """The shape from the first dim that a vector runs along to the last of the array."""
    return [shape[along.index(d)] if d in along else 1 for d in range(min(along), rank)]


def spread(build: Build, value: SSAValue, along: Sequence[int], rank: int) -> SSAValue:
    """A vector as one of shape `spread_shape`."""
    order = sorted(range(len(along)), key=lambda lane: along[lane])
    return build.reshape(_transposed(build, value, order), spread_shape(shape_of(value.type), along, rank))


def gathered(build: Build, value: SSAValue, shape: Sequence[int], along: Sequence[int]) -> SSAValue:
    """The vector of a shape that was spread."""
    order = sorted(range(len(along)), key=lambda lane: along[lane])
    value = build.reshape(value, [shape[lane] for lane in order])
    return _transposed(build, value, [order.index(lane) for lane in range(len(order))])


def _transposed(build: Build, value: SSAValue, order: Sequence[int]) -> SSAValue:
    """Dim d of the result is dim `order[d]` of the value."""
    if list(order) == sorted(order):
        return value
    type_ = VectorType(element_of(value.type), [shape_of(value.type)[d] for d in order])
    return build.other(
        "vector.transpose", [value], type_, {"permutation": DenseArrayBase.from_list(i64, order)}
    )
