"""`irkit tune` as a user has it: errors, what it keeps, and how that is used; no test depends on a time."""

from __future__ import annotations

import io
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import irkit
from dialects.errors import IrkitError
from dialects.kernel import DefOp, LaunchOp
from irkit.api import graph_of
from irkit.cli import main
from irkit.opt import main as opt
from irkit.profiling import _instrumented, origin_of
from irkit.runtime import cache
from irkit.runtime.compiler import find_compiler
from irkit.tuning.bench import Bench
from irkit.tuning.export import Source, Wanted, export
from irkit.tuning.records import Record, write_record
from irkit.tuning.search import State
from irkit.tuning.session import kernels_of, lowered
from lowering.c.record import source_lines
from lowering.kernel.identity import kernel_hash
from lowering.kernel.mutation import Directives
from lowering.kernel.tuned import tuned_file
from lowering.loop.pointwise import _Plan
from lowering.target import get_target

TEXT = """// Two kernels, and what is said of them.
fn main(a: f32[40, 50], b: f32[50, 60]) -> f32[40, 60] {
  y = relu(a @ b) // the product
  return softmax(y, axis=-1)
}
"""
FOUND: Directives = ("vector j 16", "tile i 2")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IRKIT_CACHE_DIR", str(tmp_path / "cache"))


def command(*words: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    return main(words, None, out, err), out.getvalue(), err.getvalue()


def kernels(text: str = TEXT, name: str = "model.tg", target: str = "native") -> dict[str, DefOp]:
    module, _ = lowered(graph_of(text, name, None, None), target, "gcc")
    return {k.sym_name.data: k for k in kernels_of(module)}


def keep(directives: Directives, kernel: str = "matmul_relu") -> Path:
    """As if the tuner had found a schedule."""
    compiler, found = find_compiler("gcc"), kernels()[kernel]
    path = tuned_file(cache.tuned_dir("native", compiler), found)
    state = State(directives, 8, 1e-5, 0.5, is_done=True)
    write_record(path, Record(kernel, "native", "gcc", 1, {"i": 40}, ("tile i 1",), state))
    return path


# -- what is kept is used where it is asked for ---------------------------------------------------------------


def test_a_tuned_schedule_is_used_on_demand(tmp_path: Path):
    model = tmp_path / "model.tg"
    model.write_text(TEXT)
    a, b = (np.random.default_rng(0).standard_normal(s, np.float32) for s in ((40, 50), (50, 60)))
    plain = irkit.compile(model, cc="gcc", threads=1)
    first = irkit.compile(model, cc="gcc", threads=1, tuned=True)
    assert first.source == plain.source
    keep(FOUND)
    assert irkit.compile(model, cc="gcc", threads=1).source == plain.source
    tuned = irkit.compile(model, cc="gcc", threads=1, tuned=True)
    assert tuned.source != plain.source
    np.testing.assert_allclose(tuned(a, b), plain(a, b), rtol=1e-5)
    timed = [_instrumented(p, origin_of(p))[0].source for p in (plain, tuned)]
    assert timed[0] != timed[1], "a profile is not of the program that runs"


def test_remarks_say_where_a_schedule_comes_from(tmp_path: Path):
    keep(FOUND)
    model = tmp_path / "model.tg"
    model.write_text(TEXT)
    out, err = io.StringIO(), io.StringIO()
    words = [str(model), "--emit=kernel", "--tuned", "--remarks=vectorise"]
    assert opt(words, io.StringIO(), out, err) == 0
    assert 'schedule ["vector j 16", "tile i 2"]' in out.getvalue()
    assert "irkit tune found: vector j 16, tile i 2" in err.getvalue()
    out = io.StringIO()
    opt([str(model), "--emit=kernel"], io.StringIO(), out, err)
    assert "tile i 2" not in out.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("directives = [", "cannot read the tuned schedule"),
        ('directives = ["tile k 4"]', "'k' is reduced"),
        ('directives = ["tile z 4"]', "no axis 'z'"),
    ],
)
def test_a_tuned_schedule_that_is_wrong_is_an_error_with_its_file(content: str, message: str):
    path = keep(FOUND)
    path.write_text(content)
    with pytest.raises(IrkitError, match=message) as caught:
        irkit.lower(TEXT, "kernel", tuned=True)
    assert path.name in str(caught.value) and "--fresh" in str(caught.value)


def test_a_kernel_has_one_hash_whatever_it_is_called():
    renamed = TEXT.replace("y", "other").replace("a:", "first:").replace("a @", "first @")
    one, two = kernels()["matmul_relu"], kernels(renamed)["matmul_relu"]
    assert kernel_hash(one) == kernel_hash(two)
    assert kernel_hash(one) != kernel_hash(kernels(TEXT.replace("60", "61"))["matmul_relu"])
    assert kernel_hash(one) != kernel_hash(kernels()["softmax"])


# -- the command ------------------------------------------------------------------------------------------------


def test_the_command_keeps_exports_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The whole of it, with a clock that likes wide tiles."""

    def clock(self: Bench, schedules: Sequence[Directives]) -> list[np.ndarray]:
        return [
            np.full(5, 1.0 / (1 + sum("tile i" in d for d in s) + 2 * ("pack lhs" in s))) for s in schedules
        ]

    monkeypatch.setattr(Bench, "__call__", clock)
    model, other = tmp_path / "model.tg", tmp_path / "out.tg"
    model.write_text(TEXT)
    words = ("tune", str(model), "--cc", "gcc", "--kernel", "softmax", "--trials", "24", "--threads", "1")
    code, out, err = command(*words, "--export", str(other))
    assert code == 0, err
    assert "softmax: 2.00x" in out and "24 schedules tried" in out and "--tuned" in out
    text = other.read_text()
    assert "// the product" in text and "tile i" in text and "return result" in text
    assert model.read_text() == TEXT
    code, out, _ = command(*words)
    assert code == 0 and "known from before" in out


def test_a_measured_search_runs(tmp_path: Path):
    """With the real clock, of which nothing is asked."""
    model = tmp_path / "model.tg"
    model.write_text(TEXT)
    words = ("--cc", "gcc", "--kernel", "matmul_relu", "--trials", "3", "--threads", "2")
    code, out, err = command("tune", str(model), *words)
    assert code == 0, err
    assert "matmul_relu: " in out and "3 schedules tried" in out


def test_ctrl_c_keeps_what_was_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    batches = iter(range(10))

    def clock(self: Bench, schedules: Sequence[Directives]) -> list[np.ndarray]:
        if len(schedules) > 3 and next(batches):
            raise KeyboardInterrupt
        return [np.ones(5) for _ in schedules]

    monkeypatch.setattr(Bench, "__call__", clock)
    model = tmp_path / "model.tg"
    model.write_text(TEXT)
    code, out, _ = command("tune", str(model), "--cc", "gcc", "--kernel", "matmul_relu", "--trials", "20")
    assert code == 130
    assert "8 schedules tried, 12 are left for the next run" in out
    assert "trials = 8" in next(Path(cache.cache_dir()).glob("tuned/*/*.toml")).read_text()


def test_a_cache_that_cannot_be_written_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    model = tmp_path / "model.tg"
    model.write_text(TEXT)
    monkeypatch.setenv("IRKIT_CACHE_DIR", str(model / "below"))
    code, _, err = command("tune", str(model))
    assert code == 1
    assert "nothing can be kept in" in err and "IRKIT_CACHE_DIR" in err


# -- wrong candidates -------------------------------------------------------------------------------------------


def bench(threads: int = 1) -> Bench:
    module, _ = lowered(graph_of(TEXT, "model.tg", None, None), "native", "gcc")
    kernel = next(k for k in kernels_of(module) if k.sym_name.data == "softmax")
    launch = next(o for o in module.walk() if isinstance(o, LaunchOp) and "softmax" in str(o.callee))
    assert kernel.schedule is not None
    return Bench(kernel, launch, kernel.schedule.data, get_target(), find_compiler("gcc"), threads)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_schedule_with_other_numbers_is_an_error_that_names_it(
    threads: int, monkeypatch: pytest.MonkeyPatch
):
    found = bench(threads)
    right = _Plan.extent

    def short(self: _Plan, axis: str):
        extent = right(self, axis)
        return extent - 1 if axis == "k" and self.schedule.split.get("k") == 7 else extent

    monkeypatch.setattr(_Plan, "extent", short)
    times = found([found.start, ("vector j 8", "split k 8"), found.start])
    assert len(times) == 3 and all((t > 0).all() for t in times)
    with pytest.raises(IrkitError, match='gives other numbers by the schedule "split k 7"') as caught:
        found([found.start, ("vector j 8",), ("split k 7",), found.start])
    assert caught.value.loc is not None and caught.value.found and caught.value.hint


def test_a_schedule_that_crashes_is_an_error_that_names_it(monkeypatch: pytest.MonkeyPatch):
    found = bench()
    found([found.start])
    monkeypatch.setattr(Bench, "_wrong", lambda *_: os.kill(os.getpid(), signal.SIGSEGV))
    with pytest.raises(IrkitError, match="does not end well") as caught:
        found([("vector j 8",)])
    assert "SIGSEGV" in str(caught.value) and '"vector j 8"' in str(caught.value)


def test_a_schedule_that_takes_too_long_is_dropped(monkeypatch: pytest.MonkeyPatch):
    found = bench()
    found([found.start])

    def late(self: Bench, arrays: Sequence[np.ndarray]) -> tuple[str, str] | None:
        return time.sleep(5)

    monkeypatch.setattr(Bench, "_wrong", late)
    monkeypatch.setattr("irkit.tuning.bench.LEAST_SECONDS", 0.3)
    monkeypatch.setattr("irkit.tuning.bench.PATIENCE", 0.0)
    (times,) = found([("vector j 8",)])
    assert np.isinf(times).all()


# -- export -----------------------------------------------------------------------------------------------------


def exported(text: str, **wanted: Directives):
    """The text with schedules for kernels by name."""
    known = kernels(text)
    source = Source(text, "model.tg", None, {}, "native", "gcc")
    return export(
        source,
        [Wanted(n, kernel_hash(known[n]), d, source_lines(known[n])) for n, d in wanted.items()],
    )


def test_export_puts_schedules_on_the_statements():
    softmax: Directives = ("vector k 8", "tile i 2")
    found = exported(TEXT, matmul_relu=FOUND, softmax=softmax)
    assert found.text == (
        "// Two kernels, and what is said of them.\n"
        "fn main(a: f32[40, 50], b: f32[50, 60]) -> f32[40, 60] {\n"
        '  y = relu(a @ b), schedule="vector j 16; tile i 2" // the product\n'
        '  result = softmax(y, axis=-1), schedule="vector k 8; tile i 2"\n'
        "  return result\n"
        "}\n"
    )
    assert found.written == ("matmul_relu", "softmax") and not found.missing
    schedules = {n: k.schedule and k.schedule.data for n, k in kernels(found.text).items()}
    assert schedules == {"matmul_relu": FOUND, "softmax": softmax}
    a, b = (np.random.default_rng(0).standard_normal(s, np.float32) for s in ((40, 50), (50, 60)))
    np.testing.assert_allclose(irkit.compile(found.text)(a, b), irkit.compile(TEXT)(a, b), rtol=1e-5)
    again = exported(found.text, softmax=("vector j 8",))
    assert 'schedule="vector j 8"\n' in again.text and "tile i 2" in again.text


@pytest.mark.parametrize(
    ("text", "kernel", "reason"),
    [
        (
            "fn main(a: f32[8, 9]) -> f32[8, 9] {\n  y = exp(a)\n  return y\n}\n",
            "exp",
            "its axes were merged",
        ),
        (
            "fn main(a: f32[8, 9], b: f32[7, 9]) -> (f32[8, 9], f32[7, 9]) {\n  return softmax(a, axis=1), softmax(b, axis=1)\n}\n",
            "softmax",
            "no statement ends with an op of it",
        ),
    ],
)
def test_what_no_statement_stands_for_is_told(text: str, kernel: str, reason: str):
    found = exported(text, **{kernel: ("tile i 2",)})
    assert found.text == text and not found.written
    assert reason in found.missing[kernel]
