"""Timing: candidates in turn, round by round, and the ratio of two of them with an interval.

A machine that others share speeds up and slows down over seconds. Candidates that take turns see the same weather, so
that the ratio within one round means something where the times of two runs do not.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

ROUND_SECONDS = 0.02
BOOTSTRAPS = 2000


@dataclass(frozen=True)
class Ratio:
    """The median of paired ratios, with a bootstrap interval of 95%."""

    median: float
    low: float
    high: float


def pin(count: int) -> list[int]:
    """Confines this process to `count` cores, the idlest of those it may use; returns them."""
    allowed = sorted(os.sched_getaffinity(0))
    busy = _busy_ticks(allowed, 0.1)
    cores = sorted(sorted(allowed, key=lambda core: busy[core])[:count])
    os.sched_setaffinity(0, cores)
    return cores


def _busy_ticks(cores: Sequence[int], seconds: float) -> dict[int, int]:
    """The clock ticks that each core works during some seconds, from /proc/stat."""

    def read() -> dict[int, int]:
        ticks: dict[int, int] = {}
        with open("/proc/stat", encoding="ascii") as file:
            for line in file:
                name, *fields = line.split()
                if name.startswith("cpu") and name != "cpu":
                    user, nice, system = map(int, fields[:3])
                    ticks[int(name[3:])] = user + nice + system
        return ticks

    before = read()
    time.sleep(seconds)
    after = read()
    return {core: after.get(core, 0) - before.get(core, 0) for core in cores}


def interleaved(candidates: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of one call in each round, for each candidate.

    A round gives every candidate one turn, starting with another one each time; a turn is about 20 ms of calls.
    """
    calls: dict[str, int] = {}
    for name, call in candidates.items():
        call()
        start = time.perf_counter()
        call()
        calls[name] = max(1, round(ROUND_SECONDS / max(time.perf_counter() - start, 1e-7)))
    names = list(candidates)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            call, count = candidates[name], calls[name]
            start = time.perf_counter()
            for _ in range(count):
                call()
            seconds[name].append((time.perf_counter() - start) / count)
    return seconds


def paired_ratio(ours: Sequence[float], other: Sequence[float]) -> Ratio:
    """How many times faster ours is, round by round: above one where ours takes less time."""
    ratios = np.asarray(other) / np.asarray(ours)
    picks = np.random.default_rng(0).integers(0, len(ratios), (BOOTSTRAPS, len(ratios)))
    low, high = np.quantile(np.median(ratios[picks], axis=1), (0.025, 0.975))
    return Ratio(float(np.median(ratios)), float(low), float(high))
