"""How many elements that lie side by side a thread may take at once: as many as begin at a multiple of themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import gcd

from dialects.dims import ONE, Dim, Opaque
from dialects.types import RefType


def divisor(expr: Dim, known: Mapping[str, int]) -> int:
    """A number that divides an expression, whatever its names are; `known` gives divisors of some of them. 0 for 0."""
    found = 0
    for monomial, factor in expr.terms:
        term = abs(factor)
        for atom in monomial:
            term *= _of_atom(atom, known)
        found = gcd(found, term)
    return found


def _of_atom(atom: str | Opaque, known: Mapping[str, int]) -> int:
    if isinstance(atom, str):
        return known.get(atom, 1)
    if atom.kind in ("min", "max"):
        return gcd(*(divisor(arg, known) for arg in atom.args))
    if atom.kind == "xor":
        common = gcd(*(divisor(arg, known) for arg in atom.args))
        return common & -common
    if atom.kind == "mod":
        return gcd(divisor(atom.args[0], known), divisor(atom.args[1], known)) or 1
    return 1


def offset(array: RefType, index: Sequence[Dim]) -> Dim:
    """The place of an element in memory, in elements."""
    total = Dim.of(0)
    for expr, stride in zip(index, array.strides.data, strict=True):
        total = total + expr * stride
    return total


def unit_lanes(array: RefType, index: Sequence[Dim], dim: int, most: int, known: Mapping[str, int]) -> int:
    """The largest power of two up to `most` of elements along a dim that lie side by side and begin at a multiple of it."""
    if array.strides.data[dim] != ONE or any(n.startswith("_") for e in index for n in e.names()):
        return 1
    common = gcd(divisor(offset(array, index), known), most)
    return common & -common
