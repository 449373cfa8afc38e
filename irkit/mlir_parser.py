"""xDSL's parser, made to remember where each op stands in the text, and its errors as ours."""

from __future__ import annotations

import re
from difflib import get_close_matches

from xdsl.context import Context
from xdsl.dialects.builtin import FileLineColLoc, IntAttr, ModuleOp, StringAttr, UnknownLoc
from xdsl.ir import Operation
from xdsl.parser import Parser
from xdsl.utils.exceptions import MultipleSpansParseError, ParseError, VerifyException

from dialects.errors import ErrorList, IrkitError, Loc


class LocatedParser(Parser):
    """xDSL's parser; ops that carry no `loc(...)` get the place where they stand in the text."""

    def __init__(self, ctx: Context, text: str, file: str) -> None:
        super().__init__(ctx, text, file)
        self._file = StringAttr(file)
        self._text = text
        self._last = (0, 1)
        self._open: list[tuple[int, int]] = []

    def parse_module(self, allow_implicit_module: bool = True) -> ModuleOp:
        module = super().parse_module(allow_implicit_module)
        if isinstance(module.location, UnknownLoc):
            module.location = FileLineColLoc(self._file, IntAttr(1), IntAttr(1))
        return module

    def parse_operation(self) -> Operation:
        start = self._current_token.span.start
        line, column = self._place(start)
        self._open.append((line, column))
        op = super().parse_operation()
        self._open.pop()
        if isinstance(op.location, UnknownLoc):
            op.location = FileLineColLoc(self._file, IntAttr(line), IntAttr(column))
        return op

    def here(self) -> Loc:
        """The op that is being read."""
        line, column = self._open[-1] if self._open else (1, 1)
        return Loc(self._file.data, line, column)

    def _place(self, position: int) -> tuple[int, int]:
        """Line and column of a position; counts on from the last one that was asked for."""
        known, line = self._last
        line += self._text.count("\n", known, position)
        self._last = (position, line)
        return line, position - self._text.rfind("\n", 0, position)


def parse_mlir(ctx: Context, text: str, file: str, implicit_module: bool = True) -> ModuleOp:
    """Reads a module. Raises ParseError, or IrkitError where an attribute or an op refuses what it is given."""
    _check_strings(text, file)
    parser = LocatedParser(ctx, text, file)
    try:
        return _with_one_block(parser.parse_module(implicit_module))
    except IrkitError as fault:
        fault.loc = fault.loc or parser.here()
        raise
    except RecursionError:
        raise IrkitError("the text is nested too deeply", parser.here(), hint="take regions apart") from None
    except (VerifyException, ValueError, ZeroDivisionError, OverflowError) as fault:
        raise IrkitError(str(fault).strip(), parser.here()) from fault


def _with_one_block(module: ModuleOp) -> ModuleOp:
    """The module, whose ops can be listed. Raises IrkitError."""
    for op in module.walk():
        if isinstance(op, ModuleOp) and len(op.body.blocks) != 1:
            raise IrkitError(f"a module has {len(op.body.blocks)} blocks", op, expected="one")
    return module


_STRINGS = re.compile(r'[^"/]+|"(?:[^"\\]|\\.)*"|/(?!/)')


def _check_strings(text: str, file: str) -> None:
    """Finds a string that its line does not close; xDSL's lexer takes time without end over one. Raises IrkitError."""
    for number, line in enumerate(text.split("\n"), 1):
        if '"' not in line:
            continue
        at = 0
        while found := _STRINGS.match(line, at):
            at = found.end()
        if line.startswith('"', at):
            raise IrkitError(
                "this string has no end", Loc(file, number, at + 1), expected='"', hint="close it on its line"
            )


_UNDEFINED = re.compile(r"values used but not defined: \[(.*)\]")


def _undefined(name: str, text: str, file: str) -> IrkitError:
    """xDSL reports undefined values where their region ends; this points at the first use."""
    text = re.sub(r"//[^\n]*", lambda comment: " " * len(comment[0]), text)
    use = re.search(re.escape(name) + r"(?![\w.$-])", text)
    start = use.start() if use else 0
    column = start - text.rfind("\n", 0, start)
    loc = Loc(file, text.count("\n", 0, start) + 1, column, column + len(name))
    near = get_close_matches(name, re.findall(r"(%[\w.$-]+)\s*[=:,)]", text[:start]), n=1)
    return IrkitError(
        f"{name} is not defined",
        loc,
        expected="a definition in this region or in one around it",
        hint=f"did you mean {near[0]}?" if near else None,
    )


def errors_of(fault: BaseException, file: str) -> list[IrkitError]:
    """Any exception that tells of the input, as errors with a place where there is one."""
    if isinstance(fault, ErrorList):
        return fault.errors
    if isinstance(fault, IrkitError):
        return [fault]
    if not isinstance(fault, ParseError):
        return [IrkitError(str(fault).strip() or type(fault).__name__)]
    if names := _UNDEFINED.search(fault.msg):
        return [_undefined(name, str(fault.span.input.content), file) for name in names[1].split(", ")]
    place = fault.span.get_location()
    loc = Loc(file, place.line, place.col, place.col + max(1, len(fault.span)))
    found = None
    if isinstance(fault, MultipleSpansParseError):
        found = "; ".join([fault.ref_text or "see", *(str(span.get_location()) for span, _ in fault.refs)])
    return [IrkitError(fault.msg.strip(), loc, found=found)]
