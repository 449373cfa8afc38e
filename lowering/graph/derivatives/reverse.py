"""Reverse mode: one walk over a block from its end, with the cotangents of its values."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import Block, Operation, SSAValue

from dialects.graph.custom import CustomOp
from dialects.graph.derivatives import has_tangent
from dialects.graph.derived.arrangement import PadOp
from dialects.graph.shapes import extents
from dialects.graph.sketch import Sketch, Term
from dialects.graph.structure import ForOp, IfOp
from lowering.graph.derivatives import (
    contraction,
    elementwise,
    index,
    movement,
    normalisation,
    reduction,
    scan,
    scatter,
)
from lowering.graph.derivatives.activity import Activity
from lowering.graph.derivatives.rules import added, filled, pulled_back, step_of

TABLES = (contraction, elementwise, index, movement, normalisation, reduction, scan, scatter)
"""The modules that fill the tables."""


class Cotangents:
    """What each value has received; parts are added when they are asked for."""

    def __init__(self) -> None:
        self.parts: dict[SSAValue, list[Term]] = {}

    def add(self, value: SSAValue, part: Term | None) -> None:
        if part is not None:
            assert part.type == value.type, f"a cotangent of {part.type} for {value.type}"
            self.parts.setdefault(value, []).append(part)

    def take(self, value: SSAValue) -> Term | None:
        """The sum of all parts; the value is done with."""
        parts = self.parts.pop(value, None)
        return None if parts is None else side_by_side(parts) or added(parts)


def side_by_side(parts: Sequence[Term]) -> Term | None:
    """The sum of parts that pads surround, each of which fills a piece of the same dim: what slices of one value receive."""
    pieces: list[tuple[int, int, SSAValue]] = []
    along: set[int] = set()
    for part in parts:
        op = part.value.owner
        if not isinstance(op, PadOp):
            return None
        pads = [p.value for p in extents(op.values(), "pads")]
        along |= {i // 2 for i, p in enumerate(pads) if p != 0}
        if len(along) != 1:
            return None
        (axis,) = along
        before, after, size = *pads[2 * axis : 2 * axis + 2], part.dims[axis].value
        if before is None or after is None or size is None:
            return None
        pieces.append((before, size - after, op.operands[0]))
    pieces.sort(key=lambda piece: piece[:2])
    ends = [0, *(stop for _, stop, _ in pieces)]
    if [start for start, _, _ in pieces] != ends[:-1] or ends[-1] != parts[0].dims[axis].value:
        return None
    sketch = parts[0].sketch
    return sketch.make("concat", *(sketch.term(v) for _, _, v in pieces), axis=axis)


def pull_back(
    block: Block, inputs: Sequence[SSAValue], seeds: Sequence[tuple[SSAValue, SSAValue]]
) -> list[SSAValue | None]:
    """Appends to a block what computes the cotangents of the inputs, from those of some of its values.

    Inputs are arguments of the block, or values from around it. None stands for zero. Raises IrkitError at an op that has
    no derivative.
    """
    from lowering.graph.derivatives.control import choice_backward, loop_backward

    activity = Activity(block, inputs)
    sketch = Sketch()
    flow = Cotangents()
    for value, seed in seeds:
        if value in activity.active and has_tangent(value):
            flow.add(value, sketch.term(seed))
    for op in reversed(activity.steps):
        g = [flow.take(r) if r in activity.active else None for r in op.results]
        if all(t is None for t in g):
            continue
        sketch.loc = op.location  # pyright: ignore[reportAttributeAccessIssue]
        if isinstance(op, ForOp):
            received = loop_backward(op, g, activity, sketch)
        elif isinstance(op, IfOp):
            received = choice_backward(op, g, activity, sketch)
        elif (formula := activity.stands_for.get(op)) is not None:
            received = [(t.value, part) for t, part in zip(formula, g, strict=True)]
        elif isinstance(op, CustomOp):
            received = _own_rule(op, g, sketch)
        else:
            received = _op_backward(op, g, activity, sketch)
        for value, part in received:
            if value in activity.active:
                flow.add(value, part)
    found = [flow.take(v) for v in inputs]
    append(block, sketch.ops)
    return [None if t is None else t.value for t in found]


def _op_backward(
    op: Operation, g: Sequence[Term | None], activity: Activity, sketch: Sketch
) -> list[tuple[SSAValue, Term | None]]:
    wanted = [v in activity.active for v in op.operands]
    parts = pulled_back(step_of(op, sketch, g, wanted))
    return [(v, part) for v, part, w in zip(op.operands, parts, wanted, strict=True) if w]


def _own_rule(op: CustomOp, g: Sequence[Term | None], sketch: Sketch) -> list[tuple[SSAValue, Term | None]]:
    """What the rule that a file gives its op says; cotangents that nothing asked for are zeros."""
    seeds = [
        (filled(sketch, sketch.term(r)) if t is None else t).value
        for r, t in zip(op.results, g, strict=True)
        if has_tangent(r)
    ]
    ops, values = op.pulled_back(seeds)
    sketch.ops += ops
    operands = [v for v in op.operands if has_tangent(v)]
    return [(v, sketch.term(part)) for v, part in zip(operands, values, strict=True)]


def append(block: Block, ops: Sequence[Operation]) -> None:
    """Puts ops at the end of a block, before what ends it."""
    last = block.last_op
    if last is not None and last.name == "graph.yield":
        block.insert_ops_before(ops, last)
    else:
        block.add_ops(ops)
