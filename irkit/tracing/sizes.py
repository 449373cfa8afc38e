"""Dims with a range while tracing: `B = irkit.dim("B", 32, 1, 64)`; arithmetic gives expressions, as in the language."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from dialects.dims import Dim
from dialects.types import DTYPES, np_dtype
from irkit.lang.unparse.text import MEANINGS
from irkit.tracing.errors import TraceError, place

SizeLike: TypeAlias = "Size | int | np.integer"

Range: TypeAlias = "tuple[int, int, int]"
"""Default, least and greatest value."""


@dataclass(frozen=True, eq=False)
class Size:
    """An integer expression over dims with a range; what Python must know of it is told as far as the ranges tell it."""

    dim: Dim
    ranges: Mapping[str, Range] = field(repr=False)

    def __repr__(self) -> str:
        return str(self.dim)

    def _with(self, other: object, function: object) -> Size | int:
        ranges = self.ranges
        if isinstance(other, Size):
            ranges, other = {**ranges, **other.ranges}, other.dim
        if not isinstance(other, int | np.integer | Dim):
            return NotImplemented
        found = function(self.dim, other if isinstance(other, Dim) else int(other))  # pyright: ignore
        return size(found, ranges)

    def __add__(self, other: SizeLike) -> Size | int:
        return self._with(other, lambda a, b: a + b)

    __radd__ = __add__

    def __sub__(self, other: SizeLike) -> Size | int:
        return self._with(other, lambda a, b: a - b)

    def __rsub__(self, other: SizeLike) -> Size | int:
        return self._with(other, lambda a, b: Dim.of(b) - a)

    def __mul__(self, other: SizeLike) -> Size | int:
        return self._with(other, lambda a, b: a * b)

    __rmul__ = __mul__

    def __floordiv__(self, other: SizeLike) -> Size | int:
        return self._with(other, lambda a, b: a // b)

    def __mod__(self, other: SizeLike) -> Size | int:
        return self._with(other, lambda a, b: a % b)

    def __eq__(self, other: object) -> bool:
        return self._sign(
            other, "==", lambda low, high: low == high == 0, lambda low, high: low > 0 or high < 0
        )

    def __hash__(self) -> int:
        return hash(self.dim)

    def __lt__(self, other: SizeLike) -> bool:
        return self._sign(other, "<", lambda low, high: high < 0, lambda low, high: low >= 0)

    def __le__(self, other: SizeLike) -> bool:
        return self._sign(other, "<=", lambda low, high: high <= 0, lambda low, high: low > 0)

    def __gt__(self, other: SizeLike) -> bool:
        return not self <= other

    def __ge__(self, other: SizeLike) -> bool:
        return not self < other

    def _sign(self, other: object, word: str, holds: object, fails: object) -> bool:
        """Whether a comparison holds for every value of the dims, or for none. Raises TraceError for neither."""
        if not isinstance(other, Size | int | np.integer):
            return NotImplemented
        gap = self.dim - (other.dim if isinstance(other, Size) else int(other))
        ranges = {**self.ranges, **(other.ranges if isinstance(other, Size) else {})}
        bounds = gap.bounds({n: (low, high) for n, (_, low, high) in ranges.items()})
        if holds(*bounds):  # pyright: ignore[reportCallIssue]
            return True
        if fails(*bounds):  # pyright: ignore[reportCallIssue]
            return False
        raise TraceError(
            f"'{self} {word} {other}' is not known while tracing",
            place(),
            found=", ".join(f"{n} in {low}..{high}" for n, (_, low, high) in sorted(ranges.items())),
            hint="give the dim a size, or a range in which this is always so or never",
        )

    def __index__(self) -> int:
        raise TraceError(
            f"the size {self} has no value while tracing",
            place(),
            hint="pass it to shapes and slices as it is, or give the dim a size",
        )

    __int__ = __float__ = __bool__ = __index__  # pyright: ignore[reportAssignmentType]


def size(dim: Dim, ranges: Mapping[str, Range]) -> Size | int:
    """A dim as Python code sees it: an int where it has a value."""
    return Size(dim, ranges) if dim.value is None else dim.value


def dim(name: str, default: int, low: int | None = None, high: int | None = None) -> Size | int:
    """A dim to be used in shapes: `dim("B", 32, 1, 64)` for every size from 1 to 64; without a range just the default.

    Raises TraceError for a name that cannot be one, and for a default outside of the range.
    """
    if not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII) or name in MEANINGS:
        raise TraceError(
            f"'{name}' cannot be the name of a dim",
            place(),
            expected="letters, digits and underscores after a letter, as in B",
        )
    if low is None and high is None:
        return default
    if low is None or high is None or not 0 <= low <= default <= high:
        raise TraceError(
            f"bad range of dim '{name}'",
            place(),
            found=f"{default} in {low}..{high}",
            expected='least <= default <= greatest, as in dim("B", 32, 1, 64)',
        )
    return Size(Dim.of(name), {name: (default, low, high)})


@dataclass(frozen=True)
class Spec:
    """A tensor without data, to trace with: its dims and dtype."""

    shape: tuple[Size | int, ...]
    dtype: str = "f32"

    def dims(self) -> tuple[Dim, ...]:
        return tuple(map(dim_of, self.shape))


def spec(shape: Sequence[SizeLike] | SizeLike, dtype: object = "f32") -> Spec:
    """A tensor without data: `spec([B, 64])`, `spec([], "i32")`. Raises TraceError."""
    sizes = (shape,) if isinstance(shape, Size | int | np.integer) else tuple(shape)
    for one in sizes:
        if not isinstance(one, Size | int | np.integer) or (not isinstance(one, Size) and int(one) < 0):
            raise TraceError(
                f"'{one}' is no size", place(), expected="integers of 0 or more, or irkit.dim(...)"
            )
    return Spec(tuple(s if isinstance(s, Size) else int(s) for s in sizes), dtype_of(dtype))


def dim_of(value: SizeLike) -> Dim:
    return value.dim if isinstance(value, Size) else Dim.of(int(value))


_NAMES = {np_dtype(name): name for name in DTYPES}


def dtype_of(value: object) -> str:
    """The name of a dtype from a name of ours (`f32`), or from what NumPy takes for one. Raises TraceError."""
    if isinstance(value, str) and value in DTYPES:
        return value
    try:
        found = _NAMES.get(np.dtype(value))  # pyright: ignore
    except TypeError:
        found = None
    if found is None:
        raise TraceError(
            f"unknown dtype '{getattr(value, '__name__', value)}'",
            place(),
            expected=f"one of {', '.join(DTYPES)}",
        )
    return found
