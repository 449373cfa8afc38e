"""Types in upstream dialects. A bool is a byte in memory, as in C and NumPy, and i1 as a value; i4 is i8 everywhere."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    IntAttr,
    IntegerType,
    MemRefType,
    NoneAttr,
    StridedLayoutAttr,
    VectorType,
    i1,
    i8,
)
from xdsl.ir import Attribute

from dialects.dims import Dim
from dialects.types import RefType

I4 = IntegerType(4)


def value_type(type_: Attribute) -> Attribute:
    """The type of a value: a scalar or a vector."""
    if isinstance(type_, VectorType):
        return VectorType(value_type(type_.get_element_type()), type_.get_shape())
    return i8 if type_ == I4 else type_


def memory_element(element: Attribute) -> Attribute:
    """The type of an array's elements."""
    return i8 if element in (i1, I4) else element


def shaped(element: Attribute, shape: Sequence[int]) -> Attribute:
    """A vector type, or the element itself for an empty shape."""
    return VectorType(element, shape) if shape else element


def memref_type(type_: RefType) -> MemRefType[Attribute]:
    """The memref of an array: symbolic dims are dynamic, a layout is written where it is not row-major."""
    layout = NoneAttr()
    if not type_.is_contiguous:
        strides = [NoneAttr() if (v := s.value) is None else IntAttr(v) for s in type_.strides.data]
        layout = StridedLayoutAttr(strides, IntAttr(0))
    return MemRefType(memory_element(type_.element_type), sizes(type_.shape.data), layout)


def sizes(dims: Sequence[Dim]) -> list[int]:
    """Sizes as a shaped type writes them."""
    return [DYNAMIC_INDEX if (v := d.value) is None else v for d in dims]
