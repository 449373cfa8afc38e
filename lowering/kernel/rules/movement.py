"""Ops that move elements, as index maps."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import Operation, SSAValue

from dialects.dims import ONE, ZERO, Dim, dmax, dmin, row_major
from dialects.graph import OPS
from dialects.graph.movement import SliceOp, TransposeOp
from dialects.types import DTYPES
from lowering.kernel.builder import Builder, Index, Rule
from lowering.kernel.rules.elementwise import broadcast_index, convert, has_few_bits
from lowering.kernel.rules.parameters import axis_of


def _reshape(b: Builder, op: Operation, index: Index) -> SSAValue:
    return b.at(op.operands[0], reshaped_index(index, b.shape(op.results[0]), b.shape(op.operands[0])))


def reshaped_index(index: Sequence[Dim], shape: Sequence[Dim], source: Sequence[Dim]) -> Index:
    """The index into the source of a reshape; dims are matched in the smallest groups of equal size."""
    out: list[Dim] = []
    i = j = 0
    while i < len(shape) or j < len(source):
        start_i, start_j = i, j
        have, want = ONE, ONE
        if i < len(shape):
            have, i = shape[i], i + 1
        if j < len(source):
            want, j = source[j], j + 1
        while have != want and (i < len(shape) or j < len(source)):
            if i < len(shape) and (j >= len(source) or _less(have, want)):
                have, i = have * shape[i], i + 1
            elif j < len(source):
                want, j = want * source[j], j + 1
            else:
                have, i = have * shape[i], i + 1
        out += _regroup(index[start_i:i], shape[start_i:i], source[start_j:j])
    return tuple(out)


def _less(a: Dim, b: Dim) -> bool:
    low, high = a.value, b.value
    return low is not None and high is not None and low < high


def _regroup(index: Sequence[Dim], shape: Sequence[Dim], source: Sequence[Dim]) -> list[Dim]:
    flat = ZERO
    for i, step in zip(index, row_major(tuple(shape)), strict=True):
        flat = flat + i * step
    out: list[Dim] = []
    strides = row_major(tuple(source))
    for position, (size, step) in enumerate(zip(source, strides, strict=True)):
        if size == ONE:
            out.append(ZERO)
            continue
        part = flat // step if step.value != 0 else ZERO
        out.append(part if position == 0 or all(s == ONE for s in source[:position]) else part % size)
    return out


def _transpose(b: Builder, op: Operation, index: Index) -> SSAValue:
    assert isinstance(op, TransposeOp)
    perm = TransposeOp.perm(op.values(), len(index))
    source = [ZERO] * len(index)
    for position, dim in enumerate(perm):
        source[dim] = index[position]
    return b.at(op.operands[0], source)


def _broadcast(b: Builder, op: Operation, index: Index) -> SSAValue:
    return b.at(op.operands[0], broadcast_index(index, b.shape(op.operands[0])))


def _slice(b: Builder, op: Operation, index: Index) -> SSAValue:
    assert isinstance(op, SliceOp)
    ranges = SliceOp.ranges(op.operands[0].type, op.values())  # pyright: ignore
    return b.at(
        op.operands[0], [start + i * stride for i, (start, _, stride) in zip(index, ranges, strict=True)]
    )


def _gather(b: Builder, op: Operation, index: Index) -> SSAValue:
    table, positions = op.operands
    shape = b.shape(table)
    axis = axis_of(op, len(shape))
    rank = len(b.shape(positions))
    field, element = b.at(positions, index[axis : axis + rank]), b.element(positions)
    chosen = b.place(convert(b, field, element, DTYPES["i64"]) if has_few_bits(element) else field)
    size = shape[axis]
    # Negative positions count from the end: floor division by the size adds it once where it is due; then clamp.
    wrapped = chosen - dmin(0, dmax(-1, chosen)) * size
    clamped = dmax(0, dmin(wrapped, size - 1))
    return b.at(table, [*index[:axis], clamped, *index[axis + rank :]])


MOVEMENT: dict[type[Operation], Rule] = {
    OPS["reshape"]: _reshape,
    OPS["transpose"]: _transpose,
    OPS["broadcast"]: _broadcast,
    OPS["slice"]: _slice,
    OPS["gather"]: _gather,
}
