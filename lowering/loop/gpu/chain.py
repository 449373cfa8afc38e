"""The independent loops around the body of a nest, and ops moved under other names.

A loop is independent where its iterations write to different elements and none reads what another one writes; such loops
may be run in any order, or all at once. That is read off the index expressions, so that it holds for a nest of any source.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xdsl.dialects.builtin import StringAttr
from xdsl.ir import Block, Operation, SSAValue

from dialects import loop
from dialects.dims import ONE, ZERO, Dim, DimAttr, DimsAttr, ceildiv, dmax, product

Values = dict[SSAValue, SSAValue]
Access = loop.LoadOp | loop.StoreOp


@dataclass(frozen=True)
class Axis:
    """One independent loop."""

    variable: str
    lower: Dim
    upper: Dim
    step: Dim

    def count(self, ranges: Mapping[str, tuple[float, float]]) -> Dim:
        """Its iterations."""
        found = ceildiv(self.upper - self.lower, self.step)
        return found if found.bounds(ranges)[0] >= 0 else dmax(0, found)

    def at(self, number: Dim) -> Dim:
        """The variable in iteration `number`."""
        return self.lower + number * self.step


@dataclass(frozen=True)
class Chain:
    """Independent loops, outermost first, and all ops inside the innermost of them with those that stood between them."""

    axes: tuple[Axis, ...]
    body: tuple[Operation, ...]

    def counts(self, ranges: Mapping[str, tuple[float, float]]) -> list[Dim]:
        return [axis.count(ranges) for axis in self.axes]


def chain_of(nest: Operation, before: Sequence[Operation]) -> Chain:
    """The loops of a nest that may run at once, with the ops that it needs of those before it. No loops where not even the
    outermost may, and where what is before it are loops: these are one row. Ops between the loops are pure."""
    axes: list[Axis] = []
    body = list(before)
    current = None if any(op.regions for op in before) else nest
    while isinstance(current, loop.ForOp) and is_independent(current) and _is_rectangular(current, axes):
        axes.append(Axis(current.variable, current.lower, current.upper, current.step))
        ops = list(current.block.ops)
        inner = ops[-1] if ops else None
        between = ops[:-1] if isinstance(inner, loop.ForOp) else ops
        body += between
        if not isinstance(inner, loop.ForOp) or inner.inits or any(map(_has_effects, between)):
            return Chain(tuple(axes), (*body, *ops[len(between) :]))
        current = inner
    return Chain(tuple(axes), (*body, current or nest))


def is_independent(op: loop.ForOp) -> bool:
    """Whether the iterations of a loop may run in any order."""
    meets = any(isinstance(inner, loop.BarrierOp) for inner in op.body.walk())
    if op.inits or meets:
        return False
    if (op.upper - op.lower - op.step).bounds({})[1] <= 0:  # one iteration
        return True
    accesses: dict[SSAValue, list[Access]] = {}
    for inner in op.body.walk():
        if isinstance(inner, loop.LoadOp | loop.StoreOp):
            accesses.setdefault(inner.array, []).append(inner)
    written = {inner.array for inner in op.body.walk() if isinstance(inner, loop.StoreOp)}
    return all(_are_own(accesses[array], op) for array in written)


def _are_own(accesses: Sequence[Access], op: loop.ForOp) -> bool:
    """Whether each iteration of a loop has elements of an array to itself: along one dim, all accesses have one index that
    the loop alone moves, by as much as the lanes of an access."""
    inner = {f.variable for f in op.body.walk() if isinstance(f, loop.ForOp)}
    step = op.step.value or 0
    for number, expr in enumerate(accesses[0].index.data):
        factor = expr.coefficient(op.variable)
        if factor is None or not factor.value or expr.names() & inner or _looked_up(expr):
            continue
        lanes = max(lanes_along(access).get(number, 1) for access in accesses)
        if all(access.index.data[number] == expr for access in accesses) and lanes <= max(
            1, abs(factor.value) * step
        ):
            return True
    return False


def _looked_up(expr: Dim) -> bool:
    return any(name.startswith("_") for name in expr.names())


def lanes_along(op: Access) -> dict[int, int]:
    """The lanes that an access has along dims of its array."""
    type_ = op.result.type if isinstance(op, loop.LoadOp) else op.value.type
    along = [d.value or 0 for d in op.along.data] if op.along is not None else []
    return dict(zip(along, type_.get_shape(), strict=True)) if along else {}  # pyright: ignore


def _is_rectangular(op: loop.ForOp, axes: Sequence[Axis]) -> bool:
    """Whether a loop's bounds do not depend on the loops around it."""
    outer = {axis.variable for axis in axes}
    return not any(bound.names() & outer for bound in (op.lower, op.upper, op.step))


def _has_effects(op: Operation) -> bool:
    return bool(op.regions) or isinstance(op, loop.StoreOp | loop.BarrierOp | loop.AllocOp)


def numbers_of(point: Dim, counts: Sequence[Dim]) -> list[Dim]:
    """Which iteration of each loop is a point of all of them, the innermost counted first."""
    out: list[Dim] = []
    for position in range(len(counts)):
        inside = product(counts[position + 1 :])
        number = point // inside if inside != ONE else point
        out.append(number % counts[position] if position else number)
    return out


class Mover:
    """Copies ops to a block; names become expressions, and values what they were copied to. What threads of a team would
    split is no longer split: blocks and threads do that, or the threads of one block, given as (number, count)."""

    def __init__(self, names: Mapping[str, Dim], values: Values, team: tuple[Dim, int] | None = None):
        self.names = dict(names)
        self.values = values
        self.team = team

    def copy(self, op: Operation, block: Block) -> Operation:
        """A copy of an op at the end of a block."""
        new = op.clone(self.values)
        for inner in new.walk():
            for key, value in inner.properties.items():
                if isinstance(value, DimAttr):
                    inner.properties[key] = DimAttr(value.data.subst(self.names))
                elif isinstance(value, DimsAttr):
                    inner.properties[key] = DimsAttr(tuple(d.subst(self.names) for d in value.data))
            if isinstance(inner, loop.ForOp) and inner.role.data == "parallel":
                inner.properties["role"] = StringAttr("serial")
                if self.team is not None:
                    split_loop(inner, *self.team)
        block.add_op(new)
        return new


def split_loop(op: Operation, thread: Dim, size: int) -> None:
    """Leaves to a thread every so many iterations of a loop."""
    assert isinstance(op, loop.ForOp)
    op.properties["lower_"], op.properties["step_"] = (
        DimAttr(op.lower + thread * op.step),
        DimAttr(op.step * size),
    )


def threads_for(wanted: int, least: int, most: int) -> int:
    """A number of threads: a power of two that is enough for what is wanted, within bounds."""
    return max(least, min(most, 1 << max(0, wanted - 1).bit_length()))


def first_thread(thread: Dim) -> list[Dim]:
    """The condition under which a thread is number 0."""
    return [ZERO - thread]
