"""Deformable convolutions, whose windows have a shape of their own at each place."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

from dialects.types import np_dtype
from irkit.onnx.faults import Unsupported
from irkit.onnx.node import Node, Result, rule
from irkit.onnx.rules.windows import Window, windows
from irkit.tracing import ops
from irkit.tracing.tensor import Tensor


@rule("DeformConv")
def deform_conv(n: Node) -> Result:
    """Each element of the window reads x at a place of its own, between four elements, and zero outside."""
    x, w = n[0], n[1]
    if x.ndim != 4:
        raise Unsupported(f"deformable convolutions along {x.ndim - 2} dims")
    batch, channels, *size = x.shape
    if not all(isinstance(d, int) for d in size):
        raise Unsupported(f"deformable convolutions of images of {size[0]} by {size[1]} elements")
    ws = windows(n, size, w.shape[2:])
    groups, parts, taps = n.attr("group", 1), n.attr("offset_group", 1), ws[0].kernel * ws[1].kernel
    out = [one.count for one in ws]
    offset = ops.reshape(n[2], [batch, parts, *(one.kernel for one in ws), 2, *out])
    row, column = (offset[:, :, :, :, dim] + _regular(n, one, dim) for dim, one in enumerate(ws))
    flat = ops.reshape(x, [batch, parts, channels // parts, size[0] * size[1]])
    seen = _between(flat, row, column, *size)
    if n.has(4):
        seen = seen * ops.reshape(n[4], [batch, parts, 1, taps, *out])
    seen = ops.reshape(seen, [batch, groups, w.shape[1] * taps, out[0] * out[1]])
    filters = ops.reshape(w, [groups, w.shape[0] // groups, w.shape[1] * taps])
    y = ops.reshape(filters @ seen, [batch, w.shape[0], *out])
    return y + ops.reshape(n[3], [-1, 1, 1]) if n.has(3) else y


def _regular(n: Node, window: Window, dim: int) -> Tensor:
    """Where the elements of a window would be along a dim, as [h, w, rows, columns] with other dims of size 1."""
    assert isinstance(window.count, int)
    places = np.add.outer(
        np.arange(window.kernel) * window.dilation - window.before, np.arange(window.count) * window.stride
    )
    shape = [1, 1, 1, 1]
    shape[dim], shape[2 + dim] = places.shape
    return n.table("places", places.reshape(shape).astype(np_dtype(n.dtype())))


def _between(flat: Tensor, row: Tensor, column: Tensor, height: Any, width: Any) -> Tensor:
    """Elements [b, parts, channels, taps, rows, columns] of images [b, parts, channels, h * w] at fractional places."""
    above, left = ops.floor(row), ops.floor(column)
    sides = [
        [(ops.cast(first, "i64"), 1 - (place - first)), (ops.cast(first, "i64") + 1, place - first)]
        for place, first in ((row, above), (column, left))
    ]
    parts = []
    for r, r_share in sides[0]:
        for c, c_share in sides[1]:
            is_inside = (r >= 0) & (r < height) & (c >= 0) & (c < width)
            place = ops.where(is_inside, r * width + c, 0)
            part = _picked(flat, place) * _as_channel(r_share * c_share)
            parts.append(ops.where(_as_channel(is_inside), part, 0.0))
    return reduce(ops.add, parts)


def _as_channel(x: Tensor) -> Tensor:
    """[b, parts, h, w, rows, columns] as [b, parts, 1, taps, rows, columns]."""
    batch, parts, h, w, *out = x.shape
    return ops.reshape(x, [batch, parts, 1, h * w, *out])


def _picked(flat: Tensor, place: Tensor) -> Tensor:
    batch, parts, channels, _ = flat.shape
    _, _, h, w, *out = place.shape
    one = ops.reshape(place, [batch, parts, 1, h * w * out[0] * out[1]])
    index = ops.broadcast(one, [batch, parts, channels, one.shape[3]])
    return ops.reshape(ops.take_along(flat, index, axis=-1), [batch, parts, channels, h * w, *out])
