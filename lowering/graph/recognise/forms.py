"""Forms: what values look like, written as the formulas that they are computed by.

    form(lambda x: x * 0.5 * (1.0 + (x * SQRT_HALF).of("erf")))

The names of the parameters are holes: each stands for a value, the same wherever it stands. One whose default is `NUMBER` is
a number, or what a parameter of an op holds. Forms are written in the words of `dialects.graph.sketch`, so that the formula
which a derived op states is a form as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from inspect import signature
from typing import Any

from dialects.graph import OPS
from dialects.graph.base import GraphOp
from dialects.graph.sketch import Algebra, Number

NUMBER: Any = object()
"""As the default of a formula's parameter: a number."""

POWERS: Mapping[str, int] = {"square": 2, "reciprocal": -1}
"""Ops that are a power of their operand."""

ROOTS: Mapping[str, int] = {"sqrt": 1, "rsqrt": -1}
"""Ops that are a power of the square root of their operand."""

PRODUCTS = frozenset({"mul", "div", "neg", *POWERS, *ROOTS})
"""Ops that are told as a coefficient times powers, whatever the order of their factors."""

Factor = tuple["Form", bool, int]
"""What a product has as a factor, whether its square root is meant, and the exponent."""


@dataclass(frozen=True)
class Product:
    """A coefficient times powers of forms; of a free number, `free` is the exponent of the one named `name`."""

    coefficient: float
    factors: tuple[Factor, ...]
    name: str = ""
    free: int = 0


@dataclass(frozen=True, eq=False)
class Form(Algebra):
    """What a value is: anything, a number, or an op on forms; or one of several of these."""

    name: str = ""
    """A hole's name, or that of an op."""
    operands: tuple[Form, ...] = ()
    values: Mapping[str, object] = field(default_factory=dict)
    """Parameters that an op has to have; those that are holes are told, as `parameters` all of them."""
    number: float | None = None
    is_told: bool = False
    """Whether it is a number that is told."""
    is_whole: bool = False
    """Whether a product is one factor of the product that it stands in."""
    choices: tuple[Form, ...] = ()

    def of(self, name: str, *others: Form | Number, **values: object) -> Form:
        operands = (self, *map(self.like, others))
        if name == "add" and operands[0].number is not None:
            operands = operands[::-1]
        if name == "sub" and operands[1].number is not None:
            return Form("add", (operands[0], Form(number=-operands[1].number)))
        return Form(name, operands, values)

    def like(self, other: Form | Number) -> Form:
        return other if isinstance(other, Form) else Form(number=float(other))

    def whole(self) -> Form:
        """The form as one factor."""
        return replace(self, is_whole=True)

    @property
    def is_op(self) -> bool:
        return bool(self.operands)

    @property
    def is_hole(self) -> bool:
        return not (self.operands or self.choices or self.number is not None)

    @cached_property
    def size(self) -> int:
        """How much it says: the number of ops."""
        inside = sum(o.size for o in self.operands)
        return inside + 1 if self.is_op else max((c.size for c in self.choices), default=0)

    @cached_property
    def product(self) -> Product:
        """The form of a product, taken apart."""
        found: dict[tuple[Form, bool], int] = {}
        coefficient, name, free = 1.0, "", 0
        work: list[tuple[Form, int]] = [(self, 1)]
        while work:
            at, exponent = work.pop()
            if at.number is not None:
                coefficient *= at.number**exponent
            elif at.is_told:
                name, free = at.name, free + exponent
            elif at.name in ROOTS and at.operands:
                key = (at.operands[0], True)
                found[key] = found.get(key, 0) + exponent * ROOTS[at.name]
            elif at.name in PRODUCTS and at.operands and (at is self or not at.is_whole):
                coefficient *= -1.0 if at.name == "neg" and exponent % 2 else 1.0
                first, *rest = at.operands
                work.append((first, exponent * POWERS.get(at.name, 1)))
                work += [(o, -exponent if at.name == "div" else exponent) for o in rest]
            else:
                found[at, False] = found.get((at, False), 0) + exponent
        factors = sorted(((f, r, e) for (f, r), e in found.items() if e), key=lambda t: -t[0].size)
        return Product(coefficient, tuple(factors), name, free)

    @cached_property
    def heads(self) -> frozenset[type[GraphOp]] | None:
        """The ops that may give what the form tells of; None where any value will do."""
        if self.choices:
            found = [c.heads for c in self.choices]
            return None if None in found else frozenset().union(*(f for f in found if f is not None))
        if not self.is_op:
            return None
        if self.name in PRODUCTS:
            return frozenset(OPS[name] for name in (*PRODUCTS, "pow"))
        return frozenset((OPS[self.name], OPS["sub"]) if self.name == "add" else (OPS[self.name],))

    @property
    def roots(self) -> tuple[type[GraphOp], ...]:
        """The ops at which a rule for the form is tried."""
        forms = self.choices or (self,)
        names = dict.fromkeys(
            n for f in forms for n in (("mul", "div", f.name) if f.name in PRODUCTS else (f.name,))
        )
        return tuple(OPS[n] for n in (*names, *(["sub"] if "add" in names else [])))


def form(formula: Callable[..., Form]) -> Form:
    """The form that a formula states; its parameters are holes."""
    holes = [Form(name, is_told=p.default is NUMBER) for name, p in signature(formula).parameters.items()]
    return formula(**{h.name: h for h in holes})


def either(*choices: Form) -> Form:
    """One of several forms."""
    return Form(choices=choices)
