"""Losses, dropout, random numbers, steps of training, gradients, and ops of ai.onnx.ml."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper
from onnx.reference import ReferenceEvaluator

from irkit.onnx import from_onnx
from irkit.onnx.faults import Unsupported
from tests.from_onnx import batches
from tests.from_onnx.models import info, model, node_model

rng = np.random.default_rng(4)
TRAINING, ML = "ai.onnx.preview.training", "ai.onnx.ml"


def numbers(*shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


def by_reference(op: str, arrays: dict, outputs=("y",), **attributes) -> batches.Case:
    """A case whose outputs are those of ONNX's reference."""
    proto = node_model(op, arrays, list(outputs), **attributes)
    expected = ReferenceEvaluator(proto).run(None, {k: v for k, v in arrays.items() if v is not None})
    alike = [
        e.astype(np.float32) if e.dtype == np.float64 else e for e in expected
    ]  # as ONNX says of the type
    return batches.Case(f"{op} {attributes}", proto, list(arrays.values()), alike, 1e-4, 1e-5)


def losses() -> list[batches.Case]:
    scores, deep = {"s": numbers(4, 3)}, {"s": numbers(2, 3, 4)}
    labels = {"t": np.array([0, 2, 1, 1], np.int64)}
    many = {"t": rng.integers(0, 3, (2, 4))}
    op = "SoftmaxCrossEntropyLoss"
    return [
        by_reference(op, scores | labels),
        by_reference(op, scores | labels, ("y", "log"), reduction="none"),
        by_reference(op, deep | many, ("y", "log"), reduction="sum"),
        by_reference(op, deep | many | {"w": numbers(3)}, ignore_index=1),
        by_reference("NegativeLogLikelihoodLoss", deep | many | {"w": numbers(3)}, reduction="sum"),
    ]


def encoders() -> list[batches.Case]:
    x = np.array([[3, 1], [7, -2]], np.int64)
    f = np.array([0.5, 1.5, np.nan], np.float32)
    trees = dict(
        n_targets=2, tree_roots=[0, 3], nodes_featureids=[0, 1, 1, 2], nodes_modes=np.array([0, 4, 3, 1], np.uint8),
        nodes_splits=np.array([0.0, 1.0, -0.5, 0.25], np.float32), nodes_truenodeids=[1, 0, 2, 4],
        nodes_trueleafs=[0, 1, 1, 1], nodes_falsenodeids=[2, 1, 3, 5], nodes_falseleafs=[0, 1, 1, 1],
        leaf_targetids=[0, 1, 0, 1, 1, 0], leaf_weights=np.array([1, 2, 3, 4, 5, 6], np.float32),
        nodes_missing_value_tracks_true=[1, 0, 0, 1],
    )  # fmt: skip
    arrays = ("nodes_modes", "nodes_splits", "leaf_weights")
    trees |= {
        k: helper.make_tensor(k, helper.np_dtype_to_tensor_dtype(trees[k].dtype), trees[k].shape, trees[k])
        for k in arrays
    }
    rows = numbers(8, 3)
    rows[0, 1], rows[1, 2], rows[2, 0] = 1.0, np.nan, np.nan
    return [
        by_reference("LabelEncoder", {"x": x}, domain=ML, keys_int64s=[1, 3, 3], values_floats=[0.5, 2.0, 4.0], default_float=-1.0),
        by_reference("LabelEncoder", {"x": f[:2]}, domain=ML, keys_floats=[1.5], values_int64s=[9], default_int64=7),
        by_reference("Binarizer", {"x": numbers(3, 2)}, domain=ML, threshold=0.25),
        *(by_reference("TreeEnsemble", {"x": rows}, domain=ML, aggregate_function=k, **trees) for k in (0, 1)),
    ]  # fmt: skip


def steps() -> list[batches.Case]:
    rate, t = {"r": np.array(0.1, np.float32)}, {"t": np.array(3, np.int64)}
    state = {k: np.abs(numbers(4)) for k in ("x", "g", "v", "h")}
    two = {k: numbers(2) for k in ("x1", "x2", "g1", "g2", "v1", "v2")}
    outputs = ("x_new", "v_new", "h_new")
    return [
        by_reference("Adam", rate | t | state, outputs, domain=TRAINING, norm_coefficient_post=0.5, epsilon=1e-3),
        by_reference("Adagrad", rate | t | {k: state[k] for k in "xgh"}, outputs[:2], domain=TRAINING, decay_factor=0.1),
        by_reference(
            "Momentum", rate | t | two, ("a", "b", "c", "d"),
            domain=TRAINING, alpha=0.9, beta=0.5, mode="nesterov", norm_coefficient=0.01,
        ),
    ]  # fmt: skip


def gradient() -> batches.Case:
    """Of a loss by what a node in between gives, past nodes that it does not depend on."""
    nodes = [
        helper.make_node("Mul", ["x", "w"], ["h"]),
        helper.make_node("Tanh", ["h"], ["a"]),
        helper.make_node("Exp", ["x"], ["other"]),
        helper.make_node("Mul", ["a", "a"], ["q"]),
        helper.make_node("ReduceSum", ["q"], ["loss"], keepdims=0),
        helper.make_node("Gradient", ["w", "h"], ["dw", "dh"], xs=["w", "h"], y="loss", domain=TRAINING),
    ]
    proto = model(nodes, [info("x", [5]), info("w", [5])], ["dh", "dw"], domains={TRAINING: 1})
    x, w = numbers(5), numbers(5)
    dh = 2 * np.tanh(x * w) * (1 - np.tanh(x * w) ** 2)
    return batches.Case("gradient", proto, [x, w], [dh, np.zeros(5, np.float32)], 1e-4, 1e-5)


def test_numbers():
    cases = [*losses(), *encoders(), *steps(), gradient()]
    faults = [f"{o.name}: {o.kind} {o.reason}" for o in batches.run(cases, "-O0") if o.kind != "passed"]
    assert not faults, "\n".join(faults)


def test_dropout():
    x = numbers(3)
    after = node_model("Dropout", {"x": x, "ratio": np.array(0.5, np.float32)}, ["y", "mask"])
    assert "ones([3], bool)" in from_onnx(after).tg() or "true" in from_onnx(after).tg()
    old = node_model("Dropout", {"x": x}, ["y"], opset=7, ratio=0.3)
    assert from_onnx(old).interpret(x)[0] is not None
    given = {"x": x, "ratio": np.array(0.5, np.float32), "t": np.array(True)}
    training = node_model("Dropout", given, ["y"])
    with pytest.raises(Unsupported, match="needs to know the training mode"):
        from_onnx(training)
    for known in ({"t": np.array(False)},):
        rest = [a for name, a in given.items() if name not in known]
        np.testing.assert_array_equal(from_onnx(training, known=known).interpret(*rest)[0], x)


def drawn(op: str, arrays: dict | None = None, **attributes) -> np.ndarray:
    arrays = arrays or {}
    return from_onnx(node_model(op, arrays, ["y"], **attributes)).interpret(*arrays.values())[0]


def test_random_numbers():
    """With the distribution that is asked for; the same again for a seed, others for another."""
    x = drawn("RandomUniform", shape=[50, 40], low=-2.0, high=4.0, seed=3.0)
    assert x.dtype == np.float32 and -2 <= x.min() < -1.9 and 3.9 < x.max() <= 4 and abs(x.mean() - 1) < 0.15
    np.testing.assert_array_equal(x, drawn("RandomUniform", shape=[50, 40], low=-2.0, high=4.0, seed=3.0))
    assert (x != drawn("RandomUniform", shape=[50, 40], low=-2.0, high=4.0, seed=4.0)).any()
    y = drawn("RandomNormalLike", {"x": np.zeros((50, 40))}, mean=1.0, scale=0.5)
    assert y.dtype == np.float64 and abs(y.mean() - 1) < 0.05 and abs(y.std() - 0.5) < 0.05
    p = np.repeat(np.array([0.0, 0.25, 1.0], np.float32), 1000)
    b = drawn("Bernoulli", {"p": p}, dtype=7).reshape(3, 1000).mean(axis=1)
    assert b[0] == 0 and abs(b[1] - 0.25) < 0.05 and b[2] == 1
    scores = np.log(np.array([[0.5, 0.5, 1e-30], [0.1, 0.2, 0.7]], np.float32))
    m = drawn("Multinomial", {"s": scores}, sample_size=2000, dtype=7)
    shares = np.stack([np.bincount(row, minlength=3) for row in m]) / 2000
    np.testing.assert_allclose(shares, np.exp(scores), atol=0.04)
    assert m.dtype == np.int64


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"keys_strings": ["a"], "values_int64s": [1]}, "keys that are strings"),
        ({"keys_int64s": [1], "values_strings": ["a"]}, "values that are strings"),
        ({"keys_int64s": [1, 2], "values_int64s": [1]}, "2 keys of 1 values"),
        ({"keys_floats": [1.0], "values_int64s": [1]}, "keys of f32 for a tensor of i64"),
    ],
)
def test_refused_encoders(attributes: dict, message: str):
    with pytest.raises(Unsupported, match=message):
        from_onnx(node_model("LabelEncoder", {"x": np.zeros(2, np.int64)}, ["y"], domain=ML, **attributes))


def test_gradient_of_what_does_not_depend():
    nodes = [
        helper.make_node("Exp", ["x"], ["e"]),
        helper.make_node("Gradient", ["w"], ["dw"], xs=["w"], y="e", domain=TRAINING),
    ]
    proto = model(nodes, [info("x", [1]), info("w", [1])], ["dw"], domains={TRAINING: 1})
    with pytest.raises(Unsupported, match="the gradient of 'e', which depends on none of w"):
        from_onnx(proto)
