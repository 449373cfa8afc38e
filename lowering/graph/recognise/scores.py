"""The scores of attention: a product of matrices times a number, however the number is shared between its sides."""

from __future__ import annotations

from xdsl.ir import Operation, SSAValue

from dialects.types import dims_of
from lowering.graph.recognise.forms import form
from lowering.graph.recognise.match import as_written, factors_of, is_close, matches

PRODUCT = form(lambda q, k: q.of("matmul", k))


def scaled_product(value: SSAValue) -> tuple[SSAValue, SSAValue, float, tuple[Operation, ...]] | None:
    """q, k^T and the scale of scale * (q @ k^T), however the scale is shared, and the ops that this takes."""
    scale, inner, ops = _without_number(value)
    found = next(matches(PRODUCT, inner), None)
    if found is None:
        return None
    sides: list[SSAValue] = []
    ops = (*ops, *found.ops)
    for side in (found.found["q"], found.found["k"]):
        assert isinstance(side, SSAValue)
        own, rest, more = _without_number(side) if side.has_one_use() else (1.0, side, ())
        scale, ops = scale * own, (*ops, *more)
        sides.append(rest)
    depth = dims_of(sides[0].type)[-1].value
    usual = (depth or 1) ** -0.5
    return sides[0], sides[1], usual if is_close(scale, usual, value) else as_written(scale, value), ops


def _without_number(value: SSAValue) -> tuple[float, SSAValue, tuple[Operation, ...]]:
    """A value as a number times another value."""
    found = factors_of(value, 1)
    if found is None or len(found.powers) != 1:
        return 1.0, value, ()
    ((inner, is_root), power) = next(iter(found.powers.items()))
    if is_root or power != 1 or inner.type != value.type or found.coefficient == 0:
        return 1.0, value, ()
    return found.coefficient, inner, found.ops
