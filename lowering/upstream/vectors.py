"""Vector ops of the loop level in the vector dialect."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects import arith, vector
from xdsl.dialects.builtin import ArrayAttr, IntegerAttr, VectorType, i64
from xdsl.ir import SSAValue

from dialects import loop
from dialects.types import element_of, shape_of
from lowering.upstream.build import Build
from lowering.upstream.dims import index_of
from lowering.upstream.scalars import scalar
from lowering.upstream.spread import spread


def broadcast(build: Build, op: loop.BroadcastOp, value: SSAValue) -> SSAValue:
    """loop.broadcast: the operand spread over the dims of the result, then stretched."""
    shape = shape_of(op.result.type)
    along = [d.value or 0 for d in op.along.data]
    if not along:
        return build.broadcast(value, shape)
    return build.broadcast(spread(build, value, along, len(shape)), shape)


def index(build: Build, op: loop.IndexOp) -> SSAValue:
    """loop.index: lane l of the last dim is the value plus l times the stride."""
    first = build.add(arith.IndexCastOp(index_of(build, op.expr.data), i64))
    shape = shape_of(op.result.type)
    if not shape:
        return first
    stride = build.add(arith.IndexCastOp(index_of(build, op.stride.data), i64))
    row = shape[-1:]
    lanes = build.add(arith.MuliOp(build.steps(row[0], i64), build.broadcast(stride, row)))
    return build.broadcast(build.add(arith.AddiOp(build.broadcast(first, row), lanes)), shape)


def contract(build: Build, lhs: SSAValue, rhs: SSAValue, acc: SSAValue) -> SSAValue:
    """loop.contract: acc + lhs x rhs."""
    kind = {"kind": vector.CombiningKindAttr(vector.CombiningKindFlag.ADD)}
    return build.other("vector.outerproduct", [lhs, rhs, acc], acc.type, kind)


def fold(build: Build, op: loop.FoldOp, lanes: Sequence[SSAValue]) -> list[SSAValue]:
    """loop.fold: halves are combined until one lane is left, in the order of the level's own tree."""
    block = op.combine.block
    last = block.last_op
    assert last is not None
    count = shape_of(lanes[0].type)[-1]
    while (half := count // 2) > 0:
        halves = [_slice(build, v, start, half) for start in (0, half) for v in lanes]
        env: dict[SSAValue, SSAValue] = dict(zip(block.args, halves, strict=True))
        for inner in block.ops:
            if isinstance(inner, arith.ConstantOp):
                env[inner.result] = build.constant(inner)
            elif inner is not last:
                env[inner.results[0]] = scalar(build, inner, [env[v] for v in inner.operands])
        lanes = [build.broadcast(env[v], [half]) for v in last.operands]
        count = half
    return [build.add(vector.ExtractOp(v, [0], element_of(v.type))) for v in lanes]


def _slice(build: Build, value: SSAValue, start: int, size: int) -> SSAValue:
    def numbers(n: int) -> ArrayAttr[IntegerAttr]:
        return ArrayAttr([IntegerAttr(n, 64)])

    facts = {"offsets": numbers(start), "sizes": numbers(size), "strides": numbers(1)}
    type_ = VectorType(element_of(value.type), [size])
    return build.other("vector.extract_strided_slice", [value], type_, facts)
