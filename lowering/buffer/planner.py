"""Memory planning as pure functions: live ranges in, byte offsets out. Knows nothing of IR.

Buffers are rectangles, a span of time wide and their size high, that move up and down only. The plan grows a skyline
from the ground: the lowest stretch of it takes the buffer of highest rank that fits between its ends, or is raised to
its lower neighbour where none does (the best-fit heuristic of Sekiyama et al., "Profile-guided memory optimization
for deep neural networks", 2018). Several rankings are tried; if none reaches the bound, the ranking is changed near
the highest buffer again and again, keeping what does not make the plan higher.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from random import Random

import numpy as np

ALIGNMENT = 64
"""Bytes; offsets and sizes are multiples of it: one cache line, and the widest vector."""

SEARCH_BUDGET = 12_000
"""How many buffers the search may place beyond the first rankings; it bounds the planner's time (10 us each)."""


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


def plan(intervals: Sequence[Interval], alignment: int = ALIGNMENT, budget: int = SEARCH_BUDGET) -> Plan:
    """Places the intervals; those whose live ranges meet never share a byte. A larger budget searches longer.

    Sizes are rounded up to the alignment, in the peak and in the bound alike. The same intervals give the same plan.
    """
    bound = lower_bound(intervals, alignment)
    live = [n for n, i in enumerate(intervals) if i.size > 0 and i.end > i.begin]
    live.sort(key=lambda n: intervals[n].begin)
    offsets = [0] * len(intervals)
    if not live:
        return Plan(tuple(offsets), 0, 0)
    problem = _Problem(
        np.array([intervals[n].begin for n in live], dtype=np.int64),
        np.array([intervals[n].end for n in live], dtype=np.int64),
        np.array([_padded(intervals[n].size, alignment) for n in live], dtype=np.int64),
    )
    found = _search(problem, bound, budget)
    for n, offset in zip(live, found.tolist(), strict=True):
        offsets[n] = offset
    return Plan(tuple(offsets), int((found + problem.sizes).max()), bound)


def lower_bound(intervals: Sequence[Interval], alignment: int = ALIGNMENT) -> int:
    """The greatest number of bytes that are live at one time."""
    changes: list[tuple[int, int]] = []
    for i in intervals:
        if i.end > i.begin:
            size = _padded(i.size, alignment)
            changes += (i.begin, size), (i.end, -size)
    changes.sort()  # at one time, what dies goes first
    load = most = 0
    for _, change in changes:
        load += change
        most = max(most, load)
    return most


def _padded(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment


@dataclass(frozen=True)
class _Problem:
    """Buffers in order of their begin."""

    begins: np.ndarray
    ends: np.ndarray
    sizes: np.ndarray


def _search(problem: _Problem, bound: int, budget: int) -> np.ndarray:
    """The offsets of the lowest placement found; stops at the bound."""
    best = rank = np.zeros(0)
    best_peak = -1
    for candidate in _rankings(problem):
        offsets = _place(problem, candidate)
        peak = int((offsets + problem.sizes).max())
        if best_peak < 0 or peak < best_peak:
            best_peak, best, rank = peak, offsets, candidate
        if peak == bound:
            return best
    random = Random(0)
    for _ in range(budget // len(problem.sizes)):
        candidate = _perturbed(problem, rank, best, random)
        offsets = _place(problem, candidate)
        peak = int((offsets + problem.sizes).max())
        if peak <= best_peak:
            best_peak, best, rank = peak, offsets, candidate
        if peak == bound:
            break
    return best


def _rankings(problem: _Problem) -> Iterator[np.ndarray]:
    """Scores of the buffers, in the logarithm: by life, by area, by size, and by life where memory is scarce."""
    life = np.log(problem.ends - problem.begins)
    size = np.log(problem.sizes)
    yield from (life, life + size, life + 0.5 * size, size)
    load = np.log(_load_beside(problem))
    yield life + 2 * load


def _load_beside(problem: _Problem) -> np.ndarray:
    """For each buffer, the greatest number of bytes that are live at one time of its life."""
    times = np.unique(np.concatenate([problem.begins, problem.ends]))
    first, last = times.searchsorted(problem.begins), times.searchsorted(problem.ends)
    change = np.zeros(len(times), dtype=np.int64)
    np.add.at(change, first, problem.sizes)
    np.add.at(change, last, -problem.sizes)
    return np.maximum.reduceat(change.cumsum(), np.stack([first, last], axis=1).ravel())[::2]


def _perturbed(problem: _Problem, rank: np.ndarray, offsets: np.ndarray, random: Random) -> np.ndarray:
    """The ranking with the highest buffers moved forward, and two that live beside one of them moved at random."""
    tops = offsets + problem.sizes
    highest = np.flatnonzero(tops == tops.max())
    one = highest[0]
    beside = np.flatnonzero((problem.begins < problem.ends[one]) & (problem.ends > problem.begins[one]))
    changed = rank.copy()
    changed[highest] += random.expovariate(1.0)
    for _ in range(2):
        changed[beside[random.randrange(len(beside))]] += random.gauss(0.0, 1.0)
    return changed


def _place(problem: _Problem, rank: np.ndarray) -> np.ndarray:
    """Grows the skyline until every buffer stands on it."""
    begins, ends, sizes = problem.begins.tolist(), problem.ends, problem.sizes.tolist()
    waiting_ends = ends.copy()  # of what is not placed yet; a placed buffer ends beyond all time
    offsets = np.zeros(len(begins), dtype=np.int64)
    skyline = _Skyline(begins[0], int(ends.max()))
    never = skyline.stop + 1
    left = len(begins)
    while left:
        start = skyline.lowest()
        stop, height = skyline.stops[start], skyline.heights[start]
        first, last = bisect_left(begins, start), bisect_left(begins, stop)
        chosen = -1
        if first < last:
            fits = np.flatnonzero(waiting_ends[first:last] <= stop)
            if len(fits):
                chosen = first + int(fits[rank[first:last][fits].argmax()])
        if chosen < 0:
            skyline.raise_to_neighbour(start)
            continue
        offsets[chosen] = height
        skyline.put(start, begins[chosen], int(ends[chosen]), height + sizes[chosen])
        waiting_ends[chosen] = never
        left -= 1
    return offsets


class _Skyline:
    """Stretches of time with the height reached in each, keyed by where they start; a heap finds the lowest."""

    def __init__(self, start: int, stop: int):
        self.stop = stop
        self.stops = {start: stop}
        self.heights = {start: 0}
        self.before: dict[int, int] = {stop: start}  # the start of the stretch that stops here
        self.heap = [(0, start)]

    def lowest(self) -> int:
        """The start of the lowest stretch, the earliest of several."""
        while self.heights.get(self.heap[0][1]) != self.heap[0][0]:
            heappop(self.heap)
        return self.heap[0][1]

    def put(self, start: int, left: int, right: int, top: int) -> None:
        """Stands a buffer of span left to right on the stretch at `start`."""
        stop, height = self.stops[start], self.heights[start]
        for a, b, h in ((start, left, height), (left, right, top), (right, stop, height)):
            if a < b:
                self._set(a, b, h)

    def raise_to_neighbour(self, start: int) -> None:
        """Lifts the stretch to its lower neighbour and joins the two."""
        stop = self.stops[start]
        left = self.before.get(start)
        around = [self.heights[n] for n in (left, stop) if n is not None and n in self.heights]
        height = min(around)
        if self.heights.get(stop) == height:
            del self.heights[stop]
            stop = self.stops.pop(stop)
        if left is not None and self.heights[left] == height:
            del self.heights[start], self.stops[start]
            start = left
        self._set(start, stop, height)

    def _set(self, start: int, stop: int, height: int) -> None:
        self.stops[start], self.heights[start], self.before[stop] = stop, height, start
        heappush(self.heap, (height, start))
