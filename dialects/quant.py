"""Quantised elements: `tensor<64x128x!graph.quant<ui8, f32, scale = [0.1], zero_point = [128]>>`.

The type belongs to the graph level, where casts and ops that move elements take it; `graph-lower-quantised` leaves its
storage in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite

import ml_dtypes
from xdsl.dialects.builtin import IntAttr, IntegerType, Signedness
from xdsl.ir import Attribute, Data, ParametrizedAttribute
from xdsl.irdl import irdl_attr_definition, param_def
from xdsl.parser import AttrParser
from xdsl.printer import Printer
from xdsl.utils.exceptions import VerifyException

from dialects.dims import Dim
from dialects.types import DTYPES, Coded, dtype_name, is_float, is_storage_only, np_dtype

STORAGES = (
    *("i2", "i4", "i8", "i16", "i32", "u2", "u4", "u8", "u16", "u32"),
    *("f8e4m3", "f8e5m2", "f8e4m3fnuz", "f8e5m2fnuz", "f4e2m1"),
)
"""The dtypes that quantised elements are stored in."""

SHOWN = 4
"""So many scales stand in a message."""


@irdl_attr_definition
class ScalesAttr(Data[tuple[float, ...]]):
    """Scales of a quantised type."""

    name = "graph.scales"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> tuple[float, ...]:
        with parser.in_angle_brackets():
            return _parse_scales(parser)

    def print_parameter(self, printer: Printer) -> None:
        printer.print_string(f"<{_scales_text(self.data)}>")


@irdl_attr_definition
class ZeroPointsAttr(Data[tuple[int, ...]]):
    """Zero points of a quantised type."""

    name = "graph.zero_points"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> tuple[int, ...]:
        with parser.in_angle_brackets():
            return _parse_zero_points(parser)

    def print_parameter(self, printer: Printer) -> None:
        printer.print_string(f"<{list(self.data)}>")


def _parse_scales(parser: AttrParser) -> tuple[float, ...]:
    return tuple(map(float, parser.parse_comma_separated_list(parser.Delimiter.SQUARE, parser.parse_number)))


def _parse_zero_points(parser: AttrParser) -> tuple[int, ...]:
    return tuple(parser.parse_comma_separated_list(parser.Delimiter.SQUARE, parser.parse_integer))


def _scales_text(scales: Sequence[float]) -> str:
    """The numbers in full, as MLIR reads them: 1.0e-05 and not 1e-05."""
    texts = [t if "." in t else t.replace("e", ".0e") for t in map(repr, scales)]
    return "[" + ", ".join(texts) + "]"


@dataclass(frozen=True)
class Problem:
    """What is wrong with a quantised type, or with a tensor of it."""

    message: str
    found: str
    expected: str


@irdl_attr_definition
class QuantType(ParametrizedAttribute, Coded):
    """Elements stored as small numbers: value = (stored - zero_point) * scale.

        !graph.quant<si8, f32, scale = [0.05]>                                           // one scale, symmetric
        !graph.quant<ui8, f32, scale = [0.1, 0.2], zero_point = [128, 127], axis = 0>    // one for each row
        !graph.quant<si4, f32, scale = [0.1, 0.2, 0.3, 0.4], axis = 1, block = 32>       // one for each 32 of dim 1

    axis is -1 and block 0 where they are not given; zero points are 0 where they are not given.
    """

    name = "graph.quant"

    storage: Attribute = param_def()
    expressed: Attribute = param_def()
    scale: ScalesAttr = param_def()
    zero_point: ZeroPointsAttr = param_def()
    axis: IntAttr = param_def()
    block: IntAttr = param_def()

    @property
    def stored(self) -> Attribute:
        return self.storage

    @property
    def scales(self) -> tuple[float, ...]:
        return self.scale.data

    @property
    def zeros(self) -> tuple[int, ...]:
        return self.zero_point.data

    @property
    def along(self) -> int | None:
        """The dim that the scales go along; None for one scale."""
        return self.axis.data if self.axis.data >= 0 else None

    @property
    def each(self) -> int:
        """For how many elements along that dim a scale holds."""
        return self.block.data or 1

    @property
    def text(self) -> str:
        """`quant(u8, scale=[0.1, 0.2], zero=[128, 127], axis=0)`; long lists are cut short."""
        return self._text(_short)

    @property
    def written(self) -> str:
        """The same with every number, as the language reads it."""
        return self._text(lambda numbers: repr(numbers[0] if len(numbers) == 1 else list(numbers)))

    def _text(self, listed: Callable[[Sequence[float]], str]) -> str:
        words = [dtype_name(self.storage), f"scale={listed(self.scales)}"]
        if any(self.zeros):
            words.append(f"zero={listed(self.zeros if len(set(self.zeros)) > 1 else self.zeros[:1])}")
        words += [f"axis={self.along}"] if self.along is not None else []
        words += [f"block={self.block.data}"] if self.block.data else []
        words += [f"expressed={dtype_name(self.expressed)}"] if self.expressed != DTYPES["f32"] else []
        return f"quant({', '.join(words)})"

    def misfit(self, dims: Sequence[Dim]) -> Problem | None:
        """Why a tensor of these dims cannot have these elements, if so."""
        if self.along is None:
            return None
        if self.along >= len(dims):
            message = f"there is no dim {self.along} for the scales of a quantised type"
            return Problem(
                message, f"axis={self.along}, a tensor of rank {len(dims)}", f"0 to {len(dims) - 1}"
            )
        size, count = dims[self.along], len(self.scales) * self.each
        if size.value == count:
            return None
        blocks = f" for {self.each} elements each" if self.each > 1 else ""
        return Problem(
            f"the scales of a quantised type do not go with dim {self.along}",
            f"{len(self.scales)} scales{blocks}, a dim of size {size}",
            f"a dim of size {count}",
        )

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> Sequence[Attribute]:
        with parser.in_angle_brackets():
            storage = parser.parse_type()
            parser.parse_punctuation(",")
            expressed = parser.parse_type()
            scale: tuple[float, ...] = ()
            points: tuple[int, ...] = ()
            whole = {"axis": -1, "block": 0}
            while parser.parse_optional_punctuation(",") is not None:
                field = parser.parse_identifier("scale, zero_point, axis or block")
                parser.parse_punctuation("=")
                if field == "scale":
                    scale = _parse_scales(parser)
                elif field == "zero_point":
                    points = _parse_zero_points(parser)
                elif field in whole:
                    whole[field] = parser.parse_integer()
                else:
                    parser.raise_error(
                        f"unexpected field '{field}' of !graph.quant: expected scale, zero_point, axis or block"
                    )
        return _parameters(storage, expressed, scale, points, whole["axis"], whole["block"])

    def print_parameters(self, printer: Printer) -> None:
        printer.print_string("<")
        printer.print_attribute(self.storage)
        printer.print_string(", ")
        printer.print_attribute(self.expressed)
        printer.print_string(f", scale = {_scales_text(self.scales)}")
        if any(self.zeros):
            printer.print_string(f", zero_point = {list(self.zeros)}")
        if self.along is not None:
            printer.print_string(f", axis = {self.along}")
        if self.block.data:
            printer.print_string(f", block = {self.block.data}")
        printer.print_string(">")

    def verify(self) -> None:
        fault = problem(
            self.storage, self.expressed, self.scales, self.zeros, self.axis.data, self.block.data
        )
        if fault is not None:
            raise VerifyException(
                f"bad !graph.quant: {fault.message}: found {fault.found}, expected {fault.expected}"
            )


def problem(
    storage: Attribute,
    expressed: Attribute,
    scales: Sequence[float],
    zeros: Sequence[int],
    axis: int,
    block: int,
) -> Problem | None:
    """What is wrong with the parameters of a quantised type; None where nothing is."""
    name = dtype_name(storage)
    if name not in STORAGES:
        return Problem("the storage is no small integer", name, f"one of {', '.join(STORAGES)}")
    if not is_float(expressed) or is_storage_only(expressed) or name == dtype_name(expressed):
        return Problem("what is expressed is no float", dtype_name(expressed), "a dtype such as f32")
    if not scales or any(not (s > 0 and isfinite(s)) for s in scales):
        return Problem("scales are positive", _short(scales), "finite numbers above 0")
    if len(zeros) != len(scales):
        return Problem(
            "scales and zero points do not pair",
            f"{len(scales)} scales and {len(zeros)} zero points",
            "as many of both",
        )
    low, high = stored_range(storage)
    if is_float(storage) and any(zeros):
        return Problem(f"{name} has no zero points", _short(zeros), "none, or 0")
    if any(not low <= z <= high for z in zeros):
        return Problem(f"zero points are numbers of {name}", _short(zeros), f"{int(low)} to {int(high)}")
    if block < 0 or block == 1:
        return Problem("a block has several elements", f"block={block}", "2 or more, or no block")
    if axis < 0 and len(scales) > 1:
        return Problem("several scales go along a dim", f"{len(scales)} scales", "axis=..., the dim")
    if axis < 0 and block:
        return Problem("blocks go along a dim", f"block={block}", "axis=..., the dim")
    if axis >= 0 and len(scales) == 1:
        return Problem("one scale holds for the whole tensor", f"axis={axis}", "no axis, or several scales")
    return None


def stored_range(storage: Attribute) -> tuple[float, float]:
    """The least and the greatest finite number that elements can be stored as."""
    if isinstance(storage, IntegerType):
        width = storage.width.data
        if storage.signedness.data is Signedness.UNSIGNED:
            return 0, 2**width - 1
        return -(2 ** (width - 1)), 2 ** (width - 1) - 1
    most = float(ml_dtypes.finfo(np_dtype(storage)).max)
    return -most, most


def _short(numbers: Sequence[float]) -> str:
    """`0.1`; `[0.1, 0.2]`; `[0.1, 0.2, 0.3, ... 61 more]`."""
    if len(numbers) == 1:
        return repr(numbers[0])
    shown = [repr(n) for n in (numbers if len(numbers) <= SHOWN else numbers[: SHOWN - 1])]
    rest = [f"... {len(numbers) - len(shown)} more"] if len(shown) < len(numbers) else []
    return "[" + ", ".join([*shown, *rest]) + "]"


def _parameters(
    storage: Attribute,
    expressed: Attribute,
    scale: Sequence[float],
    zero_point: Sequence[int],
    axis: int,
    block: int,
) -> list[Attribute]:
    points = tuple(zero_point) or (0,) * len(scale)
    return [
        storage,
        expressed,
        ScalesAttr(tuple(scale)),
        ZeroPointsAttr(points),
        IntAttr(axis),
        IntAttr(block),
    ]


def quant(
    storage: Attribute,
    expressed: Attribute,
    scale: Sequence[float],
    zero_point: Sequence[int] = (),
    axis: int = -1,
    block: int = 0,
) -> QuantType:
    """A quantised element type; zero points are zeros where none are given. One scale goes along no dim, and a block
    of one element is none. Raises VerifyException."""
    if len(scale) == 1:
        axis, block = -1, 0
    return QuantType(*_parameters(storage, expressed, scale, zero_point, axis, 0 if block == 1 else block))  # pyright: ignore[reportArgumentType]
