"""Reductions over dims, and the normalisations built on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np

from dialects.dims import ONE
from dialects.graph.base import (
    Array,
    GraphOp,
    Mismatch,
    Param,
    Value,
    Values,
    register_op,
    same_dtype,
    short_name,
)
from dialects.graph.elementwise import check_kind
from dialects.graph.numerics import cast_array, greatest, least, softmax, widened
from dialects.graph.shapes import axes_of, axis_of, integer, ints, number
from dialects.types import AnyTensor, dims_of, tensor, type_text


class Reduce(GraphOp):
    """Base: removes `axes` (all where none are given), or keeps them with size 1."""

    PARAMS: ClassVar = {"axes": Param("ints", None), "keepdims": Param("bool", False)}
    TAKES: ClassVar[str] = "fi"
    FUNCTION: ClassVar[Callable[..., Array]]

    @classmethod
    def complete(cls, types: Sequence[AnyTensor], values: dict[str, Value]) -> None:
        values["axes"] = axes_of(values["axes"], len(dims_of(types[0])), short_name(cls))

    @classmethod
    def axes(cls, values: Values, rank: int) -> tuple[int, ...]:
        """The reduced dims, counted from the front, in order."""
        return axes_of(values["axes"], rank, short_name(cls))

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        element = check_kind(short_name(cls), cls.TAKES, types, types[0].element_type)
        gone, keep = ints(values, "axes"), values["keepdims"]
        dims = dims_of(types[0])
        return [
            tensor(element, [ONE if i in gone else d for i, d in enumerate(dims) if keep or i not in gone])
        ]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        out = cls.FUNCTION(*widened(arrays), ints(values, "axes"), bool(values["keepdims"]))
        return [cast_array(np.asarray(out), results[0].element_type)]


REDUCTIONS: dict[str, tuple[Callable[..., Array], str, str]] = {
    "reduce_sum": (
        lambda x, axes, keep: x.sum(axis=axes, keepdims=keep, dtype=x.dtype),
        "fic",
        "The sum; integers wrap; zero of nothing.",
    ),
    "reduce_mean": (
        lambda x, axes, keep: (
            x.sum(axis=axes, keepdims=keep)
            / x.dtype.type(np.prod([x.shape[a] for a in axes], dtype=np.int64))
        ),
        "f",
        "The mean; NaN of nothing.",
    ),
    "reduce_max": (
        lambda x, axes, keep: x.max(axis=axes, keepdims=keep, initial=least(x.dtype)),
        "fi",
        "The greatest, NaN if any is; -inf, or the least integer, of nothing.",
    ),
    "reduce_min": (
        lambda x, axes, keep: x.min(axis=axes, keepdims=keep, initial=greatest(x.dtype)),
        "fi",
        "The least, NaN if any is; inf, or the greatest integer, of nothing.",
    ),
    "reduce_prod": (
        lambda x, axes, keep: x.prod(axis=axes, keepdims=keep, dtype=x.dtype),
        "fi",
        "The product; integers wrap; one of nothing.",
    ),
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
    register_op(type(f"{_name.title().replace('_', '')}Op", (Reduce,), _body))


@register_op
class ArgmaxOp(GraphOp):
    """The position of the greatest along one dim, as i64; the first of equals, and the first NaN if there is one.

    `graph.argmax %x {axis = 1, keepdims = false} : (tensor<32x10xf32>) -> tensor<32xsi64>`
    """

    name = "graph.argmax"
    PARAMS: ClassVar = {"axis": Param("int", -1), "keepdims": Param("bool", False)}

    @classmethod
    def complete(cls, types: Sequence[AnyTensor], values: dict[str, Value]) -> None:
        values["axis"] = axis_of(values["axis"], len(dims_of(types[0])), "argmax")

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        check_kind("argmax", "fi", types, types[0].element_type)
        dims, axis, keep = dims_of(types[0]), integer(values, "axis"), values["keepdims"]
        if dims[axis].value == 0:
            raise Mismatch("argmax of nothing", found=type_text(types[0]))
        return [tensor("i64", [ONE if i == axis else d for i, d in enumerate(dims) if keep or i != axis])]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        (x,) = widened(arrays)
        return [np.asarray(np.argmax(x, axis=integer(values, "axis"), keepdims=bool(values["keepdims"])))]


@register_op
class SoftmaxOp(GraphOp):
    """exp(x - max) / sum exp(x - max) along one dim: `graph.softmax %x {axis = 1}`. Where all are -inf it is NaN."""

    name = "graph.softmax"
    PARAMS: ClassVar = {"axis": Param("int", -1)}

    @classmethod
    def complete(cls, types: Sequence[AnyTensor], values: dict[str, Value]) -> None:
        values["axis"] = axis_of(values["axis"], len(dims_of(types[0])), "softmax")

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        check_kind("softmax", "f", types, types[0].element_type)
        return [types[0]]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        return [cast_array(softmax(widened(arrays)[0], integer(values, "axis")), results[0].element_type)]


@register_op
class LayerNormOp(GraphOp):
    """(x - mean) / sqrt(var + eps) * scale + bias over the last dim; scale and bias have that dim, var is biased.

    `graph.layer_norm %x, %scale, %bias {eps = 1.0e-5}`
    """

    name = "graph.layer_norm"
    PARAMS: ClassVar = {"eps": Param("float", 1e-5)}
    ARITY: ClassVar = (3, 3)
    OPERANDS: ClassVar = ("x", "scale", "bias")

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        check_kind("layer_norm", "f", types, same_dtype(types, "layer_norm"))
        dims = dims_of(types[0])
        if not dims:
            raise Mismatch("layer_norm needs a tensor of rank 1 or more", found=type_text(types[0]))
        for name, type_ in zip(cls.OPERANDS[1:], types[1:], strict=True):
            if dims_of(type_) != dims[-1:]:
                message = f"{name} of layer_norm does not have the last dim of x"
                raise Mismatch(message, found=type_text(type_), expected=f"[{dims[-1]}]")
        return [types[0]]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        x, scale, bias = widened(arrays)
        if not x.size:
            return [arrays[0]]
        centred = x - x.mean(axis=-1, keepdims=True)
        variance = np.mean(centred * centred, axis=-1, keepdims=True)
        out = centred / np.sqrt(variance + x.dtype.type(number(values, "eps"))) * scale + bias
        return [cast_array(out, results[0].element_type)]
