"""Quantised types as they are written: `quant(i8, scale=0.05, zero=3)`, in types and as what `cast` converts to."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dialects.dims import Dim
from dialects.errors import IrkitError, Loc
from dialects.quant import Problem, QuantType, problem, quant
from dialects.types import DTYPES
from irkit.diagnostics import nearest
from irkit.lang import tree

NAME = "quant"
USAGE = "quant(storage, scale, zero=0, axis=none, block=none, expressed=f32)"
WORDS = ("storage", "scale", "zero", "axis", "block", "expressed")

Constant = Callable[[tree.Expr], object]
"""Gives what an expression is while compiling: a number, a list, a dtype's name."""


def quant_type(node: tree.Call, constant: Constant, loc: Callable[[tree.Node], Loc]) -> QuantType:
    """The type that a call of `quant` means. Raises IrkitError."""
    given = _arguments(node, loc)

    def value(name: str, kind: str, check: Callable[[object], object]) -> object:
        if name not in given:
            return None
        found = constant(given[name])
        try:
            return check(found)
        except TypeError:
            raise IrkitError(
                f"bad {name} of a quantised type", loc(given[name]), found=str(found), expected=kind
            ) from None

    storage, expressed = (value(k, "a dtype", _dtype) or "f32" for k in ("storage", "expressed"))
    scales = value("scale", "a number, or a list of them", _numbers)
    zeros = value("zero", "an integer, or a list of them", _integers)
    axis, block = (value(k, "an integer, 0 or more", _count) for k in ("axis", "block"))
    assert isinstance(scales, list)
    points = zeros if isinstance(zeros, list) else [0]
    points = points * len(scales) if len(points) == 1 else points
    parts = (DTYPES[str(storage)], DTYPES[str(expressed)], scales, points)
    along = axis if isinstance(axis, int) else -1
    each = block if isinstance(block, int) else 0
    if (fault := problem(*parts, along, each)) is not None:
        raise _fault(fault, node, given, loc)
    return quant(*parts, along, each)


def _fault(fault: Problem, node: tree.Call, given: dict[str, tree.Expr], loc: Callable) -> IrkitError:
    """The error for a type that cannot be, at the argument that its message speaks of."""
    words = {
        "the storage": "storage",
        "what is": "expressed",
        "scales are": "scale",
        "zero": "zero",
        "a block": "block",
    }
    place = next(
        (given[w] for start, w in words.items() if fault.message.startswith(start) and w in given), node
    )
    return IrkitError(
        f"bad quantised type: {fault.message}", loc(place), found=fault.found, expected=fault.expected
    )


def _arguments(node: tree.Call, loc: Callable[[tree.Node], Loc]) -> dict[str, tree.Expr]:
    """The arguments by name."""
    if len(node.args) > len(WORDS):
        raise IrkitError("too many arguments for a quantised type", loc(node), expected=USAGE)
    given: dict[str, tree.Expr] = dict(zip(WORDS, node.args, strict=False))
    for keyword in node.keywords:
        if keyword.name not in WORDS or keyword.name in given:
            fault = "is given twice" if keyword.name in given else "is no argument of a quantised type"
            hint = nearest(keyword.name, WORDS, {"zero_point": "zero", "dtype": "storage", "dim": "axis"})
            raise IrkitError(f"'{keyword.name}' {fault}", loc(keyword), expected=USAGE, hint=hint)
        given[keyword.name] = keyword.value
    for name in WORDS[:2]:
        if name not in given:
            raise IrkitError(f"a quantised type needs '{name}'", loc(node), expected=USAGE)
    return given


def _dtype(value: object) -> str:
    if not isinstance(value, str) or value not in DTYPES:
        raise TypeError
    return value


def _listed(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else [value]


def _numbers(value: object) -> list[float]:
    return [_number(v) for v in _listed(value)]


def _number(value: object) -> float:
    if isinstance(value, Dim) and value.value is not None:
        return float(value.value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return float(value)


def _integers(value: object) -> list[int]:
    return [_integer(v) for v in _listed(value)]


def _integer(value: object) -> int:
    if _number(value) != (whole := int(_number(value))):
        raise TypeError
    return whole


def _count(value: object) -> int:
    if _integer(value) < 0:
        raise TypeError
    return _integer(value)
