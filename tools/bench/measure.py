"""Timing: candidates in turn, round by round, and the ratio of two of them with an interval.

A machine that others share speeds up and slows down over seconds. Candidates that take turns see the same weather, so
that the ratio within one round means something where the times of two runs do not.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from tools.bench.candidate import Candidate

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


def settle(longest: float = 3.0) -> None:
    """Waits until no thread of this process works any more: those of the candidate before may spin for a while.

    OpenBLAS's do for a tenth of a second. The system counts the work of other threads by ticks of up to 10 ms, so that
    it takes longer ones to see it.
    """
    end = time.perf_counter() + longest
    while time.perf_counter() < end:
        wall, work = time.perf_counter(), time.process_time()
        time.sleep(0.012)
        if time.process_time() - work < 0.1 * (time.perf_counter() - wall):
            return


def interleaved(candidates: Mapping[str, Candidate], rounds: int) -> dict[str, list[float]]:
    """Seconds of one call in each round, for each candidate.

    A round gives every candidate one turn, starting with another one each time; a turn is about 20 ms of calls, after
    some that warm up.
    """
    counts = {name: _calls_in_a_turn(candidate) for name, candidate in candidates.items()}
    names = list(candidates)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    with without_collector():
        for turn in range(rounds):
            first = turn % len(names)
            for name in names[first:] + names[:first]:
                seconds[name].append(_turn(candidates[name], counts[name]))
    return seconds


def _calls_in_a_turn(candidate: Candidate) -> int:
    with candidate.turn():
        candidate.call()
        start = time.perf_counter()
        candidate.call()
        return max(1, round(ROUND_SECONDS / max(time.perf_counter() - start, 1e-7)))


def _turn(candidate: Candidate, count: int) -> float:
    """The seconds of a call: of so many, after one or a tenth as many that wake its threads and fill the caches."""
    call = candidate.call
    settle()
    with candidate.turn():
        for _ in range(max(1, count // 10)):
            call()
        start = time.perf_counter()
        for _ in range(count):
            call()
        return (time.perf_counter() - start) / count


@contextmanager
def without_collector() -> Iterator[None]:
    """Keeps Python's cycle collector out of the times."""
    gc.collect()
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def paired_ratio(ours: Sequence[float], other: Sequence[float]) -> Ratio:
    """How many times faster ours is, round by round: above one where ours takes less time."""
    ratios = np.asarray(other) / np.asarray(ours)
    picks = np.random.default_rng(0).integers(0, len(ratios), (BOOTSTRAPS, len(ratios)))
    low, high = np.quantile(np.median(ratios[picks], axis=1), (0.025, 0.975))
    return Ratio(float(np.median(ratios)), float(low), float(high))


def geomean(ratios: Sequence[float]) -> float:
    """The geometric mean."""
    return float(np.exp(np.mean(np.log(ratios))))
