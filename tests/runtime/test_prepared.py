"""What depends on parameters alone is made once: the numbers are those of every run, and follow the parameters."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

import irkit
from irkit.runtime.artefact import load_program
from irkit.runtime.compiler import INCLUDE
from irkit.runtime.module import Program

DENSE = """param w: T[K, N] = glorot(seed=1)
fn main(x: T[M, K]) -> T[M, N] { return x @ w }
"""
TURNED = """param w: T[N, K] = glorot(seed=1)
fn main(x: T[M, K]) -> T[M, N] {
  y[i, j] = sum(k) x[i, k] * w[j, k]
  return y
}
"""
TWICE = """dim B = 40 in 1..64
param w: f32[150, 90] = glorot(seed=1)
fn main(x: f32[B, 150], y: f32[20, 90]) -> (f32[B, 90], f32[20, 150]) {
  z[i, j] = sum(k) y[i, k] * w[j, k]
  return x @ w, z
}
"""


def compiled(text: str, threads: int = 1, **sizes: int | str) -> Program:
    for name, value in sizes.items():
        text = text.replace(f"[{name},", f"[{value},").replace(f", {name}]", f", {value}]")
    return irkit.compile(text.replace("T[", f"{sizes.get('T', 'f32')}["), threads=threads)


def close(found: np.ndarray, left: np.ndarray, right: np.ndarray) -> None:
    """Against the product in f64, with the rounding of its terms."""
    want = left.astype(np.float64) @ right.astype(np.float64)
    room = np.abs(left).astype(np.float64) @ np.abs(right).astype(np.float64)
    assert np.all(np.abs(found - want) <= 40 * np.finfo(found.dtype).eps * room)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize(
    ("text", "dtype", "sizes"),
    [
        (DENSE, "f32", (37, 90, 150)),
        (DENSE, "f64", (33, 45, 301)),
        (DENSE, "f32", (200, 600, 1100)),
        (TURNED, "f32", (37, 90, 150)),
        (TURNED, "f64", (61, 7 * 16, 64)),
    ],
)
def test_sizes_that_no_tile_divides(text: str, dtype: str, sizes: tuple[int, int, int], threads: int):
    m, n, k = sizes
    program = compiled(text, threads, T=dtype, M=m, N=n, K=k)
    assert program.spec.prepared_bytes >= n * k * program.values["w"].itemsize
    x = np.random.default_rng(1).standard_normal((m, k)).astype(program.values["w"].dtype)
    w = program.values["w"]
    close(program(x), x, w if text is DENSE else w.T)  # pyright: ignore[reportArgumentType]


@pytest.fixture(scope="module", name="twice")
def _twice() -> Program:
    return irkit.compile(TWICE, threads=2)


def check_twice(results: object, w: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
    assert isinstance(results, tuple)
    close(results[0], x, w)
    close(results[1], y, w.T)


def test_parameters_are_followed(twice: Program):
    """Two kernels read one parameter, along its rows and along its columns, with a symbolic number of rows."""
    random = np.random.default_rng(2)
    x, y = (random.standard_normal(s).astype(np.float32) for s in ((50, 150), (20, 90)))
    first, second, third = (random.standard_normal((150, 90)).astype(np.float32) for _ in range(3))
    before = twice.values["w"]
    held = twice.prepare(x, y)
    check_twice(held.run(), before, x, y)
    twice.set_params({"w": first})
    check_twice(twice(x, y), first, x, y)
    check_twice(twice(x, y, w=second), second, x, y)
    check_twice(twice(x[:9], y), first, x[:9], y)
    check_twice(held.run(), before, x, y)  # a call keeps its arrays
    third *= 2
    check_twice(twice(x, y, w=third), third, x, y)
    third *= 2
    check_twice(twice(x, y, w=third), third, x, y)
    third *= 2
    twice.set_params({"w": third})
    third *= 2
    twice.set_params({"w": third})
    check_twice(twice(x, y), third, x, y)
    twice.set_params({"w": before})


def test_saved_programs_prepare_too(twice: Program, tmp_path: Path):
    twice.save(tmp_path / "twice.irk")
    again = load_program(tmp_path / "twice.irk", threads=1)
    x, y = np.ones((3, 150), np.float32), np.ones((20, 90), np.float32)
    check_twice(again(x, y), twice.values["w"], x, y)
    again.set_params({"w": twice.values["w"] * 3})
    check_twice(again(x, y), twice.values["w"] * 3, x, y)


def test_programs_without_parameters_have_no_such_entry():
    program = irkit.compile("fn main(x: f32[64, 150], w: f32[150, 90]) -> f32[64, 90] { return x @ w }")
    assert program.spec.prepared_bytes == 0
    assert "prepared;" not in program.header.partition("_args {")[2] and "_init(" not in program.header


def test_an_argument_may_have_the_name_of_the_field():
    text = TWICE.replace("w", "prepared")
    program = irkit.compile(text, threads=1)
    assert program.spec.prepared_field == "prepared_"
    x, y = np.ones((3, 150), np.float32), np.ones((20, 90), np.float32)
    check_twice(program(x, y), program.values["prepared"], x, y)


C_MAIN = """
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include "program.h"
static float x[2][50 * 150], y[20 * 90], w[150 * 90], out[2][50 * 90], other[2][20 * 150];
static program_args shared = {.B = 50, .y = y, .w = w};
static void *work(void *number) {
  const int n = (int)(size_t)number;
  program_args args = shared;
  args.x = x[n], args.out0 = out[n], args.z = other[n];
  void *arena = aligned_alloc(64, (program_arena_bytes(&args, 1) + 127) / 64 * 64);
  for (int round = 0; round < 20; round++)
    if (program_run(&args, arena, NULL)) exit(5);
  free(arena);
  return NULL;
}
int main(void) {
  for (int i = 0; i < 50 * 150; i++) x[0][i] = 1, x[1][i] = 2;
  for (int i = 0; i < 150 * 90; i++) w[i] = 3;
  program_args all = shared;
  all.x = x[0], all.out0 = out[0], all.z = other[0];
  void *arena = aligned_alloc(64, (program_arena_bytes(&all, 1) + 127) / 64 * 64);
  char *memory = aligned_alloc(64, (program_prepared_bytes(&all) + 127) / 64 * 64);
  if (program_run(&all, arena, NULL) != PROGRAM_NULL_ARGUMENT) return 1;   // program_init was forgotten
  if (program_init(&shared, arena, NULL) != PROGRAM_NULL_ARGUMENT) return 2;
  shared.prepared = memory + 4;
  if (program_init(&shared, arena, NULL) != PROGRAM_BAD_PREPARED) return 3;
  shared.prepared = memory;
  if (program_init(&shared, NULL, NULL) != (program_arena_bytes(&shared, 1) ? PROGRAM_BAD_ARENA : 0)) return 4;
  if (program_init(&shared, arena, NULL)) return 5;
  if (program_info.prepared_bytes != program_prepared_bytes(&shared)) return 6;
  pthread_t threads[2];
  for (size_t n = 0; n < 2; n++) pthread_create(&threads[n], NULL, work, (void *)n);
  for (size_t n = 0; n < 2; n++) pthread_join(threads[n], NULL);
  for (int n = 0; n < 2; n++)
    for (int i = 0; i < 50 * 90; i++)
      if (out[n][i] != 450 * (n + 1)) return 7;
  free(arena);
  free(memory);
  return 0;
}
"""


@pytest.mark.parametrize("sanitizer", ["thread", "address,undefined"])
def test_c_programs_share_what_is_prepared(twice: Program, tmp_path: Path, sanitizer: str):
    """From the source alone: two threads with arenas of their own, and what each fault of a caller gives."""
    spec = twice.spec
    for path in INCLUDE.glob("*.h"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert (spec.name, [a.name for a in spec.with_role("output")]) == ("program", ["out0", "z"])
    (tmp_path / "program.h").write_text(spec.header)
    (tmp_path / "program.c").write_text(spec.source)
    (tmp_path / "driver.c").write_text(C_MAIN)
    flags = [f"-fsanitize={sanitizer}", "-O1", "-std=gnu11", "-march=native", "-pthread"]
    built = subprocess.run(
        ["gcc", *flags, "program.c", "driver.c", "-o", "all", "-lm"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    if "cannot find" in built.stderr:
        pytest.skip("gcc has no such sanitizer here")
    assert not built.returncode, built.stderr[:2000]
    done = subprocess.run([tmp_path / "all"], capture_output=True, text=True)
    assert (done.returncode, done.stderr[:2000]) == (0, "")
