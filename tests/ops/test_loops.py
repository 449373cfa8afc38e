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
  for t in 0..low with c { c = c - 1 }
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
