"""Rotary embedding of heads, of all their features or of the first."""

from __future__ import annotations

from irkit.onnx.node import Node, Result, rule
from irkit.tracing import ops
from irkit.tracing.tensor import Tensor


@rule("RotaryEmbedding")
def rotary_embedding(n: Node) -> Result:
    """Cosines and sines stand for each position, or for those that are given."""
    x, cos, sin = n.tensors()[:3]
    is_flat = x.ndim == 3
    if is_flat:
        heads = n.needs("num_heads")
        x = ops.reshape(x, [*x.shape[:2], heads, x.shape[2] // heads])
    if n.has(3):
        cos, sin = (ops.gather(t, n[3], axis=0) for t in (cos, sin))
    along = 2 if is_flat else 1
    cos, sin = (_with_dim(t, along) for t in (cos, sin))
    features = n.attr("rotary_embedding_dim", 0)
    turned, rest = (x, None) if not features else (x[..., :features], x[..., features:])
    y = ops.rotary_embedding(turned, cos, sin, interleaved=bool(n.attr("interleaved", 0)))
    if rest is not None:
        y = ops.concat([y, rest], axis=3)
    return ops.reshape(y, list(n.shape())) if is_flat else y


def _with_dim(x: Tensor, axis: int) -> Tensor:
    """With a dim of size one, for the heads."""
    return ops.reshape(x, [*x.shape[:axis], 1, *x.shape[axis:]])
