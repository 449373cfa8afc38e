"""Inference: NumPy's rules on numbers and on symbolic dims, and the messages for what does not fit."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from xdsl.ir import Block

from dialects.dims import Dim
from dialects.errors import IrkitError, Loc
from dialects.graph import make, quant
from dialects.types import DTYPES, AnyTensor, TensorType, dims_of, tensor, type_text

shapes = st.lists(st.sampled_from([0, 1, 2, 3]), max_size=4)


def infer(name: str, *types: AnyTensor, **values: object) -> AnyTensor:
    op = make(name, list(Block(arg_types=types).args), values, Loc("t.tg", 3, 5))
    result = op.results[0].type
    assert isinstance(result, TensorType)
    return result


def sizes(type_: AnyTensor) -> list[str]:
    return [str(d) for d in dims_of(type_)]


def t(*dims: str | int, dtype: str = "f32") -> AnyTensor:
    return tensor(dtype, [Dim.parse(str(d)) for d in dims])


@settings(max_examples=200, deadline=None)
@given(shapes, shapes)
def test_broadcasting_is_numpys(a: list[int], b: list[int]):
    try:
        expected = np.broadcast_shapes(tuple(a), tuple(b))
    except ValueError:
        with pytest.raises(IrkitError, match="do not broadcast"):
            infer("add", t(*a), t(*b))
    else:
        assert infer("add", t(*a), t(*b)).get_shape() == expected


@settings(max_examples=200, deadline=None)
@given(shapes, shapes)
def test_matmul_is_numpys(a: list[int], b: list[int]):
    try:
        expected = np.matmul(np.zeros(a), np.zeros(b)).shape
    except ValueError:
        with pytest.raises(IrkitError, match="matmul"):
            infer("matmul", t(*a), t(*b))
    else:
        assert infer("matmul", t(*a), t(*b)).get_shape() == expected


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=4), st.data())
def test_reshape_finds_the_open_dim(shape: list[int], data: st.DataObject):
    first = data.draw(st.sampled_from([n for n in range(1, 13) if math.prod(shape) % n == 0]))
    expected = np.zeros(shape).reshape(first, -1).shape
    assert infer("reshape", t(*shape), shape=[first, -1]).get_shape() == expected


@settings(max_examples=100, deadline=None)
@given(st.permutations(range(4)), st.lists(st.integers(0, 3), max_size=4, unique=True), st.booleans())
def test_transpose_and_reduce_are_numpys(perm: list[int], axes: list[int], keep: bool):
    x = np.zeros((2, 3, 4, 5))
    assert infer("transpose", t(2, 3, 4, 5), perm=list(perm)).get_shape() == x.transpose(perm).shape
    expected = x.sum(axis=tuple(axes), keepdims=keep).shape
    assert infer("reduce_sum", t(2, 3, 4, 5), axes=list(axes), keepdims=keep).get_shape() == expected


def test_symbols_match_as_expressions():
    assert sizes(infer("add", t("B", 4), t("B", 4))) == ["B", "4"]
    assert sizes(infer("add", t("2*B + 1", 4), t("1 + B*2", 1))) == ["B * 2 + 1", "4"]
    assert sizes(infer("matmul", t("B", "N"), t("N", 8))) == ["B", "8"]
    assert sizes(infer("concat", t("B", 2), t("N", 2), t(1, 2))) == ["B + N + 1", "2"]
    assert sizes(infer("reshape", t("B", 4, "N"), shape=["B", -1])) == ["B", "N * 4"]
    assert sizes(infer("reshape", t("B", 4), shape=["2*B", -1])) == ["B * 2", "2"]
    assert sizes(infer("slice", t("B", 4), starts=[1], stops=["B"], strides=[2])) == ["B floordiv 2", "4"]
    assert sizes(infer("slice", t("B", 4), starts=[0], stops=[-1])) == ["B - 1", "4"]
    assert sizes(infer("avg_pool2d", t("B", "H", 8), kernel=2)) == ["B", "H floordiv 2", "4"]
    assert sizes(infer("broadcast", t(1, 4), shape=["B", 4])) == ["B", "4"]


def test_a_symbol_meets_one_and_nothing_else():
    assert sizes(infer("add", t("B"), t(1))) == ["B"]
    with pytest.raises(IrkitError, match="B against 3"):
        infer("add", t("B"), t(3))
    with pytest.raises(IrkitError, match="B against N"):
        infer("add", t("B", 4), t("N", 4))


ERRORS = [
    (
        ("add", t(2, 3), t(4, 3)),
        {},
        "shapes of add do not broadcast at dim 0: 2 against 4",
        "[2, 3] and [4, 3]",
    ),
    (("add", t(2), t(2, dtype="i32")), {}, "add needs operands of one dtype", "f32[2] and i32[2]"),
    (("add", t(2, dtype="bool"), t(2, dtype="bool")), {}, "add has no bool form", "bool[2] and bool[2]"),
    (("mul", t(2, dtype="i4"), t(2, dtype="i4")), {}, "mul has no i4 form", "i4[2] and i4[2]"),
    (("exp", t(2, dtype="i32")), {}, "exp has no i32 form", "i32[2]"),
    (("exp", t(2), t(2)), {}, "wrong number of operands for exp", "2"),
    (("exp", t(2)), {"axis": 1}, "exp has no parameter 'axis'", None),
    (("softmax", t(2)), {"axs": 1}, "softmax has no parameter 'axs'", None),
    (("softmax", t(2)), {"axis": "one"}, "bad parameter 'axis' of softmax", '"one"'),
    (("softmax", t(2)), {"axis": 1}, "softmax has no dim 1", "a tensor of rank 1"),
    (("softmax", t(2)), {"axis": True}, "bad parameter 'axis' of softmax", "True"),
    (("compare", t(2), t(2)), {"pred": "less"}, "bad parameter 'pred' of compare", '"less"'),
    (("compare", t(2), t(2)), {}, "compare needs the parameter 'pred'", None),
    (("compare", t(2, dtype="c64"), t(2, dtype="c64")), {"pred": "lt"}, "compare lt has no c64 form", None),
    (("cast", t(2)), {"dtype": "f33"}, "bad parameter 'dtype' of cast", '"f33"'),
    (("cast", t(2, dtype="c64")), {"dtype": "f32"}, "no cast from complex to f32", "c64[2]"),
    (("where", t(2), t(2), t(2)), {}, "the condition of where is a bool tensor", "f32[2]"),
    (("matmul", t(2, 3), t(4, 5)), {}, "inner dims of matmul differ: 3 against 4", "[2, 3] @ [4, 5]"),
    (("matmul", t(), t(4, 5)), {}, "matmul needs tensors of rank 1 or more", "f32[] and f32[4, 5]"),
    (("matmul", t(2, 2, 3), t(3, 3, 4)), {}, "shapes of matmul do not broadcast at dim 0: 2 against 3", None),
    (
        ("conv2d", t(1, 3, 8, 8), t(4, 2, 3, 3)),
        {},
        "channels of conv2d do not fit: 3 in x against 2 in w",
        None,
    ),
    (("conv2d", t(1, 3, 2, 8), t(4, 3, 3, 3)), {}, "a window of 3 does not fit into 2", "f32[1, 3, 2, 8]"),
    (("conv2d", t(1, 3, 8, 8), t(4, 3, 3, 3)), {"stride": 0}, "bad stride", "[0, 0]"),
    (
        ("conv2d", t(1, 3, 8, 8), t(4, 3, 3, 3), t(3)),
        {},
        "the bias of conv2d has one value for each filter",
        None,
    ),
    (
        ("max_pool2d", t(3, 8, 8)),
        {"kernel": 2, "padding": 2},
        "the padding of a pooling is at most half",
        "[2, 2]",
    ),
    (("max_pool2d", t(3, 8, 8)), {"kernel": [1, 2, 3]}, "bad parameter 'kernel' of max_pool2d", "[1, 2, 3]"),
    (("reduce_sum", t(2, 3)), {"axes": [0, -2]}, "reduce_sum names a dim twice", "[0, -2]"),
    (("reduce_mean", t(2, dtype="i32")), {}, "reduce_mean has no i32 form", "i32[2]"),
    (("argmax", t(2, 0)), {}, "argmax of nothing", "f32[2, 0]"),
    (
        ("layer_norm", t(2, 3), t(2), t(3)),
        {},
        "scale of layer_norm does not have the last dim of x",
        "f32[2]",
    ),
    (("attention", t(2, 3), t(2, 4), t(2, 4)), {}, "shapes of attention do not fit", None),
    (
        ("attention", t(2, "D"), t(2, "D"), t(2, 4)),
        {},
        "attention needs a scale where the last dim of q",
        None,
    ),
    (("reshape", t(2, 3)), {"shape": [4, -1]}, "cannot reshape 6 elements into [4, 1]", "f32[2, 3]"),
    (("reshape", t(2, 3)), {"shape": [-1, -1]}, "cannot reshape 6 elements into [-1, -1]", "f32[2, 3]"),
    (("reshape", t("B", 3)), {"shape": ["N", 3]}, "cannot reshape B * 3 elements into [N, 3]", "f32[B, 3]"),
    (("transpose", t(2, 3)), {"perm": [0, 0]}, "perm of transpose names each dim once", "[0, 0]"),
    (("broadcast", t(2, 3)), {"shape": [3]}, "cannot broadcast to [3]", "f32[2, 3]"),
    (("concat", t(2, 3), t(2, 4)), {}, "parts of concat differ outside dim 0", "[2, 3] and [2, 4]"),
    (("slice", t(4)), {"starts": [3], "stops": [1]}, "slice 3:1 leaves dim 0", "f32[4]"),
    (("slice", t(4)), {"starts": [0], "stops": [5]}, "slice 0:5 leaves dim 0", "f32[4]"),
    (("slice", t(4)), {"starts": [0], "stops": [4], "strides": [-1]}, "strides of slice are positive", "-1"),
    (("gather", t(4), t(2)), {}, "gather takes integer indices", "f32[2]"),
    (("gather", t(0), t(2, dtype="i32")), {}, "gather from nothing", "f32[0]"),
    (("random", t(2)), {"shape": [3]}, "the key of random has another type", "f32[2]"),
    (
        ("random", t(2, dtype="u32")),
        {"shape": [3], "dist": "gauss"},
        "bad parameter 'dist' of random",
        '"gauss"',
    ),
    (("sofmax", t(2)), {}, "unknown op 'sofmax'", None),
]


@pytest.mark.parametrize(("call", "values", "message", "found"), ERRORS, ids=[e[2] for e in ERRORS])
def test_messages(call: tuple, values: dict, message: str, found: str | None):
    with pytest.raises(IrkitError) as caught:
        infer(*call, **values)
    error = caught.value
    assert error.message.startswith(message)
    assert error.loc == Loc("t.tg", 3, 5)
    if found is not None:
        assert error.found == found


def test_hints_name_what_was_meant():
    with pytest.raises(IrkitError) as caught:
        infer("softmax", t(2), axs=1)
    assert caught.value.hint == "did you mean 'axis'?"
    with pytest.raises(IrkitError) as caught:
        infer("sofmax", t(2))
    assert caught.value.hint == "did you mean 'softmax'?"


def test_ops_refuse_quantised_elements():
    element = quant(DTYPES["u8"], DTYPES["f32"], [0.1], [128])
    with pytest.raises(IrkitError, match=r"add does not compute with quantised"):
        infer("add", tensor(element, [4]), tensor(element, [4]))


def test_types_are_told_as_the_language_writes_them():
    assert type_text(infer("reduce_sum", t("B", 4), axes=[1], keepdims=True)) == "f32[B, 1]"
