"""Scatter through compiled C: modes, dtypes, places that repeat, count from the end or lie outside, and memory."""

from __future__ import annotations

import numpy as np
import pytest

from dialects.errors import IrkitError
from dialects.graph import OPS
from dialects.graph.scatter import MODES
from dialects.types import np_dtype, tensor
from irkit import compile as irkit_compile
from tests.graph.samples import NUMBERS, op_of
from tests.ops.harness import Call, check_all

RNG = np.random.default_rng(0)


def numbers(dtype: str, *shape: int) -> np.ndarray:
    if dtype == "bool":
        return RNG.random(shape) < 0.5
    low = 0 if dtype[0] == "u" else -4
    return RNG.integers(low, 5, shape).astype(np.float32).astype(np_dtype(dtype))


def places(size: int, *shape: int, dtype: str = "i64") -> np.ndarray:
    """Places inside, from the end, and outside at both ends."""
    low = 0 if dtype[0] == "u" else -size - 2
    return RNG.integers(low, size + 2, shape).astype(np_dtype(dtype))


@pytest.mark.parametrize("mode", MODES)
def test_every_dtype(mode: str):
    dtypes = (*NUMBERS, "bool") if mode == "set" else NUMBERS
    check_all(
        [
            Call("scatter", [numbers(t, 5, 19), places(5, 12), numbers(t, 12, 19)], {"mode": mode})
            for t in dtypes
        ]
    )


@pytest.mark.parametrize("cc", ["gcc", "clang"])
def test_shapes(cc: str):
    calls: list[Call] = []
    for mode in ("set", "add"):
        for shape, axis, index in (
            ((6,), 0, (9,)),
            ((6,), 0, ()),
            ((1, 5), 0, (3,)),
            ((4, 5), 1, (7,)),
            ((4, 5, 33), 1, (2, 3)),
            ((2, 3, 4, 5), 2, (1,)),
            ((3, 40), 0, (0,)),
            ((3, 0), 0, (4,)),
            ((0, 4), 0, (3,)),
        ):
            updates = (*shape[:axis], *index, *shape[axis + 1 :])
            arrays = [
                numbers("f32", *shape),
                places(shape[axis], *index, dtype="i32"),
                numbers("f32", *updates),
            ]
            calls.append(Call("scatter", arrays, {"mode": mode, "axis": axis}))
        for shape, index in (
            ((4, 5), (6, 2)),
            ((4, 5, 6), (2, 3, 1)),
            ((3, 3, 17), (5, 2)),
            ((7,), (1,)),
            ((2, 2), (0, 2)),
        ):
            updates = (*index[:-1], *shape[index[-1] :])
            at = places(4, *index)
            calls.append(
                Call("scatter_nd", [numbers("f32", *shape), at, numbers("f32", *updates)], {"mode": mode})
            )
        for shape, index, axis in (
            ((4, 5), (4, 9), 1),
            ((4, 33), (6, 33), 0),
            ((2, 3, 4), (2, 1, 4), 1),
            ((5,), (8,), 0),
        ):
            at = places(shape[axis], *index)
            arrays = [numbers("f32", *shape), at, numbers("f32", *index)]
            calls.append(Call("scatter_along", arrays, {"mode": mode, "axis": axis}))
    check_all(calls, cc)


def test_unsigned_places_and_extremes():
    big = np.array([0, 2**32 - 1, 3], np.uint32)
    x = np.array([200, 3, 255, 0], np.uint8)
    check_all(
        [
            Call("scatter", [x, big, np.array([7, 8, 9], np.uint8)]),
            Call("scatter", [x, np.array([0, 2, 3, 0]), np.array([128, 1, 4, 250], np.uint8)], {"mode": "max"}),
            Call("scatter", [x, np.array([0, 2, 3, 0]), np.array([128, 1, 4, 250], np.uint8)], {"mode": "min"}),
            Call("scatter", [np.array([1.0, np.nan], np.float32), np.array([0, 1]), np.array([np.nan, 2], np.float32)], {"mode": "max"}),
            Call("scatter", [np.zeros(2, np.int8), np.array([1, 1]), np.array([100, 100], np.int8)], {"mode": "add"}),
        ]
    )  # fmt: skip


def test_the_updated_tensor_lives_on_where_it_is_still_needed():
    text = """
fn main(x: f32[5, 8], i: i32[3], u: f32[3, 8]) -> (f32[5, 8], f32[5, 8], f32[5, 8], f32[5, 8]) {
  h = x * 2
  a = scatter(h, i, u, mode="add")
  b = scatter(a, i, u, mode="mul")
  own = scatter(h, i, h[0:3])
  return a, b, own, h + 1
}
"""
    x, u, i = numbers("f32", 5, 8), numbers("f32", 3, 8), np.array([4, 0, 4], np.int32)
    for threads in (1, 3):
        a, b, own, h = irkit_compile(text, threads=threads)(x, i, u)
        want = x * 2
        np.testing.assert_array_equal(h, want + 1)
        copied = want.copy()
        copied[i] = want[0:3]
        np.testing.assert_array_equal(own, copied)
        np.add.at(want, i, u)
        np.testing.assert_array_equal(a, want)
        np.multiply.at(want, i, u)
        np.testing.assert_array_equal(b, want)


def test_in_a_loop_it_is_in_place():
    """A carried tensor that is written row by row is neither copied nor swapped."""
    text = """
fn main(x: f32[64, 16]) -> f32[64, 16] {
  y = zeros([64, 16], f32)
  s = x[0] * 0
  for t in 0..64 with y, s {
    s = s + x[t]
    y = scatter(y, t, s)
  }
  return y
}
"""
    model = irkit_compile(text)
    x = numbers("f32", 64, 16)
    np.testing.assert_allclose(model(x), np.cumsum(x, axis=0), rtol=1e-6)
    assert model.peak_bytes <= 256, "no second array of the result's size"


@pytest.mark.parametrize(
    ("name", "types", "values", "message"),
    [
        ("scatter", [("f32", [3, 4]), ("f32", [2]), ("f32", [2, 4])], {}, "the index of scatter has no f32 form"),
        ("scatter", [("f32", [3, 4]), ("i32", [2]), ("f64", [2, 4])], {}, "have another dtype than x"),
        ("scatter", [("f32", [3, 4]), ("i32", [2]), ("f32", [2, 3])], {}, "updates of scatter have another shape"),
        ("scatter", [("bool", [3]), ("i32", [2]), ("bool", [2])], {"mode": "add"}, "scatter by add has no bool form"),
        ("scatter", [("f32", [3]), ("i32", [2]), ("f32", [2])], {"axis": 1}, "scatter has no dim 1"),
        ("scatter_nd", [("f32", [3]), ("i32", [2, 2]), ("f32", [2])], {}, "the index of scatter_nd does not fit"),
        ("scatter_along", [("f32", [3, 4]), ("i32", [2, 4]), ("f32", [2, 4])], {}, "other dims"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told(name: str, types: list, values: dict, message: str):
    assert name in OPS
    with pytest.raises(IrkitError) as caught:
        op_of(name, [tensor(dtype, dims) for dtype, dims in types], **values)
    assert message in caught.value.message
