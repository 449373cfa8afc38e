"""The transpose of a read in index notation: each element goes back to the place that it was read from.

Where indices are affine in the axes, the place tells the axes, and what is read in turn is again index notation: no
writes, so that it fuses and runs in parallel. Each dim is solved for one axis; what must hold besides (a stride that
divides, a second dim that agrees) drives the index out of range, where zero is read. Elements that a boundary brought in
are computed beyond the edge first, and folded back. All else is a scatter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import mul

import numpy as np

from dialects.dims import ONE, ZERO, Dim, Opaque, dmax, product
from dialects.graph.base import dense
from dialects.graph.sketch import Sketch, Term
from dialects.graph.structure import Access
from lowering.graph.derivatives.rules import spread_to

Axes = Sequence[tuple[str, Dim]]


def integer_of(sketch: Sketch, size: Dim) -> Term:
    """The value of a dim expression, as an i64 of rank 0."""
    return expression(sketch, size, {})


def _integer(sketch: Sketch, value: int) -> Term:
    return sketch.make("constant", value=dense(np.asarray(value, np.int64)))


def expression(sketch: Sketch, expr: Dim, names: Mapping[str, Term]) -> Term:
    """A dim expression over terms of i64, with symbols of the function for names that have none."""
    total: Term | None = None
    for monomial, factor in expr.terms:
        atoms = [_atom(sketch, atom, names) for atom in monomial]
        if factor != 1 or not atoms:
            atoms.insert(0, _integer(sketch, factor))
        item = reduce(mul, atoms)
        total = item if total is None else total + item
    return _integer(sketch, 0) if total is None else total


def _atom(sketch: Sketch, atom: str | Opaque, names: Mapping[str, Term]) -> Term:
    if isinstance(atom, str):
        if atom in names:
            return names[atom]
        ones = _integer(sketch, 1).of("broadcast", shape=(Dim.of(atom),))  # as many as the symbol says
        return ones.of("reduce_sum", axes=(0,))
    first, *rest = (expression(sketch, a, names) for a in atom.args)
    for other in rest:
        first = first.of({"floordiv": "div"}.get(atom.kind, atom.kind), other)
    return first


def adjoint(w: Term, axes: Axes, index: Sequence[Dim], boundary: str, dims: Sequence[Dim]) -> Term:
    """What a tensor of dims receives when each element of w, over the axes in order, goes to the index that it came from.

    Elements that lie outside go where the boundary took them from; with zero or a value, nowhere.
    """
    kept, extents = _summed_out(w, axes, index)
    if (moved := _permuted(kept, extents, index, dims)) is not None:
        return moved
    reach = [_reach(e, extents, d, boundary) for e, d in zip(index, dims, strict=True)]
    known = [r for r in reach if r is not None]
    if len(known) == len(reach) and (wide := _inverted(kept, extents, index, known, dims)) is not None:
        return _folded(wide, known, boundary, dims)
    return scattered(kept, extents, index, boundary, dims, {})


def _summed_out(w: Term, axes: Axes, index: Sequence[Dim]) -> tuple[Term, Axes]:
    """Sums along axes that the index does not name."""
    used = frozenset().union(*(e.names() for e in index)) if index else frozenset()
    gone = tuple(i for i, (name, _) in enumerate(axes) if name not in used)
    return (w.of("reduce_sum", axes=gone) if gone else w), [a for a in axes if a[0] in used]


def _permuted(w: Term, axes: Axes, index: Sequence[Dim], dims: Sequence[Dim]) -> Term | None:
    """w with its dims in another order, where each dim is indexed by an axis of its own over its whole size."""
    names, extents = [name for name, _ in axes], dict(axes)
    order = [str(e) for e in index]
    if sorted(order) != sorted(names) or any(extents[n] != d for n, d in zip(order, dims, strict=True)):
        return None
    perm = tuple(names.index(n) for n in order)
    return w if perm == tuple(range(len(perm))) else w.of("transpose", perm=perm)


def _reach(expr: Dim, axes: Axes, size: Dim, boundary: str) -> tuple[int, int] | None:
    """How far an index goes beyond both ends of a dim; None where that is not known, or too far to fold once."""
    slopes = {name: expr.coefficient(name) for name, _ in axes}
    if any(s is None or s.value is None for s in slopes.values()):
        return None
    if boundary in ("none", "zero", "value"):
        return 0, 0
    ends = [expr, expr]
    for name, extent in axes:
        rises = (slopes[name].value or 0) >= 0  # pyright: ignore[reportOptionalMemberAccess]
        for end, up in enumerate((not rises, rises)):
            ends[end] = ends[end].subst({name: extent - 1 if up else 0})
    low, high = (-ends[0]).value, (ends[1] - (size - 1)).value
    if low is None or high is None:
        return None
    reach = max(0, low), max(0, high)
    most = size.value
    if boundary == "wrap" and any(reach) and (most is None or max(reach) > most):
        return None
    if boundary == "reflect" and any(reach) and (most is None or max(reach) > most - 1):
        return None
    return reach


@dataclass(frozen=True)
class _Inverse:
    """The axes as expressions over the places, and numbers that are zero where the place is told by any axes at all."""

    axes: dict[str, Dim]
    penalties: tuple[Dim, ...]


def _inverse(index: Sequence[Dim], axes: Axes, places: Sequence[Dim]) -> _Inverse | None:
    """Solves place = index for as many axes as there are dims that name one; None where a division stands in the way."""
    names = {name for name, _ in axes}
    exprs, waiting = list(index), list(range(len(index)))
    told: dict[str, Dim] = {}
    penalties: list[Dim] = []
    while waiting:
        free = {d: exprs[d].names() & names for d in waiting}
        d = min(waiting, key=lambda i: (len(free[i]) or len(names) + 1, i))
        waiting.remove(d)
        if not free[d]:
            gap = places[d] - exprs[d]
            penalties.append(dmax(gap, -gap))
            continue
        slopes = {n: exprs[d].coefficient(n) for n in sorted(free[d])}
        factors = {n: s.value for n, s in slopes.items() if s is not None and s.value}
        if len(factors) < len(slopes):
            return None
        name = max(
            factors, key=lambda n: (-sum(n in exprs[i].names() for i in waiting), abs(factors[n] or 0), n)
        )
        factor, shared = factors[name] or 1, any(name in exprs[i].names() for i in waiting)
        rest = places[d] - exprs[d].without(name)
        rest = rest if factor > 0 else -rest
        if abs(factor) > 1:
            if shared:
                return None
            penalties.append(rest % abs(factor))
            rest = rest // abs(factor)
        told = {n: e.subst({name: rest}) for n, e in told.items()} | {name: rest}
        penalties = [p.subst({name: rest}) for p in penalties]
        exprs = [e.subst({name: rest}) for e in exprs]
    return _Inverse(told, tuple(penalties))


def _inverted(
    w: Term,
    axes: Axes,
    index: Sequence[Dim],
    reach: Sequence[tuple[int, int]],
    dims: Sequence[Dim],
) -> Term | None:
    """Index notation over the places, from `-low` on along each dim, that reads w where it came from."""
    taken = {name for name, _ in axes}.union(*(e.names() for e in index))
    mark = "place"
    while any(f"{mark}{d}_" in taken for d in range(len(dims))):  # the read may be a transpose itself
        mark += "_"
    names = [f"{mark}{d}_" for d in range(len(dims))]
    inverse = _inverse(index, axes, [Dim.of(n) - low for n, (low, _) in zip(names, reach, strict=True)])
    if inverse is None:
        return None
    sizes = [d + (low + high) for d, (low, high) in zip(dims, reach, strict=True)]
    at = [inverse.axes.get(name, Dim.of(name)) for name, _ in axes]
    if not axes:
        w, at = w.reshape([ONE]), [ZERO]
    if inverse.penalties:  # they take the first index beyond the end, wherever it is
        beyond = w.dims[0] + 1
        at[0] = dmax(at[0], -1) + sum((p * beyond for p in inverse.penalties), ZERO)
    free = [(name, size) for name, size in axes if name not in inverse.axes]
    return w.sketch.points(
        [w],
        list(zip(names, sizes, strict=True)),
        [Access(0, tuple(at), "zero")],
        w.type.element_type,
        lambda block: block.args[0],
        "sum" if free else None,
        free,
    )


def _folded(wide: Term, reach: Sequence[tuple[int, int]], boundary: str, dims: Sequence[Dim]) -> Term:
    """What lies beyond the ends of each dim, added where the boundary took it from."""
    for d, ((low, high), size) in enumerate(zip(reach, dims, strict=True)):
        if low or high:
            wide = _folded_along(wide, d, low, high, size, boundary)
    return wide


def _folded_along(wide: Term, d: int, low: int, high: int, size: Dim, boundary: str) -> Term:
    def part(start: Dim | int, count: Dim | int) -> Term:
        starts = tuple(Dim.of(start) if i == d else ZERO for i in range(len(wide.dims)))
        stops = tuple(Dim.of(start) + count if i == d else n for i, n in enumerate(wide.dims))
        return wide.of("slice", starts=starts, stops=stops)

    def at(x: Term, start: Dim | int) -> Term:
        """x, its first element at a place of the dim."""
        after = size - start - x.dims[d]
        pads = [p for i in range(len(x.dims)) for p in ((Dim.of(start), after) if i == d else (0, 0))]
        return x.of("pad", pads=tuple(pads))

    total = part(low, size)
    for count, start, is_low in ((low, Dim.of(0), True), (high, size + low, False)):
        if not count:
            continue
        beyond = part(start, count)
        if boundary == "clamp":
            once = beyond.of("reduce_sum", axes=(d,), keepdims=True)
            total = total + at(once, 0 if is_low else size - 1)
        elif boundary == "wrap":
            total = total + at(beyond, size - count if is_low else 0)
        else:
            turned = beyond.of("flip", axes=(d,))
            total = total + at(turned, 1 if is_low else size - 1 - count)
    return total


def scattered(
    w: Term,
    axes: Axes,
    index: Sequence[Dim],
    boundary: str,
    dims: Sequence[Dim],
    reads: Mapping[str, Term],
) -> Term:
    """The same by a scatter; reads are the values that an index names besides axes, over all axes."""
    sketch = w.sketch
    names: dict[str, Term] = dict(reads)
    for i, (name, size) in enumerate(axes):
        shape = [size if j == i else ONE for j in range(len(axes))]
        names[name] = sketch.make("iota", shape=(size,), axis=0, dtype="i64").reshape(shape)
    # Last dims that an axis of its own runs along as a whole are written as rows.
    whole = 0
    while whole < min(len(dims), len(axes)) and _is_whole(index, dims, axes, whole):
        whole += 1
    lead = [size for _, size in axes[: len(axes) - whole]]
    places: list[Term] = []
    for expr, size in zip(index[: len(index) - whole], dims, strict=False):
        place = expression(sketch, expr, names)
        is_read = any(n.startswith("_") for n in expr.names())
        place = bounded(
            place, integer_of(sketch, size), "clamp" if is_read and boundary == "none" else boundary
        )
        if len(place.dims) == len(axes) and whole:
            place = place.reshape(place.dims[: len(place.dims) - whole])
        places.append(spread_to(place, lead).reshape([product(lead), ONE]))
    target = spread_to(sketch.number(0.0, w.type.element_type), dims)
    if not places:
        return target + (w.of("reduce_sum", axes=tuple(range(len(lead)))) if lead else w)
    joined = sketch.make("concat", *places, axis=1) if len(places) > 1 else places[0]
    rows = w.reshape([product(lead), *dims[len(dims) - whole :]])
    return target.of("scatter_nd", joined, rows, mode="add")


def _is_whole(index: Sequence[Dim], dims: Sequence[Dim], axes: Axes, behind: int) -> bool:
    """Whether the dim and the axis so far from the end belong together, and nothing else names the axis."""
    name, size = axes[len(axes) - 1 - behind]
    place = len(index) - 1 - behind
    others = [e for i, e in enumerate(index) if i != place]
    return index[place] == Dim.of(name) and dims[place] == size and all(name not in e.names() for e in others)


def bounded(place: Term, size: Term, boundary: str) -> Term:
    """Where a boundary takes an element from; what lies outside without one is moved beyond the end, and left out."""
    if boundary in ("zero", "value"):
        return (place < 0).where(size, place)
    if boundary == "clamp":
        return place.of("max", 0).of("min", size - 1)
    if boundary == "wrap":
        return place.of("mod", size)
    if boundary == "reflect":
        period = ((size - 1) * 2).of("max", 1)
        turned = place.of("mod", period)
        return turned.of("min", period - turned)
    return place
