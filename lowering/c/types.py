"""Element and vector types in C."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.dialects.builtin import (
    BFloat16Type,
    IntegerType,
    VectorType,
    bf16,
    f32,
    f64,
    i1,
)
from xdsl.ir import Attribute

from dialects.types import DTYPES, SMALL_FLOATS, element_bytes

_FLOATS = {f64: "double", f32: "float", **{DTYPES[name]: f"irk_{name}" for name in SMALL_FLOATS}}
_NAMES = {DTYPES[name]: name for name in ("f64", "f32", *SMALL_FLOATS)}

assert BFloat16Type() == bf16


def c_type(element: Attribute) -> str:
    """The C type that stores one element; bool is uint8_t."""
    if element in _FLOATS:
        return _FLOATS[element]
    assert isinstance(element, IntegerType), element
    return "uint8_t" if element == i1 else f"int{max(8, element.width.data)}_t"


def short_name(element: Attribute) -> str:
    """`f32`, `i64`: the element in names of helpers and vector types."""
    if element in _NAMES:
        return _NAMES[element]
    assert isinstance(element, IntegerType), element
    return "i1" if element == i1 else f"i{max(8, element.width.data)}"


@dataclass(frozen=True)
class Vector:
    """How a vector value is held: `rows` x `parts` machine vectors of `lanes` elements.

    A mask (i1) has the lanes and parts of the values that it selects between: integers of `bits` bits, 0 or -1.
    """

    element: Attribute
    rows: tuple[int, ...]
    parts: int
    lanes: int

    @property
    def name(self) -> str:
        return f"irk_{short_name(self.element)}x{self.lanes}"

    @property
    def memory_name(self) -> str:
        """The type of the same lanes in memory: bools are bytes there."""
        return f"irk_i8x{self.lanes}" if self.element == i1 else self.name

    def fits_register(self, most: int) -> bool:
        """Whether the lanes fill a whole vector register, of 16 to so many bytes, in memory."""
        size = self.lanes * (1 if self.element == i1 else element_bytes(self.element))
        return 16 <= size <= most

    @property
    def dims(self) -> str:
        """The C array dims of a variable."""
        return "".join(f"[{n}]" for n in (*self.rows, self.parts))

    @property
    def count(self) -> int:
        """Machine vectors in all."""
        out = self.parts
        for n in self.rows:
            out *= n
        return out


def vector_layout(type_: VectorType, vector_bytes: int) -> Vector:
    """How a vector type is held on a target with registers of so many bytes.

    All types of one shape share the number of lanes, that of 32-bit elements, so that conversions and masks line up;
    the compiler splits wider ones into several registers.
    """
    shape = type_.get_shape()
    lanes = max(1, vector_bytes // 4)
    while shape[-1] % lanes:
        lanes //= 2
    return Vector(type_.get_element_type(), tuple(shape[:-1]), shape[-1] // lanes, lanes)


def bits(element: Attribute) -> int:
    """Bits of a stored element."""
    return 8 * element_bytes(element)


def unsigned_vector(layout: Vector) -> str:
    """The unsigned vector type of an integer layout; lanes of a mask have 32 bits."""
    return f"irk_u{32 if layout.element == i1 else bits(layout.element)}x{layout.lanes}"
