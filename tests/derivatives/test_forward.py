"""Forward mode of every op, of index notation and of control flow: against central differences, and against reverse mode."""

from __future__ import annotations

import numpy as np
import pytest

from irkit.gradients import forward_function, reverse_function
from lowering.graph.interpret import argument_names, run_graph
from tests.derivatives.cases import CASES
from tests.derivatives.numeric import (
    STEP,
    Array,
    differentiated,
    float_names,
    floats_of,
    function_of,
    inputs_of,
)


@pytest.mark.parametrize("name", CASES)
def test_tangents(name: str):
    func = function_of(CASES[name])
    arrays, wrt, names = inputs_of(func), float_names(func), argument_names(func)
    places = [names.index(n) for n in wrt]
    rng = np.random.default_rng(2)
    along = [rng.standard_normal(arrays[p].shape) for p in places]
    plain = run_graph(func, arrays)
    found = run_graph(differentiated(forward_function(func, wrt)), [*arrays, *along])
    for a, b in zip(plain, found, strict=False):
        np.testing.assert_array_equal(a, b)
    tangents = found[len(plain) :]

    def moved(size: float) -> list[Array]:
        changed = list(arrays)
        for place, direction in zip(places, along, strict=True):
            changed[place] = changed[place] + size * direction
        return floats_of(run_graph(func, changed))

    for tangent, high, low in zip(tangents, moved(STEP), moved(-STEP), strict=True):
        expected = (high - low) / (2 * STEP)
        scale = 1 + np.abs(expected).max(initial=0)
        np.testing.assert_allclose(tangent / scale, expected / scale, atol=1e-7)

    seeds = [rng.standard_normal(t.shape) for t in tangents]
    cotangents = run_graph(reverse_function(func, wrt), [*arrays, *seeds])[len(plain) :]
    by_forward = sum(float((s * t).sum()) for s, t in zip(seeds, tangents, strict=True))
    by_reverse = sum(float((c * d).sum()) for c, d in zip(cotangents, along, strict=True))
    np.testing.assert_allclose(by_forward, by_reverse, rtol=1e-9, atol=1e-9)
