"""Contractions, windows, attention and index notation."""

from __future__ import annotations

from collections.abc import Sequence

import ml_dtypes
import numpy as np
from xdsl.dialects import arith, math
from xdsl.dialects.builtin import FloatAttr, f32, i1
from xdsl.ir import Attribute, Operation, SSAValue

from dialects.dims import ONE, ZERO, Dim, dmax, dmin
from dialects.graph import OPS, IndexOp
from dialects.graph.contraction import AttentionOp, Conv2dOp, Pool, hidden_score
from dialects.graph.shapes import edges
from dialects.graph.structure import Access, YieldOp as GraphYield
from dialects.types import is_integer, is_unsigned, np_dtype
from lowering.kernel.builder import Builder, Index, Rule, compute_type
from lowering.kernel.rules.elementwise import FLOAT_PREDICATES, broadcast_index
from lowering.kernel.rules.parameters import flag, ints, number
from lowering.kernel.rules.reduction import INF, fold


def sum_of_products(b: Builder, over: Sequence[Dim], lhs: SSAValue, rhs: SSAValue) -> SSAValue:
    """sum lhs * rhs, in the form that the contraction scheduler knows."""
    integer = str(lhs.type).startswith("i")
    mul, add = (arith.MuliOp, arith.AddiOp) if integer else (arith.MulfOp, arith.AddfOp)

    def step(b: Builder, state: list[SSAValue], x: list[SSAValue]) -> list[SSAValue]:
        return [b.binary(add, state[0], b.binary(mul, x[0], x[1]))]

    def combine(b: Builder, left: list[SSAValue], right: list[SSAValue]) -> list[SSAValue]:
        return [b.binary(add, left[0], right[0])]

    return b.reduce(over, [lhs, rhs], [0 if integer else 0.0], [lhs.type], step, combine)[0]


def _matmul(b: Builder, op: Operation, index: Index) -> SSAValue:
    x, w = op.operands
    xs, ws = b.shape(x), b.shape(w)
    k = b.axis("k", xs[-1])
    rows, columns = len(xs) > 1, len(ws) > 1
    batch = index[: len(index) - rows - columns]
    i = index[len(batch) : len(batch) + rows]
    j = index[len(batch) + rows :]
    a = b.at(x, (*broadcast_index(batch, xs[:-2])[-max(len(xs) - 2, 0) :], *i, k) if len(xs) > 2 else (*i, k))
    c = b.at(w, (*broadcast_index(batch, ws[:-2]), k, *j) if len(ws) > 2 else (k, *j))
    return sum_of_products(b, [k], a, c)


def _conv2d(b: Builder, op: Operation, index: Index) -> SSAValue:
    x, w, *bias = op.operands
    assert isinstance(op, Conv2dOp)
    stride, dilation = (ints(op, key) for key in ("stride", "dilation"))
    padding = edges(op.values(), 2)
    groups, ws = int(number(op, "groups")), b.shape(w)
    n, o, h, v = index
    c = b.axis("c", ws[1])
    r, s = (b.axis(name, size) if size != ONE else ZERO for name, size in (("r", ws[2]), ("s", ws[3])))
    channel = c if groups == 1 else (o // (ws[0] // groups)) * ws[1] + c
    spot = [
        p * st + q * d - before
        for p, q, st, d, (before, _) in zip((h, v), (r, s), stride, dilation, padding, strict=True)
    ]
    padded = 0.0 if any(map(any, padding)) else None
    pixel = b.read(x, [n, channel, *spot], padded)
    total = sum_of_products(b, [a for a in (c, r, s) if a != ZERO], b.at(w, (o, c, r, s)), pixel)
    return b.binary(arith.AddfOp, total, b.at(bias[0], (o,))) if bias else total


def _pool(b: Builder, op: Operation, index: Index) -> SSAValue:
    assert isinstance(op, Pool)
    kernel, stride, padding = type(op).settings(op.values())
    r, s = b.axis("r", Dim.of(kernel[0])), b.axis("s", Dim.of(kernel[1]))
    places = [p * st - before for p, st, (before, _) in zip(index[-2:], stride, padding, strict=True)]
    spot = [place + q for place, q in zip(places, (r, s), strict=True)]
    largest = op.name == "graph.max_pool2d"
    padded = (_least(b.element(op.operands[0])) if largest else 0.0) if any(map(any, padding)) else None
    x = b.read(op.operands[0], [*index[:-2], *spot], padded)
    total = fold(b, "max" if largest else "sum", [r, s], x, b.element(op.operands[0]))
    if largest:
        return total
    if padded is None or flag(op, "count_padding"):
        return b.binary(arith.DivfOp, total, b.constant(float(kernel[0] * kernel[1]), total.type))
    sizes = b.shape(op.operands[0])[-2:]
    ends = [dmin(place + k, size) for place, k, size in zip(places, kernel, sizes, strict=True)]
    inside = [end - dmax(place, 0) for end, place in zip(ends, places, strict=True)]
    count = b.index(inside[0] * inside[1])
    return b.binary(arith.DivfOp, total, b.add(arith.SIToFPOp(count, total.type)))  # pyright: ignore


def _least(element: Attribute) -> float:
    """The least number of a type: of floats -inf, or a finite number where the type has no infinity."""
    if is_integer(element):
        return 0.0 if is_unsigned(element) else float(np.iinfo(np_dtype(element)).min)
    info = ml_dtypes.finfo(np_dtype(element))
    return -INF if np.isinf(np.float32(INF).astype(info.dtype)) else float(info.min)


def _attention(b: Builder, op: Operation, index: Index) -> SSAValue:
    """Maximum, sum of exponentials, weighted sum: a chain of which kernel-merge-reductions makes one reduction."""
    q, k, v, *mask = op.operands
    assert isinstance(op, AttentionOp)
    values = op.values()
    depth, keys = b.shape(q)[-1], b.shape(k)[-2]
    batch, i, e = index[:-2], index[-2], index[-1]
    of_keys, of_values = (broadcast_index(batch, b.shape(x)[:-2]) for x in (k, v))
    scale, hidden = number(op, "scale"), hidden_score(values)

    def score(j: Dim) -> SSAValue:
        d = b.axis("d", depth)
        total = sum_of_products(b, [d], b.at(q, (*batch, i, d)), b.at(k, (*of_keys, j, d)))
        out = b.binary(arith.MulfOp, total, b.constant(scale, total.type))
        if mask:
            where = broadcast_index((*batch, i, j), b.shape(mask[0]))
            field = b.at(mask[0], where)
            if field.type == i1:
                out = b.add(arith.SelectOp(field, out, b.constant(hidden, out.type)))
            else:
                out = b.binary(arith.AddfOp, out, field)
        if flag(op, "causal"):
            ahead = b.compare(5, b.index(i + (keys - b.shape(q)[-2]) - j), b.constant(0, b.index(ZERO).type))
            out = b.add(arith.SelectOp(ahead, out, b.constant(hidden, out.type)))
        return out

    j = b.axis("j", keys)
    x = score(j)
    low, zero = b.constant(-INF, x.type), b.constant(0.0, x.type)
    top = fold(b, "max", [j], x, b.element(q))
    # a row that sees no key has the maximum -inf; its weights are zero, and so is its result
    base = b.add(arith.SelectOp(b.compare(FLOAT_PREDICATES["eq"], top, low), zero, top))
    weight = b.add(math.ExpOp(b.binary(arith.SubfOp, x, base)))
    if values["unseen"] == "safe":
        is_number = b.compare(FLOAT_PREDICATES["lt"], top, b.constant(INF, x.type))
        weight = b.add(arith.SelectOp(is_number, weight, zero))
    total = fold(b, "sum", [j], weight, b.element(q))
    weighted = sum_of_products(b, [j], weight, b.at(v, (*of_values, j, e)))
    if values["unseen"] != "nan":
        empty = b.compare(FLOAT_PREDICATES["eq"], total, zero)
    elif keys.value:
        return b.binary(arith.DivfOp, weighted, total)
    else:
        empty = b.compare(0, b.index(keys), b.constant(0, b.index(ZERO).type))
    return b.binary(arith.DivfOp, weighted, b.add(arith.SelectOp(empty, b.constant(1.0, x.type), total)))


# -- index notation -----------------------------------------------------------------------------------------------


def bounded(expr: Dim, size: Dim, boundary: str) -> Dim:
    """An index brought into [0, size) as a boundary says."""
    match boundary:
        case "clamp":
            return dmax(0, dmin(expr, size - 1))
        case "wrap":
            return expr % size
        case "reflect":
            positive = dmax(expr, -expr)
            return dmin(positive, 2 * (size - 1) - positive)
        case _:
            return expr


def _index(b: Builder, op: Operation, index: Index) -> SSAValue:
    assert isinstance(op, IndexOp)
    names = {name: i for (name, _), i in zip(op.axes.data, index, strict=True)}
    over = []
    for name, extent in op.reduced.data:
        names[name] = b.axis(name, extent)
        over.append(names[name])
    fields: list[SSAValue] = []
    for access in op.accesses():
        fields.append(_access(b, op, access, names, fields))
    positions = [names[n] for n, _ in (*op.axes.data, *op.reduced.data)]
    args = op.body.block.args
    env: dict[SSAValue, SSAValue] = dict(zip(args, fields, strict=False))
    for arg, position in zip(args[len(fields) :], positions, strict=True):
        if any(True for _ in arg.uses):
            env[arg] = b.index(position)
    last = op.body.block.last_op
    assert isinstance(last, GraphYield)
    for inner in op.body.block.ops:
        if inner is not last:
            env[inner.results[0]] = _computed(b, inner, [env[v] for v in inner.operands], last)
    value = env[last.operands[0]]
    if op.combiner is None:
        return value
    product = value.owner
    if (
        op.combiner.data == "sum"
        and isinstance(product, arith.MulfOp)
        and not any(True for _ in product.result.uses)
    ):
        lhs, rhs = product.lhs, product.rhs
        b.block.erase_op(product)
        return sum_of_products(b, over, lhs, rhs)
    return fold(b, op.combiner.data, over, value, b.element(op.results[0]))


def _computed(b: Builder, op: Operation, operands: Sequence[SSAValue], last: Operation) -> SSAValue:
    """One scalar op of a body. Fields have their compute type: small floats are f32 here, and what the body rounds to
    its result's dtype is rounded when it is written."""
    (result,) = op.results
    wide = compute_type(result.type)
    if isinstance(op, arith.ExtFOp) and operands[0].type == wide:
        return operands[0]
    if isinstance(op, arith.TruncFOp) and wide != result.type:
        if all(use.operation is last for use in result.uses):
            return operands[0]
        rounded = b.add(arith.TruncFOp(operands[0], result.type))  # pyright: ignore[reportArgumentType]
        return b.add(arith.ExtFOp(rounded, f32))
    if isinstance(op, arith.ConstantOp) and isinstance(op.value, FloatAttr):
        return b.constant(op.value.value.data, wide)
    return b.add(type(op).create(operands=operands, result_types=[wide], properties=dict(op.properties)))


def _access(
    b: Builder, op: IndexOp, access: Access, names: dict[str, Dim], before: Sequence[SSAValue]
) -> SSAValue:
    source = op.inputs[access.operand]
    gathered = {n for e in access.index for n in e.names() if n.startswith("_")}
    places = {n: b.place(before[int(n[1:])]) for n in sorted(gathered)}
    spot: list[Dim] = []
    for expr, size in zip(access.index, b.shape(source), strict=True):
        place = bounded(expr.subst({**names, **places}), size, access.boundary)
        if access.boundary == "none" and not gathered.isdisjoint(expr.names()):
            place = dmax(0, dmin(place, size - 1))
        spot.append(place)
    otherwise = access.value if access.boundary == "value" else 0.0 if access.boundary == "zero" else None
    return b.read(source, spot, otherwise)


CONTRACTION: dict[type[Operation], Rule] = {
    OPS["matmul"]: _matmul,
    OPS["conv2d"]: _conv2d,
    OPS["max_pool2d"]: _pool,
    OPS["avg_pool2d"]: _pool,
    OPS["attention"]: _attention,
    IndexOp: _index,
}
