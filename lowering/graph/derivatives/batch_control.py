"""Loops, choices and ops of the file on all parts at once.

A loop that ends at different rounds goes on until all parts are done, and leaves alone what is done; a choice by a
condition that differs goes both ways, and takes for each part what it chose.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import Block, Region, SSAValue

from dialects.dims import ONE, Dim
from dialects.graph.custom import CustomOp
from dialects.graph.sketch import Sketch, Term
from dialects.graph.structure import ForOp, IfOp, YieldOp
from dialects.types import dims_of, tensor
from lowering.graph.derivatives.batching import Batching, varying


def _stacked(
    block: Block, args: Sequence[SSAValue], differs: Sequence[bool], inner: Batching
) -> list[SSAValue]:
    """Puts an argument for all parts in the place of each that differs; gives those that stand for one part."""
    old: list[SSAValue] = []
    for arg, moves in zip(args, differs, strict=True):
        if moves:
            whole = tensor(arg.type.element_type, (inner.size, *dims_of(arg.type)))  # pyright: ignore
            new = block.insert_arg(whole, arg.index)  # pyright: ignore
            new.name_hint = arg.name_hint
            inner.stacks[arg] = new
            old.append(arg)
    return old


def _ends(last: YieldOp, differs: Sequence[bool], inner: Batching, sketch: Sketch) -> list[Term]:
    """What a body ends with, for all parts where that differs."""
    rows = zip(last.operands, differs, strict=True)
    return [inner.whole(v, sketch) if moves else sketch.term(v) for v, moves in rows]


def _close(
    block: Block, ends: Sequence[SSAValue], old: Sequence[SSAValue], inner: Batching, ops: Sketch
) -> None:
    """Ends a body with other values, and takes out what stood for one part."""
    last = block.last_op
    assert isinstance(last, YieldOp)
    block.insert_ops_before(ops.ops, last)
    last.operands = list(ends)
    inner.finish()
    for arg in old:
        block.erase_arg(arg)  # pyright: ignore[reportArgumentType]


def _replace(
    new: ForOp | IfOp | CustomOp,
    results: Sequence[SSAValue],
    differs: Sequence[bool],
    op: ForOp | IfOp | CustomOp,
    outer: Batching,
    before: Sketch,
) -> None:
    """Puts a new op and what it needs before the one that it stands for, and enters its results."""
    new.location = op.location
    new.attributes.update(op.attributes)
    block = op.parent
    assert block is not None
    block.insert_ops_before([*before.ops, new], op)
    for old, result, moves in zip(op.results, results, differs, strict=True):
        result.name_hint = old.name_hint
        if moves:
            outer.stacks[old] = result
        else:
            old.replace_all_uses_with(result)


# -- loops --------------------------------------------------------------------------------------------------------


def loop(op: ForOp, outer: Batching) -> None:
    """The loop on all parts."""
    before = Sketch(op.location)  # pyright: ignore[reportArgumentType]
    differs = _carried(op, outer)
    uneven = any(isinstance(b, SSAValue) and b in outer.stacks for b in op.bounds())
    conditional = op.conditional is not None
    masked = uneven or (conditional and (differs[0] or outer.live is not None))
    if masked:
        differs = [True] * len(differs)
    starts = [outer.whole(v, before) if m else before.term(v) for v, m in zip(op.inits, differs, strict=True)]
    if masked and conditional:
        if outer.live is not None:
            starts[0] = starts[0].both(before.term(outer.live))
        starts.insert(0, _any(starts[0]))
    ends: list[Dim | SSAValue] = []
    for bound, kind in zip(op.bounds(), ("reduce_min", "reduce_max"), strict=True):
        whole = outer.stacks.get(bound) if isinstance(bound, SSAValue) else None
        ends.append(bound if whole is None else before.term(whole).of(kind, axes=(0,)).value)
    body = op.detach_region(op.body)
    _loop_body(op, body, differs, masked, outer)
    new = ForOp(ends[0], ends[1], [t.value for t in starts], body, conditional)
    results = new.results[1:] if masked and conditional else new.results
    _replace(new, results, differs, op, outer, before)


def _carried(op: ForOp, outer: Batching) -> list[bool]:
    """Which carried values differ between parts, in one round or another."""
    last = op.block.last_op
    assert last is not None
    differs = [v in outer.stacks for v in op.inits]
    while True:
        args = {a for a, m in zip(op.block.args[1:], differs, strict=True) if m}
        reached = varying(op.block, outer.stacks.keys() | args)
        found = [m or v in reached for m, v in zip(differs, last.operands, strict=True)]
        if found == differs:
            return differs
        differs = found


def _loop_body(op: ForOp, body: Region, differs: Sequence[bool], masked: bool, outer: Batching) -> None:
    block, inner = body.block, outer.inside()
    args, last = list(block.args[1:]), block.last_op
    assert isinstance(last, YieldOp)
    old = _stacked(block, args, differs, inner)
    if masked:
        head = Sketch(op.location)  # pyright: ignore[reportArgumentType]
        inner.live = _live(op, block.args[0], args, inner, head).value
        block.insert_ops_before(head.ops, block.first_op or last)
    inner.walk(block)
    after = Sketch(last.location)  # pyright: ignore[reportArgumentType]
    ends = _ends(last, differs, inner, after)
    if masked and inner.live is not None:
        live = after.term(inner.live)
        ends = [
            _ranked(live, len(e.dims)).where(e, inner.whole(a, after))
            for e, a in zip(ends, args, strict=True)
        ]
        if op.conditional is not None:
            block.insert_arg(tensor("bool", []), 1)
            ends.insert(0, _any(ends[0]))
    _close(block, [t.value for t in ends], old, inner, after)


def _live(op: ForOp, counter: SSAValue, args: Sequence[SSAValue], inner: Batching, sketch: Sketch) -> Term:
    """Which parts go through a round."""
    found: list[Term] = [inner.whole(args[0], sketch)] if op.conditional is not None else []
    for bound, is_lower in zip(op.bounds(), (True, False), strict=True):
        if isinstance(bound, SSAValue) and bound in inner.stacks:
            end, now = inner.whole(bound, sketch).cast("i64"), sketch.term(counter)
            found.append(now >= end if is_lower else now < end)
    live = found[0]
    for other in found[1:]:
        live = live.both(other)
    return live


def _any(x: Term) -> Term:
    return x.of("reduce_any", axes=(0,))


def _ranked(x: Term, rank: int) -> Term:
    """A number for each part, with dims of one behind."""
    return x.reshape([*x.dims, *[ONE] * (rank - 1)]) if rank > 1 else x


# -- choices ------------------------------------------------------------------------------------------------------


def choice(op: IfOp, outer: Batching) -> None:
    """The choice on all parts."""
    if op.condition in outer.stacks:
        _both_ways(op, outer)
        return
    differs = [v in outer.stacks for v in op.inits]
    for region in (op.then, op.otherwise):
        args = {a for a, v in zip(region.block.args, op.inits, strict=True) if v in outer.stacks}
        last = region.block.last_op
        assert last is not None
        reached = varying(region.block, outer.stacks.keys() | args)
        differs = [m or v in reached for m, v in zip(differs, last.operands, strict=True)]
    before = Sketch(op.location)  # pyright: ignore[reportArgumentType]
    starts = [outer.whole(v, before) if m else before.term(v) for v, m in zip(op.inits, differs, strict=True)]
    bodies = [op.detach_region(region) for region in (op.then, op.otherwise)]
    for body in bodies:
        _choice_body(op, body, differs, outer)
    new = IfOp(op.condition, [t.value for t in starts], *bodies)
    _replace(new, new.results, differs, op, outer, before)


def _choice_body(op: IfOp, body: Region, differs: Sequence[bool], outer: Batching) -> None:
    block, inner = body.block, outer.inside()
    for arg, value in zip(block.args, op.inits, strict=True):
        if value not in outer.stacks:  # taken from around, so that it stays one for all parts
            arg.replace_all_uses_with(value)
    old = _stacked(block, list(block.args), differs, inner)
    inner.walk(block)
    last = block.last_op
    assert isinstance(last, YieldOp)
    after = Sketch(last.location)  # pyright: ignore[reportArgumentType]
    ends = _ends(last, differs, inner, after)
    _close(block, [t.value for t in ends], old, inner, after)


def _both_ways(op: IfOp, outer: Batching) -> None:
    sketch = Sketch(op.location)  # pyright: ignore[reportArgumentType]
    condition, around = sketch.term(outer.stacks[op.condition]), outer.live
    parent = op.parent
    assert parent is not None
    ways: list[list[SSAValue]] = []
    for region, live in ((op.then, condition), (op.otherwise, condition.of("logical_not"))):
        live = live if around is None else live.both(sketch.term(around))
        parent.insert_ops_before(sketch.ops, op)
        sketch.ops.clear()
        outer.live = live.value
        ways.append(_opened(region.block, op, outer))
    outer.live = around
    found: list[Term] = []
    for yes, no in zip(*ways, strict=True):
        a, b = (sketch.term(outer.stacks.get(v, v)) for v in (yes, no))
        found.append(_ranked(condition, len(dims_of(yes.type)) + 1).where(a, b))  # pyright: ignore
    outer.put(op, sketch, found)


def _opened(block: Block, op: IfOp, outer: Batching) -> list[SSAValue]:
    """Moves a body before its choice, on all parts; what it ended with."""
    parent, last = op.parent, block.last_op
    assert parent is not None and last is not None
    for arg, value in zip(block.args, op.inits, strict=True):
        arg.replace_all_uses_with(value)
    for inner in list(block.ops)[:-1]:
        inner.detach()
        parent.insert_op_before(inner, op)
        outer.visit(inner)
    return list(last.operands)


# -- ops of the file ----------------------------------------------------------------------------------------------


def custom(op: CustomOp, outer: Batching) -> None:
    """The op with its formula on all parts."""
    body = op.detach_region(op.body)
    block, inner = body.block, Batching(outer.size, {})
    differs = [v in outer.stacks for v in op.operands]
    old = _stacked(block, list(block.args), differs, inner)
    inner.walk(block)
    last = block.last_op
    assert isinstance(last, YieldOp)
    given = [v in inner.stacks for v in last.operands]
    _close(block, [inner.stacks.get(v, v) for v in last.operands], old, inner, Sketch())
    operands = [outer.stacks.get(v, v) for v in op.operands]
    new = CustomOp(op.title.data, operands, op.settings.data, body)
    _replace(new, new.results, given, op, outer, Sketch())
