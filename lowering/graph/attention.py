"""Attention as products and softmax: scores, weights, sums of values, for all rows at once or for blocks of them.

A product of matrices runs many times faster than a kernel that goes from key to key, as long as the scores stay in a
cache. Where they would not, a loop takes so many rows at a time that they do: memory grows with the keys alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xdsl.dialects.builtin import LocationAttr
from xdsl.ir import Attribute, Operation, SSAValue

from dialects.dims import Dim, product
from dialects.graph import symbol_ranges
from dialects.graph.base import Value
from dialects.graph.contraction import AttentionOp, hidden_score
from dialects.graph.derived.base import SMALL
from dialects.graph.shapes import number
from dialects.graph.sketch import Sketch, Term
from dialects.types import dims_of, dtype_name
from lowering.graph.derivatives.access import integer_of

LEAST = 16
"""Rows, keys and features from which on products pay."""

SCORES = 1 << 21
"""How many scores are computed at once: 8 MB of f32."""

ROWS = 64
"""The least rows of a block."""


def swapped(x: Term) -> Term:
    """The last two dims in the other order."""
    rank = len(x.dims)
    return x.of("transpose", perm=(*range(rank - 2), rank - 1, rank - 2))


def attention(
    x: Sequence[Term], values: Mapping[str, Value], first: Term | int = 0, rows: Dim | None = None
) -> Term:
    """softmax(scale q k^T + mask) v; q may be a block of the rows, from `first` on of so many `rows`.

    A row that sees no key gives zeros, or NaN; with "safe" every row that would be NaN gives zeros.
    """
    q, k, v = (t.cast("f32") if t.dtype in SMALL else t for t in x[:3])
    mask = x[3] if len(x) == 4 else None
    scores = q.of("matmul", swapped(k)) * number(values, "scale")
    hidden, is_zero = hidden_score(values), values["unseen"] == "zero"
    may_see_none = is_zero and mask is not None
    if mask is not None:
        scores = mask.where(scores, hidden) if mask.dtype == "bool" else scores + mask.cast(scores.dtype)
    if values["causal"]:
        s, t = scores.dims[-2:]
        ahead = t - (s if rows is None else rows)
        row, column = (q.sketch.make("iota", shape=(s, t), axis=axis, dtype="i64") for axis in (0, 1))
        last = row + first + integer_of(q.sketch, ahead)
        scores = (column <= last).where(scores, hidden)
        may_see_none = may_see_none or (is_zero and ahead.bounds({})[0] < 0)
    weights = _weights(scores, may_see_none)
    if values["unseen"] == "safe":
        weights = weights.of("is_nan").where(0.0, weights)
    return weights.of("matmul", v).cast(x[2].dtype)


def _weights(scores: Term, may_see_none: bool) -> Term:
    if not may_see_none:
        return scores.of("softmax", axis=-1)
    counts = (scores > float("-inf")).of("logical_or", scores.differs(scores))
    sees = counts.of("reduce_any", axes=(len(scores.dims) - 1,), keepdims=True)
    return sees.where(sees.where(scores, 0.0).of("softmax", axis=-1), 0.0)


# -- for graph-decompose ------------------------------------------------------------------------------------------


def is_large(op: AttentionOp) -> bool:
    """Whether all sizes may be large enough for products. Of sizes that a run tells, all scores have to be few enough to be
    computed at once."""
    q, k, v = (dims_of(o.type) for o in op.operands[:3])  # pyright: ignore[reportArgumentType]
    ranges = symbol_ranges(op)

    def most(dim: Dim) -> float:
        return dim.bounds(ranges)[1]

    if any(most(d) < LEAST for d in (*q[-2:], k[-2], v[-1])):
        return False
    scores = product((*q[:-1], k[-2]))
    return scores.value is not None or most(scores) <= SCORES


def fits_tensor_cores(
    types: Sequence[Attribute], values: Mapping[str, Value], ranges: Mapping[str, tuple[float, float]]
) -> bool:
    """Whether the kernel for tensor cores computes an attention: of f16 or bf16, without a mask but `causal`, of 16 to 128
    features, a multiple of 16; nothing of it is empty. Scores of keys that are not seen are -inf."""
    q, k, v = (dims_of(t) for t in types[:3])  # pyright: ignore[reportArgumentType]
    return (
        len(types) == 3
        and dtype_name(types[0].element_type) in ("f16", "bf16")  # pyright: ignore
        and all((n := d[-1].value or 0) % 16 == 0 and 16 <= n <= 128 for d in (q, v))
        and all(d.bounds(ranges)[0] > 0 for d in (*q[:-1], k[-2]))
        and number(values, "scale") > 0
        and hidden_score(values) == float("-inf")
    )


def goes_by_products(op: AttentionOp) -> bool:
    """Whether products serve an attention better than a kernel that goes from key to key: where it is large, and where it
    was written as products, which do not give zeros to rows because they see no key."""
    return is_large(op) or op.values()["unseen"] != "zero"


def by_products(op: AttentionOp) -> tuple[list[Operation], list[SSAValue]]:
    """The ops that stand for an attention, and its value."""
    sketch = Sketch(op.location if isinstance(op.location, LocationAttr) else None)
    x, values = [sketch.term(o) for o in op.operands], op.values()
    rows, keys = x[0].dims[-2], x[1].dims[-2]
    heads = product(x[0].dims[:-2]).value
    if heads is None or rows.value is None or keys.value is None or not is_large(op):
        return sketch.ops, [attention(x, values).value]
    count, most = rows.value, max(ROWS, SCORES // (max(1, heads) * max(1, keys.value)))
    if most >= count:
        return sketch.ops, [attention(x, values).value]
    # As many rows in each block, since the last one computes anew what it lacks.
    block = -(-count // -(-count // most))
    return sketch.ops, [_in_blocks(x, values, block).value]


def _in_blocks(x: Sequence[Term], values: Mapping[str, Value], block: int) -> Term:
    """A loop over blocks of rows; the last one ends with the last row, and computes some of those before it anew."""
    q, v, sketch = x[0], x[2], x[0].sketch
    rank, rows = len(q.dims), q.dims[-2]
    along = rank - 2
    last = (rows.value or 0) - block
    result = [*q.dims[:-1], v.dims[-1]]
    start = sketch.number(0.0, v.type.element_type).of("broadcast", shape=tuple(result))

    def step(counter: Term, carried: Sequence[Term]) -> Sequence[Term]:
        inner = counter.sketch
        first = (counter * block).of("min", last)
        places = inner.make("iota", shape=(block,), axis=0, dtype="i64") + first
        parts = [inner.term(t.value) for t in x]
        parts[0] = parts[0].of("gather", places, axis=along)
        if len(parts) == 4 and len(parts[3].dims) > 1 and parts[3].dims[-2] == rows:
            parts[3] = parts[3].of("gather", places, axis=len(parts[3].dims) - 2)
        found = attention(parts, values, first, rows)
        return [carried[0].of("scatter", places, found, axis=along)]

    (out,) = sketch.loop(Dim.of(-(-(rows.value or 0) // block)), [start], step)
    return out
