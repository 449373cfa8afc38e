"""Floats as small integers and back: a scale and a zero point for the tensor, or for each slice along a dim."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from dialects.dims import ONE
from dialects.graph.base import Array, Mismatch, Param, Value, Values, register_op
from dialects.graph.derived.base import Derived
from dialects.graph.elementwise import check_kind
from dialects.graph.numerics import cast_array
from dialects.graph.shapes import axis_of, integer
from dialects.graph.sketch import Term
from dialects.types import AnyTensor, dims_of, type_text


class Quantised(Derived):
    """Base: `scale` (f32) and `zero` (the integer dtype) have rank 0, or the size of the dim `axis`."""

    PARAMS: ClassVar = {"axis": Param("int", 0)}
    ARITY: ClassVar = (3, 3)
    OPERANDS: ClassVar = ("x", "scale", "zero")

    @classmethod
    def complete(cls, types: Sequence[AnyTensor], values: dict[str, Value]) -> None:
        name = cls.name.partition(".")[2]
        x, scale, zero = types
        floats, integers = (x, zero) if name == "quantize" else (scale, x)
        check_kind(name, "f", [floats], floats.element_type)
        check_kind(name, "i", [integers, zero], integers.element_type)
        check_kind(f"the scale of {name}", "f", [scale], scale.element_type)
        if name == "dequantize" and x.element_type != zero.element_type:
            raise Mismatch("x and zero have two dtypes", found=f"{type_text(x)} and {type_text(zero)}")
        if dims_of(scale) != dims_of(zero) or len(dims_of(scale)) > 1:
            raise Mismatch(
                f"scale and zero of {name} have other shapes",
                found=f"{type_text(scale)} and {type_text(zero)}",
                expected="both of rank 0, or both of the size of one dim",
            )
        if dims_of(scale):
            values["axis"] = axis_of(values["axis"], len(dims_of(x)), name)
            if dims_of(scale)[0] != dims_of(x)[integer(values, "axis")]:
                raise Mismatch(
                    f"scale of {name} does not have dim {values['axis']} of x",
                    found=type_text(scale),
                    expected=f"[{dims_of(x)[integer(values, 'axis')]}]",
                )

    @classmethod
    def along(cls, x: Term, facts: Term, values: Values) -> Term:
        """scale or zero, shaped to broadcast against x."""
        if not facts.dims:
            return facts
        return facts.reshape([d if i == values["axis"] else ONE for i, d in enumerate(x.dims)])

    @classmethod
    def shaped(cls, x: Array, facts: Array, values: Values) -> Array:
        if not facts.ndim:
            return facts
        return facts.reshape([-1 if i == values["axis"] else 1 for i in range(x.ndim)])


@register_op
class QuantizeOp(Quantised):
    """round(x / scale) + zero, saturated to the dtype of zero: `graph.quantize %x, %scale, %zero {axis = 1}`.

    x and scale are floats, zero is an integer; of two integers as near, the even one. As ONNX's QuantizeLinear.
    """

    name = "graph.quantize"

    @classmethod
    def formula(cls, x: Sequence[Term], values: Values) -> Sequence[Term]:
        a, scale, zero = x
        steps = (a.cast("f32") / cls.along(a, scale.cast("f32"), values)).of("round")
        return [(steps + cls.along(a, zero, values).cast("f32")).cast(zero.dtype)]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        x, scale, zero = arrays
        with np.errstate(all="ignore"):
            steps = np.rint(x.astype(np.float32) / cls.shaped(x, scale, values).astype(np.float32))
            return [
                cast_array(steps + cls.shaped(x, zero, values).astype(np.float32), results[0].element_type)
            ]


@register_op
class DequantizeOp(Quantised):
    """(x - zero) * scale in the dtype of scale: `graph.dequantize %x, %scale, %zero {axis = 1}`.

    x and zero have one integer dtype. As ONNX's DequantizeLinear.
    """

    name = "graph.dequantize"

    @classmethod
    def formula(cls, x: Sequence[Term], values: Values) -> Sequence[Term]:
        a, scale, zero = x
        steps = a.cast("i64") - cls.along(a, zero, values).cast("i64")
        return [steps.cast(scale.dtype) * cls.along(a, scale, values)]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        x, scale, zero = arrays
        steps = x.astype(np.int64) - cls.shaped(x, zero, values).astype(np.int64)
        wide = cast_array(steps, results[0].element_type).astype(np.float64)
        return [cast_array(wide * cls.shaped(x, scale, values).astype(np.float64), results[0].element_type)]
