"""Memory planning as pure functions: live ranges in, byte offsets out. Knows nothing of IR.

A plan is dynamic storage allocation: rectangles of given time span and height are moved up and down until none
overlap and the top is low. Best-fit over one good order is near the bound on most programs (Sekiyama et al.,
"Profile-guided memory optimization for deep neural networks", 2018; Pisarchyk and Lee, "Efficient memory management
for deep neural net inference", 2020); where it is not, other orders are tried, then the buffers that stand highest
are moved to the front of the best order and placed again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

ALIGNMENT = 64
"""Bytes; offsets and sizes are multiples of it: one cache line, and the widest vector."""

TRIAL_BUDGET = 24_000
"""How many buffers the repair step may place in all; it bounds the time."""


@dataclass(frozen=True)
class Interval:
    """A buffer of `size` bytes that is live at the times begin <= t < end."""

    begin: int
    end: int
    size: int


@dataclass(frozen=True)
class Plan:
    """An offset for each interval, the bytes that they span, and the least that any plan could span."""

    offsets: tuple[int, ...]
    peak_bytes: int
    lower_bound_bytes: int


def plan(intervals: Sequence[Interval], alignment: int = ALIGNMENT) -> Plan:
    """Places the intervals; those whose live ranges meet never share a byte.

    Sizes are rounded up to the alignment, in the peak and in the bound alike. Deterministic.
    """
    sizes = np.array([-(-i.size // alignment) * alignment for i in intervals], dtype=np.int64)
    begins = np.array([i.begin for i in intervals], dtype=np.int64)
    ends = np.array([i.end for i in intervals], dtype=np.int64)
    bound = _greatest_load(begins, ends, sizes)
    live = np.flatnonzero((sizes > 0) & (ends > begins))
    offsets = np.zeros(len(intervals), dtype=np.int64)
    if len(live):
        offsets[live] = _search(_Problem(begins[live], ends[live], sizes[live]), bound)
    peak = int((offsets + sizes)[live].max()) if len(live) else 0
    return Plan(tuple(offsets.tolist()), peak, bound)


def lower_bound(intervals: Sequence[Interval], alignment: int = ALIGNMENT) -> int:
    """The greatest number of bytes that are live at one time."""
    sizes = [-(-i.size // alignment) * alignment for i in intervals]
    return _greatest_load(
        np.array([i.begin for i in intervals], dtype=np.int64),
        np.array([i.end for i in intervals], dtype=np.int64),
        np.array(sizes, dtype=np.int64),
    )


@dataclass(frozen=True)
class _Problem:
    begins: np.ndarray
    ends: np.ndarray
    sizes: np.ndarray

    def __len__(self) -> int:
        return len(self.sizes)


def _greatest_load(begins: np.ndarray, ends: np.ndarray, sizes: np.ndarray) -> int:
    alive = ends > begins
    times = np.concatenate([begins[alive], ends[alive]])
    if not len(times):
        return 0
    changes = np.concatenate([sizes[alive], -sizes[alive]])
    order = np.lexsort((changes, times))  # at one time, what dies goes first
    return int(np.cumsum(changes[order]).max())


_ORDERS: tuple[Callable[[_Problem], np.ndarray], ...] = (
    lambda p: np.lexsort((p.begins - p.ends, -p.sizes)),  # large first
    lambda p: np.lexsort((-p.sizes, p.begins - p.ends)),  # long-lived first
    lambda p: np.argsort(-(p.ends - p.begins) * p.sizes, kind="stable"),  # largest area first
    lambda p: np.lexsort((-p.sizes, p.begins)),  # as time goes
    lambda p: np.lexsort((-p.sizes, -p.ends)),  # as time goes, backwards
)


def _search(problem: _Problem, bound: int) -> np.ndarray:
    """The offsets of the best placement found; stops at the bound."""
    best_peak, best, best_order = -1, np.empty(0), np.empty(0)
    for order in (make(problem) for make in _ORDERS):
        offsets = _place(problem, order)
        peak = int((offsets + problem.sizes).max())
        if best_peak < 0 or peak < best_peak:
            best_peak, best, best_order = peak, offsets, order
        if peak == bound:
            return best
    order, offsets = best_order, best
    for _ in range(TRIAL_BUDGET // len(problem)):
        top = offsets + problem.sizes
        highest = top == top.max()
        order = np.concatenate([order[highest[order]], order[~highest[order]]])
        offsets = _place(problem, order)
        peak = int((offsets + problem.sizes).max())
        if peak < best_peak:
            best_peak, best = peak, offsets
        if peak == bound:
            break
    return best


def _place(problem: _Problem, order: np.ndarray) -> np.ndarray:
    """Puts each buffer, in the given order, into the smallest gap that holds it among those already placed.

    The placed buffers are kept sorted by offset, so that the gaps come out of one vectorised sweep.
    """
    count = len(problem)
    offsets = np.zeros(count, dtype=np.int64)
    begin, end, low, high = (np.empty(count, dtype=np.int64) for _ in range(4))
    for placed, (buffer, start, stop, size) in enumerate(
        zip(order.tolist(), problem.begins[order].tolist(), problem.ends[order].tolist(), problem.sizes[order].tolist())
    ):
        meets = (begin[:placed] < stop) & (end[:placed] > start)
        bottoms, tops = low[:placed][meets], high[:placed][meets]
        offset = 0
        if len(tops):
            reach = np.maximum.accumulate(tops)
            floors = np.empty_like(reach)
            floors[0] = 0
            floors[1:] = reach[:-1]
            gaps = bottoms - floors
            gaps[gaps < size] = _NO_GAP
            smallest = int(gaps.argmin())
            offset = int(reach[-1]) if gaps[smallest] == _NO_GAP else int(floors[smallest])
        offsets[buffer] = offset
        at = int(low[:placed].searchsorted(offset))
        for column, value in ((begin, start), (end, stop), (low, offset), (high, offset + size)):
            column[at + 1 : placed + 1] = column[at:placed]
            column[at] = value
    return offsets


_NO_GAP = np.iinfo(np.int64).max
