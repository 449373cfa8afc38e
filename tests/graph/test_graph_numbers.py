"""References against NumPy, torch and plain formulas: dtypes, NaN and infinities, odd and zero sizes, broadcasting."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from dialects.graph.numerics import philox
from dialects.types import np_dtype, tensor
from tests.graph.samples import FLOATS, INTEGERS, MOVED, NUMBERS, random_array, run

SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, 2.5, -2.5, 3.0, 60.0, -60.0, np.inf, -np.inf, np.nan]
COMPOSED = {
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "erf": np.vectorize(math.erf, otypes=[np.float64]),
    "relu": lambda x: np.maximum(x, 0),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "gelu": lambda x: x * 0.5 * (1 + np.vectorize(math.erf, otypes=[np.float64])(x / math.sqrt(2))),
    "neg": np.negative,
}


def close(found: np.ndarray, wide: np.ndarray, ulps: float = 4) -> None:
    """Compares with an f64 result rounded to the dtype, up to some units in its last place."""
    with np.errstate(over="ignore"):
        expected = wide.astype(np.float64).astype(found.dtype).astype(np.float64)
    eps = float(ml_dtypes.finfo(found.dtype).eps)
    np.testing.assert_allclose(found.astype(np.float64), expected, rtol=ulps * eps, atol=ulps * eps * 0.2)


# -- elementwise --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    "name",
    [
        "neg",
        "abs",
        "exp",
        "log",
        "sqrt",
        "rsqrt",
        "tanh",
        "sigmoid",
        "erf",
        "sin",
        "cos",
        "floor",
        "ceil",
        "relu",
        "gelu",
        "silu",
    ],
)
def test_unary_floats(name: str, dtype: str):
    x = np.array(SPECIAL if dtype != "f8e4m3" else [v for v in SPECIAL if not np.isinf(v)]).astype(
        np_dtype(dtype)
    )
    with np.errstate(all="ignore"):
        wide = COMPOSED.get(name, getattr(np, name, None))(x.astype(np.float64))  # pyright: ignore
    if dtype == "f8e4m3":  # exp(60) has no value there but NaN
        keep = np.abs(wide) < 440
        close(run(name, x)[keep], wide[keep])
    else:
        close(run(name, x), wide)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "mod", "pow", "min", "max"])
def test_binary_floats(name: str, dtype: str):
    values = [v for v in SPECIAL if dtype != "f8e4m3" or abs(v) < 20]
    a, b = np.array(values).astype(np_dtype(dtype))[:, None], np.array(values).astype(np_dtype(dtype))
    functions = {
        "sub": np.subtract,
        "mul": np.multiply,
        "div": np.divide,
        "min": np.minimum,
        "max": np.maximum,
    }
    function = functions.get(name) or getattr(np, {"pow": "power"}.get(name, name))
    wide_dtype = np.float64 if dtype == "f64" else np.float32
    with np.errstate(all="ignore"):
        expected = function(a.astype(wide_dtype), b.astype(wide_dtype))
        if dtype == "f8e4m3":
            expected = np.where(np.abs(expected) < 440, expected, np.nan)
        close(run(name, a, b), expected)


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "mod", "pow", "min", "max"])
def test_binary_integers_wrap_and_divide_by_zero(name: str, dtype: str):
    info = np.iinfo(dtype.replace("i", "int").replace("u", "uint"))
    edges = sorted(
        {info.min, info.min + 1, 0, 1, 2, 3, 7, info.max - 1, info.max, max(info.min, -1), max(info.min, -3)}
    )
    a, b = (m.reshape(-1) for m in np.meshgrid(np.array(edges, info.dtype), np.array(edges, info.dtype)))
    rules = {
        "add": lambda x, y: x + y,
        "sub": lambda x, y: x - y,
        "mul": lambda x, y: x * y,
        "div": lambda x, y: x // y if y else 0,
        "mod": lambda x, y: x % y if y else 0,
        "pow": lambda x, y: pow(x, y, 1 << 64) if y >= 0 else (x if y % 2 else 1) if abs(x) == 1 else 0,
        "min": min,
        "max": max,
    }
    span = 1 << info.bits
    expected = [(rules[name](int(x), int(y)) - info.min) % span + info.min for x, y in zip(a, b, strict=True)]
    assert run(name, a, b).tolist() == expected


def test_nan_propagates_through_min_and_max():
    nan, one = np.float32([np.nan]), np.float32([1])
    for name in ("min", "max"):
        assert np.isnan(run(name, nan, one)).all() and np.isnan(run(name, one, nan)).all()
    assert np.isnan(run("relu", nan)).all()


def test_least_integer_has_no_absolute_value():
    assert run("abs", np.int8([-128, -3])).tolist() == [-128, 3]
    assert run("neg", np.int8([-128, -3])).tolist() == [-128, 3]
    assert run("neg", np.uint8([1])).tolist() == [255]


def test_comparisons_with_nan_are_false_but_for_ne():
    a, b = np.float32([np.nan, 1, 2]), np.float32([1, 1, 1])
    found = {p: run("compare", a, b, pred=p).tolist() for p in ("eq", "ne", "lt", "le", "gt", "ge")}
    assert found == {
        "eq": [False, True, False],
        "ne": [True, False, True],
        "lt": [False, False, False],
        "le": [False, True, False],
        "gt": [False, False, True],
        "ge": [False, True, True],
    }


# -- casts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", INTEGERS)
@pytest.mark.parametrize("source", FLOATS)
def test_float_to_integer_saturates(source: str, target: str):
    values = [-1e30, -300.7, -1.5, -0.5, 0.5, 1.5, 200.9, 1e30, np.inf, -np.inf, np.nan]
    with np.errstate(all="ignore"):
        x = np.array(values).astype(np_dtype(source))
    info = np.iinfo(np_dtype(target))
    expected = [
        0 if math.isnan(v) else info.max if v == math.inf else info.min if v == -math.inf else
        max(info.min, min(info.max, math.trunc(v)))
        for v in x.astype(np.float64).tolist()
    ]  # fmt: skip
    assert run("cast", x, dtype=target).tolist() == expected


FEW_BITS = ("i2", "i4", "u2", "u4")


@pytest.mark.parametrize("target", (*FEW_BITS, *INTEGERS))
@pytest.mark.parametrize("source", (*FEW_BITS, *INTEGERS))
def test_integer_to_integer_wraps(source: str, target: str):
    x = np.array([0, 1, 7]).astype(np_dtype(source))
    if source not in FEW_BITS:
        info = np.iinfo(np_dtype(source))
        x = np.array([info.min, 0, 1, 100, info.max], np_dtype(source))
    info = ml_dtypes.iinfo(np_dtype(target))
    span = int(info.max) - int(info.min) + 1
    expected = [(int(v) - int(info.min)) % span + int(info.min) for v in x]
    assert [int(v) for v in run("cast", x, dtype=target)] == expected


@pytest.mark.parametrize("target", NUMBERS)
@pytest.mark.parametrize("source", ("bool", "i4", "i8", "f32", "bf16", "f8e4m3"))
def test_small_numbers_cast_exactly(source: str, target: str):
    x = np.array([0, 1, 1]).astype(np_dtype(source))
    assert run("cast", x, dtype=target).astype(np.float64).tolist() == [0, 1, 1]


def test_cast_to_bool_is_not_zero():
    assert run("cast", np.float32([0, -0.0, 0.1, np.nan]), dtype="bool").tolist() == [
        False,
        False,
        True,
        True,
    ]
    assert run("cast", np.int64([0, 256]), dtype="bool").tolist() == [False, True]


# -- contractions -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", (*FLOATS, *INTEGERS, "c64", "c128"))
@pytest.mark.parametrize(
    "shapes", [((3, 5), (5, 7)), ((2, 1, 3, 5), (4, 5, 1)), ((5,), (5, 2)), ((3, 0), (0, 4))]
)
def test_matmul(dtype: str, shapes: tuple[tuple[int, ...], ...]):
    a, b = (random_array(tensor(dtype, s), i) for i, s in enumerate(shapes))
    wide = np.complex128 if dtype[0] == "c" else np.float64 if dtype[0] in "fb" else np.int64
    expected = np.matmul(a.astype(wide), b.astype(wide))
    if dtype[0] in "iuc":
        np.testing.assert_allclose(
            run("matmul", a, b), expected.astype(np_dtype(dtype)), rtol=1e-5, atol=1e-5
        )
    else:
        close(run("matmul", a, b), expected, 40 if dtype in ("f32", "f64") else 2)


@pytest.mark.parametrize(
    ("x", "w", "values"),
    [
        ((2, 3, 8, 9), (4, 3, 3, 3), {}),
        ((1, 4, 7, 7), (6, 2, 3, 2), {"groups": 2, "stride": [2, 3], "padding": [1, 2]}),
        ((2, 5, 6, 6), (5, 1, 3, 3), {"groups": 5, "padding": 1}),
        ((1, 2, 9, 9), (3, 2, 3, 3), {"dilation": 2, "stride": 2}),
        ((0, 2, 5, 5), (3, 2, 1, 1), {}),
    ],
)
def test_conv2d_is_torch(x: tuple[int, ...], w: tuple[int, ...], values: dict):
    torch = pytest.importorskip("torch")
    a, b = random_array(tensor("f32", x), 1), random_array(tensor("f32", w), 2)
    bias = random_array(tensor("f32", w[:1]), 3)
    expected = torch.nn.functional.conv2d(*map(torch.from_numpy, (a, b, bias)), **values).numpy()
    np.testing.assert_allclose(run("conv2d", a, b, bias, **values), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("values", [{"kernel": 2}, {"kernel": [3, 2], "stride": [1, 2], "padding": [1, 1]}])
def test_pools_are_torch(values: dict):
    torch = pytest.importorskip("torch")
    x = random_array(tensor("f32", (2, 3, 7, 8)))
    settings_ = {"kernel_size" if k == "kernel" else k: v for k, v in values.items()}
    for name in ("max_pool2d", "avg_pool2d"):
        expected = getattr(torch.nn.functional, name)(torch.from_numpy(x), **settings_).numpy()
        np.testing.assert_allclose(run(name, x, **values), expected, rtol=1e-5, atol=1e-6)


def test_max_pool_keeps_nan_and_ignores_padding():
    x = np.full((1, 1, 4, 4), -5, np.float32)
    x[0, 0, 0, 0] = np.nan
    found = run("max_pool2d", x, kernel=2, padding=1)[0, 0]
    assert np.isnan(found[0, 0]) and (found[1:, 1:] == -5).all()


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("mask", [None, "f32", "bool"])
def test_attention_is_torch(causal: bool, mask: str | None):
    torch = pytest.importorskip("torch")
    q, k, v = (random_array(tensor("f32", (2, 3, 6, 4)), i) for i in range(3))
    masks = [] if mask is None else [random_array(tensor(mask, (3, 6, 6)), 4)]
    if mask == "bool":
        masks[0][..., 0] = True
    seen = np.tril(np.ones((6, 6), bool)) if causal else np.ones((6, 6), bool)
    whole = np.where(seen, masks[0] if mask == "f32" else 0, -np.inf).astype(np.float32)
    whole = np.where(masks[0], whole, -np.inf).astype(np.float32) if mask == "bool" else whole
    attend = torch.nn.functional.scaled_dot_product_attention
    expected = attend(*map(torch.from_numpy, (q, k, v)), attn_mask=torch.from_numpy(whole)).numpy()
    np.testing.assert_allclose(
        run("attention", q, k, v, *masks, causal=causal), expected, rtol=1e-5, atol=1e-6
    )


def test_attention_row_that_sees_no_key_is_zero():
    q, k, v = np.ones((2, 4), np.float32), np.ones((3, 4), np.float32), np.ones((3, 5), np.float32)
    mask = np.array([[True, False, True], [False, False, False]])
    assert run("attention", q, k, v, mask).tolist() == [[1] * 5, [0] * 5]


# -- reductions ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", NUMBERS)
@pytest.mark.parametrize("kind", ["sum", "max", "min", "prod"])
def test_reductions(kind: str, dtype: str):
    x = random_array(tensor(dtype, (3, 4, 5)))
    wide = x.astype(np.float64 if dtype[0] in "fb" else np.int64)
    for axes in ((0,), (1, 2), (0, 1, 2), ()):
        expected = getattr(np, kind)(wide, axis=axes)
        found = run(f"reduce_{kind}", x, axes=list(axes))
        if dtype[0] in "iu":
            assert (found == expected.astype(found.dtype)).all()
        elif np.all(np.abs(expected) < 400):
            close(found, expected, 8)


def test_reductions_of_nothing():
    x = np.zeros((2, 0), np.float32)
    found = {k: run(f"reduce_{k}", x, axes=[1]).tolist() for k in ("sum", "max", "min", "prod")}
    assert found == {"sum": [0, 0], "max": [-np.inf] * 2, "min": [np.inf] * 2, "prod": [1, 1]}
    assert np.isnan(run("reduce_mean", x, axes=[1])).all()
    assert run("reduce_max", np.zeros((0,), np.int8)).tolist() == -128


def test_reductions_propagate_nan():
    x = np.float32([[1, np.nan], [2, 3]])
    for kind in ("sum", "mean", "max", "min", "prod"):
        assert np.isnan(run(f"reduce_{kind}", x, axes=[1])).tolist() == [True, False]


def test_argmax_takes_the_first():
    assert run("argmax", np.float32([[1, 3, 3], [np.nan, 9, np.nan]]), axis=1).tolist() == [1, 0]
    assert run("argmax", np.uint8([[0], [255]]), axis=0, keepdims=True).tolist() == [[1]]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_softmax(dtype: str, axis: int):
    x = random_array(tensor(dtype, (4, 3, 7)))
    power = np.exp(x.astype(np.float64))
    close(run("softmax", x, axis=axis), power / power.sum(axis=axis, keepdims=True))


def test_softmax_of_large_and_infinite_numbers():
    x = np.float32([[1e30, 1e30], [-np.inf, 0], [np.inf, 0]])
    found = run("softmax", x)
    assert found[:2].tolist() == [[0.5, 0.5], [0, 1]] and np.isnan(found[2]).any()


@pytest.mark.parametrize("dtype", FLOATS)
def test_layer_norm(dtype: str):
    x, scale, bias = (random_array(tensor(dtype, s), i) for i, s in enumerate([(4, 3, 8), (8,), (8,)]))
    wide = x.astype(np.float64)
    normal = (wide - wide.mean(-1, keepdims=True)) / np.sqrt(wide.var(-1, keepdims=True) + 1e-3)
    close(
        run("layer_norm", x, scale, bias, eps=1e-3),
        normal * scale.astype(np.float64) + bias.astype(np.float64),
        16,
    )


# -- random numbers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
)
def test_philox_known_answers(counter: str, key: str, words: str):
    """The test vectors of Random123."""
    low, high = (int(w, 16) for w in key.split())
    found = philox((low, high), np.array([[int(w, 16) for w in counter.split()]], np.uint64))
    assert [f"{w:08x}" for w in found[0]] == words.split()


def test_random_numbers_do_not_depend_on_the_shape():
    key = np.uint32([1, 2])
    bits = run("random", key, shape=[12], dist="bits")
    assert (run("random", key, shape=[3, 4], dist="bits").reshape(-1) == bits).all()
    assert (run("random", key, shape=[12]) == (bits >> 8).astype(np.float32) * np.float32(2**-24)).all()


def test_distributions():
    key = np.uint32([7, 0])
    uniform = run("random", key, shape=[20_000]).astype(np.float64)
    normal = run("random", key, shape=[20_000], dist="normal").astype(np.float64)
    assert uniform.min() >= 0 and uniform.max() < 1
    assert abs(uniform.mean() - 0.5) < 0.01 and abs(uniform.var() - 1 / 12) < 0.002
    assert np.isfinite(normal).all() and abs(normal.mean()) < 0.02 and abs(normal.var() - 1) < 0.03
    assert abs(np.corrcoef(uniform[:-1], uniform[1:])[0, 1]) < 0.02


# -- movement -----------------------------------------------------------------------------------------------------


def test_gather_counts_from_the_end_and_clamps():
    x = np.arange(5, dtype=np.float32)
    assert run("gather", x, np.int32([-1, -5, -9, 7, 2])).tolist() == [4, 0, 0, 4, 2]
    assert run("gather", x, np.uint8([255, 3])).tolist() == [4, 3]
    assert run("gather", np.zeros((0, 2), np.float32), np.zeros((0, 3), np.int32)).shape == (0, 3, 2)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_slice_is_numpy(data: st.DataObject):
    shape = data.draw(st.lists(st.integers(0, 6), min_size=1, max_size=3))
    x = np.arange(math.prod(shape), dtype=np.float32).reshape(shape)
    starts = [data.draw(st.integers(0, n)) for n in shape]
    stops = [data.draw(st.integers(s, n)) for s, n in zip(starts, shape, strict=True)]
    strides = [data.draw(st.integers(1, 4)) for _ in shape]
    expected = x[tuple(map(slice, starts, stops, strides))]
    np.testing.assert_array_equal(run("slice", x, starts=starts, stops=stops, strides=strides), expected)


@pytest.mark.parametrize("dtype", MOVED)
def test_where_keeps_bits(dtype: str):
    a, b = random_array(tensor(dtype, (3, 4)), 1), random_array(tensor(dtype, (4,)), 2)
    condition = random_array(tensor("bool", (3, 1)))
    assert run("where", condition, a, b).tobytes() == np.where(condition, a, b).tobytes()
