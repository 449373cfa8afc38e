"""Networks for images that the onnx package bundles, without weights: their files fill each weight with one number, which
a compiler could make use of. Here they get random ones."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

DATA = Path(os.path.dirname(onnx.__file__)) / "backend" / "test" / "data" / "light"


def write(name: str, path: Path) -> None:
    """Writes a network with random weights as an ONNX file."""
    model = onnx.load(DATA / f"light_{name}.onnx")
    graph = model.graph
    shapes = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    rng = np.random.default_rng(0)
    nodes = []
    for node in graph.node:
        if node.op_type == "ConstantOfShape" and node.input[0] in shapes and _is_float(node):
            shape = shapes[node.input[0]]
            graph.initializer.append(numpy_helper.from_array(weights(rng, shape), node.output[0]))
        else:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    kept = [t for t in graph.initializer if t.name in used]
    real = [i for i in graph.input if i.name in used and i.name not in shapes]
    for field, values in ((graph.initializer, kept), (graph.input, real)):
        del field[:]
        field.extend(values)
    onnx.save(model, path)


def weights(rng: np.random.Generator, shape: np.ndarray) -> np.ndarray:
    """Weights of convolutions that keep the scale of what goes through them, smaller ones of other products, so that no
    class is certain; scales, means and variances around 0.75."""
    if len(shape) < 2:
        return rng.uniform(0.5, 1.0, shape).astype(np.float32)
    scale = np.sqrt(2 / np.prod(shape[1:])) * (1 if len(shape) > 2 else 0.1)
    return (rng.standard_normal(shape) * scale).astype(np.float32)


def inputs(
    rng: np.random.Generator, shapes: Mapping[str, tuple[tuple[int, ...], np.dtype]]
) -> dict[str, np.ndarray]:
    """A random image."""
    return {name: rng.standard_normal(shape).astype(dtype) for name, (shape, dtype) in shapes.items()}


def _is_float(node: onnx.NodeProto) -> bool:
    value = next((a.t for a in node.attribute if a.name == "value"), None)
    return value is None or value.data_type == onnx.TensorProto.FLOAT
