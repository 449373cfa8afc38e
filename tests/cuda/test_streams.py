"""Random graphs with branches that do not depend on one another, as programs whose tasks run in random legal orders."""

from __future__ import annotations

import ctypes
import random

import numpy as np
import pytest

from dialects.buffer import BarrierOp
from irkit import pipeline
from irkit.lang import parse, to_graph
from irkit.runtime import cache
from irkit.runtime.cuda.program import CudaProgram
from irkit.runtime.cuda.setup import set_up
from lowering.cuda.emit import emit_cuda_program
from lowering.graph.interpret import run_graph
from lowering.target import get_target
from tests.cuda.machine import ORDERS
from tests.cuda.test_device_programs import reference
from tests.rotating import change

SEEDS = (1, change())
MIXED = range(3, 11)
"""Orders of tasks by number: each is another one, and each is legal."""

OPS = (
    "softmax({})",
    "softmax({}, axis=0)",
    "{} @ {}",
    "cumsum({}, axis=0)",
    "sum({}, axis=1, keepdims=true) * {}",
    "tanh({}) @ {}",
)


def text_of(seed: int) -> str:
    """Branches of a few steps each, which now and then take a value of another one, and meet at the end."""
    rng = random.Random(seed)
    branches = [["x"], ["y"], *([rng.choice("xy")] for _ in range(rng.randint(1, 3)))]
    lines: list[str] = []
    for step in range(rng.randint(8, 14)):
        branch = rng.choice(branches)
        other = rng.choice(rng.choice(branches)) if rng.random() < 0.3 else branch[-1]
        op = rng.choice(OPS)
        lines.append(f"  v{step} = {op.format(*([branch[-1], other][: op.count('{}')]))} * 0.5")
        branch.append(f"v{step}")
    ends = [branch[-1] for branch in branches]
    types = ", ".join(["f32[9, 9]"] * len(ends))
    body = "\n".join(lines)
    return f"fn main(x: f32[9, 9], y: f32[9, 9]) -> ({types}) {{\n{body}\n  return {', '.join(f'{e} + 1' for e in ends)}\n}}\n"


def program_of(text: str, without: int | None = None) -> tuple[CudaProgram, int]:
    """A program, and how many barriers it has; one of them may be left out."""
    module = to_graph(parse(text, "test.tg"))
    pipeline.run_passes(module, pipeline.passes_cuda("graph", "cuda"), pipeline.context())
    barriers = [op for op in module.walk() if isinstance(op, BarrierOp)]
    if without is not None:
        barriers[without].detach()
    spec, setup = emit_cuda_program(module, get_target("cuda")), set_up("cuda:cpu", None)
    return CudaProgram(spec, cache.library(spec, setup.compiler, ()), setup.machine), len(barriers)


def results(program: CudaProgram, inputs: list[np.ndarray], order: int) -> list[np.ndarray]:
    ctypes.c_int.in_dll(program._native.library, "irk_cpu_order").value = order
    call = program.prepare(*inputs)
    for _ in range(3):  # the last time as a graph
        for result in call.results:
            result.fill(np.nan)
        call.run()
    return [r.copy() for r in call.results]


def inputs_of(seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.uniform(-1, 1, (9, 9)).astype(np.float32) for _ in range(2)]


@pytest.mark.parametrize("seed", SEEDS)
def test_every_legal_order_gives_the_same(seed: int):
    text, inputs = text_of(seed), inputs_of(seed)
    program, _ = program_of(text)
    assert "irk_fork" in program.source
    expected = run_graph(reference(text), inputs)
    first = results(program, inputs, MIXED[0])
    for found, wanted in zip(first, expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    for order in [*ORDERS.values(), *MIXED[1:]]:
        for found, wanted in zip(results(program, inputs, order), first, strict=True):
            np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("seed", SEEDS[:1])
def test_a_missing_join_shows_in_some_order(seed: int):
    """Without one of its barriers, streams go on beside one another where one should wait."""
    text, inputs = text_of(seed), inputs_of(seed)
    program, count = program_of(text)
    right = results(program, inputs, 0)
    missed: list[int] = []
    for without in (0, count // 2, count - 1):
        broken, _ = program_of(text, without)
        orders = (results(broken, inputs, order) for order in MIXED)
        if not any((a != b).any() for found in orders for a, b in zip(found, right, strict=True)):
            missed.append(without)
    assert count > 2 and not missed, f"nobody misses barriers {missed} of {count}"
