"""`irkit.ops` has every op, made from the registry, and `irkit.nn` those of networks."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from xdsl.dialects.func import FuncOp

import irkit
from dialects import graph
from dialects.dims import Dim
from irkit import nn, ops
from irkit.tracing.apply import public_names
from irkit.tracing.sizes import Size, size
from tests.graph.samples import SAMPLES, Sample
from tests.lang.graph_signature import signatures
from tests.lang.test_unparse import module_of

CALLED = [s for s in SAMPLES if s.name != "constant"]
NAME_OF = {op: name for name, op in public_names().items()}
RANGES = {"B": (3, 2, 9), "N": (4, 2, 9)}


def spec_of(operand: tuple[str, tuple[int | str, ...]]):
    dtype, dims = operand
    return irkit.spec([size(Dim.parse(str(d)), RANGES) for d in dims], dtype)


def with_sizes(values: object) -> object:
    """Parameters as Python code would give them."""
    if isinstance(values, list):
        return [size(Dim.parse(v), RANGES) if isinstance(v, str) else v for v in values]
    return values


@pytest.mark.parametrize("sample", CALLED, ids=str)
def test_every_op_is_a_function(sample: Sample):
    function = getattr(ops, NAME_OF[sample.name])
    axes = {"axes": "axis"} if sample.name.startswith("reduce_") else {}
    values = {axes.get(k, k): with_sizes(v) for k, v in sample.values.items()}
    names = ["x", "y", "z", "u", "v"][: len(sample.operands)]
    body = f"lambda {', '.join(names)}: function({', '.join(names)}{', ' if names else ''}**values)"
    traced = irkit.trace(eval(body, {"function": function, "values": values}))
    got = traced.graph(*map(spec_of, sample.operands))
    wanted = next(op for op in module_of(sample).ops if isinstance(op, FuncOp))
    a, b = signatures(wanted, got.func)
    assert a[0] == b[0]


def test_every_op_has_its_name_and_its_words():
    assert set(graph.OPS) - {"constant"} <= set(public_names().values())
    assert "softmax(x, axis=-1)" in ops.softmax.__doc__
    assert {"relu", "layer_norm", "conv2d", "cross_entropy", "attention", "max_pool2d", "gelu"} <= set(
        dir(nn)
    )
    assert "gather" not in dir(nn)
    with pytest.raises(AttributeError, match="did you mean 'softmax'"):
        ops.sofmax  # noqa: B018
    with pytest.raises(AttributeError, match=r"irkit\.ops has every op"):
        nn.gather_nd  # noqa: B018


def test_tensors_of_numbers():
    @irkit.trace
    def f(x):
        return ops.zeros([2, 3]) + ops.full([3], 0.5) + x, ops.ones([2], bool), ops.constant([[1, 2]], "i16")

    a, b, c = f(np.ones((2, 3), np.float32))
    assert a.tolist() == [[1.5] * 3] * 2 and b.tolist() == [True, True] and c.tolist() == [[1, 2]]
    assert c.dtype == np.int16


def test_sizes_are_known_as_far_as_ranges_tell():
    batch = irkit.dim("B", 4, 2, 8)
    assert isinstance(batch, Size)
    assert batch + batch == 2 * batch and batch < 9 and batch >= 2 and batch != 1 and not batch > 8
    assert batch - batch == 0 and irkit.dim("N", 5) == 5 and str(batch // 2 + 1) == "(B floordiv 2) + 1"
    with pytest.raises(irkit.TraceError, match="is not known while tracing"):
        bool(batch == 4)
    with pytest.raises(irkit.TraceError, match="the size B has no value"):
        range(batch)


def test_importing_irkit_imports_nothing_of_it():
    code = "import irkit, sys; assert not {'numpy', 'xdsl', 'irkit.tracing'} & set(sys.modules); irkit.trace, irkit.ops"
    subprocess.run([sys.executable, "-c", code], check=True)
