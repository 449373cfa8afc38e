"""Contractions and windows: matmul, convolution, pooling, attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from xdsl.irdl import irdl_op_definition

from dialects.dims import Dim, dims_text
from dialects.graph.base import Array, GraphOp, Mismatch, Param, Values, register_op, same_dtype
from dialects.graph.elementwise import widened
from dialects.graph.shapes import broadcast, pair, window
from dialects.types import AnyTensor, dims_of, is_float, tensor, type_text


def ints(values: Values, name: str) -> tuple[int, ...]:
    """A parameter that is a list of integers."""
    value = values[name]
    assert isinstance(value, tuple)
    return value  # pyright: ignore[reportReturnType]


def number(values: Values, name: str) -> float:
    """A parameter that is a number."""
    value = values[name]
    assert isinstance(value, int | float)
    return value


def needs_float(types: Sequence[AnyTensor], what: str) -> None:
    """Raises Mismatch for operands that are not floats."""
    if not is_float(same_dtype(types, what)):
        raise Mismatch(f"{what} has no integer form", found=type_text(types[0]), expected="float operands", hint="convert with cast(x, f32)")


@register_op
@irdl_op_definition
class MatmulOp(GraphOp):
    """The matrix product by NumPy's rules: `[..., m, k] @ [..., k, n]`, batch dims broadcast, vectors allowed."""

    name = "graph.matmul"
    ARITY: ClassVar = (2, 2)
    OPERANDS: ClassVar = ("a", "b")

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        element = same_dtype(types, "matmul")
        a, b = (dims_of(t) for t in types)
        if not a or not b:
            raise Mismatch("matmul needs tensors of rank 1 or more", found=" and ".join(type_text(t) for t in types))
        inner_a, inner_b = a[-1], b[-2] if len(b) > 1 else b[-1]
        if inner_a != inner_b:
            raise Mismatch(
                f"inner dims of matmul differ: {inner_a} against {inner_b}",
                found=f"{dims_text(a)} @ {dims_text(b)}",
                expected=f"the last dim of the left to equal the {'second last' if len(b) > 1 else 'only'} dim of the right",
                hint="transpose one of them",
            )
        batch = broadcast([a[:-2], b[:-2]])
        return [tensor(element, (*batch, *(a[-2:-1]), *(b[-1:] if len(b) > 1 else ())))]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        a, b = widened(arrays)
        return [np.matmul(a, b)]


def _windowed(x: AnyTensor, kernel: Sequence[int], values: Values, dilation: tuple[int, int] = (1, 1)) -> list[Dim]:
    stride, padding = pair(ints(values, "stride"), "stride"), pair(ints(values, "padding"), "padding")
    if min(stride) < 1 or min(padding) < 0 or min(dilation) < 1:
        raise Mismatch("stride and dilation are at least 1, padding at least 0", found=f"{stride}, {dilation}, {padding}")
    sizes = dims_of(x)[-2:]
    out = [window(s, k, st, p, d) for s, k, st, p, d in zip(sizes, kernel, stride, padding, dilation, strict=True)]
    for size, o, k in zip(sizes, out, kernel, strict=True):
        if o.value is not None and o.value < 1:
            raise Mismatch(f"a window of {k} does not fit", found=f"size {size}", expected="a larger input, or padding")
    return out


def windows(x: Array, kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int], fill: float, dilation: tuple[int, int] = (1, 1)) -> Array:
    """All windows of the two last dims, as two further dims."""
    pads = [(0, 0)] * (x.ndim - 2) + [(p, p) for p in padding]
    wide = np.pad(x, pads, constant_values=fill)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    view = sliding_window_view(wide, reach, axis=(-2, -1))  # pyright: ignore
    return view[..., :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]


@register_op
@irdl_op_definition
class Conv2dOp(GraphOp):
    """Cross-correlation of x [n, c, h, w] with w [o, c / groups, r, s], zero padding, optional bias [o]."""

    name = "graph.conv2d"
    PARAMS: ClassVar = {
        "stride": Param("ints", (1,)),
        "padding": Param("ints", (0,)),
        "dilation": Param("ints", (1,)),
        "groups": Param("int", 1),
    }
    ARITY: ClassVar = (2, 3)
    OPERANDS: ClassVar = ("x", "w", "bias")

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        needs_float(types, "conv2d")
        x, w = dims_of(types[0]), dims_of(types[1])
        if len(x) != 4 or len(w) != 4:
            raise Mismatch("conv2d takes x of rank 4 [n, c, h, w] and w of rank 4 [o, c, r, s]", found=f"{dims_text(x)} and {dims_text(w)}")
        groups, kernel = int(number(values, "groups")), [d.value for d in w[2:]]
        if None in kernel or w[0].value is None:
            raise Mismatch("the filter of conv2d has a constant shape", found=dims_text(w))
        if groups < 1 or w[1] * groups != x[1] or w[0].value % groups:
            raise Mismatch(
                f"channels of conv2d do not fit: {x[1]} in x against {w[1]} times {groups} groups",
                found=f"{dims_text(x)} and {dims_text(w)}",
                expected="c = groups * w.shape[1], and groups to divide the filters",
            )
        if len(types) == 3 and dims_of(types[2]) != (w[0],):
            raise Mismatch("the bias of conv2d has one value for each filter", found=type_text(types[2]), expected=f"[{w[0]}]")
        out = _windowed(types[0], kernel, values, pair(ints(values, "dilation"), "dilation"))  # pyright: ignore
        return [tensor(types[0].element_type, (x[0], w[0], *out))]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        x, w, *bias = widened(arrays)
        groups = int(number(values, "groups"))
        stride, padding, dilation = (pair(ints(values, k), k) for k in ("stride", "padding", "dilation"))
        view = windows(x, w.shape[2:], stride, padding, 0.0, dilation)
        n, c, h, wd = view.shape[:4]
        view = view.reshape(n, groups, c // groups, h, wd, *w.shape[2:])
        filters = w.reshape(groups, w.shape[0] // groups, *w.shape[1:])
        out = np.einsum("ngchwrs,gocrs->ngohw", view, filters, optimize=True).reshape(n, w.shape[0], h, wd)
        return [out + bias[0][:, None, None] if bias else out]


class Pool(GraphOp):
    """Base of the pooling ops over the two last dims."""

    PARAMS: ClassVar = {"kernel": Param("ints"), "stride": Param("ints", None), "padding": Param("ints", (0,))}

    @classmethod
    def settings(cls, values: Values) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
        """Kernel, stride (the kernel where none is given) and padding."""
        kernel = pair(ints(values, "kernel"), "kernel")
        stride = kernel if values["stride"] is None else pair(ints(values, "stride"), "stride")
        return kernel, stride, pair(ints(values, "padding"), "padding")

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        needs_float(types, cls.name.removeprefix("graph."))
        dims = dims_of(types[0])
        if len(dims) < 2:
            raise Mismatch("pooling takes a tensor of rank 2 or more", found=type_text(types[0]))
        kernel, stride, padding = cls.settings(values)
        if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
            raise Mismatch("padding of a pooling is at most half its kernel", found=f"{padding} for {kernel}")
        return [tensor(types[0].element_type, (*dims[:-2], *_windowed(types[0], kernel, {"stride": stride, "padding": padding})))]


@register_op
@irdl_op_definition
class MaxPool2dOp(Pool):
    """The greatest of each window; padding never wins."""

    name = "graph.max_pool2d"

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        return [windows(widened(arrays)[0], *cls.settings(values), -np.inf).max(axis=(-2, -1))]


@register_op
@irdl_op_definition
class AvgPool2dOp(Pool):
    """The mean of each window; padding counts as zeros."""

    name = "graph.avg_pool2d"

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        return [windows(widened(arrays)[0], *cls.settings(values), 0.0).mean(axis=(-2, -1))]


@register_op
@irdl_op_definition
class AttentionOp(GraphOp):
    """softmax(scale * q k^T + mask) v over the two last dims; scale is 1 / sqrt(d) unless given.

    q [..., s, d], k [..., t, d], v [..., t, e], mask broadcastable to [..., s, t]. With `causal` position i sees keys up
    to i + t - s. A row that sees no key gives zeros.
    """

    name = "graph.attention"
    PARAMS: ClassVar = {"scale": Param("float", None), "causal": Param("bool", False)}
    ARITY: ClassVar = (3, 4)
    OPERANDS: ClassVar = ("q", "k", "v", "mask")

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        needs_float(types, "attention")
        q, k, v = (dims_of(t) for t in types[:3])
        if min(len(q), len(k), len(v)) < 2 or not q[:-2] == k[:-2] == v[:-2] or q[-1] != k[-1] or k[-2] != v[-2]:
            raise Mismatch(
                "shapes of attention do not fit",
                found=", ".join(dims_text(x) for x in (q, k, v)),
                expected="q [..., s, d], k [..., t, d], v [..., t, e]",
            )
        if len(types) == 4:
            scores = (*q[:-1], k[-2])
            if broadcast([scores, dims_of(types[3])]) != scores:
                raise Mismatch("the mask of attention broadcasts to the scores", found=type_text(types[3]), expected=dims_text(scores))
        return [tensor(types[0].element_type, (*q[:-1], v[-1]))]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        q, k, v, *mask = widened(arrays)
        scale = values["scale"] if values["scale"] is not None else q.shape[-1] ** -0.5
        scores = (q @ np.swapaxes(k, -1, -2)) * q.dtype.type(scale)
        if mask:
            scores = scores + mask[0]
        if values["causal"]:
            s, t = scores.shape[-2:]
            scores = np.where(np.arange(t) <= np.arange(s)[:, None] + (t - s), scores, -np.inf)
        top = scores.max(axis=-1, keepdims=True, initial=-np.inf)
        weights = np.exp(scores - np.where(np.isneginf(top), 0, top))
        total = weights.sum(axis=-1, keepdims=True)
        return [(weights / np.where(total == 0, 1, total)).astype(q.dtype) @ v]


