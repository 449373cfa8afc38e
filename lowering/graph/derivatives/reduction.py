"""Reverse mode of reductions, scans, and the normalisations that stay whole."""

from __future__ import annotations

from collections.abc import Sequence

from dialects.dims import ONE, Dim, product
from dialects.graph.shapes import integer, ints, number
from dialects.graph.sketch import Term
from lowering.graph.derivatives.access import integer_of
from lowering.graph.derivatives.movement import kept_dims
from lowering.graph.derivatives.rules import Step, reverse, spread_to


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


@reverse("reduce_max", "reduce_min")
def _extreme(step: Step) -> Sequence[Term | None]:
    """Elements that are equal to the result share its cotangent; NaN is equal to NaN here."""
    x, axes = step.x[0], ints(step.values, "axes")
    y = _kept(step, step.y[0])
    hit = x.equals(y).of("logical_or", x.differs(x).both(y.differs(y)))
    count = hit.cast(x.dtype).of("reduce_sum", axes=axes, keepdims=True)
    return [hit.where(_kept(step, step.cotangent) / count, 0.0)]


@reverse("reduce_prod")
def _prod(step: Step) -> Sequence[Term | None]:
    """The product of all others: a quotient, but where there are zeros. One zero leaves the product of the others."""
    x, axes = step.x[0], ints(step.values, "axes")
    where = {"axes": axes, "keepdims": True}
    is_zero = x.equals(0.0)
    zeros = is_zero.cast(x.dtype).of("reduce_sum", **where)
    filled = is_zero.where(1.0, x)
    rest = filled.of("reduce_prod", **where)
    none, one = zeros < 0.5, (zeros < 1.5)
    others = is_zero.where(one.where(rest, 0.0), none.where(rest / filled, 0.0))
    return [_kept(step, step.cotangent) * others]


@reverse("reduce_logsumexp")
def _logsumexp(step: Step) -> Sequence[Term | None]:
    x, y = step.x[0], _kept(step, step.y[0])
    shift = (abs(y) < float("inf")).where(y, 0.0)
    return [_kept(step, step.cotangent) * (x - shift).of("exp")]


@reverse("reduce_l2")
def _l2(step: Step) -> Sequence[Term | None]:
    """x / |x|; nothing at zero."""
    x, y = step.x[0], _kept(step, step.y[0])
    flat = y.equals(0.0)
    return [_kept(step, step.cotangent) * flat.where(0.0, x / flat.where(1.0, y))]


@reverse("reduce_std")
def _std(step: Step) -> Sequence[Term | None]:
    """(x - mean) / (n std); nothing where all are equal."""
    x, axes = step.x[0], ints(step.values, "axes")
    y = _kept(step, step.y[0])
    centred = x - x.of("reduce_mean", axes=axes, keepdims=True)
    flat = y.equals(0.0)
    slope = flat.where(0.0, centred / (flat.where(1.0, y) * count_of(x, axes)))
    return [_kept(step, step.cotangent) * slope]


# -- scans --------------------------------------------------------------------------------------------------------


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


@reverse("cummax", "cummin")
def _running_extreme(step: Step) -> Sequence[Term | None]:
    """Each result came from the last element so far that is equal to it."""
    x, g, along = step.x[0], step.cotangent, integer(step.values, "axis")
    same = {"axis": along, "reverse": bool(step.values["reverse"])}
    place = step.sketch.make("iota", shape=x.dims, axis=along, dtype="i64")
    if same["reverse"]:
        place = integer_of(step.sketch, x.dims[along]) - 1 - place
    whole = x.of(step.op.name.partition(".")[2], **same)
    fresh = x.equals(whole).of("logical_or", x.differs(x).both(whole.differs(whole)))
    source = fresh.where(place, -1).of("cummax", **same)
    if step.values["exclusive"]:  # the element before; the first result is a constant
        source = _shifted(source, along, bool(same["reverse"]), -1)
    known = source >= 0
    if same["reverse"]:
        source = integer_of(step.sketch, x.dims[along]) - 1 - source
    start = spread_to(step.sketch.number(0.0, g.type.element_type), x.dims)
    target = known.where(source, 0)
    return [start.of("scatter_along", target, known.where(g, 0.0), axis=along, mode="add")]


def _shifted(t: Term, along: int, backwards: bool, fill: int) -> Term:
    """Each element the one before it in the direction of a scan."""
    rank, size = len(t.dims), t.dims[along]
    low, high = (Dim.of(1), size) if backwards else (Dim.of(0), size - 1)
    starts = tuple(low if i == along else Dim.of(0) for i in range(rank))
    stops = tuple(high if i == along else d for i, d in enumerate(t.dims))
    before, after = (0, 1) if backwards else (1, 0)
    pads = [p for i in range(rank) for p in ((before, after) if i == along else (0, 0))]
    return t.of("slice", starts=starts, stops=stops).of("pad", pads=tuple(pads), value=float(fill))


@reverse("cumprod")
def _cumprod(step: Step) -> Sequence[Term | None]:
    """dx_i sums, over the results j from i on, g_j times the product of all elements of j but i: exact with zeros too, as
    products up to i and from i to j are taken apart. It takes n times the memory of x."""
    x, g, along = step.x[0], step.cotangent, integer(step.values, "axis")
    n, rank = x.dims[along], len(x.dims)
    perm = (*(i for i in range(rank) if i != along), along)
    back = tuple(perm.index(i) for i in range(rank))
    rows, seeds = (t.of("transpose", perm=perm) for t in (x, g))
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
    slopes = spread_to(has_i.reshape([n, n]), others.dims).where(others, 0.0)
    total = (slopes * seeds.reshape([*lead, n, ONE])).of("reduce_sum", axes=(len(lead),))
    return [total.of("transpose", perm=back)]


# -- normalisations -----------------------------------------------------------------------------------------------


@reverse("softmax")
def _softmax(step: Step) -> Sequence[Term | None]:
    y, g = step.y[0], step.cotangent
    scaled = g * y
    return [scaled - y * scaled.of("reduce_sum", axes=(integer(step.values, "axis"),), keepdims=True)]


@reverse("log_softmax")
def _log_softmax(step: Step) -> Sequence[Term | None]:
    y, g = step.y[0], step.cotangent
    total = g.of("reduce_sum", axes=(integer(step.values, "axis"),), keepdims=True)
    return [g - y.of("exp") * total]


@reverse("layer_norm")
def _layer_norm(step: Step) -> Sequence[Term | None]:
    x, scale, _ = step.x
    g, last, lead = step.cotangent, len(x.dims) - 1, tuple(range(len(x.dims) - 1))
    where = {"axes": (last,), "keepdims": True}
    wide = x.cast("f32") if x.dtype in ("f16", "bf16", "f8e4m3", "f8e5m2") else x
    centred = wide - wide.of("reduce_mean", **where)
    inverse = ((centred * centred).of("reduce_mean", **where) + number(step.values, "eps")).of("rsqrt")
    normed = centred * inverse
    seed = g.cast(normed.dtype)
    out: list[Term | None] = [None, None, None]
    if step.wanted[0]:
        scaled = seed * scale.cast(normed.dtype)
        mean = scaled.of("reduce_mean", **where)
        along = (scaled * normed).of("reduce_mean", **where)
        out[0] = ((scaled - mean - normed * along) * inverse).cast(x.dtype)
    if step.wanted[1]:
        out[1] = (seed * normed).of("reduce_sum", axes=lead).cast(x.dtype)
    if step.wanted[2]:
        out[2] = seed.of("reduce_sum", axes=lead).cast(x.dtype)
    return out


@reverse("cross_entropy")
def _cross_entropy(step: Step) -> Sequence[Term | None]:
    logits, labels = step.x
    classes = logits.dims[-1]
    most = integer_of(step.sketch, classes) - 1
    label = labels.cast("i64").of("max", 0).of("min", most)
    hot = label.of("one_hot", classes=classes, dtype=logits.dtype)
    soft = logits.of("softmax", axis=-1)
    return [(soft - hot) * step.cotangent.reshape([*labels.dims, ONE]), None]
