"""Convolutions, those of integers, and transposed ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from irkit.onnx.faults import Unsupported
from irkit.onnx.node import Node, Result, rule
from irkit.onnx.rules.contraction import facts, without_zero
from irkit.onnx.rules.quantised import requantised
from irkit.onnx.rules.windows import windows
from irkit.tracing import ops
from irkit.tracing.sizes import Size
from irkit.tracing.tensor import Tensor


@rule("Conv")
def conv(n: Node) -> Result:
    return convolved(n, n[0], n[1], n.get(2))


def convolved(n: Node, x: Tensor, w: Tensor, bias: Tensor | None) -> Tensor:
    """x with the filters w, as the attributes of a node say."""
    found = windows(n, x.shape[2:], w.shape[2:])
    padding = [p for one in found for p in (one.before, one.after)]
    stride, dilation = [one.stride for one in found], [one.dilation for one in found]
    return _op("conv", x)(
        *(t for t in (x, w, bias) if t is not None),
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=n.attr("group", 1),
    )


def _op(name: str, x: Tensor) -> Any:
    """The op along as many dims as x has after batch and channels."""
    rank = x.ndim - 2
    if rank not in (1, 2, 3):
        raise Unsupported(f"convolutions along {rank} dims")
    return getattr(ops, f"{name}{rank}d")


@rule("ConvInteger")
def conv_integer(n: Node) -> Result:
    """Products and sums of small integers are exact in f64."""
    w = _filters(n, 1, 3)
    return ops.cast(convolved(n, without_zero(n, 0, 2, "f64"), w, None), "i32")


def _filters(n: Node, index: int, zero: int) -> Tensor:
    """Filters less their zero point, which may be one for each."""
    w, point = ops.cast(n[index], "f64"), facts(n, zero)
    if point is None or not isinstance(point, Tensor):
        return w if point is None else w - point
    point = ops.cast(point, "f64")
    return w - (ops.reshape(point, [-1, *[1] * (w.ndim - 1)]) if point.ndim else point)


@rule("QLinearConv")
def qlinear_conv(n: Node) -> Result:
    bias = ops.cast(n[8], "f64") if n.has(8) else None
    total = convolved(n, without_zero(n, 0, 2, "f64"), _filters(n, 3, 5), bias)
    scale = facts(n, 4)
    if isinstance(scale, Tensor) and scale.ndim:
        scale = ops.reshape(scale, [-1, *[1] * (total.ndim - 2)])
    return requantised(n, ops.cast(total, "f32"), (facts(n, 1), scale), 6, 7)


# -- transposed -------------------------------------------------------------------------------------------------------


@rule("ConvTranspose")
def conv_transpose(n: Node) -> Result:
    x, w = n[0], n[1]
    rank, groups = x.ndim - 2, n.attr("group", 1)
    if rank not in (1, 2, 3):
        raise Unsupported(f"convolutions along {rank} dims")
    stride, dilation = (n.attr(k) or [1] * rank for k in ("strides", "dilations"))
    kernel = [k for k in w.shape[2:] if isinstance(k, int)]
    if len(kernel) != rank:
        raise Unsupported(f"a window of {list(w.shape[2:])}")
    edges = _edges(n, x.shape[2:], kernel, stride, dilation)
    fits = all(
        before >= 0 <= after and more < max(s, d)
        for (before, after, more), s, d in zip(edges, stride, dilation, strict=True)
    )
    if rank == 3 or not fits:
        return _spread_out(x, w, n.get(2), stride, dilation, edges, groups)
    return _op("conv_transpose", x)(
        *(t for t in (x, w, n.get(2)) if t is not None),
        stride=stride,
        padding=[p for before, after, _ in edges for p in (before, after)],
        output_padding=[more for _, _, more in edges],
        dilation=dilation,
        groups=groups,
    )


Edge = tuple[int, int, int]
"""Elements cut off before and after a dim, and added after it."""


def _edges(
    n: Node, dims: Sequence[Size | int], kernel: list[int], stride: list[int], dilation: list[int]
) -> list[Edge]:
    """Pads as given, or such that the result has a size that is given."""
    rank = len(kernel)
    auto = n.only("auto_pad", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")
    more = n.attr("output_padding") or [0] * rank
    wanted = n.attr("output_shape")
    if wanted is None and auto.startswith("SAME"):
        wanted = [d * s for d, s in zip(dims, stride, strict=True)]
    if wanted is None:
        pads = n.attr("pads") or [0] * (2 * rank)
        pads = [0] * (2 * rank) if auto == "VALID" else pads
        return list(zip(pads[:rank], pads[rank:], more, strict=True))
    edges: list[Edge] = []
    for size, k, s, d, m, out in zip(dims, kernel, stride, dilation, more, wanted[-rank:], strict=True):
        total = (size - 1) * s + (m + (k - 1) * d + 1) - out
        if isinstance(total, Size):
            raise Unsupported(f"an output_shape along the dim {size}")
        less, greater = max(total, 0) // 2, -(-max(total, 0) // 2)
        edge = (less, greater) if auto == "SAME_UPPER" else (greater, less)
        edges.append((*edge, m + max(0, -total)))
    return edges


def _spread_out(
    x: Tensor,
    w: Tensor,
    bias: Tensor | None,
    stride: list[int],
    dilation: list[int],
    edges: list[Edge],
    groups: int,
) -> Tensor:
    """Zeros between the elements of x, then a convolution with the turned filters."""
    for axis, (s, d, k, (before, after, more)) in enumerate(
        zip(stride, dilation, w.shape[2:], edges, strict=True), 2
    ):
        x = _with_zeros_between(x, axis, s)
        reach = d * (k - 1)  # pyright: ignore[reportOperatorIssue]
        x = _padded(x, axis, reach - before, reach - after + more)  # pyright: ignore[reportArgumentType]
    channels, each, *kernel = w.shape
    parts = ops.reshape(w, [groups, channels // groups, each, *kernel])
    turned = ops.transpose(parts, perm=[0, 2, 1, *range(3, w.ndim + 1)])
    filters = ops.flip(
        ops.reshape(turned, [each * groups, channels // groups, *kernel]), axes=list(range(2, w.ndim))
    )
    operands = [t for t in (x, filters, bias) if t is not None]
    return _op("conv", x)(*operands, dilation=dilation, groups=groups)


def _with_zeros_between(x: Tensor, axis: int, stride: int) -> Tensor:
    if stride == 1:
        return x
    shape, size = list(x.shape), x.shape[axis]
    apart = ops.reshape(x, [*shape[: axis + 1], 1, *shape[axis + 1 :]])
    pads = [0] * (2 * apart.ndim)
    pads[2 * (axis + 1) + 1] = stride - 1
    joined = ops.reshape(ops.pad(apart, pads), [*shape[:axis], size * stride, *shape[axis + 1 :]])
    return joined[(*[slice(None)] * axis, slice(0, (size - 1) * stride + 1))]


def _padded(x: Tensor, axis: int, before: int, after: int) -> Tensor:
    """Zeros around a dim, or a part of it where numbers are negative."""
    size = x.shape[axis]
    if min(before, after) < 0:
        x = x[(*[slice(None)] * axis, slice(max(0, -before), size - max(0, -after)))]
    if max(before, after) <= 0:
        return x
    pads = [0] * (2 * x.ndim)
    pads[2 * axis : 2 * axis + 2] = max(0, before), max(0, after)
    return ops.pad(x, pads)
