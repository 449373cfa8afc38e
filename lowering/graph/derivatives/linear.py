"""Forward mode of ops that are linear: they apply themselves to tangents."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import ArrayAttr

from dialects.dims import ONE
from dialects.graph.base import make, short_name
from dialects.graph.sketch import Term
from dialects.graph.structure import Access, AccessAttr, IndexOp
from dialects.types import is_float_tensor
from lowering.graph.derivatives.contraction import swapped, windows
from lowering.graph.derivatives.explode import is_plain
from lowering.graph.derivatives.rules import Step, added, filled, forward, spread_to

LINEAR = (
    *("cast", "reshape", "transpose", "broadcast", "concat", "slice", "split", "flip", "roll", "tile", "pad"),
    *("tril", "triu", "pixel_shuffle", "gather", "gather_nd", "take_along", "reduce_sum", "reduce_mean"),
    *("cumsum", "avg_pool2d", "global_avg_pool", "adaptive_avg_pool2d", "resize_nearest", "resize_bilinear"),
)
"""Ops that are linear in all operands of floats together."""

BILINEAR = ("matmul", "einsum", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d")
"""Ops that are linear in each operand; the third operand of a convolution is added to the product."""


def _applied(step: Step, x: Sequence[Term], **changed: object) -> list[Term]:
    """The results of the same op on other operands."""
    op = make(short_name(step.op), [t.value for t in x], {**step.values, **changed}, step.sketch.loc)
    return [step.sketch.term(r) for r in step.sketch.add(op).results]


@forward(*LINEAR)
def _linear(step: Step) -> Sequence[Term | None]:
    """Zeros stand for operands without a tangent, and around what is padded; integers, which are places, stay."""
    x: list[Term] = []
    for value, t in zip(step.x, step.g, strict=True):
        zero = t is None and is_float_tensor(value.type)
        x.append(filled(step.sketch, value) if zero else value if t is None else t)
    return _applied(step, x, **({"value": 0.0} if "value" in step.values else {}))


@forward(*BILINEAR)
def _products(step: Step) -> Sequence[Term | None]:
    has_bias = len(step.x) == 3 and short_name(step.op) != "einsum"
    factors, y = step.x[:2] if has_bias else step.x, step.y[0]
    parts: list[Term | None] = []
    for i, t in enumerate(step.g[: len(factors)]):
        if t is not None:
            parts += _applied(step, [t if j == i else x for j, x in enumerate(factors)])
    if has_bias and (t := step.g[2]) is not None:
        parts.append(t.reshape([*t.dims, *[ONE] * (len(y.dims) - 2)]))
    total = added(parts)
    return [None if total is None else spread_to(total, y.dims)]


@forward("index")
def _index(step: Step) -> Sequence[Term | None]:
    """Index notation that only moves elements, alone or summed, on the tangent of what it moves; outside it is zero."""
    op = step.op
    assert isinstance(op, IndexOp) and is_plain(op) and op.body.block.last_op is not None
    accesses = op.accesses()
    number = op.body.block.args.index(op.body.block.last_op.operands[0])  # pyright: ignore[reportArgumentType]
    t = step.g[accesses[number].operand]
    if t is None:
        return [None]
    old = accesses[number]
    boundary = "zero" if old.boundary == "value" else old.boundary
    accesses[number] = Access(old.operand, old.index, boundary)
    moved = step.sketch.add(op.clone())
    moved.operands[old.operand] = t.value
    moved.properties["reads"] = ArrayAttr(map(AccessAttr, accesses))
    return [step.sketch.term(moved.results[0])]


@forward("max_pool2d")
def _max_pool(step: Step) -> Sequence[Term | None]:
    """The tangent of the first of the greatest of each window."""
    y = step.y[0]
    seen = windows(step, step.x[0], float("-inf"))
    first = seen.of("argmax", axis=-1, keepdims=True)
    return [windows(step, step.tangent(0), 0.0).of("take_along", first, axis=-1).reshape(y.dims)]


@forward("triangular_solve")
def _triangular_solve(step: Step) -> Sequence[Term | None]:
    """a^-1 (db - da y), of the triangle of da."""
    a, lower, (da, db) = step.x[0], bool(step.values["lower"]), step.g
    moved = None if da is None else -da.of("tril" if lower else "triu").of("matmul", step.y[0])
    total = added([db, moved])
    return [None if total is None else a.of("triangular_solve", total, lower=lower)]


@forward("cholesky")
def _cholesky(step: Step) -> Sequence[Term | None]:
    """L P(L^-1 dx L^-T), P taking the lower triangle and half the diagonal; of the triangle of dx that the op reads.

    I. Murray, "Differentiation of the Cholesky decomposition", 2016, equation 8.
    """
    y, t = step.y[0], step.tangent(0)
    whole = t.of("tril") + swapped(t.of("tril", k=-1))
    left = y.of("triangular_solve", whole)  # L^-1 dx
    both = y.of("triangular_solve", swapped(left))  # L^-1 (L^-1 dx)^T
    return [y.of("matmul", (both.of("tril") + both.of("tril", k=-1)) * 0.5)]
