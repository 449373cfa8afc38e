"""Masks of attention: numbers that are added to scores, bools that say which scores count, and those that are causal."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from xdsl.ir import Operation, SSAValue

from dialects.graph import GraphOp, operation_name
from dialects.graph.shapes import Shape
from dialects.graph.sketch import Sketch, Term
from dialects.types import dims_of
from lowering.graph.recognise.forms import NUMBER, form
from lowering.graph.recognise.match import matches
from lowering.graph.recognise.scores import scaled_product
from lowering.graph.simplify.values import produced_by
from lowering.rewriting import is_scheduled

SUMMED = form(lambda s, mask: s + mask)
HIDDEN = form(lambda s, mask, hidden=NUMBER: mask.where(s, hidden))
SHOWN = form(lambda s, mask, hidden=NUMBER: mask.where(hidden, s))


@dataclass(frozen=True)
class Scores:
    """What the scores of an attention are, as far as they are known; `seen` says whether a true mask means that keys count,
    `hidden` what the score of those is that do not."""

    value: SSAValue
    shape: Shape
    ops: tuple[Operation, ...]
    added: tuple[SSAValue, ...] = ()
    mask: SSAValue | None = None
    seen: bool = True
    is_causal: bool = False
    hidden: float | None = None


def without_masks(scores: Scores) -> Scores:
    """Takes masks off, the outermost first: those of bools that hide by one number, then what is added."""
    if not scores.added:
        for wanted, seen in ((HIDDEN, True), (SHOWN, False)):
            for match in matches(wanted, scores.value):
                inner, mask, hidden = (match.found[name] for name in ("s", "mask", "hidden"))
                assert isinstance(inner, SSAValue) and isinstance(mask, SSAValue)
                if dims_of(inner.type) != scores.shape or scores.mask is not None:
                    continue
                if scores.hidden not in (None, hidden):
                    continue
                ops = (*scores.ops, *match.ops)
                found = replace(scores, value=inner, ops=ops, hidden=float(hidden))  # pyright: ignore
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
        if scaled_product(value) is not None:
            return True
        owner = value.owner
        if not isinstance(owner, GraphOp) or operation_name(owner) != "add":
            return False
        value = next((o for o in owner.operands if dims_of(o.type) == dims_of(value.type)), value)
    return False


def one_mask(scores: Scores, sketch: Sketch) -> Term | None:
    """The one mask that the op takes."""
    if scores.mask is not None:
        mask, seen = scores.mask, scores.seen
        inverse = produced_by(mask, "logical_not")
        if not seen and inverse is not None:
            mask, seen = inverse.operands[0], True
        return sketch.term(mask) if seen else sketch.term(mask).of("logical_not")
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
        if is_scheduled(op):
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
