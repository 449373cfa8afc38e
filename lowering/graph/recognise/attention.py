"""Attention: softmax(scale * q k^T + mask) v, with the scale on either side of the product, and masks of several kinds."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from xdsl.ir import Operation, SSAValue

from dialects.dims import Dim
from dialects.graph import OPS, GraphOp, Mismatch, operation_name
from dialects.graph.shapes import ints
from dialects.graph.sketch import Sketch, Term
from dialects.types import dims_of
from lowering.graph.recognise.forms import NUMBER, form
from lowering.graph.recognise.match import Match, as_written, factors_of, is_close, matches
from lowering.graph.recognise.rules import computes_floats, is_free
from lowering.rewriting import Pattern, Rewriter, pattern

Shape = tuple[Dim, ...]
WEIGHTED = form(lambda s, v, axis=NUMBER: s.of("softmax", axis=axis).of("matmul", v))
SUMMED = form(lambda s, mask: s + mask)
HIDDEN = form(lambda s, mask: mask.where(s, -np.inf))
SHOWN = form(lambda s, mask: mask.where(-np.inf, s))
PRODUCT = form(lambda q, k: q.of("matmul", k))


@dataclass(frozen=True)
class Scores:
    """What the scores of an attention are, as far as they are known; `seen` says whether a true mask means that keys count."""

    value: SSAValue
    shape: Shape
    ops: tuple[Operation, ...]
    added: tuple[SSAValue, ...] = ()
    mask: SSAValue | None = None
    seen: bool = True
    is_causal: bool = False


@pattern(OPS["matmul"])
def attention(op: GraphOp, rewriter: Rewriter) -> None:
    """softmax(scale * (q @ k^T) + mask) @ v, or where(mask, scores, -inf) of the scores, = attention(q, k, v, mask)"""
    found = next(matches(WEIGHTED, op.results[0]), None)
    if found is None or not computes_floats(op):
        return
    scores, v, axis = found.found["s"], found.found["v"], found.found["axis"]
    assert isinstance(scores, SSAValue) and isinstance(v, SSAValue)
    shape = dims_of(scores.type)
    if len(shape) < 2 or axis != len(shape) - 1:
        return
    masked = without_masks(Scores(scores, shape, found.ops))
    scaled = _scaled_product(masked.value)
    if scaled is None:
        return
    q, k, scale, ops = scaled
    match = Match({}, (*masked.ops, *ops))
    if not is_free(op, match):
        return
    sketch = Sketch()
    x = [sketch.term(q), _swapped(sketch.term(k)), sketch.term(v)]
    mask = _mask(masked, sketch)
    try:
        values = {"scale": scale, "causal": masked.is_causal, "unseen": "nan"}
        made = x[0].of("attention", *x[1:], *([mask] if mask is not None else []), **values)
    except Mismatch:  # batches that broadcast, masks wider than the scores
        sketch.discard()
        return
    if made.type == op.results[0].type:
        rewriter.replace(op, sketch.ops, [made.value], [o for o in match.ops if o is not op])
    else:
        sketch.discard()


# -- masks --------------------------------------------------------------------------------------------------------


def without_masks(scores: Scores) -> Scores:
    """Takes masks off, the outermost first: one of bools, then what is added."""
    if not scores.added:
        for wanted, seen in ((HIDDEN, True), (SHOWN, False)):
            for match in matches(wanted, scores.value):
                inner, mask = match.found["s"], match.found["mask"]
                assert isinstance(inner, SSAValue) and isinstance(mask, SSAValue)
                if dims_of(inner.type) != scores.shape or scores.mask is not None:
                    continue
                found = replace(scores, value=inner, ops=(*scores.ops, *match.ops))
                if is_causal(mask, seen, scores.shape):
                    return without_masks(replace(found, is_causal=True))
                return without_masks(replace(found, mask=mask, seen=seen))
    if scores.mask is not None:
        return scores  # added inside of it, a number that is no number would show through
    for match in matches(SUMMED, scores.value):
        inner, mask = match.found["s"], match.found["mask"]
        assert isinstance(inner, SSAValue) and isinstance(mask, SSAValue)
        if dims_of(inner.type) == scores.shape and _has_product(inner):
            ops, added = (*scores.ops, *match.ops), (*scores.added, mask)
            return without_masks(replace(scores, value=inner, ops=ops, added=added))
    return scores


def _has_product(value: SSAValue) -> bool:
    """Whether a value is scores: a product of matrices, scaled or with masks added."""
    for _ in range(4):
        if _scaled_product(value) is not None:
            return True
        owner = value.owner
        if not isinstance(owner, GraphOp) or operation_name(owner) != "add":
            return False
        value = next((o for o in owner.operands if dims_of(o.type) == dims_of(value.type)), value)
    return False


def _mask(scores: Scores, sketch: Sketch) -> Term | None:
    """The one mask that the op takes."""
    if scores.mask is not None:
        mask = sketch.term(scores.mask)
        return mask if scores.seen else mask.of("logical_not")
    if not scores.added:
        return None
    total, *rest = (sketch.term(v) for v in reversed(scores.added))
    for other in rest:
        total = total + other
    return total


# -- causal masks -------------------------------------------------------------------------------------------------


def is_causal(mask: SSAValue, seen: bool, shape: Shape) -> bool:
    """Whether a mask of bools shows position i the keys up to i + t - s, and no others."""
    values = _array(mask, shape)
    if values is None:
        return False
    rows, keys = values.shape
    return np.array_equal(values == seen, np.tri(rows, keys, keys - rows, dtype=bool))


LARGEST = 1 << 22
"""Masks of more elements than this are not looked into."""

COMPUTED = frozenset(
    {"constant", "iota", "compare", "where", "cast", "add", "sub", "mul", "neg", "logical_not", "logical_and"}
    | {"broadcast", "reshape", "transpose", "slice", "tril", "triu"}
)


def _array(value: SSAValue, shape: Shape) -> np.ndarray | None:
    """The rows and keys of a mask that is known as it stands, and the same for all heads."""
    sizes = dims_of(value.type)
    rows, keys = (d.value for d in shape[-2:])
    if len(sizes) < 2 or not rows or not keys or rows * keys > LARGEST or sizes[-2:] != shape[-2:]:
        return None
    if any(d.value != 1 for d in sizes[:-2]):
        return None
    known = _computed(value)
    return None if known is None else known.reshape(rows, keys)


def _computed(value: SSAValue) -> np.ndarray | None:
    """What a value is, where it depends on nothing but places and constants."""
    order: list[GraphOp] = []
    work, seen = [value.owner], set[Operation]()
    while work:
        op = work.pop()
        if not isinstance(op, GraphOp) or operation_name(op) not in COMPUTED or len(order) > 32:
            return None
        order.append(op)
        seen.add(op)
        work += [o.owner for o in op.operands if o.owner not in seen]  # pyright: ignore[reportArgumentType]
    arrays: dict[SSAValue, np.ndarray] = {}
    while value not in arrays:
        for op in order:
            if op.results[0] not in arrays and all(o in arrays for o in op.operands):
                arrays[op.results[0]] = op.run([arrays[o] for o in op.operands])[0]
    return arrays[value]


# -- the product --------------------------------------------------------------------------------------------------


def _scaled_product(value: SSAValue) -> tuple[SSAValue, SSAValue, float, tuple[Operation, ...]] | None:
    """q, k^T and the scale of scale * (q @ k^T), however the scale is shared, and the ops that this takes."""
    scale, inner, ops = _without_number(value)
    found = next(matches(PRODUCT, inner), None)
    if found is None:
        return None
    sides: list[SSAValue] = []
    ops = (*ops, *found.ops)
    for side in (found.found["q"], found.found["k"]):
        assert isinstance(side, SSAValue)
        own, rest, more = _without_number(side) if side.has_one_use() else (1.0, side, ())
        scale, ops = scale * own, (*ops, *more)
        sides.append(rest)
    depth = dims_of(sides[0].type)[-1].value
    usual = (depth or 1) ** -0.5
    return sides[0], sides[1], usual if is_close(scale, usual, value) else as_written(scale, value), ops


def _without_number(value: SSAValue) -> tuple[float, SSAValue, tuple[Operation, ...]]:
    """A value as a number times another value."""
    found = factors_of(value, 1)
    if found is None or len(found.powers) != 1:
        return 1.0, value, ()
    ((inner, is_root), power) = next(iter(found.powers.items()))
    if is_root or power != 1 or inner.type != value.type or found.coefficient == 0:
        return 1.0, value, ()
    return found.coefficient, inner, found.ops


def _swapped(x: Term) -> Term:
    """The last two dims in the other order; of a transposed tensor by one transpose, or none."""
    rank = len(x.dims)
    perm = [*range(rank - 2), rank - 1, rank - 2]
    owner = x.value.owner
    if not isinstance(owner, GraphOp) or operation_name(owner) != "transpose":
        return x.of("transpose", perm=perm)
    source, first = x.sketch.term(owner.operands[0]), ints(owner.values(), "perm")
    both = [first[p] for p in perm]
    return source if both == list(range(rank)) else source.of("transpose", perm=both)


RULES: tuple[Pattern, ...] = (attention,)
