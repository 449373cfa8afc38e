"""Where the channels of a product stand in a value that views lead to, and what differs between channels alone."""

from __future__ import annotations

from typing import TypeAlias

from xdsl.ir import SSAValue

from dialects.dims import ONE, product
from dialects.graph import operation_name
from dialects.graph.carrying import has_quantised
from dialects.graph.movement import ReshapeOp, TransposeOp
from dialects.graph.shapes import Shape, ints
from dialects.graph.sketch import Term
from dialects.types import dims_of
from lowering.graph.reshapes import matching, shaped
from lowering.rewriting import is_scheduled

View = TransposeOp | ReshapeOp
Places: TypeAlias = "tuple[int, ...] | None"
"""The dims that tell a channel, from the outermost; None where it shares its dims with others."""


def view_of(value: SSAValue) -> View | None:
    """The transpose or reshape that a value is, if the program gives it no schedule."""
    op = value.owner
    is_view = isinstance(op, View) and not is_scheduled(op) and not has_quantised([op.results[0].type])  # pyright: ignore
    return op if is_view else None  # pyright: ignore[reportReturnType]


def behind(view: View, places: Places) -> Places:
    """The places in what a view gives of those in what it reads."""
    if isinstance(view, TransposeOp):
        perm = ints(view.values(), "perm")
        return None if places is None else tuple(perm.index(p) for p in places)
    return _regrouped(_dims(view.operands[0]), _dims(view.results[0]), places)


def ahead(view: View, places: Places) -> Places:
    """The places in what a view reads of those in what it gives."""
    if isinstance(view, TransposeOp):
        perm = ints(view.values(), "perm")
        return None if places is None else tuple(perm[p] for p in places)
    return _regrouped(_dims(view.results[0]), _dims(view.operands[0]), places)


def _dims(value: SSAValue) -> Shape:
    return dims_of(value.type)  # pyright: ignore[reportArgumentType]


def _regrouped(old: Shape, new: Shape, places: Places) -> Places:
    """The same channels in a tensor of other dims, where these split and join no other dims with theirs."""
    found: list[int] = []
    groups, left = matching(old, new), list(places or ())
    while left:
        before, after = next(group for group in groups if left[0] in group[0])
        inside = [a for a in before if old[a] != ONE]
        if not inside or left[: len(inside)] != inside:
            return None
        found += [a for a in after if new[a] != ONE]
        left = left[len(inside) :]
    return tuple(found) if found else None


def is_vector(dims: Shape, rank: int, places: Places) -> bool:
    """Whether a tensor of these dims, broadcast to a rank, differs between channels alone."""
    first = rank - len(dims)
    return first >= 0 and all(d == ONE or first + i in (places or ()) for i, d in enumerate(dims))


def vector(x: Term, shape: Shape, places: Places) -> Term:
    """A tensor that differs between channels alone, broadcast to a shape, as a vector; as a number where it does not."""
    if all(d == ONE for d in x.dims):
        return shaped(x, [])
    assert places is not None
    wide = [*[ONE] * (len(shape) - len(x.dims)), *x.dims]
    order = sorted(places)
    own, full = ([sizes[p] for p in order] for sizes in (wide, shape))
    parts = shaped(x, own)
    parts = parts if own == full else parts.of("broadcast", shape=full)
    if order != list(places):
        parts = parts.of("transpose", perm=[order.index(p) for p in places])
    return shaped(parts, [product(full)])


def through(views: list[View], x: Term) -> Term:
    """A tensor seen through views of which the last is the first to be applied."""
    for view in reversed(views):
        x = x.of(operation_name(view), **view.values())
    return x
