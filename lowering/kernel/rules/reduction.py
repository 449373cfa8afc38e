"""Reductions and normalisations as tuple-state reductions."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects import arith, math
from xdsl.dialects.builtin import IntegerType, i64
from xdsl.ir import Attribute, Operation, SSAValue

from dialects.dims import Dim, product
from dialects.graph import OPS
from dialects.graph.reduction import Reduce
from dialects.types import is_unsigned
from lowering.kernel.builder import Builder, Index, Rule
from lowering.kernel.cost import CACHED_ROW
from lowering.kernel.rules.parameters import axis_of, flag, number

INF = float("inf")


def _limits(element: Attribute) -> tuple[float | int, float | int]:
    """(least, greatest) of an element type."""
    if not isinstance(element, IntegerType):
        return -INF, INF
    width = element.width.data
    if is_unsigned(element):
        return 0, -1  # all bits set, as a signless integer
    return -(1 << (width - 1)), (1 << (width - 1)) - 1


def operator(kind: str, element: Attribute) -> tuple[type[Operation], float | int]:
    """The combining op and its neutral value."""
    low, high = _limits(element)
    integer = isinstance(element, IntegerType)
    unsigned = integer and is_unsigned(element)
    zero, one = (0, 1) if integer else (0.0, 1.0)
    match kind:
        case "sum" | "mean":
            return (arith.AddiOp if integer else arith.AddfOp), zero
        case "prod":
            return (arith.MuliOp if integer else arith.MulfOp), one
        case "max":
            return (arith.MaxUIOp if unsigned else arith.MaxSIOp if integer else arith.MaximumfOp), low
        case _:
            return (arith.MinUIOp if unsigned else arith.MinSIOp if integer else arith.MinimumfOp), high


def fold(b: Builder, kind: str, over: Sequence[Dim], value: SSAValue, element: Attribute) -> SSAValue:
    """A reduction with one state, combined by one op."""
    op, neutral = operator(kind, element)
    type_ = value.type

    def step(b: Builder, state: list[SSAValue], x: list[SSAValue]) -> list[SSAValue]:
        return [b.binary(op, state[0], x[0])]

    return b.reduce(over, [value], [neutral], [type_], step, step)[0]


def _reduce(b: Builder, op: Operation, index: Index) -> SSAValue:
    assert isinstance(op, Reduce)
    source = op.operands[0]
    shape, values = b.shape(source), op.values()
    axes = type(op).axes(values, len(shape))
    rest = iter(index)
    full: list[Dim] = []
    over: list[Dim] = []
    for dim in range(len(shape)):
        if dim in axes:
            if values["keepdims"]:
                next(rest)
            over.append(b.reduced_axis(shape, dim, index))
            full.append(over[-1])
        else:
            full.append(next(rest))
    kind = op.name.removeprefix("graph.reduce_")
    element = b.element(source)
    if not over:
        return b.at(source, full)
    total = fold(b, kind, over, b.at(source, full), element)
    if kind == "mean":
        count = count_of(b, product(shape[a] for a in axes), total.type)
        return b.binary(arith.DivfOp, total, count)
    return total


def count_of(b: Builder, size: Dim, type_: Attribute) -> SSAValue:
    """A size as a float."""
    if size.value is not None:
        return b.constant(float(size.value), type_)
    return b.add(arith.SIToFPOp(b.index(size), type_))  # pyright: ignore


def _softmax(b: Builder, op: Operation, index: Index) -> SSAValue:
    source = op.operands[0]
    shape = b.shape(source)
    dim = axis_of(op, len(shape))
    key = (op.results[0], "stats", index[:dim], index[dim + 1 :])
    if key not in b.reads:
        k = b.reduced_axis(shape, dim, index)
        inner = (*index[:dim], k, *index[dim + 1 :])
        top = fold(b, "max", [k], b.at(source, inner), b.element(source))
        shifted = b.add(math.ExpOp(b.binary(arith.SubfOp, b.at(source, inner), top)))
        b.reads[key] = top
        b.reads[(*key, "sum")] = fold(b, "sum", [k], shifted, b.element(source))
    top, total = b.reads[key], b.reads[(*key, "sum")]
    share = b.binary(
        arith.DivfOp, b.constant(1.0, total.type), total
    )  # at least one: an element is the maximum
    return b.binary(arith.MulfOp, b.add(math.ExpOp(b.binary(arith.SubfOp, b.at(source, index), top))), share)


def _welford_step(b: Builder, state: list[SSAValue], x: list[SSAValue]) -> list[SSAValue]:
    """B. P. Welford, "Note on a Method for Calculating Corrected Sums of Squares and Products", 1962.

    The running mean drifts by its own rounding, so the sum is kept beside it: its last bits are those of the mean.
    """
    n, mean, m2, total = state
    count = b.binary(arith.AddfOp, n, b.constant(1.0, n.type))
    delta = b.binary(arith.SubfOp, x[0], mean)
    new_mean = b.binary(arith.AddfOp, mean, b.binary(arith.DivfOp, delta, count))
    spread = b.binary(arith.MulfOp, delta, b.binary(arith.SubfOp, x[0], new_mean))
    return [count, new_mean, b.binary(arith.AddfOp, m2, spread), b.binary(arith.AddfOp, total, x[0])]


def _welford_combine(b: Builder, left: list[SSAValue], right: list[SSAValue]) -> list[SSAValue]:
    """T. F. Chan et al., "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances", 1979."""
    (n0, mean0, m0, total0), (n1, mean1, m1, total1) = left, right
    n = b.binary(arith.AddfOp, n0, n1)
    safe = b.binary(arith.MaximumfOp, n, b.constant(1.0, n.type))  # both sides may be empty
    share = b.binary(arith.DivfOp, n1, safe)
    delta = b.binary(arith.SubfOp, mean1, mean0)
    mean = b.binary(arith.AddfOp, mean0, b.binary(arith.MulfOp, delta, share))
    cross = b.binary(arith.MulfOp, b.binary(arith.MulfOp, delta, delta), b.binary(arith.MulfOp, n0, share))
    m2 = b.binary(arith.AddfOp, b.binary(arith.AddfOp, m0, m1), cross)
    return [n, mean, m2, b.binary(arith.AddfOp, total0, total1)]


def _layer_norm(b: Builder, op: Operation, index: Index) -> SSAValue:
    source, scale, bias = op.operands
    key = (op.results[0], "stats", index[:-1])
    if key not in b.reads:
        size = b.shape(source)[-1].value
        moments = _two_passes if size is not None and 0 < size <= CACHED_ROW else _one_pass
        b.reads[key], b.reads[(*key, "scale")] = moments(b, op, source, index)
    mean, inverse = b.reads[key], b.reads[(*key, "scale")]
    normal = b.binary(arith.MulfOp, b.binary(arith.SubfOp, b.at(source, index), mean), inverse)
    return b.binary(
        arith.AddfOp, b.binary(arith.MulfOp, normal, b.at(scale, index[-1:])), b.at(bias, index[-1:])
    )


def _two_passes(b: Builder, op: Operation, source: SSAValue, index: Index) -> Sequence[SSAValue]:
    """The mean of a row, and one over its deviation: the sum, then the squares of the distances from the mean."""
    shape = b.shape(source)
    k = b.reduced_axis(shape, len(shape) - 1, index[:-1])
    x = b.at(source, (*index[:-1], k))
    n = count_of(b, shape[-1], x.type)
    mean = b.binary(arith.DivfOp, fold(b, "sum", [k], x, b.element(source)), n)
    distance = b.binary(arith.SubfOp, x, mean)
    squares = fold(b, "sum", [k], b.binary(arith.MulfOp, distance, distance), b.element(source))
    return mean, _one_over_deviation(b, op, squares, n)


def _one_pass(b: Builder, op: Operation, source: SSAValue, index: Index) -> Sequence[SSAValue]:
    """The same for rows that no cache holds, or of unknown length."""
    shape = b.shape(source)
    k = b.reduced_axis(shape, len(shape) - 1, index[:-1])
    x = b.at(source, (*index[:-1], k))

    def finish(b: Builder, state: list[SSAValue]) -> list[SSAValue]:
        n = b.binary(arith.MaximumfOp, state[0], b.constant(1.0, x.type))
        inverse = _one_over_deviation(b, op, state[2], n)
        return [b.binary(arith.DivfOp, state[3], n), inverse]

    return b.reduce([k], [x], [0.0] * 4, [x.type] * 4, _welford_step, _welford_combine, finish)


def _one_over_deviation(b: Builder, op: Operation, squares: SSAValue, n: SSAValue) -> SSAValue:
    variance = b.binary(arith.DivfOp, squares, n)
    return b.add(math.RsqrtOp(b.binary(arith.AddfOp, variance, b.constant(number(op, "eps"), n.type))))


def _argmax(b: Builder, op: Operation, index: Index) -> SSAValue:
    source = op.operands[0]
    shape = b.shape(source)
    dim = axis_of(op, len(shape))
    rest = (*index[:dim], *index[dim + 1 :]) if flag(op, "keepdims") else index
    k = b.reduced_axis(shape, dim, rest)
    x = b.at(source, (*rest[:dim], k, *rest[dim:]))
    element = b.element(source)
    low = _limits(element)[0]
    integer = isinstance(element, IntegerType)
    greater = (8 if is_unsigned(element) else 4) if integer else 2

    def better(b: Builder, new: tuple[SSAValue, SSAValue], old: tuple[SSAValue, SSAValue]) -> SSAValue:
        """Greater, or equal and earlier; NaN is greater than all numbers; position -1 is no element."""
        wins = b.compare(greater, new[0], old[0])
        equal = b.compare(0 if integer else 1, new[0], old[0])
        if not integer:
            new_nan, old_nan = b.compare(13, new[0], new[0]), b.compare(13, old[0], old[0])
            number = b.binary(arith.XOrIOp, old_nan, b.constant(1, old_nan.type))
            wins = b.binary(
                arith.OrIOp, b.binary(arith.AndIOp, wins, number), b.binary(arith.AndIOp, new_nan, number)
            )
            equal = b.binary(arith.OrIOp, equal, b.binary(arith.AndIOp, new_nan, old_nan))
        earlier = b.compare(2, new[1], old[1])
        wins = b.binary(arith.OrIOp, wins, b.binary(arith.AndIOp, equal, earlier))
        none = b.constant(-1, i64)
        empty_old, empty_new = b.compare(0, old[1], none), b.compare(0, new[1], none)
        full_new = b.binary(arith.XOrIOp, empty_new, b.constant(1, empty_new.type))
        return b.binary(arith.AndIOp, b.binary(arith.OrIOp, wins, empty_old), full_new)

    def step(b: Builder, state: list[SSAValue], new: list[SSAValue]) -> list[SSAValue]:
        take = better(b, (new[0], new[1]), (state[0], state[1]))
        return [b.add(arith.SelectOp(take, n, s)) for n, s in zip(new, state, strict=True)]

    def finish(b: Builder, state: list[SSAValue]) -> list[SSAValue]:
        return [state[1]]

    return b.reduce([k], [x, b.index(k)], [low, -1], [x.type, i64], step, step, finish)[0]


REDUCTION: dict[type[Operation], Rule] = {
    **{
        OPS[name]: _reduce
        for name in ("reduce_sum", "reduce_mean", "reduce_max", "reduce_min", "reduce_prod")
    },
    OPS["softmax"]: _softmax,
    OPS["layer_norm"]: _layer_norm,
    OPS["argmax"]: _argmax,
}
