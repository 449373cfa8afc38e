"""Ops that write into a tensor at computed places: the counterparts of gather, gather_nd and take_along."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np

from dialects.graph.base import Array, GraphOp, Mismatch, Param, Value, Values, register_op
from dialects.graph.elementwise import check_kind
from dialects.graph.shapes import Shape, axis_of, integer
from dialects.types import AnyTensor, dims_of, dtype_name, tensor, type_text

MODES: dict[str, Callable[[Array, tuple[Array, ...], Array], None]] = {
    "set": lambda y, places, values: y.__setitem__(places, values),
    "add": np.add.at,
    "mul": np.multiply.at,
    "max": np.maximum.at,
    "min": np.minimum.at,
}
"""How an update combines with what is there."""


class Scatter(GraphOp):
    """Base: x with updates written at the places that an integer tensor tells.

    `mode` is set (the last one stays), add, mul, max or min; updates of one element follow one another in their order, each
    rounded to the dtype. Places below zero count from the end; those that lie outside even so are left out.
    """

    PARAMS: ClassVar = {"mode": Param("str", "set", tuple(MODES))}
    ARITY: ClassVar = (3, 3)
    OPERANDS: ClassVar = ("x", "index", "updates")

    @classmethod
    def update_shape(cls, x: Shape, index: Shape, values: Values) -> Shape:
        """The shape that updates must have; raises Mismatch where x and index do not fit."""
        raise NotImplementedError

    @classmethod
    def places(cls, x: Array, index: Array, updates: Array, values: Values) -> tuple[Array, list[Array]]:
        """Updates with one leading dim for all places, and the place along each of the first dims of x, broadcast."""
        raise NotImplementedError

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        x, index, updates = types
        name = cls.name.partition(".")[2]
        check_kind(f"the index of {name}", "i", [index], index.element_type)
        if updates.element_type != x.element_type:
            raise Mismatch(
                f"updates of {name} have another dtype than x",
                found=f"{dtype_name(updates.element_type)} and {dtype_name(x.element_type)}",
                hint=f"convert with cast(updates, {dtype_name(x.element_type)})",
            )
        if values["mode"] != "set":
            check_kind(f"{name} by {values['mode']}", "fi", [x], x.element_type)
        wanted = cls.update_shape(dims_of(x), dims_of(index), values)
        if dims_of(updates) != wanted:
            raise Mismatch(
                f"updates of {name} have another shape",
                found=type_text(updates),
                expected=type_text(tensor(x.element_type, wanted)),
            )
        return [x]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        x, index, updates = arrays
        return [cls.written(x, index, updates, values)]

    @classmethod
    def written(cls, x: Array, index: Array, updates: Array, values: Values) -> Array:
        """x with its updates."""
        y = x.copy()
        updates, places = cls.places(x, index.astype(np.int64), updates, values)
        places = [np.where(p < 0, p + size, p) for p, size in zip(places, x.shape, strict=False)]
        inside = np.logical_and.reduce(
            [(p >= 0) & (p < size) for p, size in zip(places, x.shape, strict=False)]
        )
        if inside.any():
            MODES[str(values["mode"])](y, tuple(p[inside] for p in places), updates[inside])
        return y


@register_op
class ScatterOp(Scatter):
    """Slices of x along a dim replaced by, or combined with, updates: `graph.scatter %x, %i, %u {axis = 0, mode = "add"}`.

    updates has the shape of `gather(x, index, axis)`. mode is set (the last one stays), add, mul, max or min; updates of one
    element follow one another in order. Places below zero count from the end; those outside even so are left out.
    """

    name = "graph.scatter"
    PARAMS: ClassVar = {"axis": Param("int", 0), **Scatter.PARAMS}

    @classmethod
    def complete(cls, types: Sequence[AnyTensor], values: dict[str, Value]) -> None:
        values["axis"] = axis_of(values["axis"], len(dims_of(types[0])), "scatter")

    @classmethod
    def update_shape(cls, x: Shape, index: Shape, values: Values) -> Shape:
        along = integer(values, "axis")
        return (*x[:along], *index, *x[along + 1 :])

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        x, index, updates = arrays
        along = integer(values, "axis")
        # The dims that the index runs over come first, then those of x before and after the one that is replaced.
        moved = np.moveaxis(updates, range(along, along + index.ndim), range(index.ndim))
        front = np.moveaxis(x, along, 0)
        return [np.moveaxis(cls.written(front, index, moved, values), 0, along)]

    @classmethod
    def places(cls, x: Array, index: Array, updates: Array, values: Values) -> tuple[Array, list[Array]]:
        return updates.reshape([index.size, *x.shape[1:]]), [index.reshape(-1)]


@register_op
class ScatterNdOp(Scatter):
    """Slices of x at several indices at once: `graph.scatter_nd %x, %i, %u {mode = "add"}`.

    The last dim of the index holds places along the first dims of x; updates has the shape of `gather_nd(x, index)`. mode
    is set (the last one stays), add, mul, max or min. Places below zero count from the end; others outside are left out.
    """

    name = "graph.scatter_nd"

    @classmethod
    def update_shape(cls, x: Shape, index: Shape, values: Values) -> Shape:
        depth = index[-1].value if index else None
        if depth is None or not 1 <= depth <= len(x):
            raise Mismatch(
                "the index of scatter_nd does not fit",
                found=f"a last dim of {index[-1] if index else 'nothing'}",
                expected=f"a last dim of 1 to {len(x)}, a place along each of so many dims",
            )
        return (*index[:-1], *x[depth:])

    @classmethod
    def places(cls, x: Array, index: Array, updates: Array, values: Values) -> tuple[Array, list[Array]]:
        depth = index.shape[-1]
        flat = index.reshape(-1, depth)
        return updates.reshape([len(flat), *x.shape[depth:]]), list(flat.T)


@register_op
class ScatterAlongOp(Scatter):
    """Elements written along one dim by an index of the same rank: `graph.scatter_along %x, %i, %u {axis = 1}`.

    The counterpart of take_along: index and updates have one shape, x's but along the dim. mode is set (the last one
    stays), add, mul, max or min. Places below zero count from the end; those outside even so are left out.
    """

    name = "graph.scatter_along"
    PARAMS: ClassVar = {"axis": Param("int", -1), **Scatter.PARAMS}

    @classmethod
    def complete(cls, types: Sequence[AnyTensor], values: dict[str, Value]) -> None:
        values["axis"] = axis_of(values["axis"], len(dims_of(types[0])), "scatter_along")

    @classmethod
    def update_shape(cls, x: Shape, index: Shape, values: Values) -> Shape:
        along = integer(values, "axis")
        others = [d for i, d in enumerate(index) if i != along]
        if len(x) != len(index) or others != [d for i, d in enumerate(x) if i != along]:
            raise Mismatch(
                "the index of scatter_along has other dims",
                found=f"{len(index)} dims" if len(x) != len(index) else ", ".join(map(str, index)),
                expected=f"the sizes of x but along dim {along}",
            )
        return index

    @classmethod
    def places(cls, x: Array, index: Array, updates: Array, values: Values) -> tuple[Array, list[Array]]:
        along = integer(values, "axis")
        grid = [index if d == along else g for d, g in enumerate(np.indices(index.shape))]
        return updates.reshape(-1), [g.reshape(-1) for g in grid]


def place_dims(op: Scatter, x: Shape, index: Shape) -> tuple[int, ...]:
    """The dims of x of which the index tells the place."""
    if isinstance(op, ScatterNdOp):
        return tuple(range(index[-1].value or 0))
    return (integer(op.values(), "axis"),)
