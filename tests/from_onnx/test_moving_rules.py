"""Ops that move elements, with what the cases of the `onnx` package do not have: named dims, older opsets, refusals."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

import irkit
from dialects.errors import ErrorList, IrkitError
from tests.from_onnx import batches

NAMED = """
<ir_version: 10, opset_import: ["": 21]>
named (float[N, 4, H, 6] x, int64[K] i, int64[N] lengths) =>
    (picked, last, backwards, middle, hot, eye, turned, pixels, blocks, lower, larger, smooth) {
  picked = Gather<axis = 0>(x, i)
  minus = Constant<value_int = -1>()
  last = Gather<axis = 2>(x, minus)
  one = Constant<value_ints = [1]>()
  five = Constant<value_ints = [5]>()
  two = Constant<value_ints = [2]>()
  least = Constant<value_ints = [-9223372036854775807]>()
  minuses = Constant<value_ints = [-1]>()
  backwards = Slice(x, minuses, least, two, minuses)
  three = Constant<value_ints = [3]>()
  middle = Slice(x, one, five, three)
  depth = Constant<value_int = 5>()
  values = Constant<value_floats = [2.0, 3.0]>()
  hot = OneHot<axis = 0>(i, depth, values)
  flat = Flatten<axis = 1>(x)
  eye = EyeLike<k = 1>(flat)
  turned = ReverseSequence<batch_axis = 0, time_axis = 1>(x, lengths)
  pixels = DepthToSpace<blocksize = 2>(x)
  blocks = SpaceToDepth<blocksize = 2>(pixels)
  lower = Trilu<upper = 0>(x)
  scales = Constant<value_floats = [1.0, 1.0, 2.0, 3.0]>()
  larger = Resize<mode = "nearest">(x, , scales)
  smooth = Resize<mode = "linear">(x, , scales)
}
"""


def test_named_dims():
    model = onnx.parser.parse_model(NAMED)
    program = irkit.from_onnx(model).compile(threads=1)
    reference = ReferenceEvaluator(model)
    rng = np.random.default_rng(0)
    for n, h, k in ((2, 3, 4), (3, 5, 1)):
        x = rng.standard_normal((n, 4, h, 6)).astype(np.float32)
        i = rng.integers(-n, n, k)
        lengths = rng.integers(0, 5, n)
        wanted = reference.run(None, {"x": x, "i": i, "lengths": lengths})
        for info, a, b in zip(model.graph.output, program(x, i, lengths), wanted, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6, err_msg=info.name)


def case(name: str, text: str, opset: int, inputs: list, outputs: list) -> batches.Case:
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": {opset}]> {name} {text}')
    return batches.Case(name, model, inputs, outputs, 1e-5, 1e-6)


X = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
PIXELS = np.arange(6, dtype=np.float32).reshape(1, 1, 2, 3)


def test_older_opsets():
    """Attributes where newer opsets have inputs."""
    grown = np.repeat(np.repeat(PIXELS, 2, 2), 3, 3)
    columns = np.arange(9) / 3
    smooth = np.minimum(columns, 2) + np.array([0, 1.5, 3, 3])[:, None]
    group = [
        case(
            "slice9",
            "(float[2, 3, 4] x) => (float[a, b, c] y) { y = Slice<axes = [-1, 0], starts = [-3, 1], ends = [9, 2]>(x) }",
            9,
            [X],
            [X[1:2, :, -3:9]],
        ),
        case(
            "pad2",
            "(float[2, 3, 4] x) => (float[a, b, c] y)"
            " { y = Pad<pads = [0, 1, -1, 1, 0, 2], value = 5.0>(x) }",
            9,
            [X],
            [np.pad(X[:, :, 1:], [(0, 1), (1, 0), (0, 2)], constant_values=5)],
        ),
        case(
            "upsample7",
            "(float[1, 1, 2, 3] x) => (float[a, b, c, d] y) { y = Upsample<scales = [1.0, 1.0, 2.0, 3.0]>(x) }",
            7,
            [PIXELS],
            [grown],
        ),
        case(
            "resize10",
            "(float[1, 1, 2, 3] x) => (float[a, b, c, d] y)"
            ' { s = Constant<value = float[4] {1, 1, 2, 3}>() y = Resize<mode = "linear">(x, s) }',
            10,
            [PIXELS],
            [smooth[None, None].astype(np.float32)],
        ),
        case(  # one row left of three, by half: it is the first, as of any single row
            "resize_to_one",
            "(float[3, 2] x) => (float[a, b] y) { s = Constant<value = float[2] {0.5, 1}>()"
            ' y = Resize<mode = "linear", coordinate_transformation_mode = "pytorch_half_pixel">(x, , s) }',
            13,
            [np.array([[1, 2], [3, 4], [5, 6]], np.float32)],
            [np.array([[1, 2]], np.float32)],
        ),
        case(  # place 4 of 9 is place 3 of 7, which 4.5 / (9 / 7) - 0.5 misses
            "resize_to_a_place",
            "(float[7] x) => (float[a] y) { s = Constant<value = int64[1] {9}>() y = Resize<mode = "
            '"nearest", nearest_mode = "floor", coordinate_transformation_mode = "half_pixel">(x, , , s) }',
            13,
            [np.arange(7, dtype=np.float32)],
            [np.array([0, 0, 1, 2, 3, 3, 4, 5, 6], np.float32)],
        ),
        case(
            "resize_nan",
            "(float[2, 4] x) => (float[a, b] y)"
            ' { s = Constant<value = float[2] {1, 2}>() y = Resize<mode = "linear", coordinate_transformation_mode ='
            ' "asymmetric">(x, , s) }',
            13,
            [np.array([[0, 1, np.nan, 3], [4, 5, 6, 7]], np.float32)],
            [
                np.array(
                    [[0, 0.5, 1, np.nan, np.nan, np.nan, 3, 3], [4, 4.5, 5, 5.5, 6, 6.5, 7, 7]], np.float32
                )
            ],
        ),
        case(
            "upsample9",
            "(float[1, 1, 2, 3] x, float[4] s) => (float[a, b, c, d] y) { y = Upsample(x, s) }",
            9,
            [PIXELS, np.array([1, 1, 2, 3], np.float32)],
            [grown],
        ),
        case(
            "clip6",
            "(float[2, 3, 4] x) => (float[2, 3, 4] y) { y = Clip<min = 3.0>(x) }",
            6,
            [X],
            [np.maximum(X, 3)],
        ),
        case(
            "squeeze11",
            "(float[1, 1, 2, 3] x) => (float[a, b] y) { z = Squeeze<axes = [-4, 1]>(x) y = Unsqueeze<axes = [0]>(z) }",
            11,
            [PIXELS],
            [PIXELS[0]],
        ),
        case(
            "scatter_smaller",
            "(float[2, 3, 4] x, int64[1, 2, 3] i, float[1, 2, 3] u) => (float[2, 3, 4] y)"
            " { y = ScatterElements<axis = -1>(x, i, u) }",
            11,
            [X, np.array([[[3, 0, -3], [1, 2, 0]]]), -np.ones((1, 2, 3), np.float32)],
            [_scattered()],
        ),
        case(
            "pad_and_crop",
            "(float[2, 3, 4] x, int64[2] p, int64[1] a) => (float[2, 3, 4] y)"
            ' { y = Pad<mode = "edge">(x, p, , a) }',
            21,
            [X, np.array([1, -1]), np.array([-1])],
            [X[:, :, [0, 0, 1, 2]]],
        ),
        case(
            "unique",
            "(int32[2, 4] x) => (int32[a] y, int64[b] first, int64[c] inverse, int64[d] counts)"
            " { y, first, inverse, counts = Unique<sorted = 0>(x) }",
            11,
            [np.array([[3, 1, 3, 2], [2, 9, 1, 3]], np.int32)],
            [
                np.array([3, 1, 2, 9], np.int32),
                np.array([0, 1, 3, 5]),
                np.array([0, 1, 0, 2, 2, 3, 1, 0]),
                np.array([3, 2, 2, 1]),
            ],
        ),
    ]
    outcomes = batches.run(group)
    assert not [o for o in outcomes if o.kind != "passed"], outcomes


def _scattered() -> np.ndarray:
    out = X.copy()
    out[0, 0, [3, 0, 1]] = -1
    out[0, 1, [1, 2, 0]] = -1
    return out


REFUSED = {
    "(float[2, 3] x) => (float[a] y) { i = Constant<value_int = 2>() y = Gather(x, i) }": "the index 2 into a dim of size 2",
    "(float[1, 1, N, 4] x) => (float[a] y) { s = Constant<value_floats = [1.0, 1.0, 1.5, 2.0]>() y = Resize(x, , s) }": (
        "the dim N scaled by 1.5"
    ),
    "(float[N, 8] x) => (float[a] y)"
    " { a = Constant<value_ints = [-2]>() e = Constant<value_ints = [-9223372036854775807]>()"
    "   z = Constant<value_ints = [0]>() y = Slice(x, a, e, z, a) }": "a part of the dim N backwards",
    "(float[2, 3] x) => (float[a] y) { p = Constant<value_ints = [1, 1, 1]>() y = Pad(x, p) }": "3 pads for 2 axes",
    "(float[2, 3] x, int64[n] s) => (float[a] y) { y = Slice(x, s, s) }": "needs to know the starts while importing",
    "(float[2, N, 1] x) => (float[a] y) { y = DFT(x) }": "a Fourier transform along the dim N",
    "(float16[2, 3] x) => (int16[2, 3] y) { y = BitCast<to = 5>(x) }": "the bits of f16 as i16",
    "(float[2, 3] x) => (string[2, 3] y) { y = Cast<to = 8>(x) }": "tensors of STRING",
}


@pytest.mark.parametrize("text", REFUSED, ids=REFUSED.values())
def test_refusals(text: str):
    """Each names its node, and says in a few words what it is that is not done."""
    model = onnx.parser.parse_model(f'<ir_version: 13, opset_import: ["": 26]> g {text}')
    with pytest.raises((IrkitError, ErrorList)) as caught:
        irkit.from_onnx(model)
    assert REFUSED[text] in str(caught.value) and "node" in str(caught.value)
