"""Elementwise ops: one rule table, NumPy broadcasting, one dtype."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import ml_dtypes
import numpy as np
from xdsl.dialects.builtin import IntegerType, i1
from xdsl.irdl import irdl_op_definition
from xdsl.ir import Attribute

from dialects.graph.base import Array, GraphOp, Mismatch, Param, Values, register_op, same_dtype
from dialects.graph.shapes import broadcast
from dialects.types import DTYPES, AnyTensor, dims_of, dtype_name, is_complex, is_float, is_integer, np_dtype, tensor, type_text

SMALL_FLOATS = (np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16), np.dtype(ml_dtypes.float8_e4m3fn), np.dtype(ml_dtypes.float8_e5m2))


def widened(arrays: Sequence[Array]) -> list[Array]:
    """Small floats as f32: they are stored in their format and computed in f32."""
    return [a.astype(np.float32) if a.dtype in SMALL_FLOATS else a for a in arrays]


class Elementwise(GraphOp):
    """Base: result has the operands' dtype and broadcast shape. `TAKES` names the kinds of dtype that the op accepts."""

    TAKES: ClassVar[str] = "fi"
    FUNCTION: ClassVar[Callable[..., Array]]

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        return [tensor(check_kind(cls, types, same_dtype(types, cls.name.removeprefix("graph."))), broadcast([dims_of(t) for t in types]))]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        return [cls.FUNCTION(*widened(arrays))]


def kind_of(element: Attribute) -> str:
    """f, i, b or c: float, integer, bool, complex."""
    if element == i1:
        return "b"
    return "f" if is_float(element) else "i" if is_integer(element) else "c" if is_complex(element) else "?"


_KIND_NAMES = {"f": "float", "i": "integer", "b": "bool", "c": "complex"}


def check_kind(cls: type[Elementwise], types: Sequence[AnyTensor], element: Attribute) -> Attribute:
    """Raises Mismatch for a dtype that the op lacks."""
    if kind_of(element) not in cls.TAKES or dtype_name(element) in ("i4", "u4"):
        raise Mismatch(
            f"{cls.name.removeprefix('graph.')} has no {dtype_name(element)} form",
            found=" and ".join(type_text(t) for t in types),
            expected=" or ".join(_KIND_NAMES[k] for k in cls.TAKES) + " operands",
            hint="convert with cast(x, f32)",
        )
    return element


def _divide(a: Array, b: Array) -> Array:
    if not np.issubdtype(a.dtype, np.integer):
        return a / b
    a, b = np.broadcast_arrays(a, b)
    safe = np.where(b == 0, np.ones_like(b), b)
    return np.where(b == 0, np.zeros_like(a), np.floor_divide(a, safe))


def _modulo(a: Array, b: Array) -> Array:
    if not np.issubdtype(a.dtype, np.integer):
        return np.mod(a, b)
    safe = np.where(b == 0, np.ones_like(b), b)
    return np.where(b == 0, np.zeros_like(a), np.mod(a, safe))


def _power(a: Array, b: Array) -> Array:
    if not np.issubdtype(a.dtype, np.integer):
        return np.power(a, b)
    a, b = np.broadcast_arrays(a, b)
    out, base, rest = np.ones_like(a), a.copy(), np.maximum(b, 0)
    while np.any(rest):
        out = np.where(rest & 1, out * base, out)
        base, rest = base * base, rest >> 1
    # A negative exponent rounds 1 / a**n towards minus infinity only for |a| = 1; else it is zero.
    negative = np.where(a == 1, 1, np.where(a == -1, np.where(b & 1, -1, 1), 0)).astype(a.dtype) if a.dtype.kind == "i" else out
    return np.where(b < 0, negative, out)


def _erf(x: Array) -> Array:
    from math import erf

    return np.vectorize(erf, otypes=[np.float64])(x.astype(np.float64)).astype(x.dtype) if x.size else x


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x.astype(np.float64))).astype(x.dtype)


def _gelu(x: Array) -> Array:
    wide = x.astype(np.float64)
    return (0.5 * wide * (1 + _erf(wide / np.sqrt(2.0)))).astype(x.dtype)


def _unary(op_name: str, function: Callable[..., Array], takes: str, doc: str) -> type[Elementwise]:
    return _define(op_name, function, takes, doc, 1)


def _define(op_name: str, function: Callable[..., Array], takes: str, doc: str, count: int) -> type[Elementwise]:
    body = {
        "name": f"graph.{op_name}",
        "__doc__": doc,
        "__module__": __name__,
        "__annotations__": {constant: ClassVar for constant in ("TAKES", "FUNCTION", "ARITY", "OPERANDS")},
        "TAKES": takes,
        "FUNCTION": staticmethod(function),
        "ARITY": (count, count),
        "OPERANDS": ("x",) if count == 1 else ("a", "b"),
    }
    return register_op(irdl_op_definition(type(f"{op_name.title().replace('_', '')}Op", (Elementwise,), body)))  # pyright: ignore


UNARY: dict[str, tuple[Callable[..., Array], str, str]] = {
    "neg": (np.negative, "fic", "-x; integers wrap."),
    "abs": (np.abs, "fi", "|x|; the least signed integer stays as it is."),
    "exp": (np.exp, "f", "e to the power x."),
    "log": (np.log, "f", "The natural logarithm."),
    "sqrt": (np.sqrt, "f", "The square root."),
    "rsqrt": (lambda x: 1 / np.sqrt(x), "f", "1 / sqrt(x)."),
    "tanh": (np.tanh, "f", "The hyperbolic tangent."),
    "sigmoid": (_sigmoid, "f", "1 / (1 + exp(-x))."),
    "erf": (_erf, "f", "The error function."),
    "sin": (np.sin, "f", "The sine."),
    "cos": (np.cos, "f", "The cosine."),
    "floor": (np.floor, "f", "The greatest integer no greater than x."),
    "ceil": (np.ceil, "f", "The least integer no less than x."),
    "relu": (lambda x: np.maximum(x, np.zeros((), x.dtype)), "fi", "max(x, 0); NaN stays NaN."),
    "gelu": (_gelu, "f", "x times the standard normal distribution function of x, by erf."),
    "silu": (lambda x: (x * _sigmoid(x)).astype(x.dtype), "f", "x * sigmoid(x)."),
    "logical_not": (np.logical_not, "b", "The negation of a bool."),
}
"""Unary ops: NumPy function, dtype kinds taken, meaning."""

BINARY: dict[str, tuple[Callable[..., Array], str, str]] = {
    "add": (np.add, "fic", "a + b; integers wrap."),
    "sub": (np.subtract, "fic", "a - b; integers wrap."),
    "mul": (np.multiply, "fic", "a * b; integers wrap."),
    "div": (_divide, "fic", "a / b; integers round towards minus infinity, and division by zero gives zero."),
    "mod": (_modulo, "fi", "The remainder with the sign of b; integers modulo zero give zero."),
    "pow": (_power, "fi", "a to the power b."),
    "min": (np.minimum, "fi", "The lesser; NaN if either is."),
    "max": (np.maximum, "fi", "The greater; NaN if either is."),
    "logical_and": (np.logical_and, "b", "Both."),
    "logical_or": (np.logical_or, "b", "Either."),
}
"""Binary ops: NumPy function, dtype kinds taken, meaning."""

for _name, _row in UNARY.items():
    _define(_name, *_row, 1)
for _name, _row in BINARY.items():
    _define(_name, *_row, 2)

PREDICATES: dict[str, Callable[..., Array]] = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}


@register_op
@irdl_op_definition
class CompareOp(Elementwise):
    """A bool for each pair: `graph.compare %a, %b {pred = "lt"}`. NaN compares unequal to everything."""

    name = "graph.compare"
    PARAMS: ClassVar = {"pred": Param("str")}
    ARITY: ClassVar = (2, 2)
    TAKES: ClassVar = "fib"

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        if values["pred"] not in PREDICATES:
            raise Mismatch("unknown predicate", found=str(values["pred"]), expected=", ".join(PREDICATES))
        check_kind(cls, types, same_dtype(types, "comparison"))
        return [tensor(i1, broadcast([dims_of(t) for t in types]))]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        return [PREDICATES[str(values["pred"])](*widened(arrays))]


@register_op
@irdl_op_definition
class WhereOp(Elementwise):
    """a where the bool is true, b elsewhere: `graph.where %c, %a, %b`."""

    name = "graph.where"
    ARITY: ClassVar = (3, 3)
    TAKES: ClassVar = "fibc"

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        if types[0].element_type != i1:
            raise Mismatch("the condition of where is a bool tensor", found=type_text(types[0]), hint="compare it with something")
        return [tensor(same_dtype(types[1:], "where"), broadcast([dims_of(t) for t in types]))]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        return [np.where(arrays[0], arrays[1], arrays[2])]


@register_op
@irdl_op_definition
class CastOp(GraphOp):
    """Another dtype: `graph.cast %x {dtype = "i32"}`. Float to integer saturates with NaN to zero; integers wrap."""

    name = "graph.cast"
    PARAMS: ClassVar = {"dtype": Param("str")}

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        name = values["dtype"]
        if not isinstance(name, str) or name not in DTYPES:
            raise Mismatch("unknown dtype", found=str(name), expected=", ".join(DTYPES))
        return [tensor(name, dims_of(types[0]))]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        return [cast_array(arrays[0], results[0].element_type)]


def cast_array(x: Array, element: Attribute) -> Array:
    """A NumPy array in another dtype by the graph's rules."""
    target = np_dtype(element)
    is_real = x.dtype in SMALL_FLOATS or x.dtype.kind == "f"
    if isinstance(element, IntegerType) and element != i1 and is_real:
        info = ml_dtypes.iinfo(target) if target.name in ("int4", "uint4") else np.iinfo(target)
        wide = np.where(np.isnan(x.astype(np.float64)), 0.0, x.astype(np.float64))
        low, high = int(info.min), int(info.max)
        truncated = np.trunc(np.clip(wide, float(low), float(high)))
        exact = np.where(truncated >= float(high), high, np.where(truncated <= float(low), low, 0))
        inside = (truncated < float(high)) & (truncated > float(low))
        return np.where(inside, np.where(inside, truncated, 0).astype(target), exact.astype(np.dtype(target))).astype(target)
    if element == i1:
        return x.astype(np.float64) != 0 if is_real else x != 0
    return x.astype(np.float32).astype(target) if x.dtype in SMALL_FLOATS else x.astype(target)


