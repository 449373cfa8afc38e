"""Pools. Those of one and two dims are ops of the language; the rest combine what each element of a window sees."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np

from dialects.types import np_dtype
from irkit.onnx.faults import Unsupported
from irkit.onnx.node import Node, Result, rule
from irkit.onnx.rules.windows import Window, windows
from irkit.onnx.values import is_float
from irkit.tracing import ops
from irkit.tracing.sizes import Size
from irkit.tracing.tensor import Tensor


@rule("MaxPool")
def max_pool(n: Node) -> Result:
    x = n[0]
    ws = windows(n, x.shape[2:], n.needs("kernel_shape"))
    if n.wants(1):
        return _with_places(x, ws, bool(n.attr("storage_order", 0)))
    edges = [(w.before, w.after + w.beyond) for w in ws]
    if _is_image(ws, edges):
        return _image(ops.max_pool2d, x, ws, edges)
    return _combined(x, ws, least(x), ops.maximum)


@rule("AveragePool")
def average_pool(n: Node) -> Result:
    """Padding counts with count_include_pad; what lies beyond it never does."""
    x, included = n[0], bool(n.attr("count_include_pad", 0))
    ws = windows(n, x.shape[2:], n.needs("kernel_shape"))
    edges = [(w.before, w.after + w.beyond) for w in ws]
    if _is_image(ws, edges) and not (included and any(w.beyond for w in ws)):
        return _image(ops.avg_pool2d, x, ws, edges, count_padding=included or not any(map(any, edges)))
    total = _combined(x, ws, 0, ops.add)
    for axis, w in enumerate(ws, 2):
        total = total / _counts(n, w, included, [1] * (x.ndim - axis - 1), x)
    return total


def _counts(n: Node, w: Window, included: bool, trailing: list[int], x: Tensor) -> Any:
    """How many elements each place of a window has: a number where that is the same everywhere."""
    if not (w.beyond or (not included and (w.before or w.after))):
        return w.kernel
    if isinstance(w.size, Size) or isinstance(w.count, Size):
        raise Unsupported(f"the padding of the dim {w.size}, which does not count")
    inside = np.ones(w.size + w.before + w.after + w.beyond)
    if not included:
        inside[: w.before] = inside[w.before + w.size :] = 0
    inside[w.before + w.size + w.after :] = 0
    taps = [inside[i : i + (w.count - 1) * w.stride + 1 : w.stride] for i in range(0, w.reach, w.dilation)]
    counts = np.add.reduce(taps).reshape([-1, *trailing]).astype(np_dtype(x.dtype_name))
    return n.table("count", counts)


@rule("LpPool")
def lp_pool(n: Node) -> Result:
    x, p = n[0], n.attr("p", 2)
    ws = windows(n, x.shape[2:], n.needs("kernel_shape"))
    return _root(_combined(_power(x, p), ws, 0, ops.add), p)


@rule("GlobalLpPool")
def global_lp_pool(n: Node) -> Result:
    x, p = n[0], n.attr("p", 2)
    axes = list(range(2, x.ndim))
    return (
        ops.l2(x, axis=axes, keepdims=True)
        if p == 2
        else _root(ops.sum(_power(x, p), axis=axes, keepdims=True), p)
    )


def _power(x: Tensor, p: float) -> Tensor:
    return ops.abs(x) if p == 1 else ops.square(x) if p == 2 else ops.pow(ops.abs(x), float(p))


def _root(x: Tensor, p: float) -> Tensor:
    return x if p == 1 else ops.sqrt(x) if p == 2 else ops.pow(x, 1 / p)


@rule("GlobalAveragePool")
def global_average_pool(n: Node) -> Result:
    return ops.global_avg_pool(n[0])


@rule("GlobalMaxPool")
def global_max_pool(n: Node) -> Result:
    return ops.global_max_pool(n[0])


@rule("MaxUnpool")
def max_unpool(n: Node) -> Result:
    """Indices count elements of the smallest result for such windows; a larger one has zeros after it."""
    x, kernel = n[0], n.needs("kernel_shape")
    rank = len(kernel)
    strides, pads = n.attr("strides") or [1] * rank, n.attr("pads") or [0] * (2 * rank)
    own = [
        (d - 1) * s + (k - before - after)
        for d, s, k, before, after in zip(x.shape[2:], strides, kernel, pads[:rank], pads[rank:], strict=True)
    ]
    shape = [*x.shape[:2], *own]
    total: Any = math.prod(shape[1:], start=shape[0])
    flat = ops.scatter(
        ops.zeros([total], x.dtype_name), ops.reshape(n[1], [-1]), ops.reshape(x, [-1]), axis=0
    )
    y = ops.reshape(flat, shape)
    wanted = n.sizes(2, "the shape of the result") if n.has(2) else shape
    more = [a - b for a, b in zip(wanted, shape, strict=True)]
    if not all(isinstance(m, int) and m >= 0 for m in more):
        raise Unsupported(f"an output_shape of {wanted} for windows that give {shape}")
    return ops.pad(y, [p for m in more for p in (0, m)]) if any(more) else y


# -- windows ----------------------------------------------------------------------------------------------------------


def least(x: Tensor) -> float:
    """What loses against every element."""
    return -math.inf if is_float(x) else int(np.iinfo(np_dtype(x.dtype_name)).min)


def _is_image(ws: Sequence[Window], edges: Sequence[tuple[int, int]]) -> bool:
    """Whether the ops of the language take such windows."""
    plain = all(w.dilation == 1 and 2 * max(e) <= w.kernel for w, e in zip(ws, edges, strict=True))
    return plain and len(ws) in (1, 2)


def _image(
    op: Callable[..., Tensor], x: Tensor, ws: Sequence[Window], edges: Sequence[tuple[int, int]], **more: Any
) -> Tensor:
    """An op on images; what has one dim is an image of height one."""
    padding = [p for edge in edges for p in edge]
    kernel, stride = [w.kernel for w in ws], [w.stride for w in ws]
    if len(ws) == 2:
        return op(x, kernel=kernel, stride=stride, padding=padding, **more)
    image = ops.reshape(x, [*x.shape[:2], 1, x.shape[2]])
    y = op(image, kernel=[1, *kernel], stride=[1, *stride], padding=[0, 0, *padding], **more)
    return ops.reshape(y, [*y.shape[:2], y.shape[3]])


def _combined(x: Tensor, ws: Sequence[Window], fill: float, op: Callable[..., Tensor]) -> Tensor:
    """All elements of each window together, one dim after the other."""
    for axis, w in enumerate(ws, 2):
        x = reduce(op, w.taps(x, axis, fill))
    return x


def _with_places(x: Tensor, ws: Sequence[Window], columns_first: bool) -> list[Tensor]:
    """The greatest of each window, and its place among all elements of x: the first of equals."""
    place = _places(x, columns_first)
    for axis, w in reversed(list(enumerate(ws, 2))):
        (x, *values), (place, *places) = w.taps(x, axis, least(x)), w.taps(place, axis, -1)
        for value, other in zip(values, places, strict=True):
            wins = value > x
            if w.before or w.after or w.beyond:
                wins = wins | (place < 0)
            x, place = ops.where(wins, value, x), ops.where(wins, other, place)
    return [x, place]


def _places(x: Tensor, columns_first: bool) -> Tensor:
    shape = list(x.shape)
    flat = ops.iota([x.size], axis=0, dtype="i64")
    if not columns_first:
        return ops.reshape(flat, shape)
    turned = ops.reshape(flat, [*shape[:2], *reversed(shape[2:])])
    return ops.transpose(turned, perm=[0, 1, *reversed(range(2, x.ndim))])
