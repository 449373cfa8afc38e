"""Means, softmax and its logarithm."""

from __future__ import annotations

from dialects.dims import product
from dialects.graph import OPS, GraphOp
from dialects.graph.derived.base import SMALL
from dialects.graph.reduction import Reduce
from dialects.graph.sketch import Term
from lowering.graph.recognise.forms import NUMBER, Form, either
from lowering.graph.recognise.match import is_close
from lowering.graph.recognise.rules import recognised
from lowering.graph.simplify.values import reduce_to_shape
from lowering.rewriting import Pattern, Rewriter, pattern, unless_scheduled


@pattern(OPS["reshape"])
def kept_dims(op: GraphOp, rewriter: Rewriter) -> None:
    """reshape(reduce(x, keepdims=false)) = reduce(x, keepdims=true) where it puts the dims back"""
    inner = op.operands[0].owner
    if isinstance(inner, Reduce) and not inner.values()["keepdims"]:
        reduce_to_shape(op, inner, rewriter)


def _mean(x: Term, axes: tuple[int, ...], keepdims: bool, factor: float) -> Term | None:
    """sum(x) / n"""
    count = product(x.dims[a] for a in axes).value
    if not count or not is_close(factor, 1 / count, x.value):
        return None
    return x.of("reduce_mean", axes=axes, keepdims=keepdims)


def _exp(x: Form, axes: Form) -> Form:
    """exp(x - max(x))"""
    return (x - x.of("reduce_max", axes=axes, keepdims=True)).of("exp")


def _log_softmax(x: Form, axes: Form) -> Form:
    top = x.of("reduce_max", axes=axes, keepdims=True)
    log = (x - top).of("exp").of("reduce_sum", axes=axes, keepdims=True).of("log")
    return either(x - top - log, x - (top + log), x - x.of("reduce_logsumexp", axes=axes, keepdims=True))


def _along_one(name: str, x: Term, axes: tuple[int, ...]) -> Term | None:
    return x.of(name, axis=axes[0]) if len(axes) == 1 else None


def _narrow_softmax(x: Term, axis: int, dtype: str) -> Term | None:
    """Small floats are computed with in f32 anyhow, and rounded once."""
    return x.of("softmax", axis=axis) if x.dtype == dtype and dtype in SMALL else None


RULES: tuple[Pattern, ...] = (
    *unless_scheduled((kept_dims,)),
    recognised(
        "mean",
        lambda x, factor=NUMBER, axes=NUMBER, keepdims=NUMBER: (
            x.of("reduce_sum", axes=axes, keepdims=keepdims) * factor
        ),
        _mean,
    ),
    recognised(
        "softmax",
        lambda x, axes=NUMBER: _exp(x, axes) / _exp(x, axes).of("reduce_sum", axes=axes, keepdims=True),
        lambda x, axes: _along_one("softmax", x, axes),
    ),
    recognised(
        "log_softmax",
        lambda x, axes=NUMBER: _log_softmax(x, axes),
        lambda x, axes: _along_one("log_softmax", x, axes),
    ),
    recognised(
        "narrow_softmax",
        lambda x, axis=NUMBER, dtype=NUMBER: (
            x.of("cast", dtype="f32").of("softmax", axis=axis).of("cast", dtype=dtype)
        ),
        _narrow_softmax,
    ),
)
