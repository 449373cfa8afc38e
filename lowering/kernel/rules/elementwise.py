"""Elementwise ops as scalar arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from math import pi, sqrt

from xdsl.dialects import arith, math
from xdsl.dialects.builtin import IntegerType, f32, i1, i8
from xdsl.ir import Attribute, Operation, SSAValue

from dialects.dims import ONE, ZERO, Dim, row_major
from dialects.graph import OPS
from dialects.graph.creation import ConstantOp
from dialects.kernel import FloatToIntOp, IntegerOp, RandomOp, ReadOp, RemfOp
from dialects.types import (
    DTYPES,
    dtype_name,
    integer_range,
    is_float,
    is_integer,
    is_storage_only,
    is_unsigned,
)
from lowering.kernel.builder import Builder, Index, Rule, compute_type

Scalar = Callable[[Builder, list[SSAValue], Attribute], SSAValue]
"""Builds the scalar form from operand fields and the graph element type of the operands."""


def broadcast_index(index: Index, shape: tuple[Dim, ...]) -> Index:
    """The index into an operand that NumPy broadcasting gives: missing dims dropped, dims of size one at zero."""
    tail = index[len(index) - len(shape) :]
    return tuple(ZERO if size == ONE else i for i, size in zip(tail, shape, strict=True))


def _rule(scalar: Scalar) -> Rule:
    def rule(builder: Builder, op: Operation, index: Index) -> SSAValue:
        fields = [builder.at(v, broadcast_index(index, builder.shape(v))) for v in op.operands]
        return scalar(builder, fields, builder.element(op.operands[-1]))

    return rule


def _is_int(element: Attribute) -> bool:
    return isinstance(element, IntegerType)


def _pick(
    float_op: type[Operation], int_op: type[Operation], unsigned_op: type[Operation] | None = None
) -> Scalar:
    def build(b: Builder, x: list[SSAValue], element: Attribute) -> SSAValue:
        if not _is_int(element):
            return b.binary(float_op, x[0], x[1])
        chosen = unsigned_op if unsigned_op is not None and is_unsigned(element) else int_op
        return b.binary(chosen, x[0], x[1])

    return build


def _math(op: type[Operation]) -> Scalar:
    return lambda b, x, element: b.add(op(x[0]))  # pyright: ignore[reportCallIssue]


def _div(b: Builder, x: list[SSAValue], element: Attribute) -> SSAValue:
    if not _is_int(element):
        return b.binary(arith.DivfOp, x[0], x[1])
    return b.add(IntegerOp("udiv" if is_unsigned(element) else "floordiv", x[0], x[1]))


def _mod(b: Builder, x: list[SSAValue], element: Attribute) -> SSAValue:
    if _is_int(element):
        return b.add(IntegerOp("umod" if is_unsigned(element) else "mod", x[0], x[1]))
    rest = b.binary(RemfOp, x[0], x[1])
    zero = b.constant(0.0, rest.type)
    below = [b.compare(FLOAT_PREDICATES["lt"], v, zero) for v in (rest, x[1])]
    apart = b.binary(
        arith.AndIOp, b.compare(FLOAT_PREDICATES["ne"], rest, zero), b.binary(arith.XOrIOp, *below)
    )
    return b.add(arith.SelectOp(apart, b.binary(arith.AddfOp, rest, x[1]), rest))


def _pow(b: Builder, x: list[SSAValue], element: Attribute) -> SSAValue:
    if _is_int(element):
        return b.add(IntegerOp("upow" if is_unsigned(element) else "ipow", x[0], x[1]))
    return b.add(math.PowFOp(x[0], x[1]))


def _shift(signed: str, unsigned: str) -> Scalar:
    return lambda b, x, element: b.add(IntegerOp(unsigned if is_unsigned(element) else signed, x[0], x[1]))


def _neg(b: Builder, x: list[SSAValue], element: Attribute) -> SSAValue:
    if _is_int(element):
        return b.binary(arith.SubiOp, b.constant(0, x[0].type), x[0])
    return b.add(arith.NegfOp(x[0]))


def _abs(b: Builder, x: list[SSAValue], element: Attribute) -> SSAValue:
    if _is_int(element):
        return x[0] if is_unsigned(element) else b.add(math.AbsIOp(x[0]))
    return b.add(math.AbsFOp(x[0]))


def _relu(b: Builder, x: list[SSAValue], element: Attribute) -> SSAValue:
    if _is_int(element):
        return x[0] if is_unsigned(element) else b.binary(arith.MaxSIOp, x[0], b.constant(0, x[0].type))
    return b.binary(arith.MaximumfOp, x[0], b.constant(0.0, x[0].type))


def _sigmoid(b: Builder, x: list[SSAValue], element: Attribute) -> SSAValue:
    one = b.constant(1.0, x[0].type)
    return b.binary(
        arith.DivfOp, one, b.binary(arith.AddfOp, one, b.add(math.ExpOp(b.add(arith.NegfOp(x[0])))))
    )


def _gelu(b: Builder, op: Operation, index: Index) -> SSAValue:
    x = b.at(op.operands[0], index)

    def number(value: float) -> SSAValue:
        return b.constant(value, x.type)

    if op.values()["approximate"] == "tanh":  # pyright: ignore[reportAttributeAccessIssue]
        cube = b.binary(arith.MulfOp, b.binary(arith.MulfOp, x, x), x)
        bent = b.binary(arith.AddfOp, x, b.binary(arith.MulfOp, cube, number(0.044715)))
        inner = b.add(math.TanhOp(b.binary(arith.MulfOp, bent, number(sqrt(2 / pi)))))
    else:
        inner = b.add(math.ErfOp(b.binary(arith.MulfOp, x, number(sqrt(0.5)))))
    half = b.binary(arith.MulfOp, x, number(0.5))
    return b.binary(arith.MulfOp, half, b.binary(arith.AddfOp, inner, number(1.0)))


def _random(b: Builder, op: Operation, index: Index) -> SSAValue:
    """The counter of an element is its place in the tensor."""
    place = ZERO
    for i, step in zip(index, row_major(b.shape(op.results[0])), strict=True):
        place = place + i * step
    first, second = (b.at(op.operands[0], (Dim.of(word),)) for word in (0, 1))
    dist = str(op.values()["dist"])  # pyright: ignore[reportAttributeAccessIssue]
    return b.add(RandomOp(dist, first, second, b.index(place), compute_type(b.element(op.results[0]))))


def _silu(b: Builder, x: list[SSAValue], element: Attribute) -> SSAValue:
    return b.binary(arith.MulfOp, x[0], _sigmoid(b, x, element))


def _not(b: Builder, x: list[SSAValue], element: Attribute) -> SSAValue:
    return b.binary(arith.XOrIOp, x[0], b.constant(1, i1))


def _bitwise_not(b: Builder, x: list[SSAValue], element: Attribute) -> SSAValue:
    return b.binary(arith.XOrIOp, x[0], b.constant(-1, x[0].type))


def _where(b: Builder, x: list[SSAValue], element: Attribute) -> SSAValue:
    return b.add(arith.SelectOp(x[0], x[1], x[2]))


FLOAT_PREDICATES = {"eq": 1, "gt": 2, "ge": 3, "lt": 4, "le": 5, "ne": 13}
SIGNED_PREDICATES = {"eq": 0, "ne": 1, "lt": 2, "le": 3, "gt": 4, "ge": 5}
UNSIGNED_PREDICATES = {"eq": 0, "ne": 1, "lt": 6, "le": 7, "gt": 8, "ge": 9}


def _compare(b: Builder, op: Operation, index: Index) -> SSAValue:
    fields = [b.at(v, broadcast_index(index, b.shape(v))) for v in op.operands]
    element = b.element(op.operands[0])
    table = (
        FLOAT_PREDICATES
        if is_float(element)
        else UNSIGNED_PREDICATES
        if is_unsigned(element)
        else SIGNED_PREDICATES
    )
    return b.compare(table[str(op.values()["pred"])], *fields)  # pyright: ignore


def _cast(b: Builder, op: Operation, index: Index) -> SSAValue:
    return convert(b, b.at(op.operands[0], index), b.element(op.operands[0]), b.element(op.results[0]))


def _reinterpret(b: Builder, op: Operation, index: Index) -> SSAValue:
    return b.add(arith.BitcastOp(b.at(op.operands[0], index), compute_type(b.element(op.results[0]))))


def convert(b: Builder, x: SSAValue, source: Attribute, target: Attribute) -> SSAValue:
    """A scalar in another dtype: saturating from float to integer, rounded to the stored format for small floats."""
    if source != target and (has_few_bits(source) or has_few_bits(target)):
        return (
            _from_few_bits(b, x, source, target)
            if has_few_bits(source)
            else _to_few_bits(b, x, source, target)
        )
    wide = compute_type(target)
    if is_float(source) and is_float(target):
        out = x
        if x.type != wide:
            out = b.add(arith.ExtFOp(x, wide) if wide != f32 else arith.TruncFOp(x, wide))  # pyright: ignore
        return out if wide == target else b.add(arith.ExtFOp(b.add(arith.TruncFOp(out, target)), f32))  # pyright: ignore
    if is_float(source):
        x = _as_stored(b, x, source)
        if target == i1:
            return b.compare(FLOAT_PREDICATES["ne"], x, b.constant(0.0, x.type))
        return b.add(FloatToIntOp("unsigned" if is_unsigned(target) else "signed", x, wide))
    if is_float(target):
        kind = arith.UIToFPOp if is_unsigned(source) else arith.SIToFPOp
        out = b.add(kind(x, wide))  # pyright: ignore
        return out if wide == target else b.add(arith.ExtFOp(b.add(arith.TruncFOp(out, target)), f32))  # pyright: ignore
    return _convert_integer(b, x, source, target)


def _as_stored(b: Builder, x: SSAValue, element: Attribute) -> SSAValue:
    """A number with the bits of its dtype alone: f32 may hold more of a small float, which a step of a cast would tell."""
    if compute_type(element) == element or isinstance(x.owner, ReadOp):
        return x
    return b.add(arith.ExtFOp(b.add(arith.TruncFOp(x, element)), f32))  # pyright: ignore[reportArgumentType]


def has_few_bits(element: Attribute) -> bool:
    """Whether an element type is an integer of fewer bits than a byte."""
    return is_integer(element) and is_storage_only(element)


def _from_few_bits(b: Builder, x: SSAValue, source: Attribute, target: Attribute) -> SSAValue:
    """What the lowest bits of a stored byte stand for; the others say nothing."""
    count = 1 << source.width.data  # pyright: ignore[reportAttributeAccessIssue]
    byte = b.binary(arith.AndIOp, b.add(arith.ExtUIOp(x, i8)), b.constant(count - 1, i8))
    if not is_unsigned(source):
        sign = b.constant(count // 2, i8)
        byte = b.binary(arith.SubiOp, b.binary(arith.XOrIOp, byte, sign), sign)
    return convert(b, byte, DTYPES["i8"], target)


def _to_few_bits(b: Builder, x: SSAValue, source: Attribute, target: Attribute) -> SSAValue:
    """Floats saturate, integers keep their lowest bits."""
    byte = convert(b, x, source, DTYPES["i8"])
    if is_float(source):
        low, high = integer_range(dtype_name(target))
        byte = b.binary(arith.MinSIOp, byte, b.constant(high, i8))
        byte = b.binary(arith.MaxSIOp, byte, b.constant(low, i8))
    mask = (1 << target.width.data) - 1  # pyright: ignore[reportAttributeAccessIssue]
    kept = b.binary(arith.AndIOp, byte, b.constant(mask, i8))
    return b.add(arith.TruncIOp(kept, compute_type(target)))  # pyright: ignore[reportArgumentType]


def _convert_integer(b: Builder, x: SSAValue, source: Attribute, target: Attribute) -> SSAValue:
    wide = compute_type(target)
    assert isinstance(x.type, IntegerType) and isinstance(wide, IntegerType)
    have, want = x.type.width.data, wide.width.data
    if target == i1 and source != i1:
        return b.compare(SIGNED_PREDICATES["ne"], x, b.constant(0, x.type))
    if have == want:
        return x
    if want < have:
        return b.add(arith.TruncIOp(x, wide))
    return b.add((arith.ExtUIOp if is_unsigned(source) else arith.ExtSIOp)(x, wide))


def _constant(b: Builder, op: Operation, index: Index) -> SSAValue:
    assert isinstance(op, ConstantOp)
    value = op.splat
    assert isinstance(value, int | float)
    return b.constant(value, compute_type(b.element(op.results[0])))


_SCALARS: dict[str, Scalar] = {
    "add": _pick(arith.AddfOp, arith.AddiOp),
    "sub": _pick(arith.SubfOp, arith.SubiOp),
    "mul": _pick(arith.MulfOp, arith.MuliOp),
    "div": _div,
    "mod": _mod,
    "pow": _pow,
    "min": _pick(arith.MinimumfOp, arith.MinSIOp, arith.MinUIOp),
    "max": _pick(arith.MaximumfOp, arith.MaxSIOp, arith.MaxUIOp),
    "logical_and": _pick(arith.AddfOp, arith.AndIOp),
    "logical_or": _pick(arith.AddfOp, arith.OrIOp),
    "logical_xor": _pick(arith.AddfOp, arith.XOrIOp),
    "logical_not": _not,
    "bitwise_and": _pick(arith.AddfOp, arith.AndIOp),
    "bitwise_or": _pick(arith.AddfOp, arith.OrIOp),
    "bitwise_xor": _pick(arith.AddfOp, arith.XOrIOp),
    "bitwise_not": _bitwise_not,
    "shift_left": _shift("shl", "shl"),
    "shift_right": _shift("sar", "shr"),
    "where": _where,
    "neg": _neg,
    "abs": _abs,
    "exp": _math(math.ExpOp),
    "log": _math(math.LogOp),
    "sqrt": _math(math.SqrtOp),
    "rsqrt": _math(math.RsqrtOp),
    "tanh": _math(math.TanhOp),
    "erf": _math(math.ErfOp),
    "sin": _math(math.SinOp),
    "cos": _math(math.CosOp),
    "floor": _math(math.FloorOp),
    "ceil": _math(math.CeilOp),
    "relu": _relu,
    "sigmoid": _sigmoid,
    "silu": _silu,
}

ELEMENTWISE: dict[type[Operation], Rule] = {
    **{OPS[name]: _rule(scalar) for name, scalar in _SCALARS.items()},
    OPS["compare"]: _compare,
    OPS["cast"]: _cast,
    OPS["reinterpret"]: _reinterpret,
    OPS["constant"]: _constant,
    OPS["gelu"]: _gelu,
    OPS["random"]: _random,
}
