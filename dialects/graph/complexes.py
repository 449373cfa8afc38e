"""Complex numbers: their parts, and how they are made of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from dialects.graph.base import Array, Param, Values, register_op, same_dtype, short_name
from dialects.graph.elementwise import Elementwise, check_kind
from dialects.graph.shapes import broadcast
from dialects.types import DTYPES, AnyTensor, dims_of, dtype_name, tensor

REAL = {"c64": "f32", "c128": "f64"}
"""The dtype of the parts of a complex one."""

COMPLEX = {real: whole for whole, real in REAL.items()}


class Part(Elementwise):
    """Base: a real number of each complex one."""

    PARAMS: ClassVar[dict[str, Param]] = {}

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        element = check_kind(short_name(cls), "c", types, types[0].element_type)
        return [tensor(REAL[dtype_name(element)], dims_of(types[0]))]


@register_op
class RealOp(Part):
    """The real part: `graph.real %z : (tensor<4xcomplex<f32>>) -> tensor<4xf32>`."""

    name = "graph.real"
    FUNCTION: ClassVar = staticmethod(lambda z: np.asarray(z).real)  # pyright: ignore


@register_op
class ImagOp(Part):
    """The imaginary part: `graph.imag %z : (tensor<4xcomplex<f32>>) -> tensor<4xf32>`."""

    name = "graph.imag"
    FUNCTION: ClassVar = staticmethod(lambda z: np.asarray(z).imag)  # pyright: ignore


@register_op
class MagnitudeOp(Part):
    """The distance from zero: `graph.magnitude %z : (tensor<4xcomplex<f32>>) -> tensor<4xf32>`."""

    name = "graph.magnitude"
    FUNCTION: ClassVar = staticmethod(np.abs)


@register_op
class ConjOp(Elementwise):
    """The imaginary part negated: `graph.conj %z : (tensor<4xcomplex<f32>>) -> tensor<4xcomplex<f32>>`."""

    name = "graph.conj"
    TAKES: ClassVar = "c"
    FUNCTION: ClassVar = staticmethod(np.conj)


@register_op
class ComplexOp(Elementwise):
    """A complex number of its parts: `graph.complex %re, %im : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xcomplex<f32>>`."""

    name = "graph.complex"
    ARITY: ClassVar = (2, 2)
    OPERANDS: ClassVar = ("re", "im")

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        element = check_kind("complex", "f", types, same_dtype(types, "complex"))
        if dtype_name(element) not in COMPLEX:
            check_kind("complex", "", types, element)
        return [
            tensor(DTYPES[COMPLEX[dtype_name(element)]], broadcast([dims_of(t) for t in types], "complex"))
        ]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        re, im = np.broadcast_arrays(*arrays)
        out = np.empty(re.shape, np.complex64 if re.dtype == np.float32 else np.complex128)
        out.real, out.imag = re, im
        return [out]
