"""Other dtypes for the same elements."""

from __future__ import annotations

import numpy as np

from dialects.types import np_dtype
from irkit.onnx.faults import Unsupported
from irkit.onnx.node import Node, Result, rule
from irkit.onnx.values import Value, dtype_name, is_float
from irkit.tracing import ops
from irkit.tracing.tensor import Tensor

LARGEST = {"f8e4m3": 448.0, "f8e5m2": 57344.0}
"""The greatest numbers of formats to which ONNX saturates."""
SMALL = ("i4", "u4")
PLAIN = {"f16", "f32", "f64", "bf16"}


@rule("Cast")
def cast(n: Node) -> Result:
    return converted(n, dtype_name(n.needs("to")))


@rule("CastLike")
def cast_like(n: Node) -> Result:
    return converted(n, n.dtype(1))


def converted(n: Node, dtype: str) -> Value:
    """The elements in a dtype: into 8-bit floats they saturate, into 4-bit integers they wrap.

    What is known stays known, where NumPy does the same.
    """
    value = n.value(0)
    if isinstance(value, np.ndarray) and value.dtype != object and {n.dtype(), dtype} <= PLAIN:
        with np.errstate(all="ignore"):
            return value.astype(np_dtype(dtype))
    x = n[0]
    if x.dtype_name == dtype:
        return x
    if dtype in LARGEST and n.attr("saturate", 1):
        return to_small_float(n, x if is_float(x) else ops.cast(x, "f32"), dtype)
    if dtype in SMALL and is_float(x):
        x = ops.cast(x, "i32")
    return ops.cast(x, dtype)


def to_small_float(n: Node, x: Tensor, dtype: str) -> Tensor:
    """Floats as floats of 8 bits, saturated where the node does not say otherwise."""
    if n.attr("saturate", 1):
        x = ops.clamp(x, -LARGEST[dtype], LARGEST[dtype])
    return ops.cast(x, dtype)


@rule("BitCast")
def bit_cast(n: Node) -> Result:
    """The same bits as another dtype of integers, which is what a cast of integers gives."""
    x, dtype = n[0], dtype_name(n.needs("to"))
    if x.dtype_name == dtype:
        return x
    if (x.dtype_name[0] not in "iu" and x.dtype_name != "bool") or dtype[0] not in "iu":
        raise Unsupported(f"the bits of {x.dtype_name} as {dtype}")
    return ops.cast(x, dtype)
