"""Pieces of text that all parts of the printer share: expressions with how tightly they bind, numbers, dims, names."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from xdsl.ir import Attribute

from dialects import graph
from dialects.dims import Dim
from dialects.errors import IrkitError
from dialects.types import DTYPES, dtype_name, np_dtype
from irkit.lang.calls import SPECIAL
from irkit.lang.parser import CONSTANTS, UNARY

PRIMARY = 10
"""How tightly a name, a call or a number binds; operators bind by `parser.PRECEDENCE`."""

WORDS = frozenset(
    "import dim param fn in with collect for while max if else return boundary schedule".split()  # noqa: SIM905
)
MEANINGS = frozenset({*WORDS, *DTYPES, *CONSTANTS})
"""What no input, parameter or axis may be called."""

RESERVED = MEANINGS | {*graph.OPS, *SPECIAL}
"""What no value is called, so that a reader sees at once what is a function."""


@dataclass(frozen=True)
class Expr:
    """Text with its precedence; `number` is the literal alone where it is a number with a dtype, `cast(2, f32)`."""

    text: str
    level: int = PRIMARY
    number: str | None = None

    def within(self, least: int) -> str:
        """The text where something of a precedence is wanted."""
        return self.text if self.level >= least else f"({self.text})"


def literal(value: float | bool, element: Attribute) -> str:
    """A number that reads back as the same element of a dtype."""
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, int) or dtype_name(element)[0] in "iu":
        return str(int(value))
    if not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    kind = np_dtype(element)
    kind = {np.dtype(np.complex64): np.dtype(np.float32), np.dtype(np.complex128): np.dtype(float)}.get(
        kind, kind
    )
    if value and value == int(value) and abs(value) < 1e6:
        return str(int(value))
    exact = kind.type(value)
    for digits in range(1, 17):
        text = f"{value:.{digits}g}"
        if kind.type(float(text)) == exact:
            break
    else:
        text = repr(float(value))
    if text.lstrip("-").isdigit():  # a sign of zero survives in a float alone
        text += ".0" if value == 0 and text[0] == "-" else ""
    return text


def number(text: str) -> Expr:
    """A literal as an expression of its own."""
    return Expr(text, UNARY if text.startswith("-") else PRIMARY)


def dim_text(dim: Dim, op: object = None) -> str:
    """A dim expression as types, lists and indices write it; raises IrkitError where there is no such form."""
    text = str(dim)
    if "min(" in text or "max(" in text:
        raise IrkitError(
            "the language has no least or greatest of dims in a type or a list",
            op,  # pyright: ignore[reportArgumentType]
            found=text,
            hint="give the dims values",
        )
    return spelt(text)


def spelt(text: str) -> str:
    """Division and remainder as the language writes them."""
    return text.replace(" floordiv ", " / ").replace(" mod ", " % ")


def dims_text(dims: Iterable[Dim], op: object = None) -> str:
    return "[" + ", ".join(dim_text(d, op) for d in dims) + "]"


def type_text(dtype: str, dims: Sequence[Dim], op: object = None) -> str:
    """`f32[B, 64]`; a scalar has no brackets."""
    return dtype + (dims_text(dims, op) if dims else "")


class Names:
    """Gives out names, each once."""

    def __init__(self, taken: Iterable[str] = ()):
        self.taken = set(taken)
        self.counts: dict[str, int] = {}

    def fresh(self, hint: str | None, default: str = "t", avoid: frozenset[str] = RESERVED) -> str:
        """A new identifier like the hint; `t1`, `t2`, ... where there is none."""
        base = identifier(hint)
        if base and base not in avoid and base not in self.taken:
            return self.take(base)
        if base and base in avoid:
            base += "_"
            if base not in self.taken:
                return self.take(base)
        stem = (base.rstrip("0123456789").rstrip("_") + "_") if base else default
        count = self.counts.get(stem, 1 if not base else 2)
        while f"{stem}{count}" in self.taken or f"{stem}{count}" in avoid:
            count += 1
        self.counts[stem] = count + 1
        return self.take(f"{stem}{count}")

    def take(self, name: str) -> str:
        self.taken.add(name)
        return name


def is_name(text: str) -> bool:
    """Whether the language takes it for the name of an argument, a result or a parameter."""
    return re.fullmatch(r"[A-Za-z_]\w*", text, re.ASCII) is not None and text not in MEANINGS


def identifier(hint: str | None) -> str:
    """A name with what no identifier holds replaced; empty where nothing is left."""
    text = re.sub(r"[^A-Za-z0-9_]", "_", hint or "")
    return text if not text or not text[0].isdigit() else f"_{text}"
