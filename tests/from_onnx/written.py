"""Small models written as text, for what the suites of the `onnx` package do not have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from tests.from_onnx.batches import Case

Shape = tuple[int | str, ...]


def model(
    nodes: Sequence[str],
    inputs: Mapping[str, np.ndarray],
    outputs: Sequence[str] = ("y",),
    version: int = 21,
    shapes: Mapping[str, Shape] | None = None,
) -> onnx.ModelProto:
    """A model of nodes such as `y = Softmax<axis=1>(x)`; shapes give inputs named dims."""
    infos = [
        onnx.helper.make_tensor_value_info(
            name,
            onnx.helper.np_dtype_to_tensor_dtype(array.dtype),
            (shapes or {}).get(name, array.shape),
        )
        for name, array in inputs.items()
    ]
    parsed = [onnx.parser.parse_node(node) for node in nodes]
    wanted = [onnx.helper.make_empty_tensor_value_info(name) for name in outputs]
    graph = onnx.helper.make_graph(parsed, "main", infos, wanted)
    opsets = [onnx.helper.make_opsetid("", version)]
    return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10)


def case(
    nodes: str | Sequence[str],
    inputs: Mapping[str, np.ndarray],
    expected: Sequence[np.ndarray] | np.ndarray | None = None,
    outputs: Sequence[str] = ("y",),
    version: int = 21,
) -> Case:
    """A case whose outputs are those of ONNX's reference, unless they are given."""
    lines = [nodes] if isinstance(nodes, str) else list(nodes)
    made = model(lines, inputs, outputs, version)
    if expected is None:
        expected = ReferenceEvaluator(made).run(None, dict(inputs))  # pyright: ignore[reportAssignmentType]
    found = [expected] if isinstance(expected, np.ndarray) else list(expected or [])
    return Case(f"{lines[0]} of opset {version}", made, list(inputs.values()), found, 1e-4, 1e-5)


def floats(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
