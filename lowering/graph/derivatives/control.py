"""Reverse mode through loops and choices.

A loop keeps what it carries into each round on a tape, a tensor with one row for each round; the way back reads the rows
in the other order, computes the round again, and pulls back through it. Rows of values that nothing needs are dropped by
`graph-dce`. The tape takes rounds times the bytes that are carried.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import Block, Region, SSAValue

from dialects.dims import ZERO, Dim
from dialects.graph.derivatives import has_tangent
from dialects.graph.sketch import Sketch, Term
from dialects.graph.structure import ForOp, IfOp, YieldOp, copied
from dialects.types import tensor
from lowering.graph.derivatives.access import integer_of
from lowering.graph.derivatives.activity import Activity, captured
from lowering.graph.derivatives.rounds import most_rounds
from lowering.graph.derivatives.rules import filled
from lowering.rewriting import put_before


def loop_backward(
    op: ForOp, g: Sequence[Term | None], activity: Activity, sketch: Sketch
) -> list[tuple[SSAValue, Term | None]]:
    """The cotangents of what a loop starts from, and of active values from around that its body uses."""
    moves, outer = activity.carried(op), captured(op, activity.active)
    most = most_rounds(op)
    if most == ZERO:  # no round, no tape
        return list(zip(op.inits, g, strict=True))
    taped, tapes, counter = _with_tape(op, most, sketch)
    for old, new in zip(op.results, taped.results, strict=False):
        if old in activity.active:
            activity.active.add(new)
        new.name_hint = old.name_hint
        old.replace_all_uses_with(new)
    rounds = _rounds(taped, most, counter, sketch)
    seeds = [
        filled(sketch, sketch.term(r)) if t is None else t
        for r, t, m in zip(taped.results, g, moves, strict=False)
        if m
    ]
    starts = [*seeds, *(filled(sketch, sketch.term(v)) for v in outer)]
    body = _backward_body(op, moves, outer, tapes, rounds, starts, sketch.loc)
    way_back = ForOp(
        ZERO, rounds if isinstance(rounds, Dim) else rounds.value, [t.value for t in starts], body
    )
    sketch.add(way_back)
    op.detach()
    op.erase()
    results = [sketch.term(r) for r in way_back.results]
    inits = [v for v, m in zip(taped.inits, moves, strict=False) if m]
    return [(v, t) for v, t in zip([*inits, *outer], results, strict=True)]


def _with_tape(op: ForOp, most: Dim, sketch: Sketch) -> tuple[ForOp, list[SSAValue], SSAValue | None]:
    """The loop that also keeps what each round began with, in the place of the loop; its tapes, and how often it ran."""
    before = Sketch(sketch.loc)
    tapes = [_tape(before, v, most) for v in op.inits]
    counts = op.conditional is not None
    first = [*tapes, *([integer_of(before, ZERO)] if counts else [])]
    body = op.body.clone()
    inner = Sketch(sketch.loc)
    last = body.block.last_op
    assert isinstance(last, YieldOp)
    carried = list(body.block.args[1:])
    place = _place(inner, inner.term(body.block.args[0]), op.bounds()[0])
    kept: list[Term] = []
    for tape, arg in zip(tapes, carried, strict=True):
        row = body.block.insert_arg(tape.value.type, len(body.block.args))
        kept.append(inner.term(row).of("scatter", place, inner.term(arg)))
    if counts:
        kept.append(inner.term(body.block.insert_arg(tensor("i64", []), len(body.block.args))) + 1)
    body.block.insert_ops_before(inner.ops, last)
    last.operands = [*last.operands, *(t.value for t in kept)]
    new = ForOp(*op.bounds(), [*op.inits, *(t.value for t in first)], body, op.conditional is not None)
    put_before(new, op, before.ops)
    own = len(op.inits)
    return new, list(new.results[own : own + len(tapes)]), new.results[-1] if counts else None


def _tape(sketch: Sketch, value: SSAValue, most: Dim) -> Term:
    one = sketch.term(value)
    return sketch.number(0, one.type.element_type).of("broadcast", shape=(most, *one.dims))


def _place(sketch: Sketch, counter: Term, lower: Dim | SSAValue) -> Term:
    """The number of a round, from zero."""
    if isinstance(lower, Dim):
        return counter if lower == ZERO else counter - integer_of(sketch, lower)
    return counter - sketch.term(lower).cast("i64")


def _rounds(op: ForOp, most: Dim, counter: SSAValue | None, sketch: Sketch) -> Dim | Term:
    """How often a loop ran: known while compiling, or a value."""
    # Stated as a minimum, so that the way back has a bound in turn, and a derivative of its own.
    if counter is not None:
        return sketch.term(counter).of("min", integer_of(sketch, most))
    lower, upper = op.bounds()
    if isinstance(lower, Dim) and isinstance(upper, Dim):
        return most
    low, high = (
        integer_of(sketch, b) if isinstance(b, Dim) else sketch.term(b).cast("i64") for b in (lower, upper)
    )
    return (high - low).of("max", 0).of("min", integer_of(sketch, most))


def _backward_body(
    op: ForOp,
    moves: Sequence[bool],
    outer: Sequence[SSAValue],
    tapes: Sequence[SSAValue],
    rounds: Dim | Term,
    starts: Sequence[Term],
    loc: object,
) -> Region:
    """One round of the way back: takes cotangents of what a round gives, and gives those of what it began with."""
    from lowering.graph.derivatives.reverse import append, pull_back

    block = Block(arg_types=[tensor("i64", []), *(t.type for t in starts)])
    head = Sketch(loc)  # pyright: ignore[reportArgumentType]
    last_round = integer_of(head, rounds - 1) if isinstance(rounds, Dim) else head.term(rounds.value) - 1
    row = last_round - head.term(block.args[0])
    lower = op.bounds()[0]
    counter = row
    if lower != ZERO:
        start = integer_of(head, lower) if isinstance(lower, Dim) else head.term(lower).cast("i64")
        counter = row + start
    begun = [head.term(tape).of("gather", row, axis=0).value for tape in tapes]
    values: dict[SSAValue, SSAValue] = dict(zip(op.block.args, [counter.value, *begun], strict=True))
    block.add_ops(head.ops)
    ops, given = copied(op.block, values)
    block.add_ops(ops)
    count = sum(moves)
    seeds = [v for v, m in zip(given, moves, strict=True) if m]
    inputs = [v for v, m in zip(begun, moves, strict=True) if m]
    # A value that a round gives as it got it has its cotangent twice over: by the seed, and as an input.
    found = pull_back(block, [*inputs, *outer], list(zip(seeds, block.args[1 : 1 + count], strict=True)))
    tail = Sketch(loc)  # pyright: ignore[reportArgumentType]
    out: list[SSAValue] = []
    for value, arg, start in zip(found, block.args[1:], starts, strict=True):
        if arg.index <= count:
            out.append(filled(tail, start).value if value is None else value)
        else:
            out.append(arg if value is None else (tail.term(arg) + tail.term(value)).value)
    append(block, tail.ops)
    end = YieldOp(*out)
    end.location = op.location
    block.add_op(end)
    return Region(block)


def choice_backward(
    op: IfOp, g: Sequence[Term | None], activity: Activity, sketch: Sketch
) -> list[tuple[SSAValue, Term | None]]:
    """The same choice once more; each way gives the cotangents of what it began with, and of active values from around."""
    outer = captured(op, activity.active)
    inits = [v for v in op.inits if v in activity.active and has_tangent(v)]
    inputs = list(dict.fromkeys([*inits, *outer]))
    starts = [filled(sketch, sketch.term(v)) for v in inputs]
    ways = [_way_back(op, region, g, inputs, starts) for region in (op.then, op.otherwise)]
    back = IfOp(op.condition, [t.value for t in starts], *ways)
    sketch.add(back)
    return [(v, sketch.term(r)) for v, r in zip(inputs, back.results, strict=True)]


def _way_back(
    op: IfOp, region: Region, g: Sequence[Term | None], inputs: Sequence[SSAValue], starts: Sequence[Term]
) -> Region:
    from lowering.graph.derivatives.reverse import pull_back

    block = Block(arg_types=[t.type for t in starts])
    values: dict[SSAValue, SSAValue] = dict(zip(region.block.args, op.inits, strict=True))
    ops, given = copied(region.block, values)
    block.add_ops(ops)
    seeds = [(v, t.value) for v, t in zip(given, g, strict=True) if t is not None]
    found = pull_back(block, inputs, seeds)
    out = [arg if value is None else value for value, arg in zip(found, block.args, strict=True)]
    end = YieldOp(*out)
    end.location = op.location
    block.add_op(end)
    return Region(block)
