"""Ops that move elements and compute none: reshape, transpose, broadcast, concat, slice, gather. All dtypes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from dialects.dims import ZERO, Dim, ceildiv, dims_text, product
from dialects.graph.base import Array, GraphOp, Mismatch, Param, Value, Values, register_op, same_dtype
from dialects.graph.numerics import SMALL_INTEGERS
from dialects.graph.shapes import axis_of, broadcast, dims, exact_quotient, integer, ints, static_shape
from dialects.types import AnyTensor, dims_of, is_integer, tensor, type_text

MINUS_ONE = Dim.of(-1)


@register_op
class ReshapeOp(GraphOp):
    """The same elements in order with other dims, one of which may be given as -1.

    `graph.reshape %x {shape = #dim.list<[B, 64]>} : (tensor<...>) -> tensor<...>`
    """

    name = "graph.reshape"
    PARAMS: ClassVar = {"shape": Param("dims")}

    @classmethod
    def complete(cls, types: Sequence[AnyTensor], values: dict[str, Value]) -> None:
        shape = dims(values, "shape")
        if shape.count(MINUS_ONE) == 1:
            rest = product(d for d in shape if d != MINUS_ONE)
            fits = exact_quotient(product(dims_of(types[0])), rest) if rest != ZERO else ZERO
            values["shape"] = tuple(fits if d == MINUS_ONE else d for d in shape)

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        total, shape = product(dims_of(types[0])), dims(values, "shape")
        if product(shape) != total or any((d.value or 0) < 0 for d in shape):
            raise Mismatch(
                f"cannot reshape {total} elements into {dims_text(shape)}",
                found=type_text(types[0]),
                expected=f"a shape of {total} elements",
                hint="one dim may be -1",
            )
        return [tensor(types[0].element_type, shape)]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        return [arrays[0].reshape(static_shape(results[0]))]


@register_op
class TransposeOp(GraphOp):
    """Dims in another order: `perm` names the source of each; reversed where it is not given.

    `graph.transpose %x {perm = array<i64: 1, 0>}`
    """

    name = "graph.transpose"
    PARAMS: ClassVar = {"perm": Param("ints", None)}

    @classmethod
    def complete(cls, types: Sequence[AnyTensor], values: dict[str, Value]) -> None:
        rank = len(dims_of(types[0]))
        if values["perm"] is None:
            values["perm"] = tuple(reversed(range(rank)))
            return
        given = ints(values, "perm")
        perm = tuple(axis_of(a, rank, "transpose") for a in given)
        if sorted(perm) != list(range(rank)):
            expected = f"an order of 0 to {rank - 1}"
            raise Mismatch("perm of transpose names each dim once", found=str(list(given)), expected=expected)
        values["perm"] = perm

    @classmethod
    def perm(cls, values: Values, rank: int) -> tuple[int, ...]:
        """The source dim of each result dim."""
        return ints(values, "perm")

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        sizes = dims_of(types[0])
        return [tensor(types[0].element_type, [sizes[p] for p in ints(values, "perm")])]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        return [arrays[0].transpose(ints(values, "perm"))]


@register_op
class BroadcastOp(GraphOp):
    """Repeats along new dims and dims of size 1, by NumPy's rule: `graph.broadcast %x {shape = #dim.list<[B, 64]>}`."""

    name = "graph.broadcast"
    PARAMS: ClassVar = {"shape": Param("dims")}

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        shape = dims(values, "shape")
        if broadcast([dims_of(types[0]), shape], "broadcast") != shape:
            raise Mismatch(
                f"cannot broadcast to {dims_text(shape)}",
                found=type_text(types[0]),
                expected="each dim equal or 1, counted from the last",
            )
        return [tensor(types[0].element_type, shape)]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        return [np.broadcast_to(arrays[0], static_shape(results[0]))]


@register_op
class ConcatOp(GraphOp):
    """Tensors one after another along one dim: `graph.concat %a, %b {axis = 0}`."""

    name = "graph.concat"
    PARAMS: ClassVar = {"axis": Param("int", 0)}
    ARITY: ClassVar = (1, 100_000)
    OPERANDS: ClassVar = ("parts",)

    @classmethod
    def complete(cls, types: Sequence[AnyTensor], values: dict[str, Value]) -> None:
        values["axis"] = axis_of(values["axis"], len(dims_of(types[0])), "concat")

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        element, first, axis = same_dtype(types, "concat"), dims_of(types[0]), integer(values, "axis")
        total = ZERO
        for type_ in types:
            sizes = dims_of(type_)
            if (
                len(sizes) != len(first)
                or sizes[:axis] != first[:axis]
                or sizes[axis + 1 :] != first[axis + 1 :]
            ):
                found = f"{dims_text(first)} and {dims_text(sizes)}"
                raise Mismatch(
                    f"parts of concat differ outside dim {axis}", found=found, expected="equal dims"
                )
            total = total + sizes[axis]
        return [tensor(element, [*first[:axis], total, *first[axis + 1 :]])]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        return [np.concatenate(arrays, axis=integer(values, "axis"))]


@register_op
class SliceOp(GraphOp):
    """Elements start, start + stride, ... before stop along each dim; dims not given are whole, strides positive.

    A constant start or stop below zero counts from the end.
    `graph.slice %x {starts = #dim.list<[0, 1]>, stops = #dim.list<[4, 3]>, strides = array<i64: 1, 1>}`
    """

    name = "graph.slice"
    PARAMS: ClassVar = {"starts": Param("dims"), "stops": Param("dims"), "strides": Param("ints", None)}

    @classmethod
    def complete(cls, types: Sequence[AnyTensor], values: dict[str, Value]) -> None:
        starts, stops, sizes = dims(values, "starts"), dims(values, "stops"), dims_of(types[0])
        strides = (1,) * len(starts) if values["strides"] is None else ints(values, "strides")
        if not len(starts) == len(stops) == len(strides) <= len(sizes):
            raise Mismatch(
                "slice gives a start, a stop and a stride for each dim",
                found=f"{len(starts)} starts, {len(stops)} stops, {len(strides)} strides for {type_text(types[0])}",
            )
        rest = sizes[len(starts) :]
        values["starts"] = (*map(_from_front, starts, sizes), *([ZERO] * len(rest)))
        values["stops"] = (*map(_from_front, stops, sizes), *rest)
        values["strides"] = (*strides, *([1] * len(rest)))

    @classmethod
    def ranges(cls, type_: AnyTensor, values: Values) -> list[tuple[Dim, Dim, int]]:
        """(start, size, stride) along each dim; raises Mismatch for what leaves the tensor."""
        out: list[tuple[Dim, Dim, int]] = []
        rows = zip(*(dims(values, k) for k in ("starts", "stops")), ints(values, "strides"), strict=True)
        for i, (size, (start, stop, stride)) in enumerate(zip(dims_of(type_), rows, strict=True)):
            if stride < 1:
                raise Mismatch("strides of slice are positive", found=str(stride), expected="1 or more")
            if any((d.value or 0) < 0 for d in (start, size - stop, stop - start)):
                message = f"slice {start}:{stop} leaves dim {i}"
                raise Mismatch(message, found=type_text(type_), expected=f"0 <= start <= stop <= {size}")
            out.append((start, ceildiv(stop - start, stride), stride))
        return out

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        return [tensor(types[0].element_type, [n for _, n, _ in cls.ranges(types[0], values)])]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        starts, stops = ([d.value for d in dims(values, k)] for k in ("starts", "stops"))
        return [arrays[0][tuple(map(slice, starts, stops, ints(values, "strides")))]]


def _from_front(place: Dim, size: Dim) -> Dim:
    return place + size if (place.value or 0) < 0 else place


@register_op
class GatherOp(GraphOp):
    """Slices of x by integer indices, along one dim: `graph.gather %x, %indices {axis = 0}`.

    An index below zero counts from the end; what lies outside even so is clamped.
    """

    name = "graph.gather"
    PARAMS: ClassVar = {"axis": Param("int", 0)}
    ARITY: ClassVar = (2, 2)
    OPERANDS: ClassVar = ("x", "indices")

    @classmethod
    def complete(cls, types: Sequence[AnyTensor], values: dict[str, Value]) -> None:
        values["axis"] = axis_of(values["axis"], len(dims_of(types[0])), "gather")

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        sizes, index, axis = dims_of(types[0]), dims_of(types[1]), integer(values, "axis")
        if not is_integer(types[1].element_type):
            message = "gather takes integer indices"
            raise Mismatch(message, found=type_text(types[1]), hint="convert with cast(x, i32)")
        if sizes[axis].value == 0 and product(index).value != 0:
            raise Mismatch(
                "gather from nothing", found=type_text(types[0]), expected=f"elements along dim {axis}"
            )
        return [tensor(types[0].element_type, (*sizes[:axis], *index, *sizes[axis + 1 :]))]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        x, index = arrays
        axis = integer(values, "axis")
        wide = (index.astype(np.int8) if index.dtype in SMALL_INTEGERS else index).astype(np.int64)
        wide = np.where(wide < 0, wide + x.shape[axis], wide)
        if not wide.size:
            return [np.empty(static_shape(results[0]), x.dtype)]
        return [np.take(x, np.clip(wide, 0, x.shape[axis] - 1), axis=axis)]
