"""Pooling over everything and to a given size, einsum."""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
from xdsl.dialects import arith
from xdsl.dialects.builtin import FloatAttr
from xdsl.ir import Block, SSAValue

from dialects.dims import Dim, ceildiv
from dialects.graph.base import Array, Mismatch, Param, Value, Values, dense, register_op, same_dtype
from dialects.graph.derived.base import SMALL, Derived, computed
from dialects.graph.elementwise import check_kind
from dialects.graph.shapes import complete_pair, extents, ints
from dialects.graph.sketch import Term, axis
from dialects.graph.structure import Access
from dialects.types import AnyTensor, dims_of, is_float, type_text


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

    PARAMS: ClassVar = {"size": Param("sizes")}

    @classmethod
    def complete(cls, types: Sequence[AnyTensor], values: dict[str, Value]) -> None:
        name = cls.name.partition(".")[2]
        check_kind(name, "f", types, types[0].element_type)
        sizes = dims_of(types[0])
        complete_pair(values, "size", name)
        if len(sizes) != 4 or any(d.value == 0 for d in sizes[2:]):
            raise Mismatch(f"{name} does not fit", found=type_text(types[0]), expected="[N, C, H, W]")


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
    """Combines the windows of x, each weighted (sum) or shifted (max) by its table.

    What is read outside of a window is left out and not only weighted, since it may be infinite or NaN.
    """
    wide = x.cast("f32") if x.dtype in SMALL else x
    if any(d.value is None for d in (*x.dims[2:], *extents(values, "size"))):
        return _pooled_by_places(wide, extents(values, "size"), outside, kind).cast(x.dtype)
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
    element = wide.type.element_type

    def body(block: Block) -> SSAValue:
        shares = join(block.args[1], block.args[2])
        total = join(block.args[0], shares.result)
        other = arith.ConstantOp(FloatAttr(outside, element))  # pyright: ignore
        is_outside = arith.CmpfOp(shares, other, "oeq")
        chosen = arith.SelectOp(is_outside, other, total)
        block.add_ops([shares, total, other, is_outside, chosen])
        return chosen.result

    combiner = "sum" if kind == "mean" else "max"
    return x.sketch.points([wide, *tables], axes[:4], reads, element, body, combiner, axes[4:]).cast(x.dtype)


def _pooled_by_places(x: Term, size: Sequence[Dim], outside: float, kind: str) -> Term:
    """The same where a size is known as it runs: windows as wide as the widest, of which the rest is left out."""
    starts = [axis(i) * old // new for i, (old, new) in enumerate(zip(x.dims[2:], size, strict=True), 2)]
    lengths = []
    for old, new in zip(x.dims[2:], size, strict=True):
        length = ceildiv((axis(0) + 1) * old, new) - axis(0) * old // new
        lengths.append(x.sketch.table(length, new, old))
    out = [*x.dims[:2], *size]
    widest = [ceildiv(old, new) + 1 for old, new in zip(x.dims[2:], size, strict=True)]
    axes = [(str(axis(i)), d) for i, d in enumerate([*out, *widest])]
    index = [axis(0), axis(1), *(start + axis(4 + i) for i, start in enumerate(starts))]
    reads = [Access(0, tuple(index), "clamp"), *(Access(1 + i, (axis(2 + i),)) for i in (0, 1))]
    element = x.type.element_type

    def body(block: Block) -> SSAValue:
        value, *ends = block.args[:3]
        inside = [arith.CmpiOp(block.args[3 + 4 + i], end, "slt") for i, end in enumerate(ends)]
        both = arith.AndIOp(inside[0], inside[1])
        other = arith.ConstantOp(FloatAttr(outside, element))  # pyright: ignore
        chosen = arith.SelectOp(both, value, other)
        block.add_ops([*inside, both, other, chosen])
        return chosen.result

    combiner = "sum" if kind == "mean" else "max"
    total = x.sketch.points([x, *lengths], axes[:4], reads, element, body, combiner, axes[4:])
    if kind != "mean":
        return total
    rows, columns = (length.cast(x.dtype) for length in lengths)
    return total / (rows.reshape([size[0], 1]) * columns)


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
