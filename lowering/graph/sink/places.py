"""What graph-sink asks of an op: what feeds it, who reads it, whether it may move."""

from __future__ import annotations

from xdsl.dialects.func import ReturnOp
from xdsl.ir import Operation, SSAValue

from dialects.graph import ForOp, GraphOp, IndexOp, YieldOp, make, operation_name
from dialects.graph.carrying import has_quantised
from dialects.graph.contraction import AttentionOp, Conv2dOp, MatmulOp, Pool
from dialects.graph.elementwise import Elementwise
from dialects.graph.kernels import runs_by_hand
from dialects.graph.movement import GatherOp, ReshapeOp, TransposeOp
from dialects.graph.reduction import LayerNormOp, Reduce, SoftmaxOp
from dialects.graph.shapes import ints
from dialects.types import dims_of, element_bytes
from lowering.graph.fuse_groups import is_view
from lowering.rewriting import is_scheduled

View = TransposeOp | ReshapeOp

TAKING = (
    Elementwise,
    Reduce,
    SoftmaxOp,
    LayerNormOp,
    MatmulOp,
    Conv2dOp,
    Pool,
    AttentionOp,
    GatherOp,
    IndexOp,
)
"""Ops of which the kernel takes elementwise ops that follow."""


def is_made_for(value: SSAValue) -> bool:
    """Whether a kernel that takes what follows makes a value, for one reader alone, directly or through views."""
    while True:
        op = value.owner
        if not isinstance(op, Operation) or not value.has_one_use():
            return False
        if not is_view(op):
            return isinstance(op, TAKING) and not runs_by_hand(op)
        value = op.operands[0]


def can_move(op: Operation) -> bool:
    """Whether an op has no schedule of its own, no kernel by hand, and no quantised operands or results."""
    types = [v.type for v in (*op.operands, *op.results)]
    return not is_scheduled(op) and not runs_by_hand(op) and not has_quantised(types)  # pyright: ignore


def view_of(value: SSAValue) -> View | None:
    """The transpose or reshape that a value is."""
    op = value.owner
    return op if isinstance(op, View) and can_move(op) else None


def is_result(value: SSAValue) -> bool:
    """Whether a value is read as a result of a function or a round of a loop alone: then it has memory of its own."""
    users = [use.operation for use in value.uses]
    return bool(users) and all(
        isinstance(user, ReturnOp) or (isinstance(user, YieldOp) and isinstance(user.parent_op(), ForOp))
        for user in users
    )


def same_view(a: View, b: View) -> bool:
    """Whether two views change the same dims alike."""
    same_dims = dims_of(a.operands[0].type) == dims_of(b.operands[0].type)
    return same_dims and type(a) is type(b) and a.properties == b.properties


def kept_dims(view: View) -> int:
    """How many of the last dims a view leaves as they are: an operand of no more dims needs no view."""
    before, after = dims_of(view.operands[0].type), dims_of(view.results[0].type)
    if isinstance(view, TransposeOp):
        perm = ints(view.values(), "perm")
        moved = [i for i, p in enumerate(perm) if i != p]
        return len(perm) if not moved else len(perm) - 1 - moved[-1]
    kept = 0
    while kept < min(len(before), len(after)) and before[-1 - kept] == after[-1 - kept]:
        kept += 1
    return kept


def bytes_of(value: SSAValue) -> int:
    """What an element of a tensor takes."""
    return element_bytes(value.type.element_type)  # pyright: ignore[reportAttributeAccessIssue]


def again(op: GraphOp, *operands: SSAValue) -> GraphOp:
    """The same op, of the same parameters, on other operands."""
    return make(operation_name(op), operands, op.values())
