"""Reads and writes at places that data tells, and random numbers, on all parts at once."""

from __future__ import annotations

from collections.abc import Sequence
from math import pi

from dialects.dims import ONE, Dim, product
from dialects.graph.derived.arrangement import from_end
from dialects.graph.shapes import dims, integer
from dialects.graph.sketch import Term, axis
from dialects.graph.structure import Access
from lowering.graph.derivatives.batch_rules import Parts, batched
from lowering.graph.derivatives.rules import spread_to


@batched("gather")
def _gather(p: Parts) -> Sequence[Term]:
    """Where both differ it is index notation: the place along the dim is read at the same part."""
    (x, index), along = p.x, integer(p.values, "axis")
    rank = len(p.dims(1))
    if not p.differs[1]:
        return p.made(p.x, axis=along + 1)
    if not p.differs[0]:
        (y,) = p.made(p.x)
        perm = (along, *range(along), *range(along + 1, len(y.dims)))
        return [y.of("transpose", perm=perm) if along else y]
    sizes = [p.size, *p.result_dims()]
    front = [axis(i) for i in range(1 + along)]
    middle = [axis(1 + along + i) for i in range(rank)]
    back = [axis(i) for i in range(1 + along + rank, len(sizes))]
    place = from_end(Dim.of("_0"), x.dims[1 + along])
    reads = [Access(1, (axis(0), *middle)), Access(0, (*front, place, *back))]
    axes = [(str(axis(i)), d) for i, d in enumerate(sizes)]
    operands = [x, index.cast("i64")]
    return [p.sketch.points(operands, axes, reads, x.type.element_type, lambda block: block.args[1])]


@batched("take_along")
def _take_along(p: Parts) -> Sequence[Term] | None:
    """By its formula where one side is shared, so that nothing is repeated."""
    return p.made(p.x, axis=integer(p.values, "axis") + 1) if all(p.differs) else None


@batched("gather_nd")
def _gather_nd(p: Parts) -> Sequence[Term] | None:
    return None if p.differs[0] else p.made(p.x)


@batched("scatter")
def _scatter(p: Parts) -> Sequence[Term]:
    along, mode = integer(p.values, "axis"), str(p.values["mode"])
    x, updates = p.whole(0), p.whole(2)
    if not p.differs[1]:
        return p.made([x, p.x[1], updates], axis=along + 1)
    rank, order = len(p.dims(1)), list(range(1, len(x.dims)))
    first = (0, 1 + along, *order[:along], *order[along + 1 :])
    middle = range(1 + along, 1 + along + rank)
    rest = [i for i in range(1, len(updates.dims)) if i not in middle]
    index = p.x[1].reshape([*p.x[1].dims, ONE])
    y = _written(
        p, x.of("transpose", perm=first), index, updates.of("transpose", perm=(0, *middle, *rest)), mode
    )
    return [y.of("transpose", perm=tuple(first.index(i) for i in range(len(first))))]


@batched("scatter_nd")
def _scatter_nd(p: Parts) -> Sequence[Term]:
    return [_written(p, p.whole(0), p.whole(1), p.whole(2), str(p.values["mode"]))]


def _written(p: Parts, x: Term, index: Term, updates: Term, mode: str) -> Term:
    """scatter_nd with the number of the part as the first place."""
    lead = index.dims[:-1]
    parts = p.sketch.make("iota", shape=(p.size,), axis=0, dtype="i64")
    parts = spread_to(parts.reshape([p.size, *[ONE] * len(lead)]), [*lead, ONE])
    places = p.sketch.make("concat", parts, index.cast("i64"), axis=len(lead))
    return x.of("scatter_nd", places, updates, mode=mode)


# -- random numbers ---------------------------------------------------------------------------------------------

_LOW = 0xFFFFFFFF


def _words(keys: Term, count: Dim) -> tuple[Term, Term]:
    """Words 0 and 1 of counters from 0 on for each key, by Philox-4x32-10, in the low half of u64 [parts, counters]."""
    k0, k1 = (keys.of("slice", starts=(0, k), stops=(keys.dims[0], k + 1)).cast("u64") for k in (0, 1))
    counter = keys.sketch.make("iota", shape=(count,), axis=0, dtype="u64")
    zero = counter.like(0)
    c = [_low(counter), _high(counter), zero, zero]
    for _ in range(10):
        p0, p1 = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
        c = [
            _high(p1).of("bitwise_xor", c[1]).of("bitwise_xor", k0),
            _low(p1),
            _high(p0).of("bitwise_xor", c[3]).of("bitwise_xor", k1),
            _low(p0),
        ]
        k0, k1 = _low(k0 + 0x9E3779B9), _low(k1 + 0xBB67AE85)
    return c[0], c[1]


def _low(x: Term) -> Term:
    return x.of("bitwise_and", _LOW)


def _high(x: Term) -> Term:
    return x.of("shift_right", 32)


@batched("random")
def _random(p: Parts) -> Sequence[Term]:
    """As graph.random says how numbers are made, for each key."""
    shape, dist = dims(p.values, "shape"), str(p.values["dist"])
    first, second = _words(p.x[0], product(shape))
    if dist == "bits":
        out = first.cast("u32")
    elif dist == "uniform":
        out = first.of("shift_right", 8).cast("f32") * 2.0**-24
    else:
        u, v = ((w.of("shift_right", 8) + k).cast("f64") * 2.0**-24 for w, k in ((first, 1), (second, 0)))
        out = ((u.of("log") * -2.0).of("sqrt") * (v * (2 * pi)).of("cos")).cast("f32")
    return [out.reshape([p.size, *shape])]
