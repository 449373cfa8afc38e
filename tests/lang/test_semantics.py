"""What programs mean: emitted graphs are run in NumPy and compared with the same written by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy_graph import run

RNG = np.random.default_rng(0)


def f32(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def test_precedence_is_that_of_mathematics() -> None:
    a, b, c = f32(5), f32(5), np.abs(f32(5)) + 1
    (out,) = run(
        "fn f(a: f32[5], b: f32[5], c: f32[5]) -> f32[5] { return a - b - c * -c ** 2 / a + 2 ** 3 ** 0 }",
        a,
        b,
        c,
    )
    assert_allclose(out, a - b - c * -(c**2) / a + 2, rtol=1e-5)


def test_operators_on_bits_and_bools_are_those_of_python() -> None:
    text = """
    fn f(x: i32[5], u: u8[5], y: f32[5], b: bool[5]) -> (i32[5], u8[5], bool[5], i32[5], bool[5]) {
      z[i] = ~x[i] >> 1 & 255 ^ x[i] | 64
      odd[i] = (y[i] > 0) | ~b[i]
      return x & 3 | 1 << 4 ^ ~x, ~u >> 2 << 1, ~b & (y > 0) | (y < -1), z, odd
    }"""
    x, u = np.array([0, -1, 300, 2**31 - 1, -(2**31)], np.int32), np.array([0, 1, 7, 200, 255], np.uint8)
    y, b = f32(5), np.array([True, False, True, True, False])
    first, second, third, z, odd = run(text, x, u, y, b)
    assert_array_equal(first, x & 3 | 1 << 4 ^ ~x)
    assert_array_equal(second, ~u >> 2 << 1)
    assert_array_equal(third, ~b & (y > 0) | (y < -1))
    assert_array_equal(z, ~x >> 1 & 255 ^ x | 64)
    assert_array_equal(odd, (y > 0) | ~b)


def test_a_loop_collects_what_each_round_gives() -> None:
    text = """
    dim T = 5 in 0..9
    fn f(x: f32[T, 3]) -> (f32[3], f32[T, 3], f32[T], i64[4]) {
      h = zeros([3], f32)
      for t in 0..T with h collect y, s {
        h = h + x[t]
        y = h * 2
        s = sum(h)
      }
      for k in 3..7 collect square {
        square = k * k
      }
      return h, y, s, square
    }"""
    for count in (5, 1, 0):
        x = f32(count, 3)
        h, y, s, square = run(text, x)
        total = np.cumsum(x, axis=0)
        assert_allclose(h, x.sum(0) if count else np.zeros(3), rtol=1e-5, atol=1e-6)
        assert_allclose(y, 2 * total, rtol=1e-5, atol=1e-6)
        assert_allclose(s, total.sum(1), rtol=1e-5, atol=1e-6)
        assert_array_equal(square, [9, 16, 25, 36])


def test_a_while_loop_runs_as_long_as_its_condition_holds() -> None:
    text = """
    fn f(a: f32, most: i32) -> (f32, i32) {
      x = a
      n = cast(0, i32)
      while x > 1 max most with x, n {
        x = x / 2
        n = n + 1
      }
      return x, n
    }"""
    for a, most, wanted in ((40.0, 100, 6), (40.0, 2, 2), (0.5, 9, 0), (np.nan, 9, 0)):
        x, n = run(text, np.float32(a), np.int32(most))
        assert n == wanted
        assert_allclose(x, a / 2**wanted)


def test_a_choice_takes_one_way_and_keeps_what_that_leaves_alone() -> None:
    text = """
    fn f(x: f32[4], n: i32) -> (f32[4], f32[4]) {
      a = x
      b = x * 10
      if n < 0 with a, b {
        a = -a
      } else if n == 0 with a, b {
        t = a
        a = b
        b = t
      } else {
        if all(x > 0) with b {
          b = b + 1
        }
      }
      if 3 > 2 with a { a = a + 1 } else { a = a / 0 }
      return a, b
    }"""
    for x in (np.abs(f32(4)) + 1, -np.abs(f32(4))):
        for n, a, b in ((-1, -x, x * 10), (0, x * 10, x), (2, x, x * 10 + (x > 0).all())):
            first, second = run(text, x, np.int32(n))
            assert_allclose(first, a + 1, rtol=1e-6)
            assert_allclose(second, b, rtol=1e-6)


def test_numbers_take_the_dtype_that_they_meet() -> None:
    text = """
    fn f(x: f16[3], i: i8[3], u: u8[3]) -> (f16[3], i8[3], u8[3], bool[3]) {
      half = 1 / 2
      return x * half + 1, i * 2 - 1, u + 255, i < 2
    }"""
    x, i, u = np.array([1, 2, 3], np.float16), np.array([1, 2, 3], np.int8), np.array([1, 2, 3], np.uint8)
    a, b, c, d = run(text, x, i, u)
    assert a.dtype == np.float16 and b.dtype == np.int8 and c.dtype == np.uint8
    assert_array_equal(a, x * np.float16(0.5) + 1)
    assert_array_equal(b, i * 2 - 1)
    assert_array_equal(c, [0, 1, 2])
    assert_array_equal(d, i < 2)


def test_slicing_is_that_of_numpy() -> None:
    x, rows = f32(8, 6, 4), np.array([7, 0, 3], np.int32)
    text = """
    fn f(x: f32[8, 6, 4], rows: i32[3], k: i32)
        -> (f32[2, 6, 4], f32[8, 4], f32[3, 4, 2], f32[3, 6, 4], f32[3, 4], f32[6, 4], f32[4]) {
      return x[1:3], x[:, -1], x[::3, 1:5, 2:4], x[rows], x[rows, 2], x[k], x[2, 3, :]
    }"""
    found = run(text, x, rows, np.int32(5))
    for a, b in zip(
        found, [x[1:3], x[:, -1], x[::3, 1:5, 2:4], x[rows], x[rows, 2], x[5], x[2, 3]], strict=True
    ):
        assert_array_equal(a, b)


def test_reductions_and_their_elementwise_namesakes() -> None:
    x = f32(3, 4)
    text = """
    fn f(x: f32[3, 4]) -> (f32, f32[3], f32[1, 4], f32[3, 4], f32[3, 4]) {
      return sum(x), mean(x, axis=1), max(x, axis=0, keepdims=true), max(x, 0), minimum(x, 0.5)
    }"""
    wants = [x.sum(), x.mean(1), x.max(0, keepdims=True), np.maximum(x, 0), np.minimum(x, np.float32(0.5))]
    for a, b in zip(run(text, x), wants, strict=True):
        assert_allclose(a, b, rtol=1e-6)


def test_new_tensors() -> None:
    text = """
    dim B = 2
    fn f() -> (f32[B, 3], i8[2], f64[B, 2], bool[2], f32[2, 2]) {
      return zeros([B, 3], f32), ones([2], i8), full([B, 2], 1 / 3, f64), constant([true, false], bool),
        constant([[1, -2.5], [inf, 4]], f32)
    }"""
    a, b, c, d, e = run(text)
    assert_array_equal(a, np.zeros((2, 3)))
    assert_array_equal(b, np.ones(2))
    assert_array_equal(c, np.full((2, 2), 1 / 3))
    assert_array_equal(d, [True, False])
    assert_array_equal(e, [[1, -2.5], [np.inf, 4]])


def test_functions_are_generic_in_dims_that_only_they_name() -> None:
    text = """
    dim N = 7
    fn centre(x: f32[M, K]) -> f32[M, K] { return x - mean(x, axis=1, keepdims=true) }
    fn both(x: f32[A, B]) -> (f32[A, B], y: f32[A]) { return centre(x=x), sum(x, axis=1) }
    fn main(x: f32[N, 2], z: f32[3, N]) -> (f32[N, 2], f32[3, N], f32[3]) {
      a, b = both(z)
      return centre(x), a, b
    }"""
    x, z = f32(7, 2), f32(3, 7)
    a, b, c = run(text, x, z)
    assert_allclose(a, x - x.mean(1, keepdims=True), rtol=1e-5, atol=1e-6)
    assert_allclose(b, z - z.mean(1, keepdims=True), rtol=1e-5, atol=1e-6)
    assert_allclose(c, z.sum(1), rtol=1e-5)


@pytest.mark.parametrize("size", [1, 5, 9])
def test_symbolic_dims(size: int) -> None:
    text = """
    dim B = 4 in 1..64
    fn f(x: f32[B, 3], w: f32[3, 2]) -> (f32[B, 2], f32[B]) {
      n[b] = sum(k) x[b, k] ** 2
      return x @ w, n
    }"""
    x, w = f32(size, 3), f32(3, 2)
    a, b = run(text, x, w)
    assert_allclose(a, x @ w, rtol=1e-5)
    assert_allclose(b, (x**2).sum(1), rtol=1e-5)


def test_overrides_of_dims() -> None:
    text = "dim B = 4\ndim C = B / 3 + 1\nfn f(x: f32[B, N]) -> f32[C, N] { return x[0:C] }"
    x = f32(8, 2)
    assert_array_equal(run(text, x, B=8, N=2)[0], x[:3])


# -- index notation ---------------------------------------------------------------------------------------------


def test_index_notation_contracts() -> None:
    a, x = f32(4, 5), f32(5, 3)
    text = """
    fn f(a: f32[4, 5], x: f32[5, 3]) -> (f32[4, 3], f32[3, 4], f32, f32[4, 3], f32[4]) {
      y[i, f] = sum(j) a[i, j] * x[j, f]
      t[f, i] = y[i, f] + 1
      s = sum(i, f) y[i, f] * 2
      q[i, f] = exp(y[i, f]) / (sum(g) exp(y[i, g])) + (max(j) a[i, j]) * s
      m[i] = min(j) a[i, j] - 1
      return y, t, s, q, m
    }"""
    y = a @ x
    s = (y * 2).sum()
    q = np.exp(y) / np.exp(y).sum(1, keepdims=True) + a.max(1, keepdims=True) * s
    for got, want in zip(run(text, a, x), [y, y.T + 1, s, q, a.min(1) - 1], strict=True):
        assert_allclose(got, want, rtol=2e-5, atol=1e-5)


def test_reduction_takes_the_product_after_it() -> None:
    a, b = f32(4), f32(4)
    text = """
    fn f(a: f32[4], b: f32[4]) -> (f32, f32, f32) {
      x = sum(i) a[i] * b[i] + 1
      y = 3 * sum(i) a[i] * b[i]
      z = -sum(i) a[i]
      return x, y, z
    }"""
    x, y, z = run(text, a, b)
    assert_allclose([x, y, z], [a @ b + 1, 3 * (a @ b), -a.sum()], rtol=1e-5)


def test_interior_is_inferred() -> None:
    u, w, v = f32(12), f32(3), f32(11)
    text = """
    fn f(u: f32[12], w: f32[3], v: f32[11]) -> (f32[10], f32[10], f32[6], f32[11], f32[5], i64[10]) {
      a[i] = u[i-1] - 2*u[i] + u[i+1]
      b[i] = sum(k) u[i + k] * w[k]
      c[i] = max(u[2*i], u[2*i + 1])
      d[i] = v[i] * (u[i + 1] - u[i])
      e[i] = sum(k) u[2*i + k] * w[k]
      p[i] = i + cast(u[i-1] - u[i-1] + u[i+1] - u[i+1], i64)
      return a, b, c, d, e, p
    }"""
    a, b, c, d, e, p = run(text, u, w, v)
    assert_allclose(a, u[:-2] - 2 * u[1:-1] + u[2:], rtol=1e-5, atol=1e-6)
    assert_allclose(b, np.convolve(u, w[::-1], "valid"), rtol=1e-5, atol=1e-6)
    assert_allclose(c, np.maximum(u[::2], u[1::2]))
    assert_allclose(d, v * np.diff(u), rtol=1e-5)
    assert_allclose(e, np.convolve(u, w[::-1], "valid")[::2], rtol=1e-5, atol=1e-6)
    assert_array_equal(p, np.arange(1, 11))


@pytest.mark.parametrize(
    ("boundary", "pad"),
    [
        ("zero", {"mode": "constant"}),
        ("value(2.5)", {"mode": "constant", "constant_values": 2.5}),
        ("clamp", {"mode": "edge"}),
        ("wrap", {"mode": "wrap"}),
        ("reflect", {"mode": "reflect"}),
    ],
)
def test_boundaries(boundary: str, pad: dict) -> None:
    u, w = f32(5, 4), f32(3, 5)
    text = f"""
    dim H = 5 in 4..8
    fn f(u: f32[H, 4], w: f32[3, 5]) -> f32[H, 4] {{
      y[i, j] = sum(a, b) u[i + a - 1, j + b - 2] * w[a, b], boundary={boundary}
      return y
    }}"""
    padded = np.pad(u, ((1, 1), (2, 2)), **pad)
    want = sum(padded[a : a + 5, b : b + 4] * w[a, b] for a in range(3) for b in range(5))
    assert_allclose(run(text, u, w)[0], want, rtol=1e-4, atol=1e-5)


def test_reductions_of_reductions() -> None:
    a, b = f32(3, 4), f32(4, 5)
    text = """
    fn f(a: f32[3, 4], b: f32[4, 5]) -> (f32, f32, f32[3]) {
      x = sum(i) max(j) a[i, j]
      y = 1 + sum(i) a[i, 0] * (max(j) a[i, j] * (sum(k) b[j, k]))
      z[i] = exp(a[i, 0]) + (sum(j) a[i, j] * (sum(k) b[j, k]))
      return x, y, z
    }"""
    x, y, z = run(text, a, b)
    assert_allclose(x, a.max(1).sum(), rtol=1e-5)
    assert_allclose(y, 1 + (a[:, 0] * (a * b.sum(1)).max(1)).sum(), rtol=1e-5)
    assert_allclose(z, np.exp(a[:, 0]) + a @ b.sum(1), rtol=1e-5, atol=1e-5)


def test_an_index_statement_may_read_what_it_replaces() -> None:
    u = f32(5)
    (out,) = run("fn f(u: f32[5]) -> f32[5] { u[i] = u[i] + u[i-1], boundary=wrap return u }", u)
    assert_allclose(out, u + np.roll(u, 1))


def test_inputs_of_called_functions_may_be_called_like_parameters() -> None:
    text = """
    param w: f32[3] = zeros()
    fn scale(x: f32[N], w: f32) -> f32[N] { return x * w }
    fn f(x: f32[3]) -> f32[3] { return scale(x, 2) + w }"""
    x = f32(3)
    assert_allclose(run(text, x, np.ones(3))[0], x * 2 + 1)


def test_gathers() -> None:
    table, index = f32(6, 3), np.array([5, 0, 9, -4], np.int32)
    text = """
    fn f(t: f32[6, 3], n: i32[4], k: i32) -> (f32[4, 3], f32[4], f32[3], f32[4]) {
      a[i, j] = t[n[i], j]
      b[i] = sum(j) t[n[i] - 1, j], boundary=zero
      c[j] = t[k, j]
      d[i] = where(n[i] < 3 * i, 1, t[n[n[i]], 0])
      return a, b, c, d
    }"""
    a, b, c, d = run(text, table, index, np.int32(2))
    inside = np.clip(index, 0, 5)
    assert_array_equal(a, table[inside])
    want = [table[i - 1].sum() if 0 <= i - 1 < 6 else 0 for i in index]
    assert_allclose(b, want, rtol=1e-5)
    assert_array_equal(c, table[2])
    twice = index[np.clip(index, 0, 3)]
    assert_allclose(d, np.where(index < 3 * np.arange(4), 1, table[np.clip(twice, 0, 5), 0]))


def test_axes_as_integers_and_small_floats() -> None:
    a = f32(4, 4)
    h = f32(4).astype(np.float16)
    text = """
    fn f(a: f32[4, 4], h: f16[4], n: i8[4]) -> (f32[4, 4], f16[4], i8[4]) {
      b[i, j] = where(i < j, -inf, a[i, j] * cast(i - j, f32))
      c[i] = h[i] * h[i] + 1
      d[i] = n[i] * i % 3 + 7 / (n[i] + 1)
      return b, c, d
    }"""
    n = np.array([1, 2, 3, 4], np.int8)
    b, c, d = run(text, a, h, n)
    i, j = np.indices((4, 4))
    assert_allclose(b, np.where(i < j, -np.inf, a * (i - j)))
    assert_array_equal(c, (h.astype(np.float32) ** 2 + 1).astype(np.float16))
    assert_array_equal(d, n * np.arange(4, dtype=np.int8) % 3 + 7 // (n + 1))


# -- loops ------------------------------------------------------------------------------------------------------


def test_loops_carry_values() -> None:
    text = """
    dim N = 6
    fn f(u: f32[N], steps: i32) -> (f32[N], f32, i64) {
      total = cast(0, f32)
      last = cast(-1, i64)
      for t in 0..steps with u, total, last {
        w = u * 2
        for s in 1..3 with w { w = w + cast(s, f32) }
        u = w - 1
        total = total + sum(u)
        last = t
      }
      return u, total, last
    }"""
    u = np.arange(6, dtype=np.float32)
    want, total = u, 0.0
    for _ in range(3):
        want = want * 2 + 3 - 1
        total += want.sum()
    a, b, c = run(text, u, np.int32(3))
    assert_allclose(a, want)
    assert_allclose(b, total)
    assert c == 2


def test_loop_bounds_may_be_dims() -> None:
    text = "dim N = 5 in 1..9\nfn f(u: f32[N]) -> f32[N] { for t in 1..N with u { u = u + 1 } return u }"
    assert_array_equal(run(text, np.zeros(4, np.float32))[0], np.full(4, 3.0))


def test_heat_conserves_what_leaves_nowhere() -> None:
    text = """
    dim N = 8
    fn heat(u: f32[N, N], steps: i32) -> f32[N, N] {
      for t in 0..steps with u {
        lap[i, j] = u[i-1, j] + u[i+1, j] + u[i, j-1] + u[i, j+1] - 4 * u[i, j], boundary=clamp
        u = u + 0.1 * lap
      }
      return u
    }"""
    u = f32(8, 8)
    (out,) = run(text, u, np.int32(4))
    assert_allclose(out.sum(), u.sum(), rtol=1e-4)
    assert out.std() < u.std()
