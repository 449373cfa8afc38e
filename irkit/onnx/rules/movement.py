"""Elements moved: slices, padding, and blocks of pixels that become channels."""

from __future__ import annotations

from typing import Any

import numpy as np

from irkit.onnx.faults import Unsupported
from irkit.onnx.node import Node, Result, rule
from irkit.onnx.values import dtype_name, is_same
from irkit.tracing import ops
from irkit.tracing.sizes import Size
from irkit.tracing.tensor import Tensor

FAR = 2**31 - 1
"""What exporters write for an end that is beyond any."""


@rule("Slice")
def slice_(n: Node) -> Result:
    x = n[0]
    if n.version < 10:
        starts, ends, axes, steps = n.needs("starts"), n.needs("ends"), n.attr("axes"), None
    else:
        starts, ends = n.sizes(1, "the starts"), n.sizes(2, "the ends")
        axes = n.ints(3, "the axes") if n.has(3) else None
        steps = n.ints(4, "the steps") if n.has(4) else None
    key = [slice(None)] * x.ndim
    for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
        axis = n.at(axes[i], x.ndim) if axes else i
        key[axis] = _range(start, end, steps[i] if steps else 1, x.shape[axis])
    return x if all(k == slice(None) for k in key) else x[tuple(key)]


def _range(start: Any, end: Any, step: int, size: Size | int) -> slice:
    """A slice as Python has it; of a dim without a value as far as its ends tell where they are."""
    if step > 0:
        first = None if is_same(start, 0) or _before(start) else start
        last = None if _beyond(end) or is_same(end, size) else end
    else:
        first = None if is_same(start, -1) or _beyond(start) else start
        last = None if _before(end) else end
    if isinstance(size, Size) and step < 0 and (step, first, last) != (-1, None, None):
        raise Unsupported(f"a part of the dim {size} backwards")
    return slice(first, last, None if step == 1 else step)


def _beyond(value: Any) -> bool:
    return not isinstance(value, Size) and value >= FAR


def _before(value: Any) -> bool:
    return not isinstance(value, Size) and value <= -FAR


@rule("Pad")
def pad(n: Node) -> Result:
    """Negative pads take elements away, before others are added."""
    x, mode = n[0], n.only("mode", "constant", "reflect", "edge", "wrap")
    if n.version < 11:
        pads: list[Any] = n.needs("paddings" if n.version < 2 else "pads")
        value, axes = n.attr("value", 0.0), None
    else:
        pads = n.sizes(1, "the pads")
        value = _number(n.known(2, "the value"), x) if n.has(2) and mode == "constant" else 0
        axes = n.axes(3, x.ndim)
    axes = list(range(x.ndim)) if axes is None else axes
    if len(pads) != 2 * len(axes):
        raise Unsupported(f"{len(pads)} pads for {len(axes)} axes")
    key, around = [slice(None)] * x.ndim, [0] * 2 * x.ndim
    for i, axis in enumerate(axes):
        before, after = pads[i], pads[i + len(axes)]
        key[axis] = slice(-before if _less(before) else None, after if _less(after) else None)
        around[2 * axis : 2 * axis + 2] = [0 if _less(p) else p for p in (before, after)]
    if any(k != slice(None) for k in key):
        x = x[tuple(key)]
    if all(isinstance(p, int) and p == 0 for p in around):
        return x
    return ops.pad(x, around, mode=mode, value=value) if mode == "constant" else ops.pad(x, around, mode=mode)


def _less(pad: Any) -> bool:
    return isinstance(pad, int) and pad < 0


def _number(value: np.ndarray, x: Tensor) -> Any:
    """The one element of an array. Raises Unsupported for an integer that a float does not hold."""
    found = value.reshape(-1)[0].item()
    if x.dtype.kind in "iu" and int(float(found)) != found:
        raise Unsupported(f"a padding of {found}")
    return found


@rule("DepthToSpace")
def depth_to_space(n: Node) -> Result:
    """Channels laid out as pixels: in DCR mode those of one pixel's place stand together."""
    x, b = n[0], n.needs("blocksize")
    if n.only("mode", "DCR", "CRD") == "CRD":
        return ops.pixel_shuffle(x, b)
    count, channels, h, w = x.shape
    apart = ops.reshape(x, [count, b, b, channels // (b * b), h, w])
    return ops.reshape(
        ops.transpose(apart, perm=[0, 3, 4, 1, 5, 2]), [count, channels // (b * b), h * b, w * b]
    )


@rule("SpaceToDepth")
def space_to_depth(n: Node) -> Result:
    """Blocks of pixels as channels."""
    x, b = n[0], n.needs("blocksize")
    count, channels, h, w = x.shape
    apart = ops.reshape(x, [count, channels, h // b, b, w // b, b])
    order = [0, 3, 5, 1, 2, 4] if n.only("mode", "DCR", "CRD") == "DCR" else [0, 1, 3, 5, 2, 4]
    return ops.reshape(ops.transpose(apart, perm=order), [count, channels * (b * b), h // b, w // b])


@rule("CenterCropPad")
def center_crop_pad(n: Node) -> Result:
    """The middle of a tensor, with zeros around it where it is too small."""
    x, shape = n[0], n.ints(1, "the shape")
    axes = n.axes(None, x.ndim)
    key, around = [slice(None)] * x.ndim, [0] * 2 * x.ndim
    for axis, wanted in zip(range(x.ndim) if axes is None else axes, shape, strict=True):
        size = x.shape[axis]
        if not isinstance(size, int):
            raise Unsupported(f"the middle of the dim {size}")
        spare = abs(wanted - size)
        if wanted < size:
            key[axis] = slice(spare // 2, spare // 2 + wanted)
        else:
            around[2 * axis : 2 * axis + 2] = [spare // 2, spare - spare // 2]
    x = x[tuple(key)] if any(k != slice(None) for k in key) else x
    return ops.pad(x, around) if any(around) else x


@rule("Trilu")
def trilu(n: Node) -> Result:
    k = int(n.known(1, "the diagonal").reshape(-1)[0]) if n.has(1) else 0
    return (ops.triu if n.attr("upper", 1) else ops.tril)(n[0], k=k)


@rule("EyeLike")
def eye_like(n: Node) -> Result:
    """Ones along a diagonal of a matrix with the shape of the input."""
    shape = list(n.shape())
    code = n.attr("dtype")
    dtype = n.dtype() if code is None else dtype_name(code)
    if len(shape) == 1:
        shape = shape * 2
    row, column = (ops.iota(shape, axis=i) for i in range(2))
    k = n.attr("k", 0)
    return ops.cast(ops.compare(row + k if k else row, column, pred="eq"), dtype)
