"""Elements put where indices say."""

from __future__ import annotations

import numpy as np

from irkit.onnx.node import Node, Result, rule
from irkit.onnx.rules.indexing import indices, part
from irkit.tracing import ops


def mode(n: Node) -> str:
    """How an element is combined with what is there."""
    found = n.only("reduction", "none", "add", "mul", "max", "min")
    return "set" if found == "none" else found


@rule("Scatter", "ScatterElements")
def scatter_elements(n: Node) -> Result:
    x, axis = n[0], n.axis(0)
    index, updates = indices(n, 1, x.shape[axis]), n[2]
    covered = part(x, index.shape, axis)
    if covered is None:
        return ops.scatter_along(x, index, updates, axis=axis, mode=mode(n))
    return x.at[covered].set(ops.scatter_along(x[covered], index, updates, axis=axis, mode=mode(n)))


@rule("ScatterND")
def scatter_nd(n: Node) -> Result:
    return ops.scatter_nd(n[0], n[1], n[2], mode=mode(n))


@rule("TensorScatter")
def tensor_scatter(n: Node) -> Result:
    """A piece of a cache replaced, for each example from a place of its own on."""
    cache, update, axis = n[0], n[1], n.axis(-2)
    size = cache.shape[axis]
    place = ops.iota(list(update.shape), axis=axis, dtype="i64")
    if n.has(2):
        place = place + ops.reshape(n[2], [-1, *[1] * (cache.ndim - 1)])
    if n.only("mode", "linear", "circular") == "circular":
        place = place % size
    return ops.scatter_along(cache, place, update, axis=axis, mode="set")


@rule("Col2Im")
def col2im(n: Node) -> Result:
    """The elements of blocks added up where they lie in the image; what lies in its padding is left out."""
    x, image, block = n[0], n.ints(1, "the shape of the image"), n.ints(2, "the shape of the block")
    rank = len(image)
    strides, dilations = n.attr("strides", [1] * rank), n.attr("dilations", [1] * rank)
    pads = n.attr("pads", [0] * 2 * rank)
    total, places = int(np.prod(image)), np.zeros((1, 1), np.int64)
    inside = np.ones((1, 1), bool)
    for i in range(rank):
        reach = image[i] + pads[i] + pads[rank + i] - dilations[i] * (block[i] - 1) - 1
        steps = np.arange(reach // strides[i] + 1) * strides[i] - pads[i]
        at = np.arange(block[i])[:, None] * dilations[i] + steps
        inside = _crossed(inside, (at >= 0) & (at < image[i]), np.logical_and)
        places = _crossed(places * image[i], at, np.add)
    where = np.where(inside, places, total).reshape(-1)
    parts = ops.reshape(x, [x.shape[0], -1, len(where)])
    empty = ops.zeros([*parts.shape[:2], total], x.dtype_name)
    found = ops.scatter(empty, n.table("places", where), parts, axis=2, mode="add")
    return ops.reshape(found, [*parts.shape[:2], *image])


def _crossed(a: np.ndarray, b: np.ndarray, function: np.ufunc) -> np.ndarray:
    """Two tables of places in blocks and of blocks as one, those of the second running faster."""
    crossed = function(a[:, None, :, None], b[None, :, None, :])
    return crossed.reshape(a.shape[0] * b.shape[0], -1)
