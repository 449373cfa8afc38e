"""Programs drawn at random, differentiated: reverse mode in compiled C against central differences of the references.

Values are used again and again, by ops of all kinds, in loops and choices; five losses share a C file.
"""

from __future__ import annotations

import numpy as np
import pytest

import irkit
from lowering.graph.interpret import run_graph
from tests.derivatives.numeric import STEP, function_of

LINES = (
    "{t} = tanh({a}) * {b}",
    "{t} = {a} + 0.5 * {b}",
    "{t} = {a} - {b} * {b}",
    "{t} = {a} / (1.5 + {b} * {b})",
    "{t} = gelu({a}) + sigmoid({b})",
    "{t} = softmax({a}) * {b}",
    "{t} = where({a} > {b}, sin({a}), {b})",
    "{t} = maximum({a}, {b}) * 0.7",
    "{t} = {a} * mean({b}, axis=1, keepdims=true)",
    "{t} = {a} * max({b}, axis=0, keepdims=true)",
    "{t} = transpose({a}, [1, 0]) @ {b} * 0.3",
    "{t} = tanh({a} @ {b})",
    "{t} = layer_norm({a}, {b}[0], {b}[1])",
    "{t} = concat({a}[1:], {b}[:1], axis=0)",
    "{t} = cumsum({a}, axis=1) * 0.2 + roll({b}, 1)",
    "{t} = sort({a}, axis=1) + flip({b})",
    "{t} = {a}[rows] + {b}",
    "{t}[i, j] = {a}[i-1, j] + {a}[i, j+1] * {b}[i, j], boundary=clamp",
    "{t}[i, j] = sum(k) {a}[i, k] * {b}[j, k] * 0.3",
    "{t} = {a}\n  for n in 0..3 with {t} {{\n    {t} = sin({t}) * {b} + {t} * 0.1\n  }}",
    "{t} = {b}\n  if sum({a}) > 0 with {t} {{\n    {t} = {t} * {a}\n  }} else {{\n    {t} = {t} - {a}\n  }}",
    "{t} = {b} + 0.1 * {a}\n  while max(abs({t})) > 1.5 max 8 with {t} {{\n    {t} = {t} * 0.7 + 0.05 * {a}\n  }}",
)
"""Statements that make a new value t of two old ones, all f64[4, 4]."""


def losses(seed: int, count: int = 5, length: int = 5) -> str:
    """A file of losses of the same inputs, and one function that gives them all with their gradients."""
    rng = np.random.default_rng(seed)
    head = "x: f64[4, 4], y: f64[4, 4], rows: i32[4]"
    text, calls, results, types = [], [], [], []
    for number in range(count):
        names, lines = ["x", "y"], []
        for step in range(length):
            a, b = rng.choice(names, 2)
            name = f"v{step}"
            lines.append("  " + str(rng.choice(LINES)).format(t=name, a=a, b=b))
            names.append(name)
        total = " + ".join(f"mean({n} * {k + 1})" for k, n in enumerate(names[2:]))
        text.append(f"fn loss{number}({head}) -> f64 {{\n" + "\n".join(lines) + f"\n  return {total}\n}}\n")
        text.append(f"fn grad{number} = value_and_grad(loss{number}, wrt=[x, y])\n")
        calls.append(f"  l{number}, dx{number}, dy{number} = grad{number}(x, y, rows)")
        results += [f"l{number}", f"dx{number}", f"dy{number}"]
        types += ["f64", "f64[4, 4]", "f64[4, 4]"]
    main = f"fn main({head}) -> ({', '.join(types)}) {{\n" + "\n".join(calls)
    return "\n".join(text) + main + f"\n  return {', '.join(results)}\n}}\n"


@pytest.mark.parametrize("seed", [pytest.param(n, marks=[pytest.mark.slow] * (n > 0)) for n in range(25)])
def test_compiled_gradients(seed: int):
    text = losses(seed)
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((2, 4, 4))
    rows = rng.integers(-4, 4, 4).astype(np.int32)
    found = irkit.compile(text, "main", threads=1 + seed % 2)(x, y, rows)
    for number in range(len(found) // 3):
        value, dx, dy = found[3 * number : 3 * number + 3]
        func = function_of(text, f"loss{number}")
        (expected,) = run_graph(func, [x, y, rows])
        np.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-12)
        along = rng.standard_normal((2, 4, 4))
        ends = [
            [float(run_graph(func, [x + s * along[0], y + s * along[1], rows])[0]) for s in (h, -h)]
            for h in (STEP, STEP / 4)
        ]
        slopes = [(a - b) / (2 * h) for (a, b), h in zip(ends, (STEP, STEP / 4), strict=True)]
        terms = float(np.sum(np.abs(dx * along[0])) + np.sum(np.abs(dy * along[1])))
        if abs(slopes[0] - slopes[1]) < 1e-5 * (1 + terms):  # else a corner lies between
            slope = float(np.sum(dx * along[0]) + np.sum(dy * along[1]))
            assert abs(slope - slopes[0]) < 1e-4 * (1 + terms), (number, slope, slopes)
