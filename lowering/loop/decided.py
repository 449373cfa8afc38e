"""What a nest knows about a kernel's bools: comparisons of index expressions whose outcome its loops settle.

A stencil that keeps its edge is a select on `i == 0`; in a loop from 1 on, that is false. Such a select is the field it
chooses, and what it does not choose is never emitted.
"""

from __future__ import annotations

from collections.abc import Callable

from xdsl.dialects import arith
from xdsl.dialects.builtin import IntegerAttr, i1, i64
from xdsl.ir import Operation, SSAValue

from dialects import kernel
from dialects.dims import Dim

Holds = Callable[[Dim], bool]
"""Whether an expression over axes is known to be at least zero."""

_OPPOSITE = {"sge": "slt", "sgt": "sle", "sle": "sgt", "slt": "sge", "eq": "ne", "ne": "eq"}


def comparison(op: Operation) -> tuple[str, Dim] | None:
    """A comparison of two index expressions as (predicate, difference to zero); None for any other op."""
    if not isinstance(op, arith.CmpiOp):
        return None
    predicate = kernel.CompareOp.INTEGER[op.predicate.value.data]
    a, b = _expression(op.lhs), _expression(op.rhs)
    return (predicate, a - b) if predicate in _OPPOSITE and a is not None and b is not None else None


def sufficient(predicate: str, difference: Dim) -> list[Dim]:
    """Expressions each of which, where it is at least zero, makes the comparison of a difference with zero true."""
    match predicate:
        case "sge":
            return [difference]
        case "sgt":
            return [difference - 1]
        case "sle":
            return [-difference]
        case "slt":
            return [-difference - 1]
        case "ne":
            return [difference - 1, -difference - 1]
        case _:
            return []


def alternatives(op: Operation) -> list[Dim]:
    """Expressions each of which, where it is at least zero, settles a comparison of index expressions."""
    found = comparison(op)
    if found is None:
        return []
    predicate, difference = found
    return [*sufficient(predicate, difference), *sufficient(_OPPOSITE[predicate], difference)]


def decided(value: SSAValue, holds: Holds, seen: dict[SSAValue, bool | None] | None = None) -> bool | None:
    """The bool that a value is known to be, or None."""
    seen = {} if seen is None else seen
    if value not in seen:
        seen[value] = _decided(value, holds, seen)
    return seen[value]


def _decided(value: SSAValue, holds: Holds, seen: dict[SSAValue, bool | None]) -> bool | None:
    op = value.owner
    if not isinstance(op, Operation) or value.type != i1:
        return None
    if isinstance(op, arith.ConstantOp) and isinstance(op.value, IntegerAttr):
        return bool(op.value.value.data)
    if isinstance(op, arith.OrIOp | arith.AndIOp):
        sides = [decided(o, holds, seen) for o in op.operands]
        settles = isinstance(op, arith.OrIOp)
        if settles in sides:
            return settles
        return None if None in sides else not settles
    found = comparison(op)
    if found is None:
        return None
    predicate, difference = found
    for outcome, name in ((True, predicate), (False, _OPPOSITE[predicate])):
        if any(map(holds, sufficient(name, difference))):
            return outcome
        if name == "eq" and holds(difference) and holds(-difference):
            return outcome
    return None


def chosen(op: Operation, holds: Holds) -> SSAValue | None:
    """The operand that an op's result is known to be: a branch of a select, the open side of an `or` or `and`."""
    if isinstance(op, arith.SelectOp):
        outcome = decided(op.cond, holds)
        return None if outcome is None else op.lhs if outcome else op.rhs
    if isinstance(op, arith.OrIOp | arith.AndIOp) and op.result.type == i1:
        neutral = isinstance(op, arith.AndIOp)
        for side, other in ((op.lhs, op.rhs), (op.rhs, op.lhs)):
            if decided(side, holds) is neutral:
                return other
    return None


def _expression(value: SSAValue) -> Dim | None:
    """An i64 that is an index expression or a constant."""
    op = value.owner
    if isinstance(op, kernel.IndexOp):
        return op.expr.data
    if isinstance(op, arith.ConstantOp) and value.type == i64 and isinstance(op.value, IntegerAttr):
        return Dim.of(op.value.value.data)
    return None
