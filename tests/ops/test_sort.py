"""Sorting through compiled C: dtypes, ties, NaN, sizes around the runs of the merge sort, dims in the middle."""

from __future__ import annotations

import numpy as np
import pytest

from dialects.errors import IrkitError
from dialects.types import np_dtype, tensor
from irkit import compile as irkit_compile
from tests.graph.samples import NUMBERS, op_of
from tests.ops.harness import Call, check_all

RNG = np.random.default_rng(0)


def numbers(dtype: str, *shape: int) -> np.ndarray:
    """Numbers of which many are equal."""
    if dtype == "bool":
        return RNG.random(shape) < 0.5
    return RNG.integers(0 if dtype[0] == "u" else -5, 6, shape).astype(np.float32).astype(np_dtype(dtype))


@pytest.mark.parametrize("descending", [False, True])
def test_every_dtype(descending: bool):
    values = {"descending": descending}
    calls = [Call("argsort", [numbers(t, 3, 40)], values) for t in (*NUMBERS, "bool")]
    odd = np.array([2, np.nan, -np.inf, 0.0, -0.0, np.inf, np.nan, -3], np.float32)
    calls += [Call("argsort", [odd.astype(t)], values) for t in (np.float32, np.float64, np.float16)]
    extremes = np.array([2**64 - 1, 0, 2**63, 5], np.uint64)
    calls += [Call("argsort", [extremes], values), Call("argsort", [extremes.view(np.int64)], values)]
    check_all(calls)


@pytest.mark.parametrize("cc", ["gcc", "clang"])
def test_shapes(cc: str):
    calls: list[Call] = []
    for size in (0, 1, 2, 15, 16, 17, 31, 33, 64, 100, 1000):
        calls += [
            Call("argsort", [RNG.standard_normal(size).astype(np.float32)]),
            Call("sort", [numbers("i8", size)]),
        ]
    for axis in (0, 1, 2):
        calls.append(Call("sort", [RNG.standard_normal((4, 35, 3))], {"axis": axis, "descending": True}))
        calls.append(Call("argsort", [numbers("i16", 5, 18, 2)], {"axis": axis}))
    check_all(calls, cc)


@pytest.mark.parametrize("threads", [1, 3])
def test_in_a_program(threads: int):
    """Operands that are views, computed, or read elsewhere; symbolic sizes."""
    text = """
dim N = 8 in 0..200
fn main(x: f32[N, 6]) -> (f32[2, N], i64[2, N], i64[6, N], f32[N, 6], i64[3, 6]) {
  y = x * 2
  s = sort(x, axis=0)
  return transpose(s[:, 0:2], [1, 0]), argsort(transpose(x[:, 0:2], [1, 0])), argsort(transpose(x, [1, 0]), descending=true), y, argsort(constant([[3, 1, 2, 0, 5, 4], [1, 1, 0, 0, 1, 1], [6, 5, 4, 3, 2, 1]], i32))
}
"""
    model = irkit_compile(text, threads=threads)
    for size in (8, 0, 200):
        x = RNG.standard_normal((size, 6)).astype(np.float32)
        a, b, c, y, d = model(x)
        np.testing.assert_array_equal(a, np.sort(x, axis=0)[:, :2].T)
        np.testing.assert_array_equal(b, np.argsort(x[:, :2].T, axis=1, kind="stable"))
        np.testing.assert_array_equal(c, np.argsort(-x.T, axis=1, kind="stable"))
        np.testing.assert_array_equal(y, x * 2)
        np.testing.assert_array_equal(d, [[3, 1, 2, 0, 5, 4], [2, 3, 0, 1, 4, 5], [5, 4, 3, 2, 1, 0]])


def test_top_k():
    text = """
fn main(x: f32[5, 30]) -> (f32[5, 4], i64[5, 4], f32[2, 30], i64[2, 30]) {
  a, b = top_k(x, 4)
  c, d = top_k(x, 2, axis=0, largest=false)
  return a, b, c, d
}
"""
    x = RNG.integers(0, 9, (5, 30)).astype(np.float32)
    a, b, c, d = irkit_compile(text)(x)
    places = np.argsort(-x, axis=1, kind="stable")[:, :4]
    np.testing.assert_array_equal(b, places)
    np.testing.assert_array_equal(a, np.take_along_axis(x, places, 1))
    places = np.argsort(x, axis=0, kind="stable")[:2]
    np.testing.assert_array_equal(d, places)
    np.testing.assert_array_equal(c, np.take_along_axis(x, places, 0))


def test_what_does_not_fit_is_told():
    with pytest.raises(IrkitError, match="there are no 6 elements in a dim of size 5"):
        op_of("top_k", [tensor("f32", [3, 5])], k=6)
    with pytest.raises(IrkitError, match="argsort has no c64 form"):
        op_of("argsort", [tensor("c64", [3])])
