"""Choices and ops of the file on all parts at once.

A choice by a condition that differs goes both ways, and takes for each part what it chose.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from xdsl.ir import Block, Region, SSAValue

from dialects.graph.custom import CustomOp
from dialects.graph.sketch import Sketch, Term
from dialects.graph.structure import IfOp, YieldOp
from dialects.types import dims_of
from lowering.graph.derivatives.batch_bodies import close, ends_of, put_instead, ranked, stacked

if TYPE_CHECKING:
    from lowering.graph.derivatives.batching import Batching


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
        reached = outer.varying(region.block, args)
        differs = [m or v in reached for m, v in zip(differs, last.operands, strict=True)]
    before = Sketch(op.location)  # pyright: ignore[reportArgumentType]
    starts = [outer.whole(v, before) if m else before.term(v) for v, m in zip(op.inits, differs, strict=True)]
    bodies = [op.detach_region(region) for region in (op.then, op.otherwise)]
    for body in bodies:
        _choice_body(op, body, differs, outer)
    new = IfOp(op.condition, [t.value for t in starts], *bodies)
    put_instead(new, new.results, differs, op, outer, before)


def _choice_body(op: IfOp, body: Region, differs: Sequence[bool], outer: Batching) -> None:
    block, inner = body.block, outer.inside()
    for arg, value in zip(block.args, op.inits, strict=True):
        if value not in outer.stacks:  # taken from around, so that it stays one for all parts
            arg.replace_all_uses_with(value)
    old = stacked(block, list(block.args), differs, inner)
    inner.walk(block)
    last = block.last_op
    assert isinstance(last, YieldOp)
    after = Sketch(last.location)  # pyright: ignore[reportArgumentType]
    ends = ends_of(last, differs, inner, after)
    close(block, [t.value for t in ends], old, inner, after)


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
        a, b = (outer.known(v, sketch) for v in (yes, no))
        found.append(ranked(condition, len(dims_of(yes.type)) + 1).where(a, b))  # pyright: ignore
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
    block, inner = body.block, outer.apart()
    differs = [v in outer.stacks for v in op.operands]
    old = stacked(block, list(block.args), differs, inner)
    inner.walk(block)
    last = block.last_op
    assert isinstance(last, YieldOp)
    given = [v in inner.stacks for v in last.operands]
    close(block, [inner.stacks.get(v, v) for v in last.operands], old, inner, Sketch())
    operands = [outer.stacks.get(v, v) for v in op.operands]
    new = CustomOp(op.title.data, operands, op.settings.data, body)
    put_instead(new, new.results, given, op, outer, Sketch())
