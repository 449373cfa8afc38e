"""Dim expressions as C, on int64_t."""

from __future__ import annotations

from collections.abc import Mapping

from dialects.dims import Dim, Opaque

Ranges = Mapping[str, tuple[float, float]]


def c_dim(dim: Dim, ranges: Ranges, names: Mapping[str, str] | None = None) -> str:
    """The C expression; `ranges` shows which divisions need no care for negative numbers, `names` renames."""
    if not dim.terms:
        return "0"
    text = ""
    for monomial, factor in dim.terms:
        atoms = [_atom(a, ranges, names or {}) for a in monomial]
        size = abs(factor)
        parts = ([str(size)] if size != 1 or not atoms else []) + atoms
        sign = ("-" if factor < 0 else "") if not text else (" - " if factor < 0 else " + ")
        text += sign + " * ".join(parts)
    return text


def c_factor(dim: Dim, ranges: Ranges, names: Mapping[str, str] | None = None) -> str:
    """The same, in parentheses where it stands in a product."""
    text = c_dim(dim, ranges, names)
    return f"({text})" if dim.needs_parentheses else text


def _atom(atom: str | Opaque, ranges: Ranges, names: Mapping[str, str]) -> str:
    if isinstance(atom, str):
        return names.get(atom, atom)
    if atom.kind in ("min", "max"):
        out = c_dim(atom.args[0], ranges, names)
        for arg in atom.args[1:]:
            out = f"irk_{atom.kind}_i64({out}, {c_dim(arg, ranges, names)})"
        return out
    a, b = atom.args
    if atom.kind == "xor":
        return f"({c_factor(a, ranges, names)} ^ {c_factor(b, ranges, names)})"
    plain = a.bounds(ranges)[0] >= 0 and b.bounds(ranges)[0] > 0
    if plain:
        divisor = c_dim(b, ranges, names)
        divisor = f"({divisor})" if b.is_product else divisor
        return f"({c_factor(a, ranges, names)} {'/' if atom.kind == 'floordiv' else '%'} {divisor})"
    return f"irk_{atom.kind}_i64({c_dim(a, ranges, names)}, {c_dim(b, ranges, names)})"
