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
