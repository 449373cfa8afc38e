"""Inverse and hyperbolic functions, made of those that the language has."""

from __future__ import annotations

from irkit.onnx.node import Node, Result, rule
from irkit.tracing import ops


@rule("Asin")
def asin(n: Node) -> Result:
    x = n[0]
    return ops.atan2(x, ops.sqrt((1 - x) * (1 + x)))


@rule("Acos")
def acos(n: Node) -> Result:
    x = n[0]
    return ops.atan2(ops.sqrt((1 - x) * (1 + x)), x)


@rule("Sinh")
def sinh(n: Node) -> Result:
    """Exact near zero."""
    x = n[0]
    return 0.5 * (ops.expm1(x) - ops.expm1(-x))


@rule("Cosh")
def cosh(n: Node) -> Result:
    x = n[0]
    return 0.5 * (ops.exp(x) + ops.exp(-x))


@rule("Asinh")
def asinh(n: Node) -> Result:
    """Exact near zero, and without a square that overflows."""
    x = n[0]
    size = ops.abs(x)
    inverse = 1 / size
    return ops.sign(x) * ops.log1p(size + size / (inverse + ops.sqrt(inverse * inverse + 1)))


@rule("Acosh")
def acosh(n: Node) -> Result:
    beyond = n[0] - 1
    return ops.log1p(beyond + ops.sqrt(beyond) * ops.sqrt(beyond + 2))


@rule("Atanh")
def atanh(n: Node) -> Result:
    x = n[0]
    return 0.5 * (ops.log1p(x) - ops.log1p(-x))
