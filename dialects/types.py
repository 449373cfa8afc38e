"""Types shared by the levels: dtype names, the tensor encoding `#graph.t`, and `!buffer.ref`.

Graph tensors are builtin tensors. A tensor with a symbolic dim, a layout, a sparse format or a sharding carries one
encoding attribute, `tensor<?x64xf32, #graph.t<dims=[B, 64]>>`; empty fields are omitted and a plain tensor has none.
Below graph level, arrays are `!buffer.ref<[B, 64], f32>`: dims and strides are expressions, integers are signless.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, TypeAlias

import ml_dtypes
import numpy as np
from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    BFloat16Type,
    ComplexType,
    Float4E2M1FNType,
    Float8E4M3FNType,
    Float8E4M3FNUZType,
    Float8E5M2FNUZType,
    Float8E5M2Type,
    Float8E8M0FNUType,
    IntegerType,
    NoneAttr,
    Signedness,
    StringAttr,
    TensorType,
    VectorType,
    bf16,
    f16,
    f32,
    f64,
    i1,
)
from xdsl.ir import Attribute, Data, ParametrizedAttribute, TypeAttribute
from xdsl.irdl import irdl_attr_definition, param_def
from xdsl.parser import AttrParser
from xdsl.printer import Printer
from xdsl.utils.exceptions import VerifyException

from dialects.dims import Dim, DimLike, DimsAttr, dims_text, parse_dims, product, row_major

if TYPE_CHECKING:
    AnyTensor: TypeAlias = TensorType[Attribute]
else:
    AnyTensor = TensorType


def _int(width: int, signed: bool) -> IntegerType:
    return IntegerType(width, Signedness.SIGNED if signed else Signedness.UNSIGNED)


DTYPES: dict[str, Attribute] = {
    "f64": f64,
    "f32": f32,
    "f16": f16,
    "bf16": bf16,
    "f8e4m3": Float8E4M3FNType(),
    "f8e5m2": Float8E5M2Type(),
    "f8e4m3fnuz": Float8E4M3FNUZType(),
    "f8e5m2fnuz": Float8E5M2FNUZType(),
    "f8e8m0": Float8E8M0FNUType(),
    "f4e2m1": Float4E2M1FNType(),
    **{f"i{w}": _int(w, True) for w in (2, 4, 8, 16, 32, 64)},
    **{f"u{w}": _int(w, False) for w in (2, 4, 8, 16, 32, 64)},
    "bool": i1,
    "c64": ComplexType(f32),
    "c128": ComplexType(f64),
}
"""Every dtype of the language, by name, as the element type it has at graph level."""

DTYPE_NAMES: dict[Attribute, str] = {attr: name for name, attr in DTYPES.items()}

STORAGE = ("f8e4m3fnuz", "f8e5m2fnuz", "f8e8m0", "f4e2m1", "i2", "i4", "u2", "u4")
"""Dtypes for storage only: they are cast, moved and stored, one to a byte, and never computed with."""

SMALL_FLOATS = ("f16", "bf16", "f8e4m3", "f8e5m2", "f8e4m3fnuz", "f8e5m2fnuz", "f8e8m0", "f4e2m1")
"""Floats that are stored in fewer bits than f32, in which they are computed."""

_NUMPY: dict[str, np.dtype] = {
    "f64": np.dtype(np.float64),
    "f32": np.dtype(np.float32),
    "f16": np.dtype(np.float16),
    "bf16": np.dtype(ml_dtypes.bfloat16),
    "f8e4m3": np.dtype(ml_dtypes.float8_e4m3fn),
    "f8e5m2": np.dtype(ml_dtypes.float8_e5m2),
    **{f"i{w}": np.dtype(f"int{w}") for w in (8, 16, 32, 64)},
    **{f"u{w}": np.dtype(f"uint{w}") for w in (8, 16, 32, 64)},
    "f8e4m3fnuz": np.dtype(ml_dtypes.float8_e4m3fnuz),
    "f8e5m2fnuz": np.dtype(ml_dtypes.float8_e5m2fnuz),
    "f8e8m0": np.dtype(ml_dtypes.float8_e8m0fnu),
    "f4e2m1": np.dtype(ml_dtypes.float4_e2m1fn),
    "i2": np.dtype(ml_dtypes.int2),
    "i4": np.dtype(ml_dtypes.int4),
    "u2": np.dtype(ml_dtypes.uint2),
    "u4": np.dtype(ml_dtypes.uint4),
    "bool": np.dtype(np.bool_),
    "c64": np.dtype(np.complex64),
    "c128": np.dtype(np.complex128),
}


class Coded(TypeAttribute):
    """Base of element types whose elements are stored as those of another dtype: quantised ones (dialects/quant.py)."""

    @property
    def stored(self) -> Attribute:
        """The element type of what lies in memory."""
        raise NotImplementedError

    @property
    def text(self) -> str:
        """The type as the language writes it."""
        raise NotImplementedError


def stored(element: Attribute) -> Attribute:
    """The graph's element type of what lies in memory: of a quantised one its storage."""
    return element.stored if isinstance(element, Coded) else element


def dtype_name(element: Attribute) -> str:
    """The name of an element type (`f32`, `u8`, `bool`, ...); its IR text for one that the language does not name."""
    if isinstance(element, Coded):
        return element.text
    return DTYPE_NAMES.get(element) or str(element)


def np_dtype(element: Attribute | str) -> np.dtype:
    """The NumPy dtype (ml_dtypes where NumPy has none) of an element type or dtype name; raises KeyError."""
    if isinstance(element, IntegerType) and element.signedness.data is Signedness.SIGNLESS and element != i1:
        return _NUMPY[f"i{element.width.data}"]
    if isinstance(element, Coded):
        element = element.stored
    return _NUMPY[element if isinstance(element, str) else DTYPE_NAMES[element]]


def integer_range(name: str) -> tuple[int, int]:
    """The least and greatest value of an integer dtype such as `i8` or `u4`."""
    bits = int(name[1:])
    return (0, 2**bits - 1) if name[0] == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def is_float(element: Attribute) -> bool:
    """Whether an element type is a real floating-point type."""
    return DTYPE_NAMES.get(element, "").startswith(("f", "bf"))


def is_float_tensor(type_: Attribute) -> bool:
    """Whether a type is a tensor of floats: what has a derivative."""
    return (
        isinstance(type_, TensorType)
        and is_float(type_.element_type)
        and not is_storage_only(type_.element_type)
    )


def is_storage_only(element: Attribute) -> bool:
    """Whether numbers of an element type are cast, moved and stored, and never computed with."""
    return DTYPE_NAMES.get(element) in STORAGE


def is_integer(element: Attribute) -> bool:
    """Whether an element type is an integer other than bool."""
    return isinstance(element, IntegerType) and element != i1


def is_unsigned(element: Attribute) -> bool:
    """Whether an element type is an unsigned integer or bool."""
    return isinstance(element, IntegerType) and (
        element == i1 or element.signedness.data is Signedness.UNSIGNED
    )


def is_complex(element: Attribute) -> bool:
    """Whether an element type is complex."""
    return isinstance(element, ComplexType)


def storage(element: Attribute) -> Attribute:
    """The element type below graph level: what lies in memory, with integers made signless."""
    element = stored(element)
    if isinstance(element, IntegerType):
        return IntegerType(element.width.data)
    return element


def element_of(type_: Attribute) -> Attribute:
    """The element type of a vector, or a scalar's own type."""
    return type_.get_element_type() if isinstance(type_, VectorType) else type_


def shape_of(type_: Attribute) -> tuple[int, ...]:
    """The shape of a vector; empty for a scalar."""
    return tuple(type_.get_shape()) if isinstance(type_, VectorType) else ()


STORED = frozenset(storage(element) for element in DTYPES.values())
"""The element types of arrays below graph level."""

_BYTES: dict[Attribute, int] = {}


def element_bytes(element: Attribute) -> int:
    """Bytes of one stored element; numbers of fewer bits than eight take one byte each."""
    element = stored(element)
    if element in _BYTES:
        return _BYTES[element]
    if isinstance(element, IntegerType):
        size = max(1, element.width.data // 8)
    elif isinstance(element, ComplexType):
        size = 2 * element_bytes(element.element_type)
    elif isinstance(element, BFloat16Type):
        size = 2
    elif DTYPE_NAMES.get(element, "").startswith(("f8", "f4")):
        size = 1
    else:
        size = element.size  # pyright: ignore[reportAttributeAccessIssue]
    _BYTES[element] = size
    return size


# -- the tensor encoding ----------------------------------------------------------------------------------------


@irdl_attr_definition
class EncodingAttr(ParametrizedAttribute):
    """What a builtin tensor type cannot say: symbolic dims, layout, sparse format, sharding.

    `#graph.t<dims=[B, 64], layout="nhwc">`
    """

    name = "graph.t"

    dims: DimsAttr | NoneAttr = param_def()
    layout: StringAttr | NoneAttr = param_def()
    sparse: StringAttr | NoneAttr = param_def()
    shard: StringAttr | NoneAttr = param_def()

    _FIELDS: ClassVar[tuple[str, ...]] = ("layout", "sparse", "shard")

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> Sequence[Attribute]:
        found: dict[str, Attribute] = {}

        def field() -> None:
            name = parser.parse_identifier("field of #graph.t")
            if (name != "dims" and name not in cls._FIELDS) or name in found:
                parser.raise_error(
                    f"unexpected field '{name}' of #graph.t: expected each of dims, layout, sparse, shard once"
                )
            parser.parse_characters("=")
            found[name] = (
                DimsAttr(parse_dims(parser)) if name == "dims" else StringAttr(parser.parse_str_literal())
            )

        parser.parse_comma_separated_list(parser.Delimiter.ANGLE, field)
        return [found.get(f, NoneAttr()) for f in ("dims", *cls._FIELDS)]

    def print_parameters(self, printer: Printer) -> None:
        parts = [] if isinstance(self.dims, NoneAttr) else [f"dims={dims_text(self.dims.data)}"]
        for name in self._FIELDS:
            value = getattr(self, name)
            if isinstance(value, StringAttr):
                parts.append(f'{name}="{value.data}"')
        printer.print_string("<" + ", ".join(parts) + ">")


def encoding(
    dims: Sequence[Dim], layout: str | None = None, sparse: str | None = None, shard: str | None = None
) -> Attribute:
    """The one helper that makes encodings: NoneAttr where every field would be empty."""
    symbolic = any(d.value is None for d in dims)
    if not (symbolic or layout or sparse or shard):
        return NoneAttr()
    text = [StringAttr(s) if s else NoneAttr() for s in (layout, sparse, shard)]
    return EncodingAttr(DimsAttr(tuple(dims)) if symbolic else NoneAttr(), *text)


def tensor(element: Attribute | str, dims: Sequence[DimLike], **fields: str | None) -> AnyTensor:
    """A tensor type from a dtype (name or element type) and dims; symbolic dims go into the encoding."""
    exprs = [Dim.of(d) for d in dims]
    shape = [DYNAMIC_INDEX if (v := d.value) is None else v for d in exprs]
    return TensorType(
        DTYPES[element] if isinstance(element, str) else element, shape, encoding(exprs, **fields)
    )


def dims_of(type_: Attribute) -> tuple[Dim, ...]:
    """The dims of a tensor or ref type."""
    if isinstance(type_, RefType):
        return type_.shape.data
    assert isinstance(type_, TensorType)
    if isinstance(enc := type_.encoding, EncodingAttr) and isinstance(enc.dims, DimsAttr):
        return enc.dims.data
    return tuple(Dim.of(d) for d in type_.get_shape())


def type_text(type_: Attribute) -> str:
    """A tensor type as the language writes it: `f32[B, 64]`."""
    return f"{dtype_name(type_.element_type)}{dims_text(dims_of(type_))}"  # pyright: ignore


# -- arrays below graph level -------------------------------------------------------------------------------------


@irdl_attr_definition
class SpaceAttr(Data[str]):
    """A memory space: global (default), scratch (per thread, in the arena), stack, shared."""

    name = "buffer.space"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> str:
        with parser.in_angle_brackets():
            return parser.parse_identifier()

    def print_parameter(self, printer: Printer) -> None:
        printer.print_string(f"<{self.data}>")


SPACES = ("global", "scratch", "team", "stack", "shared")


@irdl_attr_definition
class RefType(ParametrizedAttribute, TypeAttribute):
    """A strided array in memory: dims, element type, strides in elements, memory space.

    `!buffer.ref<[B, 64], f32>`; `!buffer.ref<[64, B], f32, strides = [1, 64]>`; `!buffer.ref<[14], f32, space = stack>`.
    Row-major strides and the global space are omitted.
    """

    name = "buffer.ref"

    shape: DimsAttr = param_def()
    element_type: Attribute = param_def()
    strides: DimsAttr = param_def()
    space: SpaceAttr = param_def()

    def verify(self) -> None:
        if self.element_type not in STORED:
            raise VerifyException(f"an array holds numbers, not {self.element_type}")

    @property
    def rank(self) -> int:
        return len(self.shape.data)

    @property
    def is_contiguous(self) -> bool:
        """Whether the strides are row-major."""
        return self.strides.data == row_major(self.shape.data)

    def bytes(self) -> Dim:
        """Bytes of a contiguous array of this shape."""
        return product(self.shape.data) * element_bytes(self.element_type)

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> Sequence[Attribute]:
        with parser.in_angle_brackets():
            shape = parse_dims(parser)
            parser.parse_punctuation(",")
            element = parser.parse_type()
            strides, space = row_major(shape), "global"
            while parser.parse_optional_punctuation(",") is not None:
                field = parser.parse_identifier("strides or space")
                parser.parse_punctuation("=")
                if field == "strides":
                    strides = parse_dims(parser)
                elif field == "space":
                    space = parser.parse_identifier("memory space")
                else:
                    parser.raise_error(
                        f"unexpected field '{field}' of !buffer.ref: expected strides or space"
                    )
            if len(strides) != len(shape):
                parser.raise_error(f"{len(strides)} strides for {len(shape)} dims")
            if space not in SPACES:
                parser.raise_error(f"unknown memory space '{space}': expected one of {', '.join(SPACES)}")
        return [DimsAttr(shape), element, DimsAttr(strides), SpaceAttr(space)]

    def print_parameters(self, printer: Printer) -> None:
        printer.print_string(f"<{dims_text(self.shape.data)}, ")
        printer.print_attribute(self.element_type)
        if not self.is_contiguous:
            printer.print_string(f", strides = {dims_text(self.strides.data)}")
        if self.space.data != "global":
            printer.print_string(f", space = {self.space.data}")
        printer.print_string(">")


def ref(
    element: Attribute,
    dims: Sequence[DimLike],
    strides: Sequence[DimLike] | None = None,
    space: str = "global",
) -> RefType:
    """A ref type; row-major where no strides are given."""
    shape = tuple(Dim.of(d) for d in dims)
    steps = row_major(shape) if strides is None else tuple(Dim.of(s) for s in strides)
    return RefType(DimsAttr(shape), element, DimsAttr(steps), SpaceAttr(space))


def ref_of(type_: AnyTensor) -> RefType:
    """The contiguous array that holds a tensor."""
    return ref(storage(type_.element_type), dims_of(type_))
