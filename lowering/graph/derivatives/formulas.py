"""What an active op without a rule of its own is differentiated as: other ops that compute the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xdsl.ir import Operation, SSAValue

from dialects.errors import IrkitError
from dialects.graph.base import GraphOp, operation_name
from dialects.graph.custom import CustomOp
from dialects.graph.derived import Derived
from dialects.graph.derived.base import SMALL
from dialects.graph.shapes import number
from dialects.graph.sketch import Sketch, Term
from dialects.graph.structure import IndexOp, YieldOp
from lowering.graph.derivatives.access import integer_of
from lowering.graph.derivatives.contraction import swapped
from lowering.graph.derivatives.explode import exploded

Formula = Callable[[GraphOp, Sequence[Term]], Term]


def formula_of(op: Operation, sketch: Sketch) -> list[Term]:
    """The results of an op by other ops, appended to a sketch. Raises IrkitError where there is no such formula."""
    if isinstance(op, Derived):
        ops, values = op.decomposed()
        sketch.ops += ops
        return [sketch.term(v) for v in values]
    if isinstance(op, CustomOp):
        return [sketch.term(v) for v in _copied(op, sketch)]
    if isinstance(op, IndexOp):
        return [exploded(op, sketch)]
    name = operation_name(op)
    if name in _FORMULAS and isinstance(op, GraphOp):
        return [_FORMULAS[name](op, [sketch.term(v) for v in op.operands])]
    raise IrkitError(
        f"{name} has no derivative",
        op,
        hint="keep it from what is differentiated, with stop_gradient(x), or give it a rule",
    )


def _copied(op: CustomOp, sketch: Sketch) -> list[SSAValue]:
    """The formula of an op of the file, once more."""
    block = op.body.block
    values: dict[SSAValue, SSAValue] = dict(zip(block.args, op.operands, strict=True))
    for inner in block.ops:
        if isinstance(inner, YieldOp):
            return [values.get(v, v) for v in inner.operands]
        sketch.ops.append(inner.clone(values))
    raise AssertionError("a body ends with a yield")


def _attention(op: GraphOp, x: Sequence[Term]) -> Term:
    """Scores, masked; softmax; the sum of values. A row that sees no key gives zeros."""
    q, k, v = (t.cast("f32") if t.dtype in SMALL else t for t in x[:3])
    values, mask = op.values(), x[3] if len(x) == 4 else None
    is_safe = mask is None  # every row sees a key
    scores = q.of("matmul", swapped(k)) * number(values, "scale")
    if mask is not None:
        masked = mask.dtype == "bool"
        scores = mask.where(scores, float("-inf")) if masked else scores + mask.cast(scores.dtype)
    if values["causal"]:
        s, t = scores.dims[-2:]
        row, column = (q.sketch.make("iota", shape=(s, t), axis=axis, dtype="i64") for axis in (0, 1))
        scores = ((column - row) <= integer_of(q.sketch, t - s)).where(scores, float("-inf"))
        is_safe = is_safe and (t - s).bounds({})[0] >= 0
    if is_safe:
        weights = scores.of("softmax", axis=-1)
    else:
        last = (len(scores.dims) - 1,)
        counts = (scores > float("-inf")).of("logical_or", scores.differs(scores))
        sees = counts.of("reduce_any", axes=last, keepdims=True)
        weights = sees.where(sees.where(scores, 0.0).of("softmax", axis=-1), 0.0)
    return weights.of("matmul", v).cast(x[2].dtype)


_FORMULAS: dict[str, Formula] = {"attention": _attention}
