"""Drawing choices and loops, whose bodies read what is around them."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.fuzz_onnx.drawing import Drawing, Value, draws

UNARY = ("Neg", "Abs", "Tanh", "Relu", "Sigmoid", "Sin")


def _body(
    name: str, nodes: list[onnx.NodeProto], inputs: dict[str, tuple], outputs: dict[str, tuple]
) -> onnx.GraphProto:
    ends = [
        [helper.make_tensor_value_info(n, *kind) for n, kind in part.items()] for part in (inputs, outputs)
    ]
    return helper.make_graph(nodes, name, *ends)


@draws(1)
def choice(d: Drawing) -> None:
    x = d.pick("f")
    code = helper.np_dtype_to_tensor_dtype(x.array.dtype)
    ways = []
    for name in ("then", "else"):
        inner, end = d.fresh("t"), d.fresh("t")
        nodes = [
            helper.make_node(d.one(UNARY), [x.name], [inner]),
            helper.make_node(d.one(("Add", "Mul", "Max")), [inner, x.name], [end]),
        ]
        ways.append(_body(name, nodes, {}, {end: (code, None)}))
    condition = d.add(
        "Greater", [d.add("ReduceMax", [x], keepdims=0), d.keep(np.array(d.one((0.5, 100)), x.array.dtype))]
    )
    d.add("If", [condition], then_branch=ways[0], else_branch=ways[1])
    d.read.add(x.name)


@draws(1)
def loop(d: Drawing) -> None:
    """A few rounds that carry a value, collect another, and read one from outside."""
    x = d.pick("f")
    y = d.other(d.broadcast(x.shape), x.array.dtype.name)
    code = helper.np_dtype_to_tensor_dtype(x.array.dtype)
    number, go, a, go2, a2, seen, inner = (d.fresh("t") for _ in range(7))
    nodes = [
        helper.make_node("Identity", [go], [go2]),
        helper.make_node(d.one(("Add", "Mul", "Min")), [a, y.name], [inner]),
        helper.make_node(d.one(("Tanh", "Sin", "Sigmoid")), [inner], [a2]),
        helper.make_node(d.one(UNARY), [inner], [seen]),
    ]
    body = _body(
        "body",
        nodes,
        {number: (TensorProto.INT64, []), go: (TensorProto.BOOL, []), a: (code, None)},
        {go2: (TensorProto.BOOL, []), a2: (code, None), seen: (code, None)},
    )
    rounds = d.integer(1, 4)
    _, rows = d.all("Loop", [d.keep(np.array(rounds)), d.keep(np.array(True)), x], 2, body=body)
    d.pool[-1] = Value(rows.name, rows.array.reshape(rounds, *x.shape))  # the evaluator does not stack rows
    d.read.add(y.name)


@draws(0.7)
def scan(d: Drawing) -> None:
    x = d.pick("f", test=lambda v: v.rank >= 2)
    code = helper.np_dtype_to_tensor_dtype(x.array.dtype)
    start = (
        d.keep(np.zeros(x.shape[1:], x.array.dtype))
        if not d.dim
        else d.add("ReduceMin", [x], keepdims=0, **({"axes": [0]} if d.opset < 18 else {}))
    )
    if start.shape != x.shape[1:]:
        start = d.add("ReduceMin", [x, d.ints([0])], keepdims=0)
    a, row, a2, seen = (d.fresh("t") for _ in range(4))
    nodes = [
        helper.make_node(d.one(("Add", "Max", "Mul")), [a, row], [a2]),
        helper.make_node(d.one(UNARY), [a2], [seen]),
    ]
    body = _body(
        "body",
        nodes,
        {a: (code, x.shape[1:]), row: (code, x.shape[1:])},
        {a2: (code, None), seen: (code, None)},
    )
    if d.dim:
        for info in body.input:
            info.type.tensor_type.ClearField("shape")
    d.all("Scan", [start, x], 2, body=body, num_scan_inputs=1)
