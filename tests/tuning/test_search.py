"""The search improves what is bad, believes no noise, and goes on where it stopped; a clock that is a formula judges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from dialects.errors import IrkitError
from dialects.kernel import DefOp, ScheduleAttr
from irkit import pipeline
from irkit.checking import compare, default_sizes, random_inputs
from irkit.runtime.compiler import find_compiler
from irkit.tuning.records import read_record
from irkit.tuning.search import BATCH, State, search
from irkit.tuning.session import Job, Settings, jobs_of, lowered, tune
from lowering.graph.interpret import run_graph
from lowering.kernel.mutation import Bounds, Directives, longest_chain, neighbours, refusal
from lowering.schedule import parse_schedule
from lowering.target import get_target
from tests.ops.harness import Call, module_of
from tests.ops.test_contractions import matmul, normal

TARGET = get_target("avx2")
BAD: Directives = ("tile i 1", "tile j 8", "pack rhs", "split k 1")


def kernel_of(*calls: Call) -> DefOp:
    module = module_of(list(calls))
    pipeline.run_passes(module, pipeline.passes_to("graph", "kernel", "avx2"), pipeline.context())
    return next(op for op in module.ops if isinstance(op, DefOp))


def clock(schedules: Sequence[Directives]) -> list[np.ndarray]:
    """Time falls with the points of the register tile that fit into registers, and with the length of the blocks."""
    found: list[np.ndarray] = []
    for directives in schedules:
        size = {
            tuple(d.split()[:2]): int(d.split()[2]) for d in directives if d.startswith(("tile", "split"))
        }
        rows, columns = size.get(("tile", "i"), 1), size.get(("tile", "j"), 1)
        points = rows * columns if rows * columns <= 128 else 1
        found.append(np.full(5, 1 / points + 1 / size.get(("split", "k"), 1)))
    return found


def test_a_bad_schedule_is_improved():
    kernel = kernel_of(matmul((17, 40), (40, 33)))
    bounds = Bounds.around(kernel, BAD, TARGET)
    *_, last = search(kernel, BAD, State(BAD), bounds, clock, trials=64)
    assert last.is_done and last.trials == 64
    assert last.ratio < 0.3
    assert last.ratio == pytest.approx(clock([last.best])[0][0] / clock([BAD])[0][0])
    assert refusal(kernel, last.best) is None


def test_noise_is_no_improvement():
    kernel = kernel_of(matmul((17, 40), (40, 33)))
    rng = np.random.default_rng(0)

    def noisy(schedules: Sequence[Directives]) -> list[np.ndarray]:
        return [1 + 0.2 * rng.random(7) for _ in schedules]

    bounds = Bounds.around(kernel, BAD, TARGET)
    *_, last = search(kernel, BAD, State(BAD), bounds, noisy, trials=40)
    assert last.best == BAD and last.ratio == 1.0


def test_what_won_by_luck_once_is_dropped():
    kernel = kernel_of(matmul((17, 40), (40, 33)))

    def lucky(schedules: Sequence[Directives]) -> list[np.ndarray]:
        return [np.full(5, 0.5 if len(schedules) > 3 and n == 1 else 1.0) for n in range(len(schedules))]

    *_, last = search(kernel, BAD, State(BAD), Bounds.around(kernel, BAD, TARGET), lucky, trials=16)
    assert last.best == BAD


def test_a_search_ends_where_nothing_is_left():
    kernel = kernel_of(Call("exp", [normal(1)]))
    start: Directives = ()

    def same(schedules: Sequence[Directives]) -> list[np.ndarray]:
        return [np.ones(5) for _ in schedules]

    *_, last = search(kernel, start, State(start), Bounds.around(kernel, start, TARGET), same, trials=10_000)
    assert last.is_exhausted and last.trials < 10_000


# -- every schedule that may be tried -------------------------------------------------------------------------


KERNELS = {
    "matmul": lambda: matmul((7, 12), (12, 9)),
    "softmax": lambda: Call("softmax", [normal(5, 11)], {"axis": 1}),
    "transpose": lambda: Call("transpose", [normal(3, 4, 6)], {"perm": [2, 0, 1]}),
    "max_pool": lambda: Call("max_pool2d", [normal(2, 6, 7)], {"kernel": 3, "padding": 1}),
    "cumsum": lambda: Call("cumsum", [normal(4, 9)], {"axis": 1}),
}


@pytest.mark.parametrize("name", KERNELS)
@settings(max_examples=6, deadline=None, derandomize=True)
@given(seed=st.integers(0, 1 << 16))
def test_every_schedule_that_is_admitted_keeps_the_numbers(name: str, seed: int):
    module = module_of([KERNELS[name]()])
    pipeline.run_passes(module, pipeline.passes_to("graph", "kernel", "avx2"), pipeline.context())
    func = next(op for op in module.ops if op.name == "func.func")
    inputs = random_inputs(func, default_sizes(func), seed)  # pyright: ignore
    expected = run_graph(func, inputs, {})  # pyright: ignore
    rng = np.random.default_rng(seed)
    for kernel in [op for op in module.ops if isinstance(op, DefOp)]:
        assert kernel.schedule is not None
        start = held = kernel.schedule.data
        bounds = Bounds.around(kernel, start, TARGET)
        for _ in range(3):
            near = neighbours(kernel, held)
            drawn = (near[place] for place in rng.permutation(len(near)))
            held = next((d for d in drawn if bounds.admit(kernel, d)), held)
        limit = max(512, 2 * longest_chain(kernel, parse_schedule(kernel, start)))
        assert longest_chain(kernel, parse_schedule(kernel, held)) <= limit
        kernel.properties["schedule"] = ScheduleAttr(held)
    pipeline.run_passes(module, pipeline.passes_to("kernel", "loop", "avx2"), pipeline.context())
    for found, right in zip(run_graph(func, inputs, {}), expected, strict=True):  # pyright: ignore
        compare("", func, found, right, 1e-5)  # pyright: ignore


def test_neighbours_differ_in_one_directive():
    kernel = kernel_of(matmul((17, 40), (40, 33)))
    start: Directives = ("tile i 6", "tile j 16", "pack rhs", "split k 20", "parallel i")
    near = neighbours(kernel, start)
    for other in near:
        assert len(set(start) - set(other)) <= 1 and len(set(other) - set(start)) <= 1
    texts = {d for other in near for d in set(other) - set(start)}
    assert {"pack lhs", "tile i 5", "tile i 12", "tile j 8", "split k 40", "parallel j"} <= texts
    assert ("tile i 6", "tile j 16", "split k 20", "parallel i") in near


def test_no_sum_is_made_less_exact():
    kernel = kernel_of(Call("reduce_sum", [normal(4, 5000)], {"axes": (1,)}))
    (axis,) = [a for a, e in kernel.axes.data if e.value == 5000]
    start: Directives = (f"vector {axis} 8", f"split {axis} 200")
    bounds = Bounds.around(kernel, start, TARGET)
    assert not bounds.admit(kernel, ())  # 5000 additions one after another
    assert not bounds.admit(kernel, (f"vector {axis} 8",))  # 625
    assert bounds.admit(kernel, (f"vector {axis} 8", f"split {axis} 400"))


# -- many kernels, and what is kept -------------------------------------------------------------------------------


def job_and_settings(folder: Path, **options: object) -> tuple[list[Job], Settings]:
    module, given = lowered(module_of([matmul((17, 40), (40, 33))]), "avx2", "gcc")
    chosen = Settings(TARGET, find_compiler("gcc"), folder, **options)  # pyright: ignore
    return jobs_of(module, given, {k: (1.0, 1.0) for k in ("matmul",)}, chosen), chosen


class Counting:
    """A clock that counts the batches and may stop them as ctrl-C does."""

    def __init__(self, stop_after: int | None = None):
        self.batches, self.stop_after = 0, stop_after

    def __call__(self, schedules: Sequence[Directives]) -> list[np.ndarray]:
        if len(schedules) > 3 and self.batches == self.stop_after:
            raise KeyboardInterrupt
        self.batches += len(schedules) > 3
        return clock(schedules)


def run(jobs: Sequence[Job], chosen: Settings, measure: Counting) -> Iterator[State]:
    return (step.state for step in tune(jobs, chosen, lambda _: measure))


def test_a_search_goes_on_where_it_was_stopped(tmp_path: Path):
    jobs, chosen = job_and_settings(tmp_path, trials=3 * BATCH)
    with pytest.raises(KeyboardInterrupt):
        list(run(jobs, chosen, Counting(stop_after=1)))
    record = read_record(jobs[0].path)
    assert record is not None and record.state.trials == BATCH and not record.state.is_done
    second = Counting()
    *_, last = run(jobs, chosen, second)
    assert (second.batches, last.trials, last.is_done) == (2, 3 * BATCH, True)
    third = Counting()
    (step,) = tune(jobs, chosen, lambda _: third)
    assert third.batches == 0 and step.is_known
    assert step.state.best == last.best
    _, more = job_and_settings(tmp_path, trials=4 * BATCH)
    fourth = Counting()
    *_, last = run(jobs, more, fourth)
    assert (fourth.batches, last.trials) == (1, 4 * BATCH)
    _, fresh = job_and_settings(tmp_path, trials=BATCH, fresh=True)
    fifth = Counting()
    *_, last = run(jobs, fresh, fifth)
    assert (fifth.batches, last.trials) == (1, BATCH)


def test_time_that_is_up_ends_it_with_what_was_found(tmp_path: Path):
    jobs, chosen = job_and_settings(tmp_path, trials=8 * BATCH, seconds=2.5)
    ticks = iter(range(100))
    steps = list(tune(jobs, chosen, lambda _: clock, lambda: float(next(ticks))))
    assert [s.state.trials for s in steps] == [BATCH, 2 * BATCH]
    record = read_record(jobs[0].path)
    assert record is not None and record.state.trials == 2 * BATCH


def test_a_damaged_record_is_an_error_with_its_file(tmp_path: Path):
    jobs, chosen = job_and_settings(tmp_path)
    for text in ("directives = [", "directives = 3\n", 'directives = ["tile i 4"]\n'):
        jobs[0].path.write_text(text)
        with pytest.raises(IrkitError, match="cannot read") as caught:
            list(run(jobs, chosen, Counting()))
        assert caught.value.hint and "--fresh" in caught.value.hint
