"""What the names of a model become, and that the text which they stand in says the same."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

import irkit
from irkit.onnx import from_onnx
from irkit.onnx.names import parameter_name, value_name
from tests.from_onnx.models import info, model


@pytest.mark.parametrize(
    ("name", "op", "wanted"),
    [
        ("/encoder/layer.0/attention/self/query/MatMul_output_0", "MatMul", "query"),
        ("/encoder/layer.0/Add_1_output_0", "Add", "layer_0"),
        ("onnx::MatMul_123", "MatMul", "matmul"),
        ("onnx::Add_7", "Mul", "add"),
        ("417", "Conv", "conv"),
        ("input.12", "Conv", "input_12"),
        ("StatefulPartitionedCall/model/dense/BiasAdd:0", "Add", "biasadd"),
        ("model/dense/MatMul:0", "MatMul", "dense"),
        ("val_12", "Add", "val"),
        ("/Relu_output_0", "Relu", "relu"),
        ("выход", "Sub", "sub"),
        ("", "Sub", "sub"),
    ],
)
def test_values(name: str, op: str, wanted: str):
    assert value_name(name, helper.make_node(op, [], [name])) == wanted


@pytest.mark.parametrize(
    ("name", "user", "wanted"),
    [
        ("encoder.layer.0.attention.self.query.weight", "", "encoder_layer_0_attention_self_query_weight"),
        ("onnx::MatMul_123", "/encoder/layer.0/query/MatMul", "encoder_layer_0_query_w"),
        ("123", "/head/Gemm", "head_w"),
        ("onnx::MatMul_123", "", "matmul_w"),
        ("onnx::MatMul_123", "MatMul_5", "matmul_w"),
        ("/head/Transpose_output_0", "/head/MatMul", "head_Transpose"),
        ("in", "", "in_"),
        ("1st", "", "w1st"),
        ("выход", "", "w"),
    ],
)
def test_parameters(name: str, user: str, wanted: str):
    assert parameter_name(name, "w", helper.make_node("MatMul", [], [], name=user)) == wanted


def test_text_gives_the_same_numbers(tmp_path):
    """As an exporter of PyTorch writes them: the text parses, and its program computes the same."""
    rng = np.random.default_rng(3)
    data = {
        name: rng.standard_normal(shape).astype(np.float32)
        for name, shape in (
            ("onnx::MatMul_9", (8, 8)),
            ("onnx::MatMul_10", (8, 4)),
            ("encoder.layer.0.bias", (8,)),
            ("31", (4, 5)),
        )
    }
    path = "/encoder/layer.0/attention"
    nodes = [
        helper.make_node("MatMul", ["input", "onnx::MatMul_9"], [f"{path}/query/MatMul_output_0"], name=f"{path}/query/MatMul"),
        helper.make_node("Add", ["encoder.layer.0.bias", f"{path}/query/MatMul_output_0"], [f"{path}/query/Add_output_0"], name=f"{path}/query/Add"),
        helper.make_node("Relu", [f"{path}/query/Add_output_0"], ["22"], name="Relu_3"),
        helper.make_node("MatMul", ["22", "onnx::MatMul_10"], ["onnx::Tanh_23"], name=f"{path}/out/MatMul"),
        helper.make_node("Tanh", ["onnx::Tanh_23"], ["24"], name=""),
        helper.make_node("MatMul", ["24", "31"], ["return"], name=""),
    ]  # fmt: skip
    graph = from_onnx(model(nodes, [info("input", [3, 8])], ["return"], data))
    text = graph.tg()
    for wanted in ("query = ", "encoder_layer_0_attention_query_w", "encoder_layer_0_attention_out_w"):
        assert wanted in text
    assert "onnx" not in text
    graph.save_tg(tmp_path / "model.tg")
    x = rng.standard_normal((3, 8)).astype(np.float32)
    wanted = onnx.reference.ReferenceEvaluator(
        model(nodes, [info("input", [3, 8])], [info("return", [3, 5])], data)
    ).run(None, {"input": x})[0]
    found = irkit.compile(str(tmp_path / "model.tg"))(x)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
