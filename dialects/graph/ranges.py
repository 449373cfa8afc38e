"""What the ranges of a function's dims allow: bounds of dim expressions, and ops that may leave them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, inf

from xdsl.ir import Operation

from dialects.dims import ZERO, Dim, Opaque
from dialects.errors import Mismatch
from dialects.syntax import SymbolsAttr
from dialects.types import AnyTensor, dims_of, type_text

Ranges = Mapping[str, tuple[float, float]]

MAX_STEPS = 6
"""So many minima, maxima and quotients of an expression are taken apart."""


def symbol_ranges(op: Operation) -> Ranges:
    """The ranges of the dim symbols that the function around an op declares."""
    current: Operation | None = op
    while current is not None:
        for name in ("graph.symbols", "symbols"):
            declared = current.attributes.get(name) or current.properties.get(name)
            if isinstance(declared, SymbolsAttr):
                return declared.ranges()
        current = current.parent_op()
    return {}


def least(expr: Dim, ranges: Ranges, steps: int = MAX_STEPS) -> float:
    """A lower bound. Finer than intervals where a name stands in several terms: H - H floordiv 2, H - min(B, H)."""
    low = expr.bounds(ranges)[0]
    if low >= 0 or not steps:
        return low
    for monomial, factor in expr.terms:
        if len(monomial) != 1 or not isinstance(atom := monomial[0], Opaque):
            continue
        if atom.kind in ("min", "max"):
            found = [least(expr.replace_atom(atom, a), ranges, steps - 1) for a in atom.args]
            is_free = (atom.kind == "max") == (factor > 0) and _count(expr, atom) == 1
            return max(low, max(found) if is_free else min(found))
        if atom.kind == "floordiv" and (divisor := atom.args[1].value) is not None and divisor > 0:
            # a floordiv k = (a - r) / k, and the remainder r is from 0 to k - 1
            rest = (expr - Dim(((monomial, factor),))) * divisor + atom.args[0] * factor
            bound = least(rest, ranges, steps - 1) - max(0, factor * (divisor - 1))
            return max(low, ceil(bound / divisor) if bound > -inf else bound)
    return low


def _count(expr: Dim, atom: Opaque) -> int:
    """How many terms hold an atom, at any depth."""
    return sum(Dim((term,)).replace_atom(atom, ZERO) != Dim((term,)) for term in expr.terms)


def check_ranges(
    name: str,
    types: Sequence[AnyTensor],
    values: Mapping[str, object],
    results: Sequence[AnyTensor],
    ranges: Ranges,
) -> None:
    """Raises Mismatch for a result that may have a negative dim, and for a slice that may leave its operand.

    What an op needs beyond that holds for all sizes, or is clamped as it runs.
    """
    if not ranges:
        return
    count = sum(len(dims_of(t)) for t in results)
    for i, (what, room) in enumerate(_needs(name, types, values, results)):
        if room.value is None and least(room, ranges) < 0:
            raise Mismatch(
                what if i >= count else f"{name} may give a negative dim",
                found=f"{', '.join(map(type_text, types)) or name}, {_ranges_text(room, ranges)}",
                expected=f"{room} >= 0 for all sizes",
                hint="narrow the range of a dim"
                + (", or take min(B, H) of dims" if i >= count and name == "slice" else ""),
            )


def _needs(
    name: str, types: Sequence[AnyTensor], values: Mapping[str, object], results: Sequence[AnyTensor]
) -> list[tuple[str, Dim]]:
    """Expressions that have to be 0 or more, with what is wrong where they are not."""
    found = [(name, dim) for type_ in results for dim in dims_of(type_)]
    sizes = dims_of(types[0]) if types else ()
    if name == "slice":
        for i, (start, stop) in enumerate(zip(values["starts"], values["stops"], strict=True)):  # pyright: ignore
            for room in (start, sizes[i] - stop, stop - start):
                found.append((f"slice {start}:{stop} may leave dim {i}", room))
    if name == "pad" and values["mode"] != "constant":
        for i, (before, after) in enumerate(zip(values["pads"][::2], values["pads"][1::2], strict=True)):  # pyright: ignore
            if widest := max(before, after):
                least_size = widest + 1 if values["mode"] == "reflect" else 1
                found.append((f"dim {i} may be too small for pad", sizes[i] - least_size))
    if name == "top_k":
        axis, k = values["axis"], values["k"]
        assert isinstance(axis, int)
        found.append((f"there may be no {k} elements in dim {axis}", sizes[axis] - k))  # pyright: ignore
    return found


def _ranges_text(expr: Dim, ranges: Ranges) -> str:
    """`B in 1..8, H in 6..20`."""
    names = sorted(expr.names() & ranges.keys())
    return ", ".join(f"{n} in {int(ranges[n][0])}..{int(ranges[n][1])}" for n in names)
