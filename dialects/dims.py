"""Integer expressions over named dims: the sizes, indices, bounds and offsets of every level.

A `Dim` is kept in a normal form, a polynomial whose atoms are names and the nodes that a polynomial cannot hold
(`floordiv`, `mod`, `min`, `max`), so that two expressions that are equal by ring laws compare equal. At graph level
names are the dims that a function declares; below it they are also kernel axes and loop variables. `_0`, `_1`, ...
name value operands of the op that holds the expression (a gather's index).

Textual form: `2*B + 1`, `i floordiv 4`, `(i + 3) mod 8`, `min(256, K - k)`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from xdsl.ir import Data
from xdsl.irdl import irdl_attr_definition
from xdsl.parser import AttrParser
from xdsl.printer import Printer

INF = float("inf")

DimLike: TypeAlias = "Dim | int | str"


@dataclass(frozen=True, order=False)
class Opaque:
    """An atom that is no name: `kind` is floordiv, mod, min, max or xor; floordiv and mod have a positive constant divisor or a
    Dim, xor is of the bits of two numbers that are not negative."""

    kind: str
    args: tuple[Dim, ...]

    def __str__(self) -> str:
        if self.kind in ("min", "max"):
            return f"{self.kind}({', '.join(map(str, self.args))})"
        left, right = self.args
        left = f"({left})" if left.needs_parentheses else str(left)
        right = f"({right})" if right.is_product or right.is_infix else str(right)
        return f"({left} {self.kind} {right})"


Atom: TypeAlias = "str | Opaque"
Monomial: TypeAlias = "tuple[Atom, ...]"


@dataclass(frozen=True)
class Dim:
    """An integer expression in normal form: a sum of coefficients times products of atoms, sorted by their text."""

    terms: tuple[tuple[Monomial, int], ...]

    # -- construction -----------------------------------------------------------------------------------------

    @staticmethod
    def of(value: DimLike) -> Dim:
        """A Dim from an int, a name, or a Dim."""
        if isinstance(value, Dim):
            return value
        if isinstance(value, str):
            return _name(value)
        return _const(int(value))

    @staticmethod
    def parse(text: str) -> Dim:
        """Reads the textual form; raises ValueError."""
        reader = _TextReader(text)
        dim = _parse_sum(reader)
        reader.expect_end()
        return dim

    # -- queries ----------------------------------------------------------------------------------------------

    @property
    def value(self) -> int | None:
        """The integer that it is, or None where it holds a name."""
        if not self.terms:
            return 0
        if len(self.terms) == 1 and self.terms[0][0] == ():
            return self.terms[0][1]
        return None

    @property
    def constant(self) -> int:
        """The constant term."""
        return next((c for m, c in self.terms if m == ()), 0)

    @property
    def needs_parentheses(self) -> bool:
        return len(self.terms) > 1 or (
            len(self.terms) == 1 and (self.terms[0][1] < 0 or len(self.terms[0][0]) > 1)
        )

    @property
    def opaque(self) -> Opaque | None:
        """The quotient, remainder or the like that it is, and nothing else."""
        if len(self.terms) != 1 or self.terms[0][1] != 1 or len(self.terms[0][0]) != 1:
            return None
        (atom,) = self.terms[0][0]
        return atom if isinstance(atom, Opaque) else None

    @property
    def is_infix(self) -> bool:
        """Whether it is one quotient, remainder or the like, printed without parentheses around it."""
        return self.opaque is not None and self.opaque.kind not in ("min", "max")

    @property
    def is_product(self) -> bool:
        """Whether it needs parentheses as a divisor: also `2 * H`."""
        return self.needs_parentheses or (self.value is None and self.terms[0][1] != 1)

    def names(self) -> frozenset[str]:
        """Every name in it."""
        return _names(self)

    def coefficient(self, name: str) -> Dim | None:
        """c where self = c*name + rest and rest is free of name; None where it is not linear in name."""
        out: dict[Monomial, int] = {}
        for monomial, factor in self.terms:
            count = sum(a == name for a in monomial)
            if any(isinstance(a, Opaque) and name in _atom_names(a) for a in monomial) or count > 1:
                return None
            if count:
                out[tuple(a for a in monomial if a != name)] = factor
        return _normal(out)

    def without(self, name: str) -> Dim:
        """The part that is free of name."""
        return self.subst({name: 0})

    def replace_atom(self, old: Opaque, new: Dim) -> Dim:
        """Replaces a min, max, quotient or remainder, however deep it stands, by an expression."""
        total = ZERO
        for monomial, factor in self.terms:
            product = _const(factor)
            for atom in monomial:
                if atom == old:
                    product = product * new
                elif isinstance(atom, str):
                    product = product * Dim.of(atom)
                else:
                    product = product * _opaque(atom.kind, [a.replace_atom(old, new) for a in atom.args])
            total = total + product
        return total

    def subst(self, values: Mapping[str, DimLike]) -> Dim:
        """Replaces names by expressions."""
        if not self.terms or not (self.names() & values.keys()):
            return self
        total = ZERO
        for monomial, factor in self.terms:
            product = _const(factor)
            for atom in monomial:
                if isinstance(atom, str):
                    product = product * Dim.of(values.get(atom, atom))
                else:
                    product = product * _opaque(atom.kind, [a.subst(values) for a in atom.args])
            total = total + product
        return total

    def evaluate(self, values: Mapping[str, int]) -> int:
        """The integer at given values of all names; raises KeyError for one that is missing."""
        return sum(c * _product(_atom_value(a, values) for a in m) for m, c in self.terms)

    def bounds(self, ranges: Mapping[str, tuple[float, float]]) -> tuple[float, float]:
        """Interval arithmetic: (least, greatest) over inclusive ranges of the names; unknown names are unbounded."""
        low = high = 0.0
        for monomial, factor in self.terms:
            lo, hi = 1.0, 1.0
            for atom in monomial:
                a, b = _atom_bounds(atom, ranges)
                corners = [_times(x, y) for x in (lo, hi) for y in (a, b)]
                lo, hi = min(corners), max(corners)
            corners = [_times(lo, factor), _times(hi, factor)]
            low, high = low + min(corners), high + max(corners)
        return tuple(int(x) if abs(x) != INF else x for x in (low, high))  # pyright: ignore[reportReturnType]

    # -- arithmetic -------------------------------------------------------------------------------------------

    def __add__(self, other: DimLike) -> Dim:
        other = Dim.of(other)
        if not other.terms:
            return self
        if not self.terms:
            return other
        out = dict(self.terms)
        for monomial, factor in other.terms:
            out[monomial] = out.get(monomial, 0) + factor
        return _normal(out)

    __radd__ = __add__

    def __neg__(self) -> Dim:
        return Dim(tuple((m, -c) for m, c in self.terms))

    def __sub__(self, other: DimLike) -> Dim:
        return self + (-Dim.of(other))

    def __rsub__(self, other: DimLike) -> Dim:
        return Dim.of(other) + (-self)

    def __mul__(self, other: DimLike) -> Dim:
        other = Dim.of(other)
        out: dict[Monomial, int] = {}
        for m1, c1 in self.terms:
            for m2, c2 in other.terms:
                m = m1 + m2 if not m1 or not m2 else tuple(sorted(m1 + m2, key=str))
                out[m] = out.get(m, 0) + c1 * c2
        return _normal(out)

    __rmul__ = __mul__

    def __floordiv__(self, other: DimLike) -> Dim:
        return _opaque("floordiv", [self, Dim.of(other)])

    def __rfloordiv__(self, other: DimLike) -> Dim:
        return Dim.of(other) // self

    def __mod__(self, other: DimLike) -> Dim:
        return _opaque("mod", [self, Dim.of(other)])

    def __xor__(self, other: DimLike) -> Dim:
        return _opaque("xor", [self, Dim.of(other)])

    def __str__(self) -> str:
        if not self.terms:
            return "0"
        text = ""
        for monomial, factor in self.terms:
            sign = ("-" if factor < 0 else "") if not text else (" - " if factor < 0 else " + ")
            atoms = " * ".join(map(str, monomial))
            size = abs(factor)
            text += sign + (str(size) if not atoms else atoms if size == 1 else f"{atoms} * {size}")
        return text[1:-1] if _is_wrapped(text) else text

    __repr__ = __str__


def dmin(*args: DimLike) -> Dim:
    """The least of the expressions."""
    return _opaque("min", [Dim.of(a) for a in args])


def dmax(*args: DimLike) -> Dim:
    """The greatest of the expressions."""
    return _opaque("max", [Dim.of(a) for a in args])


def ceildiv(a: DimLike, b: DimLike) -> Dim:
    """The quotient rounded up."""
    b = Dim.of(b)
    return (Dim.of(a) + b - 1) // b


def align(a: DimLike, unit: int) -> Dim:
    """The least multiple of unit that is no less than a."""
    return ceildiv(a, unit) * unit


def product(dims: Iterable[DimLike]) -> Dim:
    """The product of all; one for none."""
    out = ONE
    for d in dims:
        out = out * d
    return out


def row_major(shape: Sequence[Dim]) -> tuple[Dim, ...]:
    """Strides in elements of a contiguous array, last dim fastest."""
    strides: list[Dim] = []
    step = ONE
    for size in reversed(shape):
        strides.append(step)
        step = step * size
    return tuple(reversed(strides))


# -- normal form ----------------------------------------------------------------------------------------------


def _normal(terms: Mapping[Monomial, int]) -> Dim:
    kept = [(m, c) for m, c in terms.items() if c]
    if len(kept) > 1:
        # Names first, the constant last: `i + 1`.
        kept.sort(key=lambda t: (t[0] == (), [str(a) for a in t[0]]))
    return Dim(tuple(kept))


@lru_cache(maxsize=4096)
def _const(value: int) -> Dim:
    return Dim((((), value),) if value else ())


@lru_cache(maxsize=4096)
def _name(name: str) -> Dim:
    return Dim((((name,), 1),))


ZERO = _const(0)
ONE = _const(1)


@lru_cache(maxsize=65536)
def _names(dim: Dim) -> frozenset[str]:
    found: set[str] = set()
    for monomial, _ in dim.terms:
        for atom in monomial:
            found |= _atom_names(atom)
    return frozenset(found)


def _atom_names(atom: Atom) -> frozenset[str]:
    if isinstance(atom, str):
        return frozenset((atom,))
    return frozenset().union(*(a.names() for a in atom.args))


def _opaque(kind: str, args: Sequence[Dim]) -> Dim:
    if kind == "xor":
        return _xor(args[0], args[1])
    return _extreme(kind, args) if kind in ("min", "max") else _divide(kind, args[0], args[1])


def _extreme(kind: str, args: Sequence[Dim]) -> Dim:
    kept: list[Dim] = []
    for arg in args:
        for i, other in enumerate(kept):
            gap = (arg - other).value
            if gap is not None:  # they differ by a constant, so one of them always wins
                if (gap < 0) == (kind == "min"):
                    kept[i] = arg
                break
        else:
            kept.append(arg)
    kept = list(dict.fromkeys(kept))
    if len(kept) == 1:
        return kept[0]
    return Dim((((Opaque(kind, tuple(sorted(kept, key=str))),), 1),))


def _xor(a: Dim, b: Dim) -> Dim:
    if a.value is not None and b.value is not None:
        return _const(a.value ^ b.value)
    if ZERO in (a, b):
        return b if a == ZERO else a
    return Dim((((Opaque("xor", tuple(sorted((a, b), key=str))),), 1),))


def _divide(kind: str, a: Dim, b: Dim) -> Dim:
    divisor = b.value
    if divisor == 0:
        raise ZeroDivisionError(f"{kind} of {a} by zero")
    if divisor is None:
        if a == b:
            return ONE if kind == "floordiv" else ZERO
        if a == ZERO:
            return ZERO
        return Dim((((Opaque(kind, (a, b)),), 1),))
    if (value := a.value) is not None:
        return _const(value // divisor if kind == "floordiv" else value % divisor)
    # Terms that the divisor divides leave the division: (4x + y) floordiv 4 = x + y floordiv 4.
    whole = _normal({m: c // divisor for m, c in a.terms if c % divisor == 0})
    rest = _normal({m: c for m, c in a.terms if c % divisor})
    if kind == "floordiv":
        quotient = (
            _const((rest.value or 0) // divisor) if rest.value is not None else _quotient(rest, divisor)
        )
        return whole + quotient
    if rest.value is not None:
        return _const(rest.value % divisor)
    inner = rest.opaque
    if inner is not None and inner.kind == "mod" and (by := inner.args[1].value) and by % divisor == 0:
        return inner.args[0] % divisor  # x mod (a * b) mod a = x mod a
    return Dim((((Opaque("mod", (rest, _const(divisor))),), 1),))


def _quotient(a: Dim, divisor: int) -> Dim:
    if divisor == 1:
        return a
    inner = a.opaque
    if inner is not None and inner.kind == "floordiv" and (by := inner.args[1].value or 0) > 0:
        return _divide("floordiv", inner.args[0], _const(by * divisor))  # x // a // b = x // (a * b)
    return Dim((((Opaque("floordiv", (a, _const(divisor))),), 1),))


# -- evaluation -----------------------------------------------------------------------------------------------


def _product(values: Iterable[int]) -> int:
    out = 1
    for v in values:
        out *= v
    return out


def _atom_value(atom: Atom, values: Mapping[str, int]) -> int:
    if isinstance(atom, str):
        return values[atom]
    args = [a.evaluate(values) for a in atom.args]
    match atom.kind:
        case "floordiv":
            return args[0] // args[1]
        case "mod":
            return args[0] % args[1]
        case "xor":
            return args[0] ^ args[1]
        case "min":
            return min(args)
        case _:
            return max(args)


def _times(a: float, b: float) -> float:
    return 0.0 if a == 0 or b == 0 else a * b


def _atom_bounds(atom: Atom, ranges: Mapping[str, tuple[float, float]]) -> tuple[float, float]:
    if isinstance(atom, str):
        return ranges.get(atom, (-INF, INF))
    parts = [a.bounds(ranges) for a in atom.args]
    if atom.kind in ("min", "max"):
        pick = min if atom.kind == "min" else max
        return pick(p[0] for p in parts), pick(p[1] for p in parts)
    (low, high), (least, greatest) = parts
    if atom.kind == "xor":
        known = min(low, least) >= 0 and max(high, greatest) != INF
        return (0, (1 << int(max(high, greatest)).bit_length()) - 1) if known else (-INF, INF)
    if least <= 0:
        return -INF, INF
    if atom.kind == "mod":
        if low >= 0 and high < least:
            return low, high
        return 0, greatest - 1
    corners = [x if abs(x) == INF else x // d for x in (low, high) for d in (least, greatest) if d != INF]
    if greatest == INF:
        corners.append(0 if low >= 0 else -1)
    return min(corners), max(corners)


# -- text -----------------------------------------------------------------------------------------------------

_TOKEN = re.compile(r"\s*(\d+|[A-Za-z_][\w.$]*|//|[-+*/%(),])")


def _is_wrapped(text: str) -> bool:
    """Whether one pair of parentheses encloses the whole text."""
    if not (text.startswith("(") and text.endswith(")")):
        return False
    depth = 0
    for i, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if depth == 0:
            return i == len(text) - 1
    return False


class _TextReader:
    """Tokens of a plain string."""

    def __init__(self, text: str):
        self.text = text
        self.tokens: list[str] = []
        position = 0
        while position < len(text.rstrip()):
            match = _TOKEN.match(text, position)
            if match is None:
                raise ValueError(f"cannot read dim expression {text!r} at column {position + 1}")
            self.tokens.append(match[1])
            position = match.end()
        self.tokens.reverse()

    def punctuation(self, *spellings: str) -> str | None:
        return self.tokens.pop() if self.tokens and self.tokens[-1] in spellings else None

    keyword = punctuation

    def integer(self) -> int | None:
        return int(self.tokens.pop()) if self.tokens and self.tokens[-1].isdigit() else None

    def identifier(self) -> str | None:
        ok = self.tokens and (self.tokens[-1][0].isalpha() or self.tokens[-1][0] == "_")
        return self.tokens.pop() if ok else None

    def fail(self) -> ValueError:
        return ValueError(f"cannot read dim expression {self.text!r}")

    def expect_end(self) -> None:
        if self.tokens:
            raise self.fail()


class _IrReader:
    """Tokens of IR text."""

    def __init__(self, parser: AttrParser):
        self.parser = parser

    def punctuation(self, *spellings: str) -> str | None:
        for s in spellings:
            if s not in ("//", "%") and self.parser.parse_optional_punctuation(s) is not None:  # pyright: ignore
                return s
        return None

    def keyword(self, *words: str) -> str | None:
        return next(
            (w for w in words if w.isalpha() and self.parser.parse_optional_keyword(w) is not None), None
        )

    def integer(self) -> int | None:
        return self.parser.parse_optional_integer(allow_boolean=False, allow_negative=False)

    def identifier(self) -> str | None:
        return self.parser.parse_optional_identifier()

    def fail(self) -> Exception:
        return self.parser.raise_error("expected a dim expression")


_Reader: TypeAlias = "_TextReader | _IrReader"


def _parse_sum(reader: _Reader) -> Dim:
    total = -_parse_term(reader) if reader.punctuation("-") else _parse_term(reader)
    while sign := reader.punctuation("+", "-"):
        term = _parse_term(reader)
        total = total + term if sign == "+" else total - term
    return total


def _parse_term(reader: _Reader) -> Dim:
    left = _parse_atom(reader)
    while True:
        if reader.punctuation("*"):
            left = left * _parse_atom(reader)
        elif reader.keyword("floordiv") or reader.punctuation("//"):
            left = left // _parse_atom(reader)
        elif reader.keyword("mod") or reader.punctuation("%"):
            left = left % _parse_atom(reader)
        elif reader.keyword("xor"):
            left = left ^ _parse_atom(reader)
        else:
            return left


def _parse_atom(reader: _Reader) -> Dim:
    if (value := reader.integer()) is not None:
        return _const(value)
    if reader.punctuation("-"):
        return -_parse_atom(reader)
    if reader.punctuation("("):
        inner = _parse_sum(reader)
        if not reader.punctuation(")"):
            raise reader.fail()
        return inner
    name = reader.identifier()
    if name is None:
        raise reader.fail()
    if name in ("min", "max") and reader.punctuation("("):
        args = [_parse_sum(reader)]
        while reader.punctuation(","):
            args.append(_parse_sum(reader))
        if not reader.punctuation(")"):
            raise reader.fail()
        return _opaque(name, args)
    return _name(name)


def parse_dim(parser: AttrParser) -> Dim:
    """Reads a dim expression inside IR text."""
    return _parse_sum(_IrReader(parser))


def parse_dims(parser: AttrParser) -> tuple[Dim, ...]:
    """Reads `[d, d, ...]` inside IR text."""
    return tuple(parser.parse_comma_separated_list(parser.Delimiter.SQUARE, lambda: parse_dim(parser)))


def dims_text(dims: Iterable[Dim]) -> str:
    """`[d, d, ...]`."""
    return "[" + ", ".join(map(str, dims)) + "]"


@irdl_attr_definition
class DimAttr(Data[Dim]):
    """A dim expression as an attribute: `#dim.expr<B + 1>`."""

    name = "dim.expr"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> Dim:
        with parser.in_angle_brackets():
            return parse_dim(parser)

    def print_parameter(self, printer: Printer) -> None:
        printer.print_string(f"<{self.data}>")


@irdl_attr_definition
class DimsAttr(Data[tuple[Dim, ...]]):
    """A list of dim expressions as an attribute: `#dim.list<[B, 64]>`."""

    name = "dim.list"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> tuple[Dim, ...]:
        with parser.in_angle_brackets():
            return parse_dims(parser)

    def print_parameter(self, printer: Printer) -> None:
        printer.print_string(f"<{dims_text(self.data)}>")
