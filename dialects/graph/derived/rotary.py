"""Rotary position embedding (J. Su et al., "RoFormer: Enhanced Transformer with Rotary Position Embedding", 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from dialects.dims import ZERO, Dim, dims_text
from dialects.graph.base import Array, Mismatch, Param, Value, Values, register_op, same_dtype
from dialects.graph.derived.base import SMALL, Derived, computed
from dialects.graph.elementwise import check_kind
from dialects.graph.shapes import broadcast
from dialects.graph.sketch import Term
from dialects.types import AnyTensor, dims_of, type_text


@register_op
class RotaryEmbeddingOp(Derived):
    """Pairs of features (a, b) turned by angles: (a cos - b sin, b cos + a sin), given the cosines and sines.

    Feature i of the last dim, of d, makes a pair with feature i + d / 2, or with `interleaved` each even one with the next.
    cos and sin broadcast to x, but that their last dim is d / 2, or d where the two of a pair have their own.
    """

    name = "graph.rotary_embedding"
    PARAMS: ClassVar = {"interleaved": Param("bool", False)}
    ARITY: ClassVar = (3, 3)
    OPERANDS: ClassVar = ("x", "cos", "sin")

    @classmethod
    def complete(cls, types: Sequence[AnyTensor], values: dict[str, Value]) -> None:
        check_kind("rotary_embedding", "f", types, same_dtype(types, "rotary_embedding"))
        sizes = dims_of(types[0])
        features = sizes[-1].value if sizes else None
        if not features or features % 2:
            raise Mismatch(
                "rotary_embedding turns pairs of features",
                found=type_text(types[0]),
                expected="an even last dim",
            )
        for name, type_ in zip(cls.OPERANDS[1:], types[1:], strict=True):
            own = dims_of(type_)
            is_half = own[-1:] == (Dim.of(features // 2),)
            if not (is_half or own[-1:] == sizes[-1:]) or not _widens(own[:-1], sizes[:-1]):
                raise Mismatch(
                    f"{name} of rotary_embedding does not fit x",
                    found=f"{dims_text(own)} for {dims_text(sizes)}",
                    expected=f"a last dim of {features // 2}, or of {features}, and what broadcasts to x before it",
                )

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        return [types[0]]

    @classmethod
    def formula(cls, x: Sequence[Term], values: Values) -> Sequence[Term]:
        wide = [t.cast("f32") if t.dtype in SMALL else t for t in x]
        features, is_inner = x[0].dims[-1].value or 0, bool(values["interleaved"])

        def part(t: Term, second: int) -> Term:
            """The first features of pairs, or the second; of a tensor with half the features they are one."""
            if t.dims[-1].value != features:
                return t
            start, stop = (
                (second, features) if is_inner else (second * features // 2, (1 + second) * features // 2)
            )
            stride = 2 if is_inner else 1
            front = t.dims[:-1]
            return t.of(
                "slice",
                starts=(*[ZERO] * len(front), start),
                stops=(*front, stop),
                strides=(*[1] * len(front), stride),
            )

        (a, b), (cos_a, cos_b), (sin_a, sin_b) = ((part(t, 0), part(t, 1)) for t in wide)
        turned = [a * cos_a - b * sin_a, b * cos_b + a * sin_b]
        if is_inner:
            turned = [t.reshape([*t.dims, 1]) for t in turned]
        joined = turned[0].of("concat", turned[1], axis=-1)
        return [joined.reshape(x[0].dims).cast(x[0].dtype) if is_inner else joined.cast(x[0].dtype)]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        is_inner = bool(values["interleaved"])

        def turned(x: Array, cos: Array, sin: Array) -> Array:
            a, b = _pairs(x, x.shape[-1], is_inner)
            (c, d), (s, t) = (_pairs(v, x.shape[-1], is_inner) for v in (cos, sin))
            both = a * c - b * s, b * d + a * t
            return np.stack(both, -1).reshape(x.shape) if is_inner else np.concatenate(both, -1)

        return computed(arrays, results[0], turned)


def _pairs(x: Array, features: int, is_inner: bool) -> tuple[Array, Array]:
    """The first and the second of each pair; one array for both where it has half the features."""
    if x.shape[-1] != features:
        return x, x
    return (x[..., ::2], x[..., 1::2]) if is_inner else (x[..., : features // 2], x[..., features // 2 :])


def _widens(own: tuple[Dim, ...], sizes: tuple[Dim, ...]) -> bool:
    """Whether dims broadcast to others."""
    try:
        return broadcast([own, sizes]) == sizes
    except Mismatch:
        return False
