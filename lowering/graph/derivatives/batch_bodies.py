"""What loops, choices and ops of the file share: bodies that take, compute and give what is for all parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from xdsl.ir import Block, SSAValue

from dialects.dims import ONE
from dialects.graph.custom import CustomOp
from dialects.graph.sketch import Sketch, Term
from dialects.graph.structure import ForOp, IfOp, YieldOp
from dialects.types import dims_of, tensor
from lowering.rewriting import put_before

if TYPE_CHECKING:
    from lowering.graph.derivatives.batching import Batching


def stacked(
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


def ends_of(last: YieldOp, differs: Sequence[bool], inner: Batching, sketch: Sketch) -> list[Term]:
    """What a body ends with, for all parts where that differs."""
    rows = zip(last.operands, differs, strict=True)
    return [inner.whole(v, sketch) if moves else sketch.term(v) for v, moves in rows]


def close(
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


def put_instead(
    new: ForOp | IfOp | CustomOp,
    results: Sequence[SSAValue],
    differs: Sequence[bool],
    op: ForOp | IfOp | CustomOp,
    outer: Batching,
    before: Sketch,
) -> None:
    """Puts a new op and what it needs before the one that it stands for, and enters its results."""
    put_before(new, op, before.ops)
    for old, result, moves in zip(op.results, results, differs, strict=True):
        result.name_hint = old.name_hint
        if moves:
            outer.stacks[old] = result
        else:
            old.replace_all_uses_with(result)


def ranked(x: Term, rank: int) -> Term:
    """A number for each part, with dims of one behind."""
    return x.reshape([*x.dims, *[ONE] * (rank - 1)]) if rank > 1 else x
