"""graph-recognise keeps the numbers of what its lit tests hold, and takes no longer for each op of a longer program."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp

from dialects.graph import GraphOp
from irkit.checking import random_inputs
from irkit.lang import parse, to_graph
from lowering.graph.cse import GraphCse
from lowering.graph.interpret import run_graph
from lowering.graph.recognise import GraphRecognise
from lowering.graph.simplify import GraphSimplify
from tests.growth import growth

FILES = sorted((Path(__file__).parents[2] / "lit_tests" / "graph").glob("graph-recognise*.tg"))


def module_of(text: str) -> ModuleOp:
    module = to_graph(parse(text, "test.tg"))
    for step in (GraphSimplify, GraphCse):
        step().apply(Context(), module)
    return module


def recognised(module: ModuleOp) -> dict[str, int]:
    step = GraphRecognise()
    step.apply(Context(), module)
    return step.stats


def functions() -> Iterator[object]:
    for file in FILES:
        for text in file.read_text(encoding="utf-8").split("// -----"):
            yield pytest.param(text, id=text.partition("fn ")[2].partition("(")[0])


@pytest.mark.parametrize("text", list(functions()))
def test_numbers_are_kept(text: str):
    """Also where some of them are NaN or infinite, on several inputs; scales are finite, as TensorFlow's form of a norm is
    NaN with infinite ones."""
    module = module_of(text)
    (func,) = module.ops
    assert isinstance(func, FuncOp)
    inputs = [random_inputs(func, {}, seed, special=seed > 0) for seed in range(3)]
    for arrays in inputs:
        arrays.update((n, np.nan_to_num(a, posinf=1, neginf=1)) for n, a in arrays.items() if n == "g")
    before = [run_graph(func, arrays) for arrays in inputs]
    recognised(module)
    for arrays, expected in zip(inputs, before, strict=True):
        for found, wanted in zip(run_graph(func, arrays), expected, strict=True):
            assert found.dtype == wanted.dtype
            slack = 4e-3 if found.dtype == np.float16 else 2e-5
            np.testing.assert_allclose(
                *(a.astype(np.float64) for a in (found, wanted)), rtol=slack, atol=slack
            )


def test_a_schedule_is_kept():
    text = "fn f(x: f32[9]) -> f32[9] {\n  e = exp(-x)\n  return x / (1 + e)\n}"
    assert recognised(module_of(text)) == {"silu_of_exp": 1}
    module = module_of(text)
    exp = next(op for op in module.walk() if op.name == "graph.exp")
    exp.attributes["graph.schedule"] = exp.attributes.get("graph.schedule", exp.results[0].type)
    assert not recognised(module)


def test_what_is_recognised_has_the_location_of_all_that_it_stands_for():
    module = module_of("fn f(x: f32[9]) -> f32[9] {\n  e = exp(-x)\n  s = 1 + e\n  return x / s\n}")
    recognised(module)
    (op,) = (o for o in module.walk() if isinstance(o, GraphOp))
    assert op.name == "graph.silu"
    assert all(f'test.tg":{line}:' in str(op.location) for line in (2, 3, 4))


def test_symbolic_dims():
    text = """dim B = 4 in 1..64
fn f(x: f32[B, 2*B], q: f32[B, 8], k: f32[B, 8], m: bool[B, B]) -> (f32[B, 2*B], f32[B, 8]) {
  c = x - mean(x, axis=-1, keepdims=true)
  n = c / sqrt(mean(c * c, axis=-1, keepdims=true) + 1e-5)
  return n, softmax(where(m, q @ transpose(k), -inf)) @ k
}"""
    assert recognised(module_of(text)).keys() == {"layer_norm", "attention"}


BLOCK = """  c{i} = x{i} - mean(x{i}, axis=-1, keepdims=true)
  n{i} = c{i} / sqrt(mean(c{i} ** 2, axis=-1, keepdims=true) + 1e-5) * g + b
  h{i} = n{i} @ w
  s{i} = softmax(h{i} @ transpose(h{i}) * 0.25) @ h{i}
  x{j} = x{i} + s{i} * 0.5 * (1 + erf(s{i} / 1.41421356))
"""


def test_work_is_linear():
    def work(count: int):
        lines = "".join(BLOCK.format(i=i, j=i + 1) for i in range(count))
        head = "fn f(x0: f32[8, 16], w: f32[16, 16], g: f32[16], b: f32[16]) -> f32[8, 16] {\n"
        module = module_of(f"{head}{lines}  return x{count}\n}}")
        return lambda: recognised(module)

    assert growth(work, 10, 40) < 1.2
