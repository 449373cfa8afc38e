"""Scalar and vector spellings in C: one table keyed by op."""

from __future__ import annotations

from collections.abc import Callable

from xdsl.dialects import arith, math
from xdsl.dialects.builtin import IntegerType, i1
from xdsl.ir import Attribute, Operation

from dialects.kernel import ConvertOp, FloatToIntOp, IntegerOp, RandomOp, RemfOp
from dialects.types import element_bytes, element_of
from lowering.c.types import c_type, short_name

INFIX: dict[type[Operation], str] = {
    arith.AddfOp: "+",
    arith.SubfOp: "-",
    arith.MulfOp: "*",
    arith.DivfOp: "/",
    arith.AndIOp: "&",
    arith.OrIOp: "|",
    arith.XOrIOp: "^",
}
"""Ops that C spells the same on scalars and vectors."""

WRAPPING: dict[type[Operation], str] = {
    arith.AddiOp: "+",
    arith.SubiOp: "-",
    arith.MuliOp: "*",
    arith.ShLIOp: "<<",
}
"""Integer ops that wrap: on scalars they go through the unsigned type."""

FUNCTIONS: dict[type[Operation], str] = {
    math.ExpOp: "exp",
    math.LogOp: "log",
    math.TanhOp: "tanh",
    math.ErfOp: "erf",
    math.SinOp: "sin",
    math.CosOp: "cos",
    math.SqrtOp: "sqrt",
    math.RsqrtOp: "rsqrt",
    math.AbsFOp: "abs",
    math.FloorOp: "floor",
    math.CeilOp: "ceil",
    math.PowFOp: "pow",
    arith.MaximumfOp: "max",
    arith.MinimumfOp: "min",
}
"""Ops that are functions of irk_math.h, `irk_exp_f32` on scalars and `irk_exp_f32x16` on vectors."""

CMPF: dict[int, tuple[str, bool]] = {
    0: ("({a} < {a})", False),
    1: ("({a} == {b})", False),
    2: ("({a} > {b})", False),
    3: ("({a} >= {b})", False),
    4: ("({a} < {b})", False),
    5: ("({a} <= {b})", False),
    6: ("(({a} < {b}) | ({a} > {b}))", False),
    7: ("(({a} != {a}) | ({b} != {b}))", True),
    8: ("(({a} < {b}) | ({a} > {b}))", True),
    9: ("({a} <= {b})", True),
    10: ("({a} < {b})", True),
    11: ("({a} >= {b})", True),
    12: ("({a} > {b})", True),
    13: ("({a} != {b})", False),
    14: ("(({a} != {a}) | ({b} != {b}))", False),
    15: ("({a} < {a})", True),
}
"""arith.cmpf predicates: a test that holds for scalars and vectors alike, and whether it is negated."""

CMPI: dict[int, tuple[str, bool]] = {
    0: ("==", True),
    1: ("!=", True),
    2: ("<", True),
    3: ("<=", True),
    4: (">", True),
    5: (">=", True),
    6: ("<", False),
    7: ("<=", False),
    8: (">", False),
    9: (">=", False),
}
"""arith.cmpi predicates: operator, and whether it compares signed numbers."""

MINMAX: dict[type[Operation], tuple[str, bool]] = {
    arith.MaxSIOp: (">", True),
    arith.MinSIOp: ("<", True),
    arith.MaxUIOp: (">", False),
    arith.MinUIOp: ("<", False),
}


def unsigned(element: Attribute) -> str:
    """The unsigned C type of an integer."""
    return f"uint{8 * element_bytes(element)}_t"


def scalar(op: Operation, args: list[str]) -> str:
    """The C expression of an op on scalars, or on one lane of vectors."""
    rule = _RULES.get(type(op))
    if rule is not None:
        return rule(op, args)
    element = element_of(op.results[0].type)
    if (infix := INFIX.get(type(op))) is not None:
        text = f"{args[0]} {infix} {args[1]}"
        return (
            f"({c_type(element)})({text})"
            if isinstance(element, IntegerType) and element.width.data < 32
            else text
        )
    if (infix := WRAPPING.get(type(op))) is not None:
        wide = unsigned(element) if element_bytes(element) >= 4 else "uint32_t"
        return f"({c_type(element)})(({wide}){args[0]} {infix} ({wide}){args[1]})"
    if (name := FUNCTIONS.get(type(op))) is not None:
        return f"irk_{name}_{short_name(element)}({', '.join(args)})"
    if (pick := MINMAX.get(type(op))) is not None:
        return f"({_as(args[0], element, pick[1])} {pick[0]} {_as(args[1], element, pick[1])} ? {args[0]} : {args[1]})"
    raise NotImplementedError(op.name)


def _as(text: str, element: Attribute, signed: bool) -> str:
    return text if signed else f"({unsigned(element)}){text}"


def _negf(op: Operation, args: list[str]) -> str:
    return f"-{args[0]}"


def _absi(op: Operation, args: list[str]) -> str:
    element = element_of(op.results[0].type)
    negated = f"({c_type(element)})(0u - ({unsigned(element)}){args[0]})"
    return f"({args[0]} < 0 ? {negated} : {args[0]})"


def _cmpf(op: Operation, args: list[str]) -> str:
    assert isinstance(op, arith.CmpfOp)
    test, is_negated = CMPF[op.predicate.value.data]
    return ("!" if is_negated else "") + test.format(a=args[0], b=args[1])


def _cmpi(op: Operation, args: list[str]) -> str:
    assert isinstance(op, arith.CmpiOp)
    infix, signed = CMPI[op.predicate.value.data]
    element = element_of(op.operands[0].type)
    return f"({_as(args[0], element, signed)} {infix} {_as(args[1], element, signed)})"


def _select(op: Operation, args: list[str]) -> str:
    return f"({args[0]} ? {args[1]} : {args[2]})"


def _shrui(op: Operation, args: list[str]) -> str:
    element = element_of(op.results[0].type)
    return f"({c_type(element)})(({unsigned(element)}){args[0]} >> {args[1]})"


def _convert(op: Operation, args: list[str]) -> str:
    return f"({c_type(element_of(op.results[0].type))}){args[0]}"


def _from_unsigned(op: Operation, args: list[str]) -> str:
    source, target = element_of(op.operands[0].type), element_of(op.results[0].type)
    return (
        f"({c_type(target)})({unsigned(source)}){args[0]}" if source != i1 else f"({c_type(target)}){args[0]}"
    )


def _sign_extend(op: Operation, args: list[str]) -> str:
    value = (
        f"-({c_type(element_of(op.results[0].type))}){args[0]}"
        if element_of(op.operands[0].type) == i1
        else args[0]
    )
    return f"({c_type(element_of(op.results[0].type))}){value}"


def _truncate(op: Operation, args: list[str]) -> str:
    return f"({args[0]} & 1)" if element_of(op.results[0].type) == i1 else _convert(op, args)


def _extf(op: Operation, args: list[str]) -> str:
    source, target = element_of(op.operands[0].type), element_of(op.results[0].type)
    text = args[0] if short_name(source) in ("f32", "f64") else f"irk_{short_name(source)}_to_f32({args[0]})"
    return f"({c_type(target)}){text}" if short_name(target) == "f64" else text


def _truncf(op: Operation, args: list[str]) -> str:
    target = element_of(op.results[0].type)
    if short_name(target) == "f32":
        return f"(float){args[0]}"
    source = args[0] if short_name(element_of(op.operands[0].type)) == "f32" else f"(float){args[0]}"
    return f"irk_f32_to_{short_name(target)}({source})"


def _bitcast(op: Operation, args: list[str]) -> str:
    source, target = element_of(op.operands[0].type), element_of(op.results[0].type)
    if isinstance(target, IntegerType):
        return f"irk_bits_{short_name(source)}({args[0]})"
    return f"irk_float_{short_name(target)}({args[0]})"


def _fptoint(op: Operation, args: list[str]) -> str:
    assert isinstance(op, FloatToIntOp)
    kind = "i" if op.kind.data == "signed" else "u"
    source, target = element_of(op.operands[0].type), element_of(op.results[0].type)
    return f"irk_{short_name(source)}_to_{kind}{8 * element_bytes(target)}({args[0]})"


def _integer(op: Operation, args: list[str]) -> str:
    assert isinstance(op, IntegerOp)
    return f"irk_{op.kind.data}_i{8 * element_bytes(element_of(op.results[0].type))}({args[0]}, {args[1]})"


def _random(op: Operation, args: list[str]) -> str:
    assert isinstance(op, RandomOp)
    call = f"irk_random_{op.dist.data}((uint32_t){args[0]}, (uint32_t){args[1]}, (uint64_t){args[2]})"
    return f"(int32_t){call}" if op.dist.data == "bits" else call


def _remf(op: Operation, args: list[str]) -> str:
    return f"irk_fmod_{short_name(element_of(op.results[0].type))}({args[0]}, {args[1]})"


_RULES: dict[type[Operation], Callable[[Operation, list[str]], str]] = {
    arith.NegfOp: _negf,
    math.AbsIOp: _absi,
    arith.CmpfOp: _cmpf,
    arith.CmpiOp: _cmpi,
    arith.SelectOp: _select,
    arith.ShRUIOp: _shrui,
    arith.ShRSIOp: lambda op, args: f"({args[0]} >> {args[1]})",
    arith.SIToFPOp: _convert,
    arith.UIToFPOp: _from_unsigned,
    arith.ExtSIOp: _sign_extend,
    arith.ExtUIOp: _from_unsigned,
    arith.TruncIOp: _truncate,
    arith.IndexCastOp: _convert,
    arith.ExtFOp: _extf,
    arith.TruncFOp: _truncf,
    arith.BitcastOp: _bitcast,
    FloatToIntOp: _fptoint,
    IntegerOp: _integer,
    RandomOp: _random,
    RemfOp: _remf,
}

_CASTS: dict[str, Callable[[Operation, list[str]], str]] = {
    "sitofp": _convert,
    "uitofp": _from_unsigned,
    "extsi": _sign_extend,
    "extui": _from_unsigned,
    "trunci": _truncate,
    "index_cast": _convert,
    "extf": _extf,
    "truncf": _truncf,
    "bitcast": _bitcast,
}


def _cast(op: Operation, args: list[str]) -> str:
    assert isinstance(op, ConvertOp)
    return _CASTS[op.kind.data](op, args)


_RULES[ConvertOp] = _cast

SUPPORTED = {*_RULES, *INFIX, *WRAPPING, *FUNCTIONS, *MINMAX}
"""Every op with a scalar spelling."""
