"""Inverse and hyperbolic functions, made of those that the language has."""

from __future__ import annotations

from math import log

from irkit.onnx.node import Node, Result, rule
from irkit.tracing import ops
from irkit.tracing.tensor import Tensor


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
    """2 sinh(x/2) cosh(x/2), exact near zero, since the exponential of x itself is beyond the largest number first."""
    half = n[0] * 0.5
    return (ops.expm1(half) - ops.expm1(-half)) * (0.5 * (ops.exp(half) + ops.exp(-half)))


@rule("Cosh")
def cosh(n: Node) -> Result:
    """2 cosh(x/2)^2 - 1."""
    half = n[0] * 0.5
    c = 0.5 * (ops.exp(half) + ops.exp(-half))
    return 2 * c * c - 1


@rule("Asinh")
def asinh(n: Node) -> Result:
    """Exact near zero, and without a square that overflows."""
    x = n[0]
    size = ops.abs(x)
    inverse = 1 / size
    near = ops.log1p(size + size / (inverse + ops.sqrt(inverse * inverse + 1)))
    return ops.sign(x) * far_or(size, near)


@rule("Acosh")
def acosh(n: Node) -> Result:
    x = n[0]
    beyond = x - 1
    return far_or(x, ops.log1p(beyond + ops.sqrt(beyond) * ops.sqrt(beyond + 2)))


def far_or(x: Tensor, near: Tensor) -> Tensor:
    """log(2x) where x is so large that both functions are that."""
    edge = 1e9 if x.dtype_name == "f64" else 1e4
    return ops.where(ops.compare(x, edge, pred="gt"), ops.log(x) + log(2), near)


@rule("Atanh")
def atanh(n: Node) -> Result:
    x = n[0]
    return 0.5 * (ops.log1p(x) - ops.log1p(-x))
