"""NumPy's elementwise functions on tensors: `np.exp(x)`, `np.maximum(a, b)`, `array + x`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from irkit.diagnostics import nearest
from irkit.tracing.errors import TraceError, place
from irkit.tracing.operators import binary, one

NAMED = {
    **{
        n: n for n in ("exp", "exp2", "expm1", "log", "log2", "log1p", "sqrt", "square", "reciprocal", "sign")
    },
    **{
        n: n
        for n in ("sin", "cos", "tan", "tanh", "floor", "ceil", "logical_and", "logical_or", "logical_xor")
    },
    **{n: n for n in ("logical_not", "bitwise_and", "bitwise_or", "bitwise_xor", "matmul")},
    "negative": "neg",
    "fabs": "abs",
    "arctan": "atan",
    "arctan2": "atan2",
    "rint": "round",
    "isnan": "is_nan",
    "isinf": "is_inf",
    "isfinite": "is_finite",
    "maximum": "max",
    "minimum": "min",
    "left_shift": "shift_left",
    "right_shift": "shift_right",
}
"""NumPy's functions by the op that they are."""

SIGNS = {
    "add": "+",
    "subtract": "-",
    "multiply": "*",
    "divide": "/",
    "floor_divide": "//",
    "remainder": "%",
    "power": "**",
    "float_power": "**",
}
PREDICATES = {
    "equal": "eq",
    "not_equal": "ne",
    "less": "lt",
    "less_equal": "le",
    "greater": "gt",
    "greater_equal": "ge",
}

OTHERS: dict[str, Callable[..., object]] = {
    "absolute": abs,
    "invert": lambda x: ~x,
    "positive": lambda x: x,
    "conjugate": lambda x: x.conj(),
    "log10": lambda x: one("log", x) * (1 / math.log(10)),
    "sinh": lambda x: (one("exp", x) - one("exp", -x)) * 0.5,
    "cosh": lambda x: (one("exp", x) + one("exp", -x)) * 0.5,
    "deg2rad": lambda x: x * (math.pi / 180),
    "rad2deg": lambda x: x * (180 / math.pi),
}
"""Functions that are more than one op."""

REDUCTIONS = {
    "add": "reduce_sum",
    "multiply": "reduce_prod",
    "maximum": "reduce_max",
    "minimum": "reduce_min",
    "logical_and": "reduce_all",
    "logical_or": "reduce_any",
}


def call_ufunc(ufunc: np.ufunc, method: str, inputs: Sequence[Any], given: Mapping[str, object]) -> object:
    """The result of an elementwise function. Raises TraceError for one that has no op."""
    name = ufunc.__name__
    if method == "reduce" and name in REDUCTIONS:
        axis = given.get("axis", 0)
        return one(REDUCTIONS[name], inputs[0], axes=axis, keepdims=given.get("keepdims", False))
    if method != "__call__":
        raise TraceError(f"np.{name}.{method} has no op", place(), hint="write it with np.sum and the like")
    if given.get("out") is not None:
        raise TraceError("a tensor cannot be changed in place", place(), found="out=...", hint="x = x + y")
    if extra := [key for key, value in given.items() if value is not None and key != "out"]:
        raise TraceError(f"np.{name} of tensors takes no '{extra[0]}'", place())
    if name in SIGNS:
        return binary(SIGNS[name], *inputs)
    if name in PREDICATES:
        return one("compare", *inputs, pred=PREDICATES[name])
    if name in OTHERS:
        return OTHERS[name](*inputs)
    if name in NAMED:
        return one(NAMED[name], *inputs)
    raise unsupported(name)


def unsupported(name: str) -> TraceError:
    """The error for a function of NumPy that has no op."""
    from irkit.tracing.apply import public_names

    hint = nearest(name, public_names())
    return TraceError(
        f"np.{name} has no op",
        place(),
        expected="a function of NumPy that has one, or of irkit.ops and irkit.nn",
        hint=hint and hint.replace("did you mean '", "did you mean 'irkit.ops."),
    )
