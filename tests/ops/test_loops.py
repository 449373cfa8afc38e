"""`for` loops through compiled C: trip counts, carried values that change places, nests, bounds from data."""

from __future__ import annotations

import numpy as np
import pytest

import irkit
from tests.lang.numpy_graph import run
from tests.ops.test_contractions import normal


def compare(text: str, *arrays: object, threads: int = 2) -> None:
    kept = [np.array(a) for a in arrays]
    found = irkit.compile(text, threads=threads).prepare(*arrays).run()  # pyright: ignore
    for before, after in zip(kept, arrays, strict=True):
        np.testing.assert_array_equal(before, after)  # inputs are never written
    for a, b in zip(found, run(text, *arrays), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("trips", [0, 1, 2, 3, 7])
def test_trip_counts(trips: int):
    text = f"""
fn main(x: f32[5, 4], w: f32[4, 4]) -> (f32[5, 4], f32[5, 4]) {{
  y = x + 1
  for t in 0..{trips} with x, y {{
    x = tanh(x @ w) + y
    y = y * 0.5
  }}
  return x, y
}}
"""
    compare(text, normal(5, 4), normal(4, 4))


def test_bounds_from_data():
    text = """
dim N = 3
fn main(x: f32[4], low: i32, high: i64) -> (f32[4], f32[4], f32[4]) {
  a = x
  for t in low..high with a { a = a + cast(t, f32) }
  b = x
  for t in N..2*N with b { b = b * 1.5 + cast(t, f32) }
  c = x
  for t in low - 1..2 * (low + 3) / 4 with c { c = c * 1.5 - 1 }
  return a, b, c
}
"""
    for low, high in ((0, 5), (3, 3), (5, 2), (-2, 2)):
        compare(text, normal(4), np.int32(low), np.int64(high))


@pytest.mark.parametrize("trips", [1, 2, 5])
def test_carried_values_that_change_places(trips: int):
    text = f"""
fn main(x: f32[6], y: f32[6], z: f32[6]) -> (f32[6], f32[6], f32[6]) {{
  for t in 0..{trips} with x, y, z {{
    w = x
    x = y
    y = z
    z = w
  }}
  return x, y, z
}}
"""
    compare(text, normal(6), normal(6), normal(6))
    fibonacci = f"""
fn main(x: f32[6], y: f32[6]) -> (f32[6], f32[6]) {{
  for t in 0..{trips} with x, y {{
    w = x + y
    x = y
    y = w
  }}
  return x, y
}}
"""
    compare(fibonacci, normal(6), normal(6))


def test_nests_and_values_around():
    text = """
fn main(x: f32[3, 4], w: f32[4, 4], b: f32[4]) -> (f32[3, 4], f32[3, 4], f32) {
  scale = softmax(b)
  first = x
  for i in 0..3 with x {
    y = x @ w
    for j in 0..2 with y {
      y = relu(y - b) + scale * cast(i * 10 + j, f32)
    }
    x = x * 0.5 + y * 0.01
  }
  return x, first, sum(x)
}
"""
    compare(text, normal(3, 4), normal(4, 4), normal(4))


def test_a_carried_value_that_does_not_change_and_one_unused():
    text = """
fn main(x: f32[4], y: f32[4]) -> (f32[4], f32[4]) {
  for t in 0..3 with x, y {
    x = x + y
    y = y
  }
  return x, y
}
"""
    compare(text, normal(4), normal(4))


def test_stencil_in_time_and_a_loop_from_a_constant():
    text = """
fn main(steps: i32, u: f32[9, 20]) -> (f32[9, 20], f32[3], i64) {
  v = u
  for t in 0..steps with v {
    lap[i, j] = v[i-1, j] + v[i+1, j] + v[i, j-1] + v[i, j+1] - 4 * v[i, j], boundary=clamp
    v = v + 0.1 * lap
  }
  z = zeros([3], f32)
  n = constant(0, i64)
  for t in 0..4 with z, n {
    z = z + 1
    n = n + t
  }
  return v, z, n
}
"""
    for steps in (0, 1, 6):
        compare(text, np.int32(steps), normal(9, 20))


def test_symbolic_sizes():
    text = """
dim B = 4 in 1..20
fn main(x: f32[B, 6], n: i32) -> f32[B, 6] {
  for t in 0..n with x { x = softmax(x, axis=0) + x * 0.5 }
  return x
}
"""
    program = irkit.compile(text)
    for b in (1, 4, 17, 20):
        x = normal(b, 6)
        np.testing.assert_allclose(
            program(x, np.int32(3)), run(text, x, np.int32(3), B=b)[0], rtol=1e-5, atol=1e-6
        )


CONTROL = """
dim T = 6
fn main(x: f32[T, 4], n: i32, tol: f32) -> (f32[4], f32[T, 4], f32[3], f32[4], i32, f32) {
  h = x[0] * 0
  for t in 0..T with h collect y {
    h = h * 0.5 + x[t]
    y = tanh(h)
  }
  for t in 1..4 collect s {
    s = sum(x[t])
  }
  z = h
  if n > 2 with z {
    z = z * 2
  } else if n == 2 with z {
    z = z - 1
  } else {
    z = z + 100
  }
  if T > 3 with z {
    z = -z
  }
  err = cast(1, f32)
  k = cast(0, i32)
  while err > tol max 50 with err, k {
    err = err / 3
    k = k + 1
  }
  return h, y, s, z, k, err
}
"""


@pytest.mark.parametrize(("cc", "threads"), [("gcc", 1), ("gcc", 3), ("clang", 2)])
def test_while_if_and_collect(cc: str, threads: int):
    model = irkit.compile(CONTROL, cc=cc, threads=threads)
    x = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)
    state, rows = np.zeros(4, np.float32), []
    for row in x:
        state = state * np.float32(0.5) + row
        rows.append(np.tanh(state))
    for n in (1, 2, 3):
        for tol in (2.0, 1e-3, 0.0):
            h, y, s, z, k, err = model(x, np.int32(n), np.float32(tol))
            np.testing.assert_allclose(h, state, rtol=1e-6)
            np.testing.assert_allclose(y, rows, rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(s, x[1:4].sum(1), rtol=1e-5)
            np.testing.assert_allclose(
                z, -(state * 2 if n > 2 else state - 1 if n == 2 else state + 100), rtol=1e-6
            )
            left, rounds = np.float32(1), 0
            while left > np.float32(tol) and rounds < 50:
                left, rounds = left / np.float32(3), rounds + 1
            assert k == rounds
            np.testing.assert_allclose(err, left, rtol=1e-6)


@pytest.mark.parametrize("threads", [1, 3])
def test_nested_loops_that_end_early(threads: int):
    """Collatz sequences: a choice inside a while loop inside a loop that collects."""
    text = """
fn main(first: i64[8]) -> (i64[8], i64) {
  total = cast(0, i64)
  for t in 0..8 with total collect steps {
    n = first[t]
    steps = cast(0, i64)
    while n != 1 with n, steps {
      if n % 2 == 0 with n { n = n / 2 } else { n = 3 * n + 1 }
      steps = steps + 1
    }
    total = total + steps
  }
  return steps, total
}
"""
    first = np.array([1, 2, 3, 7, 9, 27, 64, 97])
    wanted = []
    for n in first:
        count = 0
        while n != 1:
            n, count = (n // 2 if n % 2 == 0 else 3 * n + 1), count + 1
        wanted.append(count)
    steps, total = irkit.compile(text, threads=threads)(first)
    np.testing.assert_array_equal(steps, wanted)
    assert total == sum(wanted)
