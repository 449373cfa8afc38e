"""Index notation through compiled C, against the plain interpreter of the language tests."""

from __future__ import annotations

import numpy as np
import pytest

import irkit
from tests.lang.numpy_graph import run
from tests.ops.test_contractions import normal


def compare(text: str, *arrays: np.ndarray, threads: int = 2, rtol: float = 1e-5, **dims: int) -> None:
    found = irkit.compile(text, dims=dims, threads=threads).prepare(*arrays).run()
    with np.errstate(all="ignore"):
        expected = run(text, *arrays, **dims)
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        if a.dtype.kind in "iub":
            np.testing.assert_array_equal(a, b)
        else:
            np.testing.assert_allclose(a.astype(np.float64), b.astype(np.float64), rtol=rtol, atol=rtol)


BOUNDARIES = ["zero", "clamp", "wrap", "reflect", "value(-2.5)", "value(3)"]


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_boundaries(boundary: str):
    def stencil(n: int, m: int, reach: int) -> str:
        return (
            f"fn main(u: f32[{n}, {m}]) -> (f32[{n}, {m}], f32[{n}, {m}], f32[{m}, {n}]) {{\n"
            f"  a[i, j] = u[i-{reach}, j] + 2 * u[i+{reach}, j] + u[i, j-{reach}] - u[i, j+{reach}], boundary={boundary}\n"
            f"  b[i, j] = exp(u[i-1, j+1]) * u[i, j], boundary={boundary}\n"
            f"  c[i, j] = u[j+1, i-1], boundary={boundary}\n"
            f"  return a, b, c\n}}\n"
        )

    for n, m, reach in ((5, 4, 1), (19, 35, 2), (33, 17, 1), (3, 40, 2)):
        compare(stencil(n, m, reach), normal(n, m))


@pytest.mark.parametrize("boundary", ["zero", "clamp", "wrap", "value(7)"])
def test_offsets_larger_than_the_tensor(boundary: str):
    text = f"fn main(u: f32[3]) -> (f32[3], f32[3]) {{\n  a[i] = u[i-7], boundary={boundary}\n  b[i] = u[i+4] + u[i], boundary={boundary}\n  return a, b\n}}\n"
    compare(text, normal(3))
    compare(text.replace("[3]", "[1]"), normal(1))


@pytest.mark.parametrize("dtype", ["f64", "f16", "bf16", "i32", "u8", "i64"])
def test_dtypes(dtype: str):
    text = f"""
fn main(a: {dtype}[6, 9], x: {dtype}[9, 5]) -> ({dtype}[6, 5], {dtype}[6], {dtype}[6, 9], {dtype}[9]) {{
  y[i, f] = sum(j) a[i, j] * x[j, f]
  m[i] = max(j) a[i, j]
  s[i, j] = a[i-1, j] + a[i, j+1], boundary=clamp
  p[j] = min(i) a[i, j]
  return y, m, s, p
}}
"""
    compare(
        text,
        normal(6, 9, dtype=dtype),
        normal(9, 5, dtype=dtype),
        rtol=3e-2 if dtype in ("f16", "bf16") else 1e-5,
    )


def test_reductions():
    text = """
fn main(a: f32[7, 33], x: f32[33, 20], v: f32[33]) -> (f32[7, 20], f32[7], f32[33], f32, f32[7], f32[33, 7], f32[7, 20]) {
  y[i, f] = sum(j) a[i, j] * x[j, f]
  m[i] = max(j) a[i, j] * v[j]
  q[j] = prod(i) (1 + 0.1 * a[i, j])
  t = sum(i, j) a[i, j] ** 2
  p[i] = exp(y[i, 0]) / (sum(f) exp(y[i, f]))
  o[j, i] = a[i, j] * v[j]
  d[i, f] = sum(j) (a[i, j] - x[j, f]) ** 2
  return y, m, q, t, p, o, d
}
"""
    compare(text, normal(7, 33) * np.float32(0.5), normal(33, 20) * np.float32(0.5), normal(33), rtol=1e-4)


def test_interiors_and_strides():
    text = """
fn main(u: f32[100], w: f32[5], g: f32[12, 40]) -> (f32[98], f32[96], f32[50], f32[10, 38], f32[6, 13]) {
  v[i] = u[i-1] - 2 * u[i] + u[i+1]
  c[i] = sum(k) u[i + k] * w[k]
  d[i] = maximum(u[2*i], u[2*i + 1])
  l[i, j] = g[i-1, j] + g[i+1, j] + g[i, j-1] + g[i, j+1] - 4 * g[i, j]
  s[i, j] = g[2*i, 3*j] + g[2*i + 1, 3*j + 2]
  return v, c, d, l, s
}
"""
    compare(text, normal(100), normal(5), normal(12, 40))


def test_gathers_and_conditions():
    text = """
fn main(table: f32[10, 8], index: i32[20], two: i64[4, 3], k: i32, grid: i64[6, 5]) -> (f32[20, 8], f32[4, 3, 8], f32[8], f32[10, 8], i64[6, 5], f32[4]) {
  row[n, f] = table[index[n], f]
  more[a, b, f] = table[two[a, b], f] * 2
  one[f] = table[k, f]
  tri[i, j] = where(j <= i, table[i, j], 0)
  place[i, j] = i * 10 + j + 0 * grid[i, j]
  total[a] = sum(b, f) table[two[a, b], f]
  return row, more, one, tri, place, total
}
"""
    index = np.array([0, 9, 3, -1, 12, 5, 100, -100] + [1] * 12, np.int32)
    two = np.random.default_rng(0).integers(0, 10, (4, 3))
    compare(text, normal(10, 8), index, two, np.int32(7), np.zeros((6, 5), np.int64))


def test_a_gather_outside_has_a_boundary():
    text = """
fn main(x: f32[5], i: i64[7]) -> (f32[7], f32[7]) {
  a[n] = x[i[n]], boundary=zero
  b[n] = x[i[n]], boundary=wrap
  return a, b
}
"""
    compare(text, normal(5), np.array([0, 4, -1, 5, 17, -8, 2]))


def test_neighbours_fuse():
    text = """
fn main(u: f32[18, 20], w: f32[20, 6]) -> (f32[18, 20], f32[18], f32[18, 6]) {
  e = exp(u * 0.1)
  a[i, j] = e[i-1, j] + e[i, j+1], boundary=zero
  return relu(a - 2), sum(a, axis=1), a @ w
}
"""
    compare(text, normal(18, 20), normal(20, 6), rtol=1e-4)


def test_symbolic_sizes():
    text = """
dim N = 9 in 2..40
fn main(u: f32[N, 3], w: f32[3]) -> (f32[N, 3], f32[N-2, 3], f32[N], f32) {
  a[i, j] = u[i-1, j] + u[i+1, j], boundary=wrap
  b[i, j] = u[i-1, j] - 2 * u[i, j] + u[i+1, j]
  c[i] = sum(j) u[i, j] * w[j]
  m = max(i, j) u[i, j]
  return a, b, c, m
}
"""
    program = irkit.compile(text)
    for n in (2, 3, 9, 16, 17, 40):
        u, w = normal(n, 3), normal(3)
        expected = run(text, u, w, N=n)
        for a, b in zip(program(u, w), expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
