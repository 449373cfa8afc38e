"""loop-prefetch: what asks for the next row asks for nothing outside of an array, and leaves the numbers as they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp

from dialects.dims import DimsAttr
from dialects.errors import IrkitError
from dialects.loop import FuncOp, LoadOp, PrefetchOp
from irkit.api import lower
from irkit.runtime.module import Program
from lowering.loop.interpret import run_function
from lowering.loop.prefetch import ask_ahead
from lowering.target import AVX2
from tests.ops.harness import built
from tests.ops.test_contractions import normal

CRAMPED = replace(AVX2, l1=1 << 10, l2=4 << 10)
"""A machine whose caches hold next to nothing."""

BODIES = {
    "softmax": "softmax(x)",
    "log_softmax": "log_softmax(x)",
    "layer_norm": "layer_norm(x, x[0, 0] * 0 + 1, x[0, 0] * 0)",
    "centred": "x - mean(x, axis=-1, keepdims=true)",
}

TEXTS = {
    **{
        name: f"fn main(x: f32[2, 3, 259]) -> f32[2, 3, 259] {{ return {body} }}"
        for name, body in BODIES.items()
    },
    "symbols": """dim B = 5 in 1..9
dim N = 259 in 1..300
fn main(x: f32[B, N]) -> f32[B, N] { return softmax(x) }""",
}


def asking(text: str, target: str) -> ModuleOp:
    """A module of the loop level that asks for rows ahead."""
    module = lower(text, "loop", target=target)
    for func in functions(module):
        ask_ahead(func, CRAMPED)
    assert prefetches(module), "nothing asks for anything"
    return module


def functions(module: ModuleOp) -> list[FuncOp]:
    return [op for op in module.ops if isinstance(op, FuncOp)]


def prefetches(module: ModuleOp) -> list[PrefetchOp]:
    return [op for op in module.walk() if isinstance(op, PrefetchOp)]


def data(name: str) -> np.ndarray:
    return normal(5, 259) if name == "symbols" else normal(2, 3, 259)


@pytest.mark.parametrize("name", TEXTS)
def test_c_has_the_same_numbers(name: str):
    x, results = data(name), []
    for module in (lower(TEXTS[name], "loop"), asking(TEXTS[name], "native")):
        spec, library = built(module, start="loop")
        results.append(
            (spec.source.count("__builtin_prefetch("), *[Program(spec, library, None, t)(x) for t in (1, 3)])
        )
    (none, plain, _), (some, one, three) = results
    assert not none and some
    np.testing.assert_array_equal(one, plain)
    np.testing.assert_array_equal(three, plain)


@pytest.mark.parametrize("name", ["softmax", "centred"])
def test_only_elements_of_the_array_are_asked_for(name: str):
    """The interpreter looks at each place; one row further is one too many."""
    (func,) = functions(module := asking(TEXTS[name], "avx2"))
    x, y = normal(2, 3, 259), np.zeros((2, 3, 259), np.float32)
    run_function(func, [x, y], {}, threads=2)
    (op, *_) = prefetches(module)
    assert isinstance(op.prev_op, LoadOp)
    pairs = zip(op.index.data, op.prev_op.index.data, strict=True)
    op.properties["index"] = DimsAttr(tuple(far + int(far != near) for far, near in pairs))
    with pytest.raises(IrkitError, match=r"'loop\.prefetch' at .* leaves dim"):
        run_function(func, [x, y], {}, threads=2)


@pytest.mark.parametrize("target", ["avx2", "c99", "cuda"])
@pytest.mark.parametrize("body", ["exp(x)", "sum(x * x, axis=1)", "softmax(x, axis=0)"])
def test_one_sweep_asks_for_nothing(body: str, target: str):
    result = "f32[4096]" if body.startswith("sum") else "f32[4096, 1024]"
    module = lower(f"fn main(x: f32[4096, 1024]) -> {result} {{ return {body} }}", "loop", target=target)
    assert not prefetches(module)


@pytest.mark.parametrize(("rows", "asks"), [(4096, True), (128, False)])
@pytest.mark.parametrize("body", BODIES.values())
def test_large_arrays_are_asked_for_by_the_pipeline(body: str, rows: int, asks: bool):
    text = f"fn main(x: f32[{rows}, 1, 1024]) -> f32[{rows}, 1, 1024] {{ return {body} }}"
    assert bool(prefetches(lower(text, "loop", target="avx2"))) == asks
