"""Where a nest's own arrays lie in the memory that it is given."""

from __future__ import annotations

from dialects import loop
from dialects.dims import ZERO, Dim, align

ALIGNMENT = 64


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


def kernel_memory(func: loop.FuncOp) -> tuple[Dim, Dim]:
    """(scratch bytes of each thread, team bytes) that a function needs."""
    totals = {"scratch": ZERO, "team": ZERO}
    for op, _ in alloc_offsets(func):
        space = op.ref_type.space.data
        if space in totals:
            totals[space] = totals[space] + align(op.ref_type.bytes(), ALIGNMENT)
    return totals["scratch"], totals["team"]
