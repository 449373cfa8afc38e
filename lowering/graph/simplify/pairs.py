"""Pairs of ops that undo each other, or are one."""

from __future__ import annotations

from xdsl.dialects import builtin
from xdsl.ir import Attribute

from dialects.graph import OPS, GraphOp, make, operation_name
from dialects.graph.carrying import has_quantised
from dialects.graph.elementwise import Elementwise
from dialects.graph.shapes import dims, ints
from dialects.types import DTYPES, dims_of, is_float, is_integer, is_unsigned
from lowering.graph.simplify.values import produced_by, type_of
from lowering.rewriting import Pattern, Rewriter, pattern


@pattern(OPS["neg"], OPS["logical_not"])
def involution_twice(op: GraphOp, rewriter: Rewriter) -> None:
    """neg(neg(x)) = x; not(not(x)) = x"""
    if (inner := produced_by(op.operands[0], operation_name(op))) is not None:
        rewriter.replace_with_values(op, [inner.operands[0]])


@pattern(OPS["abs"], OPS["relu"], OPS["floor"], OPS["ceil"])
def projection_twice(op: GraphOp, rewriter: Rewriter) -> None:
    """f(f(x)) = f(x) for abs, relu, floor, ceil; floor(ceil(x)) = ceil(x); ceil(floor(x)) = floor(x)"""
    rounding = (OPS["floor"], OPS["ceil"])
    inner = type(op.operands[0].owner)
    if inner is type(op) or (type(op) in rounding and inner in rounding):
        rewriter.replace_with_values(op, [op.operands[0]])


@pattern(OPS["abs"])
def abs_of_neg(op: GraphOp, rewriter: Rewriter) -> None:
    """abs(neg(x)) = abs(x)"""
    if (inner := produced_by(op.operands[0], "neg")) is not None:
        rewriter.replace(op, make("abs", inner.operands), absorbed=(inner,))


@pattern(OPS["add"], OPS["sub"])
def add_or_sub_of_neg(op: GraphOp, rewriter: Rewriter) -> None:
    """x + neg(y) = x - y; x - neg(y) = x + y"""
    x, y = op.operands
    if (inner := produced_by(y, "neg")) is not None:
        other = "sub" if type(op) is OPS["add"] else "add"
        rewriter.replace(op, make(other, [x, inner.operands[0]]), absorbed=(inner,))


@pattern(OPS["transpose"])
def transpose_of_transpose(op: GraphOp, rewriter: Rewriter) -> None:
    """transpose(x, 0 1 ...) = x; transpose(transpose(x, p), q) = transpose(x, p[q])"""
    perm = ints(op.values(), "perm")
    if perm == tuple(range(len(perm))):
        rewriter.replace_with_values(op, op.operands)
    elif (inner := produced_by(op.operands[0], "transpose")) is not None:
        first = ints(inner.values(), "perm")
        both = [first[p] for p in perm]
        rewriter.replace(op, make("transpose", inner.operands, {"perm": both}), absorbed=(inner,))


@pattern(OPS["reshape"])
def reshape_of_reshape(op: GraphOp, rewriter: Rewriter) -> None:
    """reshape(x, its shape) = x; reshape(reshape(x)) = reshape(x)"""
    if op.operands[0].type == op.results[0].type:
        rewriter.replace_with_values(op, op.operands)
    elif (inner := produced_by(op.operands[0], "reshape")) is not None:
        shape = {"shape": dims(op.values(), "shape")}
        rewriter.replace(op, make("reshape", inner.operands, shape), absorbed=(inner,))


@pattern(OPS["reshape"])
def reshape_around_transpose(op: GraphOp, rewriter: Rewriter) -> None:
    """reshape(transpose(reshape(x), p)) = transpose(reshape(x), q) where p leaves the dims first that the outer reshape changes,
    and the inner one leaves those that p moves: batches that are joined around a transpose"""
    moved = produced_by(op.operands[0], "transpose")
    joined = None if moved is None else produced_by(moved.operands[0], "reshape")
    if moved is None or joined is None or has_quantised([type_of(joined.operands[0])]):
        return
    perm = ints(moved.values(), "perm")
    lead = next((i for i, p in enumerate(perm) if i != p), len(perm))
    count = len(perm) - lead
    source, after = (dims_of(v.type) for v in (joined.operands[0], op.results[0]))
    before, wanted = (dims_of(v.results[0].type)[lead:] for v in (joined, moved))
    if not count or source[-count:] != before or after[-count:] != wanted:
        return
    front = len(after) - count
    first = make("reshape", joined.operands, {"shape": (*after[:front], *before)})
    order = [*range(front), *(p - lead + front for p in perm[lead:])]
    rewriter.replace(op, [first, make("transpose", first.results, {"perm": order})], absorbed=(moved, joined))


@pattern(OPS["broadcast"])
def broadcast_of_broadcast(op: GraphOp, rewriter: Rewriter) -> None:
    """broadcast(x, its shape) = x; broadcast(broadcast(x)) = broadcast(x)"""
    if op.operands[0].type == op.results[0].type:
        rewriter.replace_with_values(op, op.operands)
    elif (inner := produced_by(op.operands[0], "broadcast")) is not None:
        shape = {"shape": dims(op.values(), "shape")}
        rewriter.replace(op, make("broadcast", inner.operands, shape), absorbed=(inner,))


@pattern(*{cls for cls in OPS.values() if issubclass(cls, Elementwise) and cls.ARITY[0] > 1})
def elementwise_of_broadcast(op: GraphOp, rewriter: Rewriter) -> None:
    """f(broadcast(x), y) = f(x, y) where y has the shape of the result"""
    if has_quantised([type_of(v) for v in op.operands]):
        return  # scales go along dims counted from the front
    for number, operand in enumerate(op.operands):
        inner = produced_by(operand, "broadcast")
        if inner is None:
            continue
        operands = list(op.operands)
        operands[number] = inner.operands[0]
        shapes = {dims_of(v.type) for i, v in enumerate(op.operands) if i != number}
        if dims_of(op.results[0].type) in shapes:
            rewriter.replace(
                op, make(op.name.removeprefix("graph."), operands, op.values()), absorbed=(inner,)
            )
            return


@pattern(OPS["cast"])
def cast_of_cast(op: GraphOp, rewriter: Rewriter) -> None:
    """cast(x, its dtype) = x; cast(cast(x, wider), t) = cast(x, t), but only floats are quantised"""
    if op.operands[0].type == op.results[0].type:
        rewriter.replace_with_values(op, op.operands)
        return
    inner = produced_by(op.operands[0], "cast")
    if inner is None:
        return
    source, middle = (type_of(v).element_type for v in (inner.operands[0], op.operands[0]))
    if keeps_values(source, middle) and (is_float(source) or not has_quantised([type_of(op.results[0])])):
        rewriter.replace(op, make("cast", inner.operands, op.values()), absorbed=(inner,))


def keeps_values(source: Attribute, target: Attribute) -> bool:
    """Whether a cast loses nothing, and casting on from either gives the same: wider of the same kind."""
    if source == builtin.i1:
        return target != builtin.i1
    if is_float(source) and is_float(target):
        return target in _WIDER.get(source, ())
    if not (is_integer(source) and is_integer(target)):
        return False
    assert isinstance(source, builtin.IntegerType) and isinstance(target, builtin.IntegerType)
    if target.width.data <= source.width.data:
        return False
    return is_unsigned(source) or not is_unsigned(target)


_WIDER: dict[Attribute, tuple[Attribute, ...]] = {
    builtin.f32: (builtin.f64,),
    builtin.f16: (builtin.f32, builtin.f64),
    builtin.bf16: (builtin.f32, builtin.f64),
    **{
        DTYPES[name]: (builtin.f16, builtin.bf16, builtin.f32, builtin.f64)
        for name in ("f8e4m3", "f8e5m2", "f8e4m3fnuz", "f8e5m2fnuz", "f4e2m1")
    },
    DTYPES["f8e8m0"]: (builtin.bf16, builtin.f32, builtin.f64),
}


PAIRS: tuple[Pattern, ...] = (
    involution_twice,
    projection_twice,
    abs_of_neg,
    add_or_sub_of_neg,
    transpose_of_transpose,
    reshape_of_reshape,
    reshape_around_transpose,
    broadcast_of_broadcast,
    elementwise_of_broadcast,
    cast_of_cast,
)
