"""Algebra of real numbers: what `fast-math` allows, and no other level does.

Results change by rounding, and where numbers are NaN, infinite, zeros of either sign, or overflow on the way.
"""

from __future__ import annotations

from math import isfinite

from dialects.graph import OPS, GraphOp, make
from dialects.types import is_float
from lowering.graph.simplify.values import constant, produced_by, put, replace_by, splat_of, type_of
from lowering.rewriting import Pattern, Rewriter, pattern


def is_real(op: GraphOp) -> bool:
    """Whether an op gives floats that are not quantised."""
    return is_float(type_of(op.results[0]).element_type)


def number_in(op: GraphOp, place: int) -> float | None:
    """The finite number that an operand is everywhere."""
    number = splat_of(op.operands[place])
    return number if isinstance(number, float) and isfinite(number) else None


@pattern(OPS["mul"], OPS["div"], OPS["sub"])
def nothing_left(op: GraphOp, rewriter: Rewriter) -> None:
    """x * 0 = 0 / x = x - x = 0; x / x = 1"""
    x, y = op.operands
    if not is_real(op):
        return
    if x is y and type(op) is not OPS["mul"]:
        put(op, [constant(0.0 if type(op) is OPS["sub"] else 1.0, x)], rewriter)
    elif (type(op) is not OPS["sub"] and splat_of(x) == 0) or (type(op) is OPS["mul"] and splat_of(y) == 0):
        put(op, [constant(0.0, x)], rewriter)


@pattern(OPS["add"])
def add_of_any_zero(op: GraphOp, rewriter: Rewriter) -> None:
    """x + 0 = x, for a zero of either sign"""
    for x, other in (op.operands, reversed(op.operands)):
        if is_real(op) and splat_of(other) == 0:
            replace_by(op, x, rewriter)
            return


@pattern(OPS["div"])
def div_by_constant(op: GraphOp, rewriter: Rewriter) -> None:
    """x / c = x * (1 / c)"""
    number = number_in(op, 1)
    if is_real(op) and number and isfinite(1 / number):
        factor = constant(1 / number, op.operands[1])
        put(op, [factor, make("mul", [op.operands[0], factor.results[0]])], rewriter)


@pattern(OPS["add"], OPS["sub"])
def constants_of_sum(op: GraphOp, rewriter: Rewriter) -> None:
    """(x + c) + d = x + (c + d), and with x - c, c - x"""
    for place in (0, 1):
        outer, value = number_in(op, place), op.operands[1 - place]
        inner = produced_by(value, "add") or produced_by(value, "sub")
        if outer is None or inner is None:
            continue
        for at in (0, 1):
            number = number_in(inner, at)
            if number is None or not is_real(op):
                continue
            inverts, subtracts = type(op) is OPS["sub"], type(inner) is OPS["sub"]
            sign_in = -1 if inverts and place == 0 else 1  # of the inner sum in the outer one
            sign_out = -1 if inverts and place == 1 else 1
            sign_x = sign_in * (-1 if subtracts and at == 0 else 1)
            total = constant(
                sign_out * outer + sign_in * number * (-1 if subtracts and at == 1 else 1), op.operands[place]
            )
            x = inner.operands[1 - at]
            new = make("add", [x, total.results[0]]) if sign_x > 0 else make("sub", [total.results[0], x])
            put(op, [total, new], rewriter, (inner,))
            return


@pattern(OPS["mul"])
def constants_of_product(op: GraphOp, rewriter: Rewriter) -> None:
    """(x * c) * d = x * (c * d)"""
    for place in (0, 1):
        outer, inner = number_in(op, place), produced_by(op.operands[1 - place], "mul")
        if outer is None or inner is None or not is_real(op):
            continue
        for at in (0, 1):
            if (number := number_in(inner, at)) is not None and isfinite(outer * number):
                factor = constant(outer * number, op.operands[place])
                put(
                    op, [factor, make("mul", [inner.operands[1 - at], factor.results[0]])], rewriter, (inner,)
                )
                return


@pattern(OPS["add"], OPS["sub"])
def common_factor(op: GraphOp, rewriter: Rewriter) -> None:
    """a * b + a * c = a * (b + c), where nothing else reads the products"""
    left, right = (produced_by(v, "mul") for v in op.operands)
    if left is None or right is None or left is right or not is_real(op):
        return
    if not all(v.has_one_use() for v in op.operands):
        return
    for i, a in enumerate(left.operands):
        for j, b in enumerate(right.operands):
            if a is b:
                rest = make(op.name.removeprefix("graph."), [left.operands[1 - i], right.operands[1 - j]])
                put(op, [rest, make("mul", [a, rest.results[0]])], rewriter, (left, right))
                return


@pattern(OPS["mul"], OPS["div"])
def product_of_exps(op: GraphOp, rewriter: Rewriter) -> None:
    """exp(a) * exp(b) = exp(a + b); exp(a) / exp(b) = exp(a - b), where nothing else reads them"""
    left, right = (produced_by(v, "exp") for v in op.operands)
    if left is None or right is None or not (left is right or all(v.has_one_use() for v in op.operands)):
        return
    both = make("add" if type(op) is OPS["mul"] else "sub", [left.operands[0], right.operands[0]])
    put(op, [both, make("exp", both.results)], rewriter, (left, right))


@pattern(OPS["log"], OPS["exp"])
def inverse_functions(op: GraphOp, rewriter: Rewriter) -> None:
    """log(exp(x)) = exp(log(x)) = x"""
    inner = produced_by(op.operands[0], "exp" if type(op) is OPS["log"] else "log")
    if inner is not None:
        rewriter.replace_with_values(op, inner.operands)


@pattern(OPS["mul"])
def product_of_roots(op: GraphOp, rewriter: Rewriter) -> None:
    """sqrt(x) * sqrt(x) = x"""
    inner = produced_by(op.operands[0], "sqrt")
    if inner is not None and op.operands[0] is op.operands[1]:
        rewriter.replace_with_values(op, inner.operands)


@pattern(OPS["sqrt"])
def root_of_square(op: GraphOp, rewriter: Rewriter) -> None:
    """sqrt(x * x) = abs(x)"""
    inner = produced_by(op.operands[0], "mul")
    if inner is not None and inner.operands[0] is inner.operands[1]:
        put(op, [make("abs", inner.operands[:1])], rewriter, (inner,))


@pattern(OPS["div"])
def div_by_root(op: GraphOp, rewriter: Rewriter) -> None:
    """1 / sqrt(x) = rsqrt(x)"""
    inner = produced_by(op.operands[1], "sqrt")
    if inner is not None and splat_of(op.operands[0]) == 1:
        put(op, [make("rsqrt", inner.operands)], rewriter, (inner,))


@pattern(OPS["pow"])
def power_of_constant(op: GraphOp, rewriter: Rewriter) -> None:
    """x ** 0 = 1; x ** 2 = x * x; x ** 3 = x * x * x; x ** 0.5 = sqrt(x); x ** -0.5 = rsqrt(x); x ** -1 = 1 / x"""
    x, number = op.operands[0], number_in(op, 1)
    if number is None or not is_real(op):
        return
    if number == 0:
        put(op, [constant(1.0, x)], rewriter)
    elif number in (2, 3):
        square = make("mul", [x, x])
        put(op, [square] if number == 2 else [square, make("mul", [square.results[0], x])], rewriter)
    elif number in (0.5, -0.5):
        put(op, [make("sqrt" if number > 0 else "rsqrt", [x])], rewriter)
    elif number == -1:
        one = constant(1.0, x)
        put(op, [one, make("div", [one.results[0], x])], rewriter)


FAST: tuple[Pattern, ...] = (
    nothing_left,
    add_of_any_zero,
    div_by_root,
    div_by_constant,
    constants_of_sum,
    constants_of_product,
    common_factor,
    product_of_exps,
    inverse_functions,
    product_of_roots,
    root_of_square,
    power_of_constant,
)
"""The rules, in the order in which they are tried at an op."""
