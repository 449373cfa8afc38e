"""Runs a race: checks every result against the reference, times all candidates in turn, and holds ours to its goals."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median

import numpy as np

from tools.bench import formulas, limits, ours
from tools.bench.candidate import Candidate
from tools.bench.data import Data, data_of
from tools.bench.measure import Ratio, interleaved, paired_ratio, settle
from tools.bench.peers import PEERS
from tools.bench.rows import Goal, Row

ROUNDS = 15


@dataclass(frozen=True)
class Standing:
    """Our speed in multiples of the best peer's among some. No peer of them in the race leaves `ratio` out, and what
    has no goal has none to miss."""

    among: str
    goal: float | None
    peer: str | None
    ratio: Ratio | None

    @property
    def passed(self) -> bool | None:
        """None where nothing decides."""
        return self.ratio.high >= self.goal if self.ratio and self.goal is not None else None


@dataclass(frozen=True)
class Result:
    """What a race gave for our program by one C compiler. Times are medians in seconds.

    `standings` begins with the one among all peers. `of_limit` is the fraction of what binds that we reach, and
    `bandwidth` the fraction of the bandwidth that would do instead of the goals. Our intermediates take `peak_bytes`,
    what goes in and comes out `array_bytes`.
    """

    row: str
    threads: int
    cc: str
    name: str
    seconds: dict[str, float]
    standings: tuple[Standing, ...]
    in_geomean: bool
    work: dict[str, int]
    limit: dict[str, float]
    binds: str
    of_limit: Ratio
    of_bytes: Ratio
    bandwidth: float | None
    compile_seconds: dict[str, float]
    peak_bytes: int
    array_bytes: int
    versions: dict[str, str]
    skipped: dict[str, str]
    rounds: int
    memory: dict[str, int] = field(default_factory=dict)
    shipped: dict[str, int] = field(default_factory=dict)

    @property
    def passed(self) -> bool | None:
        """Whether every goal is reached, or the bandwidth that will do; None where there is no goal, or no peer."""
        if self.bandwidth is not None and self.of_bytes.high >= self.bandwidth:
            return True
        found = [s.passed for s in self.standings if s.goal is not None]
        return False if False in found else True if found and None not in found else None


@dataclass(frozen=True)
class Field:
    """Who takes part: candidates, how long each took to compile or load, and those left out with the word."""

    candidates: dict[str, Candidate]
    compile_seconds: dict[str, float]
    skipped: dict[str, str]


def run(
    row: Row, threads: int, peers: Sequence[str], compilers: Sequence[str | None], rounds: int = ROUNDS
) -> list[Result]:
    """Races one row: a result for each of our C compilers. Raises ArithmeticError where our result is wrong."""
    data = data_of(row)
    exact, tolerance = formulas.reference(row, data)
    mine: dict[str, ours.Ours] = {}
    for cc in compilers:
        name = f"irkit-{cc}" if len(compilers) > 1 else "irkit"
        mine[name] = ours.prepare(row, data, threads, cc)
        check(mine[name].candidate.result(), exact, tolerance)
    them = prepare_peers(row, data, threads, peers, exact, tolerance)
    times = interleaved({n: o.candidate for n, o in mine.items()} | them.candidates, rounds)
    done = limits.work(row)
    settle()
    results: list[Result] = []
    for cc, (name, own) in zip(compilers, mine.items(), strict=True):
        bound = limits.limit(done, threads, cc)
        seconds = {name: own.seconds} | them.compile_seconds
        results.append(
            Result(
                row.name,
                threads,
                cc or "",
                name,
                {n: median(t) for n, t in times.items()},
                standings(row.goals, threads, name, times, them.candidates),
                row.in_geomean,
                {"flops": done.flops, "bytes": done.bytes, "exps": done.exps},
                bound.seconds,
                bound.binds,
                fraction(times[name], bound.least),
                fraction(times[name], bound.seconds["bytes"]),
                row.bandwidth,
                seconds,
                own.peak_bytes,
                exact.size * 4 + sum(a.nbytes for a in data.all.values()),
                {peer: PEERS[peer].version() for peer in them.candidates},
                them.skipped,
                rounds,
            )
        )
    return results


def prepare_peers(
    row: Row, data: Data, threads: int, peers: Sequence[str], exact: np.ndarray, tolerance: float
) -> Field:
    """The peers that have a row and get it right."""
    found = Field({}, {}, {})
    for peer in peers:
        try:
            prepare = PEERS[peer].load()
            start = time.perf_counter()
            candidate = prepare(row, data, threads)
            seconds = time.perf_counter() - start
            if candidate is None:
                continue
            check(candidate.result(), exact, tolerance)
        except Exception as fault:  # a peer that fails is no reason to lose the race
            found.skipped[peer] = f"{type(fault).__name__}: {fault}".splitlines()[0][:200]
            continue
        found.candidates[peer] = candidate
        found.compile_seconds[peer] = seconds if candidate.load_seconds is None else candidate.load_seconds
    return found


def check(result: np.ndarray, exact: np.ndarray, tolerance: float) -> None:
    """Raises ArithmeticError for a result that errs by more than the tolerance."""
    found = formulas.error(result, exact)
    if not found <= tolerance:
        raise ArithmeticError(f"the result is off by {found:.1e} of its range; {tolerance:.1e} is allowed")


def standings(
    goals: Sequence[Goal],
    threads: int,
    name: str,
    times: Mapping[str, Sequence[float]],
    peers: Mapping[str, Candidate],
) -> tuple[Standing, ...]:
    """Where we stand among all peers, and among those of each goal that holds for a number of threads."""
    held = [g for g in goals if g.threads in (None, threads)]
    wanted = {"all": None} | {g.among: g.ratio for g in held}
    return tuple(standing(among, goal, name, times, peers) for among, goal in wanted.items())


def standing(
    among: str,
    goal: float | None,
    name: str,
    times: Mapping[str, Sequence[float]],
    peers: Mapping[str, Candidate],
) -> Standing:
    """Ours against the best of the peers of a kind: all, those allocating their results, or those keeping them."""
    kinds = {"all": (True, False), "allocating": (True,), "keeping": (False,)}[among]
    able = [peer for peer, candidate in peers.items() if candidate.allocates in kinds]
    if not able:
        return Standing(among, goal, None, None)
    best = min(able, key=lambda peer: median(times[peer]))
    return Standing(among, goal, best, paired_ratio(times[name], times[best]))


def fraction(times: Sequence[float], least: float) -> Ratio:
    """The fraction of a bound that was reached."""
    return paired_ratio(times, [least] * len(times))


def as_json(result: Result) -> dict[str, object]:
    found = asdict(result)
    for shown, standing in zip(found["standings"], result.standings, strict=True):
        shown["passed"] = standing.passed
    return {"kind": "race", **found, "passed": result.passed}
