"""What a kernel computes of a row for a reduction and again for its results: exp(x - max), for its sum and for a softmax."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.ir import Operation, SSAValue

from dialects.kernel import DefOp, ReduceOp, WriteOp
from lowering.kernel.cost import POLYNOMIALS, terms_of
from lowering.kernel.fields import field_axes

AGAIN = "*"
"""Stands for the reduced axis and the one of the results, in terms that are compared."""


@dataclass(frozen=True)
class Kept:
    """A field over the reduced axis, and the same function of the same elements along an axis of the results."""

    reduce: ReduceOp
    axis: str
    first: SSAValue
    along: str
    again: SSAValue


def kept_of(kernel: DefOp, axis: str) -> list[Kept]:
    """What a reduction over one axis computes with functions that cost many arithmetic operations, and a write behind it
    computes again along an axis of the same extent."""
    axes, extents = field_axes(kernel), kernel.extents()
    found: list[Kept] = []
    for reduce in kernel.block.ops:
        if not isinstance(reduce, ReduceOp) or reduce.axes != (axis,):
            continue
        outside = frozenset[str]().union(*(axes[r] for r in reduce.results))
        dear = [v for v in _behind(reduce.inputs) if _is_dear(v) and axes[v] == outside | {axis}]
        again = [v for v in _written_behind(kernel, reduce) if _is_dear(v)] if dear else []
        moved = frozenset[str]().union(*(axes[v] for v in again)) - outside - {axis}
        for along in (a for a in extents if a in moved and extents[a] == extents[axis]):
            terms = terms_of(kernel, {axis: AGAIN, along: AGAIN})
            later = {terms[v]: v for v in again if along in axes[v]}
            found += [Kept(reduce, axis, v, along, later[terms[v]]) for v in dear if terms[v] in later]
    return found


def _is_dear(value: SSAValue) -> bool:
    return isinstance(value.owner, Operation) and value.owner.name in POLYNOMIALS


def _behind(values: Sequence[SSAValue]) -> list[SSAValue]:
    """Values and all that they are computed of, reductions not looked through."""
    work, seen = list(values), dict[SSAValue, None]()
    while work:
        value = work.pop()
        if value not in seen and isinstance(value.owner, Operation):
            seen[value] = None
            work += [] if isinstance(value.owner, ReduceOp) else value.owner.operands
    return list(seen)


def _written_behind(kernel: DefOp, reduce: ReduceOp) -> list[SSAValue]:
    """What writes compute whose values need a reduction's result."""
    found: dict[SSAValue, None] = {}
    for write in kernel.block.ops:
        if isinstance(write, WriteOp) and write.combiner is None:
            needs = _behind([write.value])
            if any(v.owner is reduce for v in needs):
                found.update(dict.fromkeys(needs))
    return list(found)
