"""Where the elements of a resized axis lie in the old one, and what they take from there: arrays that are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from irkit.onnx.faults import Unsupported

Array = np.ndarray


@dataclass(frozen=True)
class Axis:
    """An axis of some size that gets another one; `scale` is what the model says, which may not be their ratio."""

    size: int
    out: int
    scale: float
    start: float = 0.0
    end: float = 1.0
    """The part of the axis that is taken, for tf_crop_and_resize."""

    def places(self, mode: str) -> Array:
        """The coordinates of the new elements among the old ones."""
        i = np.arange(self.out, dtype=np.float64)
        length = self.scale * self.size
        if mode == "align_corners":
            return np.zeros_like(i) if length == 1 else i * (self.size - 1) / (length - 1)
        if mode == "asymmetric":
            return i / self.scale
        if mode == "tf_half_pixel_for_nn":
            return (i + 0.5) / self.scale
        if mode == "tf_crop_and_resize":
            return self._cropped(i, length)
        if mode == "pytorch_half_pixel" and self.out == 1:
            return np.full_like(i, -0.5)
        if mode in ("half_pixel", "pytorch_half_pixel"):
            return (i + 0.5) / self.scale - 0.5
        if mode == "half_pixel_symmetric":
            return self.size / 2 * (1 - self.out / length) + (i + 0.5) / self.scale - 0.5
        raise Unsupported(f"coordinate_transformation_mode={mode!r}")

    def _cropped(self, i: Array, length: float) -> Array:
        span, first = (self.end - self.start) * (self.size - 1), self.start * (self.size - 1)
        return np.full_like(i, first + span / 2) if length == 1 else first + i * span / (length - 1)

    def outside(self, places: Array) -> Array:
        return (places < 0) | (places > self.size - 1)


F32 = 2.0**-23
"""The distance of 1 from the next number of f32."""

ROUNDINGS: dict[str, Callable[[Array], Array]] = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


def nearest(places: Array, size: int, rounding: str) -> Array:
    """The nearest old elements. A place that misses a half by no more than f32 would is that half."""
    if rounding not in ROUNDINGS:
        raise Unsupported(f"nearest_mode={rounding!r}")
    halves = np.round(2 * places) / 2
    places = np.where(np.isclose(places, halves, rtol=F32, atol=F32), halves, places)
    return np.clip(ROUNDINGS[rounding](places), 0, size - 1).astype(np.int64)


def linear(distance: Array) -> Array:
    return np.maximum(0, 1 - np.abs(distance))


def cubic(a: float) -> Callable[[Array], Array]:
    """Keys' cubic convolution."""

    def kernel(distance: Array) -> Array:
        d = np.abs(distance)
        near = (a + 2) * d**3 - (a + 3) * d**2 + 1
        far = a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
        return np.where(d <= 1, near, np.where(d < 2, far, 0))

    return kernel


def weights(
    places: Array, axis: Axis, kernel: Callable[[Array], Array], reach: int, antialias: bool, exclude: bool
) -> Array:
    """The matrix [new, old] of an interpolation by a kernel that reaches so far.

    A smaller result is smoothed with `antialias`: the kernel is wider. Beyond the ends stand the last elements, or
    nothing with `exclude`.
    """
    shrink = min(axis.scale, 1.0) if antialias else 1.0
    far = int(np.ceil(reach / shrink))
    taps = np.floor(places)[:, None] + np.arange(1 - far, far + 1)
    found = kernel((taps - places[:, None]) * shrink)
    if antialias:
        found = found / found.sum(axis=1, keepdims=True)
    if exclude:
        found = np.where((taps < 0) | (taps >= axis.size), 0, found)
        total = found.sum(axis=1, keepdims=True)
        found = found / np.where(total == 0, 1, total)
    out = np.zeros((axis.out, axis.size))
    rows = np.broadcast_to(np.arange(axis.out)[:, None], taps.shape)
    np.add.at(out, (rows, np.clip(taps, 0, axis.size - 1).astype(int)), found)
    return out
