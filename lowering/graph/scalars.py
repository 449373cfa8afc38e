"""Scalar ops of region bodies (arith, math, and the kernel level's own) in NumPy, point by point over whole arrays.

Integers are signless here: they are held as signed NumPy integers and viewed as unsigned where an op says so. Small
floats are computed in f32 and rounded by each op that yields them. Integers wrap, division by zero gives zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from xdsl.dialects.builtin import (
    DenseIntOrFPElementsAttr,
    FloatAttr,
    IntegerAttr,
    StringAttr,
    VectorType,
)
from xdsl.ir import Attribute, Operation

from dialects.errors import IrkitError
from dialects.graph import array_of
from dialects.graph.numerics import (
    SMALL_FLOATS,
    divide,
    erf,
    float_to_integer,
    modulo,
    power,
    random_numbers,
    widened,
)
from dialects.types import np_dtype

Array = np.ndarray
FEW_BITS = {np_dtype(f"u{w}"): np_dtype(f"i{w}") for w in (2, 4)}
"""Unsigned dtypes that NumPy calls neither signed nor unsigned, with the signed ones."""
Rule = Callable[[Operation, list[Array], np.dtype], Array]
"""An op, its operands and the dtype of its result give the result."""


def run_scalar(op: Operation, operands: Sequence[Array], wide: bool = False) -> Array:
    """The result of a scalar op, where floats are wide in f64 if it comes so. Raises IrkitError for an op that has no rule
    here."""
    rule = SCALARS.get(op.name)
    if rule is None:
        raise IrkitError(
            f"'{op.name}' has no NumPy form", op, expected="an op of arith or math, or a scalar op of kernel"
        )
    type_ = op.results[0].type
    dtype = np_dtype(type_.get_element_type() if isinstance(type_, VectorType) else type_)
    out = np.asarray(rule(op, list(operands), dtype))
    return out if out.dtype == dtype or (wide and out.dtype == np.float64) else out.astype(dtype)


def signless(array: Array) -> Array:
    """An array of a graph dtype as bodies hold it: unsigned integers viewed as signed ones."""
    if array.dtype in FEW_BITS:
        return array.view(FEW_BITS[array.dtype])
    return array.view(f"i{array.itemsize}") if array.dtype.kind == "u" else array


def unsigned(array: Array) -> Array:
    """A signed array viewed as unsigned."""
    if few := next((u for u, i in FEW_BITS.items() if i == array.dtype), None):
        return array.view(few)
    return array.view(f"u{array.itemsize}") if array.dtype.kind == "i" else array


def _plain(function: Callable[..., Array]) -> Rule:
    return lambda op, x, dtype: function(*widened(x))


def _as_unsigned(function: Callable[..., Array]) -> Rule:
    return lambda op, x, dtype: signless(np.asarray(function(*map(unsigned, np.broadcast_arrays(*x)))))


def _constant(op: Operation, x: list[Array], dtype: np.dtype) -> Array:
    value = op.properties["value"]
    if isinstance(value, DenseIntOrFPElementsAttr):
        return array_of(value)
    assert isinstance(value, FloatAttr | IntegerAttr)
    return np.asarray(value.value.data).astype(dtype)


def _shift(function: Callable[..., Array], is_unsigned: bool) -> Rule:
    """A shift by the width or more is zero (or all sign bits)."""

    def rule(op: Operation, x: list[Array], dtype: np.dtype) -> Array:
        value, count = np.broadcast_arrays(*x)
        bits = 8 * dtype.itemsize
        value, count = (unsigned(value) if is_unsigned else value), unsigned(count)
        shifted = function(value, np.minimum(count, bits - 1).astype(value.dtype))
        rest = value >> value.dtype.type(bits - 1) if function is np.right_shift and not is_unsigned else 0
        return signless(np.where(count >= bits, rest, shifted).astype(value.dtype))

    return rule


_SHIFTS: dict[str, Rule] = {
    "shl": _shift(np.left_shift, True),
    "shr": _shift(np.right_shift, True),
    "sar": _shift(np.right_shift, False),
}


def _truncated(pick: int) -> Rule:
    """C's division and remainder, which truncate; zero where the divisor is zero."""

    def rule(op: Operation, x: list[Array], dtype: np.dtype) -> Array:
        a, b = np.broadcast_arrays(*x)
        quotient = divide(a, b)
        exact = quotient * b == a
        quotient = np.where((quotient < 0) & ~exact & (b != 0), quotient + dtype.type(1), quotient)
        return quotient if pick == 0 else np.where(b == 0, dtype.type(0), a - quotient * b)

    return rule


_COMPARE = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}
_INTEGER_PREDICATES = ("eq", "ne", "slt", "sle", "sgt", "sge", "ult", "ule", "ugt", "uge")
_FLOAT_PREDICATES = (
    "false", "oeq", "ogt", "oge", "olt", "ole", "one", "ord", "ueq", "ugt", "uge", "ult", "ule", "une", "uno", "true"
)  # fmt: skip


def _predicate(op: Operation) -> int:
    attr = op.properties["predicate"]
    assert isinstance(attr, IntegerAttr)
    return attr.value.data


def _compare_integers(op: Operation, x: list[Array], dtype: np.dtype) -> Array:
    return _compared_integers(_INTEGER_PREDICATES[_predicate(op)], *x)


def _compared_integers(name: str, a: Array, b: Array) -> Array:
    if name[0] == "u":
        a, b = unsigned(a), unsigned(b)
    return _COMPARE[name[-2:]](a, b)


def _compare_floats(op: Operation, x: list[Array], dtype: np.dtype) -> Array:
    return _compared_floats(_FLOAT_PREDICATES[_predicate(op)], *x)


def _compared_floats(name: str, *x: Array) -> Array:
    a, b = widened(x)
    nan = np.isnan(a) | np.isnan(b)
    if name in ("false", "true", "ord", "uno"):
        return {"false": np.zeros_like(nan), "true": np.ones_like(nan), "ord": ~nan, "uno": nan}[name]
    found = _COMPARE[name[1:]](a, b)
    return found & ~nan if name[0] == "o" else found | nan


def _compare_vectors(op: Operation, x: list[Array], dtype: np.dtype) -> Array:
    """kernel.compare: the predicate is a name, and the operands tell which table it is from."""
    name = _text(op, "predicate")
    return _compared_integers(name, *x) if x[0].dtype.kind in "ib" else _compared_floats(name, *x)


def _convert(op: Operation, x: list[Array], dtype: np.dtype) -> Array:
    """kernel.convert: arith's cast of that name."""
    return SCALARS[f"arith.{_text(op, 'kind')}"](op, x, dtype)


def _to_integer(is_unsigned: bool) -> Rule:
    def rule(op: Operation, x: list[Array], dtype: np.dtype) -> Array:
        target = np.dtype(f"u{dtype.itemsize}") if is_unsigned else dtype
        return signless(float_to_integer(widened(x)[0], target))

    return rule


def _to_float(is_unsigned: bool) -> Rule:
    def rule(op: Operation, x: list[Array], dtype: np.dtype) -> Array:
        source = unsigned(x[0]) if is_unsigned else x[0]
        return source.astype(np.float32) if dtype in SMALL_FLOATS else source.astype(dtype)

    return rule


def _extend_unsigned(op: Operation, x: list[Array], dtype: np.dtype) -> Array:
    return signless(unsigned(x[0]).astype(f"u{dtype.itemsize}")) if dtype.kind == "i" else x[0]


def _extend_signed(op: Operation, x: list[Array], dtype: np.dtype) -> Array:
    return -x[0].astype(dtype) if x[0].dtype == np.bool_ else x[0].astype(dtype)


def _truncate(op: Operation, x: list[Array], dtype: np.dtype) -> Array:
    return (x[0] & 1).astype(np.bool_) if dtype == np.bool_ else x[0].astype(dtype)


def _float_to_integer(op: Operation, x: list[Array], dtype: np.dtype) -> Array:
    return _to_integer(_kind(op) == "unsigned")(op, x, dtype)


def _integer(op: Operation, x: list[Array], dtype: np.dtype) -> Array:
    kind = _kind(op)
    if kind in _SHIFTS:
        return _SHIFTS[kind](op, x, dtype)
    function = divide if kind.endswith("div") else modulo if kind.endswith("mod") else power
    return _as_unsigned(function)(op, x, dtype) if kind[0] == "u" else function(*x)


def _random(op: Operation, x: list[Array], dtype: np.dtype) -> Array:
    """Random numbers; all of them have the key of the first."""
    key0, key1, counter = (unsigned(a) for a in np.broadcast_arrays(*x))
    if not counter.size:
        return np.zeros(counter.shape, dtype)
    key = np.array([key0.flat[0], key1.flat[0]], np.uint32)
    return signless(
        random_numbers(_text(op, "dist"), key, counter.astype(np.uint64).reshape(-1)).reshape(counter.shape)
    )


def _kind(op: Operation) -> str:
    return _text(op, "kind")


def _text(op: Operation, key: str) -> str:
    attr: Attribute = op.properties[key]
    assert isinstance(attr, StringAttr)
    return attr.data


SCALARS: dict[str, Rule] = {
    "arith.constant": _constant,
    "arith.addf": _plain(np.add),
    "arith.subf": _plain(np.subtract),
    "arith.mulf": _plain(np.multiply),
    "arith.divf": _plain(np.divide),
    "kernel.remf": _plain(np.fmod),
    "arith.negf": _plain(np.negative),
    "arith.maximumf": _plain(np.maximum),
    "arith.minimumf": _plain(np.minimum),
    "arith.maxnumf": _plain(np.fmax),
    "arith.minnumf": _plain(np.fmin),
    "arith.addi": _plain(np.add),
    "arith.subi": _plain(np.subtract),
    "arith.muli": _plain(np.multiply),
    "arith.divsi": _truncated(0),
    "arith.remsi": _truncated(1),
    "arith.floordivsi": _plain(divide),
    "arith.divui": _as_unsigned(divide),
    "arith.remui": _as_unsigned(modulo),
    "arith.maxsi": _plain(np.maximum),
    "arith.minsi": _plain(np.minimum),
    "arith.maxui": _as_unsigned(np.maximum),
    "arith.minui": _as_unsigned(np.minimum),
    "arith.andi": _plain(np.bitwise_and),
    "arith.ori": _plain(np.bitwise_or),
    "arith.xori": _plain(np.bitwise_xor),
    "arith.shli": _shift(np.left_shift, True),
    "arith.shrsi": _shift(np.right_shift, False),
    "arith.shrui": _shift(np.right_shift, True),
    "arith.cmpi": _compare_integers,
    "arith.cmpf": _compare_floats,
    "arith.select": lambda op, x, dtype: np.where(x[0], x[1], x[2]),
    "arith.extf": _plain(lambda x: x),
    "arith.truncf": _plain(lambda x: x),
    "arith.sitofp": _to_float(False),
    "arith.uitofp": _to_float(True),
    "arith.fptosi": _to_integer(False),
    "arith.fptoui": _to_integer(True),
    "arith.extsi": _extend_signed,
    "arith.extui": _extend_unsigned,
    "arith.trunci": _truncate,
    "math.exp": _plain(np.exp),
    "math.exp2": _plain(np.exp2),
    "math.expm1": _plain(np.expm1),
    "math.log": _plain(np.log),
    "math.log2": _plain(np.log2),
    "math.log1p": _plain(np.log1p),
    "math.sqrt": _plain(np.sqrt),
    "math.rsqrt": _plain(lambda x: 1 / np.sqrt(x)),
    "math.tanh": _plain(np.tanh),
    "math.erf": _plain(erf),
    "math.sin": _plain(np.sin),
    "math.cos": _plain(np.cos),
    "math.floor": _plain(np.floor),
    "math.ceil": _plain(np.ceil),
    "math.absf": _plain(np.abs),
    "math.absi": _plain(np.abs),
    "math.powf": _plain(np.power),
    "math.ipowi": _plain(power),
    "math.fma": _plain(lambda a, b, c: a * b + c),
    "arith.index_cast": _plain(lambda x: x),
    "arith.bitcast": lambda op, x, dtype: np.ascontiguousarray(x[0]).view(dtype).reshape(x[0].shape),
    "kernel.fptoint": _float_to_integer,
    "kernel.compare": _compare_vectors,
    "kernel.select": lambda op, x, dtype: np.where(x[0], x[1], x[2]),
    "kernel.convert": _convert,
    "kernel.integer": _integer,
    "kernel.random": _random,
}
"""Every scalar op that runs in NumPy, by name."""
