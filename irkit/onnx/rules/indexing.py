"""Elements picked by indices, and put where indices say."""

from __future__ import annotations

import numpy as np

from irkit.onnx.node import Node, Result, rule
from irkit.tracing import ops
from irkit.tracing.tensor import Tensor


def from_front(n: Node, index: int, size: object) -> Tensor:
    """An input of indices, of which negative ones count from the end."""
    value = n.value(index)
    if isinstance(value, np.ndarray) and value.dtype != object and isinstance(size, int):
        return ops.constant(np.where(value < 0, value + size, value))
    found = n[index]
    return (
        ops.where(ops.compare(found, 0, pred="lt"), found + size, found) if isinstance(size, int) else found
    )


@rule("Gather")
def gather(n: Node) -> Result:
    axis = n.axis(0)
    return ops.gather(n[0], from_front(n, 1, n.shape()[axis]), axis=axis)
