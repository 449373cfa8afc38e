"""Errors of traced functions, at the line of Python that made them."""

from __future__ import annotations

import contextlib
import linecache
import os
import re
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from types import CodeType, FrameType

import numpy as np

from dialects.errors import IrkitError, Loc
from irkit.diagnostics import render_one

_ROOT = Path(__file__).resolve().parents[2]
_OWN = (
    *(f"{_ROOT / name}{os.sep}" for name in ("irkit", "dialects", "lowering")),
    f"{Path(np.__file__).parent}{os.sep}",
    contextlib.__file__,
)
"""What the files begin with whose frames are not the user's."""


class TraceError(IrkitError, TypeError):
    """A fault of a traced function; a TypeError, since NumPy and Python expect one for what an object cannot do."""

    def __str__(self) -> str:
        return render_one(self, _lines(self.loc.file) if self.loc else None)


def user_frame() -> FrameType | None:
    """The innermost frame that is the user's."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_OWN):
        frame = frame.f_back
    return frame


_told: ContextVar[Loc | None] = ContextVar("irkit_place", default=None)


@contextlib.contextmanager
def at_place(loc: Loc) -> Iterator[None]:
    """Makes this the place of all that is traced inside: for graphs that come from a file, and not from Python."""
    token = _told.set(loc)
    try:
        yield
    finally:
        _told.reset(token)


def place() -> Loc:
    """The expression of the user's code that is being evaluated."""
    if (told := _told.get()) is not None:
        return told
    frame = user_frame()
    return Loc("<python>", 1, 1) if frame is None else _place(frame.f_code, frame.f_lasti)


@lru_cache(maxsize=65536)
def _place(code: CodeType, instruction: int) -> Loc:
    line, end_line, col, end_col = _positions(code)[instruction // 2]
    name = _shown(code.co_filename)
    if line is None or col is None:
        return Loc(name, line or code.co_firstlineno, 1)
    text = linecache.getline(code.co_filename, line).rstrip("\n").encode()
    end = end_col if end_col is not None and end_line == line else len(text)
    first, last = (len(text[:byte].decode(errors="replace")) for byte in (col, end))
    return Loc(name, line, (first if text else col) + 1, (last if text else end) + 1)


@lru_cache(maxsize=256)
def _positions(code: CodeType) -> list[tuple[int | None, int | None, int | None, int | None]]:
    return list(code.co_positions())


_files: dict[str, str] = {}
"""The full name of each file by the name that is shown."""


@lru_cache(maxsize=1024)
def _shown(filename: str) -> str:
    """A file name as it is shown: from here, where it lies below."""
    here = os.getcwd() + os.sep
    name = filename.removeprefix(here)
    _files[name] = filename
    return name


def code_place(code: CodeType) -> Loc:
    """Where a function begins."""
    return Loc(_shown(code.co_filename), code.co_firstlineno, 1)


def _lines(shown: str) -> list[str] | None:
    """The lines of a file, or of the cell of a notebook."""
    lines = linecache.getlines(_files.get(shown, shown))
    return [line.rstrip("\n") for line in lines] or None


@contextlib.contextmanager
def located() -> Iterator[None]:
    """Tells a fault found inside as one of the user's line, in the words of Python."""
    try:
        yield
    except TraceError:
        raise
    except IrkitError as fault:
        raise TraceError(
            in_python(fault.message),
            place(),
            found=fault.found,
            expected=in_python(fault.expected),
            hint=in_python(fault.hint),
        ) from None


def in_python(text: str | None) -> str:
    """A message about the language in the words of Python: `cast(x, f32)` is `x.astype("f32")` here."""
    return re.sub(r"\bcast\((\w+), (\w+)\)", r'\1.astype("\2")', text or "")


def full_name(shown: str) -> str:
    """The full name of a file by the name that is shown."""
    return _files.get(shown, shown)
