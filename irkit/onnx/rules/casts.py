"""Other dtypes for the same elements."""

from __future__ import annotations

import math

import numpy as np

from dialects.graph.elementwise import same_bits
from dialects.types import DTYPES, is_storage_only, np_dtype
from irkit.onnx.faults import Unsupported
from irkit.onnx.node import Node, Result, rule
from irkit.onnx.values import Value, dtype_name, is_float
from irkit.tracing import ops
from irkit.tracing.tensor import Tensor

LARGEST = {"f8e4m3": 448.0, "f8e5m2": 57344.0, "f8e4m3fnuz": 240.0, "f8e5m2fnuz": 57344.0}
"""The greatest numbers of formats to which ONNX saturates; f4e2m1 saturates by itself."""
SMALL = ("i2", "i4", "u2", "u4")
EXPONENT = 0x7F800000
"""The bits of the exponent of f32."""
PLAIN = {"f16", "f32", "f64", "bf16"}


@rule("Cast")
def cast(n: Node) -> Result:
    return converted(n, dtype_name(n.needs("to")))


@rule("CastLike")
def cast_like(n: Node) -> Result:
    return converted(n, n.dtype(1))


def converted(n: Node, dtype: str) -> Value:
    """The elements in a dtype: into 8-bit floats they saturate, into integers of 2 and 4 bits they wrap.

    What is known stays known, where NumPy does the same.
    """
    value = n.value(0)
    if isinstance(value, np.ndarray) and value.dtype != object and {n.dtype(), dtype} <= PLAIN:
        with np.errstate(all="ignore"):
            return value.astype(np_dtype(dtype))
    x = n[0]
    if x.dtype_name == dtype:
        return x
    if dtype == "f8e8m0":
        return ops.cast(to_power(n, x if x.dtype_name == "f32" else ops.cast(x, "f32")), dtype)
    if dtype in LARGEST and n.attr("saturate", 1):
        return to_small_float(n, x if is_float(x) else ops.cast(x, "f32"), dtype)
    if dtype in SMALL and is_float(x):
        x = ops.cast(x, "i32")
    return ops.cast(x, dtype)


def to_small_float(n: Node, x: Tensor, dtype: str) -> Tensor:
    """Floats as floats of 4 or 8 bits, saturated where the node does not say otherwise."""
    if dtype in LARGEST and n.attr("saturate", 1):
        if is_storage_only(DTYPES[x.dtype_name]):  # has no order
            x = ops.cast(x, "f32")
        x = ops.clamp(x, -LARGEST[dtype], LARGEST[dtype])
    return ops.cast(x, dtype)


def to_power(n: Node, x: Tensor) -> Tensor:
    """Numbers of f32 as powers of two in the way the node rounds; f8e8m0 holds those from 2^-127 to 2^127.

    An exponent that is one more than the mantissa says is a power of two rounded up.
    """
    least, most = 2.0**-127, 2.0**127
    saturates, mode = n.attr("saturate", 1), n.only("round_mode", "up", "down", "nearest")
    x = ops.clamp(x, least, most) if saturates else ops.where(ops.compare(x, least, pred="lt"), math.nan, x)
    if mode == "nearest":
        return x
    bits = ops.reinterpret(x, "i32")
    bits = ops.bitwise_and(bits + 0x7FFFFF if mode == "up" else bits, EXPONENT)
    found = ops.maximum(ops.reinterpret(bits, "f32"), least)
    return found if mode == "down" else ops.where(ops.compare(x, least, pred="gt"), found, x)


@rule("BitCast")
def bit_cast(n: Node) -> Result:
    """The same bits as another dtype; of integers it is what a cast gives."""
    x, dtype = n[0], dtype_name(n.needs("to"))
    if x.dtype_name == dtype:
        return x
    if same_bits(DTYPES[x.dtype_name], DTYPES[dtype]):
        return ops.reinterpret(x, dtype)
    if (x.dtype_name[0] not in "iu" and x.dtype_name != "bool") or dtype[0] not in "iu":
        raise Unsupported(f"the bits of {x.dtype_name} as {dtype}")
    return ops.cast(x, dtype)
