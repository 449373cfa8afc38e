"""Reverse mode of ops that move elements, and of reductions along dims."""

from __future__ import annotations

from collections.abc import Sequence

from dialects.dims import ONE, ZERO, Dim
from dialects.graph.shapes import dims, integer, ints
from dialects.graph.sketch import Term, axis
from dialects.types import is_float_tensor
from lowering.graph.derivatives.access import adjoint, integer_of
from lowering.graph.derivatives.rules import Step, filled, reverse, summed_to


def kept_dims(x: Term, axes: Sequence[int]) -> list[Dim]:
    """The dims of x with those of the axes one."""
    return [ONE if i in axes else d for i, d in enumerate(x.dims)]


@reverse("cast")
def _cast(step: Step) -> Sequence[Term | None]:
    x, g = step.x[0], step.cotangent
    return [g.cast(x.dtype) if is_float_tensor(x.type) else None]


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
