"""Examples of ops that make tensors, and of ops that move elements."""

from __future__ import annotations

from dialects.graph.examples.of import Example

MATRIX = "f32 [[1, 2, 3], [4, 5, 6]]"
SQUARE = "f32 [[1, 2, 3], [4, 5, 6], [7, 8, 9]]"
TABLE = "f32 [[1, 2], [3, 4], [5, 6]]"
IMAGE = "f32[1,1,2,2] [[1, 2], [3, 4]]"

MAKING = {
    "constant": Example("constant([[1, 2], [3, 4]], f32)"),
    "iota": Example("iota([2, 3], axis=1, dtype=i32)"),
    "one_hot": Example("one_hot(index, 3)", index="i32 [2, 0]"),
    "random": Example("random(key, [4])", key="u32 [1, 2]"),
}

SHAPING = {
    "reshape": Example("reshape(x, [3, -1])", x=MATRIX),
    "transpose": Example("transpose(x, [1, 0])", x=MATRIX),
    "broadcast": Example("broadcast(x, [2, 3])", x="f32 [1, 2, 3]"),
    "concat": Example("concat(a, b, axis=1)", a=MATRIX, b="f32 [[7], [8]]"),
    "slice": Example("x[:, 0:3:2]", x=MATRIX),
    "split": Example("split(x, 3, axis=1)", x=MATRIX),
    "pad": Example('pad(x, [0, 0, 1, 2], mode="reflect")', x=MATRIX),
    "tile": Example("tile(x, [1, 2])", x=MATRIX),
    "flip": Example("flip(x, axes=1)", x=MATRIX),
    "roll": Example("roll(x, 1, axis=1)", x=MATRIX),
    "tril": Example("tril(x)", x=SQUARE),
    "triu": Example("triu(x, k=1)", x=SQUARE),
    "pixel_shuffle": Example("pixel_shuffle(x, 2)", x="f32[1,4,1,1] [1, 2, 3, 4]"),
    "resize_nearest": Example("resize_nearest(x, [2, 4])", x=IMAGE),
    "resize_bilinear": Example("resize_bilinear(x, [2, 4])", x=IMAGE),
}

PICKING = {
    "gather": Example("gather(x, rows)", x=TABLE, rows="i32 [2, 0, -1]"),
    "gather_nd": Example("gather_nd(x, index)", x=TABLE, index="i32 [[0, 1], [2, 0]]"),
    "take_along": Example("take_along(x, index, axis=0)", x=TABLE, index="i32 [[2, 0]]"),
    "scatter": Example(
        'scatter(x, rows, updates, mode="add")',
        x=TABLE,
        rows="i32 [0, 0]",
        updates="f32 [[10, 20], [100, 200]]",
    ),
    "scatter_nd": Example(
        "scatter_nd(x, index, updates)", x=TABLE, index="i32 [[0, 1], [2, 0]]", updates="f32 [10, 20]"
    ),
    "scatter_along": Example(
        "scatter_along(x, index, updates, axis=0)", x=TABLE, index="i32 [[2, 0]]", updates="f32 [[10, 20]]"
    ),
}

MOVING = {**MAKING, **SHAPING, **PICKING}
