"""Loops on all parts at once: one that ends at different rounds goes on until all parts are done, and leaves alone what is."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import TYPE_CHECKING

from xdsl.ir import Region, SSAValue

from dialects.dims import Dim
from dialects.graph.sketch import Sketch, Term
from dialects.graph.structure import ForOp, YieldOp
from dialects.types import tensor
from lowering.graph.derivatives.batch_bodies import close, ends_of, put_instead, ranked, stacked

if TYPE_CHECKING:
    from lowering.graph.derivatives.batching import Batching


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
    put_instead(new, results, differs, op, outer, before)


def _carried(op: ForOp, outer: Batching) -> list[bool]:
    """Which carried values differ between parts, in one round or another."""
    last = op.block.last_op
    assert last is not None
    differs = [v in outer.stacks for v in op.inits]
    while True:
        args = {a for a, m in zip(op.block.args[1:], differs, strict=True) if m}
        reached = outer.varying(op.block, args)
        found = [m or v in reached for m, v in zip(differs, last.operands, strict=True)]
        if found == differs:
            return differs
        differs = found


def _loop_body(op: ForOp, body: Region, differs: Sequence[bool], masked: bool, outer: Batching) -> None:
    block, inner = body.block, outer.inside()
    args, last = list(block.args[1:]), block.last_op
    assert isinstance(last, YieldOp)
    old = stacked(block, args, differs, inner)
    if masked:
        head = Sketch(op.location)  # pyright: ignore[reportArgumentType]
        inner.live = _live(op, block.args[0], args, inner, head).value
        block.insert_ops_before(head.ops, block.first_op or last)
    inner.walk(block)
    after = Sketch(last.location)  # pyright: ignore[reportArgumentType]
    ends = ends_of(last, differs, inner, after)
    if masked and inner.live is not None:
        live = after.term(inner.live)
        ends = [
            ranked(live, len(e.dims)).where(e, inner.whole(a, after)) for e, a in zip(ends, args, strict=True)
        ]
        if op.conditional is not None:
            block.insert_arg(tensor("bool", []), 1)
            ends.insert(0, _any(ends[0]))
    close(block, [t.value for t in ends], old, inner, after)


def _live(op: ForOp, counter: SSAValue, args: Sequence[SSAValue], inner: Batching, sketch: Sketch) -> Term:
    """Which parts go through a round."""
    found: list[Term] = []
    if op.conditional is not None:
        found.append(inner.whole(args[0], sketch))
    elif inner.live is not None:
        found.append(sketch.term(inner.live))
    for bound, is_lower in zip(op.bounds(), (True, False), strict=True):
        if isinstance(bound, SSAValue) and bound in inner.stacks:
            end, now = inner.whole(bound, sketch).cast("i64"), sketch.term(counter)
            found.append(now >= end if is_lower else now < end)
    return reduce(Term.both, found)


def _any(x: Term) -> Term:
    return x.of("reduce_any", axes=(0,))
