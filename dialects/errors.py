"""The one kind of error that a user sees, and the source location that it carries."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from xdsl.dialects.builtin import (
    ArrayAttr,
    FileLineColLoc,
    FusedLoc,
    IntAttr,
    LocationAttr,
    NoneAttr,
    StringAttr,
    UnknownLoc,
)
from xdsl.ir import Operation


@dataclass(frozen=True)
class Loc:
    """A place in a source file; lines and columns count from 1, `end_col` is one past the last column."""

    file: str
    line: int
    col: int
    end_col: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.col}"

    def attr(self) -> FileLineColLoc:
        """The same place as an IR location."""
        return FileLineColLoc(StringAttr(self.file), IntAttr(self.line), IntAttr(self.col))


class IrkitError(Exception):
    """A fault of the input, told to the user: where, what was found, what was expected, what to do."""

    def __init__(
        self,
        message: str,
        loc: Loc | Operation | None = None,
        *,
        found: str | None = None,
        expected: str | None = None,
        hint: str | None = None,
        inside: str | None = None,
    ):
        super().__init__(message)
        self.message = message
        self.loc = op_loc(loc) if isinstance(loc, Operation) else loc
        self.found = found
        self.expected = expected
        self.hint = hint
        self.inside = inside
        """The calls of ops in whose formulas the fault lies, innermost first, one a line."""

    def __str__(self) -> str:
        parts = [f"{self.loc}: " if self.loc else "", "error: ", self.message]
        for label, text in self.details():
            parts.append(f"\n  {label}: {text}")
        return "".join(parts)

    def details(self) -> list[tuple[str, str]]:
        """What stands below the message, each with its label."""
        known = (
            ("in", self.inside),
            ("found", self.found),
            ("expected", self.expected),
            ("help", self.hint),
        )
        return [(label, text) for label, text in known if text]


class Mismatch(IrkitError):
    """Operands or parameters that an op does not take; whoever knows the place adds it."""


class ErrorList(Exception):
    """Several errors of one run, in source order."""

    def __init__(self, errors: Sequence[IrkitError]):
        super().__init__("\n".join(map(str, errors)))
        self.errors = list(errors)


FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What the system says where a disk, or the share of it, is full."""


def beyond_limits(fault: BaseException) -> IrkitError | None:
    """The error for a program that this machine has no room for, by the exception that told of it; None for others."""
    if isinstance(fault, RecursionError):
        return IrkitError(
            "the program is nested too deeply", hint="take its loops, choices or expressions apart"
        )
    if isinstance(fault, MemoryError):
        text = str(fault).strip()
        return IrkitError(
            "there is not enough memory", found=text or None, hint="give dims smaller sizes (--dim)"
        )
    if isinstance(fault, OSError) and fault.errno in FULL:
        return IrkitError(f"cannot write: {fault.strerror}")
    return None


def loc_of_attr(attr: LocationAttr | None) -> Loc | None:
    """The first file location inside an IR location."""
    return next(locs_of_attr(attr), None)


def locs_of_attr(attr: LocationAttr | None) -> Iterator[Loc]:
    """The file locations inside an IR location, in order."""
    if isinstance(attr, FileLineColLoc):
        yield Loc(attr.filename.data, attr.line.data, attr.column.data)
    for part in getattr(attr, "locations", ()):
        yield from locs_of_attr(part)


def op_loc(op: Operation) -> Loc | None:
    """Where in the source an op comes from; looks at enclosing ops when the op itself does not know."""
    current: Operation | None = op
    while current is not None:
        if (found := loc_of_attr(current.location)) is not None:
            return found
        current = current.parent_op()
    return None


MOST_PLACES = 32
"""An op that stands for more names the first of them and the last: rules that join long chains would pass on all of them,
once for each op of the chain."""


def union_location(ops: Iterable[Operation]) -> LocationAttr:
    """One location for an op that stands for several: theirs, each once, in order; no more than `MOST_PLACES`."""
    known: dict[LocationAttr, None] = {}
    for op in ops:
        location = op.location
        parts = location.locations if isinstance(location, FusedLoc) else (location,)
        known.update((p, None) for p in parts if not isinstance(p, UnknownLoc))  # pyright: ignore
    if not known:
        return UnknownLoc()
    places = tuple(known)
    if len(places) > MOST_PLACES:  # the last one is what the oldest op stood for
        places = (*places[: MOST_PLACES - 1], places[-1])
    return places[0] if len(places) == 1 else FusedLoc(ArrayAttr(places), NoneAttr())
