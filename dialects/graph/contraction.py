"""Contractions and windows: matmul, convolution, pooling, attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from xdsl.dialects.builtin import i1

from dialects.dims import ONE, ZERO, Dim, dims_text
from dialects.graph.base import (
    Array,
    GraphOp,
    Mismatch,
    Param,
    Value,
    Values,
    register_op,
    same_dtype,
    short_name,
)
from dialects.graph.elementwise import check_kind
from dialects.graph.numerics import cast_array, least, softmax, widened
from dialects.graph.shapes import (
    Edge,
    broadcast,
    complete_padding,
    edges,
    integer,
    ints,
    number,
    two,
    window,
)
from dialects.types import AnyTensor, dims_of, tensor, type_text


@register_op
class MatmulOp(GraphOp):
    """The matrix product by NumPy's rules: `[..., m, k] @ [..., k, n]`, batch dims broadcast, vectors allowed."""

    name = "graph.matmul"
    ARITY: ClassVar = (2, 2)
    OPERANDS: ClassVar = ("a", "b")

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        element = check_kind("matmul", "fic", types, same_dtype(types, "matmul"))
        a, b = (dims_of(t) for t in types)
        if not a or not b:
            found = " and ".join(type_text(t) for t in types)
            raise Mismatch("matmul needs tensors of rank 1 or more", found=found, hint="use mul")
        inner = b[-2:][0]
        if a[-1] != inner:  # pyright: ignore[reportGeneralTypeIssues]
            raise Mismatch(
                f"inner dims of matmul differ: {a[-1]} against {inner}",
                found=f"{dims_text(a)} @ {dims_text(b)}",
                expected="the last dim of the left to equal the "
                + ("second last dim of the right" if len(b) > 1 else "dim of the right"),
                hint="transpose one of them",
            )
        batch = broadcast([a[:-2], b[:-2]], "matmul")
        return [tensor(element, (*batch, *a[-2:-1], *(b[-1:] if len(b) > 1 else ())))]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        return [cast_array(np.asarray(np.matmul(*widened(arrays))), results[0].element_type)]


# -- windows ------------------------------------------------------------------------------------------------------


def _output_sizes(x: AnyTensor, kernel: Sequence[int], values: Values, dilation: Sequence[int]) -> list[Dim]:
    _check_counts(kernel=kernel, stride=two(values, "stride"), dilation=dilation)
    rows = zip(dims_of(x)[-2:], kernel, two(values, "stride"), edges(values, 2), dilation, strict=True)
    return [window(*row, x) for row in rows]


def _check_counts(**given: Sequence[int]) -> None:
    for what, sizes in given.items():
        if min(sizes) < 1:
            raise Mismatch(f"bad {what}", found=str(list(sizes)), expected="at least 1")


def windows(
    x: Array,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[Edge],
    fill: float,
    dilation: Sequence[int] = (1, 1),
) -> Array:
    """All windows of the two last dims, as two further dims."""
    pads = [(0, 0)] * (x.ndim - 2) + list(padding)
    wide = np.pad(x, pads, constant_values=fill)
    reach = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))
    view = sliding_window_view(wide, reach, axis=(-2, -1))  # pyright: ignore
    return view[..., :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]


@register_op
class Conv2dOp(GraphOp):
    """Cross-correlation of x [n, c, h, w] with w [o, c / groups, r, s], zero padding, optional bias [o].

    `graph.conv2d %x, %w {stride = array<i64: 2, 2>, padding = array<i64: 1, 1>, groups = 4 : i64}`, and dilation.
    padding is a number, one for height and width, four (above, below, left, right), "same" or "valid".
    """

    name = "graph.conv2d"
    PARAMS: ClassVar = {
        "stride": Param("pair", (1, 1)),
        "padding": Param("padding", (0, 0)),
        "dilation": Param("pair", (1, 1)),
        "groups": Param("int", 1),
    }
    ARITY: ClassVar = (2, 3)
    OPERANDS: ClassVar = ("x", "w", "bias")

    @classmethod
    def complete(cls, types: Sequence[AnyTensor], values: dict[str, Value]) -> None:
        x, w = dims_of(types[0]), dims_of(types[1])
        if len(x) != 4 or len(w) != 4:
            raise Mismatch(
                "conv2d takes x [n, c, h, w] and w [o, c, r, s]", found=f"{dims_text(x)} and {dims_text(w)}"
            )
        kernel = [d.value for d in w[2:]]
        if None in kernel:
            raise Mismatch(
                "the filter of conv2d has a constant height and width",
                found=dims_text(w),
                hint="its numbers of channels may be dims with a range",
            )
        stride, dilation = two(values, "stride"), two(values, "dilation")
        _check_counts(kernel=kernel, stride=stride, dilation=dilation)  # pyright: ignore
        complete_padding(values, "conv2d", x[2:], kernel, stride, dilation)  # pyright: ignore

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        element = check_kind("conv2d", "f", types, same_dtype(types, "conv2d"))
        x, w = dims_of(types[0]), dims_of(types[1])
        shapes = f"{dims_text(x)} and {dims_text(w)}"
        groups, sizes = integer(values, "groups"), [d.value for d in w]
        if groups < 1 or w[1] * groups != x[1] or w[0] % groups != ZERO:
            raise Mismatch(
                f"channels of conv2d do not fit: {x[1]} in x against {w[1]} in w times {groups} groups",
                found=shapes,
                expected="as many channels in x as in w times groups, and groups to divide the filters",
            )
        if len(types) == 3 and dims_of(types[2]) != (w[0],):
            message = "the bias of conv2d has one value for each filter"
            raise Mismatch(message, found=type_text(types[2]), expected=f"[{w[0]}]")
        out = _output_sizes(types[0], sizes[2:], values, two(values, "dilation"))  # pyright: ignore
        return [tensor(element, (x[0], w[0], *out))]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        x, w, *bias = widened(arrays)
        groups = integer(values, "groups")
        stride, dilation = two(values, "stride"), two(values, "dilation")
        view = windows(x, w.shape[2:], stride, edges(values, 2), 0.0, dilation)
        n, c, h, wide = view.shape[:4]
        view = view.reshape(n, groups, c // groups, h, wide, *w.shape[2:])
        filters = w.reshape(groups, w.shape[0] // groups, *w.shape[1:])
        out = np.einsum("ngchwrs,gocrs->ngohw", view, filters, optimize=True)
        out = out.reshape(n, w.shape[0], h, wide)
        return [cast_array(out + bias[0][:, None, None] if bias else out, results[0].element_type)]


class Pool(GraphOp):
    """Base of the pooling ops over the two last dims; the stride is the kernel where none is given."""

    PARAMS: ClassVar = {
        "kernel": Param("pair"),
        "stride": Param("pair", None),
        "padding": Param("padding", (0, 0)),
    }
    TAKES: ClassVar[str] = "f"

    @classmethod
    def complete(cls, types: Sequence[AnyTensor], values: dict[str, Value]) -> None:
        if values["stride"] is None:
            values["stride"] = values["kernel"]
        kernel, stride, sizes = two(values, "kernel"), two(values, "stride"), dims_of(types[0])
        if len(sizes) < 2:
            raise Mismatch("pooling takes a tensor of rank 2 or more", found=type_text(types[0]))
        _check_counts(kernel=kernel, stride=stride)
        complete_padding(values, short_name(cls), sizes[-2:], kernel, stride, (1, 1))

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        check_kind(short_name(cls), cls.TAKES, types, types[0].element_type)
        dims = dims_of(types[0])
        kernel, padding = two(values, "kernel"), edges(values, 2)
        if any(2 * p > k for edge, k in zip(padding, kernel, strict=True) for p in edge):
            message = "the padding of a pooling is at most half its kernel"
            found = str(list(ints(values, "padding")))
            raise Mismatch(message, found=found, expected=f"half of {list(kernel)}")
        sizes = _output_sizes(types[0], kernel, values, (1, 1))
        return [tensor(types[0].element_type, (*dims[:-2], *sizes))]

    @classmethod
    def settings(cls, values: Values) -> tuple[tuple[int, int], tuple[int, int], list[Edge]]:
        """Kernel, stride and padding."""
        return two(values, "kernel"), two(values, "stride"), edges(values, 2)

    @classmethod
    def windows(cls, arrays: Sequence[Array], values: Values, fill: float) -> Array:
        """All windows of the operand, as two further dims."""
        return windows(widened(arrays)[0], *cls.settings(values), fill)


@register_op
class MaxPool2dOp(Pool):
    """The greatest of each window, NaN if any is; padding never wins.

    `graph.max_pool2d %x {kernel = array<i64: 2, 2>}`, and stride, padding.
    """

    name = "graph.max_pool2d"
    TAKES: ClassVar = "fi"

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        out = cls.windows(arrays, values, least(widened(arrays)[0].dtype)).max(axis=(-2, -1))
        return [cast_array(out, results[0].element_type)]


@register_op
class AvgPool2dOp(Pool):
    """The mean of each window; padding counts as zeros, or not at all without count_padding.

    `graph.avg_pool2d %x {kernel = array<i64: 2, 2>, count_padding = true}`, and stride, padding.
    """

    name = "graph.avg_pool2d"
    PARAMS: ClassVar = {**Pool.PARAMS, "count_padding": Param("bool", True)}

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        seen = cls.windows(arrays, values, 0.0)
        if values["count_padding"]:
            return [cast_array(seen.mean(axis=(-2, -1)), results[0].element_type)]
        inside = cls.windows([np.ones_like(widened(arrays)[0])], values, 0.0)
        with np.errstate(all="ignore"):
            out = seen.sum(axis=(-2, -1)) / inside.sum(axis=(-2, -1))
        return [cast_array(out, results[0].element_type)]


# -- attention ----------------------------------------------------------------------------------------------------


@register_op
class AttentionOp(GraphOp):
    """softmax(scale * q k^T + mask) v over the two last dims; scale is 1 / sqrt(d) unless given.

    q [..., s, d], k [..., t, d], v [..., t, e], where k and v have a dim of 1 before these two if all along it in q read the
    same. The mask broadcasts to [..., s, t] and is added, or, if bool, says which keys count. With `causal` position i sees
    keys up to i + t - s, where torch's is_causal says i, whatever the sizes. Other keys have the score `hidden`: -inf where
    none is given. A row that sees no key gives zeros, or NaN, as softmax does, with `unseen` so; "safe" gives zeros
    wherever softmax gives NaN, as exports of torch say it.
    """

    name = "graph.attention"
    PARAMS: ClassVar = {
        "scale": Param("float", None),
        "causal": Param("bool", False),
        "unseen": Param("str", "zero", ("zero", "nan", "safe")),
        "hidden": Param("float", None),
    }
    ARITY: ClassVar = (3, 4)
    OPERANDS: ClassVar = ("q", "k", "v", "mask")

    @classmethod
    def complete(cls, types: Sequence[AnyTensor], values: dict[str, Value]) -> None:
        if values["scale"] is None and dims_of(types[0]):
            depth = dims_of(types[0])[-1].value
            if depth is None:
                message = "attention needs a scale where the last dim of q is symbolic"
                raise Mismatch(message, found=type_text(types[0]), hint="give scale=...")
            values["scale"] = max(depth, 1) ** -0.5

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        element = check_kind("attention", "f", types, same_dtype(types[:3], "attention"))
        q, k, v = (dims_of(t) for t in types[:3])
        if (
            min(len(q), len(k), len(v)) < 2
            or not (_reads(q[:-2], k[:-2]) and _reads(q[:-2], v[:-2]))
            or q[-1] != k[-1]
            or k[-2] != v[-2]
        ):
            raise Mismatch(
                "shapes of attention do not fit",
                found=", ".join(dims_text(x) for x in (q, k, v)),
                expected="q [..., s, d], k [..., t, d], v [..., t, e]; before these the dims of q, or 1",
            )
        if len(types) == 4:
            cls._check_mask(types[3], types[0], (*q[:-1], k[-2]))
        return [tensor(element, (*q[:-1], v[-1]))]

    @classmethod
    def _check_mask(cls, mask: AnyTensor, q: AnyTensor, scores: tuple[Dim, ...]) -> None:
        if mask.element_type not in (i1, q.element_type):
            message = "the mask of attention is bool, or has the dtype of q"
            raise Mismatch(message, found=type_text(mask), expected=type_text(q))
        if broadcast([scores, dims_of(mask)], "attention") != scores:
            message = "the mask of attention does not broadcast to the scores"
            raise Mismatch(message, found=type_text(mask), expected=dims_text(scores))

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        q, k, v, *mask = widened(arrays)
        scores = (q @ np.swapaxes(k, -1, -2)) * q.dtype.type(number(values, "scale"))
        hidden = q.dtype.type(hidden_score(values))
        if mask:
            scores = np.where(mask[0], scores, hidden) if mask[0].dtype == np.bool_ else scores + mask[0]
        if values["causal"]:
            s, t = scores.shape[-2:]
            scores = np.where(np.arange(t) <= np.arange(s)[:, None] + (t - s), scores, hidden)
        scores = scores.astype(q.dtype)
        if values["unseen"] != "zero":
            weights = softmax(scores, -1).astype(q.dtype)
            weights = np.where(np.isnan(weights), 0, weights) if values["unseen"] == "safe" else weights
            return [cast_array(weights.astype(q.dtype) @ v, results[0].element_type)]
        sees = (scores > least(q.dtype)).any(axis=-1, keepdims=True) | np.isnan(scores).any(
            axis=-1, keepdims=True
        )
        weights = np.where(sees, softmax(np.where(sees, scores, 0), -1), 0).astype(q.dtype)
        return [cast_array(weights @ v, results[0].element_type)]


def hidden_score(values: Values) -> float:
    """The score of the keys that attention does not count."""
    return -np.inf if values["hidden"] is None else number(values, "hidden")


def _reads(rows: tuple[Dim, ...], shared: tuple[Dim, ...]) -> bool:
    """Whether rows of these leading dims read keys or values of others: of the same ones, or of 1."""
    return len(rows) == len(shared) and all(b in (a, ONE) for a, b in zip(rows, shared, strict=True))
