"""Losses for each example; `mean` or `sum` brings them together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from dialects.dims import ONE, Dim
from dialects.graph.base import Array, Mismatch, Param, Value, Values, register_op
from dialects.graph.derived.arrangement import picked
from dialects.graph.derived.base import SMALL, Derived, computed, elementwise, in_f64
from dialects.graph.elementwise import check_kind
from dialects.graph.sketch import Term
from dialects.types import AnyTensor, dims_of, type_text


def _huber(a: Term, b: Term, delta: float) -> Term:
    gap = abs(a - b)
    return (gap < delta).where(gap * gap * 0.5, (gap - delta / 2) * delta)


def _np_huber(a: Array, b: Array, delta: float) -> Array:
    gap = np.abs(a - b)
    return np.where(gap < delta, gap * gap / 2, (gap - delta / 2) * delta)


PAIR = ("prediction", "target")

elementwise(
    "squared_error",
    lambda a, b: (a - b) ** 2,
    lambda a, b: (a - b).of("square"),
    "(a - b) squared.",
    operands=PAIR,
)
elementwise("absolute_error", lambda a, b: np.abs(a - b), lambda a, b: abs(a - b), "|a - b|.", operands=PAIR)
elementwise(
    "huber",
    in_f64(_np_huber),
    _huber,
    "Half the squared error below delta, growing linearly above.",
    operands=PAIR,
    params={"delta": Param("float", 1.0)},
)
elementwise(
    "binary_cross_entropy",
    in_f64(lambda x, y: np.where(x > 0, (1 - y) * x, -y * x) + np.log1p(np.exp(-np.abs(x)))),
    lambda x, y: (x > 0.0).where((1.0 - y) * x, -y * x) + (-abs(x)).of("exp").of("log1p"),
    """-(y log p + (1 - y) log(1 - p)) with p = sigmoid(x), from the logits x, without overflow.

An infinite logit gives inf, or NaN where the target is what it says; torch's loss is NaN at -inf whatever the target.""",
    operands=("logits", "target"),
)
elementwise(
    "kl_divergence",
    in_f64(lambda q, p: np.where(p == 0, 0, p * (np.log(np.where(p == 0, 1, p)) - q))),
    lambda q, p: p.equals(0.0).where(0.0, p * (p.equals(0.0).where(1.0, p).of("log") - q)),
    """p (log p - q), with q the logarithm of the predicted probability; zero where p is.

Where p is zero torch's kl_div is NaN for an infinite q or a NaN, and for an infinite p it is NaN.""",
    operands=("log_prediction", "target"),
)


@register_op
class CrossEntropyOp(Derived):
    """-log softmax(logits) at the label, for each example: `graph.cross_entropy %logits, %labels`.

    logits have the classes as their last dim; labels are integers of the other dims, from 0 (outside, the nearest class).
    """

    name = "graph.cross_entropy"
    PARAMS: ClassVar = {}
    ARITY: ClassVar = (2, 2)
    OPERANDS: ClassVar = ("logits", "labels")

    @classmethod
    def complete(cls, types: Sequence[AnyTensor], values: dict[str, Value]) -> None:
        check_kind("cross_entropy", "f", types[:1], types[0].element_type)
        check_kind("the labels of cross_entropy", "i", types[1:], types[1].element_type)
        sizes = dims_of(types[0])
        if not sizes or dims_of(types[1]) != sizes[:-1]:
            raise Mismatch(
                "labels of cross_entropy do not fit the logits",
                found=f"{type_text(types[0])} and {type_text(types[1])}",
                expected="logits [..., classes] and labels [...]",
            )

    @classmethod
    def formula(cls, x: Sequence[Term], values: Values) -> Sequence[Term]:
        logits, labels = x
        wide = logits.cast("f32") if logits.dtype in SMALL else logits
        scores = wide.of("log_softmax", axis=-1)
        found = picked(scores, labels.reshape([*labels.dims, ONE]), len(labels.dims), Dim.of("_0"))
        return [-found.reshape(labels.dims).cast(logits.dtype)]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        labels = np.clip(arrays[1].astype(np.int64), 0, arrays[0].shape[-1] - 1)

        def loss(x: Array) -> Array:
            centred = x - x.max(axis=-1, keepdims=True, initial=-np.inf)
            scores = centred - np.log(np.exp(centred).sum(axis=-1, keepdims=True))
            return -np.take_along_axis(scores, labels[..., None], -1)[..., 0]

        return computed(arrays[:1], results[0], loss)
