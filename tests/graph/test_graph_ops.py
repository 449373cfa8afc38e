"""Every graph op: its table of samples is complete, verifies, prints and parses, and its reference keeps to inference."""

from __future__ import annotations

from io import StringIO

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Region
from xdsl.parser import Parser
from xdsl.printer import Printer

from dialects.graph import OPS, GraphOp, dense, make
from dialects.syntax import SymbolsAttr
from dialects.types import DTYPES, dims_of, np_dtype, tensor
from irkit.pipeline import context
from tests.graph.samples import MOVED, SAMPLES, Sample, op_of, random_array

CONTEXT = context()


def module_of(sample: Sample) -> ModuleOp:
    """A module with one function that holds the call."""
    block = Block(arg_types=sample.types())
    op = make(sample.name, list(block.args), sample.values)
    block.add_ops([op, ReturnOp(*op.results)])
    func = FuncOp("f", ([a.type for a in block.args], [r.type for r in op.results]), Region(block))
    func.attributes["graph.symbols"] = SymbolsAttr((("B", 1, 64), ("N", 2, 9)))
    return ModuleOp([func])


def test_the_table_has_every_op():
    assert {s.name for s in SAMPLES} == set(OPS)


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_prints_and_parses(sample: Sample):
    module = module_of(sample)
    module.verify()
    text = str(module)
    again = Parser(CONTEXT, text).parse_module()
    again.verify()
    assert str(again) == text and again.is_structurally_equivalent(module)
    stream = StringIO()
    Printer(stream, print_generic_format=True).print_op(module)
    generic = Parser(CONTEXT, stream.getvalue()).parse_module()
    assert generic.is_structurally_equivalent(module)


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_reference_has_the_inferred_type(sample: Sample):
    op, dims = op_of(sample.name, sample.types(), **sample.values), {"B": 3, "N": 4}
    static = [tensor(t.element_type, [d.subst(dims) for d in dims_of(t)]) for t in sample.types()]
    results = op.run([random_array(t, i) for i, t in enumerate(static)], dims)
    for value, array in zip(op.results, results, strict=True):
        assert array.shape == tuple(d.subst(dims).value for d in dims_of(value.type))
        assert array.dtype == np_dtype(value.type.element_type)  # pyright: ignore


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_parameters_are_complete_and_stable(sample: Sample):
    """`values` is what an op was made with, and making it again from them gives the same op."""
    op = op_of(sample.name, sample.types(), **sample.values)
    again = op_of(sample.name, sample.types(), **op.values())
    assert again.properties == op.properties
    assert [r.type for r in again.results] == [r.type for r in op.results]
    assert again.values() == op.values()


@pytest.mark.filterwarnings("ignore::numpy.exceptions.ComplexWarning")
@pytest.mark.parametrize("dtype", MOVED)
@pytest.mark.parametrize("name", ["reshape", "transpose", "broadcast", "concat", "slice", "gather", "where"])
def test_ops_that_move_take_every_dtype(name: str, dtype: str):
    sample = next(s for s in SAMPLES if s.name == name)
    types = [tensor(dtype if d == "f32" else d, dims) for d, dims in sample.operands]
    op = op_of(name, types, **sample.values)
    op.verify()
    arrays = [random_array(t, i) for i, t in enumerate(types)]
    (moved,) = op.run(arrays)
    (expected,) = op_of(name, sample.types(), **sample.values).run(
        [a.astype(np.float32) if d == "f32" else a for a, (d, _) in zip(arrays, sample.operands, strict=True)]
    )
    np.testing.assert_array_equal(moved.astype(np.float32), expected)


@pytest.mark.parametrize("dtype", list(DTYPES))
@pytest.mark.parametrize("shape", [(), (3,), (2, 0)])
def test_constants_round_trip(dtype: str, shape: tuple[int, ...]):
    array = random_array(tensor(dtype, shape))
    text = str(module_of(Sample("constant", (), {"value": dense(array, dtype)})))
    op = next(o for o in Parser(CONTEXT, text).parse_module().walk() if isinstance(o, GraphOp))
    found = op.run([])[0]
    assert found.dtype == array.dtype and found.tobytes() == array.tobytes()


@pytest.mark.parametrize("dtype", ["f64", "f32", "f16", "bf16", "f8e5m2"])
def test_constants_that_decimals_cannot_hold_round_trip(dtype: str):
    with np.errstate(over="ignore"):
        array = np.array([np.inf, -np.inf, np.nan, -0.0, 1e-7, 1.23456789e9]).astype(np_dtype(dtype))
    text = str(module_of(Sample("constant", (), {"value": dense(array, dtype)})))
    op = next(o for o in Parser(CONTEXT, text).parse_module().walk() if isinstance(o, GraphOp))
    assert op.run([])[0].tobytes() == array.tobytes()
