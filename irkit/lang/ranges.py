"""The ranges of the axes of index notation, and the proof that accesses stay inside.

Pure functions on dim expressions. Without a boundary, an axis runs over the interior: wherever every access is in
range. With one, it runs over the whole of what it indexes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from dialects.dims import ZERO, Dim, ceildiv, dmax, dmin
from dialects.errors import IrkitError, Loc

Interval: TypeAlias = "tuple[Dim, Dim]"
"""From the first to one past the last."""


@dataclass(frozen=True)
class Component:
    """One index of an access: an expression over axes, the size of the dim that it indexes, text and place."""

    expr: Dim
    size: Dim
    text: str
    loc: Loc


class Unsolvable(Exception):
    """No access tells the range of an axis."""


def solve(
    axes: Sequence[str],
    components: Sequence[Component],
    symbols: Mapping[str, tuple[float, float]],
    has_boundary: bool,
) -> dict[str, Interval]:
    """The range of each axis; `axes` come in the order in which ranges are looked for (reduced axes first).

    Raises Unsolvable with the axis that has none, IrkitError where two accesses disagree.
    """
    known: dict[str, Interval] = {}
    left = list(axes)
    while left:
        for axis in left:
            usable = [c for c in components if _only_unknown(c.expr, axis, known, axes)]
            if usable:
                known[axis] = _range_of(axis, usable, known, symbols, has_boundary)
                left.remove(axis)
                break
        else:
            raise Unsolvable(left[0])
    return known


def _only_unknown(expr: Dim, axis: str, known: Mapping[str, Interval], axes: Sequence[str]) -> bool:
    unknown = {n for n in expr.names() if n in axes and n not in known}
    factor = expr.coefficient(axis)
    return unknown == {axis} and factor is not None and bool(factor.value)


def _range_of(
    axis: str,
    components: Sequence[Component],
    known: Mapping[str, Interval],
    symbols: Mapping[str, tuple[float, float]],
    has_boundary: bool,
) -> Interval:
    groups: dict[tuple[Dim, int], tuple[Interval, Component]] = {}
    for c in components:
        factor = (c.expr.coefficient(axis) or ZERO).value or 1
        if has_boundary:
            interval = ZERO, ceildiv(c.size, abs(factor))
        else:
            interval = _inside(c.expr.without(axis), factor, c.size, known)
        key = c.size, abs(factor)
        if key in groups:
            low, high = groups[key][0]
            interval = dmax(low, interval[0]), dmin(high, interval[1])
        groups[key] = interval, c
    (first, at), *others = groups.values()
    for interval, c in others:
        if interval != first:
            raise IrkitError(
                f"the range of '{axis}' is not clear",
                c.loc,
                found=f"{_text(first)} from {at.text}, {_text(interval)} from {c.text}",
                expected="one range",
                hint="slice one of them first",
            )
    low, high = first
    if (high - low).bounds(symbols)[0] < 0:
        raise IrkitError(
            f"'{axis}' has no values", at.loc, found=_text(first), hint="state a boundary: ..., boundary=zero"
        )
    return low, high


def _text(interval: Interval) -> str:
    return f"{interval[0]}..{interval[1]}"


def _inside(rest: Dim, factor: int, size: Dim, known: Mapping[str, Interval]) -> Interval:
    """Where 0 <= factor * axis + rest < size for every value of rest."""
    low, high = extremes(rest, known)
    if factor > 0:
        return ceildiv(-low, factor), (size - 1 - high) // factor + 1
    return ceildiv(high - (size - 1), -factor), low // -factor + 1


def extremes(expr: Dim, ranges: Mapping[str, Interval]) -> tuple[Dim, Dim]:
    """The least and greatest value of an expression over axes that it is linear in."""
    low = high = expr
    for name in sorted(expr.names() & ranges.keys()):
        first, last = ranges[name][0], ranges[name][1] - 1
        factor = expr.coefficient(name)
        rising = factor is None or (factor.value or 0) >= 0
        low = low.subst({name: first if rising else last})
        high = high.subst({name: last if rising else first})
    return low, high


def stays_inside(
    component: Component,
    ranges: Mapping[str, Interval],
    symbols: Mapping[str, tuple[float, float]],
    mirrored: bool = False,
) -> bool:
    """Whether an access is in range for all values of the axes and symbols; `mirrored`: or in a mirror image."""
    last = component.size - 1
    least, most = (-last, last * 2) if mirrored else (ZERO, last)
    names = component.expr.names() & ranges.keys()
    if any((ranges[n][1] - ranges[n][0]).bounds(symbols)[1] <= 0 for n in ranges):
        return True  # there is no point at all
    if all((f := component.expr.coefficient(n)) is not None and f.value is not None for n in names):
        low, high = extremes(component.expr, ranges)
        return (low - least).bounds(symbols)[0] >= 0 and (most - high).bounds(symbols)[0] >= 0
    # floordiv, mod, products: interval arithmetic on numbers
    box = dict(symbols)
    for name in names:
        low, high = ranges[name]
        box[name] = low.bounds(symbols)[0], high.bounds(symbols)[1] - 1
    low, high = component.expr.bounds(box)
    return low >= least.bounds(symbols)[1] and high <= most.bounds(symbols)[0]
