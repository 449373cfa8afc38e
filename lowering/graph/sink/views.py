"""Transposes and reshapes past elementwise ops: down to where they cancel, or up to what no kernel makes."""

from __future__ import annotations

from xdsl.ir import Operation, SSAValue

from dialects.graph import OPS, GraphOp
from dialects.graph.elementwise import Elementwise
from dialects.graph.movement import TransposeOp
from dialects.graph.shapes import ints
from dialects.types import dims_of
from lowering.graph.sink.places import (
    View,
    again,
    bytes_of,
    can_move,
    is_made_for,
    is_result,
    kept_dims,
    same_view,
    view_of,
)
from lowering.rewriting import Pattern, Rewriter, pattern

LONGEST = 48
"""Elementwise ops that are looked through, as many as a kernel holds."""


@pattern(*{cls for cls in OPS.values() if issubclass(cls, Elementwise)})
def elementwise_of_view(op: GraphOp, rewriter: Rewriter) -> None:
    """f(view(x), view(y), c) = view(f(x, y, c)), where f joins the kernel that makes x or y, or a view below undoes it"""
    views = [view_of(v) for v in op.operands]
    found = [v for v in views if v is not None]
    if not found or not can_move(op):
        return
    first = found[0]
    if dims_of(op.results[0].type) != dims_of(first.results[0].type):
        return
    kept = kept_dims(first)
    for operand, view in zip(op.operands, views, strict=True):
        if (view is None or not same_view(view, first)) and len(dims_of(operand.type)) > kept:
            return
    moved = [v is not None and same_view(v, first) for v in views]
    operands = [
        v.operands[0] if is_moved and v is not None else operand
        for operand, v, is_moved in zip(op.operands, views, moved, strict=True)
    ]
    if dims_of(first.operands[0].type) not in [dims_of(o.type) for o in operands]:
        return
    large = [o for o, is_moved in zip(op.operands, moved, strict=True) if is_moved]
    if bytes_of(op.results[0]) > sum(bytes_of(o) for o in dict.fromkeys(large)):
        return
    single = all(o.has_one_use() for o in large)
    if not (single and any(map(is_made_for, large))) and not _is_undone(op, first, single):
        return
    inner = again(op, *operands)
    view = again(first, inner.results[0])
    inner.location, view.location = op.location, first.location  # both stand for what they stood for before
    rewriter.replace(op, [inner, view], absorbed=found)


def _is_undone(op: GraphOp, view: View, single: bool) -> bool:
    """Whether a view below, that elementwise ops of one operand alone lead to, takes a value back to where `view` has it
    from; or one of the same kind, and then both are one, where `view` is gone afterwards."""
    source = dims_of(view.operands[0].type)
    value = op.results[0]
    for _ in range(LONGEST):
        for use in value.uses:
            below = use.operation
            if not isinstance(below, View) or type(below) is not type(view):
                continue
            if (
                _composed(view, below)
                if isinstance(below, TransposeOp)
                else dims_of(below.results[0].type) == source
            ):
                return True
        below = value.get_user_of_unique_use()
        if not isinstance(below, Elementwise) or not single:
            return False
        if any(o is not value and dims_of(o.type) for o in below.operands) or bytes_of(
            below.results[0]
        ) > bytes_of(value):
            return False
        value = below.results[0]
    return False


def _composed(first: View, second: View) -> bool:
    """Whether two transposes undo each other."""
    perm, after = (ints(v.values(), "perm") for v in (first, second))
    return [perm[p] for p in after] == list(range(len(perm)))


@pattern(TransposeOp)
def transpose_of_result(op: TransposeOp, rewriter: Rewriter) -> None:
    """A result transpose(f(x, c)) = f(transpose(x), c), where no kernel that f would join makes x: one kernel, not two"""
    if not can_move(op) or not is_result(op.results[0]):
        return
    cone = _cone(op)
    if cone is None:
        return
    new_ops: list[Operation] = []
    made: dict[SSAValue, SSAValue] = {}
    for inner in cone:
        operands = [made.get(o) or _viewed(o, op, made, new_ops) for o in inner.operands]
        copy = again(inner, *operands)
        copy.location = inner.location
        new_ops.append(copy)
        made[inner.results[0]] = copy.results[0]
    rewriter.replace(op, new_ops, absorbed=cone)


def _viewed(value: SSAValue, view: View, made: dict[SSAValue, SSAValue], ops: list[Operation]) -> SSAValue:
    """An operand as the ops read it that give the view: through the view, or as it is where it has one element."""
    if not dims_of(value.type):
        return value
    through = again(view, value)
    through.location = view.location
    ops.append(through)
    made[value] = through.results[0]
    return through.results[0]


def _cone(view: View) -> list[GraphOp] | None:
    """The elementwise ops that give what a view reads, each before those that read it; None where the view cannot stand at
    their operands, or does not gain by it: reading two tensors in another order costs more than one copy (1.5 times)."""
    shape = dims_of(view.operands[0].type)
    cone: list[GraphOp] = []
    leaves: set[SSAValue] = set()
    work = [view.operands[0]]
    while work:
        value = work.pop()
        op = value.owner
        if isinstance(op, Elementwise) and value.has_one_use() and can_move(op) and op.parent is view.parent:
            if len(cone) == LONGEST:
                return None
            cone.append(op)
            work.extend(op.operands)
        elif dims_of(value.type):
            leaves.add(value)
            if len(leaves) > 1 or dims_of(value.type) != shape or is_made_for(value):
                return None
    return cone[::-1] or None


VIEWS: tuple[Pattern, ...] = (elementwise_of_view, transpose_of_result)
