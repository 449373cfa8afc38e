"""What an active op without a rule of its own is differentiated as: other ops that compute the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xdsl.ir import Operation, SSAValue

from dialects.errors import IrkitError
from dialects.graph.base import GraphOp, operation_name
from dialects.graph.custom import CustomOp
from dialects.graph.derived import Derived
from dialects.graph.sketch import Sketch, Term
from dialects.graph.structure import IndexOp, copied
from lowering.graph.attention import attention
from lowering.graph.derivatives.explode import exploded

Formula = Callable[[GraphOp, Sequence[Term]], Term]


def has_formula(kind: type[Operation]) -> bool:
    """Whether ops of a kind are differentiated as other ops where they have no rule."""
    return issubclass(kind, Derived | CustomOp | IndexOp) or kind.name.partition(".")[2] in _FORMULAS


def formula_of(op: Operation, sketch: Sketch) -> list[Term]:
    """The results of an op by other ops, appended to a sketch. Raises IrkitError where there is no such formula."""
    if isinstance(op, Derived):
        ops, values = op.decomposed()
        sketch.ops += ops
        return [sketch.term(v) for v in values]
    if isinstance(op, CustomOp):
        given: dict[SSAValue, SSAValue] = dict(zip(op.body.block.args, op.operands, strict=True))
        ops, values = copied(op.body.block, given)
        sketch.ops += ops
        return [sketch.term(v) for v in values]
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


_FORMULAS: dict[str, Formula] = {"attention": lambda op, x: attention(x, op.values())}
