"""Whole programs on the emulated GPU equal the reference: arena, loops, choices, constants, what is prepared once, dims of a range."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from xdsl.dialects.func import FuncOp

import irkit
from dialects.buffer import BarrierOp
from irkit import pipeline
from irkit.checking import compare, random_inputs, slacks
from irkit.lang import parse, to_graph
from irkit.runtime import cache
from irkit.runtime.cuda.program import CudaCall, CudaProgram
from irkit.runtime.cuda.setup import set_up
from lowering.cuda.emit import emit_cuda_program
from lowering.graph.interpret import run_graph
from lowering.target import get_target
from tests.cuda.machine import ORDERS

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

PROGRAMS: dict[str, str] = {
    "mlp": """
param w: f32[16, 24] = glorot(seed=1)
param b: f32[24] = ones()
param v: f32[24, 5] = glorot(seed=2)
fn main(x: f32[9, 16]) -> f32[9, 5] { return softmax(relu(x @ w + b) @ v) }
""",
    "prepared": """
param w: f32[16, 24] = glorot(seed=1)
fn main(x: f32[9, 16]) -> (f32[9, 24], f32[16, 24]) { return x @ softmax(w), softmax(w) }
""",
    "loop": """
fn main(x: f32[20, 20], n: i32) -> f32[20, 20] {
  for t in 0..n with x {
    y[i, j] = x[i - 1, j] + 0.5 * x[i, j] + cast(t, f32), boundary=zero
    x = y
  }
  return x
}
""",
    "nest": """
fn main(x: f32[12], n: i32) -> (f32[12], f32[12]) {
  y = x
  for t in 0..n with x, y {
    for u in t..3 with x {
      x = x * 0.5 + cast(u - t, f32)
    }
    y = tanh(x) + y
  }
  return x, y
}
""",
    "while": """
fn main(a: f32[1], tolerance: f32[1]) -> (f32, i32) {
  s = a[0] * a[0] + 2
  x = maximum(s, 1)
  rounds = cast(0, i32)
  while abs(x * x - s) > 1e-3 * s max 50 with x, rounds {
    x = (x + s / x) / 2
    rounds = rounds + 1
  }
  return x, rounds
}
""",
    "choice": """
fn main(x: f32[30], mode: i32) -> f32[30] {
  y = x
  if mode == 0 with y {
    y = x * 2
  } else if mode == 3 with y {
    y = softmax(x)
  } else {
    y = x - 1
  }
  return y
}
""",
    "constants": """
fn main(x: f32[4]) -> (f32[4], i32[3], bool[2], f32[4]) {
  return x * constant([1.5, -2, 3, 0.25], f32), constant([3, 1, 2], i32), constant([true, false], bool), x
}
""",
    "branches": """
fn main(x: f32[20, 20], y: f32[20, 20]) -> (f32[20, 20], f32[20, 20]) {
  a = softmax(x)
  b = softmax(y, axis=0)
  c = tanh(a) @ softmax(b)
  return c @ b, a
}
""",
    "types": """
fn main(x: f16[40], z: f64[6], n: i8[33], w: bf16[10, 20]) -> (f16[40], f64[6], i8[33], bf16[10]) {
  return exp(x), -z, n * n, sum(w, axis=1)
}
""",
}

SYMBOLIC = """
dim N = 4 in 1..200
param w: f32[12, 7] = glorot(seed=3)
fn main(x: f32[N, 12]) -> (f32[N, 7], f32[N]) { y = softmax(x @ w) return y, y[:, 2] }
"""


def reference(text: str, name: str = "test.tg", fn: str | None = None) -> FuncOp:
    (func,) = [op for op in to_graph(parse(text, name), fn).ops if isinstance(op, FuncOp)]
    return func


def check(program: irkit.Program, func: FuncOp, sizes: Mapping[str, int] | None = None) -> None:
    """Runs a program in each order of blocks and threads, and compares as `--check` does."""
    sizes = dict(sizes or {})
    inputs = random_inputs(func, sizes)
    given = {n: a for n, a in inputs.items() if n in {a.name for a in program.spec.args}}
    for name, value in program.params().items():
        inputs[name] = given[name] = value
    expected = run_graph(func, list(inputs.values()), sizes)
    slack = slacks(func, inputs, sizes, expected)
    for order in ORDERS.values():
        ctypes.c_int.in_dll(program._native.library, "irk_cpu_order").value = order
        call = program.prepare(**{n: a.copy() for n, a in given.items()})
        assert isinstance(call, CudaCall)
        for _ in range(3):  # the last ones as a graph
            for result in call.results:
                result.fill(1)
            call.run()
            for found, wanted, bound in zip(call.all_results(), expected, slack, strict=True):
                compare("differs", func, found, wanted, bound)
        assert (call._graph is not None) == (" waits " not in program.source)


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_equal_the_reference(name: str):
    program = irkit.compile(PROGRAMS[name], target="cuda:cpu")
    assert isinstance(program, CudaProgram)
    check(program, reference(PROGRAMS[name]))
    assert (program.spec.prepared_bytes > 0) == (name == "prepared")


def test_a_missing_barrier_shows_in_some_order():
    """Tasks that run side by side are independent: where one too many does, an order of streams tells."""
    text = PROGRAMS["branches"]
    module = to_graph(parse(text, "test.tg"))
    pipeline.run_passes(module, pipeline.passes_cuda("graph", "cuda"), pipeline.context())
    barriers = [op for op in module.walk() if isinstance(op, BarrierOp)]
    assert barriers
    for planted, expected in ((False, False), (True, True)):
        for barrier in barriers if planted else []:
            barrier.detach()
        spec = emit_cuda_program(module, get_target("cuda"))
        setup = set_up("cuda:cpu", None)
        program = CudaProgram(spec, cache.library(spec, setup.compiler, ()), setup.machine)
        try:
            check(program, reference(text))
            found = False
        except (AssertionError, irkit.IrkitError):
            found = True
        assert found == expected


def test_one_program_for_every_size():
    program = irkit.compile(SYMBOLIC, target="cuda:cpu")
    for size in (1, 200, 33):
        check(program, reference(SYMBOLIC), {"N": size})


@pytest.mark.parametrize("name", ["cnn", "mlp", "encoder", "digits", "heat"])
def test_examples_equal_a_cpu(name: str):
    path = EXAMPLES / f"{name}.tg"
    program, other = (irkit.compile(path, target=target) for target in ("cuda:cpu", "sse2"))
    rng = np.random.default_rng(0)
    inputs = {
        a.name: rng.standard_normal([int(d) for d in a.dims]).astype(np.float32)
        for a in program.inputs
        if a.name not in program.values
    }
    for found, wanted in zip(*(p.prepare(**inputs).run() for p in (program, other)), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=2e-6)
