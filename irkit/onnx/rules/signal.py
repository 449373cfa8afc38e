"""Fourier transforms, as products with matrices that are known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dialects.types import np_dtype
from irkit.onnx.faults import Unsupported
from irkit.onnx.node import Node, Result, rule
from irkit.onnx.values import dtype_name
from irkit.tracing import ops
from irkit.tracing.sizes import Size
from irkit.tracing.tensor import Tensor

LARGEST = 1 << 24
"""Elements of a matrix; a longer transform should be no product."""


@rule("DFT")
def dft(n: Node) -> Result:
    """Along one axis of x [..., parts], whose last dim has the real part, or that and the imaginary one."""
    x = n[0]
    if n.version < 20:
        axis = n.axis(1)
    else:
        axis = n.at(n.ints(2, "the axis")[0] if n.has(2) else -2, x.ndim)
    inverse, onesided = bool(n.attr("inverse", 0)), bool(n.attr("onesided", 0))
    size = points(x.shape[axis])
    default = 2 * (size - 1) if inverse and onesided else size
    length = n.ints(1, "the length")[0] if n.has(1) else default
    matrix = transform(size, length, int(x.shape[-1]), inverse, onesided)
    order = [*(i for i in range(x.ndim - 1) if i != axis), axis, x.ndim - 1]
    moved = x if order == sorted(order) else ops.transpose(x, perm=order)
    found = product(n, moved, matrix)
    back = [order.index(i) for i in range(x.ndim)]
    return found if back == sorted(back) else ops.transpose(found, perm=back)


@rule("STFT")
def stft(n: Node) -> Result:
    """The transforms of frames of a signal [batch, length, parts], each multiplied by a window."""
    x, step = n[0], n.ints(1, "the step")[0]
    if x.ndim == 2:
        x = ops.reshape(x, [*x.shape, 1])
    total = points(x.shape[1])
    if n.has(3):
        length = n.ints(3, "the length of a frame")[0]
    else:
        length = points(n.shape(2)[0]) if n.has(2) else total
    if n.has(2) and n.shape(2)[0] != length:
        raise Unsupported(f"a window of {n.shape(2)[0]} elements for frames of {length}")
    starts = np.arange(1 + (total - length) // step) * step
    frames = ops.gather(x, n.table("frames", starts[:, None] + np.arange(length)), axis=1)
    if n.has(2):
        frames = frames * ops.reshape(n[2], [-1, 1])
    return product(n, frames, transform(length, length, int(x.shape[-1]), False, bool(n.attr("onesided", 1))))


WINDOWS = {
    "HannWindow": (0.5, 0.5, 0.0),
    "HammingWindow": (25 / 46, 21 / 46, 0.0),
    "BlackmanWindow": (0.42, 0.5, 0.08),
}
"""The weights of a constant, of a cosine and of one twice as fast."""


@rule(*WINDOWS)
def window(n: Node) -> Result:
    size, dtype = n.ints(0, "the size")[0], dtype_name(n.attr("output_datatype", 1))
    angle = 2 * np.pi * np.arange(size) / max(size if n.attr("periodic", 1) else size - 1, 1)
    base, once, twice = WINDOWS[n.op]
    found = base - once * np.cos(angle) + twice * np.cos(2 * angle)
    return found.astype(np_dtype(dtype))


def points(size: Size | int) -> int:
    if not isinstance(size, int):
        raise Unsupported(f"a Fourier transform along the dim {size}")
    return size


def transform(size: int, length: int, parts: int, inverse: bool, onesided: bool) -> np.ndarray:
    """The matrix [size, parts, points, parts] of a transform, of which each row is that of one unit."""
    if size * parts * length * 2 > LARGEST:
        raise Unsupported(f"a Fourier transform of {size} points")
    if inverse and onesided:
        function: Callable[..., np.ndarray] = np.fft.irfft
    else:
        function = np.fft.ifft if inverse else np.fft.fft
    rows = [function(unit * np.eye(size), n=length, axis=1) for unit in (1, 1j)[:parts]]
    found = np.stack(rows, axis=1)
    if inverse and onesided:
        return found[..., None]
    if onesided:
        found = found[:, :, : length // 2 + 1]
    return np.stack([np.real(found), np.imag(found)], axis=-1)


def product(n: Node, x: Tensor, matrix: np.ndarray) -> Tensor:
    """The last two dims of x, points and parts, transformed."""
    size, parts, out, kinds = matrix.shape
    flat = matrix.reshape(size * parts, out * kinds).astype(np_dtype(x.dtype_name))
    lead = list(x.shape[:-2])
    rows = ops.reshape(x, [*lead, size * parts])
    return ops.reshape(rows @ n.table("dft", flat), [*lead, out, kinds])
