"""What the inputs of a model may be, and the values that they are given while it is imported."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import onnx

from dialects.errors import IrkitError
from dialects.types import np_dtype
from irkit.diagnostics import nearest
from irkit.onnx.faults import Unsupported
from irkit.onnx.values import dtype_name
from irkit.tracing.sizes import Size

MAX_ELEMENTS = 1 << 40
"""Of an input; more have no address."""


def check_names(names: Sequence[str], given: Iterable[str]) -> None:
    """Raises IrkitError for two inputs of one name, and for a value of none."""
    for name in given:
        if name not in names:
            raise IrkitError(f"the model has no input '{name}'", hint=nearest(name, list(names)))
    if len(set(names)) < len(names):
        twice = next(n for k, n in enumerate(names) if n in names[:k])
        raise IrkitError(f"two inputs of the model have the name '{twice}'")


def check_size(shape: Sequence[Size | int]) -> None:
    """Raises Unsupported for a shape of more elements than there are addresses."""
    if math.prod(n for n in shape if isinstance(n, int)) > MAX_ELEMENTS:
        raise Unsupported(f"dims that large, {list(shape)}")


def given_value(info: onnx.ValueInfoProto, array: np.ndarray) -> np.ndarray:
    """The value that an input always has, in its dtype. Raises IrkitError for one that it cannot have."""
    kind = info.type.tensor_type
    try:
        wanted = np_dtype(dtype_name(kind.elem_type))
    except Unsupported as fault:
        raise IrkitError(f"input '{info.name}' cannot be imported: {fault.message}") from None
    sizes = [d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim]
    fits = len(sizes) == array.ndim and all(n in (None, m) for n, m in zip(sizes, array.shape, strict=True))
    if (kind.HasField("shape") and not fits) or not np.can_cast(array.dtype, wanted, "same_kind"):
        raise IrkitError(
            f"input '{info.name}' cannot have this value",
            found=f"{array.dtype} of the shape {list(array.shape)}",
            expected=f"{wanted} of the shape {['?' if n is None else n for n in sizes]}",
        )
    return array.astype(wanted, copy=False)
