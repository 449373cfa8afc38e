"""Losses, and what networks do while they are trained alone."""

from __future__ import annotations

import numpy as np

from irkit.onnx.faults import Unsupported
from irkit.onnx.node import Node, Result, rule
from irkit.tracing import ops
from irkit.tracing.tensor import Tensor


@rule("SoftmaxCrossEntropyLoss")
def softmax_cross_entropy(n: Node) -> Result:
    """Without weights and labels that are left out, `cross_entropy` says it; ONNX defines the rest by other ops."""
    if n.has(2) or n.attr("ignore_index") is not None:
        return NotImplemented
    scores = n[0]
    if scores.ndim > 2:
        scores = ops.transpose(scores, perm=[0, *range(2, scores.ndim), 1])
    loss = reduced(ops.cross_entropy(scores, n[1]), n)
    return [loss, ops.log_softmax(n[0], axis=1)] if n.wants(1) else loss


def reduced(loss: Tensor, n: Node) -> Tensor:
    reduction = n.only("reduction", "mean", "sum", "none")
    return loss if reduction == "none" else (ops.mean if reduction == "mean" else ops.sum)(loss)


@rule("Dropout")
def dropout(n: Node) -> Result:
    """What it is after training: the input, of which all is kept."""
    trains = n.version >= 12 and n.has(2) and _ratio(n) != 0 and n.known(2, "the training mode").any()
    if trains and (not n.has(1) or n.known(1, "the ratio").any()):
        raise Unsupported("a dropout that trains")
    x = n.value(0)
    if not n.wants(1):
        return x
    shape, dtype = n.shape(), "bool" if n.version >= 10 else n.dtype()
    return [x, ops.full(list(shape), True if dtype == "bool" else 1, dtype)]


def _ratio(n: Node) -> float | None:
    """The part that is dropped, where it is known."""
    if not n.has(1):
        return 0.5
    found = n.value(1)
    return float(found.reshape(-1)[0]) if isinstance(found, np.ndarray) else None
