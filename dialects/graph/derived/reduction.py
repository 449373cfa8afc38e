"""Reductions by other reductions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np

from dialects.dims import ONE
from dialects.graph.base import Array, Param, Value, Values, register_op
from dialects.graph.derived.base import SMALL, Derived
from dialects.graph.elementwise import check_kind
from dialects.graph.numerics import cast_array, widened
from dialects.graph.shapes import axes_of, axis_of, integer, ints
from dialects.graph.sketch import Term
from dialects.types import AnyTensor, dims_of, tensor


class DerivedReduce(Derived):
    """Base: removes `axes` (all where none are given), or keeps them with size 1."""

    PARAMS: ClassVar = {"axes": Param("ints", None), "keepdims": Param("bool", False)}
    TAKES: ClassVar[str] = "f"
    FUNCTION: ClassVar[Callable[..., Array]]
    FORMULA: ClassVar[Callable[..., Term]]

    @classmethod
    def complete(cls, types: Sequence[AnyTensor], values: dict[str, Value]) -> None:
        values["axes"] = axes_of(values["axes"], len(dims_of(types[0])), cls.name.partition(".")[2])

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        element = check_kind(cls.name.partition(".")[2], cls.TAKES, types, types[0].element_type)
        gone, keep = ints(values, "axes"), values["keepdims"]
        sizes = [ONE if i in gone else d for i, d in enumerate(dims_of(types[0])) if keep or i not in gone]
        return [tensor(element, sizes)]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        out = cls.FUNCTION(*widened(arrays), ints(values, "axes"), bool(values["keepdims"]))
        return [cast_array(np.asarray(out), results[0].element_type)]

    @classmethod
    def formula(cls, x: Sequence[Term], values: Values) -> Sequence[Term]:
        dtype = x[0].dtype
        wide = x[0].cast("f32") if dtype in SMALL else x[0]
        return [cls.FORMULA(wide, axes=ints(values, "axes"), keepdims=bool(values["keepdims"])).cast(dtype)]


def _any(x: Term, **where: object) -> Term:
    return x.cast("u8").of("reduce_max", **where).differs(0)


def _all(x: Term, **where: object) -> Term:
    return x.cast("u8").of("reduce_min", **where).differs(0)


def _var(x: Term, axes: tuple[int, ...], keepdims: bool) -> Term:
    centred = x - x.of("reduce_mean", axes=axes, keepdims=True)
    return (centred * centred).of("reduce_mean", axes=axes, keepdims=keepdims)


def _logsumexp(x: Term, axes: tuple[int, ...], keepdims: bool) -> Term:
    """Shifted by the greatest; where that is infinite, by nothing."""
    top = x.of("reduce_max", axes=axes, keepdims=True)
    shift = (abs(top) < np.inf).where(top, 0.0)
    total = (x - shift).of("exp").of("reduce_sum", axes=axes, keepdims=True).of("log") + shift
    if keepdims:
        return total
    return total.reshape([d for i, d in enumerate(total.dims) if i not in axes])


def _np_logsumexp(x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    x = x.astype(np.float64)
    top = x.max(axis=axes, keepdims=True, initial=-np.inf)
    shift = np.where(np.isfinite(top), top, 0)
    total = np.log(np.exp(x - shift).sum(axis=axes, keepdims=True)) + shift
    return total if keepdims else total.reshape([s for i, s in enumerate(x.shape) if i not in axes])


def _np_var(x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    return x.astype(np.float64).var(axis=axes, keepdims=keepdims)


REDUCTIONS: dict[str, tuple[Callable[..., Array], Callable[..., Term], str, str]] = {
    "reduce_any": (lambda x, axes, keep: x.any(axis=axes, keepdims=keep), _any, "b", "Whether any is true."),
    "reduce_all": (lambda x, axes, keep: x.all(axis=axes, keepdims=keep), _all, "b", "Whether all are true."),
    "reduce_var": (_np_var, _var, "f", "The variance: the mean square distance from the mean."),
    "reduce_std": (
        lambda x, axes, keep: np.sqrt(_np_var(x, axes, keep)),
        lambda x, **where: _var(x, **where).of("sqrt"),
        "f",
        "The standard deviation: the square root of the variance.",
    ),
    "reduce_logsumexp": (_np_logsumexp, _logsumexp, "f", "log(sum(exp(x))), without overflow."),
    "reduce_l2": (
        lambda x, axes, keep: np.sqrt((x.astype(np.float64) ** 2).sum(axis=axes, keepdims=keep)),
        lambda x, **where: (x * x).of("reduce_sum", **where).of("sqrt"),
        "f",
        "The Euclidean norm.",
    ),
}
"""Reductions: NumPy function of (array, axes, keepdims), formula, dtype kinds taken, meaning."""

for _name, (_function, _formula, _takes, _doc) in REDUCTIONS.items():
    _body = {
        "name": f"graph.{_name}",
        "__doc__": _doc,
        "__module__": __name__,
        "__annotations__": dict.fromkeys(("TAKES", "FUNCTION", "FORMULA"), ClassVar),
        "TAKES": _takes,
        "FUNCTION": staticmethod(_function),
        "FORMULA": staticmethod(_formula),
    }
    register_op(type(f"{_name.title().replace('_', '')}Op", (DerivedReduce,), _body))


@register_op
class ArgminOp(Derived):
    """The position of the least along one dim, as i64; the first of equals, and the first NaN if there is one.

    `graph.argmin %x {axis = 1, keepdims = false} : (tensor<32x10xf32>) -> tensor<32xsi64>`
    """

    name = "graph.argmin"
    PARAMS: ClassVar = {"axis": Param("int", -1), "keepdims": Param("bool", False)}

    @classmethod
    def complete(cls, types: Sequence[AnyTensor], values: dict[str, Value]) -> None:
        values["axis"] = axis_of(values["axis"], len(dims_of(types[0])), "argmin")

    @classmethod
    def formula(cls, x: Sequence[Term], values: Values) -> Sequence[Term]:
        (a,) = x
        check_kind("argmin", "fi", [a.type], a.type.element_type)
        turned = (
            -a if a.dtype[0] in "fb" else a.like(-1 if a.dtype[0] == "i" else 2 ** int(a.dtype[1:]) - 1) - a
        )
        return [turned.of("argmax", **values)]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        (x,) = widened(arrays)
        return [np.asarray(np.argmin(x, axis=integer(values, "axis"), keepdims=bool(values["keepdims"])))]
