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
from lowering.graph.recognise.match import MOST_OPS, factors_of
from lowering.graph.simplify import GraphSimplify
from tests.growth import growth

FILES = sorted((Path(__file__).parents[2] / "lit_tests" / "graph").glob("graph-recognise*.tg"))


def module_of(text: str) -> ModuleOp:
    module = to_graph(parse(text, "test.tg"))
    for step in (GraphSimplify, GraphCse):
        step().apply(Context(), module)
    return module


def recognised(module: ModuleOp, fast_math: bool = False) -> dict[str, int]:
    step = GraphRecognise(fast_math)
    step.apply(Context(), module)
    return step.stats


def functions() -> Iterator[object]:
    for file in FILES:
        for text in file.read_text(encoding="utf-8").split("// -----"):
            yield pytest.param(text, "fast" in file.name, id=text.partition("fn ")[2].partition("(")[0])


@pytest.mark.parametrize(("text", "fast"), list(functions()))
def test_numbers_are_kept(text: str, fast: bool):
    """Also where some of them are NaN or infinite, on several inputs, but with fast math; scales are finite, as TensorFlow's
    form of a norm is NaN with infinite ones."""
    module = module_of(text)
    (func,) = module.ops
    assert isinstance(func, FuncOp)
    inputs = [random_inputs(func, {}, seed, special=seed > 0 and not fast) for seed in range(3)]
    for arrays in inputs:
        arrays.update((n, np.nan_to_num(a, posinf=1, neginf=1)) for n, a in arrays.items() if n == "g")
    before = [run_graph(func, arrays) for arrays in inputs]
    recognised(module, fast)
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


ATTENTION = """main(q: {t}[2, 64], k: {t}[3, 64], v: {t}[3, 4]) -> {t}[2, 4] {{
  return softmax(q @ transpose(k) {by}) @ v
}}"""
SIGMOID = "main(x: {t}[5]) -> {t}[5] {{ return {top} / ({one} + exp(-x)) }}"
GELU = "main(x: {t}[5]) -> {t}[5] {{ return x * 0.5 * (1 + erf(x {by})) }}"
MEAN = "main(x: {t}[3]) -> {t} {{ return sum(x) * {by} }}"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (SIGMOID.format(t="bf16", top=1, one=1.015625), None),
        (SIGMOID.format(t="f8e4m3", top=1.5, one=1.25), None),
        (SIGMOID.format(t="f32", top=1, one=1.0000001), "sigmoid"),
        (GELU.format(t="bf16", by="/ 1.41421356"), "gelu"),
        (GELU.format(t="bf16", by="* 0.70710678"), "gelu"),
        (GELU.format(t="bf16", by="* 0.703125"), None),
        (GELU.format(t="bf16", by="/ 1.421875"), None),
        (MEAN.format(t="f64", by="0.3333336"), None),
        (MEAN.format(t="f64", by="0.3333333333333333"), "mean"),
        (MEAN.format(t="f32", by="0.3333336"), None),
        (MEAN.format(t="f32", by="0.33333333"), "mean"),
        (MEAN.format(t="f16", by="0.33333333"), "mean"),
        (MEAN.format(t="f16", by="0.3340"), None),
    ],
)
def test_numbers_are_equal_by_the_dtype(text: str, rule: str | None):
    """In bf16 the number next to one is 0.8 % off; in f64 a factor that is right to six digits is another."""
    assert recognised(module_of(f"fn {text}")) == ({rule: 1} if rule else {})


@pytest.mark.parametrize(
    ("by", "scale"), [("* 0.122", 0.12207), ("* 0.125", 0.125), ("* 0.128", 0.12793), ("/ 8", 0.125)]
)
def test_a_scale_of_small_floats_is_kept(by: str, scale: float):
    module = module_of(f"fn {ATTENTION.format(t='bf16', by=by)}")
    assert recognised(module) == {"attention": 1}
    (found,) = (o.values()["scale"] for o in module.walk() if isinstance(o, GraphOp) and "scale" in o.PARAMS)
    assert found == pytest.approx(scale, rel=1e-4)


@pytest.mark.parametrize(
    "formula", ["square(x * 1e200) * 2.0", "reciprocal(x * 1e-310) * 2.0", "x * 1e200 * 1e200"]
)
def test_a_coefficient_out_of_range_is_none(formula: str):
    module = module_of(f"fn f(x: f64[4]) -> f64[4] {{ return {formula} }}")
    assert not recognised(module)
    assert factors_of(list(module.walk())[-1].operands[0], 2) is None


def test_a_long_chain_is_not_taken_apart_as_a_whole():
    chain = "  h = h * s\n" * (4 * MOST_OPS)
    module = module_of(f"fn f(x: f32[4], s: f32[4]) -> f32[4] {{\n  h = x\n{chain}  return h\n}}")
    found = factors_of(list(module.walk())[-1].operands[0], 2)
    assert found is not None and len(found.ops) == MOST_OPS


@pytest.mark.parametrize(
    "text",
    [
        "(x: f32[4, 6]) -> f32[2, 2] { return reshape(sum(x, axis=1), [2, 2]) }",
        "(q: f32[2, 4, 8], k: f32[8, 4], v: f32[4, 8]) -> f32[2, 4, 8] { return softmax(q @ k) @ v }",
        "(x: f32[2, 6, 4], g: f32[6, 1]) -> f32[2, 6, 4] {\n"
        "  n = layer_norm(reshape(x, [2, 4, 6]), ones([6], f32), zeros([6], f32))\n"
        "  return reshape(n, [2, 6, 4]) * g\n}",
    ],
)
def test_what_is_tried_and_discarded_uses_nothing(text: str):
    module = module_of(f"fn f{text}")
    recognised(module)
    values = [
        v
        for o in module.walk()
        for v in (*o.results, *(a for r in o.regions for b in r.blocks for a in b.args))
    ]
    assert all(use.operation.parent is not None for v in values for use in v.uses)


def test_log_softmax_of_a_row_with_infinity_is_nan():
    """The one place, besides that of layer norm, where numbers change, as the pass says."""
    module = module_of("fn f(x: f32[1, 3]) -> f32[1, 3] { return x - logsumexp(x, axis=1, keepdims=true) }")
    (func,) = module.ops
    assert isinstance(func, FuncOp)
    x = {"x": np.array([[np.inf, 0, 1]], np.float32)}
    with np.errstate(invalid="ignore"):
        (before,) = run_graph(func, x)
        assert recognised(module) == {"log_softmax": 1}
        (after,) = run_graph(func, x)
    np.testing.assert_array_equal(before, [[np.nan, -np.inf, -np.inf]])
    assert np.isnan(after).all()
