"""Causal masks: models hold them as arrays, and here they are computed from places, so that passes see what is meant."""

from __future__ import annotations

import numpy as np

from irkit.tracing import ops
from irkit.tracing.tensor import Tensor


def causal_mask(array: np.ndarray) -> Tensor | None:
    """What is true where a row sees a key, or everywhere else: the last row sees all keys, each row before one less."""
    if array.dtype != bool or array.ndim < 2 or min(array.shape[-2:]) < 2:
        return None
    rows, keys = array.shape[-2:]
    if array.size != rows * keys:
        return None
    is_hidden = not array.flat[0]
    if not np.array_equal(
        array.reshape(rows, keys) != is_hidden, np.tri(rows, keys, keys - rows, dtype=bool)
    ):
        return None
    row, column = (ops.iota([rows, keys], axis=axis) for axis in (0, 1))
    last = row if keys == rows else row + (keys - rows)
    mask = column > last if is_hidden else column <= last
    return mask if array.ndim == 2 else ops.reshape(mask, list(array.shape))
