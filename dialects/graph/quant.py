"""Quantised elements: `tensor<64x128x!graph.quant<ui8, f32, scale = [0.1], zero_point = [128]>>`.

The type is there so that every level can carry it; each op says which element types it takes, and none takes this one
yet.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import IntAttr, IntegerType, Signedness
from xdsl.ir import Attribute, Data, ParametrizedAttribute, TypeAttribute
from xdsl.irdl import irdl_attr_definition, param_def
from xdsl.parser import AttrParser
from xdsl.printer import Printer
from xdsl.utils.exceptions import VerifyException

from dialects.types import is_float


@irdl_attr_definition
class ScalesAttr(Data[tuple[float, ...]]):
    """Scales of a quantised type."""

    name = "graph.scales"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> tuple[float, ...]:
        with parser.in_angle_brackets():
            return _numbers(parser)

    def print_parameter(self, printer: Printer) -> None:
        printer.print_string(f"<{_text(self.data)}>")


@irdl_attr_definition
class ZeroPointsAttr(Data[tuple[int, ...]]):
    """Zero points of a quantised type."""

    name = "graph.zero_points"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> tuple[int, ...]:
        with parser.in_angle_brackets():
            return tuple(parser.parse_comma_separated_list(parser.Delimiter.SQUARE, parser.parse_integer))

    def print_parameter(self, printer: Printer) -> None:
        printer.print_string(f"<{list(self.data)}>")


def _numbers(parser: AttrParser) -> tuple[float, ...]:
    return tuple(map(float, parser.parse_comma_separated_list(parser.Delimiter.SQUARE, parser.parse_number)))


def _text(numbers: Sequence[float]) -> str:
    return "[" + ", ".join(map(repr, numbers)) + "]"


@irdl_attr_definition
class QuantType(ParametrizedAttribute, TypeAttribute):
    """Elements stored as small integers: value = (stored - zero_point) * scale.

        !graph.quant<si8, f32, scale = [0.05]>                                           // one scale, symmetric
        !graph.quant<ui8, f32, scale = [0.1, 0.2], zero_point = [128, 127], axis = 0>    // one for each row
        !graph.quant<si4, f32, scale = [0.1, 0.2, 0.3, 0.4], axis = 1, block = 32>       // one for each 32 of dim 1

    axis is -1 and block 0 where they are not given; zero points are 0 where they are not given.
    """

    name = "graph.quant"

    storage: IntegerType = param_def()
    expressed: Attribute = param_def()
    scale: ScalesAttr = param_def()
    zero_point: ZeroPointsAttr = param_def()
    axis: IntAttr = param_def()
    block: IntAttr = param_def()

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
                    scale = _numbers(parser)
                elif field == "zero_point":
                    points = tuple(
                        parser.parse_comma_separated_list(parser.Delimiter.SQUARE, parser.parse_integer)
                    )
                elif field in whole:
                    whole[field] = parser.parse_integer()
                else:
                    parser.raise_error(
                        f"unexpected field '{field}' of !graph.quant: expected scale, zero_point, axis or block"
                    )
        return quant_parameters(storage, expressed, scale, points, whole["axis"], whole["block"])

    def print_parameters(self, printer: Printer) -> None:
        printer.print_string("<")
        printer.print_attribute(self.storage)
        printer.print_string(", ")
        printer.print_attribute(self.expressed)
        printer.print_string(f", scale = {_text(self.scale.data)}")
        if any(self.zero_point.data):
            printer.print_string(f", zero_point = {list(self.zero_point.data)}")
        if self.axis.data >= 0:
            printer.print_string(f", axis = {self.axis.data}")
        if self.block.data:
            printer.print_string(f", block = {self.block.data}")
        printer.print_string(">")

    def verify(self) -> None:
        signed = (
            isinstance(self.storage, IntegerType) and self.storage.signedness.data is not Signedness.SIGNLESS
        )
        if not signed or self.storage.width.data > 32:
            raise VerifyException(
                f"!graph.quant is stored as si4 to si32 or ui4 to ui32, found {self.storage}"
            )
        if not is_float(self.expressed):
            raise VerifyException(f"!graph.quant expresses a float type, found {self.expressed}")
        scales, points = self.scale.data, self.zero_point.data
        if not scales or any(not 0 < s < float("inf") for s in scales):
            raise VerifyException(f"scales of !graph.quant are positive numbers, found {_text(scales)}")
        if len(points) != len(scales):
            raise VerifyException(f"!graph.quant has {len(scales)} scales and {len(points)} zero points")
        if self.axis.data < 0 and (len(scales) > 1 or self.block.data):
            raise VerifyException("!graph.quant needs an axis for several scales, and for a block")
        if self.block.data < 0:
            raise VerifyException(f"the block of !graph.quant is at least 1, found {self.block.data}")
        unsigned = self.storage.signedness.data is Signedness.UNSIGNED
        width = self.storage.width.data
        low, high = (0, 2**width - 1) if unsigned else (-(2 ** (width - 1)), 2 ** (width - 1) - 1)
        if any(not low <= p <= high for p in points):
            raise VerifyException(f"zero points of !graph.quant are {low} to {high}, found {list(points)}")


def quant_parameters(
    storage: Attribute,
    expressed: Attribute,
    scale: Sequence[float],
    zero_point: Sequence[int] = (),
    axis: int = -1,
    block: int = 0,
) -> list[Attribute]:
    """The parameters of a QuantType; zero points are zeros where none are given."""
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
    """A quantised element type."""
    return QuantType(*quant_parameters(storage, expressed, scale, zero_point, axis, block))  # pyright: ignore
