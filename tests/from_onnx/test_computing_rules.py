"""Reductions, products, convolutions, pools and normalisations of ONNX: older opsets, named dims, what is refused."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from dialects.errors import IrkitError
from irkit.onnx import from_onnx
from tests.from_onnx import batches
from tests.from_onnx.written import case, floats, model

X = floats(2, 3, 4)
IMAGE = floats(1, 2, 7, 6)
LAST = np.array([[1, 3, 3, 0], [2, 2, 1, 2], [0, 0, 0, 0]], np.float32)
BYTES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
ROWS = X.reshape(2, 12)


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


CASES = [
    case("y = ReduceSum<axes=[1], keepdims=0>(x)", {"x": X}, version=11),
    case("y = ReduceL1<noop_with_empty_axes=1>(x)", {"x": X}, np.abs(X), version=18),
    case("y = ReduceMean<axes=[-1]>(x)", {"x": np.array([[7, 8, 8]], np.int32)}, version=11),
    case("y = ArgMax<axis=1, select_last_index=1, keepdims=0>(x)", {"x": LAST}, version=12),
    case("y, i = TopK<k=2>(x)", {"x": LAST}, outputs=("y", "i"), version=9),
    case(
        "y = Hardmax<axis=1>(x)",
        {"x": X},
        np.eye(12, dtype=np.float32)[ROWS.argmax(axis=1)].reshape(X.shape),
        version=11,
    ),
    case("y = Softmax(x)", {"x": X}, softmax(ROWS).reshape(X.shape), version=11),
    case("y = LogSoftmax<axis=2>(x)", {"x": X}, np.log(softmax(X.reshape(6, 4))).reshape(X.shape), version=9),
    case(
        "y = Gemm<alpha=0.5, beta=2.0, transA=1, transB=1>(a, b, c)",
        {"a": floats(3, 2), "b": floats(4, 3), "c": floats(4)},
    ),
    case("y = Einsum<equation=\"...ij, jk -> ...ik\">(x, w)", {"x": X, "w": floats(4, 5)}),
    case("y = Einsum<equation=\"bij,bjk\">(x, w)", {"x": X, "w": floats(1, 4, 5)}),
    case("y = Det(x)", {"x": floats(2, 5, 5)}),
    case("y = Det(x)", {"x": np.zeros((4, 4), np.float32)}),
    case(
        "y = Conv<group=2, dilations=[2, 1], strides=[1, 2], pads=[1, 0, 2, 1]>(x, w, b)",
        {"x": IMAGE, "w": floats(4, 1, 2, 3), "b": floats(4)},
    ),
    case("y = Conv<auto_pad=\"SAME_LOWER\", strides=[2]>(x, w)", {"x": X, "w": floats(2, 3, 3)}),
    case(
        "y = ConvTranspose<strides=[2, 3], pads=[1, 0, 0, 1], output_padding=[1, 2]>(x, w)",
        {"x": IMAGE, "w": floats(2, 3, 3, 2)},
    ),
    case(
        "y = MaxPool<kernel_shape=[3], strides=[2], ceil_mode=1>(x)",
        {"x": np.array([[[5, 1, 2, 7]]], np.float32)},
        np.array([[[5, 7]]], np.float32),
    ),
    case("y, i = MaxPool<kernel_shape=[2, 3], strides=[2, 1], dilations=[1, 2], storage_order=1>(x)", {"x": IMAGE}, outputs=("y", "i")),
    case("y, i = MaxPool<kernel_shape=[2], pads=[1, 1]>(x)", {"x": np.full((1, 1, 3), -np.inf, np.float32)}, [np.full((1, 1, 4), -np.inf, np.float32), np.array([[[0, 0, 1, 2]]])], outputs=("y", "i")),
    case(
        "y = AveragePool<kernel_shape=[3], strides=[2], pads=[1, 1], ceil_mode=1, count_include_pad=1>(x)",
        {"x": np.array([[[3, 6, 9, 12]]], np.float32)},
        np.array([[[3, 9, 6]]], np.float32),
        version=19,
    ),
    case(
        "y = BatchNormalization(x, s, b, m, v)",
        {"x": X, "s": floats(3), "b": floats(3, seed=1), "m": floats(3, seed=2), "v": np.ones(3, np.float32)},
        (X - floats(3, seed=2)[:, None]) / np.sqrt(np.float32(1 + 1e-5)) * floats(3)[:, None] + floats(3, seed=1)[:, None],
        version=9,
    ),
    case("y = LayerNormalization<axis=1>(x, s)", {"x": X, "s": floats(3, 4)}, version=17),
    case("y = LRN<size=3, alpha=0.1>(x)", {"x": floats(3, 3, 2, 2)}),
    case("y = QuantizeLinear(x, s)", {"x": X, "s": np.array(0.1, np.float32)}, version=10),
    case(
        "y = DequantizeLinear<axis=1, block_size=2>(x, s)",
        {"x": BYTES[:, :, :].reshape(6, 4), "s": floats(6, 2)},
    ),
]  # fmt: skip


def test_cases_that_the_suites_lack():
    faults = [o for o in batches.run(CASES) if o.kind != "passed"]
    assert not faults, "\n".join(f"{o.kind} {o.name}: {o.reason}" for o in faults)


NODES = [
    "y0 = ReduceMean<axes=[2], keepdims=0>(x)",
    "y1 = ArgMax<axis=2, select_last_index=1>(x)",
    "y2 = MaxPool<kernel_shape=[2], strides=[2]>(x)",
    "y3 = AveragePool<kernel_shape=[3], pads=[1, 1]>(x)",
    "y4 = Conv<pads=[1, 1]>(x, w)",
    "y5 = Softmax<axis=1>(x)",
    "y6 = InstanceNormalization(x, s, s)",
    "y7 = LpPool<kernel_shape=[2], p=1>(x)",
]


def test_dims_that_are_open_stay_open():
    given = {"x": floats(2, 3, 8), "w": floats(4, 3, 3), "s": floats(3)}
    outputs = [f"y{i}" for i in range(len(NODES))]
    made = model(NODES, given, outputs, 13, {"x": ("B", 3, "N")})
    program = from_onnx(made, dims={"N": (4, 32)}).compile(threads=1)
    for size in (8, 11):
        given["x"] = floats(3, 3, size, seed=size)
        wanted = ReferenceEvaluator(made).run(None, given)
        for found, expected in zip(program(*given.values()), wanted, strict=True):
            np.testing.assert_allclose(found, np.asarray(expected), rtol=1e-4, atol=1e-5)


def test_constants_become_what_onnx_says():
    """Of these ops the reference of the `onnx` package has some otherwise: they are not folded by it."""
    x, s = floats(2, 5, 3, 4), np.abs(floats(5)) + 1
    squares = np.pad(x**2, ((0, 0), (1, 1), (0, 0), (0, 0)))
    near = squares[:, :-2] + squares[:, 1:-1] + squares[:, 2:]
    wanted = {
        ("y = LRN<size=3, alpha=0.3, beta=0.75, bias=1.0>(x)", 13): x / (1 + 0.1 * near) ** 0.75,
        ("y = LpNormalization<axis=1, p=1>(x)", 21): x / np.abs(x).sum(axis=1, keepdims=True),
        ("y = BatchNormalization<epsilon=0.0>(x, s, s, s, s)", 9): (x - _along(s)) * np.sqrt(_along(s)) + _along(s),
        ("y = AveragePool<kernel_shape=[1, 3], strides=[1, 3], ceil_mode=1>(x)", 19): np.stack(
            [x[..., :3].mean(axis=-1), x[..., 3]], axis=-1
        ),
    }  # fmt: skip
    for (node, version), expected in wanted.items():
        made = model([node], {"x": x, "s": s} if "s, s" in node else {"x": x}, version=version)
        held = {"x": x, "s": s}
        made.graph.initializer.extend(
            onnx.numpy_helper.from_array(held[i.name], i.name) for i in made.graph.input
        )
        del made.graph.input[:]
        np.testing.assert_allclose(
            from_onnx(made).interpret()[0], expected, rtol=1e-5, atol=1e-6, err_msg=node
        )


def _along(s: np.ndarray) -> np.ndarray:
    """A number for each channel of images."""
    return s.reshape(-1, 1, 1)


def test_attention_keeps_its_open_dims_beside_a_cache():
    """Keys of the cache come first, and each head of keys serves two of queries."""
    shapes = {"q": ("B", "S", 16), "k": ("B", "S", 8), "v": ("B", "S", 8), "pk": ("B", 2, "P", 4)}
    shapes["pv"] = shapes["pk"]
    given = {"q": floats(1, 3, 16), "k": floats(1, 3, 8, seed=1), "v": floats(1, 3, 8, seed=2)}
    given |= {"pk": floats(1, 2, 5, 4), "pv": floats(1, 2, 5, 4, seed=3)}
    node = "y, nk, nv = Attention<q_num_heads=4, kv_num_heads=2, is_causal=1>(q, k, v, , pk, pv)"
    made = model([node], given, ("y", "nk", "nv"), 23, shapes)
    graph = from_onnx(made)
    assert "attention(" in graph.tg()
    for found, wanted in zip(
        graph.interpret(*given.values()), ReferenceEvaluator(made).run(None, given), strict=True
    ):
        np.testing.assert_allclose(found, np.asarray(wanted), rtol=1e-4, atol=1e-5)


REFUSED = [
    ("y = ReduceLogSum(x)", {"x": BYTES.astype(np.int32)}, "does not support logarithms of integers"),
    ("y, i = TopK(x, k)", {"x": X, "k": np.array([2])}, "needs to know k while importing"),
    ("y = ReduceSum<axes=[3]>(x)", {"x": X}, "axis 3 of a tensor of rank 3"),
    ("y = Conv(x, w)", {"x": floats(1, 1, 2, 2, 2, 2), "w": floats(1, 1, 1, 1, 1, 1)}, "along 4 dims"),
    ("y = MaxPool<kernel_shape=[5]>(x)", {"x": X}, "a window of 5 along 4 elements"),
    ("y = Det(x)", {"x": floats(20, 20)}, "the determinant of a matrix of 20 rows"),
    ("y = BatchNormalization<spatial=0>(x, s, s, s, s)", {"x": X, "s": floats(3)}, "spatial=0"),
]


@pytest.mark.parametrize(
    ("node", "inputs", "message"), REFUSED, ids=lambda v: v if isinstance(v, str) else ""
)
def test_what_is_refused_is_told(node: str, inputs: dict[str, np.ndarray], message: str):
    version = 8 if "spatial" in node else 11
    outputs = [name.strip() for name in node.partition("=")[0].split(",")]
    with pytest.raises(IrkitError) as caught:
        from_onnx(model([node], inputs, outputs, version))
    assert message in str(caught.value)
