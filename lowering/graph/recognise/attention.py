"""Attention: softmax(scale * q k^T + mask) v, with the scale on either side of the product, and masks of several kinds."""

from __future__ import annotations

from xdsl.ir import SSAValue

from dialects.graph import OPS, GraphOp, Mismatch, operation_name
from dialects.graph.shapes import ints
from dialects.graph.sketch import Sketch, Term
from dialects.types import dims_of
from lowering.graph.recognise.forms import NUMBER, Form, either, form
from lowering.graph.recognise.masks import Scores, one_mask, without_masks
from lowering.graph.recognise.match import Match, matches
from lowering.graph.recognise.rules import computes_floats, may_be_absorbed
from lowering.graph.recognise.scores import scaled_product
from lowering.rewriting import Pattern, Rewriter, is_scheduled, pattern


def _safe(weights: Form) -> Form:
    """Zero where a weight is NaN, as exports of torch have it."""
    is_nan, is_number = either(weights.of("is_nan"), weights.differs(weights)), weights.equals(weights)
    return either(
        is_nan.where(0.0, weights),
        either(is_number, is_nan.of("logical_not")).where(weights, 0.0),
    )


SUMS_OF_VALUES = {
    "nan": form(lambda s, v, axis=NUMBER: s.of("softmax", axis=axis).of("matmul", v)),
    "safe": form(lambda s, v, axis=NUMBER: _safe(s.of("softmax", axis=axis)).of("matmul", v)),
}
"""Sums of values, by what `unseen` is with them."""


@pattern(OPS["matmul"])
def attention(op: GraphOp, rewriter: Rewriter) -> None:
    """softmax(scale * (q @ k^T) + mask) @ v, or where(mask, scores, hidden) of the scores, = attention(q, k, v, mask)"""
    known = (
        (unseen, next(matches(wanted, op.results[0]), None)) for unseen, wanted in SUMS_OF_VALUES.items()
    )
    unseen, found = next(((u, match) for u, match in known if match is not None), ("", None))
    if found is None or not computes_floats(op):
        return
    scores, v, axis = found.found["s"], found.found["v"], found.found["axis"]
    assert isinstance(scores, SSAValue) and isinstance(v, SSAValue)
    shape = dims_of(scores.type)
    if len(shape) < 2 or axis != len(shape) - 1:
        return
    masked = without_masks(Scores(scores, shape, found.ops))
    scaled = scaled_product(masked.value)
    if scaled is None:
        return
    q, k, scale, ops = scaled
    match = Match({}, (*masked.ops, *ops))
    if not may_be_absorbed(op, match):
        return
    sketch = Sketch()
    x = [sketch.term(q), _swapped(sketch.term(k)), sketch.term(v)]
    mask = one_mask(masked, sketch)
    try:
        values: dict[str, object] = {"scale": scale, "causal": masked.is_causal, "unseen": unseen}
        if masked.hidden not in (None, float("-inf")):
            values["hidden"] = masked.hidden
        made = x[0].of("attention", *x[1:], *([mask] if mask is not None else []), **values)
    except Mismatch:  # batches that broadcast, masks wider than the scores
        made = None
    if made is not None and made.type == op.results[0].type:
        rewriter.replace(op, sketch.ops, [made.value], [o for o in match.ops if o is not op])
    else:
        sketch.discard()


def _swapped(x: Term) -> Term:
    """The last two dims in the other order; of a transposed tensor by one transpose, or none."""
    rank = len(x.dims)
    perm = [*range(rank - 2), rank - 1, rank - 2]
    owner = x.value.owner
    if not isinstance(owner, GraphOp) or operation_name(owner) != "transpose" or is_scheduled(owner):
        return x.of("transpose", perm=perm)
    source, first = x.sketch.term(owner.operands[0]), ints(owner.values(), "perm")
    both = [first[p] for p in perm]
    return source if both == list(range(rank)) else source.of("transpose", perm=both)


RULES: tuple[Pattern, ...] = (attention,)
