"""Both modes of the normalisations that stay whole, and of the loss over classes."""

from __future__ import annotations

from collections.abc import Sequence

from dialects.dims import ONE
from dialects.graph.derived.base import SMALL
from dialects.graph.shapes import integer, number
from dialects.graph.sketch import Term
from lowering.graph.derivatives.access import integer_of
from lowering.graph.derivatives.rules import FORWARD, REVERSE, Step, added, forward, reverse, spread_to


@reverse("softmax")
def _softmax(step: Step) -> Sequence[Term | None]:
    y, g = step.y[0], step.cotangent
    scaled = g * y
    return [scaled - y * scaled.of("reduce_sum", axes=(integer(step.values, "axis"),), keepdims=True)]


FORWARD["softmax"] = REVERSE["softmax"]  # the matrix of its slopes is symmetric


@reverse("log_softmax")
def _log_softmax(step: Step) -> Sequence[Term | None]:
    y, g = step.y[0], step.cotangent
    total = g.of("reduce_sum", axes=(integer(step.values, "axis"),), keepdims=True)
    return [g - y.of("exp") * total]


@forward("log_softmax")
def _log_softmax_along(step: Step) -> Sequence[Term | None]:
    y, t = step.y[0], step.tangent(0)
    return [t - (y.of("exp") * t).of("reduce_sum", axes=(integer(step.values, "axis"),), keepdims=True)]


def _normed(step: Step) -> tuple[Term, Term]:
    """What layer_norm scales, and one over the deviation; small floats in f32."""
    x, where = step.x[0], _last(step)
    wide = x.cast("f32") if x.dtype in SMALL else x
    centred = wide - wide.of("reduce_mean", **where)
    inverse = ((centred * centred).of("reduce_mean", **where) + number(step.values, "eps")).of("rsqrt")
    return centred * inverse, inverse


def _last(step: Step) -> dict[str, object]:
    return {"axes": (len(step.x[0].dims) - 1,), "keepdims": True}


def _sloped(step: Step, normed: Term, inverse: Term, t: Term) -> Term:
    """The slopes of what is normed times a term, a symmetric matrix along the last dim."""
    mean, along = (v.of("reduce_mean", **_last(step)) for v in (t, t * normed))
    return (t - mean - normed * along) * inverse


@reverse("layer_norm")
def _layer_norm(step: Step) -> Sequence[Term | None]:
    x, scale, _ = step.x
    lead = tuple(range(len(x.dims) - 1))
    normed, inverse = _normed(step)
    seed = step.cotangent.cast(normed.dtype)
    out: list[Term | None] = [None, None, None]
    if step.wanted[0]:
        out[0] = _sloped(step, normed, inverse, seed * scale.cast(normed.dtype)).cast(x.dtype)
    if step.wanted[1]:
        out[1] = (seed * normed).of("reduce_sum", axes=lead).cast(x.dtype)
    if step.wanted[2]:
        out[2] = seed.of("reduce_sum", axes=lead).cast(x.dtype)
    return out


@forward("layer_norm")
def _layer_norm_along(step: Step) -> Sequence[Term | None]:
    normed, inverse = _normed(step)
    dx, dscale, dbias = (None if t is None else t.cast(normed.dtype) for t in step.g)
    parts: list[Term | None] = [
        None if dx is None else _sloped(step, normed, inverse, dx) * step.x[1].cast(normed.dtype),
        None if dscale is None else normed * dscale,
        dbias,
    ]
    total = added(parts)
    return [None if total is None else spread_to(total.cast(step.x[0].dtype), step.y[0].dims)]


def _class_slopes(step: Step) -> Term:
    """The slopes of the loss of each example: softmax less one at the label."""
    logits, labels = step.x
    classes = logits.dims[-1]
    most = integer_of(step.sketch, classes) - 1
    label = labels.cast("i64").of("max", 0).of("min", most)
    hot = label.of("one_hot", classes=classes, dtype=logits.dtype)
    return logits.of("softmax", axis=-1) - hot


@reverse("cross_entropy")
def _cross_entropy(step: Step) -> Sequence[Term | None]:
    return [_class_slopes(step) * step.cotangent.reshape([*step.x[1].dims, ONE]), None]


@forward("cross_entropy")
def _cross_entropy_along(step: Step) -> Sequence[Term | None]:
    last = len(step.x[0].dims) - 1
    return [(_class_slopes(step) * step.tangent(0)).of("reduce_sum", axes=(last,))]
