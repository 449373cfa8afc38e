"""Convolutions of one and three dims, transposed convolution, pooling over everything, einsum."""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
from xdsl.dialects import arith
from xdsl.ir import Block, SSAValue

from dialects.dims import ONE, Dim
from dialects.graph.base import Array, Mismatch, Param, Value, Values, dense, register_op, same_dtype
from dialects.graph.derived.base import SMALL, Derived, computed
from dialects.graph.elementwise import check_kind
from dialects.graph.shapes import integer, ints, two, window
from dialects.graph.sketch import Term, axis
from dialects.graph.structure import Access
from dialects.types import AnyTensor, dims_of, is_float, type_text


@register_op
class Conv1dOp(Derived):
    """Convolution along one dim: x [N, C, L], w [O, C / groups, K], bias [O] if there is one.

    `graph.conv1d %x, %w {stride = 1, padding = 0, dilation = 1, groups = 1}`
    """

    name = "graph.conv1d"
    PARAMS: ClassVar = {
        "stride": Param("int", 1),
        "padding": Param("int", 0),
        "dilation": Param("int", 1),
        "groups": Param("int", 1),
    }
    ARITY: ClassVar = (2, 3)
    OPERANDS: ClassVar = ("x", "w", "bias")

    @classmethod
    def complete(cls, types: Sequence[AnyTensor], values: dict[str, Value]) -> None:
        for name, type_ in zip(cls.OPERANDS, types, strict=False):
            if len(dims_of(type_)) != (1 if name == "bias" else 3):
                raise Mismatch(
                    f"{name} of conv1d has another rank",
                    found=type_text(type_),
                    expected="x [N, C, L], w [O, C, K]",
                )

    @classmethod
    def formula(cls, x: Sequence[Term], values: Values) -> Sequence[Term]:
        a, w, *bias = x
        n, c, length = a.dims
        settings = {key: (1, integer(values, key)) for key in ("stride", "dilation")}
        settings["padding"] = (0, integer(values, "padding"))
        image, filters = a.reshape([n, c, ONE, length]), w.reshape([w.dims[0], w.dims[1], ONE, w.dims[2]])
        out = image.of("conv2d", filters, *bias, groups=integer(values, "groups"), **settings)
        return [out.reshape([out.dims[0], out.dims[1], out.dims[3]])]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        stride, padding, dilation = ((integer(values, key),) for key in ("stride", "padding", "dilation"))

        def conv(x: Array, w: Array, *bias: Array) -> Array:
            out = convolution(x, w, stride, padding, dilation, integer(values, "groups"))
            return out + bias[0][:, None] if bias else out

        return computed(arrays, results[0], conv)


def convolution(
    x: Array, w: Array, stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int], groups: int
) -> Array:
    """x [N, C, ...] with w [O, C / groups, ...] along any number of dims, one shift of x for each tap."""
    x = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in padding)])
    kernel = w.shape[2:]
    sizes = [
        (s - d * (k - 1) - 1) // t + 1
        for s, k, t, d in zip(x.shape[2:], kernel, stride, dilation, strict=True)
    ]
    out = np.zeros([x.shape[0], w.shape[0], *sizes], x.dtype)
    each_in, each_out = w.shape[1], w.shape[0] // groups
    for tap in np.ndindex(*kernel):
        window = tuple(
            slice(p * d, p * d + t * (s - 1) + 1, t)
            for p, d, t, s in zip(tap, dilation, stride, sizes, strict=True)
        )
        shifted = x[(slice(None), slice(None), *window)]
        for g in range(groups):
            part = w[(slice(g * each_out, (g + 1) * each_out), slice(None), *tap)]
            channels = shifted[:, g * each_in : (g + 1) * each_in]
            out[:, g * each_out : (g + 1) * each_out] += np.einsum("oc,nc...->no...", part, channels)
    return out


@register_op
class Conv3dOp(Derived):
    """Convolution along three dims: x [N, C, D, H, W], w [O, C / groups, d, h, w], bias [O] if there is one.

    `graph.conv3d %x, %w {stride = array<i64: 1, 1, 1>, padding = array<i64: 0, 0, 0>, groups = 1}`; one number stands
    for all three dims.
    """

    name = "graph.conv3d"
    PARAMS: ClassVar = {
        "stride": Param("ints", (1,)),
        "padding": Param("ints", (0,)),
        "dilation": Param("ints", (1,)),
        "groups": Param("int", 1),
    }
    ARITY: ClassVar = (2, 3)
    OPERANDS: ClassVar = ("x", "w", "bias")

    @classmethod
    def complete(cls, types: Sequence[AnyTensor], values: dict[str, Value]) -> None:
        check_kind("conv3d", "f", types, same_dtype(types, "conv3d"))
        x, w, groups = dims_of(types[0]), dims_of(types[1]), integer(values, "groups")
        fits = len(x) == len(w) == 5 and groups > 0 and x[1] == w[1] * groups
        if not fits or (w[0].value is not None and w[0].value % groups):
            raise Mismatch(
                "x and w of conv3d do not fit",
                found=f"{type_text(types[0])} and {type_text(types[1])}, groups={groups}",
                expected="x [N, C, D, H, W] and w [O, C / groups, d, h, w]",
            )
        if len(types) == 3 and dims_of(types[2]) != w[:1]:
            raise Mismatch("bias of conv3d does not fit", found=type_text(types[2]), expected=f"[{w[0]}]")
        for name, least in (("stride", 1), ("padding", 0), ("dilation", 1)):
            given = ints(values, name)
            if len(given) not in (1, 3) or min(given) < least:
                message = f"{name} of conv3d is one number or three, no less than {least}"
                raise Mismatch(message, found=str(list(given)))
            values[name] = given * 3 if len(given) == 1 else given
        if any(d.value is None for d in w[2:]):
            raise Mismatch("the window of conv3d has no known size", found=type_text(types[1]))

    @classmethod
    def formula(cls, x: Sequence[Term], values: Values) -> Sequence[Term]:
        a, w, *bias = x
        dtype, groups = a.dtype, integer(values, "groups")
        stride, padding, dilation = (ints(values, name) for name in ("stride", "padding", "dilation"))
        kernel = [d.value or 0 for d in w.dims[2:]]
        sizes = [
            window(d, k, s, p, t, a.type)
            for d, k, s, p, t in zip(a.dims[2:], kernel, stride, padding, dilation, strict=True)
        ]
        out = [a.dims[0], w.dims[0], *sizes]
        summed = [w.dims[1], *w.dims[2:]]
        place = [axis(i) for i in range(len(out) + len(summed))]
        first = axis(1) // (w.dims[0] // groups) * w.dims[1] if groups > 1 else Dim.of(0)
        taps = [axis(2 + i) * stride[i] + axis(6 + i) * dilation[i] - padding[i] for i in range(3)]
        reads = [
            Access(0, (axis(0), first + axis(5), *taps), "zero" if any(padding) else "none"),
            Access(1, (axis(1), *place[5:])),
        ]
        named = [(str(p), d) for p, d in zip(place, [*out, *summed], strict=True)]
        wide = [t.cast("f32") if dtype in SMALL else t for t in (a, w)]
        total = a.sketch.points(
            wide, named[:5], reads, wide[0].type.element_type, _times, "sum", named[5:]
        ).cast(dtype)
        return [total + bias[0].reshape([w.dims[0], ONE, ONE, ONE]) if bias else total]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        stride, padding, dilation = (ints(values, name) for name in ("stride", "padding", "dilation"))

        def conv(x: Array, w: Array, *bias: Array) -> Array:
            out = convolution(x, w, stride, padding, dilation, integer(values, "groups"))
            return out + bias[0][:, None, None, None] if bias else out

        return computed(arrays, results[0], conv)


def _times(block: Block) -> SSAValue:
    op = arith.MulfOp(block.args[0], block.args[1])
    block.add_op(op)
    return op.result


@register_op
class ConvTranspose2dOp(Derived):
    """The transpose of conv2d: x [N, C, H, W], w [C, O, h, w] to [N, O, (H - 1) * stride - 2 * padding + h, ...].

    `graph.conv_transpose2d %x, %w {stride = array<i64: 2, 2>, padding = array<i64: 1, 1>}`
    """

    name = "graph.conv_transpose2d"
    PARAMS: ClassVar = {"stride": Param("pair", (1, 1)), "padding": Param("pair", (0, 0))}
    ARITY: ClassVar = (2, 3)
    OPERANDS: ClassVar = ("x", "w", "bias")

    @classmethod
    def complete(cls, types: Sequence[AnyTensor], values: dict[str, Value]) -> None:
        check_kind("conv_transpose2d", "f", types, same_dtype(types, "conv_transpose2d"))
        x, w = dims_of(types[0]), dims_of(types[1])
        if len(x) != 4 or len(w) != 4 or x[1] != w[0] or any(d.value is None for d in w[2:]):
            raise Mismatch(
                "x and w of conv_transpose2d do not fit",
                found=f"{type_text(types[0])} and {type_text(types[1])}",
                expected="x [N, C, H, W] and w [C, O, h, w]",
            )
        for p, k in zip(two(values, "padding"), w[2:], strict=True):
            if k.value is not None and p > k.value - 1:
                raise Mismatch(
                    f"padding {p} is wider than a window of {k}", expected=f"at most {k.value - 1}"
                )

    @classmethod
    def formula(cls, x: Sequence[Term], values: Values) -> Sequence[Term]:
        a, w, *bias = x
        stride, padding = two(values, "stride"), two(values, "padding")
        filters = w.of("flip", axes=(2, 3)).of("transpose", perm=(1, 0, 2, 3))
        spread = a
        for i, s in enumerate(stride):
            spread = _spread(spread, 2 + i, s)
        sizes = [d.value for d in w.dims[2:]]
        edge = tuple(k - 1 - p for k, p in zip(sizes, padding, strict=True) if k is not None)
        return [spread.of("conv2d", filters, *bias, padding=edge)]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        (sh, sw), (ph, pw) = two(values, "stride"), two(values, "padding")

        def transposed(x: Array, w: Array, *bias: Array) -> Array:
            n, _, h, width = x.shape
            _, o, kh, kw = w.shape
            out = np.zeros((n, o, max(0, (h - 1) * sh + kh), max(0, (width - 1) * sw + kw)))
            for i, j in np.ndindex(kh, kw):
                out[:, :, i : i + h * sh : sh, j : j + width * sw : sw] += np.einsum(
                    "ncij,co->noij", x, w[:, :, i, j]
                )
            out = out[:, :, ph : out.shape[2] - ph, pw : out.shape[3] - pw]
            return out + bias[0][:, None, None] if bias else out

        return computed(arrays, results[0], transposed)


def _spread(x: Term, along: int, stride: int) -> Term:
    """stride - 1 zeros between the elements along a dim: a new dim of zeros after each, cut at the end."""
    if stride == 1:
        return x
    rank = len(x.dims)
    wide = x.reshape([*x.dims[: along + 1], ONE, *x.dims[along + 1 :]])
    pads = [0] * (2 * (rank + 1))
    pads[2 * (along + 1) + 1] = stride - 1
    long = [d * stride if i == along else d for i, d in enumerate(x.dims)]
    padded = wide.of("pad", pads=tuple(pads)).reshape(long)
    kept = [d - (stride - 1) if i == along else d for i, d in enumerate(long)]
    return padded.sketch.moved(padded, kept, [axis(i) for i in range(rank)])


class GlobalPool(Derived):
    """Base: one number for each channel of x [N, C, ...], with dims of size 1 kept."""

    KIND: ClassVar[str]

    @classmethod
    def complete(cls, types: Sequence[AnyTensor], values: dict[str, Value]) -> None:
        if len(dims_of(types[0])) < 3:
            raise Mismatch(
                f"{cls.name.partition('.')[2]} does not fit",
                found=type_text(types[0]),
                expected="[N, C, ...]",
            )

    @classmethod
    def formula(cls, x: Sequence[Term], values: Values) -> Sequence[Term]:
        return [x[0].of(cls.KIND, axes=tuple(range(2, len(x[0].dims))), keepdims=True)]


@register_op
class GlobalAvgPoolOp(GlobalPool):
    """The mean of each channel: `graph.global_avg_pool %x`, [N, C, H, W] to [N, C, 1, 1]."""

    name = "graph.global_avg_pool"
    KIND: ClassVar = "reduce_mean"

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        axes = tuple(range(2, arrays[0].ndim))
        return computed(arrays, results[0], lambda x: x.mean(axis=axes, keepdims=True))


@register_op
class GlobalMaxPoolOp(GlobalPool):
    """The greatest of each channel: `graph.global_max_pool %x`, [N, C, H, W] to [N, C, 1, 1]."""

    name = "graph.global_max_pool"
    KIND: ClassVar = "reduce_max"

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        axes = tuple(range(2, arrays[0].ndim))
        return [arrays[0].max(axis=axes, keepdims=True)]


# -- adaptive pooling -----------------------------------------------------------------------------------------------


class AdaptivePool(Derived):
    """Base: the last two dims of x [N, C, H, W] brought to a size; element i of n pools the elements from
    floor(i * H / n) up to ceil((i + 1) * H / n)."""

    PARAMS: ClassVar = {"size": Param("pair")}

    @classmethod
    def complete(cls, types: Sequence[AnyTensor], values: dict[str, Value]) -> None:
        name = cls.name.partition(".")[2]
        check_kind(name, "f", types, types[0].element_type)
        sizes = dims_of(types[0])
        if len(sizes) != 4 or min(ints(values, "size")) < 1 or any(not d.value for d in sizes[2:]):
            raise Mismatch(
                f"{name} does not fit", found=type_text(types[0]), expected="[N, C, H, W] of known H and W"
            )


def _windows(old: int, new: int) -> list[tuple[int, int]]:
    """Where the window of each element begins and ends."""
    return [(i * old // new, -(-(i + 1) * old // new)) for i in range(new)]


def _shares(x: Term, windows: Sequence[tuple[int, int]], outside: float, inside: str) -> Term:
    """A table over the elements of each window: what lies outside of it, and 0 or its share of a mean inside."""
    table = np.full((len(windows), max(stop - start for start, stop in windows)), outside)
    for row, (start, stop) in zip(table, windows, strict=True):
        row[: stop - start] = 1 / (stop - start) if inside == "mean" else 0
    return x.sketch.make("constant", value=dense(table, x.dtype))


def _pooled(x: Term, values: Values, outside: float, kind: str) -> Term:
    """Combines the windows of x, each weighted (sum) or shifted (max) by its table."""
    wide = x.cast("f32") if x.dtype in SMALL else x
    size = ints(values, "size")
    tables = [
        _shares(wide, _windows(d.value or 1, n), outside, kind) for d, n in zip(x.dims[2:], size, strict=True)
    ]
    out = [*x.dims[:2], *map(Dim.of, size)]
    axes = [(str(axis(i)), d) for i, d in enumerate([*out, tables[0].dims[1], tables[1].dims[1]])]
    index = [axis(0), axis(1)]
    for i, (old, new) in enumerate(zip(x.dims[2:], size, strict=True)):
        index.append(axis(2 + i) * old // new + axis(4 + i))
    reads = [Access(0, tuple(index), "clamp"), *(Access(1 + i, (axis(2 + i), axis(4 + i))) for i in (0, 1))]
    join = arith.MulfOp if kind == "mean" else arith.AddfOp

    def body(block: Block) -> SSAValue:
        shares = join(block.args[1], block.args[2])
        total = join(block.args[0], shares.result)
        block.add_ops([shares, total])
        return total.result

    element = wide.type.element_type
    combiner = "sum" if kind == "mean" else "max"
    return x.sketch.points([wide, *tables], axes[:4], reads, element, body, combiner, axes[4:]).cast(x.dtype)


def _each_window(x: Array, size: Sequence[int], function: Callable[..., Array]) -> Array:
    rows, columns = (_windows(old, new) for old, new in zip(x.shape[2:], size, strict=True))
    return np.stack(
        [np.stack([function(x[..., a:b, c:d], axis=(-2, -1)) for c, d in columns], axis=-1) for a, b in rows],
        axis=-2,
    )


@register_op
class AdaptiveAvgPool2dOp(AdaptivePool):
    """The mean of each of size windows that cover the last two dims: `graph.adaptive_avg_pool2d %x {size = ...}`.

    Element i of n is the mean of the elements from floor(i * H / n) up to ceil((i + 1) * H / n).
    """

    name = "graph.adaptive_avg_pool2d"

    @classmethod
    def formula(cls, x: Sequence[Term], values: Values) -> Sequence[Term]:
        return [_pooled(x[0], values, 0.0, "mean")]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        return computed(arrays, results[0], lambda x: _each_window(x, ints(values, "size"), np.mean))


@register_op
class AdaptiveMaxPool2dOp(AdaptivePool):
    """The greatest of each of size windows that cover the last two dims: `graph.adaptive_max_pool2d %x {size = ...}`.

    Element i of n is the greatest of the elements from floor(i * H / n) up to ceil((i + 1) * H / n).
    """

    name = "graph.adaptive_max_pool2d"

    @classmethod
    def formula(cls, x: Sequence[Term], values: Values) -> Sequence[Term]:
        return [_pooled(x[0], values, -np.inf, "max")]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        return computed(arrays, results[0], lambda x: _each_window(x, ints(values, "size"), np.max))


# -- einsum ---------------------------------------------------------------------------------------------------------


@register_op
class EinsumOp(Derived):
    """Einstein's summation: `graph.einsum %a, %b {spec = "bij,bjk->bik"}`. Letters absent on the right are summed."""

    name = "graph.einsum"
    PARAMS: ClassVar = {"spec": Param("str")}
    ARITY: ClassVar = (1, 8)
    OPERANDS: ClassVar = ("a", "b")

    @classmethod
    def complete(cls, types: Sequence[AnyTensor], values: dict[str, Value]) -> None:
        spec = str(values["spec"]).replace(" ", "")
        check_kind("einsum", "fi", types, same_dtype(types, "einsum"))
        inputs, arrow, output = spec.partition("->")
        terms = inputs.split(",")
        if any(c not in string.ascii_letters for c in "".join(terms) + output):
            raise Mismatch(
                "bad spec of einsum", found=spec, expected="letters, ',' and '->', such as 'ij,jk->ik'"
            )
        if not arrow:
            joined = "".join(terms)
            output = "".join(sorted(c for c in set(joined) if joined.count(c) == 1))
        if len(terms) != len(types):
            raise Mismatch(f"the spec of einsum names {len(terms)} tensors", found=f"{len(types)} operands")
        sizes: dict[str, Dim] = {}
        for term, type_ in zip(terms, types, strict=True):
            if len(term) != len(dims_of(type_)):
                raise Mismatch(f"'{term}' of einsum does not fit", found=type_text(type_))
            for letter, size in zip(term, dims_of(type_), strict=True):
                if sizes.setdefault(letter, size) != size:
                    raise Mismatch(f"'{letter}' of einsum has two sizes", found=f"{sizes[letter]} and {size}")
        if len(set(output)) != len(output) or set(output) - sizes.keys():
            raise Mismatch(
                "bad result in the spec of einsum",
                found=output,
                expected="letters of the operands, once each",
            )
        values["spec"] = f"{','.join(terms)}->{output}"

    @classmethod
    def formula(cls, x: Sequence[Term], values: Values) -> Sequence[Term]:
        inputs, _, output = str(values["spec"]).partition("->")
        terms = inputs.split(",")
        sizes = {c: d for term, t in zip(terms, x, strict=True) for c, d in zip(term, t.dims, strict=True)}
        rest = [c for c in sizes if c not in output]
        place = {c: axis(i) for i, c in enumerate([*output, *rest])}
        axes = {c: (str(place[c]), sizes[c]) for c in sizes}
        dtype = x[0].dtype
        wide = [t.cast("f32") if dtype in SMALL else t for t in x]
        element = wide[0].type.element_type
        times = arith.MulfOp if is_float(element) else arith.MuliOp

        def body(block: Block) -> SSAValue:
            total: SSAValue = block.args[0]
            for factor in block.args[1 : len(x)]:
                op = times(total, factor)
                block.add_op(op)
                total = op.result
            return total

        reads = [Access(i, tuple(place[c] for c in term)) for i, term in enumerate(terms)]
        kept, summed = [axes[c] for c in output], [axes[c] for c in rest]
        out = x[0].sketch.points(wide, kept, reads, element, body, "sum" if rest else None, summed)
        return [out.cast(dtype)]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        spec = str(values["spec"])
        if arrays[0].dtype.kind in "iu":
            return [np.einsum(spec, *arrays)]
        return computed(arrays, results[0], lambda *x: np.einsum(spec, *x))
