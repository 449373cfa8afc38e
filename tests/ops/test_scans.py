"""Cumulative ops through compiled C: dtypes, dims, directions, sizes around the vector width."""

from __future__ import annotations

import numpy as np
import pytest

from dialects.graph.scan import KINDS
from dialects.types import np_dtype
from irkit import compile as irkit_compile
from tests.graph.samples import NUMBERS
from tests.ops.harness import Call, check_all

RNG = np.random.default_rng(0)


def numbers(dtype: str, *shape: int) -> np.ndarray:
    if dtype[0] in "iu":
        return RNG.integers(0 if dtype[0] == "u" else -9, 10, shape).astype(np_dtype(dtype))
    return RNG.uniform(-1.5, 1.5, shape).astype(np.float32).astype(np_dtype(dtype))


@pytest.mark.parametrize("name", KINDS)
def test_dtypes_and_directions(name: str):
    calls = [Call(name, [numbers(t, 3, 11)]) for t in NUMBERS]
    for axis in (0, 1, 2):
        for reverse in (False, True):
            for exclusive in (False, True):
                values = {"axis": axis, "reverse": reverse, "exclusive": exclusive}
                calls.append(Call(name, [numbers("f32", 3, 4, 5)], values))
                calls.append(Call(name, [numbers("i16", 2, 7, 17)], values))
    check_all(calls)


@pytest.mark.parametrize("cc", ["gcc", "clang"])
def test_shapes(cc: str):
    shapes = [(1,), (7,), (0,), (0, 3), (3, 0), (1, 5), (5, 1), (4, 33), (33, 4), (2, 3, 1, 16)]
    calls: list[Call] = []
    for shape in shapes:
        for axis in range(len(shape)):
            for exclusive in (False, True):
                calls.append(Call("cumsum", [numbers("i32", *shape)], {"axis": axis, "exclusive": exclusive}))
                calls.append(Call("cummax", [numbers("f32", *shape)], {"axis": axis, "reverse": exclusive}))
    nan = np.array([1, 5, np.nan, 2, np.inf], np.float32)
    calls += [Call(name, [nan]) for name in KINDS]
    check_all(calls, cc)


def test_threads_symbols_and_neighbours():
    text = """
dim B = 4 in 0..64
dim N = 8 in 1..64
fn main(x: f32[B, N]) -> (f32[B, N], f32[B, N], f32[B, N]) {
  y = cumsum(exp(x), axis=0)
  return y, cumsum(x, reverse=true) * 2, cumprod(y - y, axis=1, exclusive=true)
}
"""
    for threads in (1, 3):
        model = irkit_compile(text, threads=threads)
        for shape in ((4, 8), (0, 3), (7, 33), (64, 1)):
            x = numbers("f32", *shape)
            a, b, c = model(x)
            np.testing.assert_allclose(a, np.cumsum(np.exp(x), axis=0), rtol=1e-5)
            np.testing.assert_allclose(b, np.cumsum(x[:, ::-1], axis=1)[:, ::-1] * 2, rtol=1e-5, atol=1e-5)
            assert (c[:, :1] == 1).all() and not c[:, 1:].any()
