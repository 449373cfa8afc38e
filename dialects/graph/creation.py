"""Ops that make tensors: constants and random numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from xdsl.dialects.builtin import DenseIntOrFPElementsAttr, IntegerType
from xdsl.parser import Parser
from xdsl.printer import Printer

from dialects.dims import product
from dialects.graph.base import Array, GraphOp, Mismatch, Param, Values, array_of, register_op
from dialects.graph.numerics import random_numbers
from dialects.graph.shapes import dims, static_shape
from dialects.types import AnyTensor, tensor, type_text


@register_op
class ConstantOp(GraphOp):
    """Values known at compile time: `graph.constant dense<[1.0, 2.0]> : tensor<2xf32>`."""

    name = "graph.constant"
    PARAMS: ClassVar = {"value": Param("dense")}
    ARITY: ClassVar = (0, 0)
    OPERANDS: ClassVar = ()

    def array(self) -> Array:
        """The constant's elements."""
        return array_of(self.properties["value"])

    @property
    def splat(self) -> float | int | bool | complex | None:
        """The one number that all elements are; None where they differ or there are none."""
        attr = self.properties["value"]
        assert isinstance(attr, DenseIntOrFPElementsAttr)
        data, size = attr.data.data, attr.get_element_type().compile_time_size
        if not data or data != data[:size] * (len(data) // size):
            return None
        return self.array().reshape(-1)[:1].astype(_computed(self.array().dtype))[0].item()

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        attr = values["value"]
        assert isinstance(attr, DenseIntOrFPElementsAttr)
        return [attr.type]  # pyright: ignore[reportReturnType]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        return [array_of(values["value"])]  # pyright: ignore[reportArgumentType]

    # Written out, since a dense attribute prints its type itself, and what a decimal number cannot hold needs hex.

    @classmethod
    def parse(cls, parser: Parser) -> ConstantOp:
        attributes = parser.parse_optional_attr_dict()
        value = parser.parse_attribute()
        if not isinstance(value, DenseIntOrFPElementsAttr):
            parser.raise_error("expected dense elements")
        return cls.create(result_types=[value.type], properties={"value": value}, attributes=attributes)

    def print(self, printer: Printer) -> None:
        printer.print_op_attributes(self.attributes)
        printer.print_string(" ")
        value = self.properties["value"]
        assert isinstance(value, DenseIntOrFPElementsAttr)
        if isinstance(value.get_element_type(), IntegerType) or _prints_exactly(self.array()):
            printer.print_attribute(value)
            return
        printer.print_string(f'dense<"0x{value.data.data.hex().upper()}"> : ')
        printer.print_attribute(value.type)


def constant_array(values: Values, type_: AnyTensor) -> Array:
    """The array of a constant's parameters."""
    return array_of(values["value"]).reshape(static_shape(type_))  # pyright: ignore[reportArgumentType]


def _computed(dtype: np.dtype) -> np.dtype:
    """A dtype of NumPy's own that holds the values of one that may be of ml_dtypes."""
    if dtype.kind in "biufc":
        return dtype
    return np.dtype(np.float32 if "float" in dtype.name else np.int8)


def _prints_exactly(array: Array) -> bool:
    """Whether decimal numbers hold the elements: xDSL prints others as hex, which it reads back as integers."""
    if array.dtype.kind == "c":
        return _prints_exactly(np.real(array)) and _prints_exactly(np.imag(array))
    wide = array.astype(np.float64)
    return bool(np.all(np.isfinite(wide)) and np.all(np.abs(wide) < 1e8))


DISTRIBUTIONS = {"uniform": "f32", "normal": "f32", "bits": "u32"}
"""Distributions of random, with the dtype that each gives."""


@register_op
class RandomOp(GraphOp):
    """Random numbers from a key u32[2], by Philox-4x32-10: element i takes words 0 and 1 of counter i.

    `graph.random %key {shape = #dim.list<[B, 64]>, dist = "normal"} : (tensor<2xui32>) -> tensor<...xf32>`

    bits: word 0, as u32 (to make keys). uniform: (word 0 >> 8) * 2^-24, in [0, 1). normal, by Box and Muller:
    sqrt(-2 log u) cos(2 pi v) with u = ((word 0 >> 8) + 1) * 2^-24 and v = (word 1 >> 8) * 2^-24, exact in f32.
    """

    name = "graph.random"
    PARAMS: ClassVar = {"shape": Param("dims"), "dist": Param("str", "uniform", tuple(DISTRIBUTIONS))}
    OPERANDS: ClassVar = ("key",)

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        if types[0] != tensor("u32", [2]):
            raise Mismatch("the key of random has another type", found=type_text(types[0]), expected="u32[2]")
        shape = dims(values, "shape")
        if any((d.value or 0) < 0 for d in shape):
            raise Mismatch("a shape has no negative dims", found=str(list(shape)))
        return [tensor(DISTRIBUTIONS[str(values["dist"])], shape)]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        shape = static_shape(results[0])
        counters = np.arange(product(shape).value or 0, dtype=np.uint64)
        return [random_numbers(str(values["dist"]), arrays[0], counters).reshape(shape)]
