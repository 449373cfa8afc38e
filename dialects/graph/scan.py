"""Cumulative ops: each element combines all that come before it along a dim."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np

from dialects.graph.base import Array, GraphOp, Param, Value, Values, register_op, short_name
from dialects.graph.elementwise import check_kind
from dialects.graph.numerics import cast_array, greatest, least, widened
from dialects.graph.shapes import axis_of, integer
from dialects.types import AnyTensor, dims_of

KINDS = {"cumsum": "sum", "cumprod": "prod", "cummax": "max", "cummin": "min"}
"""The reduction that each runs."""

_STEPS: dict[str, tuple[Callable[..., Array], Callable[[np.dtype], float]]] = {
    "sum": (np.add.accumulate, lambda _: 0),
    "prod": (np.multiply.accumulate, lambda _: 1),
    "max": (np.maximum.accumulate, least),
    "min": (np.minimum.accumulate, greatest),
}
"""NumPy's form of each, and the value that changes nothing."""


class Scan(GraphOp):
    """Base: the result has the type of x; small floats are combined in f32."""

    PARAMS: ClassVar = {
        "axis": Param("int", -1),
        "reverse": Param("bool", False),
        "exclusive": Param("bool", False),
    }

    @classmethod
    def complete(cls, types: Sequence[AnyTensor], values: dict[str, Value]) -> None:
        values["axis"] = axis_of(values["axis"], len(dims_of(types[0])), short_name(cls))

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        check_kind(short_name(cls), "fi", types, types[0].element_type)
        return [types[0]]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        (x,), along = widened(arrays), integer(values, "axis")
        step, neutral = _STEPS[KINDS[short_name(cls)]]
        x = np.flip(x, along) if values["reverse"] else x
        if values["exclusive"] and x.shape[along]:
            first = np.full_like(np.take(x, [0], along), neutral(x.dtype))
            x = np.concatenate([first, np.delete(x, -1, along)], along)
        out = step(x, axis=along, dtype=x.dtype)
        return [cast_array(np.flip(out, along) if values["reverse"] else out, results[0].element_type)]


@register_op
class CumsumOp(Scan):
    """Running sums along a dim: `graph.cumsum %x {axis = 1, reverse = false, exclusive = false}`.

    reverse runs from the end; exclusive leaves the element itself out, so that the first is 0. Integers wrap.
    """

    name = "graph.cumsum"


@register_op
class CumprodOp(Scan):
    """Running products along a dim: `graph.cumprod %x {axis = 1}`.

    reverse runs from the end; exclusive leaves the element itself out, so that the first is 1. Integers wrap.
    """

    name = "graph.cumprod"


@register_op
class CummaxOp(Scan):
    """The greatest so far along a dim: `graph.cummax %x {axis = 1}`; NaN from the first NaN on.

    reverse runs from the end; exclusive leaves the element itself out, so that the first is the least of the dtype.
    """

    name = "graph.cummax"


@register_op
class CumminOp(Scan):
    """The least so far along a dim: `graph.cummin %x {axis = 1}`; NaN from the first NaN on.

    reverse runs from the end; exclusive leaves the element itself out, so that the first is the greatest of the dtype.
    """

    name = "graph.cummin"
