"""Images brought to another size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from dialects.dims import Dim
from dialects.graph.base import Array, Mismatch, Param, Value, Values, dense, register_op
from dialects.graph.derived.base import Derived
from dialects.graph.elementwise import check_kind
from dialects.graph.shapes import complete_pair, extents, ints
from dialects.graph.sketch import Term, axis
from dialects.types import AnyTensor, dims_of, type_text


@register_op
class ResizeNearestOp(Derived):
    """The last two dims brought to a size, each element that of the nearest place: `graph.resize_nearest %x {size = ...}`.

    Element i of n is taken at floor(i * size / n), as ONNX's asymmetric mode with rounding down has it. torch multiplies
    by a rounded ratio, and so takes the element before for a few pairs of sizes, such as 14 to 46.
    """

    name = "graph.resize_nearest"
    PARAMS: ClassVar = {"size": Param("sizes")}

    @classmethod
    def complete(cls, types: Sequence[AnyTensor], values: dict[str, Value]) -> None:
        complete_pair(values, "size", "resize_nearest")
        if len(dims_of(types[0])) < 2:
            raise Mismatch("resize_nearest does not fit", found=type_text(types[0]), expected="[..., H, W]")

    @classmethod
    def formula(cls, x: Sequence[Term], values: Values) -> Sequence[Term]:
        (a,) = x
        size = extents(values, "size")
        lead = len(a.dims) - 2
        index = [axis(i) for i in range(lead)]
        index += [axis(lead + i) * a.dims[lead + i] // n for i, n in enumerate(size)]
        boundary = (
            "none" if all(n.value is not None for n in size) else "clamp"
        )  # never acts, and cannot be proved
        return [a.sketch.moved(a, [*a.dims[:lead], *size], index, boundary)]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        (x,), (h, w) = arrays, ints(values, "size")
        rows, columns = np.arange(h) * x.shape[-2] // h, np.arange(w) * x.shape[-1] // w
        return [x[..., rows[:, None], columns[None, :]]]


@register_op
class ResizeBilinearOp(Derived):
    """The last two dims brought to a size by linear interpolation: `graph.resize_bilinear %x {size = array<i64: 8, 8>}`.

    Pixel centres are aligned: element i of n stands at (i + 0.5) * size / n - 0.5, held inside the edges.
    """

    name = "graph.resize_bilinear"
    PARAMS: ClassVar = {"size": Param("sizes")}

    @classmethod
    def complete(cls, types: Sequence[AnyTensor], values: dict[str, Value]) -> None:
        check_kind("resize_bilinear", "f", types, types[0].element_type)
        complete_pair(values, "size", "resize_bilinear")
        sizes = dims_of(types[0])
        if len(sizes) < 2 or any(d.value == 0 for d in sizes[-2:]):
            raise Mismatch(
                "resize_bilinear does not fit", found=type_text(types[0]), expected="[..., H, W] of elements"
            )

    @classmethod
    def formula(cls, x: Sequence[Term], values: Values) -> Sequence[Term]:
        (a,) = x
        for number_, size in zip((-2, -1), extents(values, "size"), strict=True):
            a = _interpolated(a, len(a.dims) + number_, size)
        return [a.cast(x[0].dtype)]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        x = arrays[0].astype(np.float64)
        for along, size in zip((-2, -1), ints(values, "size"), strict=True):
            low, high, part = _stencil(x.shape[along], size)
            part = part.reshape([-1, 1] if along == -2 else [-1])
            x = np.take(x, low, along) * (1 - part) + np.take(x, high, along) * part
        return [x]


def _stencil(old: int, new: int) -> tuple[Array, Array, Array]:
    """The two neighbours of each new element, and how much the second counts."""
    place = np.clip((np.arange(new) + 0.5) * (old / new) - 0.5, 0, old - 1)
    low = np.floor(place).astype(np.int64)
    return low, np.minimum(low + 1, old - 1), place - low


def _interpolated(x: Term, along: int, new: Dim) -> Term:
    """Linear interpolation along one dim: two gathers and their weights."""
    x = x.cast("f32") if x.dtype not in ("f32", "f64") else x
    old, shape = x.dims[along], [-1 if i == along else 1 for i in range(len(x.dims))]
    if old.value is not None and new.value is not None:
        low, high, part = _stencil(old.value, new.value)
        first, second = (x.sketch.make("constant", value=dense(i, "i64")) for i in (low, high))
        weight = x.sketch.make("constant", value=dense(part, x.dtype))
    else:  # in whole numbers: the place of element i is ((2 i + 1) old - new) / (2 new)
        place, whole = (2 * axis(0) + 1) * old - new, 2 * new
        first, second = (x.sketch.table(place // whole + k, new, old - 1) for k in (0, 1))
        rest, all_ = (
            x.sketch.table(e, n, whole).cast(x.dtype) for e, n in ((place % whole, new), (whole, Dim.of(1)))
        )
        weight = rest / all_
    a, b = (x.sketch.make("gather", x, i, axis=along) for i in (first, second))
    part = weight.reshape(shape)
    return a * (1.0 - part) + b * part  # and not a + (b - a) * part, which is NaN for an infinite a
