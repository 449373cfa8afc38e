"""Reads and writes of arrays: memref.load and memref.store of scalars, vector transfers of everything else; prefetches."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from xdsl.dialects import memref, scf, vector
from xdsl.dialects.arith import IndexCastOp
from xdsl.dialects.builtin import AffineMapAttr, ArrayAttr, BoolAttr, FloatAttr, IntegerAttr, VectorType, i1
from xdsl.ir import Attribute, Block, Region, SSAValue
from xdsl.ir.affine import AffineExpr, AffineMap

from dialects import loop
from dialects.dims import ONE, Dim
from dialects.kernel import CompareOp
from dialects.types import RefType, element_of, shape_of
from lowering.loop.memory import prefetched_lines
from lowering.upstream.build import INDEX, Build
from lowering.upstream.dims import all_positive, index_of
from lowering.upstream.spread import gathered, spread, spread_shape
from lowering.upstream.types import memory_element, shaped, value_type


def load(build: Build, op: loop.LoadOp, array: SSAValue, indices: Sequence[SSAValue]) -> SSAValue:
    """The value of a loop.load."""
    if not op.guard:
        return _load(build, op, array, indices)
    type_ = value_type(op.result.type)
    assert isinstance(op.otherwise, FloatAttr | IntegerAttr)
    fill = build.number(op.otherwise.value.data, type_)
    inside = all_positive(build, op.guard.data)
    then, otherwise = Block(), Block()
    with build.inside(then):
        build.do(scf.YieldOp(_load(build, op, array, indices)))
    with build.inside(otherwise):
        build.do(scf.YieldOp(fill))
    return build.add(scf.IfOp(inside, [type_], Region(then), Region(otherwise)))


def _load(build: Build, op: loop.LoadOp, array: SSAValue, indices: Sequence[SSAValue]) -> SSAValue:
    element = value_type(element_of(op.result.type))
    if any(isinstance(v.type, VectorType) for v in indices):
        return from_memory(build, _gather(build, op, array, indices), element)
    places = _places(build, op.index.data, indices)
    if not isinstance(op.result.type, VectorType):
        return from_memory(build, build.add(memref.LoadOp.get(array, places)), element)
    stored, along = memory_element(element), _along(op)
    shape = spread_shape(shape_of(op.result.type), along, len(places))
    read = vector.TransferReadOp(
        array,
        places,
        build.number(0, stored),
        VectorType(stored, shape),
        _in_bounds(shape),
        _last_dims(len(places), len(shape)),
        _mask(build, op, shape),
    )
    return from_memory(build, gathered(build, build.add(read), shape_of(op.result.type), along), element)


def store(
    build: Build, op: loop.StoreOp, value: SSAValue, array: SSAValue, indices: Sequence[SSAValue]
) -> None:
    """A loop.store."""
    value = to_memory(build, value)
    places = _places(build, op.index.data, indices)
    if not isinstance(value.type, VectorType):
        build.do(memref.StoreOp.get(value, array, places))
        return
    value = spread(build, value, _along(op), len(places))
    shape = shape_of(value.type)
    last, mask = _last_dims(len(places), len(shape)), _mask(build, op, shape)
    build.do(vector.TransferWriteOp(value, array, places, _in_bounds(shape), mask, last))


def prefetch(build: Build, op: loop.PrefetchOp, array: SSAValue, indices: Sequence[SSAValue]) -> None:
    """A loop.prefetch, one line of memory after another: into the second-level cache, to be read."""
    how = {
        "isWrite": BoolAttr.from_bool(False),
        "localityHint": IntegerAttr(2, 32),
        "isDataCache": BoolAttr.from_bool(True),
    }
    for index in prefetched_lines(op):
        build.effect("memref.prefetch", [array, *_places(build, index, indices)], how)


def from_memory(build: Build, value: SSAValue, element: Attribute) -> SSAValue:
    """What was read, as the value that it stands for: a bool is a byte in memory."""
    if element != i1:
        return value
    return build.compare(CompareOp.INTEGER.index("ne"), value, build.number(0, value.type))


def to_memory(build: Build, value: SSAValue) -> SSAValue:
    """A value as it is stored."""
    element = element_of(value.type)
    return build.cast("extui", value, memory_element(element)) if element == i1 else value


def _places(build: Build, index: Sequence[Dim], indices: Sequence[SSAValue]) -> list[SSAValue]:
    operands = [_index(build, v) for v in indices]
    return [index_of(build, expr, operands) for expr in index]


def _index(build: Build, value: SSAValue) -> SSAValue:
    return value if value.type == INDEX else build.add(IndexCastOp(value, INDEX))


def _in_bounds(shape: Sequence[int]) -> ArrayAttr[BoolAttr]:
    """No lane leaves its array but those that a mask leaves out."""
    return ArrayAttr([BoolAttr.from_bool(True)] * len(shape))


def _along(op: loop.LoadOp | loop.StoreOp) -> list[int]:
    return [d.value or 0 for d in op.along.data] if op.along is not None else []


def _last_dims(rank: int, count: int) -> AffineMapAttr:
    """Transfers run along the last dims of their array in order: the form that MLIR lowers with a mask, too."""
    dims = tuple(AffineExpr.dimension(d) for d in range(rank - count, rank))
    return AffineMapAttr(AffineMap(rank, 0, dims))


def _mask(build: Build, op: loop.LoadOp | loop.StoreOp, shape: Sequence[int]) -> SSAValue | None:
    """The lanes that count, of a vector along the last dims of the array."""
    type_ = op.result.type if isinstance(op, loop.LoadOp) else op.value.type
    counts, along = op.valid.data if op.valid is not None else (), _along(op)
    if all(count == Dim.of(size) for count, size in zip(counts, shape_of(type_), strict=False)):
        return None
    first = len(op.index.data) - len(shape)
    valid = tuple(counts[along.index(d + first)] if d + first in along else ONE for d in range(len(shape)))
    mask = VectorType(i1, shape)
    return build.once(
        (valid, mask),
        lambda: build.add(vector.CreateMaskOp([index_of(build, v) for v in valid], mask)),
    )


def _gather(build: Build, op: loop.LoadOp, array: SSAValue, indices: Sequence[SSAValue]) -> SSAValue:
    """One lane after another."""
    shape = shape_of(op.result.type)
    count = prod(shape)
    lanes = [
        build.reshape(build.broadcast(v, shape) if len(shape_of(v.type)) < len(shape) else v, [count])
        for v in indices
    ]
    assert isinstance(op.array.type, RefType)
    stored = memory_element(op.array.type.element_type)
    start = build.number(0, shaped(stored, [count]))
    with build.loop((0, count, 1), [start]) as (op_for, block):
        lane, found = block.args
        places = [_index(build, build.add(vector.ExtractOp(v, [lane], element_of(v.type)))) for v in lanes]
        value = build.add(memref.LoadOp.get(array, [index_of(build, e, places) for e in op.index.data]))
        build.do(scf.YieldOp(build.add(vector.InsertOp(value, found, [lane]))))
    return build.reshape(op_for.results[0], shape)
