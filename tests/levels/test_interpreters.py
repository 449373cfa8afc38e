"""Kernel and loop level in NumPy: every op's reference at each level, with accesses and barriers checked."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp

from dialects.dims import Dim
from dialects.errors import IrkitError
from dialects.kernel import ReadOp
from dialects.loop import BarrierOp, LoadOp
from dialects.types import dims_of
from irkit import pipeline
from irkit.lang import parse, to_graph
from irkit.mlir_parser import parse_mlir
from lowering.graph.interpret import run_graph
from tests.graph.samples import SAMPLES, Sample, random_array
from tests.ops.harness import Call, check, module_of

STATIC = [s for s in SAMPLES if all(d.value is not None for t in s.types() for d in dims_of(t))]


def call_of(sample: Sample) -> Call:
    arrays = [random_array(t, i) for i, t in enumerate(sample.types())]
    if sample.name == "gather":
        arrays[1] = np.abs(arrays[1]) % 4
    return Call(sample.name, arrays, dict(sample.values), sample.types())


def lowered(module: ModuleOp, level: str) -> FuncOp:
    pipeline.run_passes(module, pipeline.passes_to("graph", level), pipeline.context())
    (func,) = [op for op in module.ops if isinstance(op, FuncOp)]
    return func


def program(text: str, level: str) -> FuncOp:
    return lowered(to_graph(parse(text, "test.tg")), level)


@pytest.mark.parametrize("level", ["kernel", "loop"])
@pytest.mark.parametrize("sample", [s for s in STATIC if "B" not in str(s.values)], ids=str)
def test_every_op_at_every_level(sample: Sample, level: str):
    call = call_of(sample)
    (found,) = run_graph(lowered(module_of([call]), level), list(call.arrays), threads=3)
    check(call, found)


@pytest.mark.parametrize("kind", ["sum", "max", "prod", "mean"])
def test_long_reductions_combine_chunks(kind: str):
    x = np.random.default_rng(0).uniform(0.99, 1.01, (2, 1003)).astype(np.float32)
    text = f"fn main(x: f32[2, 1003]) -> f32[2] {{ return {kind}(x, axis=1) }}"
    (found,) = run_graph(program(text, "kernel"), [x])
    wide = x.astype(np.float64)
    np.testing.assert_allclose(found, getattr(wide, kind)(axis=1), rtol=1e-4)


def test_symbols_take_the_sizes_of_the_arrays():
    text = "dim B = 4 in 1..64\nfn main(x: f32[B, 5], w: f32[5, 3]) -> f32[B, 3] { return relu(x @ w) }"
    rng = np.random.default_rng(1)
    w = rng.standard_normal((5, 3), np.float32)
    for level in ("kernel", "loop"):
        func = program(text, level)
        for b in (1, 7):
            x = rng.standard_normal((b, 5), np.float32)
            (found,) = run_graph(func, [x, w], threads=2)
            np.testing.assert_allclose(found, np.maximum(x @ w, 0), rtol=1e-5, atol=1e-6)


def test_packed_panels_of_a_team():
    schedule = "pack lhs; pack rhs; tile i 6; tile j 16; split k 100; parallel i"
    text = f'fn main(x: f32[26, 230], w: f32[230, 35]) -> f32[26, 35] {{ y = x @ w, schedule="{schedule}" return y }}'
    rng = np.random.default_rng(2)
    x, w = rng.standard_normal((26, 230), np.float32), rng.standard_normal((230, 35), np.float32)
    func = program(text, "loop")
    module = func.parent_op()
    assert module is not None and any(isinstance(op, BarrierOp) for op in module.walk())
    (found,) = run_graph(func, [x, w], threads=2)
    np.testing.assert_allclose(found, x @ w, rtol=1e-4, atol=1e-4)


# -- faults ---------------------------------------------------------------------------------------------------------


def test_a_read_outside_its_array_is_found():
    func = program("fn main(x: f32[6]) -> f32[6] { return exp(x) }", "kernel")
    module = func.parent_op()
    assert module is not None
    (read,) = [op for op in module.walk() if isinstance(op, ReadOp)]
    read.index = type(read.index)((read.index.data[0] + Dim.of(1),))
    with pytest.raises(IrkitError, match=r"leaves its array"):
        run_graph(func, [np.zeros(6, np.float32)])


def test_a_load_outside_its_array_is_found():
    func = program("fn main(x: f32[6]) -> f32[6] { return exp(x) }", "loop")
    module = func.parent_op()
    assert module is not None
    load = next(op for op in module.walk() if isinstance(op, LoadOp))
    load.index = type(load.index)((load.index.data[0] - Dim.of(1),))
    with pytest.raises(IrkitError, match=r"leaves dim 0 of its array"):
        run_graph(func, [np.zeros(6, np.float32)])


UNEVEN = """
loop.func @k (in %x: !buffer.ref<[4], f32>, out %y: !buffer.ref<[4], f32>) {
  loop.for i in 0 to 3 parallel {
    loop.barrier
    %v = loop.load %x[i] : f32
    loop.store %v, %y[i] : f32
  }
}
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = kernel.launch @k(%x) : (tensor<4xf32>) -> tensor<4xf32>
  func.return %0 : tensor<4xf32>
}
"""


def test_threads_that_miss_a_barrier_are_found():
    module = parse_mlir(pipeline.context(), UNEVEN, "uneven.mlir", True)
    func = next(op for op in module.ops if isinstance(op, FuncOp))
    with pytest.raises(IrkitError, match="a thread ends while others wait at a barrier"):
        run_graph(func, [np.zeros(4, np.float32)], threads=2)
