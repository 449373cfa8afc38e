"""Scalar arithmetic in the bodies of index notation: the elementwise ops of the language in upstream arith and math.

A `Scalar` keeps the dtype of the language beside the value, since arith integers have no sign. Floats of 8 and 16 bits
are computed in f32, as everywhere; they are widened where they are read and rounded where they are stored.
"""

from __future__ import annotations

import math as numbers
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from xdsl.dialects import arith, math
from xdsl.dialects.builtin import FloatAttr, IntegerAttr, IntegerType, f32, i1
from xdsl.ir import Attribute, Block, Operation, SSAValue

from dialects import kernel
from dialects.errors import IrkitError, Loc
from dialects.types import (
    DTYPES,
    SMALL_FLOATS,
    Coded,
    dtype_name,
    is_complex,
    is_float,
    is_integer,
    is_storage_only,
    is_unsigned,
    storage,
)
from irkit.lang.builder import Number, fitting

INDEX = DTYPES["i64"]
SMALL = frozenset(DTYPES[n] for n in SMALL_FLOATS)


@dataclass(frozen=True)
class Scalar:
    """A value of a body with its dtype; an index of an axis is `weak`: it takes the integer dtype that it meets."""

    value: SSAValue
    element: Attribute
    weak: bool = False


def computed(element: Attribute) -> Attribute:
    """The type in which a dtype is computed."""
    return f32 if element in SMALL else storage(element)


class ScalarBuilder:
    """Appends scalar ops to a body. Methods raise IrkitError for a dtype that an op lacks."""

    def __init__(self, block: Block):
        self.block = block

    def add(self, op: Operation, loc: Loc) -> SSAValue:
        op.location = loc.attr()
        self.block.add_op(op)
        return op.results[0]

    # -- values -------------------------------------------------------------------------------------------------

    def read(self, value: SSAValue, element: Attribute, loc: Loc) -> Scalar:
        """An element that was read from a tensor."""
        if is_complex(element) or isinstance(element, Coded) or is_storage_only(element):
            raise IrkitError(
                f"index notation has no {dtype_name(element)} form", loc, hint="cast the tensor first"
            )
        return Scalar(self.add(arith.ExtFOp(value, f32), loc) if element in SMALL else value, element)

    def stored(self, x: Scalar, loc: Loc) -> SSAValue:
        """The value in the form that a tensor holds."""
        return self.add(arith.TruncFOp(x.value, x.element), loc) if x.element in SMALL else x.value  # pyright: ignore

    def number(self, value: Number, element: Attribute, loc: Loc) -> Scalar:
        """A constant of a dtype."""
        value = fitting(value, element, loc)
        return Scalar(self.constant(value, computed(element), loc), element)

    def constant(self, value: float, type_: Attribute, loc: Loc) -> SSAValue:
        if isinstance(type_, IntegerType):
            width = type_.width.data
            wrapped = int(value) & (2**width - 1)
            signed = wrapped - 2**width if width > 1 and wrapped >= 2 ** (width - 1) else wrapped
            return self.add(arith.ConstantOp(IntegerAttr(signed, type_)), loc)
        return self.add(arith.ConstantOp(FloatAttr(float(value), type_)), loc)  # pyright: ignore

    def agree(self, values: Sequence[Scalar | Number], loc: Loc) -> list[Scalar]:
        """Gives numbers and indices of axes the dtype of what they meet; raises IrkitError for two dtypes."""
        strong = [v for v in values if isinstance(v, Scalar) and not v.weak]
        element = strong[0].element if strong else INDEX
        if not strong and not any(isinstance(v, Scalar) for v in values):
            raise IrkitError("numbers alone have no dtype", loc, hint="give one a dtype: cast(2, f32)")
        for other in strong[1:]:
            if other.element != element:
                found = f"{dtype_name(element)} and {dtype_name(other.element)}"
                raise IrkitError(
                    "two dtypes meet",
                    loc,
                    found=found,
                    hint=f"convert one with cast(x, {dtype_name(element)})",
                )
        return [self.fitted(v, element, loc, weak=not strong) for v in values]

    def fitted(self, value: Scalar | Number, element: Attribute, loc: Loc, weak: bool = False) -> Scalar:
        if not isinstance(value, Scalar):
            return Scalar(self.number(value, element, loc).value, element, weak)
        if value.weak and element != INDEX:
            if not is_integer(element):
                hint = f"convert the index: cast(i, {dtype_name(element)})"
                raise IrkitError(
                    "an index is an integer", loc, found=f"an index beside {dtype_name(element)}", hint=hint
                )
            return self.cast(value, element, loc)
        return value

    # -- ops ----------------------------------------------------------------------------------------------------

    def unary(self, name: str, x: Scalar, loc: Loc) -> Scalar:
        kinds = _UNARY_INT if is_integer(x.element) else _UNARY_FLOAT if is_float(x.element) else _UNARY_BOOL
        return (
            Scalar(kinds[name](self, x, loc), x.element, x.weak)
            if name in kinds
            else self.refuse(name, x, loc)
        )

    def binary(self, name: str, a: Scalar, b: Scalar, loc: Loc) -> Scalar:
        if is_float(a.element):
            table = _BINARY_FLOAT
        elif is_integer(a.element):
            table = _BINARY_UNSIGNED if is_unsigned(a.element) else _BINARY_SIGNED
        else:
            table = _BINARY_BOOL
        if name not in table:
            return self.refuse(name, a, loc)
        return Scalar(table[name](self, a.value, b.value, loc), a.element, a.weak and b.weak)

    def compare(self, predicate: str, a: Scalar, b: Scalar, loc: Loc) -> Scalar:
        if is_float(a.element):
            op: Operation = arith.CmpfOp(a.value, b.value, "une" if predicate == "ne" else f"o{predicate}")
        else:
            sign = "" if predicate in ("eq", "ne") else "u" if is_unsigned(a.element) else "s"
            op = arith.CmpiOp(a.value, b.value, sign + predicate)
        return Scalar(self.add(op, loc), i1)

    def where(self, condition: Scalar, a: Scalar, b: Scalar, loc: Loc) -> Scalar:
        if condition.element != i1:
            found = dtype_name(condition.element)
            raise IrkitError(
                "the condition of where is a bool", loc, found=found, hint="compare it with something"
            )
        return Scalar(self.add(arith.SelectOp(condition.value, a.value, b.value), loc), a.element)

    def cast(self, x: Scalar, element: Attribute, loc: Loc) -> Scalar:
        """Another dtype, by the rules of graph.cast."""
        if is_complex(element) or is_storage_only(element):
            raise IrkitError(f"index notation has no {dtype_name(element)} form", loc)
        if x.element == element:
            return x
        if element == i1:
            zero = Scalar(self.constant(0, x.value.type, loc), x.element)
            return self.compare("ne", x, zero, loc)
        if is_float(element):
            return self.to_float(x, element, loc)
        target = storage(element)
        assert isinstance(target, IntegerType)
        if is_float(x.element):
            kind = "unsigned" if is_unsigned(element) else "signed"
            return Scalar(self.add(kernel.FloatToIntOp(kind, x.value, target), loc), element)
        source = x.value.type
        assert isinstance(source, IntegerType)
        if source.width.data == target.width.data:
            return Scalar(x.value, element)
        if source.width.data > target.width.data:
            return Scalar(self.add(arith.TruncIOp(x.value, target), loc), element)
        extend = arith.ExtUIOp if is_unsigned(x.element) else arith.ExtSIOp
        return Scalar(self.add(extend(x.value, target), loc), element)

    def to_float(self, x: Scalar, element: Attribute, loc: Loc) -> Scalar:
        target = computed(element)
        value = x.value
        if not is_float(x.element):
            convert = arith.UIToFPOp if is_unsigned(x.element) else arith.SIToFPOp
            value = self.add(convert(value, target), loc)  # pyright: ignore
        elif value.type != target:
            widens = value.type == f32
            value = self.add((arith.ExtFOp if widens else arith.TruncFOp)(value, target), loc)  # pyright: ignore
        if element in SMALL:  # rounded to the format, then computed on in f32
            value = self.add(arith.ExtFOp(self.add(arith.TruncFOp(value, element), loc), f32), loc)  # pyright: ignore
        return Scalar(value, element)

    def refuse(self, name: str, x: Scalar, loc: Loc) -> Scalar:
        raise IrkitError(
            f"{name} has no {dtype_name(x.element)} form in index notation",
            loc,
            hint="convert with cast(x, f32)",
        )

    # -- composed -----------------------------------------------------------------------------------------------

    def like(self, value: float, x: SSAValue, loc: Loc) -> SSAValue:
        """A constant of the type of another value."""
        return self.constant(value, x.type, loc)

    def sigmoid(self, x: SSAValue, loc: Loc) -> SSAValue:
        """1 / (1 + exp(-x))"""
        e = self.add(math.ExpOp(self.add(arith.NegfOp(x), loc)), loc)
        one = self.like(1, x, loc)
        return self.add(arith.DivfOp(one, self.add(arith.AddfOp(one, e), loc)), loc)

    def gelu(self, x: SSAValue, loc: Loc) -> SSAValue:
        """x / 2 * (1 + erf(x / sqrt(2)))"""
        scaled = self.add(arith.MulfOp(x, self.like(numbers.sqrt(0.5), x, loc)), loc)
        lifted = self.add(arith.AddfOp(self.add(math.ErfOp(scaled), loc), self.like(1, x, loc)), loc)
        return self.add(arith.MulfOp(self.add(arith.MulfOp(x, self.like(0.5, x, loc)), loc), lifted), loc)

    def float_mod(self, a: SSAValue, b: SSAValue, loc: Loc) -> SSAValue:
        """The remainder with the sign of b."""
        rest = self.add(kernel.RemfOp(a, b), loc)
        zero = self.like(0, rest, loc)
        signs = [self.add(arith.CmpfOp(v, zero, "olt"), loc) for v in (rest, b)]
        turned = self.add(arith.XOrIOp(signs[0], signs[1]), loc)
        apart = self.add(arith.AndIOp(self.add(arith.CmpfOp(rest, zero, "une"), loc), turned), loc)
        return self.add(arith.SelectOp(apart, self.add(arith.AddfOp(rest, b), loc), rest), loc)


_Unary = Callable[[ScalarBuilder, Scalar, Loc], SSAValue]
_Binary = Callable[[ScalarBuilder, SSAValue, SSAValue, Loc], SSAValue]


def _of(cls: Callable[..., Operation]) -> _Unary:
    return lambda b, x, loc: b.add(cls(x.value), loc)


def _pair(cls: Callable[..., Operation]) -> _Binary:
    return lambda b, x, y, loc: b.add(cls(x, y), loc)


def _integer(kind: str) -> _Binary:
    return lambda b, x, y, loc: b.add(kernel.IntegerOp(kind, x, y), loc)


_UNARY_FLOAT: dict[str, _Unary] = {
    "neg": _of(arith.NegfOp),
    "abs": _of(math.AbsFOp),
    "exp": _of(math.ExpOp),
    "log": _of(math.LogOp),
    "sqrt": _of(math.SqrtOp),
    "rsqrt": _of(math.RsqrtOp),
    "tanh": _of(math.TanhOp),
    "erf": _of(math.ErfOp),
    "sin": _of(math.SinOp),
    "cos": _of(math.CosOp),
    "floor": _of(math.FloorOp),
    "ceil": _of(math.CeilOp),
    "relu": lambda b, x, loc: b.add(arith.MaximumfOp(x.value, b.like(0, x.value, loc)), loc),
    "sigmoid": lambda b, x, loc: b.sigmoid(x.value, loc),
    "silu": lambda b, x, loc: b.add(arith.MulfOp(x.value, b.sigmoid(x.value, loc)), loc),
    "gelu": lambda b, x, loc: b.gelu(x.value, loc),
}
_UNARY_INT: dict[str, _Unary] = {
    "neg": lambda b, x, loc: b.add(arith.SubiOp(b.like(0, x.value, loc), x.value), loc),
    "abs": lambda b, x, loc: x.value if is_unsigned(x.element) else b.add(math.AbsIOp(x.value), loc),
    "bitwise_not": lambda b, x, loc: b.add(arith.XOrIOp(x.value, b.like(-1, x.value, loc)), loc),
    "relu": lambda b, x, loc: (
        x.value if is_unsigned(x.element) else b.add(arith.MaxSIOp(x.value, b.like(0, x.value, loc)), loc)
    ),
}
_UNARY_BOOL: dict[str, _Unary] = {
    "logical_not": lambda b, x, loc: b.add(arith.XOrIOp(x.value, b.like(1, x.value, loc)), loc),
}
_BINARY_FLOAT: dict[str, _Binary] = {
    "add": _pair(arith.AddfOp),
    "sub": _pair(arith.SubfOp),
    "mul": _pair(arith.MulfOp),
    "div": _pair(arith.DivfOp),
    "mod": lambda b, x, y, loc: b.float_mod(x, y, loc),
    "pow": _pair(math.PowFOp),
    "min": _pair(arith.MinimumfOp),
    "max": _pair(arith.MaximumfOp),
}
_BINARY_SIGNED: dict[str, _Binary] = {
    "add": _pair(arith.AddiOp),
    "sub": _pair(arith.SubiOp),
    "mul": _pair(arith.MuliOp),
    "div": _integer("floordiv"),
    "mod": _integer("mod"),
    "pow": _pair(math.IPowIOp),
    "min": _pair(arith.MinSIOp),
    "max": _pair(arith.MaxSIOp),
    "bitwise_and": _pair(arith.AndIOp),
    "bitwise_or": _pair(arith.OrIOp),
    "bitwise_xor": _pair(arith.XOrIOp),
    "shift_left": _integer("shl"),
    "shift_right": _integer("sar"),
}
_BINARY_UNSIGNED: dict[str, _Binary] = _BINARY_SIGNED | {
    "div": _integer("udiv"),
    "mod": _integer("umod"),
    "min": _pair(arith.MinUIOp),
    "max": _pair(arith.MaxUIOp),
    "shift_right": _integer("shr"),
}
_BINARY_BOOL: dict[str, _Binary] = {
    "logical_and": _pair(arith.AndIOp),
    "logical_or": _pair(arith.OrIOp),
    "logical_xor": _pair(arith.XOrIOp),
}

UNARY = frozenset(_UNARY_FLOAT) | frozenset(_UNARY_INT) | frozenset(_UNARY_BOOL)
BINARY = frozenset(_BINARY_FLOAT) | frozenset(_BINARY_SIGNED) | frozenset(_BINARY_BOOL)
"""Ops of the language that index notation takes."""
