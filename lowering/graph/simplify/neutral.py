"""Neutral elements, and operands that are equal."""

from __future__ import annotations

from dialects.graph import OPS, GraphOp
from dialects.types import is_complex, is_float, is_integer
from lowering.graph.simplify.values import constant, is_positive_zero, put, replace_by, splat_of, type_of
from lowering.rewriting import Pattern, Rewriter, pattern


@pattern(OPS["add"])
def add_of_zero(op: GraphOp, rewriter: Rewriter) -> None:
    """x + 0 = x for integers; x + (-0.0) = x for floats, where -0.0 + 0.0 is 0.0"""
    for x, other in (op.operands, reversed(op.operands)):
        zero = splat_of(other)
        element = type_of(other).element_type
        if zero == 0 and (is_integer(element) or (is_float(element) and not is_positive_zero(zero))):
            replace_by(op, x, rewriter)
            return


@pattern(OPS["sub"])
def sub_of_zero(op: GraphOp, rewriter: Rewriter) -> None:
    """x - 0 = x"""
    zero = splat_of(op.operands[1])
    if zero is not None and is_positive_zero(zero) and not is_complex(type_of(op.operands[1]).element_type):
        replace_by(op, op.operands[0], rewriter)


@pattern(OPS["mul"])
def mul_of_one(op: GraphOp, rewriter: Rewriter) -> None:
    """x * 1 = x"""
    for x, other in (op.operands, reversed(op.operands)):
        if splat_of(other) == 1 and not is_complex(type_of(other).element_type):
            replace_by(op, x, rewriter)
            return


@pattern(OPS["div"], OPS["pow"])
def div_or_pow_of_one(op: GraphOp, rewriter: Rewriter) -> None:
    """x / 1 = x; x ** 1 = x"""
    if splat_of(op.operands[1]) == 1 and not is_complex(type_of(op.operands[1]).element_type):
        replace_by(op, op.operands[0], rewriter)


@pattern(OPS["min"], OPS["max"], OPS["logical_and"], OPS["logical_or"])
def op_of_equals(op: GraphOp, rewriter: Rewriter) -> None:
    """min(x, x) = max(x, x) = x; x and x = x or x = x"""
    if op.operands[0] is op.operands[1]:
        rewriter.replace_with_values(op, [op.operands[0]])


@pattern(OPS["logical_and"], OPS["logical_or"])
def logic_of_constant(op: GraphOp, rewriter: Rewriter) -> None:
    """x and true = x; x or false = x"""
    for x, other in (op.operands, reversed(op.operands)):
        if splat_of(other) is (type(op) is OPS["logical_and"]):
            replace_by(op, x, rewriter)
            return


@pattern(OPS["where"])
def where_of_constant(op: GraphOp, rewriter: Rewriter) -> None:
    """where(true, a, b) = a; where(false, a, b) = b; where(c, a, a) = a"""
    condition, a, b = op.operands
    chosen = splat_of(condition)
    if a is b:
        replace_by(op, a, rewriter)
    elif chosen is not None:
        replace_by(op, a if chosen else b, rewriter)


@pattern(OPS["mul"], OPS["sub"])
def zero_of_integers(op: GraphOp, rewriter: Rewriter) -> None:
    """x * 0 = x - x = 0 for integers"""
    if not is_integer(type_of(op.results[0]).element_type):
        return
    is_product = type(op) is OPS["mul"]
    if any(splat_of(v) == 0 for v in op.operands) if is_product else op.operands[0] is op.operands[1]:
        put(op, [constant(0, op.results[0])], rewriter)


NEUTRAL: tuple[Pattern, ...] = (
    add_of_zero,
    sub_of_zero,
    mul_of_one,
    div_or_pow_of_one,
    op_of_equals,
    logic_of_constant,
    where_of_constant,
    zero_of_integers,
)
