"""Attention where the op of the language says it; ONNX's definition serves for the other cases."""

from __future__ import annotations

from irkit.onnx.faults import Unsupported
from irkit.onnx.node import Node, Result, rule
from irkit.onnx.values import dtype_name, is_same
from irkit.tracing import ops
from irkit.tracing.sizes import Size
from irkit.tracing.tensor import Tensor

SMALL = ("f16", "bf16")
"""Floats whose attention is computed in f32."""


@rule("Attention")
def attention(n: Node) -> Result:
    """Heads of keys and values that serve several of queries are repeated; a cache stands before them."""
    if not _is_plain(n):
        return NotImplemented
    q, k, v = _heads(n, 0, "q_num_heads"), _heads(n, 1, "kv_num_heads"), _heads(n, 2, "kv_num_heads")
    causal = bool(n.attr("is_causal", 0))
    if causal and not is_same(q.shape[2], k.shape[2]):  # ours counts from the end of the keys
        return NotImplemented
    if n.has(4):
        k, v = ops.concat([n[4], k], axis=2), ops.concat([n[5], v], axis=2)
    mask = n.get(3)
    if mask is not None:
        if mask.dtype_name not in ("bool", q.dtype_name) or mask.ndim < 2:
            return NotImplemented
        mask = _wide_enough(mask, k.shape[2])
    given = [q, _repeated(k, q.shape[1]), _repeated(v, q.shape[1]), *([mask] if mask is not None else [])]
    y = ops.attention(*given, scale=n.attr("scale"), causal=causal)
    if n.rank() == 3:
        y = ops.reshape(ops.transpose(y, perm=[0, 2, 1, 3]), [*n.shape()[:2], y.shape[1] * y.shape[3]])
    return [y, k, v]


def _is_plain(n: Node) -> bool:
    """Whether a node asks for no more than the op has."""
    windows = (n.attr(f"{side}_window_size", -1) for side in ("left", "right"))
    code = n.attr("softmax_precision", 0)
    in_less = bool(code) and dtype_name(code) in SMALL and n.dtype() not in SMALL
    return not (n.has(6) or n.wants(3) or n.attr("softcap", 0.0) or max(windows) >= 0 or in_less)


def _heads(n: Node, index: int, name: str) -> Tensor:
    """Queries, keys or values as [batch, heads, positions, features]."""
    x = n[index]
    if x.ndim == 4:
        return x
    if x.ndim != 3:
        raise Unsupported(f"attention on tensors of rank {x.ndim}")
    heads = n.needs(name)
    apart = ops.reshape(x, [*x.shape[:2], heads, x.shape[2] // heads])
    return ops.transpose(apart, perm=[0, 2, 1, 3])


def _repeated(x: Tensor, heads: Size | int) -> Tensor:
    batch, own, *rest = x.shape
    if is_same(own, heads):
        return x
    if not isinstance(own, int) or not isinstance(heads, int) or heads % own:
        raise Unsupported(f"{own} heads of keys for {heads} of queries")
    each = ops.broadcast(ops.reshape(x, [batch, own, 1, *rest]), [batch, own, heads // own, *rest])
    return ops.reshape(each, [batch, heads, *rest])


def _wide_enough(mask: Tensor, keys: Size | int) -> Tensor:
    """A mask for all keys: those that it does not tell of do not count."""
    if is_same(mask.shape[-1], keys):
        return mask
    missing = keys - mask.shape[-1]
    if not isinstance(missing, int) or missing < 0:
        raise Unsupported(f"a mask of {mask.shape[-1]} keys for {keys}")
    pads = [0] * (2 * mask.ndim - 1) + [missing]
    return ops.pad(mask, pads, value=False if mask.dtype_name == "bool" else float("-inf"))
