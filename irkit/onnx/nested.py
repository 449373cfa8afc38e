"""Inputs that are sequences or optionals: a model that takes one tensor for each element instead, for some values of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx


def taken_apart(given: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The arrays of inputs, those of a sequence by the name of the input and their place: `x.0`."""
    found: dict[str, np.ndarray] = {}
    for name, value in given.items():
        if isinstance(value, list):
            found |= {f"{name}.{i}": np.asarray(one) for i, one in enumerate(value)}
        elif value is not None:
            found[name] = value
    return found


def without_nested(model: onnx.ModelProto, given: Mapping[str, Any]) -> onnx.ModelProto:
    """A model of tensors alone, with nodes that put them together."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    infos, nodes = list(made.graph.input), list(made.graph.node)
    del made.graph.input[:], made.graph.node[:]
    for info in infos:
        if info.name not in given or info.type.WhichOneof("value") == "tensor_type":
            made.graph.input.append(info)
            continue
        value, parts = given[info.name], taken_apart({info.name: given[info.name]})
        for name, array in parts.items():
            code = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
            made.graph.input.append(onnx.helper.make_tensor_value_info(name, code, array.shape))
        if not isinstance(value, np.ndarray):
            op = "SequenceConstruct" if isinstance(value, list) else "Optional"
            made.graph.node.append(onnx.helper.make_node(op, list(parts), [info.name]))
    made.graph.node.extend(nodes)
    return made
