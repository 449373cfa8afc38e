"""Causal masks that a model holds as arrays are computed from places; other arrays stay parameters."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import irkit

TRIANGLE = np.tri(5, 7, 2, dtype=bool)
OTHER = TRIANGLE.copy()
OTHER[0, 6] = True


@pytest.mark.parametrize(
    ("mask", "is_parameter"),
    [
        (TRIANGLE, False),
        (~TRIANGLE, False),
        (TRIANGLE[None, None], False),
        (np.tri(5, 7, dtype=bool), True),
        (OTHER, True),
    ],
)
def test_mask(mask: np.ndarray, is_parameter: bool):
    x = np.arange(35, dtype=np.float32).reshape(5, 7)
    node = helper.make_node("Where", ["mask", "x", "low"], ["y"])
    value = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("x", x.shape), ("y", np.broadcast_shapes(x.shape, mask.shape)))
    ]
    held = [numpy_helper.from_array(mask, "mask"), numpy_helper.from_array(np.float32(-1), "low")]
    model = helper.make_model(helper.make_graph([node], "g", value[:1], value[1:], held))
    graph = irkit.from_onnx(model)
    assert bool(graph.arrays) == is_parameter
    np.testing.assert_array_equal(graph.interpret(x)[0], np.where(mask, x, -1))
