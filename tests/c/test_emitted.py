"""Emitted C by itself: no warnings, no fault that a sanitizer sees, the reference's numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from irkit.runtime.compiler import INCLUDE
from lowering.target import get_target
from tests.c.driver import run_all, unit_of, unit_of_every_op, works
from tests.levels.programs import programs

SANITIZERS = {
    "address": ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"],
    "thread": ["-fsanitize=thread"],
}


@pytest.mark.parametrize(
    ("cc", "sanitizer", "target", "threads"),
    [
        ("gcc", "address", "native", 1),
        ("clang", "address", "avx2", 3),
        ("gcc", "thread", "native", 2),
        pytest.param("clang", "thread", "avx2", 2, marks=pytest.mark.slow),
    ],
)
def test_sanitizers_find_nothing(tmp_path: Path, cc: str, sanitizer: str, target: str, threads: int):
    # no optimisation: it makes a compiler with sanitizers ten times as long, and hides faults rather than showing them
    flags = ["-O0", "-g", *SANITIZERS[sanitizer], *get_target(target, cc).cflags]
    if not works(cc, flags, tmp_path):
        pytest.skip(f"{cc} has no {sanitizer} sanitizer here")
    units = [unit_of(name, target) for name in programs()]
    units += (
        [unit_of_every_op(target)] if (sanitizer, cc) == ("address", "clang") else []
    )  # gcc is long at it
    run_all(tmp_path, units, cc, flags, threads)


@pytest.mark.parametrize(("sanitizer", "threads"), [("thread", 2), ("address", 1)])
def test_programs_in_one_binary_run_at_the_same_time(tmp_path: Path, sanitizer: str, threads: int):
    """Each with its own arena and team; two of them have kernels of equal names."""
    flags = ["-O0", "-g", "-pthread", *SANITIZERS[sanitizer], *get_target("native", "gcc").cflags]
    if not works("gcc", flags, tmp_path):
        pytest.skip(f"gcc has no {sanitizer} sanitizer here")
    units = [unit_of(name, "native") for name in ("softmax", "dense", "packed", "control", "scatter")]
    run_all(tmp_path, units, "gcc", flags, threads, together=True)


@pytest.mark.parametrize(("cc", "target"), [("gcc", "sse2"), ("clang", "native")])
def test_no_warnings_and_the_same_numbers(tmp_path: Path, cc: str, target: str):
    flags = ["-O2" if cc == "gcc" else "-O1", "-Wpsabi", *get_target(target, cc).cflags]
    run_all(tmp_path, [unit_of(name, target) for name in programs()], cc, flags, 1)


@pytest.mark.parametrize(
    "body",
    [["-DIRK_TEAM_PTHREADS", "-pthread"], ["-DIRK_TEAM_OPENMP", "-fopenmp"], []],
    ids=["pthreads", "openmp", "none"],
)
def test_the_bodies_of_the_team_give_the_same_bits(tmp_path: Path, body: list[str]):
    units = [unit_of(name, "native") for name in ("packed", "attention", "loop", "softmax", "encoder")]
    flags = ["-O2", *get_target("native", "gcc").cflags, *body]
    results = []
    for threads in (1, 2, 4) if body else (1,):
        folder = tmp_path / str(threads)
        folder.mkdir()
        run_all(folder, units, "gcc", flags, threads)
        results.append((folder / "out.bin").read_bytes())
    assert all(r == results[0] for r in results)


def test_only_the_team_knows_of_openmp():
    assert all("omp" not in unit_of(name, "native").spec.source for name in ("packed", "encoder"))
    assert [h.name for h in sorted(INCLUDE.glob("*.h")) if "#pragma omp" in h.read_text()] == ["irk_team.h"]
