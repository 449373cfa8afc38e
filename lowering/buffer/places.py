"""Offsets in the arena, for the arrays of a program and for the team arrays of the kernels that it calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation

from dialects.dims import Dim
from dialects.errors import IrkitError
from dialects.kernel import LaunchOp
from dialects.loop import FuncOp as LoopFunc
from dialects.syntax import SymbolsAttr
from lowering.buffer.arrays import Array, Storage
from lowering.buffer.liveness import Liveness
from lowering.buffer.planner import ALIGNMENT, Interval, plan
from lowering.loop.memory import kernel_memory

MAX_BYTES = 2**47


@dataclass(frozen=True)
class Places:
    """Byte offsets, at the greatest sizes; scratch is what each thread needs, outside the arena's offsets.

    `intervals` are the live ranges and sizes that were planned. Prepared arrays lie one after another in memory of theirs.
    """

    arrays: Mapping[Array, int]
    team: Mapping[Operation, int]
    intervals: Mapping[Array | Operation, Interval]
    scratch_bytes: int
    peak_bytes: int
    lower_bound_bytes: int
    prepared_bytes: int = 0


def find_places(
    func: FuncOp, kernels: Mapping[str, LoopFunc], live: Liveness, storage: Storage, symbols: SymbolsAttr
) -> Places:
    """Plans the arena: arrays for as long as they live, team arrays of a kernel for the time of a call.

    Raises IrkitError where a size has no upper bound.
    """
    sizes = _Sizes(func, kernels, symbols)
    intervals = [Interval(a.begin, a.end + 1, sizes.most(a.type.bytes())) for a in storage.arena]
    launches: list[Operation] = []
    scratch = 0
    for op, time in live.begin.items():
        if isinstance(op, LaunchOp):
            own, team = sizes.of_kernel(op.callee.root_reference.data)
            scratch = max(scratch, own)
            if team:
                launches.append(op)
                intervals.append(Interval(time, time + 1, team))
    if (total := sum(i.size for i in intervals)) > MAX_BYTES:
        raise IrkitError(
            f"intermediates take {total} bytes, more than any machine addresses",
            func,
            expected=f"at most {MAX_BYTES}",
            hint="give dims smaller sizes, or smaller ranges",
        )
    placed = plan(intervals)
    count = len(storage.arena)
    prepared, prepared_bytes = {}, 0
    for array in storage.prepared:
        prepared[array] = prepared_bytes
        prepared_bytes += -(-sizes.most(array.type.bytes()) // ALIGNMENT) * ALIGNMENT
    return Places(
        dict(zip(storage.arena, placed.offsets[:count], strict=True)) | prepared,
        dict(zip(launches, placed.offsets[count:], strict=True)),
        dict(zip((*storage.arena, *launches), intervals, strict=True)),
        scratch,
        placed.peak_bytes,
        placed.lower_bound_bytes,
        prepared_bytes,
    )


class _Sizes:
    """Sizes in bytes at the maximum of the symbols."""

    def __init__(self, func: FuncOp, kernels: Mapping[str, LoopFunc], symbols: SymbolsAttr):
        self.func, self.kernels, self.ranges = func, kernels, symbols.ranges()
        self.known: dict[str, tuple[int, int]] = {}

    def of_kernel(self, name: str) -> tuple[int, int]:
        """Scratch for each thread, and team arrays."""
        if name not in self.known:
            scratch, team = (self.most(d) for d in kernel_memory(self.kernels[name]))
            self.known[name] = (-(-scratch // ALIGNMENT) * ALIGNMENT, team)
        return self.known[name]

    def most(self, size: Dim) -> int:
        """The greatest value of an expression."""
        if (value := size.value) is not None:
            return value
        most = size.bounds(self.ranges)[1]
        if most == float("inf"):
            raise IrkitError(
                f"the size {size} of an array has no upper bound",
                self.func,
                expected="a range for each dim symbol",
                hint=f"state ranges for {', '.join(sorted(size.names()))}: `dim N = 8 in 1..64`",
            )
        return int(most)
