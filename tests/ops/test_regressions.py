"""Faults that compiled C once had."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.func import FuncOp

import irkit
from dialects.types import DTYPES, np_dtype
from irkit.lang import parse, to_graph
from lowering.graph.interpret import run_graph
from tests.ops.harness import Call, check_all

F32 = np.float32


def test_an_empty_reduction_still_writes_its_result():
    check_all(
        [
            Call("matmul", [np.ones((3, 0), F32), np.ones((0, 2), F32)]),
            Call("reduce_sum", [np.ones((0, 3), np.int32)], {"axes": 0}),
            Call("reduce_prod", [np.ones((2, 0), F32)], {"axes": 1}),
        ]
    )


def test_scalar_bools_are_one_and_lanes_all_bits():
    x = np.array([[0.5, 2, 1, 3, 0], [2, 1, 1, 0, 0], [1, 1, 4, 3, -1]], F32)
    check_all([Call("argmax", [x], {"axis": 0}), Call("logical_not", [np.array([True, False, True])])])


def test_a_transposed_convolution_multiplies_no_zeros_that_are_not_there():
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 4, 5)).astype(F32), rng.standard_normal((4, 3, 3)).astype(F32)
    w[1, 2, 0] = np.inf
    image, filters = (
        rng.standard_normal((1, 2, 4, 5)).astype(F32),
        rng.standard_normal((2, 3, 3, 2)).astype(F32),
    )
    filters[0, 1, 2, 1], image[0, 1, 2, 3] = np.nan, -np.inf
    check_all(
        [
            Call(
                "conv_transpose1d",
                [x, w],
                {"stride": 3, "padding": (0, 1), "output_padding": 1, "dilation": 2, "groups": 2},
            ),
            Call(
                "conv_transpose2d",
                [image, filters],
                {"stride": (2, 3), "padding": (1, 0), "dilation": (1, 2)},
            ),
        ]
    )


@pytest.mark.parametrize("dtype", ("f16", "bf16"))
def test_a_small_float_is_cast_as_it_is_stored(dtype: str):
    """What a kernel holds in f32 is nearer to the next integer, or to 0, than the small float that it stands for."""
    text = (
        f"fn main(x: {dtype}[4, 64]) -> (bool[4, 64], i32[4, 64]) "
        "{ y = softmax(x * 3) return cast(y * y, bool), cast(y + 1, i32) }"
    )
    x = np.linspace(-9, 9, 256).reshape(4, 64).astype(np_dtype(DTYPES[dtype]))
    x[1, 0] = 300
    (func,) = [op for op in to_graph(parse(text, "test.tg")).ops if isinstance(op, FuncOp)]
    wanted = run_graph(func, [x])
    assert not wanted[0].all() and wanted[0].any() and 2 in wanted[1]
    for found, right in zip(irkit.compile(text)(x), wanted, strict=True):
        np.testing.assert_array_equal(found, right)
