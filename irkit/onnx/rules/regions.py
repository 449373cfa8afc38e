"""RoiAlign: the mean, or the greatest, of samples in each bin of regions of interest."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from dialects.types import np_dtype
from irkit.onnx.node import Node, Result, rule
from irkit.onnx.rules.sampling import known_sizes
from irkit.tracing import ops
from irkit.tracing.tensor import Tensor


@rule("RoiAlign")
def roi_align(n: Node) -> Result:
    """x [N, C, H, W] in regions [R, (x1, y1, x2, y2)] gives [R, C, bins, bins].

    How many samples a bin has may depend on its size; then the regions are known.
    """
    x, height_width = n[0], known_sizes(n, n.shape()[2:])
    bins = n.attr("output_height", 1), n.attr("output_width", 1)
    ratio = n.attr("sampling_ratio", 0)
    pixel = n.attr("coordinate_transformation_mode", "half_pixel" if n.version >= 16 else "output_half_pixel")
    offset = 0.5 if pixel == "half_pixel" else 0.0
    regions: Any = n[1] if ratio > 0 else n.known(1, "the regions")
    found = ops.gather(x, n[2], axis=0)
    scaled = regions * n.attr("spatial_scale", 1.0) - offset
    lines: list[tuple[Any, Any, int, int]] = []
    for axis in range(2):
        start, end = scaled[:, 1 - axis], scaled[:, 3 - axis]
        length = end - start if offset else _at_least(end - start, 1.0)
        lines.append((start, length, bins[axis], height_width[axis]))
    if n.only("mode", "avg", "max") == "max":
        return _greatest(n, found, lines, ratio)
    rows, columns = (_means(n, *line, ratio=ratio, dtype=x.dtype_name) for line in lines)
    return _channels(rows) @ found @ ops.transpose(_channels(columns), perm=[0, 1, 3, 2])


def _at_least(x: Any, least: float) -> Any:
    return np.maximum(x, least) if isinstance(x, np.ndarray) else ops.maximum(x, least)


def _channels(x: Tensor) -> Tensor:
    return ops.reshape(x, [x.shape[0], 1, *x.shape[1:]])


def _means(n: Node, start: Any, length: Any, bins: int, size: int, ratio: int, dtype: str) -> Tensor:
    """The weights [R, bins, size] of the elements along one dim in the mean of each bin."""
    if ratio > 0:
        place, inside = _samples(start, length, bins, size, ratio)
        hat = ops.relu(1 - ops.abs(ops.reshape(place, [*place.shape, 1]) - ops.iota([size], dtype=dtype)))
        return ops.mean(hat * ops.reshape(inside, [*inside.shape, 1]), axis=-2)
    table = np.zeros((len(start), bins, size))
    for i, (first, whole) in enumerate(zip(start.astype(float), length.astype(float), strict=True)):
        place = _places(first, whole, bins)
        if not place.size:
            continue
        inside = (place >= -1) & (place <= size)
        near = np.clip(place, 0, size - 1)[..., None] - np.arange(size)
        table[i] = (np.maximum(0, 1 - np.abs(near)) * inside[..., None]).mean(axis=1)
    return n.table("weights", table.astype(np_dtype(dtype)))


def _places(first: float, whole: float, bins: int) -> np.ndarray:
    """The places of the samples in each bin of one region: as many as it has elements."""
    count = max(int(np.ceil(whole / bins)), 0)
    return first + (np.arange(bins)[:, None] + (np.arange(count) + 0.5) / max(count, 1)) * (whole / bins)


def _samples(start: Tensor, length: Tensor, bins: int, size: int, ratio: int) -> tuple[Tensor, Tensor]:
    """The places [R, bins, ratio] of the samples along one dim, and 1 for each that lies inside."""
    steps = (np.arange(bins)[:, None] + (np.arange(ratio) + 0.5) / ratio) / bins
    steps = ops.constant(steps.astype(np_dtype(length.dtype_name)))
    place = ops.reshape(start, [-1, 1, 1]) + ops.reshape(length, [-1, 1, 1]) * steps
    inside = ops.logical_and(ops.compare(place, -1, pred="ge"), ops.compare(place, size, pred="le"))
    return ops.clamp(place, 0, size - 1), ops.cast(inside, place.dtype_name)


def _greatest(n: Node, found: Tensor, lines: list[Any], ratio: int) -> Tensor:
    """The greatest among what each of the four neighbours of each sample gives to it."""
    regions, channels, _, width = found.shape
    rows, columns = (_neighbours(n, *line, ratio=ratio, dtype=found.dtype_name) for line in lines)
    pixels = ops.reshape(found, [regions, channels, -1])
    best: Any = None
    for (row, by), (column, along) in product(rows, columns):
        index = _as_rows(row) * width + _as_columns(column)
        shape = index.shape
        index = ops.reshape(index, [regions, 1, -1])
        index = ops.broadcast(index, [regions, channels, index.shape[2]])
        share = ops.take_along(pixels, index, axis=2) * ops.reshape(
            _as_rows(by) * _as_columns(along), [regions, 1, -1]
        )
        best = share if best is None else ops.maximum(best, share)
    return ops.max(ops.reshape(best, [regions, channels, *shape[1:]]), axis=[3, 5])


def _neighbours(
    n: Node, start: Any, length: Any, bins: int, size: int, ratio: int, dtype: str
) -> list[tuple[Tensor, Tensor]]:
    """The two elements around each sample along one dim, and their weights; both [R, bins, samples]."""
    if ratio > 0:
        place, inside = _samples(start, length, bins, size, ratio)
    else:
        each = [_places(float(a), float(b), bins) for a, b in zip(start, length, strict=True)]
        each = [p if p.size else np.full((bins, 1), -2.0) for p in each]
        most = max(p.shape[1] for p in each)
        filled = np.stack([np.pad(p, [(0, 0), (0, most - p.shape[1])], mode="edge") for p in each])
        inside = n.table("inside", ((filled >= -1) & (filled <= size)).astype(np_dtype(dtype)))
        place = n.table("places", np.clip(filled, 0, size - 1).astype(np_dtype(dtype)))
    low = ops.floor(place)
    part = place - low
    high = ops.minimum(low + 1, size - 1)
    return [(ops.cast(low, "i64"), (1 - part) * inside), (ops.cast(high, "i64"), part * inside)]


def _as_rows(x: Tensor) -> Tensor:
    return ops.reshape(x, [*x.shape, 1, 1])


def _as_columns(x: Tensor) -> Tensor:
    return ops.reshape(x, [x.shape[0], 1, 1, *x.shape[1:]])
