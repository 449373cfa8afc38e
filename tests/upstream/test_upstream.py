"""Programs in upstream dialects: `mlir-opt` accepts them all, and what MLIR computes with them is right."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.func import FuncOp

from dialects.graph import OPS
from dialects.syntax import SymbolsAttr
from dialects.types import np_dtype
from irkit.checking import compare, random_inputs, slacks
from lowering.graph.interpret import run_graph
from tests.graph.samples import SAMPLES
from tests.levels.programs import programs
from tests.levels.test_interpreters import STATIC, call_of
from tests.levels.test_round_trip import module_of as program_module
from tests.ops.harness import Call, check, module_of
from tests.ops.test_elementwise import KIND, edges, numbers
from tests.upstream.mlir import accept, export, find_tool, run

MISSING = find_tool("mlir-opt") is None or find_tool("mlir-runner", "mlir-cpu-runner") is None
pytestmark = pytest.mark.skipif(MISSING, reason="mlir-opt and its runner are not here: install mlir-19-tools")

HAND_WRITTEN = {"argsort", "sort", "top_k"}
"""Ops whose kernels are C text."""

CALLS = [call_of(s) for s in STATIC if s.name not in HAND_WRITTEN and "B" not in str(s.values)]
BATCH = 30
SIZES = {"B": 5, "S": 6}


@pytest.mark.parametrize("start", range(0, len(CALLS), BATCH))
def test_every_op_has_its_numbers(start: int):
    """Batches, because LLVM is slow on one function with hundreds of arrays."""
    batch = CALLS[start : start + BATCH]
    results = run(export(module_of(batch)), [array for call in batch for array in call.arrays])
    for call, found in zip(batch, results, strict=True):
        check(call, found)


def test_every_op_with_symbols_is_accepted():
    texts: list[str] = []
    for sample in SAMPLES:
        if sample not in STATIC and sample.name not in HAND_WRITTEN:
            module = module_of([Call(sample.name, (), dict(sample.values), sample.types())])
            (func,) = module.ops
            func.attributes["graph.symbols"] = SymbolsAttr((("B", 1, 64), ("N", 8, 64)))
            texts.append(export(module).text)
    assert len(texts) > 10
    accept(texts)


def test_small_floats_and_four_bits_are_accepted():
    """f8 is not run: mlir-opt 19 cannot lower its conversions to LLVM."""
    casts = [
        Call("cast", [np.zeros(9, np.float32)], {"dtype": to}) for to in ("f8e4m3", "f8e5m2", "i4", "u4")
    ]
    casts += [Call("mul", [np.zeros(9, np_dtype(name))] * 2) for name in ("f8e4m3", "f8e5m2")]
    accept([export(module_of([call])).text for call in casts])


@pytest.mark.parametrize("target", ["avx2", "c99"])
def test_the_edges_of_arithmetic(target: str):
    """Division by zero, wrapping, saturation, shifts past the width, NaN: what arith leaves undefined."""
    types = ("i8", "i32", "u64", "f32", "f16", *(("bf16",) if target == "c99" else ()))
    values = {name: edges(name) for name in types}
    calls = [
        Call(op, [x[:, None], x[None, :]])
        for name, x in values.items()
        for op in ("div", "mod", "min", "max", "pow", "shift_left", "shift_right")
        if (op not in ("mod", "pow") or KIND[name] != "f") and KIND[name] in OPS[op].TAKES  # pyright: ignore
    ]
    calls += [Call("mod", [numbers("f32", (40,)), numbers("f32", (40,))])]
    calls += [Call("cast", [x], {"dtype": to}) for x in values.values() for to in (*types, "bool")]
    results = run(export(module_of(calls), target), [array for call in calls for array in call.arrays])
    for call, found in zip(calls, results, strict=True):
        check(call, found)


RUNS = [
    *((name, "avx2") for name in programs() if name != "dtypes"),
    *((name, "avx512") for name in ("dense", "packed", "attention", "scatter")),
    *((name, "c99") for name in ("dtypes", "softmax", "control", "symbolic")),
]
"""LLVM's JIT lacks a function that its masked accesses of bf16 call, so that bf16 runs without vectors."""


@pytest.mark.parametrize(("name", "target"), RUNS)
def test_programs_have_their_numbers(name: str, target: str):
    """Loops that end early, arrays that change places, packed panels, symbolic dims, random numbers."""
    module = program_module(name)
    (func,) = [op for op in module.ops if isinstance(op, FuncOp)]
    symbols = func.attributes.get("graph.symbols")
    sizes = {n: SIZES.get(n, 3) for n, _, _ in symbols.data} if isinstance(symbols, SymbolsAttr) else {}
    inputs = random_inputs(func, sizes, seed=4)
    expected = run_graph(func, inputs, sizes)
    slack = slacks(func, inputs, sizes, expected)
    kept = func.clone()
    results = run(export(module, target), list(inputs.values()), sizes)
    for found, wanted, each in zip(results, expected, slack, strict=True):
        compare(f"{name} on {target}", kept, found, wanted, each)
