"""Ops that a cheaper one gives the bits of."""

from __future__ import annotations

from math import frexp

from xdsl.dialects import builtin
from xdsl.ir import Attribute

from dialects.dims import ONE
from dialects.graph import OPS, GraphOp, make
from dialects.graph.carrying import has_quantised
from dialects.types import dims_of, is_integer
from lowering.graph.simplify.values import constant, produced_by, put, splat_of, type_of
from lowering.rewriting import Pattern, Rewriter, pattern

EXPONENTS: dict[Attribute, int] = {builtin.f16: 14, builtin.bf16: 126, builtin.f32: 126, builtin.f64: 1022}
"""For each float, how far its powers of two go that have a normal reciprocal."""


@pattern(OPS["div"])
def div_by_power_of_two(op: GraphOp, rewriter: Rewriter) -> None:
    """x / 2**k = x * 2**-k"""
    number = splat_of(op.operands[1])
    reach = EXPONENTS.get(type_of(op.results[0]).element_type)
    if reach is None or not isinstance(number, float):
        return
    mantissa, exponent = frexp(number)
    if abs(mantissa) == 0.5 and abs(exponent - 1) <= reach:
        factor = constant(1 / number, op.operands[1])
        put(op, [factor, make("mul", [op.operands[0], factor.results[0]])], rewriter)


@pattern(OPS["mul"])
def product_of_negs(op: GraphOp, rewriter: Rewriter) -> None:
    """neg(x) * neg(y) = x * y; neg(x) * c = x * -c"""
    if has_quantised([type_of(v) for v in op.operands]):
        return
    x, y = (produced_by(v, "neg") for v in op.operands)
    if x is not None and y is not None:
        put(op, [make("mul", [x.operands[0], y.operands[0]])], rewriter, (x, y))
        return
    inner, other = (x, op.operands[1]) if x is not None else (y, op.operands[0])
    if inner is not None and isinstance(splat_of(other), int | float):
        factor = make("neg", [other])
        put(op, [factor, make("mul", [inner.operands[0], factor.results[0]])], rewriter, (inner,))


@pattern(OPS["pow"])
def square_of_integer(op: GraphOp, rewriter: Rewriter) -> None:
    """x ** 2 = x * x for integers"""
    if splat_of(op.operands[1]) == 2 and is_integer(type_of(op.results[0]).element_type):
        put(op, [make("mul", [op.operands[0], op.operands[0]])], rewriter)


@pattern(OPS["tile"])
def tile_of_ones(op: GraphOp, rewriter: Rewriter) -> None:
    """tile(x, n) = broadcast(x) where only dims of size 1 are repeated"""
    own, shape = (dims_of(v.type) for v in (op.operands[0], op.results[0]))
    if all(a in (ONE, b) for a, b in zip(reversed(own), reversed(shape), strict=False)):
        rewriter.replace(op, make("broadcast", op.operands, {"shape": shape}))


CHEAPER: tuple[Pattern, ...] = (div_by_power_of_two, product_of_negs, square_of_integer, tile_of_ones)
