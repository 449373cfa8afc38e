"""Where a nest's own arrays lie in the memory that it is given, and which lines of memory an access touches."""

from __future__ import annotations

from xdsl.dialects.builtin import VectorType

from dialects import loop
from dialects.dims import ZERO, Dim, align, dmin, product
from dialects.loop_roles import GPU_ROLES
from dialects.types import element_bytes

ALIGNMENT = 64

LINE = 64
"""Bytes that caches hold and move at once."""


def alloc_offsets(func: loop.FuncOp) -> list[tuple[loop.AllocOp, Dim]]:
    """Each array of a function with its byte offset in the memory of its space."""
    totals: dict[str, Dim] = {}
    out: list[tuple[loop.AllocOp, Dim]] = []
    for op in func.body.walk():
        if isinstance(op, loop.AllocOp):
            space = op.ref_type.space.data
            offset = totals.get(space, ZERO)
            out.append((op, offset))
            totals[space] = offset + align(op.ref_type.bytes(), ALIGNMENT)
    return out


def scratch_memory(func: loop.FuncOp) -> tuple[Dim, Dim]:
    """The bytes of a function's arrays: those that each thread has for itself, those of all threads together."""
    totals = {"scratch": ZERO, "team": ZERO}
    for op, _ in alloc_offsets(func):
        space = op.ref_type.space.data
        if space in totals:
            totals[space] = totals[space] + align(op.ref_type.bytes(), ALIGNMENT)
    return totals["scratch"], totals["team"]


def kernel_memory(func: loop.FuncOp) -> tuple[Dim, Dim]:
    """(scratch bytes of each thread, team bytes) that a function needs. The threads of a GPU have theirs in a row behind the
    team arrays, and all of that belongs to one team."""
    scratch, team = scratch_memory(func)
    grid = [op.upper for op in func.body.walk() if isinstance(op, loop.ForOp) and op.role.data in GPU_ROLES]
    return (ZERO, team + product(grid) * scratch) if grid else (scratch, team)


def prefetched_lines(op: loop.PrefetchOp) -> list[tuple[Dim, ...]]:
    """The index of an element in each line of memory that a prefetch covers."""
    if op.along is None:
        return [op.index.data]
    assert isinstance(op.covers, VectorType)
    (lanes,), (dim,) = op.covers.get_shape(), op.along.data
    found: list[tuple[Dim, ...]] = []
    for first in range(0, lanes, max(1, LINE // element_bytes(op.covers.get_element_type()))):
        lane = dmin(first, op.valid.data[0] - 1) if op.valid is not None and first else first
        found.append(tuple(e + lane if Dim.of(d) == dim else e for d, e in enumerate(op.index.data)))
    return found
