"""Graphs become text that reads back as the same graph."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Region

from dialects.graph import make
from dialects.syntax import SymbolsAttr
from dialects.types import dims_of, tensor
from irkit import pipeline
from irkit.lang import parse, to_graph
from irkit.lang.unparse import unparse
from irkit.mlir_parser import parse_mlir
from lowering.graph.interpret import argument_names, run_graph
from lowering.verify import verify_module
from tests.graph.samples import SAMPLES, Sample, random_array
from tests.lang.graph_signature import signatures
from tests.levels.programs import programs

SIZES = {"B": 3, "N": 4}


def module_of(sample: Sample) -> ModuleOp:
    """A function that calls one op."""
    types = sample.types()
    block = Block(arg_types=types)
    op = make(sample.name, list(block.args), sample.values)
    block.add_ops([op, ReturnOp(*op.results)])
    names = ["x", "y", "z", "u", "v"][: len(types)]
    attrs = [{"graph.name": StringAttr(n), "graph.kind": StringAttr("input")} for n in names]
    outs = [{"graph.name": StringAttr(f"r{n}")} for n, _ in enumerate(op.results)]
    func = FuncOp(
        "main",
        (types, [r.type for r in op.results]),
        Region(block),
        arg_attrs=ArrayAttr(map(DictionaryAttr, attrs)),
        res_attrs=ArrayAttr(map(DictionaryAttr, outs)),
    )
    used = {n for t in types + [r.type for r in op.results] for d in dims_of(t) for n in d.names()}
    if used:
        func.attributes["graph.symbols"] = SymbolsAttr(tuple((n, 2, 9) for n in sorted(used)))
    return ModuleOp([func])


def function(module: ModuleOp) -> FuncOp:
    return next(op for op in module.ops if isinstance(op, FuncOp))


def again(module: ModuleOp) -> ModuleOp:
    """The module by way of its text."""
    text = unparse(module)
    read = to_graph(parse(text, "again.tg"))
    verify_module(read)
    return read


def arrays_of(func: FuncOp) -> dict[str, np.ndarray]:
    sized = [tensor(t.element_type, [d.subst(SIZES) for d in dims_of(t)]) for t in func.function_type.inputs]
    return {n: random_array(t, i) for i, (n, t) in enumerate(zip(argument_names(func), sized, strict=True))}


def assert_same_numbers(before: FuncOp, after: FuncOp) -> None:
    given = arrays_of(before)
    wanted, found = run_graph(before, given, SIZES), run_graph(after, given, SIZES)
    for a, b in zip(wanted, found, strict=True):
        np.testing.assert_array_equal(a, b)


def with_passes(module: ModuleOp, *names: str) -> ModuleOp:
    pipeline.run_passes(module, [pipeline.make_pass(n) for n in names], pipeline.context())
    return module


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_every_op(sample: Sample):
    module = module_of(sample)
    a, b = signatures(function(module), function(again(module)))
    assert a == b


@pytest.mark.parametrize("name", programs())
def test_every_program(name: str):
    file, text, dims = programs()[name]
    module = to_graph(parse(text, file), None, dims)
    read = again(module)
    if name == "control":  # the condition of its `while` becomes a value that is carried
        module, read = read, again(read)
    a, b = signatures(function(module), function(read))
    assert a == b
    assert unparse(again(read)) == unparse(read)


@pytest.mark.parametrize("sample", [s for s in SAMPLES if not s.name.startswith("random")], ids=str)
def test_every_decomposed_op(sample: Sample):
    """Formulas use index notation and loops as no one would write them."""
    module = with_passes(module_of(sample), "graph-decompose", "graph-dce")
    assert_same_numbers(function(module), function(again(module)))


FORMS = {
    "two boundaries": """axes [i: 8] reads (%u[i - 1] zero, %u[i + 1] clamp, %n[i], %u[_2]) : (tensor<8xf32>, tensor<8xsi32>) -> tensor<8xf32> {
    ^bb0(%a: f32, %b: f32, %k: i32, %c: f32, %i: i64):
      %s = arith.addf %a, %b : f32
      %t = arith.mulf %s, %c : f32
      graph.yield %t : f32
    }""",
    "a number with a boundary": """axes [] reduce sum [i: 9] reads (%u[i - 1] value 0.5, %n[0]) : (tensor<8xf32>, tensor<8xsi32>) -> tensor<f32> {
    ^bb0(%a: f32, %k: i32, %i: i64):
      graph.yield %a : f32
    }""",
    "an axis that nothing indexes": """axes [i: 3, j: 2] reduce max [k: 8] reads (%u[k], %n[k]) : (tensor<8xf32>, tensor<8xsi32>) -> tensor<3x2xf32> {
    ^bb0(%a: f32, %b: i32, %i: i64, %j: i64, %k: i64):
      graph.yield %a : f32
    }""",
    "no tensor of rank 1": """axes [] reads (%u[3], %n[2]) : (tensor<8xf32>, tensor<8xsi32>) -> tensor<f32> {
    ^bb0(%a: f32, %k: i32):
      graph.yield %a : f32
    }""",
    "a long element that is used twice": """axes [i: 10] reads (%u[i - 1] wrap, %n[i] clamp) : (tensor<8xf32>, tensor<8xsi32>) -> tensor<10xf32> {
    ^bb0(%a: f32, %k: i32, %i: i64):
      %c = arith.constant 1.5 : f32
      %1 = arith.divf %a, %c : f32
      %2 = math.tanh %1 : f32
      %3 = math.sin %2 : f32
      %4 = math.cos %3 : f32
      %5 = arith.mulf %4, %4 : f32
      %6 = arith.uitofp %k : i32 to f32
      %7 = arith.cmpi ult, %k, %k : i32
      %8 = arith.select %7, %6, %5 : f32
      graph.yield %8 : f32
    }""",
}


@pytest.mark.parametrize("name", FORMS)
def test_index_notation_that_no_one_would_write(name: str):
    shape = FORMS[name].split("-> ")[1].split(" {")[0]
    text = f"""func.func @main(%u: tensor<8xf32>, %n: tensor<8xsi32>) -> {shape} {{
    %y = graph.index {FORMS[name]}
    func.return %y : {shape}
    }}"""
    module = parse_mlir(pipeline.context(), text, "form.mlir", True)
    verify_module(module)
    assert_same_numbers(function(module), function(again(module)))
