"""Where along an axis a kernel's guards hold, its clamps are idle and its comparisons of indices are settled.

The nest runs those points apart from the edge: along the vector axis by loops before and behind (`interior`), along the
axes outside of it by one test for each row (`inside`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.ir import Operation

from dialects.dims import ZERO, Dim, ceildiv, dmax, dmin
from dialects.kernel import DefOp, ReadOp
from dialects.types import RefType
from lowering.loop.decided import alternatives
from lowering.loop.nest import Nest, clamps, idle_form

Ranges = dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Interior:
    """The points [low, high) of an axis, and the conditions (each at least zero) that hold at all of them."""

    low: Dim
    high: Dim
    held: frozenset[Dim]


def interior(kernel: DefOp, axis: str, extent: Dim, nest: Nest) -> Interior | None:
    """The points of an axis, more than half of them where that is known, that need no test along it.

    None where no access and no comparison asks for it.
    """
    ranges = _ranges(kernel, nest)
    bound = set(nest.ranges()) - {v.axis for v in nest.vectors()}  # a tile holds other points than its first
    low, high, held = ZERO, extent, set[Dim]()
    for choices in dict.fromkeys(c for op in kernel.body.walk() for c in _wanted(op, axis)):
        if any(c.bounds(ranges)[0] >= 0 for c in choices):
            continue
        best: tuple[float, Dim, Dim, Dim] | None = None
        for condition in choices:
            if (cut := _cut(condition, axis, low, high, ranges, bound)) is not None:
                points = _points(cut[1] - cut[0], ranges)
                if best is None or points > best[0]:
                    best = (points, *cut, condition)
        if best is not None and 2 * best[0] > _points(extent, ranges):
            _, low, high, condition = best
            held.add(condition)
    if not held:
        return None
    low = dmin(low, extent)
    return Interior(low, dmax(low, high), frozenset(held))


def inside(kernel: DefOp, axes: Sequence[str], nest: Nest) -> tuple[list[Dim], Ranges, frozenset[Dim]] | None:
    """A test for the inside of open axes: its conditions, the ranges of the axes where it holds, and what holds there.

    None where no guard and no comparison could be dropped for it; a clamp is computed once for a row.
    """
    test: list[Dim] = []
    ranges: Ranges = {}
    held: frozenset[Dim] = frozenset()
    if not any(_tested(op, axes) for op in kernel.body.walk()):
        return None
    for axis in axes:
        found = interior(kernel, axis, kernel.extents()[axis], nest)
        if found is None:
            continue
        known = nest.ranges()
        least, most = found.low.bounds(known)[0], (found.high - 1).bounds(known)[1]
        test += [
            c for c in (Dim.of(axis) - found.low, found.high - 1 - Dim.of(axis)) if c.bounds(known)[0] < 0
        ]
        ranges[axis] = (max(least, known[axis][0]), max(least, min(most, known[axis][1])))
        held |= found.held
    return (test, ranges, held) if test else None


def _tested(op: Operation, axes: Sequence[str]) -> bool:
    """Whether a read has a guard, or a comparison a side, that one of the axes is in."""
    if isinstance(op, ReadOp):
        return op.otherwise is not None and any(e.names() & set(axes) for e in op.index.data)
    return any(c.names() & set(axes) for c in alternatives(op))


def _ranges(kernel: DefOp, nest: Nest) -> Ranges:
    """The ranges of open loops, and those of axes that will be opened inside of them."""
    ranges = nest.ranges()
    ranges.update(
        {name: (0, size.bounds(ranges)[1] - 1) for name, size in kernel.axes.data if name not in ranges}
    )
    return ranges


def _wanted(op: Operation, axis: str) -> list[tuple[Dim, ...]]:
    """What would spare a test along an axis: for each the conditions of which one is enough."""
    if isinstance(op, ReadOp):
        return [(c,) for c in _conditions(op, axis)]
    found = tuple(c for c in alternatives(op) if axis in c.names())
    return [found] if found else []


def _cut(
    condition: Dim, axis: str, low: Dim, high: Dim, ranges: Ranges, bound: set[str]
) -> tuple[Dim, Dim] | None:
    """The part of [low, high) in which a condition holds; None where that cannot be said."""
    factor = condition.coefficient(axis)
    if factor is None or factor.value is None or factor.value == 0:
        return None
    rest = condition.without(axis)
    if not rest.names() <= bound:
        least = rest.bounds(ranges)[0]  # over all points of the loops inside
        if abs(least) == float("inf"):
            return None
        rest = Dim.of(int(least))
    if factor.value > 0:
        return dmax(low, ceildiv(-rest, factor)), high
    return low, dmin(high, rest // (-factor) + 1)


def _typical(limits: tuple[float, float]) -> int:
    """A size that stands for a symbol: its greatest where it has one."""
    low, high = limits
    return int(high) if abs(high) != float("inf") else int(max(low, 1 << 20))


def _points(extent: Dim, ranges: Ranges) -> int:
    """A number of points, at typical sizes."""
    return extent.subst({n: _typical(ranges[n]) for n in extent.names()}).value or 0


def _conditions(op: ReadOp, axis: str) -> list[Dim]:
    """What must hold for a read to need no guard and no clamp along an axis."""
    out: list[Dim] = []
    array = op.array.type
    assert isinstance(array, RefType)
    for expr, size in zip(op.index.data, array.shape.data, strict=True):
        current = expr
        for clamp in (c for c in clamps(expr) if axis in Dim((((c,), 1),)).names()):
            if (found := idle_form(clamp)) is not None:
                out += found[1]
                current = current.replace_atom(clamp, found[0])
        if op.otherwise is not None and axis in current.names():
            out += [current, size - 1 - current]
    return [c for c in out if axis in c.names()]
