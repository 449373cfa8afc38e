"""Forward mode: one walk over a block from its start, which puts the tangent of each value behind it.

Loops and choices carry the tangents of what they carry.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import Block, Operation, Region, SSAValue

from dialects.graph.derivatives import has_tangent
from dialects.graph.sketch import Sketch
from dialects.graph.structure import ForOp, IfOp, YieldOp
from lowering.graph.derivatives import elementwise, linear, normalisation, reduction, scan, scatter
from lowering.graph.derivatives.activity import Activity
from lowering.graph.derivatives.rules import filled, pushed_forward, step_of
from lowering.rewriting import put_before

TABLES = (elementwise, linear, normalisation, reduction, scan, scatter)
"""The modules that fill the tables."""

Tangents = dict[SSAValue, SSAValue]


def push_forward(block: Block, tangents: Tangents) -> None:
    """Puts into a block what computes tangents, and enters those of its values; none stands for zero.

    The values that have a tangent at first are arguments of the block, or come from around it. Raises IrkitError at an op
    that has no derivative.
    """
    activity = Activity(block, list(tangents), walks_back=False)
    for op in activity.steps:
        if isinstance(op, ForOp):
            _through_loop(op, activity, tangents)
        elif isinstance(op, IfOp):
            _through_choice(op, activity, tangents)
        elif (formula := activity.stands_for.get(op)) is not None:
            _enter(op, [tangents.get(t.value) for t in formula], tangents)
        else:
            sketch = Sketch(op.location)  # pyright: ignore[reportArgumentType]
            g = [sketch.term(tangents[v]) if v in tangents else None for v in op.operands]
            if any(t is not None for t in g) and any(map(has_tangent, op.results)):
                found = pushed_forward(step_of(op, sketch, g, [t is not None for t in g]))
                _enter(op, [None if t is None else t.value for t in found], tangents)
                block.insert_ops_after(sketch.ops, op)


def _enter(op: Operation, found: Sequence[SSAValue | None], tangents: Tangents) -> None:
    for result, t in zip(op.results, found, strict=True):
        if t is not None and has_tangent(result):
            assert t.type == result.type, f"a tangent of {t.type} for {result.type}"
            tangents[result] = t


def filled_tangents(values: Sequence[SSAValue], tangents: Tangents, sketch: Sketch) -> list[SSAValue]:
    """The tangents of values, zeros where there is none."""
    return [tangents[v] if v in tangents else filled(sketch, sketch.term(v)).value for v in values]


def _through_loop(op: ForOp, activity: Activity, tangents: Tangents) -> None:
    """The loop that carries tangents too, in its place."""
    moves = activity.carried(op)
    before = Sketch(op.location)  # pyright: ignore[reportArgumentType]
    starts = filled_tangents(_those(op.inits, moves), tangents, before)
    body = op.detach_region(op.body)
    _carry(body, _those(body.block.args[1:], moves), moves, dict(tangents))
    new = ForOp(*op.bounds(), [*op.inits, *starts], body, op.conditional is not None)
    _put(new, op, before, moves, activity, tangents)


def _through_choice(op: IfOp, activity: Activity, tangents: Tangents) -> None:
    """The choice that gives tangents too, in its place."""
    moves = activity.chosen(op)
    before = Sketch(op.location)  # pyright: ignore[reportArgumentType]
    starts = filled_tangents(_those(op.inits, moves), tangents, before)
    bodies = [op.detach_region(region) for region in (op.then, op.otherwise)]
    for body in bodies:
        inner = dict(tangents)
        for arg, value in zip(body.block.args, op.inits, strict=True):
            if value in tangents:
                inner[arg] = tangents[value]
        _carry(body, _those(body.block.args, moves), moves, inner)
    new = IfOp(op.condition, [*op.inits, *starts], *bodies)
    _put(new, op, before, moves, activity, tangents)


def _those(values: Sequence[SSAValue], moves: Sequence[bool]) -> list[SSAValue]:
    return [v for v, m in zip(values, moves, strict=True) if m]


def _carry(body: Region, args: Sequence[SSAValue], moves: Sequence[bool], inner: Tangents) -> None:
    """Gives a body a tangent for each of these arguments, and lets it yield those of the values that move."""
    block = body.block
    for arg in args:
        inner[arg] = block.insert_arg(arg.type, len(block.args))
    push_forward(block, inner)
    last = block.last_op
    assert isinstance(last, YieldOp)
    after = Sketch(last.location)  # pyright: ignore[reportArgumentType]
    ends = filled_tangents(_those(last.operands, moves), inner, after)
    block.insert_ops_before(after.ops, last)
    last.operands = [*last.operands, *ends]


def _put(
    new: ForOp | IfOp,
    op: Operation,
    before: Sketch,
    moves: Sequence[bool],
    activity: Activity,
    tangents: Tangents,
) -> None:
    """Puts a loop or a choice with tangents in the place of the one without."""
    put_before(new, op, before.ops)
    for old, result in zip(op.results, new.results, strict=False):
        result.name_hint = old.name_hint
        if old in activity.active:
            activity.active.add(result)
        old.replace_all_uses_with(result)
    tangents.update(zip(_those(new.results[: len(moves)], moves), new.results[len(moves) :], strict=True))
    op.detach()
    op.erase()
