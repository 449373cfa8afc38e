"""The cost model for targets with blocks and threads: what one thread holds of a result, and reads at once.

A schedule says nothing of blocks and threads: `loop-map-gpu` finds them from the nest that the schedule leads to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xdsl.dialects import arith
from xdsl.dialects.builtin import FloatAttr
from xdsl.ir import SSAValue

from dialects.dims import ONE
from dialects.kernel import DefOp, ReadOp, ReduceOp, WriteOp
from dialects.types import RefType, element_bytes
from lowering.kernel.contraction import Contraction
from lowering.loop.gpu.aligned import unit_lanes
from lowering.loop.gpu.matrices import LANES, has_instruction
from lowering.loop.gpu.tiles import SIDE
from lowering.schedule import scanned_axes
from lowering.target import Gpu, Target

LEAST_DEPTH = 16
"""Points of a sum that are worth a step of tensor cores."""

LEAST_SIDE = 8
"""Columns that are."""

SMALL = 4
"""Rows and columns of a thread's tile where larger ones would leave processors without work."""


def choose_gpu(
    kernel: DefOp,
    free: Sequence[str],
    sizes: Mapping[str, int],
    contraction: Contraction | None,
    target: Target,
) -> list[str]:
    """The directives of one kernel. `free` are the axes of its result along which no state is carried."""
    gpu = target.gpu
    assert gpu is not None
    if contraction is not None:
        if on_tensor_cores(kernel, contraction, sizes, gpu):
            return [f"vector {contraction.n[-1]} {LANES}"]
        tiled = _tile(kernel, contraction, free, sizes, target, gpu)
        if tiled:
            return tiled
    out: list[str] = []
    for op in kernel.block.ops:
        if isinstance(op, ReduceOp):
            out += [f"vector {a} {_lanes(kernel, a, gpu)}" for a in op.axes[-1:] if _is_contiguous(kernel, a)]
    for axes in _written(kernel, free):
        last = next((a for a in reversed(axes) if _is_contiguous(kernel, a)), None)
        if last is not None and (lanes := _lanes(kernel, last, gpu)) > 1:
            out.append(f"vector {last} {lanes}")
    return list(dict.fromkeys(out))


def on_tensor_cores(kernel: DefOp, c: Contraction, sizes: Mapping[str, int], gpu: Gpu) -> bool:
    """Whether a contraction is one of two matrices as they lie in memory, in a format that tensor cores have an instruction
    for, and large enough to fill some of a tile."""
    if not c.m or not c.n or sum(isinstance(op, ReduceOp) for op in kernel.block.ops) != 1:
        return False
    reads = [_read(value) for value in (c.lhs, c.rhs)]
    if any(read is None or read.indices for read in reads) or reads[0] is reads[1]:
        return False
    columns = [e for e in reads[1].index.data if c.n[-1] in e.names()]  # pyright: ignore[reportOptionalMemberAccess]
    if len(columns) != 1 or columns[0].coefficient(c.n[-1]) != ONE:
        return False
    outside = [read.otherwise for read in reads if read is not None]
    if outside[1] is not None or (isinstance(outside[0], FloatAttr) and outside[0].value.data != 0):
        return False
    elements = {read.array.type.element_type for read in reads if read is not None}  # pyright: ignore
    if len(elements) != 1 or not has_instruction(next(iter(elements)), gpu):
        return False
    depth = 1
    for axis in c.k:
        depth *= sizes[axis]
    return depth >= LEAST_DEPTH and sizes[c.n[-1]] >= LEAST_SIDE


def _read(value: SSAValue) -> ReadOp | None:
    """What a factor is read by, in another format at most."""
    while isinstance(op := value.owner, arith.ExtFOp):
        value = op.operands[0]
    return op if isinstance(op, ReadOp) else None


def _written(kernel: DefOp, free: Sequence[str]) -> list[list[str]]:
    """The axes of each nest that only writes: those of the first result, and those that others have to themselves."""
    declared, taken = kernel.extents(), {*free, *scanned_axes(kernel)}
    out = [list(free)]
    for op in kernel.block.ops:
        if isinstance(op, WriteOp) and op.combiner is None:
            own = [n for e in op.index.data for n in sorted(e.names()) if n in declared and n not in taken]
            taken |= set(own)
            out.append(own)
    return out


def _tile(
    kernel: DefOp,
    c: Contraction,
    free: Sequence[str],
    sizes: Mapping[str, int],
    target: Target,
    gpu: Gpu,
) -> list[str]:
    """A register tile over the last axis of each operand; a smaller one where there are few blocks of the large one."""
    rows, columns = [a for a in c.m if a in free], [a for a in c.n if a in free]
    if not rows or not columns:
        return []
    i, j = rows[-1], columns[-1]
    side = target.tile[0]
    blocks = 1
    for axis in free:
        blocks *= -(-sizes[axis] // (SIDE * side if axis in (i, j) else 1))
    side = side if blocks >= gpu.processors else SMALL
    return [f"tile {i} {min(side, sizes[i])}", f"vector {j} {min(side, _power(sizes[j]))}"]


def _power(size: int) -> int:
    """The next power of two."""
    return 1 << max(0, size - 1).bit_length()


def _accesses(kernel: DefOp, axis: str) -> list[tuple[ReadOp | WriteOp, int]]:
    """The accesses that move with an axis, with the dim in which they do."""
    return [
        (op, dim)
        for op in kernel.block.ops
        if isinstance(op, ReadOp | WriteOp)
        for dim, expr in enumerate(op.index.data)
        if axis in expr.names()
    ]


def _is_contiguous(kernel: DefOp, axis: str) -> bool:
    """Whether no access along an axis jumps."""
    found = _accesses(kernel, axis)
    return bool(found) and all(
        isinstance(op.array.type, RefType)
        and op.array.type.strides.data[dim].value == 1
        and op.index.data[dim].coefficient(axis) == ONE
        for op, dim in found
    )


def _lanes(kernel: DefOp, axis: str, gpu: Gpu) -> int:
    """The elements that every access along an axis may take at once."""
    lanes = gpu.access
    for op, dim in _accesses(kernel, axis):
        array = op.array.type
        assert isinstance(array, RefType)
        most = gpu.access // element_bytes(array.element_type)
        lanes = min(lanes, unit_lanes(array, op.index.data, dim, most, {axis: most}))
    return lanes
