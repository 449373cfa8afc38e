"""Both modes of reductions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dialects.dims import product
from dialects.graph.base import short_name
from dialects.graph.shapes import ints
from dialects.graph.sketch import Term
from lowering.graph.derivatives.access import integer_of
from lowering.graph.derivatives.movement import kept_dims
from lowering.graph.derivatives.rules import Step, forward, reverse, spread_to


def _kept(step: Step, t: Term) -> Term:
    """A result with the reduced dims kept."""
    return t.reshape(kept_dims(step.x[0], ints(step.values, "axes")))


def count_of(x: Term, axes: Sequence[int]) -> Term | float:
    """How many elements a reduction takes together: a number, or a term where a dim is a symbol."""
    size = product([x.dims[a] for a in axes])
    if size.value is not None:
        return float(size.value)
    return integer_of(x.sketch, size).cast(x.dtype)


@reverse("reduce_sum")
def _sum(step: Step) -> Sequence[Term | None]:
    return [spread_to(_kept(step, step.cotangent), step.x[0].dims)]


@reverse("reduce_mean")
def _mean(step: Step) -> Sequence[Term | None]:
    x = step.x[0]
    return [spread_to(_kept(step, step.cotangent) / count_of(x, ints(step.values, "axes")), x.dims)]


@dataclass(frozen=True)
class Factors:
    """What tells a product without one of its factors: a quotient, but where there are zeros.

    What is zero there is written as products and sums of the zeros themselves, so that second derivatives are right too.
    """

    zeros: Term
    rest: Term
    """The product of the factors that are not zero."""
    gone: Term
    """The product of the others, one where there are none."""
    total: Term
    """Their sum: of two, it tells one by the other."""

    def others(self, x: Term, is_zero: Term) -> Term:
        """For each factor the product of all others."""
        pair = (self.zeros < 2.5).where((self.total - x) * self.rest, 0.0)
        alone = (self.zeros < 1.5).where(self.rest, pair)
        return is_zero.where(alone, self.gone * (self.rest / is_zero.where(1.0, x)))


# -- products with a slope: of what comes back in reverse mode, or of a tangent that is then summed ---------------


def _extreme(step: Step, t: Term) -> Term:
    """Elements that are equal to the result share its cotangent; NaN is equal to NaN here."""
    x, axes = step.x[0], ints(step.values, "axes")
    y = _kept(step, step.y[0])
    hit = x.equals(y).of("logical_or", x.differs(x).both(y.differs(y)))
    count = hit.cast(x.dtype).of("reduce_sum", axes=axes, keepdims=True)
    return hit.where(t / count, 0.0)


def _prod(step: Step, t: Term) -> Term:
    x, axes = step.x[0], ints(step.values, "axes")
    where = {"axes": axes, "keepdims": True}
    is_zero = x.equals(0.0)
    factors = Factors(
        is_zero.cast(x.dtype).of("reduce_sum", **where),
        is_zero.where(1.0, x).of("reduce_prod", **where),
        is_zero.where(x, 1.0).of("reduce_prod", **where),
        is_zero.where(x, 0.0).of("reduce_sum", **where),
    )
    return t * factors.others(x, is_zero)


def _logsumexp(step: Step, t: Term) -> Term:
    x, y = step.x[0], _kept(step, step.y[0])
    shift = abs(y).equals(float("inf")).where(0.0, y)
    return t * (x - shift).of("exp")


def _l2(step: Step, t: Term) -> Term:
    """x / |x|; nothing at zero."""
    x, y = step.x[0], _kept(step, step.y[0])
    flat = y.equals(0.0)
    return t * flat.where(0.0, x / flat.where(1.0, y))


def _std(step: Step, t: Term) -> Term:
    """(x - mean) / (n std); nothing where all are equal."""
    x, axes = step.x[0], ints(step.values, "axes")
    y = _kept(step, step.y[0])
    centred = x - x.of("reduce_mean", axes=axes, keepdims=True)
    flat = y.equals(0.0)
    return t * flat.where(0.0, centred / (flat.where(1.0, y) * count_of(x, axes)))


SLOPES: dict[str, Callable[[Step, Term], Term]] = {
    "reduce_max": _extreme,
    "reduce_min": _extreme,
    "reduce_prod": _prod,
    "reduce_logsumexp": _logsumexp,
    "reduce_l2": _l2,
    "reduce_std": _std,
}
"""Reductions: the product of a term with the slope of the result along each element."""


@reverse(*SLOPES)
def _sloped(step: Step) -> Sequence[Term | None]:
    return [SLOPES[short_name(step.op)](step, _kept(step, step.cotangent))]


@forward(*SLOPES)
def _along_slopes(step: Step) -> Sequence[Term | None]:
    return [SLOPES[short_name(step.op)](step, step.tangent(0)).of("reduce_sum", **step.values)]
