"""What the rules of graph-simplify ask of values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from xdsl.dialects.builtin import TensorType
from xdsl.ir import Attribute, Operation, SSAValue

from dialects.graph import OPS, ConstantOp, GraphOp, dense, make, operation_name
from dialects.graph.numerics import cast_array
from dialects.graph.reduction import Reduce
from dialects.types import AnyTensor, dims_of
from lowering.rewriting import Rewriter, is_scheduled


def splat_of(value: SSAValue) -> float | int | bool | complex | None:
    """The one number that all elements of a constant are."""
    return value.owner.splat if isinstance(value.owner, ConstantOp) else None


def produced_by(value: SSAValue, name: str) -> GraphOp | None:
    """The op that makes a value, if it is the graph op of that name, and the program does not say how it is to run."""
    owner = value.owner
    if not isinstance(owner, GraphOp) or type(owner) is not OPS[name] or is_scheduled(owner):
        return None
    return owner


def type_of(value: SSAValue) -> AnyTensor:
    """The tensor type of a value."""
    assert isinstance(value.type, TensorType)
    return value.type


def replace_by(op: Operation, value: SSAValue, rewriter: Rewriter) -> None:
    """Gives the uses of an op's result to a value of its dtype, broadcast where its shape is smaller."""
    if value.type == op.results[0].type:
        rewriter.replace_with_values(op, [value])
    else:
        rewriter.replace(op, make("broadcast", [value], {"shape": dims_of(op.results[0].type)}))


def make_as(
    wanted: Attribute, name: str, operands: Sequence[SSAValue], values: Mapping[str, object]
) -> GraphOp | None:
    """An op that gives a result of a type; None if it would give another, and then nothing of it is left."""
    op = make(name, operands, values)
    if op.results[0].type == wanted:
        return op
    op.erase()  # or it would stay among the uses of its operands
    return None


def reduce_to_shape(op: GraphOp, inner: Reduce, rewriter: Rewriter) -> None:
    """Puts a reduction that keeps its dims, or that drops them, in the place of a reshape that does so behind it."""
    if is_scheduled(inner) or not inner.results[0].has_one_use():
        return
    values = inner.values()
    values["keepdims"] = not values["keepdims"]
    new = make_as(op.results[0].type, operation_name(inner), inner.operands, values)
    if new is not None:
        rewriter.replace(op, new, absorbed=(inner,))


def is_positive_zero(number: object) -> bool:
    return number == 0 and not str(number).startswith("-")


def is_constant(value: SSAValue, wanted: bool) -> bool:
    """Whether a value is a known truth."""
    return isinstance(value.owner, ConstantOp) and value.owner.splat is wanted


def constant(number: float, like: SSAValue) -> GraphOp:
    """A constant of rank 0, of the dtype of a value."""
    element = type_of(like).element_type
    return make("constant", [], {"value": dense(cast_array(np.asarray(number), element), element)})


def put(
    op: Operation, new: Sequence[GraphOp], rewriter: Rewriter, absorbed: Sequence[Operation] = ()
) -> None:
    """Puts ops in the place of one, broadcast where the result of the last has a smaller shape."""
    ops = list(new)
    if ops[-1].results[0].type != op.results[0].type:
        ops.append(make("broadcast", ops[-1].results, {"shape": dims_of(op.results[0].type)}))
    rewriter.replace(op, ops, absorbed=absorbed)
