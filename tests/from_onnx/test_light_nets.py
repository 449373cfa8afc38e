"""The nine networks for images that the `onnx` package bundles without weights, through compiled C."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import pytest

import irkit

LIGHT = Path(os.path.dirname(onnx.__file__)) / "backend" / "test" / "data" / "light"
QUICK = ("squeezenet",)
OTHERS = (
    "bvlc_alexnet",
    "densenet121",
    "inception_v1",
    "inception_v2",
    "resnet50",
    "shufflenet",
    "vgg19",
    "zfnet512",
)


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(n, marks=pytest.mark.slow) for n in OTHERS)])
def test_network(name: str):
    graph = irkit.from_onnx(LIGHT / f"light_{name}.onnx")
    program = graph.compile()
    shape = tuple(int(n) for n in graph.func.args[0].type.get_shape())  # pyright: ignore
    count = np.prod(shape)
    image = (np.arange(count) / count).astype(np.float32).reshape(shape)
    expected = onnx.TensorProto()
    expected.ParseFromString((LIGHT / f"light_{name}_output_0.pb").read_bytes())
    np.testing.assert_allclose(program(image), onnx.numpy_helper.to_array(expected), rtol=1e-3, atol=1e-7)
