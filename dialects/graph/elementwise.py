"""Elementwise ops: one rule table, NumPy broadcasting, one dtype."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
from xdsl.dialects.builtin import i1
from xdsl.ir import Attribute

from dialects.graph import numerics
from dialects.graph.base import (
    Array,
    GraphOp,
    Mismatch,
    Param,
    Values,
    register_op,
    same_dtype,
    short_name,
)
from dialects.graph.carrying import check_fits
from dialects.graph.numerics import cast_array, quantised_array, widened
from dialects.graph.shapes import broadcast
from dialects.quant import QuantType
from dialects.types import (
    DTYPES,
    AnyTensor,
    dims_of,
    dtype_name,
    is_complex,
    is_float,
    is_integer,
    is_storage_only,
    np_dtype,
    stored,
    tensor,
    type_text,
)

_KIND_NAMES = {"f": "float", "i": "integer", "b": "bool", "c": "complex"}


def kind_of(element: Attribute) -> str:
    """f, i, b or c: float, integer, bool, complex; ? for what has no arithmetic."""
    if element == i1:
        return "b"
    if is_storage_only(element):
        return "?"
    return "f" if is_float(element) else "i" if is_integer(element) else "c" if is_complex(element) else "?"


def check_kind(what: str, kinds: str, types: Sequence[AnyTensor], element: Attribute) -> Attribute:
    """The element type; raises Mismatch for one that an op lacks."""
    if kind_of(element) not in kinds:
        raise Mismatch(
            f"{what} has no {dtype_name(element)} form",
            found=" and ".join(type_text(t) for t in types),
            expected=" or ".join(_KIND_NAMES[k] for k in kinds) + " operands",
            hint=f"convert with cast(x, {'f32' if 'f' in kinds else 'i32' if 'i' in kinds else 'bool'})",
        )
    return element


class Elementwise(GraphOp):
    """Base: result has the operands' dtype and broadcast shape. `TAKES` names the kinds of dtype that it accepts."""

    TAKES: ClassVar[str] = "fi"
    FUNCTION: ClassVar[Callable[..., Array]]

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        first = types[0]
        check_kind(short_name(cls), cls.TAKES, types, same_dtype(types, short_name(cls)))
        if all(t is first or t == first for t in types[1:]):
            return [first]
        return [tensor(first.element_type, broadcast([dims_of(t) for t in types], short_name(cls)))]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        return [cast_array(cls.FUNCTION(*widened(arrays)), results[0].element_type)]


_FACTS = dict.fromkeys(("TAKES", "FUNCTION", "ARITY", "OPERANDS"), ClassVar)


def define(name: str, function: Callable[..., Array], takes: str, doc: str, count: int) -> type[Elementwise]:
    """Registers an elementwise op of `count` operands from its NumPy function on widened arrays."""
    body = {
        "name": f"graph.{name}",
        "__doc__": doc,
        "__module__": __name__,
        "__annotations__": dict(_FACTS),
        "TAKES": takes,
        "FUNCTION": staticmethod(function),
        "ARITY": (count, count),
        "OPERANDS": ("x",) if count == 1 else ("a", "b"),
    }
    return register_op(type(f"{name.title().replace('_', '')}Op", (Elementwise,), body))


UNARY: dict[str, tuple[Callable[..., Array], str, str]] = {
    "neg": (np.negative, "fic", "-x; integers wrap."),
    "abs": (np.abs, "fi", "|x|; the least signed integer stays as it is."),
    "exp": (np.exp, "f", "e to the power x."),
    "log": (np.log, "f", "The natural logarithm."),
    "sqrt": (np.sqrt, "f", "The square root."),
    "rsqrt": (lambda x: 1 / np.sqrt(x), "f", "1 / sqrt(x)."),
    "tanh": (np.tanh, "f", "The hyperbolic tangent."),
    "sigmoid": (numerics.sigmoid, "f", "1 / (1 + exp(-x))."),
    "erf": (numerics.erf, "f", "The error function."),
    "sin": (np.sin, "f", "The sine."),
    "cos": (np.cos, "f", "The cosine."),
    "floor": (np.floor, "f", "The greatest integer no greater than x."),
    "ceil": (np.ceil, "f", "The least integer no less than x."),
    "relu": (lambda x: np.maximum(x, x.dtype.type(0)), "fi", "max(x, 0); NaN stays NaN."),
    "silu": (numerics.silu, "f", "x * sigmoid(x)."),
    "logical_not": (np.logical_not, "b", "The negation of a bool."),
    "bitwise_not": (np.bitwise_not, "i", "Every bit turned."),
}
"""Unary ops: NumPy function, dtype kinds taken, meaning."""

BINARY: dict[str, tuple[Callable[..., Array], str, str]] = {
    "add": (np.add, "fic", "a + b; integers wrap."),
    "sub": (np.subtract, "fic", "a - b; integers wrap."),
    "mul": (np.multiply, "fic", "a * b; integers wrap."),
    "div": (
        numerics.divide,
        "fic",
        "a / b; integers round towards minus infinity, and division by zero gives zero.",
    ),
    "mod": (numerics.modulo, "fi", "The remainder with the sign of b; integers modulo zero give zero."),
    "pow": (numerics.power, "fi", "a to the power b; integers wrap, and to a negative power are truncated."),
    "min": (np.minimum, "fi", "The lesser; NaN if either is."),
    "max": (np.maximum, "fi", "The greater; NaN if either is."),
    "logical_and": (np.logical_and, "b", "Both."),
    "logical_or": (np.logical_or, "b", "Either."),
    "logical_xor": (np.logical_xor, "b", "One of the two, and not both."),
    "bitwise_and": (np.bitwise_and, "i", "The bits that both have."),
    "bitwise_or": (np.bitwise_or, "i", "The bits that either has."),
    "bitwise_xor": (np.bitwise_xor, "i", "The bits that one of the two has, and not both."),
    "shift_left": (
        numerics.shift_left,
        "i",
        "a moved up by b bits; 0 where b, read without sign, is no less than the width.",
    ),
    "shift_right": (
        numerics.shift_right,
        "i",
        "a moved down by b bits, signed numbers with their sign; 0 or -1 where b, read without sign, is no less than the width.",
    ),
}
"""Binary ops: NumPy function, dtype kinds taken, meaning."""

for _name, _row in UNARY.items():
    define(_name, *_row, 1)
for _name, _row in BINARY.items():
    define(_name, *_row, 2)


@register_op
class GeluOp(Elementwise):
    """x times the standard normal distribution function of x: `graph.gelu %x {approximate = "none"}`.

    "none" is the exact form by erf, "tanh" x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))).
    """

    name = "graph.gelu"
    PARAMS: ClassVar = {"approximate": Param("str", "none", ("none", "tanh"))}
    TAKES: ClassVar = "f"

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        function = numerics.gelu if values["approximate"] == "none" else numerics.gelu_tanh
        return [cast_array(function(*widened(arrays)), results[0].element_type)]


PREDICATES: dict[str, Callable[..., Array]] = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}


@register_op
class CompareOp(Elementwise):
    """A bool for each pair: `graph.compare %a, %b {pred = "lt"}`. With NaN all is false but ne."""

    name = "graph.compare"
    PARAMS: ClassVar = {"pred": Param("str", choices=tuple(PREDICATES))}
    ARITY: ClassVar = (2, 2)
    OPERANDS: ClassVar = ("a", "b")
    TAKES: ClassVar = "fib"

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        kinds = cls.TAKES + ("c" if values["pred"] in ("eq", "ne") else "")
        check_kind(f"compare {values['pred']}", kinds, types, same_dtype(types, "compare"))
        return [tensor(i1, broadcast([dims_of(t) for t in types], "compare"))]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        return [PREDICATES[str(values["pred"])](*widened(arrays))]


@register_op
class WhereOp(Elementwise):
    """a where the bool is true, b elsewhere: `graph.where %c, %a, %b`; a and b of any dtype."""

    name = "graph.where"
    ARITY: ClassVar = (3, 3)
    OPERANDS: ClassVar = ("condition", "a", "b")

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        if types[0].element_type != i1:
            raise Mismatch(
                "the condition of where is a bool tensor",
                found=type_text(types[0]),
                hint="compare it with something",
            )
        return [tensor(same_dtype(types[1:], "where"), broadcast([dims_of(t) for t in types], "where"))]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        return [np.where(*arrays)]


@register_op
class CastOp(Elementwise):
    """Another dtype: `graph.cast %x {dtype = "i32"}`, or a quantised type: `{dtype = !graph.quant<si8, f32, scale = [0.1]>}`.

    Float to integer truncates and saturates, NaN to zero; integers wrap; bool is "not zero". Floats round to nearest
    even; what f8e4m3 cannot hold becomes NaN, in the other formats infinity. Complex numbers stay complex.

    To a quantised type, a float is divided by the scale and rounded to an integer, of two as near to the even one; the
    zero point is added, and the sum saturates. NaN becomes zero. From one, (stored - zero point) * scale is computed in
    the type that is expressed, and goes on from there; so from one quantised type to another.
    """

    name = "graph.cast"
    PARAMS: ClassVar = {"dtype": Param("element")}

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        target = values["dtype"]
        if isinstance(target, QuantType):
            check_quantisable(types[0], target)
            return [tensor(target, dims_of(types[0]))]
        target = DTYPES[str(target)]
        if is_complex(types[0].element_type) and not is_complex(target):
            raise Mismatch(f"no cast from complex to {values['dtype']}", found=type_text(types[0]))
        return [tensor(target, dims_of(types[0]))]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        element = results[0].element_type
        if isinstance(element, QuantType):
            return [quantised_array(arrays[0], element)]
        return [cast_array(arrays[0], element)]


def check_quantisable(type_: AnyTensor, target: QuantType) -> None:
    """Raises Mismatch where a tensor cannot be quantised so: it holds no floats, or has other dims."""
    if not is_float(type_.element_type):
        raise Mismatch(
            f"no cast from {dtype_name(type_.element_type)} to a quantised type",
            found=type_text(type_),
            expected="floats",
            hint="cast it to f32 first; numbers that are quantised already: reinterpret(x, quant(...))",
        )
    check_fits(target, dims_of(type_))


@register_op
class ReinterpretOp(Elementwise):
    """The numbers that are stored, read as another type: `graph.reinterpret %x {dtype = "i8"}`.

    From a quantised type to the dtype that it is stored in, from that dtype to a quantised type, and between quantised
    types of one storage; and the bits of f32 and f64 as integers of 32 and 64 bits, and back. Nothing is computed.
    """

    name = "graph.reinterpret"
    PARAMS: ClassVar = {"dtype": Param("element")}

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        given = values["dtype"]
        target = given if isinstance(given, QuantType) else DTYPES[str(given)]
        if stored(target) != types[0].element_type and not same_bits(types[0].element_type, target):
            raise Mismatch(
                f"reinterpret does not convert {dtype_name(types[0].element_type)} to {dtype_name(stored(target))}",
                found=type_text(types[0]),
                expected=f"numbers stored in {dtype_name(stored(target))}",
                hint="cast(x, dtype) converts",
            )
        check_fits(target, dims_of(types[0]))
        return [tensor(target, dims_of(types[0]))]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        return [np.asarray(arrays[0]).view(np_dtype(results[0].element_type))]


def same_bits(a: Attribute, b: Attribute) -> bool:
    """Whether one of two element types is f32 or f64, and the other an integer of that width."""
    a, b = (b, a) if is_integer(a) else (a, b)
    return (
        a in (DTYPES["f32"], DTYPES["f64"]) and is_integer(b) and np_dtype(a).itemsize == np_dtype(b).itemsize
    )
