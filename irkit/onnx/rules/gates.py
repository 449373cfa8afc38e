"""The activations of recurrent layers, by the names that ONNX has for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from irkit.onnx.faults import Unsupported
from irkit.onnx.node import Node
from irkit.onnx.rules.activations import softsigned, thresholded
from irkit.tracing import ops
from irkit.tracing.tensor import Tensor

Activation: TypeAlias = "Callable[[Tensor], Tensor]"


_PLAIN: dict[str, Activation] = {
    "relu": lambda x: ops.relu(x),
    "sigmoid": lambda x: ops.sigmoid(x),
    "softplus": lambda x: ops.softplus(x),
    "softsign": softsigned,
    "tanh": lambda x: ops.tanh(x),
}
_ALPHA: dict[str, tuple[float, Callable[[Tensor, float], Tensor]]] = {
    "elu": (1.0, lambda x, a: ops.elu(x, alpha=a)),
    "leakyrelu": (0.01, lambda x, a: ops.leaky_relu(x, alpha=a)),
    "thresholdedrelu": (1.0, thresholded),
}
"""Those that take a number, with what it is unless told."""
_BOTH: dict[str, tuple[float | None, float | None, Callable[[Tensor, float, float], Tensor]]] = {
    "affine": (1.0, 0.0, lambda x, a, b: x * a + b),
    "hardsigmoid": (0.2, 0.5, lambda x, a, b: ops.clamp(x * a + b, 0.0, 1.0)),
    "scaledtanh": (None, None, lambda x, a, b: a * ops.tanh(b * x)),
}
"""Those that take two numbers."""


def chosen(n: Node, default: Sequence[str], directions: int) -> list[list[Activation]]:
    """The activations of each direction, whose inputs `clip` bounds.

    The numbers of activation_alpha and activation_beta go in order to those that take one. Raises Unsupported.
    """
    names = n.attr("activations") or [*default] * directions
    if len(names) != len(default) * directions:
        raise Unsupported(f"{len(names)} activations of {len(default) * directions}")
    alphas, betas = iter(n.attr("activation_alpha", [])), iter(n.attr("activation_beta", []))
    limit = n.attr("clip")

    def number(given: object, name: str, otherwise: float | None) -> float:
        found = next(given, otherwise)  # pyright: ignore[reportArgumentType, reportCallIssue]
        if found is None:
            raise Unsupported(f"the activation {name} without its numbers")
        return found

    def activation(name: str) -> Activation:
        key = name.lower()
        if key in _PLAIN:
            return _PLAIN[key]
        if key in _ALPHA:
            otherwise, function = _ALPHA[key]
            a = number(alphas, name, otherwise)
            return lambda x: function(x, a)
        if key not in _BOTH:
            raise Unsupported(f"the activation {name}")
        first, second, both = _BOTH[key]
        a, b = number(alphas, name, first), number(betas, name, second)
        return lambda x: both(x, a, b)

    def clipped(function: Activation) -> Activation:
        return function if limit is None else lambda x: function(ops.clamp(x, -limit, limit))

    found = [clipped(activation(name)) for name in names]
    return [found[d * len(default) : (d + 1) * len(default)] for d in range(directions)]
