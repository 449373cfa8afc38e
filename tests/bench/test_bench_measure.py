"""The bench's arithmetic: ratios with their interval, turns, goals."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from tools.bench import measure, race, rows
from tools.bench.candidate import Candidate
from tools.bench.measure import Ratio, geomean, paired_ratio
from tools.bench.rows import Goal


def candidate(allocates: bool = False) -> Candidate:
    return Candidate(lambda: None, lambda: np.zeros(1), allocates)


# -- ratios ---------------------------------------------------------------------------------------------------


def test_a_ratio_is_the_median_of_pairs_and_not_of_times():
    weather = np.array([1.0, 5.0, 2.0, 9.0, 1.5])
    assert paired_ratio(weather, 2 * weather) == Ratio(2.0, 2.0, 2.0)


def test_the_interval_holds_the_median_and_narrows_with_rounds():
    rng = np.random.default_rng(1)
    noise = 1 + 0.2 * rng.standard_normal(400)
    few, many = paired_ratio(np.ones(9), noise[:9]), paired_ratio(np.ones(400), noise)
    for ratio in (few, many):
        assert ratio.low <= ratio.median <= ratio.high
    assert many.high - many.low < few.high - few.low
    assert many.low < 1 < many.high


def test_geomean():
    assert geomean([0.5, 2.0]) == pytest.approx(1.0)
    assert geomean([1.0, 1.0, 8.0]) == pytest.approx(2.0)


# -- turns ----------------------------------------------------------------------------------------------------


def test_candidates_take_turns_and_another_one_begins_each_round(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(measure, "settle", lambda: None)
    monkeypatch.setattr(measure, "ROUND_SECONDS", 0.0)
    log: list[str] = []

    @contextmanager
    def entered(name: str) -> Iterator[None]:
        log.append(f"({name}")
        yield
        log.append(f"{name})")

    field = {
        n: Candidate(lambda n=n: log.append(n), lambda: np.zeros(1), turn=lambda n=n: entered(n))
        for n in "abc"
    }
    seconds = measure.interleaved(field, 3)
    assert {n: len(times) for n, times in seconds.items()} == {"a": 3, "b": 3, "c": 3}
    turns = "".join(log)
    sized = "(aaaa)(bbbb)(cccc)"  # two calls each, to see how many make a turn
    one = {n: f"({n}{n}{n}{n})" for n in "abc"}  # one call that warms up, one that counts
    assert turns == sized + "".join(one[n] for n in "abc" + "bca" + "cab")


def test_settling_ends_when_nothing_runs_and_after_a_while_in_any_case(monkeypatch: pytest.MonkeyPatch):
    measure.settle(longest=60)
    clock = iter(range(10**6))
    monkeypatch.setattr(measure.time, "process_time", lambda: next(clock))  # as of threads that never rest
    measure.settle(longest=0.01)


# -- goals ----------------------------------------------------------------------------------------------------

TIMES = {"irkit": [1.0, 1.0, 1.0], "fresh": [2.0, 2.0, 2.0], "kept": [1.5, 1.5, 1.5]}
PEERS = {"fresh": candidate(allocates=True), "kept": candidate()}
EW = (Goal(3.0, "allocating", threads=1), Goal(1.7, "keeping"))


def test_goals_are_held_against_the_best_peer_of_their_kind():
    found = race.standings(EW, 1, "irkit", TIMES, PEERS)
    told = [(s.among, s.goal, s.peer, s.ratio and s.ratio.median, s.passed) for s in found]
    assert told == [
        ("all", None, "kept", 1.5, None),
        ("allocating", 3.0, "fresh", 2.0, False),
        ("keeping", 1.7, "kept", 1.5, False),
    ]


def test_a_goal_holds_at_its_thread_count_alone():
    assert [s.among for s in race.standings(EW, 2, "irkit", TIMES, PEERS)] == ["all", "keeping"]


def test_without_a_peer_of_a_kind_nothing_is_decided():
    (found, *_) = race.standings((Goal(1.0),), 1, "irkit", TIMES, {})
    assert found.peer is None and found.ratio is None and found.passed is None


def test_a_row_passes_by_the_upper_end_of_its_interval():
    reaches = race.Standing("all", 1.0, "numpy", Ratio(0.9, 0.8, 1.0))
    misses = race.Standing("all", 1.0, "numpy", Ratio(0.9, 0.8, 0.99))
    assert reaches.passed is True and misses.passed is False


def result(*standings: race.Standing, bandwidth: float | None = None, reached: float = 0.5) -> race.Result:
    share = Ratio(reached, reached, reached)
    places = ("row", 1, "", "irkit", {"irkit": 1e-3}, standings, True)
    work = ({"flops": 1, "bytes": 1, "exps": 0}, {"bytes": 1e-4}, "bytes", share, share, bandwidth)
    return race.Result(*places, *work, {"irkit": 0.1}, 0, 0, {}, {}, 15)


def test_a_race_passes_where_every_goal_is_reached():
    good = race.Standing("all", 1.0, "numpy", Ratio(1.1, 1.0, 1.2))
    bad = race.Standing("keeping", 2.0, "numpy", Ratio(1.1, 1.0, 1.2))
    open_ = race.Standing("allocating", 2.0, None, None)
    free = race.Standing("all", None, "numpy", Ratio(0.1, 0.1, 0.1))
    assert result(good).passed is True
    assert result(good, free).passed is True
    assert result(good, bad).passed is False and result(open_, bad).passed is False
    assert result(good, open_).passed is None and result(free).passed is None


def test_a_share_of_the_bandwidth_will_do_instead():
    bad = race.Standing("all", 0.95, "numpy", Ratio(0.5, 0.4, 0.6))
    assert result(bad, bandwidth=0.9, reached=0.91).passed is True
    assert result(bad, bandwidth=0.9, reached=0.89).passed is False
    assert result(bad, reached=0.91).passed is False


def test_goals_of_the_rows():
    goals = {row.name: [(g.ratio, g.among, g.threads) for g in row.goals] for row in rows.ROWS}
    assert goals["gemm64"] == goals["gemv4096"] == goals["mlp32"] == goals["bert12"] == [(1.0, "all", None)]
    assert goals["gemm2048"] == goals["gemm1024w"] == goals["bmm96"] == [(0.95, "all", None)]
    assert goals["ew"] == [(3.0, "allocating", 1), (1.7, "keeping", None)]
    assert goals["softmax"] == [(1.3, "all", None)] and not goals["conv3x3"]
    assert [row.name for row in rows.ROWS if row.bandwidth] == ["layernorm"]
    assert sum(row.in_geomean for row in rows.ROWS) == 19
