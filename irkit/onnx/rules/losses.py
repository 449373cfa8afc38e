"""Losses, and what networks do while they are trained alone."""

from __future__ import annotations

from irkit.onnx.node import Node, Result, rule
from irkit.onnx.rules.randoms import drawn
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
    """What it is after training, the input, of which all is kept; where the node says that it trains, by random numbers."""
    if n.version >= 12 and n.has(2) and n.known(2, "the training mode").any():
        return _dropped(n)
    x = n.value(0)
    if not n.wants(1):
        return x
    shape, dtype = n.shape(), "bool" if n.version >= 10 else n.dtype()
    return [x, ops.full(list(shape), True if dtype == "bool" else 1, dtype)]


def _dropped(n: Node) -> Result:
    """A part of the elements as zeros, the others scaled so that the mean stays; and which were kept."""
    x, ratio = n[0], 0.5 if not n.has(1) else float(n.known(1, "the ratio").reshape(-1)[0])
    if not ratio:
        return [x, ops.full(list(x.shape), True, "bool")]
    kept = ops.compare(drawn(n, x.shape, "uniform"), ratio, pred="ge")
    return [ops.where(kept, x * (1 / (1 - ratio)) if ratio < 1 else 0.0, 0.0), kept]
