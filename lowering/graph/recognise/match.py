"""Whether a value has a form, by the laws that keep its numbers to rounding.

Sums and the like may have their operands in either order, products their factors in any: `x * 0.5 * y`, `y / 2 * x` and
`0.5 * (x * y)` are one form, and so are `x * x` and `x ** 2`, `x / sqrt(y)` and `x * rsqrt(y)`. Numbers are splat constants,
broadcast or not, and equal where they are to a few units in the last place; where floats are smaller than f32, and a few
units are some percent, where one is the rounding of the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isclose, isfinite
from typing import TypeAlias

import ml_dtypes
import numpy as np
from xdsl.ir import Operation, SSAValue

from dialects.graph import OPS, ConstantOp, GraphOp, operation_name
from dialects.graph.base import Value
from dialects.types import is_float, np_dtype
from lowering.graph.recognise.forms import POWERS, PRODUCTS, ROOTS, Factor, Form

SAME_EITHER_WAY = frozenset({"add", "max", "min", "logical_and", "logical_or"})
SLACK = 4
"""Units in the last place by which a constant of f32 or f64 may be off."""
MOST_FACTORS = 8
MOST_OPS = 16
"""Products are taken apart at no more ops than this, so that a long chain of them takes no longer for each."""
VIEWS = ("broadcast", "reshape")
ONE_STEP = frozenset({"constant", *VIEWS, "transpose", "slice", "cast", "neg", "abs", "relu"})


Told: TypeAlias = "SSAValue | Value | Mapping[str, Value]"
"""What a hole stands for: a value, a parameter, or all parameters of an op."""


@dataclass(frozen=True)
class Match:
    """What the holes of a form stand for, and the ops that the form takes up."""

    found: Mapping[str, Told]
    ops: tuple[Operation, ...]
    memory: dict[object, object] = field(default_factory=dict)
    """Products that were taken apart before, for as long as the IR stays as it is."""

    def having(self, name: str, what: Told) -> Iterator[Match]:
        """The match with a hole filled, unless it stands for something else."""
        if name not in self.found:
            yield Match({**self.found, name: what}, self.ops, self.memory)
        elif (known := self.found[name]) is what or (not isinstance(what, SSAValue) and known == what):
            yield self

    def over(self, *ops: Operation) -> Match:
        return Match(self.found, (*self.ops, *ops), self.memory)

    def factors_of(self, value: SSAValue, depth: int) -> Factors | None:
        """The product that a value is."""
        if (value, depth) not in self.memory:
            self.memory[value, depth] = factors_of(value, depth)
        return self.memory[value, depth]  # pyright: ignore[reportReturnType]


def may_be(form: Form, value: SSAValue) -> bool:
    """Whether the op that gives a value is one that the form may end in: most are told apart by this."""
    return form.heads is None or type(value.owner) in form.heads


def is_other_product(form: Form, value: SSAValue, known: Match) -> bool:
    """Whether a value is a product of another number of factors than a form has, in whatever way it is taken apart."""
    if form.name not in PRODUCTS:
        return False
    found = known.factors_of(value, 1)
    if found is None:
        return True
    return found.is_all and len(found.ops) == 1 and len(found.powers) != len(form.product.factors)


def matches(form: Form, value: SSAValue, so_far: Match | None = None) -> Iterator[Match]:
    """The ways in which a value has a form."""
    known = so_far or Match({}, ())
    if not may_be(form, value):
        return
    if form.choices:
        for choice in form.choices:
            yield from matches(choice, value, known)
    elif form.number is not None:
        if (number := number_of(value)) is not None and is_close(number, form.number, value):
            yield known
    elif form.is_told:
        if (number := number_of(value)) is not None:
            yield from known.having(form.name, as_written(number, value))
    elif form.is_hole:
        yield from known.having(form.name, value)
    elif form.name in PRODUCTS:
        yield from _products(form, value, known)
    else:
        yield from _ops(form, value, known)


def number_of(value: SSAValue) -> float | None:
    """The one number that all elements of a value are, where it is known and real."""
    owner = value.owner
    while isinstance(owner, GraphOp) and operation_name(owner) in VIEWS:
        owner = owner.operands[0].owner
    number = owner.splat if isinstance(owner, ConstantOp) else None
    return None if number is None or isinstance(number, complex) else float(number)


def is_close(found: float, wanted: float, value: SSAValue) -> bool:
    """Whether a number of the dtype of a value is another, but for its rounding."""
    if found == wanted:
        return True
    element = value.type.element_type  # pyright: ignore[reportAttributeAccessIssue]
    if not is_float(element) or not isfinite(wanted):
        return False
    eps = float(ml_dtypes.finfo(np_dtype(element)).eps)
    if eps <= np.finfo(np.float32).eps:
        return abs(found - wanted) <= SLACK * eps * abs(wanted)
    if not found or not wanted:
        return False
    return _is_rounded(found, wanted, value) or _is_rounded(1 / found, 1 / wanted, value)


def _is_rounded(found: float, wanted: float, value: SSAValue) -> bool:
    """Whether a number, with all its digits or as it is written, is another rounded to the dtype of a value."""
    element = value.type.element_type  # pyright: ignore[reportAttributeAccessIssue]
    with np.errstate(over="ignore"):
        rounded = float(np_dtype(element).type(wanted))
    # Twice one over a number need not give it back to the last place of a double.
    return any(isclose(found, n, rel_tol=1e-15) for n in (rounded, as_written(rounded, value)) if n)


def as_written(number: float, value: SSAValue) -> float:
    """A number of the dtype of a value with no more digits than tell it from others of that dtype: 1e-5 for its f32."""
    element = value.type.element_type  # pyright: ignore[reportAttributeAccessIssue]
    rounded = np_dtype(element).type(number)
    return float(str(rounded)) if is_float(element) and float(rounded) == number else number


# -- ops ----------------------------------------------------------------------------------------------------------


def _ops(form: Form, value: SSAValue, known: Match) -> Iterator[Match]:
    owner = value.owner
    if not isinstance(owner, GraphOp):
        return
    if type(owner) is OPS[form.name] and len(owner.operands) == len(form.operands):
        for match in _settings(form, owner, known.over(owner)):
            yield from _all(form.operands, list(owner.operands), match)
            if form.name in SAME_EITHER_WAY:
                yield from _all(form.operands, list(owner.operands)[::-1], match)
    elif form.name == "add" and type(owner) is OPS["sub"]:
        wanted, less = form.operands[1].number, number_of(owner.operands[1])
        if wanted is not None and less is not None and is_close(-less, wanted, value):
            yield from matches(form.operands[0], owner.operands[0], known.over(owner))


def _settings(form: Form, op: GraphOp, known: Match) -> Iterator[Match]:
    """The match where the op's parameters are as the form has them."""
    values, match = op.values() if form.values else {}, known
    for name, wanted in form.values.items():
        if isinstance(wanted, Form):
            told = values if name == "parameters" else values[name]
            match = next(match.having(wanted.name, told), None)
        elif values[name] != wanted:
            match = None
        if match is None:
            return
    yield match


def _all(forms: Sequence[Form], values: Sequence[SSAValue], known: Match) -> Iterator[Match]:
    """Each value has its form; those that say most are tried first, since they tell what the holes are."""
    if not all(map(may_be, forms, values)):
        return
    order = sorted(range(len(forms)), key=lambda i: -forms[i].size)

    def rest(at: int, match: Match) -> Iterator[Match]:
        if at == len(order):
            yield match
            return
        for found in matches(forms[order[at]], values[order[at]], match):
            yield from rest(at + 1, found)

    yield from rest(0, known)


# -- products -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Factors:
    """A value as a coefficient times powers of values, or of their square roots, and the ops that multiply."""

    coefficient: float
    powers: Mapping[tuple[SSAValue, bool], int]
    ops: tuple[Operation, ...]
    is_all: bool
    """Whether none of the factors could be taken apart further, were it not used otherwise too."""


def is_cheap(op: Operation) -> bool:
    """Whether an op computes next to nothing, so that it may as well be done twice: a view, or one step with a constant."""
    name = operation_name(op)
    if name in ("add", "sub", "mul", "div", "min", "max", "compare"):
        return any(number_of(o) is not None for o in op.operands)
    return name in ONE_STEP


def factors_of(value: SSAValue, depth: int) -> Factors | None:
    """The product that a value is, taken apart at one op (0), also at those that nothing else uses (1), or at cheap ones
    too (2). None for no product, and for one whose coefficient is no finite number."""
    powers: dict[tuple[SSAValue, bool], int] = {}
    coefficient, ops, is_all = 1.0, [], True
    work = [(value, 1)]
    while work:
        at, exponent = work.pop()
        number = number_of(at)
        if number is not None:
            try:
                coefficient *= number**exponent
            except (OverflowError, ZeroDivisionError):
                return None
            continue
        apart = (
            at is value
            or (depth >= 1 and at.has_one_use())
            or (depth == 2 and isinstance(at.owner, Operation) and is_cheap(at.owner))
        )
        parts = _parts(at, exponent) if apart else None
        if parts is None or len(powers) + len(work) > MOST_FACTORS or len(ops) >= MOST_OPS:
            is_all = is_all and (apart or type(at.owner) not in _MULTIPLYING)
            powers[at, False] = powers.get((at, False), 0) + exponent
            continue
        ops.append(at.owner)
        if operation_name(at.owner) == "neg" and exponent % 2:  # pyright: ignore[reportArgumentType]
            coefficient = -coefficient
        for part, is_root, power in parts:
            if is_root:
                powers[part, True] = powers.get((part, True), 0) + power
            else:
                work.append((part, power))
    if not ops or not isfinite(coefficient):
        return None
    return Factors(coefficient, {key: n for key, n in powers.items() if n}, tuple(ops), is_all)


_MULTIPLYING = frozenset(OPS[name] for name in (*PRODUCTS, "pow"))


def _parts(value: SSAValue, exponent: int) -> list[tuple[SSAValue, bool, int]] | None:
    """The operands of an op that multiplies, each with whether its root is meant and its power."""
    op = value.owner
    if not isinstance(op, GraphOp) or not op.operands:
        return None
    name, first = operation_name(op), op.operands[0]
    if name in ROOTS:
        return [(first, True, exponent * ROOTS[name])]
    if name in POWERS or name == "neg":
        return [(first, False, exponent * POWERS.get(name, 1))]
    if name in ("mul", "div"):
        return [(first, False, exponent), (op.operands[1], False, exponent if name == "mul" else -exponent)]
    if name != "pow" or (power := number_of(op.operands[1])) is None:
        return None
    if power in (2, 3, -1, -2):
        return [(first, False, int(power) * exponent)]
    return [(first, True, int(2 * power) * exponent)] if power in (0.5, -0.5) else None


def _products(form: Form, value: SSAValue, known: Match) -> Iterator[Match]:
    found = known.factors_of(value, 1)
    if found is None:
        return
    yield from _with_factors(form, value, found, known)
    if not found.is_all and (more := known.factors_of(value, 2)) is not None and more.powers != found.powers:
        yield from _with_factors(form, value, more, known)
    if len(found.ops) > 1 and (less := known.factors_of(value, 0)) is not None:
        yield from _with_factors(form, value, less, known)


def _with_factors(form: Form, value: SSAValue, found: Factors, known: Match) -> Iterator[Match]:
    wanted = form.product
    if len(found.powers) != len(wanted.factors):
        return
    match: Match | None = known.over(*found.ops)
    if wanted.free:
        number = (found.coefficient / wanted.coefficient) ** (1 / wanted.free)
        match = next(match.having(wanted.name, as_written(number, value)), None)
    elif not is_close(found.coefficient, wanted.coefficient, value):
        match = None
    if match is not None:
        yield from _assigned(wanted.factors, found.powers, match)


def _assigned(
    wanted: Sequence[Factor], powers: Mapping[tuple[SSAValue, bool], int], known: Match
) -> Iterator[Match]:
    """The ways to give each factor of a form one of the powers."""
    if not wanted:
        yield known
        return
    (form, is_root, exponent), *others = wanted
    for key, power in powers.items():
        if key[1] == is_root and power == exponent and may_be(form, key[0]):
            rest = {k: p for k, p in powers.items() if k != key}
            for match in matches(form, key[0], known):
                yield from _assigned(others, rest, match)
