"""Derived ops through compiled C, and their formulas in NumPy: dtypes, the ends of the range, every mode."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.context import Context
from xdsl.dialects.func import FuncOp

from dialects.errors import IrkitError
from dialects.graph import OPS, Derived, make
from dialects.types import tensor
from irkit import compile as irkit_compile
from lowering.graph.decompose import GraphDecompose
from lowering.graph.interpret import run_graph
from tests.graph.samples import op_of
from tests.ops.harness import Call, check, check_all, module_of

F32 = np.float32
RNG = np.random.default_rng(0)
X = (RNG.standard_normal((3, 5)) * 3).astype(F32)
FAR = np.arange(63, dtype=F32).reshape(1, 1, 7, 9)
"""An image where windows stand next to what is infinite and to NaN."""
FAR[0, 0, [0, 6, 3], [8, 0, 3]] = np.inf, -np.inf, np.nan
CUBE = np.arange(24, dtype=F32).reshape(2, 3, 4)
NUMBERS = np.array(
    [0, -0.0, 1e-8, -1e-8, 1e-3, -1e-3, 0.3, -0.7, 0.5, -0.5, 1, -1, 1.5, 2.5, -2.5, 30, -30, 90, -90, 1e30], F32
)  # fmt: skip
EDGES = np.concatenate([NUMBERS, np.array([np.inf, -np.inf, np.nan], F32)])
ZEROS = np.array([0, -0.0, 1, -1, 3, -3, np.inf, -np.inf, np.nan], F32)
UNARY = [
    name for name, op in OPS.items() if op.__module__.endswith((".mathematics", ".activation")) and op.ARITY == (1, 1)
]  # fmt: skip


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(F32)


def elementwise() -> list[Call]:
    calls: list[Call] = []
    for name in UNARY:
        values = {"low": -1, "high": 2} if name == "clamp" else {}
        x = NUMBERS[:13] if name == "tan" else EDGES  # large angles lose all their digits in f32
        with np.errstate(over="ignore"):
            calls += [Call(name, [x.astype(t)], values) for t in (F32, np.float64, np.float16)]
    calls += [Call("atan2", [ZEROS[:, None].astype(t), ZEROS[None, :].astype(t)]) for t in (F32, np.float64)]
    calls += [
        Call("clamp", [np.arange(-5, 5, dtype=np.int8)], {"low": -1, "high": 2}),
        Call("sign", [np.arange(-5, 5, dtype=np.int32)]),
        Call("sign", [np.arange(5, dtype=np.uint8)]),
        Call("square", [np.array([-128, 100, 3], np.int8)]),
    ]
    return calls


def reductions() -> list[Call]:
    calls: list[Call] = []
    for axes in (None, (0,), (1,), (0, 1)):
        for keepdims in (False, True):
            values = {"keepdims": keepdims} | ({"axes": axes} if axes else {})
            calls += [Call(f"reduce_{kind}", [X > 1], values) for kind in ("any", "all")]
            calls += [Call(f"reduce_{kind}", [X], values) for kind in ("var", "std", "logsumexp", "l2")]
    calls += [
        Call("reduce_any", [np.zeros((2, 0), bool)], {"axes": (1,)}),
        Call("reduce_all", [np.zeros((2, 0), bool)], {"axes": (1,)}),
        Call(
            "reduce_logsumexp",
            [np.array([[-np.inf, -np.inf], [np.inf, 1], [1000, 1000]], F32)],
            {"axes": (1,)},
        ),
        Call("reduce_var", [(X + 1e4).astype(F32)]),
        Call("argmin", [X]),
        Call("argmin", [X], {"axis": 0, "keepdims": True}),
        Call("argmin", [np.array([3, -128, -128, 127], np.int8)]),
        Call("argmin", [np.array([3, 0, 255], np.uint8)]),
        Call("argmin", [np.array([3, np.nan, -5], F32)]),
    ]
    return calls


def arrangements() -> list[Call]:
    modes = ("constant", "edge", "reflect", "wrap")
    return [
        *(Call("pad", [CUBE], {"pads": (1, 0, 0, 2, 1, 3), "mode": m}) for m in modes),
        Call("pad", [CUBE.astype(np.int32)], {"pads": (0, 0, 2, 3, 0, 0), "value": -1.0}),
        Call("pad", [CUBE], {"pads": (0, 3, 0, 0, 5, 0), "mode": "wrap"}),
        Call("pad", [np.zeros((0, 2), F32)], {"pads": (1, 1, 0, 0), "value": 7.0}),
        Call("tile", [CUBE], {"repeats": (2, 1, 3)}),
        Call("tile", [X > 0], {"repeats": (1, 2)}),
        Call("flip", [CUBE]),
        Call("flip", [CUBE], {"axes": (1, -1)}),
        Call("roll", [CUBE], {"shift": 3, "axis": 2}),
        Call("roll", [CUBE], {"shift": -9, "axis": 1}),
        Call("split", [CUBE], {"parts": 2, "axis": -1}),
        Call("iota", [], {"shape": (3, 4)}),
        Call("iota", [], {"shape": (3, 4), "axis": 0, "dtype": "f32"}),
        Call("iota", [], {"shape": (300,), "dtype": "u8"}),
        Call("one_hot", [np.array([[0, 2], [9, -1]])], {"classes": 4}),
        Call("one_hot", [np.array([1, 0], np.uint8)], {"classes": 3, "dtype": "i32"}),
        Call("tril", [CUBE]),
        Call("tril", [CUBE.astype(np.int16)], {"k": -1}),
        Call("triu", [np.full((4, 3), np.nan, F32)], {"k": 1}),
        Call("gather_nd", [CUBE, RNG.integers(-2, 2, (5, 2))]),
        Call("gather_nd", [CUBE, np.array([[[1, -1, 3]], [[9, -9, 0]]], np.int32)]),
        Call("gather_nd", [CUBE > 3, np.zeros((0, 1), np.uint8)]),
        Call("take_along", [CUBE, RNG.integers(-6, 6, (2, 3, 9))]),
        Call("take_along", [CUBE, np.full((2, 3, 1), 2, np.uint8)]),
        Call("take_along", [CUBE, RNG.integers(0, 3, (2, 2, 4)).astype(np.int32)], {"axis": 1}),
        Call("pixel_shuffle", [normal(2, 8, 3, 2)], {"factor": 2}),
        Call("resize_nearest", [CUBE], {"size": (7, 3)}),
        Call("resize_nearest", [CUBE], {"size": (2, 8)}),
        Call("resize_bilinear", [CUBE], {"size": (7, 3)}),
        Call("resize_bilinear", [CUBE.astype(np.float16)], {"size": (1, 9)}),
        Call("resize_bilinear", [np.where(CUBE > 1, -np.inf, CUBE).astype(F32)], {"size": (7, 9)}),
    ]


def layers() -> list[Call]:
    image = normal(2, 6, 3, 2)
    positive = [np.abs(normal(6)) for _ in range(4)]
    return [
        Call("log_softmax", [X * 30]),
        Call("log_softmax", [X], {"axis": 0}),
        Call("rms_norm", [X, X[0]]),
        Call("rms_norm", [X.astype(np.float16), X[0].astype(np.float16)]),
        *(
            Call("rotary_embedding", [x, *angles], {"interleaved": inner})
            for inner in (False, True)
            for x, angles in (
                (X[:, :4].copy(), [X[0, :2], X[1, :4]]),
                (X[:, :4].astype(np.float16), [X[:, :2].astype(np.float16)] * 2),
                (image, [image[:1, :, :1, :1], image[0, 0, :1, :2]]),
            )
        ),
        Call("batch_norm", [image, *positive]),
        Call("batch_norm", [image[:, :, 0, 0].copy(), *positive], {"eps": 0.1}),
        *(Call("group_norm", [image, *positive[:2]], {"groups": g}) for g in (1, 3, 6)),
        *(Call(name, [X, X[::-1].copy()]) for name in ("squared_error", "absolute_error", "huber")),
        Call("huber", [X, X[::-1].copy()], {"delta": 0.25}),
        Call("binary_cross_entropy", [X * 40, (X > 0).astype(F32)]),
        Call("kl_divergence", [X, np.abs(X) * (X > 0)]),
        Call("kl_divergence", [np.float32([0, 0, -np.inf]), np.float32([np.nan, -1, 0])]),
        Call("binary_cross_entropy", [np.float32([np.inf, -np.inf]), np.float32([0, 0.5])]),
        Call("cross_entropy", [X * 40, np.array([0, 4, 2])]),
        Call("cross_entropy", [X, np.array([-1, 9, 2], np.int8)]),
        Call("cross_entropy", [normal(2, 3, 5), RNG.integers(0, 5, (2, 3)).astype(np.int32)]),
        Call(
            "conv1d",
            [normal(2, 4, 11), normal(6, 2, 3), normal(6)],
            {"stride": 2, "padding": 1, "dilation": 2, "groups": 2},
        ),
        Call("conv1d", [normal(1, 1, 5), normal(1, 1, 5)]),
        Call(
            "conv_transpose2d",
            [normal(2, 3, 4, 5), normal(3, 2, 3, 3)],
            {"stride": (2, 1), "padding": (1, 0)},
        ),
        Call("conv_transpose2d", [normal(1, 3, 4, 4), normal(3, 2, 2, 2), normal(2)], {"stride": 2}),
        Call("conv3d", [normal(2, 3, 5, 6, 7), normal(6, 3, 2, 2, 2)]),
        Call(
            "conv3d",
            [normal(2, 4, 5, 6, 7), normal(6, 2, 3, 2, 3), normal(6)],
            {"stride": (2, 1, 2), "padding": (1, 0, 2), "dilation": (1, 2, 1), "groups": 2},
        ),
        Call("conv3d", [normal(1, 2, 3, 3, 3).astype(np.float16), normal(2, 2, 3, 3, 3).astype(np.float16)]),
        *(
            Call(f"adaptive_{kind}_pool2d", [normal(2, 3, 7, 10)], {"size": size})
            for kind in ("avg", "max")
            for size in ((3, 4), (7, 1), (9, 11))
        ),
        *(
            Call(f"adaptive_{kind}_pool2d", [FAR], {"size": size})
            for kind in ("avg", "max")
            for size in ((5, 2), (9, 11))
        ),
        Call("adaptive_max_pool2d", [-np.abs(normal(1, 1, 4, 4)).astype(np.float16)], {"size": (2, 3)}),
        Call("global_avg_pool", [normal(2, 3, 4, 5)]),
        Call("global_max_pool", [normal(2, 3, 4)]),
        Call("einsum", [normal(2, 3, 4), normal(2, 4, 5)], {"spec": "bij,bjk->bik"}),
        *(
            Call("quantize", [X * 40, np.array(0.25, F32), np.array(z, t)])
            for t, z in ((np.int8, -3), (np.uint8, 100), (np.int16, 5), (np.int32, 0))
        ),
        Call("quantize", [X, np.array([0.1, 1, 3], F32), np.array([0, 1, 2], np.uint8)]),
        Call(
            "quantize",
            [
                np.array([2.5, 3.5, -2.5, np.nan, np.inf, -np.inf], F32),
                np.array(1, F32),
                np.array(0, np.int8),
            ],
        ),
        Call(
            "dequantize",
            [np.arange(15, dtype=np.uint8).reshape(3, 5), X[0], np.arange(5, dtype=np.uint8)],
            {"axis": 1},
        ),
        Call(
            "dequantize", [np.array([-128, 127], np.int8), np.array(0.5, np.float16), np.array(127, np.int8)]
        ),
        Call("einsum", [X], {"spec": "ij->ji"}),
        Call("einsum", [X], {"spec": "ij->"}),
        Call("einsum", [X, X], {"spec": "ij, kj -> ik"}),
        Call("einsum", [X, X[0].copy(), X[:, 0].copy()], {"spec": "ij,j,i"}),
        Call("einsum", [X[:, :3].copy()], {"spec": "ii->i"}),
        Call("einsum", [np.arange(6).reshape(2, 3)] * 2, {"spec": "ij,ij->j"}),
    ]


GROUPS = {f.__name__: f for f in (elementwise, reductions, arrangements, layers)}


@pytest.mark.parametrize("group", GROUPS)
def test_in_c(group: str):
    check_all(GROUPS[group]())


@pytest.mark.parametrize("group", GROUPS)
def test_the_formula_is_the_reference(group: str):
    for call in GROUPS[group]():
        module = module_of([call])
        GraphDecompose().apply(Context(), module)
        module.verify()
        assert not any(isinstance(op, Derived) for op in module.walk())
        (func,) = [op for op in module.ops if isinstance(op, FuncOp)]
        check(call, run_graph(func, list(call.arrays))[0])


def test_a_view_before_a_guarded_read_in_one_kernel():
    """A padded convolution of a reshaped tensor reads outside the reshaped one, not outside the stored one."""
    text = (
        "fn main(x: f32[2, 12], w: f32[2, 1, 3, 3]) -> f32[2, 2, 3, 4] {\n"
        "  return conv2d(reshape(x, [2, 1, 3, 4]), w, padding=1)\n}\n"
    )
    x, w = normal(2, 12), normal(2, 1, 3, 3)
    call = Call("conv2d", [x.reshape(2, 1, 3, 4), w], {"padding": 1})
    found = irkit_compile(text)(x, w)
    assert isinstance(found, np.ndarray)
    check(call, found)


@pytest.mark.parametrize(
    ("name", "types", "values", "message"),
    [
        ("pad", [("f32", [3])], {"pads": [1]}, "pads of pad has 1 numbers"),
        ("pad", [("f32", [3])], {"pads": [1, -1]}, "pads are not negative"),
        ("pad", [("f32", [3])], {"pads": [3, 0], "mode": "reflect"}, "cannot be reflected 3 wide"),
        ("pad", [("f32", [0])], {"pads": [1, 0], "mode": "edge"}, "no elements to repeat"),
        ("split", [("f32", [5])], {"parts": 2}, "does not split into 2 equal parts"),
        ("take_along", [("f32", [3, 4]), ("i32", [2, 4])], {}, "other dims"),
        ("pixel_shuffle", [("f32", [1, 6, 2, 2])], {"factor": 2}, "pixel_shuffle by 2 does not fit"),
        (
            "group_norm",
            [("f32", [1, 6, 2]), ("f32", [6]), ("f32", [6])],
            {"groups": 4},
            "do not make 4 groups",
        ),
        ("batch_norm", [("f32", [1, 6]), *[("f32", [5])] * 4], {}, "scale of batch_norm does not have dim 1"),
        ("cross_entropy", [("f32", [2, 5]), ("i32", [5])], {}, "labels of cross_entropy do not fit"),
        ("cross_entropy", [("f32", [2, 5]), ("f32", [2])], {}, "has no f32 form"),
        ("conv1d", [("f32", [2, 5]), ("f32", [2, 2, 2])], {}, "x and w of conv1d do not fit"),
        ("conv_transpose2d", [("f32", [1, 2, 3, 3]), ("f32", [3, 2, 2, 2])], {}, "do not fit"),
        ("conv3d", [("f32", [1, 4, 3, 3, 3]), ("f32", [2, 3, 1, 1, 1])], {}, "do not fit"),
        (
            "conv3d",
            [("f32", [1, 1, 3, 3, 3]), ("f32", [2, 1, 1, 1, 1])],
            {"stride": [1, 2]},
            "one number or 3",
        ),
        ("adaptive_avg_pool2d", [("f32", [1, 4, 3])], {"size": 2}, "does not fit"),
        ("gather_nd", [("f32", [3, 4]), ("i32", [2, 3])], {}, "does not fit"),
        ("quantize", [("f32", [3]), ("f32", [3]), ("i8", [])], {}, "have other shapes"),
        ("quantize", [("f32", [3, 4]), ("f32", [3]), ("i8", [3])], {"axis": 1}, "does not have dim 1"),
        ("dequantize", [("i8", [3]), ("f32", []), ("u8", [])], {}, "two dtypes"),
        ("einsum", [("f32", [2, 3])], {"spec": "ij,jk"}, "names 2 tensors"),
        ("einsum", [("f32", [2, 3])], {"spec": "ijk"}, "does not fit"),
        ("einsum", [("f32", [2, 3])], {"spec": "ii"}, "has two sizes"),
        ("einsum", [("f32", [2, 3])], {"spec": "ij->ik"}, "bad result"),
        ("einsum", [("f32", [2, 3])], {"spec": "i.->i"}, "bad spec"),
        ("iota", [], {"shape": [2], "dtype": "bool"}, "iota has no bool form"),
        ("log_softmax", [("i32", [2])], {}, "log_softmax has no i32 form"),
        ("tril", [("f32", [2])], {}, "rank 2 or more"),
        ("clamp", [("u8", [2])], {"low": 0}, "needs the parameter 'high'"),
    ],
)
def test_what_does_not_fit_is_told(name: str, types: list, values: dict, message: str):
    with pytest.raises(IrkitError) as caught:
        op_of(name, [tensor(dtype, dims) for dtype, dims in types], **values)
    assert message in caught.value.message


def test_the_language_has_them():
    text = """
fn main(x: f32[4, 6], labels: i64[4]) -> (f32, f32[4, 3], bool, f32[4], i64[4]) {
  a, b = split(x, 2, axis=1)
  return mean(cross_entropy(x, labels)), softplus(a) - atan2(a, b), any(x > 2), var(x, axis=1), argmin(x)
}
"""
    x, labels = normal(4, 6), np.array([0, 5, 2, 1])
    loss, y, found, var, low = irkit_compile(text)(x, labels)
    a, b = x[:, :3], x[:, 3:]
    shifted = x - x.max(axis=1, keepdims=True)
    scores = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(loss, -scores[range(4), labels].mean(), rtol=1e-5)
    np.testing.assert_allclose(y, np.log1p(np.exp(a)) - np.arctan2(a, b), rtol=1e-5, atol=1e-6)
    assert found == (x > 2).any()
    np.testing.assert_allclose(var, x.var(axis=1), rtol=1e-5)
    np.testing.assert_array_equal(low, x.argmin(axis=1))


def test_decomposed_ops_keep_the_location():
    call = Call("log_softmax", [X])
    module = module_of([call])
    GraphDecompose().apply(Context(), module)
    places = {str(op.location) for op in module.walk() if op.name.startswith("graph.")}
    assert len(places) == 1 and "calls.tg" in places.pop()
    assert make("constant", [], {"value": X}).results
