"""Pieces of assembly that the kernel, loop and buffer dialects share: symbols, named arguments, bodies, accesses."""

from __future__ import annotations

import re
from collections.abc import Sequence

from xdsl.ir import Attribute, Block, Data, Operation, Region, SSAValue
from xdsl.irdl import irdl_attr_definition
from xdsl.parser import AttrParser, Parser, UnresolvedOperand
from xdsl.printer import Printer

from dialects.dims import Dim, dims_text, parse_dim


@irdl_attr_definition
class SymbolsAttr(Data[tuple[tuple[str, int, int], ...]]):
    """Dim symbols with their inclusive ranges: `#dim.symbols<[B: 1..64]>`. They are leading int64 arguments."""

    name = "dim.symbols"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> tuple[tuple[str, int, int], ...]:
        with parser.in_angle_brackets():
            return parse_symbols(parser)

    def print_parameter(self, printer: Printer) -> None:
        printer.print_string(f"<{symbols_text(self.data)}>")

    def ranges(self) -> dict[str, tuple[float, float]]:
        return {name: (low, high) for name, low, high in self.data}

    def maxima(self) -> dict[str, int]:
        return {name: high for name, _, high in self.data}


def parse_name(parser: AttrParser, what: str) -> str:
    """Reads a name that can stand in a dim expression; `_0`, `_1` ... are gathered places there."""
    start = parser.pos
    name = parser.parse_identifier(what)
    if not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII):
        parser.raise_error(f"'{name}' cannot be the name of a {what}", start, parser.pos)
    return name


def parse_symbols(parser: AttrParser) -> tuple[tuple[str, int, int], ...]:
    """Reads `[B: 1 to 64, ...]`."""

    def one() -> tuple[str, int, int]:
        name = parse_name(parser, "dim symbol")
        parser.parse_punctuation(":")
        low = parser.parse_integer()
        parser.parse_keyword("to")
        return name, low, parser.parse_integer()

    return tuple(parser.parse_comma_separated_list(parser.Delimiter.SQUARE, one))


def symbols_text(symbols: Sequence[tuple[str, int, int]]) -> str:
    return "[" + ", ".join(f"{n}: {low} to {high}" for n, low, high in symbols) + "]"


@irdl_attr_definition
class AxesAttr(Data[tuple[tuple[str, Dim], ...]]):
    """Named axes with their extents: `#kernel.axes<[i: B, k: 64]>`."""

    name = "kernel.axes"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> tuple[tuple[str, Dim], ...]:
        with parser.in_angle_brackets():
            return parse_axes(parser)

    def print_parameter(self, printer: Printer) -> None:
        printer.print_string(f"<{axes_text(self.data)}>")


def parse_axes(parser: AttrParser) -> tuple[tuple[str, Dim], ...]:
    """Reads `[i: B, k: 64]`."""

    def one() -> tuple[str, Dim]:
        name = parse_name(parser, "axis")
        parser.parse_punctuation(":")
        return name, parse_dim(parser)

    return tuple(parser.parse_comma_separated_list(parser.Delimiter.SQUARE, one))


def axes_text(axes: Sequence[tuple[str, Dim]]) -> str:
    return "[" + ", ".join(f"{name}: {extent}" for name, extent in axes) + "]"


def parse_names(parser: AttrParser) -> tuple[str, ...]:
    """Reads `[i, j]`."""
    return tuple(parser.parse_comma_separated_list(parser.Delimiter.SQUARE, parser.parse_identifier))


def parse_access(parser: Parser) -> tuple[UnresolvedOperand, tuple[Dim, ...], list[UnresolvedOperand]]:
    """Reads `%x[i, j + 1]` with optional index operands `(%idx)`, which the expressions name `_0`, `_1`, ..."""
    array = parser.parse_unresolved_operand()
    index = tuple(parser.parse_comma_separated_list(parser.Delimiter.SQUARE, lambda: parse_dim(parser)))
    operands: list[UnresolvedOperand] = []
    if found := parser.parse_optional_comma_separated_list(
        parser.Delimiter.PAREN, parser.parse_unresolved_operand
    ):
        operands = found
    return array, index, operands


def print_access(
    printer: Printer, array: SSAValue, index: Sequence[Dim], operands: Sequence[SSAValue]
) -> None:
    printer.print_ssa_value(array)
    printer.print_string(dims_text(index))
    if operands:
        printer.print_string("(")
        printer.print_list(operands, printer.print_ssa_value)
        printer.print_string(")")


def parse_regionless_types(parser: Parser) -> list[Attribute]:
    """Reads `: type, type`."""
    parser.parse_punctuation(":")
    types: list[Attribute] = [parser.parse_type()]
    while parser.parse_optional_punctuation(",") is not None:
        types.append(parser.parse_type())
    return types


def single_block(ops: Sequence[Operation], arg_types: Sequence[Attribute] = ()) -> Region:
    """A region of one block."""
    return Region(Block(ops, arg_types=arg_types))
