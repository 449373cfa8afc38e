"""Elements at places between the elements: grids and regions of interest."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from dialects.types import np_dtype
from irkit.onnx.faults import Unsupported
from irkit.onnx.node import Node, Result, rule
from irkit.tracing import ops
from irkit.tracing.sizes import Size
from irkit.tracing.tensor import Tensor

MODES = {"bilinear": "linear", "linear": "linear", "nearest": "nearest", "bicubic": "cubic", "cubic": "cubic"}
CUBIC = -0.75


def known_sizes(n: Node, sizes: tuple[Size | int, ...]) -> list[int]:
    for size in sizes:
        if isinstance(size, Size):
            raise Unsupported(f"samples along the dim {size}, which has no value")
    return list(sizes)  # pyright: ignore[reportReturnType]


@rule("GridSample")
def grid_sample(n: Node) -> Result:
    """x [N, C, sizes] at the places of a grid [N, out, rank], which go from -1 to 1 and name the last dim first."""
    x, grid = n[0], n[1]
    mode = MODES[n.only("mode", *MODES, default="bilinear" if n.version < 20 else "linear")]
    padding = n.only("padding_mode", "zeros", "border", "reflection")
    aligned = bool(n.attr("align_corners", 0))
    sizes = known_sizes(n, x.shape[2:])
    flat = ops.reshape(grid, [grid.shape[0], -1, len(sizes)])
    taps = [
        _taps(flat[:, :, len(sizes) - 1 - i], size, mode, padding, aligned) for i, size in enumerate(sizes)
    ]
    pixels = ops.reshape(x, [*x.shape[:2], -1])
    total: Any = None
    for corner in product(*taps):
        found = _weighed(pixels, corner, sizes)
        total = found if total is None else total + found
    return ops.reshape(total, [*x.shape[:2], *grid.shape[1:-1]])


def _weighed(pixels: Tensor, corner: tuple[tuple[Tensor, Any], ...], sizes: list[int]) -> Tensor:
    """One element for each place, times its weight."""
    index: Any = None
    weight: Any = None
    for (at, own), size in zip(corner, sizes, strict=True):
        index = at if index is None else index * size + at
        if own is not None:
            weight = own if weight is None else weight * own
    found = ops.take_along(pixels, _for_each_channel(index, pixels), axis=2)
    if weight is None:
        return found
    weight = ops.reshape(weight, [weight.shape[0], 1, weight.shape[1]])
    return found * (weight if weight.dtype_name == pixels.dtype_name else ops.cast(weight, pixels.dtype_name))


def _for_each_channel(index: Tensor, pixels: Tensor) -> Tensor:
    count, places = index.shape
    return ops.broadcast(ops.reshape(index, [count, 1, places]), [count, pixels.shape[1], places])


def _taps(g: Tensor, size: int, mode: str, padding: str, aligned: bool) -> list[tuple[Tensor, Any]]:
    """The elements along one dim that each place takes from, with the weight of each."""
    place = (g + 1) * ((size - 1) / 2) if aligned else ((g + 1) * size - 1) / 2
    if mode == "nearest":
        place = ops.round(place)
    low, high = (0.0, size - 1.0) if aligned else (-0.5, size - 0.5)
    if padding != "zeros":
        outside = ops.logical_or(ops.compare(place, low, pred="lt"), ops.compare(place, high, pred="gt"))
        place = ops.where(outside, _inside(place, size, padding, low, high), place)
    if mode == "nearest":
        return [_tap(place, None, size, padding, low, high)]
    first = ops.floor(place)
    t = place - first
    kernel = {0: 1 - t, 1: t} if mode == "linear" else _cubic(t)
    return [_tap(first + step if step else first, w, size, padding, low, high) for step, w in kernel.items()]


def _cubic(t: Tensor) -> dict[int, Tensor]:
    """Keys' convolution: the weights of four elements, from the one before the last that is not beyond a place."""

    def near(d: Tensor) -> Tensor:
        return ((CUBIC + 2) * d - (CUBIC + 3)) * d * d + 1

    def far(d: Tensor) -> Tensor:
        return ((CUBIC * d - 5 * CUBIC) * d + 8 * CUBIC) * d - 4 * CUBIC

    return {-1: far(t + 1), 0: near(t), 1: near(1 - t), 2: far(2 - t)}


def _inside(place: Tensor, size: int, padding: str, low: float, high: float) -> Tensor:
    """Places beyond the ends at the last element, or mirrored at the borders."""
    if padding == "border" or high <= low:
        return ops.clamp(place, 0, size - 1)
    there = ops.mod(place - low, 2 * (high - low))
    return ops.minimum(there, 2 * (high - low) - there) + low


def _tap(place: Tensor, weight: Any, size: int, padding: str, low: float, high: float) -> tuple[Tensor, Any]:
    if padding == "zeros":
        inside = ops.logical_and(ops.compare(place, 0, pred="ge"), ops.compare(place, size - 1, pred="le"))
        weight = ops.cast(inside, place.dtype_name) if weight is None else ops.where(inside, weight, 0.0)
    elif padding == "reflection":
        place = _inside(place, size, padding, low, high)
    return ops.cast(ops.clamp(place, 0, size - 1), "i64"), weight


@rule("AffineGrid")
def affine_grid(n: Node) -> Result:
    """A grid of places [N, sizes, rank] moved by matrices theta [N, rank, rank + 1]."""
    theta, (_, _, *sizes) = n[0], n.ints(1, "the size")
    aligned = bool(n.attr("align_corners", 0))
    lines = [_line(size, aligned) for size in sizes]
    around = np.meshgrid(*lines, indexing="ij")
    base = np.stack([*reversed(around), np.ones(sizes)], axis=-1).reshape(-1, len(sizes) + 1)
    rows = n.table("grid", base.astype(np_dtype(theta.dtype_name)))
    return ops.reshape(rows @ ops.transpose(theta, perm=[0, 2, 1]), [theta.shape[0], *sizes, len(sizes)])


def _line(size: int, aligned: bool) -> np.ndarray:
    if not aligned:
        return (2 * np.arange(size) + 1) / size - 1
    return np.linspace(-1, 1, size) if size > 1 else np.zeros(size)
