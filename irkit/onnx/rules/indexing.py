"""Elements picked by indices."""

from __future__ import annotations

from typing import Any

import numpy as np

from irkit.onnx.faults import Unsupported
from irkit.onnx.node import Node, Result, rule
from irkit.tracing import ops
from irkit.tracing.sizes import Size
from irkit.tracing.tensor import Tensor


def indices(n: Node, index: int, size: Size | int) -> Tensor:
    """An input of indices, of which negative ones count from the end. Raises Unsupported for one that is outside."""
    value = n.value(index)
    if isinstance(value, np.ndarray) and value.dtype != object and isinstance(size, int):
        outside = value[(value < -size) | (value >= size)]
        if outside.size:
            raise Unsupported(f"the index {outside.flat[0]} into a dim of size {size}")
    return n[index]


@rule("Gather")
def gather(n: Node) -> Result:
    """A place that is known is an index of the language."""
    axis, value = n.axis(0), n.value(1)
    places = indices(n, 1, n.shape()[axis])
    if isinstance(value, np.ndarray) and value.dtype != object and value.ndim == 0:
        return n[0][(slice(None),) * axis + (int(value),)]
    return ops.gather(n[0], places, axis=axis)


def part(x: Tensor, shape: tuple[Size | int, ...], axis: int) -> tuple[slice, ...] | None:
    """The part of x that indices of a shape cover, which may be smaller but along an axis; None for the whole."""
    pairs = list(zip(x.shape, shape, strict=True))
    smaller = [
        i != axis and isinstance(a, int) and isinstance(b, int) and b < a for i, (a, b) in enumerate(pairs)
    ]
    if not any(smaller):
        return None
    return tuple(slice(0, b) if small else slice(None) for small, (_, b) in zip(smaller, pairs, strict=True))


@rule("GatherElements")
def gather_elements(n: Node) -> Result:
    x, axis = n[0], n.axis(0)
    index = indices(n, 1, x.shape[axis])
    covered = part(x, index.shape, axis)
    return ops.take_along(x if covered is None else x[covered], index, axis=axis)


@rule("GatherND")
def gather_nd(n: Node) -> Result:
    """Leading dims that the indices share with the data are places too: those of the index itself."""
    x, index, batch = n[0], n[1], n.attr("batch_dims", 0)
    if batch:
        shape = [*index.shape[:-1], 1]
        own = [ops.iota(shape, axis=i, dtype=index.dtype_name) for i in range(batch)]
        index = ops.concat([*own, index], axis=-1)
    return ops.gather_nd(x, index)


@rule("ArrayFeatureExtractor", domain="ai.onnx.ml")
def array_feature_extractor(n: Node) -> Result:
    """Columns, by indices of any shape; a vector is a matrix of one row."""
    x, places = n[0], ops.reshape(indices(n, 1, n.shape()[-1]), [-1])
    found = ops.gather(x, places, axis=x.ndim - 1)
    return found if x.ndim > 1 else ops.reshape(found, [1, -1])


@rule("OneHot")
def one_hot(n: Node) -> Result:
    """Where the place along a new dim is the index; an index outside of the dim is nowhere."""
    index, depth = n[0], n.sizes(1, "the depth")[0]
    if index.dtype.kind not in "iu":
        index = ops.cast(index, "i64")
    value = n.value(0)
    if not isinstance(value, np.ndarray) or (value < 0).any():
        index = ops.where(ops.compare(index, 0, pred="lt"), index + number(depth, index.dtype_name), index)
    off, on = two(n, 2)
    if isinstance(on, int) and (off, on) == (0, 1):
        found = ops.one_hot(index, depth, dtype=n.dtype(2))
    else:
        found = ops.where(ops.one_hot(index, depth, dtype="bool"), on, off)
    axis = n.axis(-1, rank=index.ndim + 1)
    if axis == index.ndim:
        return found
    others = list(range(index.ndim))
    return ops.transpose(found, perm=[*others[:axis], index.ndim, *others[axis:]])


def number(size: Size | int, dtype: str) -> Any:
    """A size beside a tensor: a number where it has a value."""
    if isinstance(size, int):
        return size
    return ops.cast(ops.sum(ops.full([size], 1, "i64")), dtype)


def two(n: Node, index: int) -> tuple[Any, Any]:
    """The two elements of an input: tensors, but for 0 and 1."""
    value = n.value(index)
    if not isinstance(value, np.ndarray):
        return value[0], value[1]
    off, on = value.reshape(-1)
    return (0, 1) if (off, on) == (0, 1) else (ops.constant(np.asarray(off)), ops.constant(np.asarray(on)))


@rule("ReverseSequence")
def reverse_sequence(n: Node) -> Result:
    """The first elements of each example in reverse order, as many as its length says."""
    x, lengths = n[0], n[1]
    time, batch = n.axis(0, name="time_axis"), n.axis(1, name="batch_axis")
    place = ops.iota(list(x.shape), axis=time, dtype=lengths.dtype_name)
    length = ops.reshape(lengths, [-1 if i == batch else 1 for i in range(x.ndim)])
    turned = ops.where(ops.compare(place, length, pred="lt"), length - 1 - place, place)
    return ops.take_along(x, turned, axis=time)
