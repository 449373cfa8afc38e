"""Convolutions of one and three dims, and transposed ones: conv2d and index notation state them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from xdsl.dialects import arith
from xdsl.ir import Block, SSAValue

from dialects.dims import ONE, ZERO, Dim, product
from dialects.graph.base import Array, Mismatch, Param, Value, Values, register_op, same_dtype, short_name
from dialects.graph.derived.base import SMALL, Derived, computed
from dialects.graph.elementwise import check_kind
from dialects.graph.shapes import Edge, complete_padding, edges, integer, ints, window
from dialects.graph.sketch import Term, axis
from dialects.graph.structure import Access
from dialects.types import AnyTensor, dims_of, type_text

LETTERS = {1: ("L", "l"), 2: ("HW", "hw"), 3: ("DHW", "dhw")}
"""How messages name the dims of a window."""


def spread_out(values: dict[str, Value], what: str, rank: int, least: dict[str, int]) -> None:
    """Brings parameters to one number for each dim of a window; raises Mismatch for too many, or too small ones."""
    for name, low in least.items():
        given = ints(values, name)
        if len(given) not in (1, rank) or min(given) < low:
            message = f"{name} of {what} is one number or {rank}, no less than {low}"
            raise Mismatch(message, found=str(list(given)))
        values[name] = given * rank if len(given) == 1 else given


class Convolution(Derived):
    """Base: x [N, C, ...], w [O, C / groups, ...], bias [O] if there is one, along RANK dims."""

    RANK: ClassVar[int]
    PARAMS: ClassVar[dict[str, Param]] = {
        "stride": Param("ints", (1,)),
        "padding": Param("padding", (0,)),
        "dilation": Param("ints", (1,)),
        "groups": Param("int", 1),
    }
    ARITY: ClassVar = (2, 3)
    OPERANDS: ClassVar = ("x", "w", "bias")

    @classmethod
    def complete(cls, types: Sequence[AnyTensor], values: dict[str, Value]) -> None:
        name, (upper, lower) = short_name(cls), LETTERS[cls.RANK]
        check_kind(name, "f", types, same_dtype(types, name))
        x, w, groups = dims_of(types[0]), dims_of(types[1]), integer(values, "groups")
        fits = len(x) == len(w) == cls.RANK + 2 and groups > 0 and x[1] == w[1] * groups
        if not fits or w[0] % groups != ZERO:
            raise Mismatch(
                f"x and w of {name} do not fit",
                found=f"{type_text(types[0])} and {type_text(types[1])}, groups={groups}",
                expected=f"x [N, C, {', '.join(upper)}] and w [O, C / groups, {', '.join(lower)}]",
            )
        if len(types) == 3 and dims_of(types[2]) != w[:1]:
            raise Mismatch(f"bias of {name} does not fit", found=type_text(types[2]), expected=f"[{w[0]}]")
        kernel = [d.value for d in w[2:]]
        if None in kernel:
            raise Mismatch(f"the window of {name} has no known size", found=type_text(types[1]))
        spread_out(values, name, cls.RANK, {"stride": 1, "dilation": 1})
        stride, dilation = ints(values, "stride"), ints(values, "dilation")
        complete_padding(values, name, x[2:], kernel, stride, dilation)  # pyright: ignore[reportArgumentType]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        stride, dilation = ints(values, "stride"), ints(values, "dilation")
        padding, groups = edges(values, cls.RANK), integer(values, "groups")

        def conv(x: Array, w: Array, *bias: Array) -> Array:
            out = convolution(x, w, stride, padding, dilation, groups)
            return out + bias[0].reshape(-1, *[1] * cls.RANK) if bias else out

        return computed(arrays, results[0], conv)


def convolution(
    x: Array,
    w: Array,
    stride: Sequence[int],
    padding: Sequence[Edge],
    dilation: Sequence[int],
    groups: int,
) -> Array:
    """x [N, C, ...] with w [O, C / groups, ...] along any number of dims, one shift of x for each tap."""
    x = np.pad(x, [(0, 0), (0, 0), *padding])
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
class Conv1dOp(Convolution):
    """Convolution along one dim: x [N, C, L], w [O, C / groups, K], bias [O] if there is one.

    `graph.conv1d %x, %w {stride = array<i64: 1>, padding = array<i64: 0>, dilation = array<i64: 1>, groups = 1}`
    padding is a number, two (before and after), "same" or "valid".
    """

    name = "graph.conv1d"
    RANK: ClassVar = 1

    @classmethod
    def formula(cls, x: Sequence[Term], values: Values) -> Sequence[Term]:
        return [_as_image("conv2d", x, values)]


def _as_image(op: str, x: Sequence[Term], values: Values) -> Term:
    """An op of two dims on a tensor of one: an image of height one."""
    a, w, *bias = x
    image, filters = ([*t.dims[:2], ONE, t.dims[2]] for t in (a, w))
    settings: dict[str, tuple[int, ...]] = {k: (1, ints(values, k)[0]) for k in ("stride", "dilation")}
    settings["padding"] = (0, 0, *edges(values, 1)[0])
    if "output_padding" in values:
        settings["output_padding"] = (0, ints(values, "output_padding")[0])
    out = a.reshape(image).of(op, w.reshape(filters), *bias, groups=integer(values, "groups"), **settings)
    return out.reshape([out.dims[0], out.dims[1], out.dims[3]])


@register_op
class Conv3dOp(Convolution):
    """Convolution along three dims: x [N, C, D, H, W], w [O, C / groups, d, h, w], bias [O] if there is one.

    `graph.conv3d %x, %w {stride = array<i64: 1, 1, 1>, padding = array<i64: 0, 0, 0>, groups = 1}`; one number stands
    for all three dims. padding is a number, three, six (before and after each dim), "same" or "valid".
    """

    name = "graph.conv3d"
    RANK: ClassVar = 3

    @classmethod
    def formula(cls, x: Sequence[Term], values: Values) -> Sequence[Term]:
        a, w, *bias = x
        dtype, groups = a.dtype, integer(values, "groups")
        stride, dilation, padding = ints(values, "stride"), ints(values, "dilation"), edges(values, 3)
        kernel = [d.value or 0 for d in w.dims[2:]]
        sizes = [
            window(d, k, s, p, t, a.type)
            for d, k, s, p, t in zip(a.dims[2:], kernel, stride, padding, dilation, strict=True)
        ]
        out = [a.dims[0], w.dims[0], *sizes]
        summed = [w.dims[1], *w.dims[2:]]
        place = [axis(i) for i in range(len(out) + len(summed))]
        first = axis(1) // (w.dims[0] // groups) * w.dims[1] if groups > 1 else Dim.of(0)
        taps = [axis(2 + i) * stride[i] + axis(6 + i) * dilation[i] - padding[i][0] for i in range(3)]
        reads = [
            Access(0, (axis(0), first + axis(5), *taps), "zero" if any(map(any, padding)) else "none"),
            Access(1, (axis(1), *place[5:])),
        ]
        named = [(str(p), d) for p, d in zip(place, [*out, *summed], strict=True)]
        wide = [t.cast("f32") if dtype in SMALL else t for t in (a, w)]
        total = a.sketch.points(
            wide, named[:5], reads, wide[0].type.element_type, _times, "sum", named[5:]
        ).cast(dtype)
        return [total + bias[0].reshape([w.dims[0], ONE, ONE, ONE]) if bias else total]


def _times(block: Block) -> SSAValue:
    op = arith.MulfOp(block.args[0], block.args[1])
    block.add_op(op)
    return op.result


# -- transposed -----------------------------------------------------------------------------------------------------


class Transposed(Derived):
    """Base: x [N, C, ...], w [C, O / groups, ...], bias [O] if there is one, along RANK dims."""

    RANK: ClassVar[int]
    PARAMS: ClassVar[dict[str, Param]] = {
        "stride": Param("ints", (1,)),
        "padding": Param("padding", (0,)),
        "output_padding": Param("ints", (0,)),
        "dilation": Param("ints", (1,)),
        "groups": Param("int", 1),
    }
    ARITY: ClassVar = (2, 3)
    OPERANDS: ClassVar = ("x", "w", "bias")

    @classmethod
    def complete(cls, types: Sequence[AnyTensor], values: dict[str, Value]) -> None:
        name, (upper, lower) = short_name(cls), LETTERS[cls.RANK]
        check_kind(name, "f", types, same_dtype(types, name))
        x, w, groups = dims_of(types[0]), dims_of(types[1]), integer(values, "groups")
        fits = len(x) == len(w) == cls.RANK + 2 and groups > 0 and x[1] == w[0] and x[1] % groups == ZERO
        kernel = [d.value for d in w[2:]]
        if not fits or None in kernel:
            raise Mismatch(
                f"x and w of {name} do not fit",
                found=f"{type_text(types[0])} and {type_text(types[1])}, groups={groups}",
                expected=f"x [N, C, {', '.join(upper)}] and w [C, O / groups, {', '.join(lower)}]",
            )
        if len(types) == 3 and dims_of(types[2]) != (w[1] * groups,):
            found, expected = type_text(types[2]), f"[{w[1] * groups}]"
            raise Mismatch(f"bias of {name} does not fit", found=found, expected=expected)
        spread_out(values, name, cls.RANK, {"stride": 1, "dilation": 1, "output_padding": 0})
        stride, dilation, added = (ints(values, k) for k in ("stride", "dilation", "output_padding"))
        if any(a >= max(s, d) for a, s, d in zip(added, stride, dilation, strict=True)):
            raise Mismatch(
                f"output_padding of {name} is smaller than the stride or the dilation",
                found=f"output_padding={list(added)}, stride={list(stride)}, dilation={list(dilation)}",
            )
        if values["padding"] == "same":
            raise Mismatch(f'{name} has no padding "same"', expected="numbers")
        complete_padding(values, name, x[2:], kernel, stride, dilation)  # pyright: ignore[reportArgumentType]
        for size in cls.sizes(types, values):
            if size.value is not None and size.value < 0:
                message = f"the padding of {name} leaves nothing"
                raise Mismatch(
                    message, found=f"{type_text(types[0])}, padding={list(ints(values, 'padding'))}"
                )

    @classmethod
    def sizes(cls, types: Sequence[AnyTensor], values: Values) -> list[Dim]:
        """(L - 1) * stride + dilation * (K - 1) + 1 - padding + output_padding along each dim."""
        rows = zip(
            dims_of(types[0])[2:],
            dims_of(types[1])[2:],
            *(ints(values, k) for k in ("stride", "dilation", "output_padding")),
            edges(values, cls.RANK),
            strict=True,
        )
        return [(n - 1) * s + (k - 1) * d + 1 - sum(edge) + a for n, k, s, d, a, edge in rows]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        stride, dilation, added = (ints(values, k) for k in ("stride", "dilation", "output_padding"))
        padding, groups = edges(values, cls.RANK), integer(values, "groups")

        def transposed(x: Array, w: Array, *bias: Array) -> Array:
            """Each element of x adds a window to the result, which is then cut."""
            kernel, each_in, each_out = w.shape[2:], x.shape[1] // groups, w.shape[1]
            rows = zip(x.shape[2:], kernel, stride, dilation, added, strict=True)
            whole = [max(0, (n - 1) * s + d * (k - 1) + 1 + a) for n, k, s, d, a in rows]
            out = np.zeros([x.shape[0], each_out * groups, *whole])
            for tap in np.ndindex(*kernel):
                steps = zip(tap, stride, dilation, x.shape[2:], strict=True)
                spot = tuple(slice(p * d, p * d + n * s, s) for p, s, d, n in steps)
                for g in range(groups):
                    part = x[:, g * each_in : (g + 1) * each_in]
                    taps = w[(slice(g * each_in, (g + 1) * each_in), slice(None), *tap)]
                    out[(slice(None), slice(g * each_out, (g + 1) * each_out), *spot)] += np.einsum(
                        "nc...,co->no...", part, taps
                    )
            cut = [
                slice(before, before + n)
                for (before, _), n in zip(padding, results[0].get_shape()[2:], strict=True)
            ]
            out = out[(slice(None), slice(None), *cut)]
            return out + bias[0].reshape(-1, *[1] * cls.RANK) if bias else out

        return computed(arrays, results[0], transposed)


@register_op
class ConvTranspose2dOp(Transposed):
    """The transpose of conv2d: x [N, C, H, W], w [C, O / groups, h, w], bias [O] if there is one.

    `graph.conv_transpose2d %x, %w {stride = array<i64: 2, 2>, padding = array<i64: 1, 1>}`, and output_padding,
    dilation, groups. The result has (H - 1) * stride + dilation * (h - 1) + 1 rows, less the padding above and below,
    plus output_padding below; and so many columns.
    """

    name = "graph.conv_transpose2d"
    RANK: ClassVar = 2

    @classmethod
    def formula(cls, x: Sequence[Term], values: Values) -> Sequence[Term]:
        """A product gives what each element adds to each place of its window; a sum gathers what meets at one place. No
        zero stands for an element that is not there: times an infinite weight it would be NaN."""
        a, w, *bias = x
        groups, out = integer(values, "groups"), cls.sizes([a.type, w.type], values)
        wide, filters = (t.cast("f32") if t.dtype in SMALL else t for t in (a, w))
        channels, (each, *kernel) = a.dims[1] // groups, w.dims[1:]
        taps = product([each, *kernel])
        turned = filters.reshape([groups, channels, taps]).of("transpose", perm=(0, 2, 1))
        flat = wide.reshape([a.dims[0], groups, channels, a.dims[2] * a.dims[3]])
        parts = turned.of("matmul", flat).reshape([a.dims[0], each * groups, *kernel, *a.dims[2:]])
        index = [axis(i) for i in (0, 1, 4, 5)]
        for i, (n, s, d, (before, _)) in enumerate(
            zip(a.dims[2:], ints(values, "stride"), ints(values, "dilation"), edges(values, 2), strict=True)
        ):
            place = axis(2 + i) + before - axis(4 + i) * d
            beyond = n + d * (kernel[i].value or 0)  # takes any place between two elements out of the array
            index.append(place // s + place % s * beyond)
        named = [(str(axis(i)), size) for i, size in enumerate([a.dims[0], each * groups, *out, *kernel])]
        read = [Access(0, tuple(index), "zero")]
        element = wide.type.element_type
        total = a.sketch.points([parts], named[:4], read, element, lambda b: b.args[0], "sum", named[4:])
        total = total.cast(a.dtype)
        return [total + bias[0].reshape([each * groups, ONE, ONE]) if bias else total]


@register_op
class ConvTranspose1dOp(Transposed):
    """The transpose of conv1d: x [N, C, L], w [C, O / groups, K], bias [O] if there is one.

    `graph.conv_transpose1d %x, %w {stride = array<i64: 2>}`, and padding, output_padding, dilation, groups. The result
    has (L - 1) * stride + dilation * (K - 1) + 1 elements, less the padding at both ends, plus output_padding.
    """

    name = "graph.conv_transpose1d"
    RANK: ClassVar = 1

    @classmethod
    def formula(cls, x: Sequence[Term], values: Values) -> Sequence[Term]:
        return [_as_image("conv_transpose2d", x, values)]
