"""Steps of training, and gradients, of the domain ai.onnx.preview.training."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import onnx

from irkit.onnx.faults import Unsupported
from irkit.onnx.node import Node, Result, rule
from irkit.tracing import grad, ops
from irkit.tracing.tensor import Tensor

DOMAIN = "ai.onnx.preview.training"


def _groups(n: Node, count: int, step: Callable[..., tuple[Tensor, ...]]) -> Result:
    """The step of each parameter; inputs are the rate, the number of the step, then all of one kind after another."""
    rest = [n[i] for i in range(2, len(n))]
    if not rest or len(rest) % count:
        raise Unsupported(f"{len(n)} inputs")
    each = len(rest) // count
    found = [step(*rest[k::each]) for k in range(each)]
    return [one for kind in zip(*found, strict=True) for one in kind]


def _scalar(x: Tensor, dtype: str) -> Tensor:
    x = ops.reshape(x, []) if x.ndim else x
    return x if x.dtype_name == dtype else ops.cast(x, dtype)


@rule("Momentum", domain=DOMAIN)
def momentum(n: Node) -> Result:
    alpha, beta, norm = n.needs("alpha"), n.needs("beta"), n.needs("norm_coefficient")
    nesterov = n.only("mode", "standard", "nesterov") == "nesterov"
    began = ops.compare(_scalar(n[1], "i64"), 0, pred="gt")

    def step(x: Tensor, g: Tensor, v: Tensor) -> tuple[Tensor, ...]:
        rate = _scalar(n[0], x.dtype_name)
        g = norm * x + g
        share = 1.0 if beta == 1 else ops.where(began, ops.full([], beta, x.dtype_name), 1.0)
        v = alpha * v + share * g
        return x - rate * (g + alpha * v if nesterov else v), v

    return _groups(n, 3, step)


@rule("Adagrad", domain=DOMAIN)
def adagrad(n: Node) -> Result:
    decay, epsilon, norm = (
        n.attr("decay_factor", 0.0),
        n.attr("epsilon", 0.0),
        n.attr("norm_coefficient", 0.0),
    )

    def step(x: Tensor, g: Tensor, h: Tensor) -> tuple[Tensor, ...]:
        rate = _scalar(n[0], x.dtype_name) / (1 + _scalar(n[1], x.dtype_name) * decay)
        g = norm * x + g
        h = h + g * g
        return x - rate * g / (ops.sqrt(h) + epsilon), h

    return _groups(n, 3, step)


@rule("Adam", domain=DOMAIN)
def adam(n: Node) -> Result:
    alpha, beta, epsilon = n.attr("alpha", 0.9), n.attr("beta", 0.999), n.attr("epsilon", 0.0)
    norm, norm_post = n.attr("norm_coefficient", 0.0), n.attr("norm_coefficient_post", 0.0)

    def step(x: Tensor, g: Tensor, v: Tensor, h: Tensor) -> tuple[Tensor, ...]:
        dtype = x.dtype_name
        rate, t = _scalar(n[0], dtype), _scalar(n[1], dtype)
        began = ops.compare(t, 0, pred="gt")
        t = ops.where(began, t, 1.0)
        unbiased = rate * ops.sqrt(1 - beta**t) / (1 - alpha**t)
        rate = ops.where(began, unbiased, rate)
        g = norm * x + g
        v = alpha * v + (1 - alpha) * g
        h = beta * h + (1 - beta) * (g * g)
        x = x - rate * (v / (ops.sqrt(h) + epsilon))
        return x if norm_post == 0 else (1 - norm_post) * x, v, h

    return _groups(n, 4, step)


@rule("Gradient", domain=DOMAIN)
def gradient(n: Node) -> Result:
    """Of a value of the graph by others: the nodes between them as a function, and its gradient."""
    names = [*n.needs("xs"), *n.attr("zs", [])]
    target, count = n.needs("y"), len(n.needs("xs"))
    if len(names) != len(n):
        raise Unsupported(f"{len(n)} inputs for {len(names)} names")
    nodes = _between(n.scope.nodes[: n.scope.done], names, target)

    def value(*given: Tensor) -> Tensor:
        inner = n.scope.child(n.proto.name or n.op, captures=True)
        inner.values |= dict(zip(names, given, strict=True))
        inner.run(nodes)
        y = n.scope.tensor(inner.values[target])  # pyright: ignore[reportArgumentType]
        if y.size != 1:
            raise Unsupported(f"the gradient of a tensor of {y.size} elements")
        return ops.reshape(y, []) if y.ndim else y

    return list(grad(value, tuple(range(count)))(*n.tensors()))


def _between(nodes: Sequence[onnx.NodeProto], names: Sequence[str], target: str) -> list[onnx.NodeProto]:
    """The nodes on which a value depends, of those that depend on some others, in order. Raises Unsupported."""
    reached, after = set(names), []
    for node in nodes:
        if reached.intersection(node.input) and not reached.intersection(node.output):
            reached.update(node.output)
            after.append(node)
    if target not in reached:
        raise Unsupported(f"the gradient of '{target}', which depends on none of {', '.join(names)}")
    wanted, between = {target}, []
    for node in reversed(after):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            between.append(node)
    return between[::-1]
