"""Small models of ONNX for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

OPSET = 22


def info(name: str, array_or_shape: Any, code: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    """An input or output like an array, or of a shape."""
    if isinstance(array_or_shape, np.ndarray):
        code = helper.np_dtype_to_tensor_dtype(array_or_shape.dtype)
        array_or_shape = array_or_shape.shape
    return helper.make_tensor_value_info(name, code, array_or_shape)


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[str | onnx.ValueInfoProto],
    data: Mapping[str, np.ndarray] | None = None,
    opset: int = OPSET,
    domains: Mapping[str, int] | None = None,
    **given: Any,
) -> onnx.ModelProto:
    """A model; outputs by name have no type, which the importer does not need."""
    ends = [o if not isinstance(o, str) else helper.make_value_info(o, onnx.TypeProto()) for o in outputs]
    held = [onnx.numpy_helper.from_array(a, n) for n, a in (data or {}).items()]
    graph = helper.make_graph(nodes, "test", inputs, ends, held)
    opsets = [helper.make_opsetid(d, v) for d, v in {"": opset, **(domains or {})}.items()]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10, **given)


def node_model(
    op: str,
    arrays: Mapping[str, np.ndarray | None],
    outputs: Sequence[str],
    opset: int = OPSET,
    **attributes: Any,
) -> onnx.ModelProto:
    """A model of one node, all of whose inputs are inputs of the model."""
    names = [n if a is not None else "" for n, a in arrays.items()]
    node = helper.make_node(op, names, outputs, **attributes)
    domain = attributes.get("domain", "")
    inputs = [info(n, a) for n, a in arrays.items() if a is not None]
    return model(
        [node], inputs, [o for o in outputs if o], opset=opset, domains={domain: 5} if domain else None
    )
