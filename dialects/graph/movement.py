"""Ops that move elements and compute none: reshape, transpose, broadcast, concat, slice, gather."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from xdsl.irdl import irdl_op_definition

from dialects.dims import Dim, dims_text, product
from dialects.graph.base import Array, GraphOp, Mismatch, Param, Values, register_op, same_dtype
from dialects.graph.contraction import ints, number
from dialects.graph.shapes import axis_of, broadcast
from dialects.types import AnyTensor, dims_of, is_integer, tensor, type_text


def shape_of(values: Values) -> tuple[Dim, ...]:
    """The `shape` parameter."""
    shape = values["shape"]
    assert isinstance(shape, tuple)
    return tuple(Dim.of(d) for d in shape)  # pyright: ignore[reportArgumentType]


def numbers_of(result: AnyTensor, like: Array) -> tuple[int, ...]:
    """The result's shape in numbers; one symbolic dim follows from the element count."""
    sizes = [d.value for d in dims_of(result)]
    known = int(np.prod([s for s in sizes if s is not None], dtype=np.int64))
    return tuple(like.size // known if s is None else s for s in sizes)


@register_op
@irdl_op_definition
class ReshapeOp(GraphOp):
    """The same elements in order with other dims; one of them may be -1."""

    name = "graph.reshape"
    PARAMS: ClassVar = {"shape": Param("dims")}

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        total, shape = product(dims_of(types[0])), list(shape_of(values))
        open_dims = [i for i, d in enumerate(shape) if d.value == -1]
        if len(open_dims) == 1:
            rest = product(d for d in shape if d.value != -1)
            shape[open_dims[0]] = total // rest if rest.value != 0 else Dim.of(0)
        if len(open_dims) > 1 or product(shape) != total or any((d.value or 0) < 0 for d in shape):
            raise Mismatch(
                f"cannot reshape {total} elements into {dims_text(shape_of(values))}",
                found=type_text(types[0]),
                expected=f"a shape of {total} elements",
                hint="one dim may be -1",
            )
        return [tensor(types[0].element_type, shape)]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        return [arrays[0].reshape(numbers_of(results[0], arrays[0]))]


@register_op
@irdl_op_definition
class TransposeOp(GraphOp):
    """Dims in another order: `perm` names the source of each; reversed where it is not given."""

    name = "graph.transpose"
    PARAMS: ClassVar = {"perm": Param("ints", None)}

    @classmethod
    def perm(cls, values: Values, rank: int) -> tuple[int, ...]:
        """The source dim of each result dim."""
        if values["perm"] is None:
            return tuple(reversed(range(rank)))
        perm = tuple(axis_of(a, rank, "transpose") for a in ints(values, "perm"))
        if sorted(perm) != list(range(rank)):
            raise Mismatch("perm of transpose names each dim once", found=str(list(perm)), expected=f"an order of 0 to {rank - 1}")
        return perm

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        dims = dims_of(types[0])
        return [tensor(types[0].element_type, [dims[p] for p in cls.perm(values, len(dims))])]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        return [arrays[0].transpose(cls.perm(values, arrays[0].ndim))]


@register_op
@irdl_op_definition
class BroadcastOp(GraphOp):
    """Repeats along new dims and dims of size 1, by NumPy's rule."""

    name = "graph.broadcast"
    PARAMS: ClassVar = {"shape": Param("dims")}

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        shape = shape_of(values)
        if broadcast([dims_of(types[0]), shape]) != shape:
            raise Mismatch(f"cannot broadcast to {dims_text(shape)}", found=type_text(types[0]))
        return [tensor(types[0].element_type, shape)]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        return [np.broadcast_to(arrays[0], [d.value for d in dims_of(results[0])])]  # pyright: ignore


@register_op
@irdl_op_definition
class ConcatOp(GraphOp):
    """Tensors one after another along one dim."""

    name = "graph.concat"
    PARAMS: ClassVar = {"axis": Param("int", 0)}
    ARITY: ClassVar = (1, 100000)
    OPERANDS: ClassVar = ("parts",)

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        element, first = same_dtype(types, "concat"), dims_of(types[0])
        axis = axis_of(int(number(values, "axis")), len(first), "concat")
        total = Dim.of(0)
        for type_ in types:
            dims = dims_of(type_)
            if len(dims) != len(first) or any(d != f for i, (d, f) in enumerate(zip(dims, first, strict=True)) if i != axis):
                raise Mismatch(f"parts of concat differ outside dim {axis}", found=f"{dims_text(first)} and {dims_text(dims)}")
            total = total + dims[axis]
        return [tensor(element, [total if i == axis else d for i, d in enumerate(first)])]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        return [np.concatenate(arrays, axis=int(number(values, "axis")))]


@register_op
@irdl_op_definition
class SliceOp(GraphOp):
    """Elements start, start + stride, ... before stop along each dim; dims not given are whole, stride is positive."""

    name = "graph.slice"
    PARAMS: ClassVar = {"starts": Param("dims"), "stops": Param("dims"), "strides": Param("ints", None)}

    @classmethod
    def ranges(cls, type_: AnyTensor, values: Values) -> list[tuple[Dim, Dim, int]]:
        """(start, size, stride) along each dim."""
        dims = dims_of(type_)
        starts, stops = (tuple(Dim.of(d) for d in values[k]) for k in ("starts", "stops"))  # pyright: ignore
        strides = (1,) * len(starts) if values["strides"] is None else ints(values, "strides")
        if not len(starts) == len(stops) == len(strides) <= len(dims):
            raise Mismatch("slice gives a start, a stop and a stride for each dim", found=f"{len(starts)}, {len(stops)}, {len(strides)}")
        out: list[tuple[Dim, Dim, int]] = []
        for i, size in enumerate(dims):
            start, stop, stride = (starts[i], stops[i], strides[i]) if i < len(starts) else (Dim.of(0), size, 1)
            start, stop = (_from_end(x, size) for x in (start, stop))
            if stride < 1:
                raise Mismatch("strides of slice are positive", found=str(stride))
            low, high = start.value, (size - stop).value
            if (low is not None and low < 0) or (high is not None and high < 0) or ((stop - start).value or 0) < 0:
                raise Mismatch(f"slice {start}:{stop} leaves dim {i}", found=type_text(type_), expected=f"0 to {size}")
            out.append((start, (stop - start + stride - 1) // stride, stride))
        return out

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        return [tensor(types[0].element_type, [n for _, n, _ in cls.ranges(types[0], values)])]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        x = arrays[0]
        ranges = cls.ranges(tensor("f32", x.shape), values)
        return [x[tuple(slice(s.value, s.value + n.value * t, t) for s, n, t in ranges)]]  # pyright: ignore


def _from_end(x: Dim, size: Dim) -> Dim:
    return x + size if (value := x.value) is not None and value < 0 else x


@register_op
@irdl_op_definition
class GatherOp(GraphOp):
    """Rows of x by an integer tensor, along one dim; indices count from the end where negative and are clamped."""

    name = "graph.gather"
    PARAMS: ClassVar = {"axis": Param("int", 0)}
    ARITY: ClassVar = (2, 2)
    OPERANDS: ClassVar = ("x", "indices")

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        dims, index = dims_of(types[0]), dims_of(types[1])
        if not is_integer(types[1].element_type):
            raise Mismatch("gather takes integer indices", found=type_text(types[1]), hint="convert with cast(x, i32)")
        axis = axis_of(int(number(values, "axis")), len(dims), "gather")
        return [tensor(types[0].element_type, (*dims[:axis], *index, *dims[axis + 1 :]))]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        x, index = arrays
        axis = int(number(values, "axis"))
        size = x.shape[axis]
        wide = index.astype(np.int64)
        wide = np.where(wide < 0, wide + size, wide)
        return [np.take(x, np.clip(wide, 0, size - 1), axis=axis)]
