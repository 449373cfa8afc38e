"""Both modes of ops that write at places that data tells."""

from __future__ import annotations

from collections.abc import Sequence

from dialects.dims import ONE, product
from dialects.graph.base import short_name
from dialects.graph.shapes import integer
from dialects.graph.sketch import Term
from lowering.graph.derivatives.access import integer_of
from lowering.graph.derivatives.reduction import Factors
from lowering.graph.derivatives.rules import Step, filled, forward, reverse, spread_to

COUNTERPART = {"scatter": "gather", "scatter_nd": "gather_nd", "scatter_along": "take_along"}


def _settings(step: Step) -> dict[str, object]:
    return {"axis": integer(step.values, "axis")} if "axis" in step.values else {}


def _scattered(step: Step, start: Term, values: Term, mode: str) -> Term:
    """Other values written at the same places."""
    return start.of(short_name(step.op), step.x[1], values, mode=mode, **_settings(step))


def _read_back(step: Step, t: Term) -> Term:
    """What stands in t at the places of a scatter, anything for updates that are left out."""
    return t.of(COUNTERPART[short_name(step.op)], step.x[1], **_settings(step))


def _inside(step: Step) -> Term:
    """Whether each update is written and does not lie outside, in the shape of the updates."""
    name, (x, index, updates) = short_name(step.op), step.x
    if name == "scatter_nd":
        sizes = [integer_of(step.sketch, d).reshape([ONE]) for d in x.dims[: index.dims[-1].value]]
        size = step.sketch.make("concat", *sizes, axis=0)
        place = index.cast("i64")
        ok = (place < size).both(place >= -size)
        ok = ok.of("reduce_all", axes=(len(index.dims) - 1,))
        shape = [*ok.dims, *[ONE] * (len(updates.dims) - len(ok.dims))]
    else:
        along = integer(step.values, "axis")
        size, place = integer_of(step.sketch, x.dims[along]), index.cast("i64")
        ok = (place < size).both(place >= -size)
        shape = (
            [*[ONE] * along, *ok.dims, *[ONE] * (len(x.dims) - along - 1)] if name == "scatter" else ok.dims
        )
    return spread_to(ok.reshape(shape), updates.dims)


def _extremes(step: Step) -> tuple[Term, Term, Term]:
    """What reached the result of a max or min: x itself, and all updates that are equal to it; and how many did."""
    x, _, updates = step.x
    y, inside = step.y[0], _inside(step)
    ours, theirs = x.equals(y), inside.both(updates.equals(_read_back(step, y)))
    return ours, theirs, _scattered(step, ours.cast(x.dtype), theirs.cast(x.dtype), "add")


def _slopes(step: Step) -> tuple[Term, Term]:
    """For x and the updates of a product, that of all others."""
    x, _, updates = step.x
    inside = _inside(step)
    zero_x, zero_u = x.equals(0.0), inside.both(updates.equals(0.0))

    def joined(mode: str, ours: Term, theirs: Term) -> Term:
        return _scattered(step, ours, theirs, mode)

    factors = Factors(
        joined("add", zero_x.cast(x.dtype), zero_u.cast(x.dtype)),
        joined("mul", zero_x.where(1.0, x), zero_u.where(1.0, updates)),
        joined("mul", zero_x.where(x, 1.0), zero_u.where(updates, 1.0)),
        joined("add", zero_x.where(x, 0.0), zero_u.where(updates, 0.0)),
    )
    seen = Factors(*(_read_back(step, t) for t in (factors.zeros, factors.rest, factors.gone, factors.total)))
    return factors.others(x, zero_x), inside.where(seen.others(updates, zero_u), 0.0)


@reverse(*COUNTERPART)
def _scatter(step: Step) -> Sequence[Term | None]:
    mode, (x, _, updates), g = str(step.values["mode"]), step.x, step.cotangent
    if mode == "add":
        return [g, None, _inside(step).where(_read_back(step, g), 0.0)]
    if mode == "set":
        kept = _scattered(step, g, filled(step.sketch, updates), "set")
        order = step.sketch.make("iota", shape=(product(updates.dims),), axis=0, dtype="i64")
        order = order.reshape(
            updates.dims
        )  # the number of each update, in the order in which they are written
        last = _scattered(step, filled(step.sketch, x, -1.0).cast("i64"), order, "max")
        winner = _inside(step).both(_read_back(step, last).equals(order))
        return [kept, None, winner.where(_read_back(step, g), 0.0)]
    if mode in ("max", "min"):
        ours, theirs, count = _extremes(step)
        share = g / count
        return [ours.where(share, 0.0), None, theirs.where(_read_back(step, share), 0.0)]
    slope_x, slope_u = _slopes(step)
    return [g * slope_x, None, _read_back(step, g) * slope_u]


@forward(*COUNTERPART)
def _scatter_along(step: Step) -> Sequence[Term | None]:
    mode, (x, _, updates), (dx, _, du) = str(step.values["mode"]), step.x, step.g
    dx, du = (filled(step.sketch, like) if t is None else t for like, t in ((x, dx), (updates, du)))
    if mode in ("add", "set"):
        return [_scattered(step, dx, du, mode)]
    if mode in ("max", "min"):
        ours, theirs, count = _extremes(step)
        return [_scattered(step, ours.where(dx, 0.0), theirs.where(du, 0.0), "add") / count]
    slope_x, slope_u = _slopes(step)
    return [_scattered(step, dx * slope_x, du * slope_u, "add")]
