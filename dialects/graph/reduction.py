"""Reductions over dims, and the normalisations built on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
from xdsl.irdl import irdl_op_definition

from dialects.dims import ONE
from dialects.graph.base import Array, GraphOp, Mismatch, Param, Values, register_op
from dialects.graph.contraction import ints, needs_float, number
from dialects.graph.elementwise import kind_of, widened
from dialects.graph.shapes import axis_of
from dialects.types import AnyTensor, dims_of, dtype_name, tensor, type_text


class Reduce(GraphOp):
    """Base: removes `axes` (all where none are given), or keeps them with size 1."""

    PARAMS: ClassVar = {"axes": Param("ints", None), "keepdims": Param("bool", False)}
    TAKES: ClassVar[str] = "fi"
    FUNCTION: ClassVar[Callable[..., Array]]

    @classmethod
    def axes(cls, values: Values, rank: int) -> tuple[int, ...]:
        """The reduced dims, counted from the front, in order."""
        what = cls.name.removeprefix("graph.")
        found = range(rank) if values["axes"] is None else sorted(axis_of(a, rank, what) for a in ints(values, "axes"))
        if len(set(found)) != len(tuple(found)):
            raise Mismatch(f"{what} names a dim twice", found=str(list(ints(values, "axes"))))
        return tuple(found)

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        element = types[0].element_type
        if kind_of(element) not in cls.TAKES:
            raise Mismatch(f"{cls.name.removeprefix('graph.')} has no {dtype_name(element)} form", found=type_text(types[0]), hint="convert with cast(x, f32)")
        dims = dims_of(types[0])
        gone = cls.axes(values, len(dims))
        kept = [ONE if i in gone else d for i, d in enumerate(dims) if i not in gone or values["keepdims"]]
        return [tensor(element, kept)]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        (x,) = widened(arrays)
        return [cls.FUNCTION(x, cls.axes(values, x.ndim), bool(values["keepdims"]))]


def _least(dtype: np.dtype) -> float | int:
    return -np.inf if dtype.kind == "f" else int(np.iinfo(dtype).min)


def _greatest(dtype: np.dtype) -> float | int:
    return np.inf if dtype.kind == "f" else int(np.iinfo(dtype).max)


REDUCTIONS: dict[str, tuple[Callable[..., Array], str, str]] = {
    "reduce_sum": (lambda x, a, k: x.sum(axis=a, keepdims=k, dtype=x.dtype), "fi", "The sum; zero of nothing."),
    "reduce_mean": (lambda x, a, k: x.mean(axis=a, keepdims=k), "f", "The mean; NaN of nothing."),
    "reduce_max": (lambda x, a, k: x.max(axis=a, keepdims=k, initial=_least(x.dtype)), "fi", "The greatest, NaN if any is."),
    "reduce_min": (lambda x, a, k: x.min(axis=a, keepdims=k, initial=_greatest(x.dtype)), "fi", "The least, NaN if any is."),
    "reduce_prod": (lambda x, a, k: x.prod(axis=a, keepdims=k, dtype=x.dtype), "fi", "The product; one of nothing."),
}
"""Reductions: NumPy function of (array, axes, keepdims), dtype kinds taken, meaning."""

for _name, (_function, _takes, _doc) in REDUCTIONS.items():
    _body = {
        "name": f"graph.{_name}",
        "__doc__": _doc,
        "__module__": __name__,
        "__annotations__": {"TAKES": ClassVar, "FUNCTION": ClassVar},
        "TAKES": _takes,
        "FUNCTION": staticmethod(_function),
    }
    register_op(irdl_op_definition(type(f"{_name.title().replace('_', '')}Op", (Reduce,), _body)))  # pyright: ignore


@register_op
@irdl_op_definition
class ArgmaxOp(GraphOp):
    """The position of the greatest along one dim, as i64; the first of equals, and of NaN."""

    name = "graph.argmax"
    PARAMS: ClassVar = {"axis": Param("int", -1), "keepdims": Param("bool", False)}

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        dims = dims_of(types[0])
        if kind_of(types[0].element_type) not in "fi":
            raise Mismatch("argmax takes floats or integers", found=type_text(types[0]))
        axis = axis_of(int(number(values, "axis")), len(dims), "argmax")
        if dims[axis].value == 0:
            raise Mismatch("argmax over no elements", found=type_text(types[0]))
        return [tensor("i64", [ONE if i == axis else d for i, d in enumerate(dims) if i != axis or values["keepdims"]])]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        (x,) = widened(arrays)
        return [np.argmax(x, axis=int(number(values, "axis")), keepdims=bool(values["keepdims"]))]


@register_op
@irdl_op_definition
class SoftmaxOp(GraphOp):
    """exp(x - max) / sum exp(x - max) along one dim."""

    name = "graph.softmax"
    PARAMS: ClassVar = {"axis": Param("int", -1)}

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        needs_float(types, "softmax")
        axis_of(int(number(values, "axis")), len(dims_of(types[0])), "softmax")
        return [types[0]]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        (x,), axis = widened(arrays), int(number(values, "axis"))
        e = np.exp(x - x.max(axis=axis, keepdims=True, initial=-np.inf))
        return [e / e.sum(axis=axis, keepdims=True)]


@register_op
@irdl_op_definition
class LayerNormOp(GraphOp):
    """(x - mean) / sqrt(var + eps) * scale + bias over the last dim; scale and bias [n]."""

    name = "graph.layer_norm"
    PARAMS: ClassVar = {"eps": Param("float", 1e-5)}
    ARITY: ClassVar = (3, 3)
    OPERANDS: ClassVar = ("x", "scale", "bias")

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        needs_float(types, "layer_norm")
        dims = dims_of(types[0])
        for name, type_ in zip(cls.OPERANDS[1:], types[1:], strict=True):
            if not dims or dims_of(type_) != dims[-1:]:
                raise Mismatch(f"{name} of layer_norm has the last dim of x", found=type_text(type_), expected=f"[{dims[-1] if dims else '?'}]")
        return [types[0]]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        x, scale, bias = widened(arrays)
        mean, var = x.mean(axis=-1, keepdims=True), x.var(axis=-1, keepdims=True)
        return [(x - mean) / np.sqrt(var + x.dtype.type(number(values, "eps"))) * scale + bias]
