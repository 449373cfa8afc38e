"""Constant data of the host program as a memref.global holds it."""

from __future__ import annotations

import numpy as np
from xdsl.dialects.builtin import BytesAttr, DenseIntOrFPElementsAttr, TensorType
from xdsl.ir import Attribute

from dialects.types import RefType, element_bytes, np_dtype
from lowering.upstream.types import memory_element


def constant_data(value: Attribute, type_: RefType) -> DenseIntOrFPElementsAttr:
    """The elements of a constant, bools as bytes."""
    assert isinstance(value, DenseIntOrFPElementsAttr)
    data = bytes(value.data.data)
    shape = [d.value or 0 for d in type_.shape.data]
    if np_dtype(type_.element_type).kind == "b":
        data = (np.frombuffer(data, np.uint8) != 0).astype(np.uint8).tobytes()
    count = int(np.prod(shape, dtype=np.int64))
    if count and len(data) == element_bytes(type_.element_type):
        data *= count
    tensor = TensorType(memory_element(type_.element_type), shape)
    return DenseIntOrFPElementsAttr(tensor, BytesAttr(data))  # pyright: ignore[reportArgumentType]
