"""Loops that do not run, choices that are known, values that a loop hands on."""

from __future__ import annotations

from xdsl.ir import SSAValue

from dialects.graph import ForOp, IfOp, YieldOp
from lowering.graph.simplify.values import is_constant
from lowering.rewriting import Pattern, Rewriter, pattern


@pattern(ForOp)
def loop_of_no_iterations(op: ForOp, rewriter: Rewriter) -> None:
    """A loop that never runs gives what it carries in."""
    lower, upper = op.bounds()
    if isinstance(lower, SSAValue) or isinstance(upper, SSAValue):
        return
    trips = (upper - lower).value
    stops = op.conditional is not None and is_constant(op.inits[0], False)
    if stops or (trips is not None and trips <= 0):
        rewriter.replace_with_values(op, list(op.inits))


@pattern(IfOp)
def if_of_constant(op: IfOp, rewriter: Rewriter) -> None:
    """A choice that is known is the body that is chosen"""
    known = next((c for c in (True, False) if is_constant(op.condition, c)), None)
    if known is None:
        return
    body = (op.then if known else op.otherwise).block
    last = body.last_op
    assert isinstance(last, YieldOp)
    for arg, init in zip(body.args, op.inits, strict=True):
        arg.replace_all_uses_with(init)
    values = list(last.operands)
    body.erase_op(last)
    parent = op.parent
    assert parent is not None
    for inner in list(body.ops):
        inner.detach()
        parent.insert_op_before(inner, op)
    rewriter.replace_with_values(op, values)


@pattern(ForOp)
def carried_value_unchanged(op: ForOp, rewriter: Rewriter) -> None:
    """A value that a loop yields as it got it is the initial one, inside and after."""
    last = op.block.last_op
    assert isinstance(last, YieldOp)
    for number, (arg, value, init) in enumerate(zip(op.block.args[1:], last.operands, op.inits, strict=True)):
        if value is not arg:
            continue
        if any(use.operation is not last for use in arg.uses) or op.results[number].first_use is not None:
            rewriter.replace_uses(op.results[number], init)
            rewriter.replace_uses(arg, init)
            last.operands[number] = arg


LOOPS: tuple[Pattern, ...] = (loop_of_no_iterations, if_of_constant, carried_value_unchanged)
