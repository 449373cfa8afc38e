"""Ops that move data through compiled C: every form and dtype, as a kernel's input, its output and the whole program."""

from __future__ import annotations

import numpy as np
import pytest

import irkit
from dialects.types import np_dtype
from tests.graph.samples import NUMBERS, Sample, random_array
from tests.ops.harness import Call, check_all
from tests.ops.test_contractions import normal

CUBE = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
STORED = (*NUMBERS, "bool", "i4", "u4", "f4e2m1")


def calls_for(x: np.ndarray) -> list[Call]:
    """Every movement of a [2, 3, 4] tensor."""
    return [
        Call("reshape", [x], {"shape": [6, 4]}),
        Call("reshape", [x], {"shape": [-1]}),
        Call("reshape", [x], {"shape": [4, 3, 2]}),
        Call("reshape", [x], {"shape": [1, 2, 1, 12]}),
        Call("transpose", [x]),
        Call("transpose", [x], {"perm": [0, 2, 1]}),
        Call("transpose", [x], {"perm": [1, 2, 0]}),
        Call("broadcast", [x], {"shape": [5, 2, 3, 4]}),
        Call("broadcast", [x[:, :1]], {"shape": [2, 3, 4]}),
        Call("concat", [x, x[:, :1], x[:, :2]], {"axis": 1}),
        Call("concat", [x, x[:0]], {"axis": 0}),
        Call("concat", [x, x], {"axis": -1}),
        Call("concat", [x]),
        Call("slice", [x], {"starts": [0, 1, 1], "stops": [2, 3, 4], "strides": [1, 1, 2]}),
        Call("slice", [x], {"starts": [1], "stops": [2]}),
        Call("slice", [x], {"starts": [0, 0, -3], "stops": [2, -1, -1]}),
        Call("slice", [x], {"starts": [1], "stops": [1]}),
        Call("gather", [x, np.array([2, 0, 0])], {"axis": 1}),
        Call("gather", [x, np.array([[3, 1], [0, 2]], np.int32)], {"axis": -1}),
        Call("gather", [x, np.array(1, np.uint8)]),
        Call("gather", [x, np.array([-1, 5, -9, 1])], {"axis": 2}),
        Call("gather", [x, np.zeros((0,), np.int64)]),
    ]


@pytest.mark.parametrize("dtype", STORED)
def test_every_movement_of_every_dtype(dtype: str):
    x = random_array(Sample("", ((dtype, (2, 3, 4)),)).types()[0])
    check_all(calls_for(x))


@pytest.mark.parametrize(("cc", "threads"), [("gcc", 3), ("clang", 1)])
def test_compilers_and_threads(cc: str, threads: int):
    wide = normal(40, 33)
    calls = [
        *calls_for(CUBE),
        Call("transpose", [wide]),
        Call("transpose", [normal(3, 17, 19)], {"perm": [2, 1, 0]}),
        Call("reshape", [wide], {"shape": [33, 40]}),
        Call("concat", [wide, wide[:, :5]], {"axis": 1}),
        Call("slice", [wide], {"starts": [1, 2], "stops": [40, 31], "strides": [3, 5]}),
    ]
    check_all(calls, cc, threads)


def test_sizes_zero_and_one():
    check_all(
        [
            Call("reshape", [np.zeros((0, 3), np.float32)], {"shape": [3, 0]}),
            Call("reshape", [np.float32([[5]])], {"shape": []}),
            Call("reshape", [np.asarray(np.float32(5))], {"shape": [1, 1]}),
            Call("transpose", [np.zeros((0, 3), np.float32)]),
            Call("transpose", [np.asarray(np.float32(5))]),
            Call("broadcast", [np.asarray(np.float32(5))], {"shape": [2, 3]}),
            Call("broadcast", [np.float32([[5]])], {"shape": [0, 3]}),
            Call("concat", [np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32)]),
            Call("gather", [np.zeros((3, 0), np.float32), np.array([1, 2])]),
        ]
    )


MOVES = {
    "reshape": ("reshape(x, [3, 8])", lambda x: x.reshape(3, 8)),
    "transpose": ("transpose(x, [2, 0, 1])", lambda x: x.transpose(2, 0, 1)),
    "slice": ("x[:, 1:3, ::2]", lambda x: x[:, 1:3, ::2]),
    "gather": ("x[:, rows]", lambda x: x[:, [2, 0, 2]]),
    "concat": ("concat(x, x * 2, axis=1)", lambda x: np.concatenate([x, x * 2], 1)),
    "broadcast": ("broadcast(x, [3, 2, 3, 4])", lambda x: np.broadcast_to(x, (3, 2, 3, 4))),
    "pad": ("pad(x, [1, 1, 0, 2, 0, 0])", lambda x: np.pad(x, [(1, 1), (0, 2), (0, 0)])),
    "views of views": (
        "transpose(reshape(transpose(x), [4, 6])[1:3])",
        lambda x: x.transpose(2, 1, 0).reshape(4, 6)[1:3].T,
    ),
    "gather of a view": ("reshape(x, [6, 4])[rows]", lambda x: x.reshape(6, 4)[[2, 0, 2]]),
    "index of a view": ("pad(reshape(x, [6, 4]), [1, 1, 1, 1])", lambda x: np.pad(x.reshape(6, 4), 1)),
}


@pytest.mark.parametrize("name", MOVES)
def test_neighbours_in_the_kernel(name: str):
    """A movement of an input, of something computed, before an elementwise op, a reduction and a product."""
    text, move = MOVES[name]
    y = move(CUBE)
    shape, last = list(y.shape), y.shape[-1]
    shown = ", ".join(map(str, shape))
    moved = text.replace("(x", "(e").replace("x[", "e[").replace(", x ", ", e ")
    program = irkit.compile(
        f"fn main(x: f32[2, 3, 4], rows: i64[3], w: f32[{last}, 5]) -> (f32[{shown}], f32[{shown}], f32[{shown}], f32, f32[{', '.join(map(str, [*shape[:-1], 5]))}]) {{\n"
        f"  e = exp(x * 0.1)\n"
        f"  a = {text}\n"
        f"  b = {moved}\n"
        f"  return a, b, relu(b - 1.5), sum(a * b), a @ w\n}}\n"
    )
    w = normal(last, 5)
    e = np.exp(CUBE * np.float32(0.1))
    b = move(e)
    expected = [y, b, np.maximum(b - 1.5, 0), (y * b).sum(), y @ w]
    for found, wide in zip(program(CUBE, np.array([2, 0, 2]), w), expected, strict=True):
        np.testing.assert_allclose(found, wide, rtol=2e-5, atol=1e-5)


def test_whole_programs_that_only_move():
    program = irkit.compile(
        "param p: f32[3] = ones()\n"
        "fn main(x: f32[2, 3], y: f32[3]) -> (f32[2, 3], f32[2, 3], f32[3], f32[2], f32[3, 2], f32[3], f32[6]) {\n"
        "  return x, x, y, constant([1, 2], f32), transpose(x), p, reshape(x, [6])\n}\n"
    )
    x, y = normal(2, 3), normal(3)
    found = program(x, y)
    expected = [x, x, y, [1, 2], x.T, [1, 1, 1], x.reshape(-1)]
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not any(np.shares_memory(a, x) for a in found)


def test_dtypes_are_what_the_type_says():
    for dtype in STORED:
        x = random_array(Sample("", ((dtype, (3,)),)).types()[0])
        (found,) = irkit.compile(f"fn main(x: {dtype}[3]) -> {dtype}[3] {{ return x }}").prepare(x).run()
        assert found.dtype == np_dtype(dtype)
        np.testing.assert_array_equal(found, x)
