"""Scalar ops in arith and math, with irkit's numbers: what arith leaves undefined is spelled out.

Every rule works on scalars and, lane by lane, on vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xdsl.dialects import arith, math, scf
from xdsl.dialects.builtin import IntegerType, f32, f64
from xdsl.ir import Attribute, Operation, SSAValue

from dialects.errors import IrkitError
from dialects.kernel import (
    CompareOp,
    ConvertOp,
    FloatToIntOp,
    IntegerOp,
    RandomOp,
    RemfOp,
    SelectOp,
)
from dialects.types import element_of, is_float, shape_of
from lowering.upstream.build import Build
from lowering.upstream.random import random
from lowering.upstream.types import shaped, value_type

Values = Sequence[SSAValue]

PLAIN: tuple[type[Operation], ...] = (
    *(arith.AddfOp, arith.SubfOp, arith.MulfOp, arith.DivfOp, arith.NegfOp),
    *(arith.MaximumfOp, arith.MinimumfOp, arith.AddiOp, arith.SubiOp, arith.MuliOp),
    *(arith.AndIOp, arith.OrIOp, arith.XOrIOp, arith.ShLIOp, arith.ShRUIOp, arith.ShRSIOp),
    *(arith.MaxSIOp, arith.MinSIOp, arith.MaxUIOp, arith.MinUIOp),
    *(math.ExpOp, math.LogOp, math.TanhOp, math.ErfOp, math.SinOp, math.CosOp, math.SqrtOp),
    *(math.AbsFOp, math.AbsIOp, math.FloorOp, math.CeilOp, math.PowFOp),
)
"""Ops that stay as they are: their results are irkit's."""

CASTS: dict[type[Operation], str] = {
    cls: cls.name.removeprefix("arith.")
    for cls in (
        *(arith.SIToFPOp, arith.UIToFPOp, arith.ExtSIOp, arith.ExtUIOp, arith.TruncIOp),
        *(arith.ExtFOp, arith.TruncFOp, arith.BitcastOp),
    )
}


def scalar(build: Build, op: Operation, args: Values) -> SSAValue:
    """The value of a scalar op, its operands given. Raises IrkitError for an op that has no upstream form."""
    shape = next((s for a in args if (s := shape_of(a.type))), ())
    args = [build.broadcast(a, shape) if shape else a for a in args]
    if isinstance(op, PLAIN):
        element = value_type(element_of(op.results[0].type))
        return build.add(
            type(op).create(
                operands=args, result_types=[shaped(element, shape)], properties=dict(op.properties)
            )
        )
    rule = _RULES.get(type(op))
    if rule is None or (isinstance(op, ConvertOp) and op.kind.data not in CASTS.values()):
        raise IrkitError(
            f"'{op.name}' has no upstream form",
            op,
            expected="a scalar op that the kernels of irkit's own passes hold",
            hint="ask for --emit=c, or write the op by others",
        )
    return rule(build, op, args)


def _element(op: Operation) -> Attribute:
    return value_type(element_of(op.results[0].type))


def _cast(build: Build, op: Operation, args: Values) -> SSAValue:
    return build.cast(CASTS[type(op)], args[0], _element(op))


def _convert(build: Build, op: Operation, args: Values) -> SSAValue:
    assert isinstance(op, ConvertOp)
    return build.cast(op.kind.data, args[0], _element(op))


def _rsqrt(build: Build, op: Operation, args: Values) -> SSAValue:
    """A division: math.rsqrt does not say how exact it is."""
    return build.add(arith.DivfOp(build.number(1.0, args[0].type), build.add(math.SqrtOp(args[0]))))


def _predicate(op: Operation) -> int:
    if isinstance(op, CompareOp):
        floats = is_float(element_of(op.lhs.type))
        return (CompareOp.FLOAT if floats else CompareOp.INTEGER).index(op.predicate.data)
    assert isinstance(op, arith.CmpfOp | arith.CmpiOp)
    return op.predicate.value.data


# -- integers ----------------------------------------------------------------------------------------------------


def _integer(build: Build, op: Operation, args: Values) -> SSAValue:
    assert isinstance(op, IntegerOp)
    return _INTEGERS[op.kind.data](build, *args)


def _test(build: Build, predicate: str, a: SSAValue, b: SSAValue | int) -> SSAValue:
    right = build.number(b, a.type) if isinstance(b, int) else b
    return build.compare(CompareOp.INTEGER.index(predicate), a, right)


def _floordiv(build: Build, a: SSAValue, b: SSAValue) -> SSAValue:
    """Division by 0 gives 0, by -1 the wrapped negation: arith leaves both undefined."""
    zero, one = build.number(0, a.type), build.number(1, a.type)
    by_zero, by_minus_one = _test(build, "eq", b, 0), _test(build, "eq", b, -1)
    safe = build.select(build.add(arith.OrIOp(by_zero, by_minus_one)), one, b)
    quotient = build.add(arith.FloorDivSIOp(a, safe))
    quotient = build.select(by_minus_one, build.add(arith.SubiOp(zero, a)), quotient)
    return build.select(by_zero, zero, quotient)


def _mod(build: Build, a: SSAValue, b: SSAValue) -> SSAValue:
    rest = build.add(arith.SubiOp(a, build.add(arith.MuliOp(_floordiv(build, a, b), b))))
    return build.select(_test(build, "eq", b, 0), build.number(0, a.type), rest)


def _unsigned(cls: Callable[[SSAValue, SSAValue], Operation]) -> Callable[..., SSAValue]:
    def rule(build: Build, a: SSAValue, b: SSAValue) -> SSAValue:
        by_zero = _test(build, "eq", b, 0)
        safe = build.select(by_zero, build.number(1, a.type), b)
        return build.select(by_zero, build.number(0, a.type), build.add(cls(a, safe)))

    return rule


def _shift(cls: Callable[[SSAValue, SSAValue], Operation]) -> Callable[..., SSAValue]:
    """A shift by the width or more, the count read without sign, leaves nothing but signs."""

    def rule(build: Build, a: SSAValue, b: SSAValue) -> SSAValue:
        element = element_of(a.type)
        assert isinstance(element, IntegerType)
        most = build.number(element.width.data - 1, a.type)
        moved = build.add(cls(a, build.add(arith.MinUIOp(b, most))))
        if cls is arith.ShRSIOp:
            return moved
        return build.select(_test(build, "ugt", b, most), build.number(0, a.type), moved)

    return rule


def _power(build: Build, a: SSAValue, exponent: SSAValue) -> SSAValue:
    """Squarings, one for each bit of the exponent; products wrap."""
    element = element_of(a.type)
    assert isinstance(element, IntegerType)
    zero, one = build.number(0, a.type), build.number(1, a.type)
    with build.loop((0, element.width.data, 1), [one, a, exponent]) as (loop, block):
        _, out, base, rest = block.args
        odd = _test(build, "ne", build.add(arith.AndIOp(rest, one)), zero)
        following = [
            build.select(odd, build.add(arith.MuliOp(out, base)), out),
            build.add(arith.MuliOp(base, base)),
            build.add(arith.ShRUIOp(rest, one)),
        ]
        build.do(scf.YieldOp(*following))
    return loop.results[0]


def _signed_power(build: Build, a: SSAValue, b: SSAValue) -> SSAValue:
    """A negative power is the true quotient truncated: 1 or -1 where |a| = 1, else 0."""
    zero, one = build.number(0, a.type), build.number(1, a.type)
    whole = _power(build, a, build.add(arith.MaxSIOp(b, zero)))
    odd = _test(build, "ne", build.add(arith.AndIOp(b, one)), zero)
    unit = build.select(odd, a, build.add(arith.MuliOp(a, a)))
    is_unit = build.add(arith.OrIOp(_test(build, "eq", a, 1), _test(build, "eq", a, -1)))
    return build.select(_test(build, "slt", b, 0), build.select(is_unit, unit, zero), whole)


_INTEGERS: dict[str, Callable[..., SSAValue]] = {
    "floordiv": _floordiv,
    "mod": _mod,
    "udiv": _unsigned(arith.DivUIOp),
    "umod": _unsigned(arith.RemUIOp),
    "ipow": _signed_power,
    "upow": _power,
    "shl": _shift(arith.ShLIOp),
    "shr": _shift(arith.ShRUIOp),
    "sar": _shift(arith.ShRSIOp),
}


def _float_to_integer(build: Build, op: Operation, args: Values) -> SSAValue:
    """What fits is converted, the rest becomes the nearest bound, NaN becomes 0: arith leaves all but the first undefined."""
    assert isinstance(op, FloatToIntOp)
    (x,), element, signed = args, _element(op), op.kind.data == "signed"
    assert isinstance(element, IntegerType)
    if element_of(x.type) not in (f32, f64):
        x = build.cast("extf", x, f32)
    width = element.width.data
    low, end = (-(2.0 ** (width - 1)), 2.0 ** (width - 1)) if signed else (0.0, 2.0**width)
    target = shaped(element, shape_of(x.type))
    least = build.number(-(2 ** (width - 1)) if signed else 0, target)
    most = build.number(2 ** (width - 1) - 1 if signed else -1, target)
    is_low = build.compare(CompareOp.FLOAT.index("olt"), x, build.number(low, x.type))
    is_high = build.compare(CompareOp.FLOAT.index("oge"), x, build.number(end, x.type))
    fits = build.compare(CompareOp.FLOAT.index("oge"), x, build.number(low, x.type))
    inside = build.select(fits, x, build.number(0.0, x.type))
    inside = build.select(is_high, build.number(0.0, x.type), inside)
    out = build.cast("fptosi" if signed else "fptoui", inside, element)
    return build.select(is_high, most, build.select(is_low, least, out))


def _random(build: Build, op: Operation, args: Values) -> SSAValue:
    assert isinstance(op, RandomOp)
    return random(build, op.dist.data, *args)


_RULES: dict[type[Operation], Callable[[Build, Operation, Values], SSAValue]] = {
    **dict.fromkeys(CASTS, _cast),
    ConvertOp: _convert,
    math.RsqrtOp: _rsqrt,
    **dict.fromkeys(
        (arith.CmpfOp, arith.CmpiOp, CompareOp), lambda build, op, args: build.compare(_predicate(op), *args)
    ),
    **dict.fromkeys((arith.SelectOp, SelectOp), lambda build, op, args: build.select(*args)),
    RemfOp: lambda build, op, args: build.other("arith.remf", args, args[0].type),
    IntegerOp: _integer,
    FloatToIntOp: _float_to_integer,
    RandomOp: _random,
}
