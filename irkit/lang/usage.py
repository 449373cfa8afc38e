"""How each op is written in the language, for the reference."""

from __future__ import annotations

from irkit.lang.calls import CONSTANT, FILLED, RENAMED, SPECIAL, reduction_usage, signature
from irkit.lang.operators import COMPARISONS, LOGICAL, OPERATORS, PREFIXES

_SUBSCRIPTS = {"slice": "x[start:stop:stride, ...]", "gather": "x[..., indices]"}
_INSTEAD = {"constant": [CONSTANT], "compare": [f"a {sign} b" for sign in COMPARISONS]}
_BESIDE = {"broadcast": list(FILLED.values())}


def spellings(name: str) -> list[str]:
    """The forms of an op, operators first: `a @ b`, `matmul(a, b)`."""
    if name in _INSTEAD:
        return _INSTEAD[name]
    return [*_operators(name), *_calls(name), *_BESIDE.get(name, ())]


def _operators(name: str) -> list[str]:
    if name in _SUBSCRIPTS:
        return [_SUBSCRIPTS[name]]
    found = [f"{sign}x" for sign, op in PREFIXES.items() if op == name]
    found += [f"{sign}x" if sign in PREFIXES else f"a {sign} b" for sign, op in LOGICAL.items() if op == name]
    return found + [f"a {sign} b" for sign, op in OPERATORS.items() if op == name]


def _calls(name: str) -> list[str]:
    short = name.removeprefix("reduce_")
    if short != name and short in SPECIAL:
        return [reduction_usage(short)]
    own = [signature(name).replace(f"{name}(", f"{word}(", 1) for word, op in RENAMED.items() if op == name]
    return own or [signature(name)]
