"""Reverse mode of every op, of index notation and of control flow, against central differences."""

from __future__ import annotations

import numpy as np
import pytest

from irkit.gradients import reverse_function
from lowering.graph.interpret import argument_names, run_graph
from tests.derivatives.cases import CASES
from tests.derivatives.numeric import central_differences, float_names, floats_of, function_of, inputs_of


@pytest.mark.parametrize("name", CASES)
def test_cotangents(name: str):
    func = function_of(CASES[name])
    arrays, wrt = inputs_of(func), float_names(func)
    plain = run_graph(func, arrays)
    rng = np.random.default_rng(1)
    seeds = [rng.standard_normal(r.shape) for r in floats_of(plain)]
    found = run_graph(reverse_function(func, wrt), [*arrays, *seeds])
    for a, b in zip(plain, found, strict=False):
        np.testing.assert_array_equal(a, b)
    names = argument_names(func)
    for arg, cotangent in zip(wrt, found[len(plain) :], strict=True):
        expected = central_differences(func, arrays, seeds, names.index(arg))
        scale = 1 + np.abs(expected).max(initial=0)
        np.testing.assert_allclose(cotangent / scale, expected / scale, atol=1e-7)


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("value", "x", "expected"),
    [
        ("hardswish(x)", [-3, 3, 0], [0, 1, 0.5]),
        ("abs(x)", [0, -2, 3], [0, -1, 1]),
        ("relu(x)", [0, -2, 3], [0, 0, 1]),
        ("maximum(x, 0.0)", [0, -2, 3], [0.5, 0, 1]),
        ("logsumexp(x)", [1, NAN, 2], [NAN] * 3),
        ("logsumexp(x)", [-INF] * 3, [0] * 3),
        ("l2(x)", [0] * 3, [0] * 3),
        ("std(x)", [2] * 3, [0] * 3),
    ],
)
def test_corners(value: str, x: list[float], expected: list[float]):
    """What is chosen where there is no derivative, as torch has it but for rows of nothing but -inf."""
    func = function_of(f"fn main(x: f64[3]) -> f64 {{ return sum({value}) }}")
    with np.errstate(all="ignore"):
        found = run_graph(reverse_function(func, ["x"]), [np.array(x, np.float64), np.array(1.0)])
    np.testing.assert_array_equal(found[-1], expected)
