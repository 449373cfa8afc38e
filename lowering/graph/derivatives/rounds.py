"""A bound of how often a loop runs, which tells how long its tape is: from its dims, or from what its bounds are made of."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from xdsl.ir import Operation, SSAValue

from dialects.dims import Dim, dmax
from dialects.errors import IrkitError
from dialects.graph.base import operation_name
from dialects.graph.creation import ConstantOp
from dialects.graph.structure import ForOp
from dialects.types import dtype_name, integer_range, is_float, is_integer

NO_LIMIT = 2**62
"""A bound from here on is none."""


def most_rounds(op: ForOp) -> Dim:
    """A bound of how often a loop runs, known while compiling. Raises IrkitError where there is none."""
    lower, upper = op.bounds()
    low = lower if isinstance(lower, Dim) else _least(lower)
    high = upper if isinstance(upper, Dim) else _greatest(upper)
    if low is None or high is None or (high.value or 0) >= NO_LIMIT:
        raise IrkitError(
            "this loop has no bound, so that its way back would need a tape without end",
            op,
            expected="a number of rounds that is known while compiling, or a bound of it",
            hint="write `while ... max 1000 with ...`, or `for t in 0..minimum(steps, 1000) with ...`",
        )
    count = high - low
    if count.value is not None:
        return Dim.of(max(count.value, 0))
    return count if count.bounds({})[0] >= 0 else dmax(count, 0)


_SAME = ("reshape", "broadcast", "transpose", "reduce_max", "reduce_min")
"""Ops that give what an operand holds."""


def _greatest(value: SSAValue) -> Dim | None:
    """A constant that an integer, or none of several, exceeds."""
    return _limit(value, max, "min")


def _least(value: SSAValue) -> Dim | None:
    """A constant that no integer of several is below."""
    return _limit(value, min, "max")


def _limit(value: SSAValue, outer: Callable[..., int], towards: str) -> Dim | None:
    """The outer end of what a value may hold; `towards` names the op that one known operand is enough for."""
    op = value.owner
    if isinstance(op, ConstantOp):
        array = op.array()
        end = outer(array.min(), array.max()) if array.size else 0
        return Dim.of(int(end)) if np.isfinite(end) else None
    name = operation_name(op) if isinstance(op, Operation) else ""
    if not isinstance(op, Operation) or name not in ("min", "max", "cast", *_SAME):
        return None
    found = [_limit(v, outer, towards) for v in op.operands]
    known = [f.value for f in found if f is not None and f.value is not None]
    if name == towards and known:
        return Dim.of(min(known) if towards == "min" else max(known))
    if len(known) < len(found):
        return None
    if name == "cast":
        return _cast_limit(op, outer, known[0])
    return Dim.of(outer(known))


def _cast_limit(op: Operation, outer: Callable[..., int], limit: int) -> Dim | None:
    """The limit after a cast. An integer type that is too small wraps, so that nothing is known; from floats NaN becomes 0."""
    source, target = (v.type.element_type for v in (op.operands[0], op.results[0]))  # pyright: ignore
    if is_float(source):
        return Dim.of(outer(limit, 0)) if is_integer(target) else None
    if not (is_integer(source) and is_integer(target)):
        return None
    (low, high), (least, most) = (integer_range(dtype_name(t)) for t in (source, target))
    return Dim.of(limit) if least <= low and high <= most else None
