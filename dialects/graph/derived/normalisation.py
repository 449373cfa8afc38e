"""Normalisations by moments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from dialects.dims import ONE, product
from dialects.graph.base import Array, Mismatch, Param, Value, Values, register_op, same_dtype, short_name
from dialects.graph.derived.base import SMALL, Derived, computed
from dialects.graph.elementwise import check_kind
from dialects.graph.shapes import axis_of, integer, number
from dialects.graph.sketch import Term
from dialects.types import AnyTensor, dims_of, type_text


def _wide(x: Sequence[Term]) -> list[Term]:
    return [t.cast("f32") if t.dtype in SMALL else t for t in x]


def _check_vectors(cls: type[Derived], types: Sequence[AnyTensor], dim: int, rank: int) -> None:
    """The operands after the first have one dim of x."""
    check_kind(short_name(cls), "f", types, same_dtype(types, short_name(cls)))
    sizes = dims_of(types[0])
    if len(sizes) < rank:
        message = f"{short_name(cls)} needs a tensor of rank {rank} or more"
        raise Mismatch(message, found=type_text(types[0]))
    for name, type_ in zip(cls.OPERANDS[1:], types[1:], strict=False):
        if dims_of(type_) != (sizes[dim],):
            message = f"{name} of {short_name(cls)} does not have dim {dim % len(sizes)} of x"
            raise Mismatch(message, found=type_text(type_), expected=f"[{sizes[dim]}]")


@register_op
class LogSoftmaxOp(Derived):
    """x - log(sum(exp(x))) along one dim, without overflow: `graph.log_softmax %x {axis = 1}`."""

    name = "graph.log_softmax"
    PARAMS: ClassVar = {"axis": Param("int", -1)}

    @classmethod
    def complete(cls, types: Sequence[AnyTensor], values: dict[str, Value]) -> None:
        check_kind("log_softmax", "f", types, types[0].element_type)
        values["axis"] = axis_of(values["axis"], len(dims_of(types[0])), "log_softmax")

    @classmethod
    def formula(cls, x: Sequence[Term], values: Values) -> Sequence[Term]:
        (a,) = _wide(x)
        where = {"axes": (integer(values, "axis"),), "keepdims": True}
        centred = a - a.of("reduce_max", **where)
        return [(centred - centred.of("exp").of("reduce_sum", **where).of("log")).cast(x[0].dtype)]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        along = integer(values, "axis")

        def log_softmax(x: Array) -> Array:
            centred = x - x.max(axis=along, keepdims=True, initial=-np.inf)
            return centred - np.log(np.exp(centred).sum(axis=along, keepdims=True))

        return computed(arrays, results[0], log_softmax)


@register_op
class RmsNormOp(Derived):
    """x / sqrt(mean(x * x) + eps) * scale over the last dim: `graph.rms_norm %x, %scale {eps = 1.0e-6}`."""

    name = "graph.rms_norm"
    PARAMS: ClassVar = {"eps": Param("float", 1e-6)}
    ARITY: ClassVar = (2, 2)
    OPERANDS: ClassVar = ("x", "scale")

    @classmethod
    def complete(cls, types: Sequence[AnyTensor], values: dict[str, Value]) -> None:
        _check_vectors(cls, types, -1, 1)

    @classmethod
    def formula(cls, x: Sequence[Term], values: Values) -> Sequence[Term]:
        a, scale = _wide(x)
        mean = (a * a).of("reduce_mean", axes=(len(a.dims) - 1,), keepdims=True)
        return [(a * (mean + number(values, "eps")).of("rsqrt") * scale).cast(x[0].dtype)]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        eps = number(values, "eps")
        return computed(
            arrays, results[0], lambda x, s: x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps) * s
        )


@register_op
class BatchNormOp(Derived):
    """(x - mean) / sqrt(var + eps) * scale + bias with given moments; all four are vectors along dim 1 of x.

    `graph.batch_norm %x, %scale, %bias, %mean, %var {eps = 1.0e-5}`
    """

    name = "graph.batch_norm"
    PARAMS: ClassVar = {"eps": Param("float", 1e-5)}
    ARITY: ClassVar = (5, 5)
    OPERANDS: ClassVar = ("x", "scale", "bias", "mean", "var")

    @classmethod
    def complete(cls, types: Sequence[AnyTensor], values: dict[str, Value]) -> None:
        _check_vectors(cls, types, 1 if len(dims_of(types[0])) > 1 else 0, 2)

    @classmethod
    def formula(cls, x: Sequence[Term], values: Values) -> Sequence[Term]:
        a, *vectors = _wide(x)
        shape = [a.dims[1], *[ONE] * (len(a.dims) - 2)]
        scale, bias, mean, var = (v.reshape(shape) for v in vectors)
        factor = (var + number(values, "eps")).of("rsqrt") * scale
        return [((a - mean) * factor + bias).cast(x[0].dtype)]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        def batch_norm(x: Array, *vectors: Array) -> Array:
            s, b, m, v = (a.reshape([-1] + [1] * (x.ndim - 2)) for a in vectors)
            return (x - m) / np.sqrt(v + number(values, "eps")) * s + b

        return computed(arrays, results[0], batch_norm)


@register_op
class GroupNormOp(Derived):
    """Each of `groups` groups of channels (dim 1) normalised by its own moments, then scaled: x, scale, bias.

    `graph.group_norm %x, %scale, %bias {groups = 4, eps = 1.0e-5}`; one group is layer norm over all but the batch, as
    many as channels instance norm.
    """

    name = "graph.group_norm"
    PARAMS: ClassVar = {"groups": Param("int"), "eps": Param("float", 1e-5)}
    ARITY: ClassVar = (3, 3)
    OPERANDS: ClassVar = ("x", "scale", "bias")

    @classmethod
    def complete(cls, types: Sequence[AnyTensor], values: dict[str, Value]) -> None:
        _check_vectors(cls, types, 1 if len(dims_of(types[0])) > 1 else 0, 2)
        channels, groups = dims_of(types[0])[1].value, integer(values, "groups")
        if groups < 1 or (channels is not None and channels % groups):
            message = f"{channels} channels do not make {groups} groups"
            raise Mismatch(message, found=type_text(types[0]), expected="a divisor of the channels")

    @classmethod
    def formula(cls, x: Sequence[Term], values: Values) -> Sequence[Term]:
        a, scale, bias = _wide(x)
        n, c, *rest = a.dims
        groups = integer(values, "groups")
        parts = a.reshape([n, groups, product([c // groups, *rest])])
        where = {"axes": (2,), "keepdims": True}
        centred = parts - parts.of("reduce_mean", **where)
        var = (centred * centred).of("reduce_mean", **where)
        shape = [c, *[ONE] * len(rest)]
        normed = (centred * (var + number(values, "eps")).of("rsqrt")).reshape(a.dims)
        return [(normed * scale.reshape(shape) + bias.reshape(shape)).cast(x[0].dtype)]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        def group_norm(x: Array, scale: Array, bias: Array) -> Array:
            parts = x.reshape(x.shape[0], integer(values, "groups"), -1)
            centred = parts - parts.mean(axis=2, keepdims=True)
            var = (centred**2).mean(axis=2, keepdims=True)
            shape = [-1] + [1] * (x.ndim - 2)
            normed = (centred / np.sqrt(var + number(values, "eps"))).reshape(x.shape)
            return normed * scale.reshape(shape) + bias.reshape(shape)

        return computed(arrays, results[0], group_norm)
