"""Activation functions of neural networks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dialects.graph.base import Mismatch, Param, Value
from dialects.graph.derived.base import DerivedElementwise, elementwise, in_f64
from dialects.graph.elementwise import kind_of
from dialects.graph.shapes import number
from dialects.graph.sketch import Term
from dialects.types import AnyTensor, dtype_name, np_dtype


def _zero(x: np.ndarray) -> np.ndarray:
    return x.dtype.type(0)


class Bounded(DerivedElementwise):
    """Base of clamp: the bounds are numbers of the dtype."""

    @classmethod
    def complete(cls, types: Sequence[AnyTensor], values: dict[str, Value]) -> None:
        element = types[0].element_type
        for key in ("low", "high") if kind_of(element) == "i" else ():
            bound, range_ = number(values, key), np.iinfo(np_dtype(element))
            if not range_.min <= bound <= range_.max or bound != int(bound):
                raise Mismatch(
                    f"'{key}' of clamp is no {dtype_name(element)}",
                    found=f"{bound:g}",
                    expected=f"an integer from {range_.min} to {range_.max}",
                )


def _clamped(x: Term, low: float, high: float) -> Term:
    return x.of("max", low).of("min", high)


elementwise(
    "softplus",
    in_f64(lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))),
    lambda x: x.of("relu") + (-abs(x)).of("exp").of("log1p"),
    "log(1 + exp(x)), without overflow.",
)
elementwise(
    "leaky_relu",
    lambda x, alpha: np.where(x < 0, x * x.dtype.type(alpha), x),
    lambda x, alpha: (x < 0.0).where(x * alpha, x),
    "x where it is positive, alpha * x elsewhere.",
    params={"alpha": Param("float", 0.01)},
)
elementwise(
    "elu",
    in_f64(lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(x))),
    lambda x, alpha: (x > 0.0).where(x, x.of("expm1") * alpha),
    "x where it is positive, alpha * (exp(x) - 1) elsewhere.",
    params={"alpha": Param("float", 1.0)},
)
elementwise(
    "relu6",
    lambda x: np.clip(x, _zero(x), x.dtype.type(6)),
    lambda x: _clamped(x, 0.0, 6.0),
    "min(max(x, 0), 6).",
)
elementwise(
    "hardsigmoid",
    in_f64(lambda x: np.clip(x + 3, 0, 6) / 6),
    lambda x: _clamped(x + 3.0, 0.0, 6.0) * (1 / 6),
    "min(max(x + 3, 0), 6) / 6.",
)
elementwise(
    "hardswish",
    in_f64(lambda x: x * np.clip(x + 3, 0, 6) / 6),
    lambda x: x * (_clamped(x + 3.0, 0.0, 6.0) * (1 / 6)),
    "x * min(max(x + 3, 0), 6) / 6.",
)
elementwise(
    "log_sigmoid",
    in_f64(lambda x: np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x)))),
    lambda x: -(-x).of("softplus"),
    "log(sigmoid(x)), without overflow.",
)
elementwise(
    "mish",
    in_f64(lambda x: x * np.tanh(np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))))),
    lambda x: x * x.of("softplus").of("tanh"),
    "x * tanh(softplus(x)).",
)
elementwise(
    "clamp",
    lambda x, low, high: np.minimum(np.maximum(x, x.dtype.type(low)), x.dtype.type(high)),
    lambda x, low, high: x.of("max", _number(x, low)).of("min", _number(x, high)),
    "min(max(x, low), high); NaN stays NaN.",
    takes="fi",
    params={"low": Param("float"), "high": Param("float")},
    base=Bounded,
)


def _number(x: Term, value: float) -> float | int:
    """A bound in the kind of number that x holds."""
    return value if x.dtype[0] in "fb" else int(value)
