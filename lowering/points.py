"""Index expressions at many points at once, for the interpreters."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dialects.dims import Dim, Opaque

Array = np.ndarray


def evaluate(dim: Dim, names: Mapping[str, Array | int]) -> Array | int:
    """A dim expression over arrays of indices."""
    total: Array | int = 0
    for monomial, factor in dim.terms:
        term: Array | int = factor
        for atom in monomial:
            term = term * (_atom(atom, names) if isinstance(atom, Opaque) else names[atom])
        total = total + term
    return total


def _atom(atom: Opaque, names: Mapping[str, Array | int]) -> Array | int:
    first, *rest = [evaluate(a, names) for a in atom.args]
    for other in rest:
        match atom.kind:
            case "floordiv":
                first = first // other
            case "mod":
                first = first % other
            case "xor":
                first = first ^ other
            case "min":
                first = np.minimum(first, other)
            case _:
                first = np.maximum(first, other)
    return first
