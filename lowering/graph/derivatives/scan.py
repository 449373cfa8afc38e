"""Both modes of scans: running sums, products and extremes."""

from __future__ import annotations

from collections.abc import Sequence

from dialects.dims import ONE, Dim
from dialects.graph.base import short_name
from dialects.graph.shapes import integer
from dialects.graph.sketch import Term
from lowering.graph.derivatives.access import integer_of
from lowering.graph.derivatives.rules import Step, filled, forward, reverse, spread_to


def _back(step: Step) -> dict[str, object]:
    values = step.values
    return {
        "axis": integer(values, "axis"),
        "reverse": not values["reverse"],
        "exclusive": bool(values["exclusive"]),
    }


@reverse("cumsum")
def _cumsum(step: Step) -> Sequence[Term | None]:
    return [step.cotangent.of("cumsum", **_back(step))]


def _sources(step: Step) -> tuple[Term, Term]:
    """Where each result of a running extreme came from, the last element so far that is equal to it; and whether from any."""
    x, along = step.x[0], integer(step.values, "axis")
    same = {"axis": along, "reverse": bool(step.values["reverse"])}
    place = step.sketch.make("iota", shape=x.dims, axis=along, dtype="i64")
    if same["reverse"]:
        place = integer_of(step.sketch, x.dims[along]) - 1 - place
    whole = x.of(short_name(step.op), **same)
    fresh = x.equals(whole).of("logical_or", x.differs(x).both(whole.differs(whole)))
    source = fresh.where(place, -1).of("cummax", **same)
    if step.values["exclusive"]:  # the element before; the first result is a constant
        source = _shifted(source, along, bool(same["reverse"]), -1)
    known = source >= 0
    if same["reverse"]:
        source = integer_of(step.sketch, x.dims[along]) - 1 - source
    return known.where(source, 0), known


@reverse("cummax", "cummin")
def _running_extreme(step: Step) -> Sequence[Term | None]:
    g, along = step.cotangent, integer(step.values, "axis")
    target, known = _sources(step)
    start = filled(step.sketch, g)
    return [start.of("scatter_along", target, known.where(g, 0.0), axis=along, mode="add")]


@forward("cummax", "cummin")
def _running_extreme_along(step: Step) -> Sequence[Term | None]:
    target, known = _sources(step)
    return [known.where(step.tangent(0).of("take_along", target, axis=integer(step.values, "axis")), 0.0)]


def _shifted(t: Term, along: int, backwards: bool, fill: int) -> Term:
    """Each element the one before it in the direction of a scan."""
    rank, size = len(t.dims), t.dims[along]
    low, high = (Dim.of(1), size) if backwards else (Dim.of(0), size - 1)
    starts = tuple(low if i == along else Dim.of(0) for i in range(rank))
    stops = tuple(high if i == along else d for i, d in enumerate(t.dims))
    before, after = (0, 1) if backwards else (1, 0)
    pads = [p for i in range(rank) for p in ((before, after) if i == along else (0, 0))]
    return t.of("slice", starts=starts, stops=stops).of("pad", pads=tuple(pads), value=float(fill))


def _others(step: Step) -> tuple[Term, tuple[int, ...]]:
    """For each result j of a running product and element i, the product of all elements of j but i, [..., j, i]; and the
    order of dims that brings the one of the scan to the end.

    Exact with zeros too, as products up to i and from i to j are taken apart. It takes n times the memory of x.
    """
    x, along = step.x[0], integer(step.values, "axis")
    n, rank = x.dims[along], len(x.dims)
    perm = (*(i for i in range(rank) if i != along), along)
    rows = x.of("transpose", perm=perm)
    lead = rows.dims[:-1]
    turned, shut = bool(step.values["reverse"]), bool(step.values["exclusive"])
    # matrix[j, k] is x_k where result j takes element k, and one elsewhere; leaving i out is one more dim.
    j = step.sketch.make("iota", shape=(n, ONE, ONE), axis=0, dtype="i64")
    k = step.sketch.make("iota", shape=(ONE, n, ONE), axis=1, dtype="i64")
    i = step.sketch.make("iota", shape=(ONE, ONE, n), axis=2, dtype="i64")
    taken = (k > j if shut else k >= j) if turned else (k < j if shut else k <= j)
    has_i = (i > j if shut else i >= j) if turned else (i < j if shut else i <= j)
    wide = rows.reshape([*lead, ONE, n, ONE])
    factors = spread_to(taken.both(k.differs(i)), [*lead, n, n, n]).where(wide, 1.0)
    others = factors.of("reduce_prod", axes=(len(lead) + 1,))
    return spread_to(has_i.reshape([n, n]), others.dims).where(others, 0.0), perm


@reverse("cumprod")
def _cumprod(step: Step) -> Sequence[Term | None]:
    """dx_i sums, over the results j from i on, g_j times the product of all elements of j but i."""
    slopes, perm = _others(step)
    seeds = step.cotangent.of("transpose", perm=perm)
    total = (slopes * seeds.reshape([*seeds.dims, ONE])).of("reduce_sum", axes=(len(perm) - 1,))
    return [total.of("transpose", perm=tuple(perm.index(i) for i in range(len(perm))))]


@forward("cumprod")
def _cumprod_along(step: Step) -> Sequence[Term | None]:
    slopes, perm = _others(step)
    rows = step.tangent(0).of("transpose", perm=perm)
    total = (slopes * rows.reshape([*rows.dims[:-1], ONE, rows.dims[-1]])).of("reduce_sum", axes=(len(perm),))
    return [total.of("transpose", perm=tuple(perm.index(i) for i in range(len(perm))))]
