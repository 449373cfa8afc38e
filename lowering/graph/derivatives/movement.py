"""Reverse mode of ops that move elements, and of reductions along dims."""

from __future__ import annotations

from collections.abc import Sequence

from dialects.dims import ONE, ZERO, Dim
from dialects.graph.shapes import dims, integer, ints
from dialects.graph.sketch import Term, axis
from dialects.types import is_float
from lowering.graph.derivatives.access import adjoint, integer_of
from lowering.graph.derivatives.rules import Step, filled, reverse, spread_to, summed_to


def kept_dims(x: Term, axes: Sequence[int]) -> list[Dim]:
    """The dims of x with those of the axes one."""
    return [ONE if i in axes else d for i, d in enumerate(x.dims)]


@reverse("cast")
def _cast(step: Step) -> Sequence[Term | None]:
    x, g = step.x[0], step.cotangent
    return [g.cast(x.dtype) if is_float(x.type.element_type) else None]


@reverse("reshape")
def _reshape(step: Step) -> Sequence[Term | None]:
    return [step.cotangent.reshape(step.x[0].dims)]


@reverse("transpose")
def _transpose(step: Step) -> Sequence[Term | None]:
    perm = ints(step.values, "perm")
    back = tuple(perm.index(i) for i in range(len(perm)))
    return [step.cotangent.of("transpose", perm=back)]


@reverse("broadcast")
def _broadcast(step: Step) -> Sequence[Term | None]:
    return [summed_to(step.cotangent, step.x[0].dims)]


@reverse("concat")
def _concat(step: Step) -> Sequence[Term | None]:
    along, g, start = integer(step.values, "axis"), step.cotangent, ZERO
    out: list[Term | None] = []
    for x, wanted in zip(step.x, step.wanted, strict=True):
        stop = start + x.dims[along]
        out.append(part(g, along, start, stop) if wanted else None)
        start = stop
    return out


def part(x: Term, along: int, start: Dim, stop: Dim) -> Term:
    """The elements from start to stop along a dim."""
    rank = len(x.dims)
    starts = tuple(start if i == along else ZERO for i in range(rank))
    stops = tuple(stop if i == along else d for i, d in enumerate(x.dims))
    return x.of("slice", starts=starts, stops=stops)


@reverse("slice")
def _slice(step: Step) -> Sequence[Term | None]:
    x, g = step.x[0], step.cotangent
    starts, strides = dims(step.values, "starts"), ints(step.values, "strides")
    if all(s == 1 for s in strides):
        pads = [p for a, n, d in zip(starts, g.dims, x.dims, strict=True) for p in (a, d - a - n)]
        return [g.of("pad", pads=tuple(pads))]
    axes = [(str(axis(i)), n) for i, n in enumerate(g.dims)]
    index = [axis(i) * s + a for i, (a, s) in enumerate(zip(starts, strides, strict=True))]
    return [adjoint(g, axes, index, "none", x.dims)]


@reverse("split")
def _split(step: Step) -> Sequence[Term | None]:
    along, known = integer(step.values, "axis"), next(g for g in step.g if g is not None)
    parts = [filled(step.sketch, known) if g is None else g for g in step.g]
    return [step.sketch.make("concat", *parts, axis=along)]


@reverse("flip")
def _flip(step: Step) -> Sequence[Term | None]:
    return [step.cotangent.of("flip", axes=ints(step.values, "axes"))]


@reverse("roll")
def _roll(step: Step) -> Sequence[Term | None]:
    back = -Dim.of(step.values["shift"])  # pyright: ignore[reportArgumentType]
    return [step.cotangent.of("roll", shift=back, axis=integer(step.values, "axis"))]


@reverse("tril", "triu")
def _triangle(step: Step) -> Sequence[Term | None]:
    return [step.cotangent.of(step.op.name.partition(".")[2], k=integer(step.values, "k"))]


# -- places that data tells ---------------------------------------------------------------------------------------


def nearest(index: Term, size: Dim) -> Term:
    """The places that a gather takes: negative ones count from the end, those outside are the nearest end."""
    place, most = index.cast("i64"), integer_of(index.sketch, size)
    place = (place < 0).where(place + most, place)
    return place.of("max", 0).of("min", most - 1)


@reverse("gather")
def _gather(step: Step) -> Sequence[Term | None]:
    x, index = step.x
    along = integer(step.values, "axis")
    start = filled(step.sketch, x)
    place = nearest(index, x.dims[along])
    return [start.of("scatter", place, step.cotangent, axis=along, mode="add"), None]


@reverse("take_along")
def _take_along(step: Step) -> Sequence[Term | None]:
    x, index = step.x
    along = integer(step.values, "axis")
    place = nearest(index, x.dims[along])
    start = filled(step.sketch, x)
    return [start.of("scatter_along", place, step.cotangent, axis=along, mode="add"), None]


@reverse("gather_nd")
def _gather_nd(step: Step) -> Sequence[Term | None]:
    x, index = step.x
    depth, last = index.dims[-1].value or 0, len(index.dims) - 1
    places = [nearest(part(index, last, Dim.of(k), Dim.of(k + 1)), x.dims[k]) for k in range(depth)]
    place = step.sketch.make("concat", *places, axis=last)
    return [filled(step.sketch, x).of("scatter_nd", place, step.cotangent, mode="add"), None]


COUNTERPART = {"scatter": "gather", "scatter_nd": "gather_nd", "scatter_along": "take_along"}


def _read_back(step: Step, t: Term) -> Term:
    """What stands in t at the places of a scatter, zero for updates that are left out."""
    name, index = step.op.name.partition(".")[2], step.x[1]
    settings = {"axis": integer(step.values, "axis")} if "axis" in step.values else {}
    return t.of(COUNTERPART[name], index, **settings)


def _inside(step: Step) -> Term:
    """1 for each update that is written, and 0 for those that lie outside, in the shape of the updates."""
    name, (x, index, updates) = step.op.name.partition(".")[2], step.x
    settings = {"axis": integer(step.values, "axis")} if "axis" in step.values else {}
    if name == "scatter_nd":
        sizes = [integer_of(step.sketch, d).reshape([ONE]) for d in x.dims[: index.dims[-1].value]]
        size = step.sketch.make("concat", *sizes, axis=0)
        place = index.cast("i64")
        ok = (place < size).both(place >= -size)
        ok = ok.of("reduce_all", axes=(len(index.dims) - 1,))
        shape = [*ok.dims, *[ONE] * (len(updates.dims) - len(ok.dims))]
    else:
        along = settings["axis"]
        size, place = integer_of(step.sketch, x.dims[along]), index.cast("i64")
        ok = (place < size).both(place >= -size)
        shape = (
            [*[ONE] * along, *ok.dims, *[ONE] * (len(x.dims) - along - 1)] if name == "scatter" else ok.dims
        )
    return spread_to(ok.reshape(shape), updates.dims)


@reverse("scatter", "scatter_nd", "scatter_along")
def _scatter(step: Step) -> Sequence[Term | None]:
    name, mode = step.op.name.partition(".")[2], str(step.values["mode"])
    x, index, updates = step.x
    g, inside = step.cotangent, _inside(step)
    settings = {"axis": integer(step.values, "axis")} if "axis" in step.values else {}

    def scattered(start: Term, values: Term, how: str) -> Term:
        return start.of(name, index, values, mode=how, **settings)

    def read(t: Term) -> Term:
        return inside.where(_read_back(step, t), 0)

    if mode == "add":
        return [g, None, read(g)]
    if mode == "set":
        kept = scattered(g, filled(step.sketch, updates), "set")
        order = _order(updates)
        last = scattered(spread_to(step.sketch.number(-1, order.type.element_type), x.dims), order, "max")
        winner = inside.both(_read_back(step, last).equals(order))
        return [kept, None, winner.where(_read_back(step, g), 0.0)]
    if mode in ("max", "min"):
        # What reached the result shares the cotangent: x itself and all updates that are equal to it.
        y = step.y[0]
        ours, theirs = x.equals(y), inside.both(updates.equals(_read_back(step, y)))
        counted = scattered(ours.cast(g.dtype), theirs.cast(g.dtype), "add")
        share = g / counted
        return [ours.where(share, 0.0), None, theirs.where(_read_back(step, share), 0.0)]
    # mul: the product of all others, taken by the quotient where nothing is zero, and counted where something is.
    zero_x, zero_u = x.equals(0.0), inside.both(updates.equals(0.0))
    zeros = scattered(zero_x.cast(g.dtype), zero_u.cast(g.dtype), "add")
    rest = scattered(zero_x.where(1.0, x), zero_u.where(1.0, updates), "mul")

    def others(value: Term, is_zero: Term, count: Term, product: Term) -> Term:
        alone = is_zero.where((count < 1.5).where(product, 0.0), 0.0)
        return is_zero.where(alone, (count < 0.5).where(product / is_zero.where(1.0, value), 0.0))

    dx = g * others(x, zero_x, zeros, rest)
    du = _read_back(step, g) * others(updates, zero_u, _read_back(step, zeros), _read_back(step, rest))
    return [dx, None, inside.where(du, 0.0)]


def _order(updates: Term) -> Term:
    """The number of each update, in the order in which they are written."""
    total = Dim.of(1)
    for d in updates.dims:
        total = total * d
    return updates.sketch.make("iota", shape=(total,), axis=0, dtype="i64").reshape(updates.dims)
