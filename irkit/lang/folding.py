"""Arithmetic on numbers that are known while compiling: literals, dims, and what is computed from them.

Numbers are exact where they can be: `1 / 2` is 0.5, `64 / 2` is the integer 32. A dim with a range stays an expression.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

from dialects.dims import Dim, dmax, dmin
from dialects.errors import IrkitError, Loc
from irkit.lang.builder import Number

_OPERATORS: dict[str, Callable[..., Number]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "%": operator.mod,
    "**": lambda a, b: _power(a, b),
    "<<": lambda a, b: operator.lshift(a, _count(b)),
    ">>": operator.rshift,
    "&": operator.and_,
    "|": operator.or_,
    "^": operator.xor,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ON_DIMS = ("+", "-", "*", "%", "/")

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "exp": math.exp,
    "log": math.log,
    "sqrt": math.sqrt,
    "rsqrt": lambda x: 1 / math.sqrt(x),
    "tanh": math.tanh,
    "erf": math.erf,
    "sin": math.sin,
    "cos": math.cos,
    "floor": math.floor,
    "ceil": math.ceil,
    "abs": abs,
    "min": lambda *a: dmin(*a) if any(isinstance(v, Dim) for v in a) else min(a),
    "max": lambda *a: dmax(*a) if any(isinstance(v, Dim) for v in a) else max(a),
    "pow": lambda a, b: _power(a, b),
}
"""Functions that take numbers as well as tensors."""


MAX_DIGITS = 40
"""Of a number that a message quotes."""

MAX_BITS = 1 << 12
"""Of an integer that is computed; no dtype holds as many."""


def _count(b: int) -> int:
    if b > 64:
        raise ValueError
    return b


def _power(a: Number, b: Number) -> Number:
    if isinstance(a, int) and isinstance(b, int) and a.bit_length() * b > MAX_BITS:
        raise OverflowError
    return operator.pow(a, b)


def fold(op: str, a: Number, b: Number, loc: Loc) -> Number:
    """The number that an infix operator gives. Raises IrkitError."""
    on_dims = isinstance(a, Dim) or isinstance(b, Dim)
    if op == "@" or (on_dims and (op not in _ON_DIMS or isinstance(a, float) or isinstance(b, float))):
        hint = (
            "@ multiplies tensors; use *"
            if op == "@"
            else "give the dim no range, or pass it in as an integer"
        )
        raise IrkitError(f"'{op}' does not take {a} and {b}", loc, hint=hint)
    try:
        if op == "/":
            return _divide(a, b)
        return _bounded(simplified(_OPERATORS[op](a, b)))
    except OverflowError:
        raise IrkitError(f"{_short(a)} {op} {_short(b)} is too large", loc) from None
    except (ArithmeticError, ValueError, TypeError):
        raise IrkitError(f"{a} {op} {b} has no value", loc) from None


def prefix(op: str, a: Number, loc: Loc) -> Number:
    """The number that `-` or `~` gives; `~` of a truth value is its negation. Raises IrkitError."""
    if op == "-":
        return fold("*", -1, a, loc)
    if isinstance(a, Dim | float):
        raise IrkitError(f"'~' does not take {a}", loc, expected="an integer, or true or false")
    return not a if isinstance(a, bool) else ~a


def fold_integer(op: str, a: Dim, b: Dim, loc: Loc) -> Dim:
    """The same among sizes and positions, where division rounds down. Raises IrkitError."""
    try:
        value = a // b if op == "/" else fold(op, simplified(a), simplified(b), loc)
    except ZeroDivisionError:
        raise IrkitError(f"{a} / {b} has no value", loc) from None
    if isinstance(value, Dim) or type(value) is int:
        return Dim.of(value)
    raise IrkitError("this is no size", loc, found=str(value), expected="an integer")


def call(name: str, args: list[Number], loc: Loc) -> Number:
    """The number that a function of FUNCTIONS gives. Raises IrkitError."""
    try:
        return simplified(FUNCTIONS[name](*args))
    except OverflowError:
        raise IrkitError(f"{name} of {', '.join(map(_short, args))} is too large", loc) from None
    except (ArithmeticError, ValueError, TypeError):
        text = ", ".join(map(str, args))
        raise IrkitError(f"{name}({text}) has no value", loc) from None


def _bounded(value: Number) -> Number:
    if type(value) is int and value.bit_length() > MAX_BITS:
        raise OverflowError
    return value


def _short(value: Number) -> str:
    text = str(value)
    return text if len(text) <= MAX_DIGITS else f"{text[:MAX_DIGITS]}..."


def simplified(value: Number) -> Number:
    """An int for a dim expression that holds no name."""
    if isinstance(value, Dim) and value.value is not None:
        return value.value
    return value if not isinstance(value, complex) else float("nan")


def _divide(a: Number, b: Number) -> Number:
    if isinstance(a, Dim) or isinstance(b, Dim):
        return simplified(a // b)  # pyright: ignore[reportOperatorIssue]
    if isinstance(a, int) and isinstance(b, int) and a % b == 0:
        return a // b
    return a / b
