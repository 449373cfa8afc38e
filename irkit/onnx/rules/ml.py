"""Ops of the domain ai.onnx.ml that work on numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from irkit.onnx.faults import Unsupported
from irkit.onnx.node import Node, Result, rule
from irkit.tracing import ops
from irkit.tracing.sizes import dtype_of

DOMAIN = "ai.onnx.ml"


@rule("Binarizer", domain=DOMAIN)
def binarizer(n: Node) -> Result:
    return ops.cast(ops.compare(n[0], n.attr("threshold", 0.0), pred="gt"), n.dtype())


@rule("Scaler", domain=DOMAIN)
def scaler(n: Node) -> Result:
    offset, scale = (np.array(n.attr(name, [v]), np.float32) for name, v in (("offset", 0.0), ("scale", 1.0)))
    x = n[0] if n.dtype() == "f32" else ops.cast(n[0], "f32")
    return (x - ops.constant(offset)) * ops.constant(scale)


@rule("LabelEncoder", domain=DOMAIN)
def label_encoder(n: Node) -> Result:
    """The value whose key an element is, else a default."""
    keys = _table(n, "keys")
    values = _table(n, "values")
    default = _default(n, values.dtype)
    if keys.shape != values.shape:
        raise Unsupported(f"{keys.size} keys of {values.size} values")
    if n.dtype() != dtype_of(keys.dtype):
        raise Unsupported(f"keys of {dtype_of(keys.dtype)} for a tensor of {n.dtype()}")
    x = ops.reshape(n[0], [*n.shape(), 1])
    same = ops.compare(x, ops.constant(keys), pred="eq")
    if keys.dtype.kind == "f" and np.isnan(keys).any():
        same = ops.logical_or(same, ops.logical_and(ops.is_nan(x), ops.constant(np.isnan(keys))))
    last = len(keys) - 1 - ops.argmax(ops.flip(ops.cast(same, "i32"), axes=[-1]), axis=-1)
    return ops.where(ops.any(same, axis=-1), ops.gather(ops.constant(values), last), default)


def _table(n: Node, name: str) -> np.ndarray:
    for kind, dtype in (("int64s", np.int64), ("floats", np.float32)):
        found = n.attr(f"{name}_{kind}")
        if found:
            return np.array(found, dtype)
    found = n.attr(f"{name}_tensor")
    if found is None:
        raise Unsupported(f"{name} that are strings" if n.attr(f"{name}_strings") else f"no {name}")
    return found.reshape(-1)


def _default(n: Node, dtype: np.dtype) -> Any:
    given = n.attr("default_tensor")
    if given is not None:
        return given.reshape(-1)[0].item()
    return n.attr("default_float", -0.0) if dtype.kind == "f" else n.attr("default_int64", -1)
