"""The search for a faster schedule: hill climbing with some schedules at random, over what `measure` says.

Nothing here knows of clocks or compilers. `measure` gets schedules and gives for each the seconds of some rounds; in a
round every schedule runs once, so that what disturbs a round disturbs all of them. The incumbent is measured twice in
each batch, first and last, and how far the two lie apart is the noise.

A schedule counts as faster where the median of its ratios to the incumbent, round by round, is below 1 by more than
MARGIN and by more than twice the noise, and in three rounds of four it is faster than both runs of the incumbent. The
fastest of a batch has to be so once more, beside the incumbent alone, before it takes its place: the best of many is
often no more than lucky.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dialects.kernel import DefOp
from lowering.kernel.mutation import Bounds, Directives, neighbours, random_schedule

BATCH = 8
"""Schedules that are compiled into one C file."""

AT_RANDOM = 2
"""Of these, how many are drawn at random, lest the search should end in a small hollow."""

MARGIN = 0.03
ROUNDS_FASTER = 0.75
DRAWS = 60
"""Schedules drawn at random before there is said to be no other."""

Measure = Callable[[Sequence[Directives]], list[np.ndarray]]
"""The seconds of each schedule in each round. Raises IrkitError where one gives other numbers."""


@dataclass(frozen=True)
class State:
    """Where a search stands: its best schedule, the schedules tried, the best's time, and that by the time of the start.

    `is_done` says that the search came to its end; `is_exhausted` that no schedule was left to try.
    """

    best: Directives
    trials: int = 0
    seconds: float = 0.0
    ratio: float = 1.0
    is_done: bool = False
    is_exhausted: bool = False


def search(
    kernel: DefOp,
    start: Directives,
    state: State,
    bounds: Bounds,
    measure: Measure,
    trials: int,
    seed: int = 0,
    lanes: int = 8,
) -> Iterator[State]:
    """Goes on from a state until `trials` schedules were tried, or there is no other; yields a state after each batch.

    The last one is done: its best was measured beside the start, and is the start where that is as fast.
    """
    rng = np.random.default_rng([seed, state.trials])
    seen = {start, state.best}
    state = replace(state, is_done=False, is_exhausted=False)
    while state.trials < trials:
        batch = propose(kernel, state.best, bounds, seen, rng, min(BATCH, trials - state.trials), lanes)
        if not batch:
            state = replace(state, is_exhausted=True)
            break
        seen.update(batch)
        state = _after(state, batch, measure)
        yield state
    if state.best != start:
        first, found, last = measure([start, state.best, start])
        if _is_faster(found, first, last):
            state = replace(state, ratio=_ratio(found, first), seconds=float(np.median(found)))
        else:
            state = replace(state, best=start, ratio=1.0, seconds=float(np.median(first)))
    yield replace(state, is_done=True)


def _after(state: State, batch: Sequence[Directives], measure: Measure) -> State:
    """The state after a batch was measured."""
    first, *found, last = measure([state.best, *batch, state.best])
    state = replace(state, trials=state.trials + len(batch), seconds=float(np.median(first)))
    better = [(_ratio(s, first), d) for s, d in zip(found, batch, strict=True) if _is_faster(s, first, last)]
    if better:
        best = min(better)[1]
        first, again, last = measure([state.best, best, state.best])
        if _is_faster(again, first, last):
            ratio = state.ratio * _ratio(again, first)
            state = replace(state, best=best, ratio=ratio, seconds=float(np.median(again)))
    return state


def propose(
    kernel: DefOp,
    best: Directives,
    bounds: Bounds,
    seen: set[Directives],
    rng: np.random.Generator,
    count: int,
    lanes: int,
) -> list[Directives]:
    """Schedules that were not tried: most differ from the best in one directive, some are drawn at random."""
    near = neighbours(kernel, best, lanes)
    chosen: list[Directives] = []
    for place in rng.permutation(len(near)):
        if len(chosen) >= max(1, count - AT_RANDOM):
            break
        if near[place] not in seen and bounds.admit(kernel, near[place]):
            chosen.append(near[place])
    for _ in range(DRAWS):
        if len(chosen) >= count:
            break
        drawn = random_schedule(kernel, rng)
        if drawn not in seen and drawn not in chosen and bounds.admit(kernel, drawn):
            chosen.append(drawn)
    return chosen


def _is_faster(seconds: np.ndarray, incumbent: np.ndarray, again: np.ndarray) -> bool:
    """Whether a schedule beats the incumbent beyond noise, which the incumbent's second measurement shows."""
    margin = max(MARGIN, 2 * abs(_ratio(again, incumbent) - 1))
    both = np.minimum(incumbent, again)
    return _ratio(seconds, incumbent) < 1 - margin and float(np.mean(seconds < both)) >= ROUNDS_FASTER


def _ratio(seconds: np.ndarray, others: np.ndarray) -> float:
    with np.errstate(invalid="ignore"):  # of schedules that were not timed, which are not faster
        return float(np.median(seconds / others))
