"""Functions that networks apply to each element."""

from __future__ import annotations

from math import ceil, floor, isclose

from irkit.onnx.faults import Unsupported
from irkit.onnx.node import Node, Result, rule
from irkit.onnx.values import is_float
from irkit.tracing import ops
from irkit.tracing.tensor import Tensor


@rule("LeakyRelu")
def leaky_relu(n: Node) -> Result:
    return ops.leaky_relu(n[0], alpha=n.attr("alpha", 0.01))


@rule("Elu")
def elu(n: Node) -> Result:
    return ops.elu(n[0], alpha=n.attr("alpha", 1.0))


@rule("PRelu")
def prelu(n: Node) -> Result:
    x, slope = n[0], n[1]
    if n.version < 9 and slope.ndim == 1 and x.ndim > 2:
        slope = ops.reshape(slope, [*slope.shape, *[1] * (x.ndim - 2)])
    return ops.where(ops.compare(x, 0, pred="lt"), slope * x, x)


@rule("Gelu")
def gelu(n: Node) -> Result:
    return ops.gelu(n[0], approximate=n.only("approximate", "none", "tanh"))


@rule("HardSigmoid")
def hard_sigmoid(n: Node) -> Result:
    alpha, beta = n.attr("alpha", 0.2), n.attr("beta", 0.5)
    if beta == 0.5 and isclose(alpha, 1 / 6, rel_tol=1e-6):
        return ops.hardsigmoid(n[0])
    return ops.clamp(n[0] * alpha + beta, 0.0, 1.0)


@rule("Swish")
def swish(n: Node) -> Result:
    x, alpha = n[0], n.attr("alpha", 1.0)
    return ops.silu(x) if alpha == 1 else x * ops.sigmoid(alpha * x)


@rule("Selu")
def selu(n: Node) -> Result:
    alpha, gamma = n.attr("alpha", 1.6732632), n.attr("gamma", 1.0507009)
    x = n[0]
    return gamma * ops.where(ops.compare(x, 0, pred="gt"), x, alpha * ops.expm1(ops.minimum(x, 0.0)))


@rule("ThresholdedRelu")
def thresholded_relu(n: Node) -> Result:
    return thresholded(n[0], n.attr("alpha", 1.0))


def thresholded(x: Tensor, alpha: float) -> Tensor:
    """x where it is above alpha, else 0."""
    return ops.where(ops.compare(x, alpha, pred="gt"), x, 0.0)


@rule("Softsign")
def softsign(n: Node) -> Result:
    return softsigned(n[0])


def softsigned(x: Tensor) -> Tensor:
    return x / (1 + ops.abs(x))


@rule("Celu")
def celu(n: Node) -> Result:
    x, alpha = n[0], n.attr("alpha", 1.0)
    if alpha == 1:
        return ops.elu(x)
    return ops.where(ops.compare(x, 0, pred="gt"), x, alpha * ops.expm1(ops.minimum(x, 0.0) / alpha))


@rule("Shrink")
def shrink(n: Node) -> Result:
    """Towards zero by a bias, and zero near it."""
    x, bias, edge = n[0], n.attr("bias", 0.0), n.attr("lambd", 0.5)
    low, high = -edge, edge
    if not is_float(x):
        if bias != floor(bias):
            raise Unsupported(f"a bias of {bias:g} for integers")
        bias, low, high = int(bias), ceil(low), floor(high)
    found = ops.where(ops.compare(x, high, pred="gt"), x - bias, 0)
    if x.dtype.kind == "u" and low <= 0:
        return found
    return ops.where(ops.compare(x, low, pred="lt"), x + bias, found)
