"""Floats as small integers and back, with scales that a run decides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dialects.types import DTYPES, is_storage_only
from irkit.onnx.faults import Unsupported
from irkit.onnx.node import Node, Result, rule
from irkit.onnx.rules.casts import LARGEST, to_small_float
from irkit.onnx.rules.contraction import facts, without_zero
from irkit.onnx.values import dtype_name, is_float, is_one
from irkit.tracing import ops
from irkit.tracing.tensor import Tensor


@rule("QuantizeLinear")
def quantize_linear(n: Node) -> Result:
    x, scale, zero = n[0], n[1], n.get(2)
    code = n.attr("output_dtype", 0)
    dtype = zero.dtype_name if zero is not None else dtype_name(code) if code else "u8"
    if not is_float(x):
        x = ops.cast(x, scale.dtype_name)
    precision = dtype_name(n.attr("precision", 0) or 1)
    if dtype in LARGEST or dtype == "f4e2m1":
        return to_small_float(n, _ratio(n, x, scale, precision), dtype)
    if _is_plain(n, scale, dtype) and precision == "f32" and "f64" not in (x.dtype_name, scale.dtype_name):
        scale = _flat(scale)
        zero = ops.zeros(list(scale.shape), dtype) if zero is None else _flat(zero)
        return ops.quantize(x, scale, zero, axis=n.axis(1) if scale.ndim else 0)
    steps = ops.round(ops.cast(_ratio(n, x, scale, precision), "f32"))
    if zero is not None:
        steps = steps + _spread(n, ops.cast(zero, "f32"), x)
    return ops.cast(steps, dtype)


def _ratio(n: Node, x: Tensor, scale: Tensor, precision: str) -> Tensor:
    wide = precision if n.attr("precision", 0) or x.dtype_name != scale.dtype_name else x.dtype_name
    x, scale = (t if t.dtype_name == wide else ops.cast(t, wide) for t in (x, scale))
    return x / _spread(n, scale, x)


def _is_plain(n: Node, scale: Tensor, dtype: str) -> bool:
    """Whether the ops of the language take such scales and integers."""
    return scale.ndim <= 1 and not n.attr("block_size", 0) and not is_storage_only(DTYPES[dtype])


def _flat(x: Tensor) -> Tensor:
    """A scale or a zero point of one element without dims."""
    return ops.reshape(x, []) if x.ndim and is_one(x) else x


def _spread(n: Node, value: Tensor, x: Tensor) -> Tensor:
    """A scale or a zero point so that it broadcasts against x: one, one for each slice, or one for each block."""
    if value.ndim == 0 or is_one(value):
        return _flat(value)
    axis, block = n.axis(1, x.ndim), n.attr("block_size", 0)
    if not block:
        if value.ndim != 1:
            raise Unsupported(f"scales of rank {value.ndim}")
        return ops.reshape(value, [d if i == axis else 1 for i, d in enumerate(x.shape)][axis:])
    shape, size = list(value.shape), x.shape[axis]
    apart = ops.reshape(value, [*shape[: axis + 1], 1, *shape[axis + 1 :]])
    repeated = ops.broadcast(apart, [*shape[: axis + 1], block, *shape[axis + 1 :]])
    whole = ops.reshape(repeated, [*shape[:axis], shape[axis] * block, *shape[axis + 1 :]])
    return whole[(*[slice(None)] * axis, slice(0, size))]


@rule("DequantizeLinear")
def dequantize_linear(n: Node) -> Result:
    x, scale, zero = n[0], n[1], n.get(2)
    code = n.attr("output_dtype", 0)
    dtype = dtype_name(code) if code else scale.dtype_name
    if is_float(x):
        zero = None  # which is zero for floats
    if zero is not None and _is_plain(n, scale, x.dtype_name) and dtype == scale.dtype_name == "f32":
        scale, zero = _flat(scale), _flat(zero)
        return ops.dequantize(x, scale, zero, axis=n.axis(1) if scale.ndim else 0)
    wide = "f64" if dtype == "f64" else "f32"
    y = ops.cast(x, wide)
    if zero is not None:
        y = y - _spread(n, ops.cast(zero, wide), x)
    y = y * _spread(n, scale if scale.dtype_name == wide else ops.cast(scale, wide), x)
    return y if dtype == wide else ops.cast(y, dtype)


@rule("QLinearMatMul")
def qlinear_matmul(n: Node) -> Result:
    if is_float(n.value(0)):
        raise Unsupported("products of small floats")
    total = without_zero(n, 0, 2, "i32", rows=True) @ without_zero(n, 3, 5, "i32")
    return requantised(n, ops.cast(total, "f32"), (facts(n, 1, rows=True), facts(n, 4)), 6, 7)


def requantised(n: Node, total: Tensor, scales: Sequence[Any], scale: int, zero: int) -> Tensor:
    """A sum of products of integers as integers of another scale; the inputs of a node that hold it and its zero point."""
    for one in scales:  # None is zero
        total = total * (ops.cast(one, "f32") if isinstance(one, Tensor) else one or 0.0)
    return ops.quantize(total, _single(n, scale), _single(n, zero))


def _single(n: Node, index: int) -> Tensor:
    x = n[index]
    if not is_one(x):
        raise Unsupported("a result with several scales")
    return _flat(x)
