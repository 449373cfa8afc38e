"""Normalisations, where ops of the language say them; ONNX's definitions serve for the other cases."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from irkit.onnx.faults import Unsupported
from irkit.onnx.node import Node, Result, rule
from irkit.onnx.rules.reduction import flattened
from irkit.tracing import ops
from irkit.tracing.sizes import Size, dim_of
from irkit.tracing.tensor import Tensor


@rule("Softmax", "LogSoftmax")
def softmax(n: Node) -> Result:
    """Before opset 13 the dims from the axis on were one."""
    op = ops.softmax if n.op == "Softmax" else ops.log_softmax
    if n.version >= 13:
        return op(n[0], axis=n.axis(-1))
    axis = n.axis(1)
    return op(n[0], axis=axis) if axis == n.rank() - 1 else flattened(n[0], axis, lambda y: op(y, axis=1))


@rule("BatchNormalization")
def batch_normalization(n: Node) -> Result:
    x, scale, bias, mean, var = n.tensors()
    eps = n.attr("epsilon", 1e-5)
    if not n.attr("spatial", 1):
        raise Unsupported("moments for each element (spatial=0)")
    if not n.attr("training_mode", 0):
        if n.version < 14 and any(map(n.wants, range(1, 5))):
            raise Unsupported("training before opset 14")
        return _batch_norm(x, scale, bias, mean, var, eps)
    keep = n.attr("momentum", 0.9)
    wide = ops.cast(x, mean.dtype_name) if x.dtype_name != mean.dtype_name else x
    axes = [i for i in range(x.ndim) if i != 1]
    own, spread = ops.mean(wide, axis=axes), ops.var(wide, axis=axes)
    y = _batch_norm(x, scale, bias, own, spread, eps)
    return [y, mean * keep + own * (1 - keep), var * keep + spread * (1 - keep)]


def _batch_norm(x: Tensor, *facts_and_eps: object) -> Tensor:
    """Of floats of several kinds: computed in f32, or in f64 where one of them is."""
    *facts, eps = facts_and_eps
    all_ = [x, *(f for f in facts if isinstance(f, Tensor))]
    names = {t.dtype_name for t in all_}
    if len(names) == 1:
        return ops.batch_norm(*all_, eps=eps)
    wide = "f64" if "f64" in names else "f32"
    y = ops.batch_norm(*(t if t.dtype_name == wide else ops.cast(t, wide) for t in all_), eps=eps)
    return y if x.dtype_name == wide else ops.cast(y, x.dtype_name)


@rule("InstanceNormalization")
def instance_normalization(n: Node) -> Result:
    """Groups of one channel each."""
    x, eps = n[0], n.attr("epsilon", 1e-5)
    channels = x.shape[1]
    if isinstance(channels, int):
        return ops.group_norm(x, n[1], n[2], groups=channels, eps=eps)
    axes, along = list(range(2, x.ndim)), [-1, *[1] * (x.ndim - 2)]
    centred = x - ops.mean(x, axis=axes, keepdims=True)
    spread = ops.mean(ops.square(centred), axis=axes, keepdims=True) + eps
    return centred * ops.rsqrt(spread) * ops.reshape(n[1], along) + ops.reshape(n[2], along)


@rule("GroupNormalization")
def group_normalization(n: Node) -> Result:
    """Before opset 21 there was a scale and a bias for each group."""
    x, groups = n[0], n.needs("num_groups")
    channels = x.shape[1]
    scale, bias = n[1], n[2]
    if n.version < 21:
        scale, bias = (_repeated(t, channels // groups) for t in (scale, bias))
    return ops.group_norm(x, scale, bias, groups=groups, eps=n.attr("epsilon", 1e-5))


def _repeated(x: Tensor, times: Size | int) -> Tensor:
    each = ops.broadcast(ops.reshape(x, [x.shape[0], 1]), [x.shape[0], times])
    return ops.reshape(each, [-1])


@rule("LayerNormalization")
def layer_normalization(n: Node) -> Result:
    x, axis = n[0], n.axis(-1)
    if n.wants(1) or n.wants(2) or not all(_fits(x, axis, n[i]) for i in range(1, len(n))):
        return NotImplemented
    scale = _as_vector(n[1])
    bias = _as_vector(n[2]) if n.has(2) else ops.zeros([*scale.shape], x.dtype_name)
    y = ops.layer_norm(_as_rows(x, axis), scale, bias, eps=n.attr("epsilon", 1e-5))
    return y if axis == x.ndim - 1 else ops.reshape(y, list(x.shape))


@rule("RMSNormalization")
def rms_normalization(n: Node) -> Result:
    x, axis = n[0], n.axis(-1)
    if not _fits(x, axis, n[1]):
        return NotImplemented
    y = ops.rms_norm(_as_rows(x, axis), _as_vector(n[1]), eps=n.attr("epsilon", 1e-5))
    return y if axis == x.ndim - 1 else ops.reshape(y, list(x.shape))


def _fits(x: Tensor, axis: int, scale: Tensor) -> bool:
    """Whether a scale has the dims that are normalised, and no others."""
    return scale.dtype_name == x.dtype_name and _dims(scale.shape) == _dims(x.shape[axis:])


def _dims(shape: Sequence[Size | int]) -> list[object]:
    return [dim_of(d) for d in shape]


def _as_rows(x: Tensor, axis: int) -> Tensor:
    """The dims from an axis on as one."""
    return x if axis == x.ndim - 1 else ops.reshape(x, [*x.shape[:axis], _size(x.shape[axis:])])


def _as_vector(x: Tensor) -> Tensor:
    return x if x.ndim == 1 else ops.reshape(x, [x.size])


def _size(shape: Sequence[Size | int]) -> Size | int:
    return reduce(lambda a, b: b * a, shape, 1)


@rule("LRN")
def lrn(n: Node) -> Result:
    """Each element over a power of the squares of its neighbours in other channels."""
    x, size = n[0], n.needs("size")
    channels = x.shape[1]
    pads = [0] * (2 * x.ndim)
    pads[2:4] = (size - 1) // 2, size // 2
    squares = ops.pad(ops.square(x), pads)
    total = reduce(ops.add, (squares[:, i : channels + i] for i in range(size)))
    return x / (total * (n.attr("alpha", 1e-4) / size) + n.attr("bias", 1.0)) ** n.attr("beta", 0.75)
