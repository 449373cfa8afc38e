"""Cholesky factors and triangular systems through compiled C, against NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

from dialects.errors import IrkitError
from dialects.types import tensor
from irkit import compile as irkit_compile
from tests.graph.samples import op_of
from tests.ops.harness import Call, check_all

RNG = np.random.default_rng(0)


def positive(*shape: int) -> np.ndarray:
    x = RNG.standard_normal(shape)
    return x @ np.swapaxes(x, -1, -2) + shape[-1] * np.eye(shape[-1])


def triangle(*shape: int) -> np.ndarray:
    """Well conditioned, with something in the half that is not read."""
    return RNG.standard_normal(shape) / shape[-1] + 2 * np.eye(shape[-1])


def test_in_c():
    calls = []
    for t in (np.float64, np.float32):
        calls += [
            Call("cholesky", [positive(*s).astype(t)])
            for s in ((1, 1), (5, 5), (3, 17, 17), (2, 2, 4, 4), (0, 0))
        ]
        for lower in (True, False):
            for a, b in (
                ((4, 4), (4, 1)),
                ((3, 9, 9), (3, 9, 20)),
                ((2, 2, 3, 3), (2, 2, 3, 5)),
                ((2, 2), (2, 0)),
            ):
                calls.append(
                    Call(
                        "triangular_solve",
                        [triangle(*a).astype(t), RNG.standard_normal(b).astype(t)],
                        {"lower": lower},
                    )
                )
    calls.append(Call("cholesky", [np.array([[1, 2], [2, 1]], np.float32)]))
    check_all(calls, ulps=64)


@pytest.mark.parametrize("threads", [1, 3])
def test_a_system_is_solved(threads: int):
    text = """
dim N = 8 in 1..40
fn main(a: f64[N, N], b: f64[N, 3]) -> f64[N, 3] {
  l = cholesky(a)
  return triangular_solve(transpose(l), triangular_solve(l, b), lower=false)
}
"""
    solve = irkit_compile(text, threads=threads)
    for n in (1, 8, 40):
        a, b = positive(n, n), RNG.standard_normal((n, 3))
        np.testing.assert_allclose(solve(a, b), np.linalg.solve(a, b), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "types", "message"),
    [
        ("cholesky", [("f32", [3, 4])], "takes square matrices"),
        ("cholesky", [("i32", [3, 3])], "has no i32 form"),
        ("triangular_solve", [("f32", [3, 3]), ("f32", [4, 1])], "does not fit"),
    ],
)
def test_what_does_not_fit_is_told(name: str, types: list, message: str):
    with pytest.raises(IrkitError, match=message):
        op_of(name, [tensor(d, s) for d, s in types])
