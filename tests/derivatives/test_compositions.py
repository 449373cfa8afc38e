"""Derivatives of derivatives: both modes over both modes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from xdsl.dialects.func import FuncOp

from irkit.gradients import forward_function, reverse_function
from lowering.graph.interpret import run_graph
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

SAMPLE = [(n, reverse_function) for n in CASES] + [(n, forward_function) for n in list(CASES)[::3]]


def directional(func: FuncOp, arrays: Sequence[Array], along: Sequence[Array]) -> list[Array]:
    """How the float results change along a direction of the float arguments, by central differences."""
    ends: list[list[Array]] = []
    for size in (STEP, -STEP):
        rest = iter(along)
        moved = [a + size * next(rest) if a.dtype.kind == "f" else a for a in arrays]
        ends.append(floats_of(run_graph(func, moved)))
    return [(high - low) / (2 * STEP) for high, low in zip(*ends, strict=True)]


@pytest.mark.parametrize(("name", "first"), SAMPLE)
def test_second_derivatives(name: str, first: Callable[..., FuncOp]):
    """Forward mode over a derivative against central differences; reverse mode against forward mode."""
    func = function_of(CASES[name])
    check_second(func, first, inputs_of(func))


@pytest.mark.parametrize("zeros", [1, 2, 3])
@pytest.mark.parametrize("name", ["prod1", "prod02k", "scatteromul", "scatteramul", "cumprod(x)"])
def test_second_derivatives_of_products_with_zeros(name: str, zeros: int):
    """Also where a factor is zero, which a quotient says nothing of."""
    func = function_of(CASES[name])
    arrays = inputs_of(func)
    for array in arrays:
        if array.dtype.kind == "f":
            array.reshape(-1)[: 2 * zeros : 2] = 0
    check_second(func, reverse_function, arrays)


def check_second(func: FuncOp, first: Callable[..., FuncOp], given: Sequence[Array]) -> None:
    """Checks both modes over a derivative of a function at these arguments."""
    once = first(func, float_names(func))
    once.verify()
    rng = np.random.default_rng(3)
    more = once.body.block.args[len(given) :]
    arrays = [*given, *(rng.standard_normal(a.type.get_shape()) for a in more)]  # pyright: ignore
    along = [rng.standard_normal(a.shape) for a in arrays if a.dtype.kind == "f"]
    wrt = float_names(once)
    plain = run_graph(once, arrays)
    tangents = run_graph(differentiated(forward_function(once, wrt)), [*arrays, *along])[len(plain) :]
    for tangent, expected in zip(tangents, directional(once, arrays, along), strict=True):
        scale = 1 + np.abs(expected).max(initial=0)
        np.testing.assert_allclose(tangent / scale, expected / scale, atol=1e-6)
    seeds = [rng.standard_normal(t.shape) for t in tangents]
    cotangents = run_graph(reverse_function(once, wrt), [*arrays, *seeds])[len(plain) :]
    by_forward = sum(float((s * t).sum()) for s, t in zip(seeds, tangents, strict=True))
    by_reverse = sum(float((c * d).sum()) for c, d in zip(cotangents, along, strict=True))
    np.testing.assert_allclose(by_forward, by_reverse, rtol=1e-8, atol=1e-8)
