"""What the values of a model are while it is imported.

A `Tensor` is known when the program runs. An array of NumPy is known now: an initialiser, or what was computed from such.
An array of objects holds sizes, some of them expressions over named dims: what `Shape` gives, and what models compute
from it. An omitted input is None.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import onnx

from dialects import types
from dialects.errors import IrkitError
from dialects.types import np_dtype
from irkit.onnx.faults import Unsupported
from irkit.tracing import ops
from irkit.tracing.sizes import Size, dim_of, dtype_of
from irkit.tracing.tensor import Tensor

Value: TypeAlias = "Tensor | np.ndarray"


@dataclass(frozen=True)
class Items:
    """A sequence, whose length is known."""

    elements: tuple[Value, ...]


Held: TypeAlias = "Value | Items | None"
"""What a name of a model may stand for; None is an optional that is empty, and an input that is omitted."""

MAX_SPARSE = 1 << 28
"""Elements of a sparse initialiser, which is stored in full."""

P = onnx.TensorProto
DTYPES: dict[int, str] = {
    P.FLOAT: "f32",
    P.DOUBLE: "f64",
    P.FLOAT16: "f16",
    P.BFLOAT16: "bf16",
    P.FLOAT8E4M3FN: "f8e4m3",
    P.FLOAT8E5M2: "f8e5m2",
    P.FLOAT8E4M3FNUZ: "f8e4m3fnuz",
    P.FLOAT8E5M2FNUZ: "f8e5m2fnuz",
    P.FLOAT8E8M0: "f8e8m0",
    P.FLOAT4E2M1: "f4e2m1",
    P.INT2: "i2",
    P.INT4: "i4",
    P.INT8: "i8",
    P.INT16: "i16",
    P.INT32: "i32",
    P.INT64: "i64",
    P.UINT2: "u2",
    P.UINT4: "u4",
    P.UINT8: "u8",
    P.UINT16: "u16",
    P.UINT32: "u32",
    P.UINT64: "u64",
    P.BOOL: "bool",
    P.COMPLEX64: "c64",
    P.COMPLEX128: "c128",
}
"""Our dtype for each of ONNX that has one."""

CODES = {name: code for code, name in DTYPES.items()}


def dtype_name(code: int) -> str:
    """Our name of a dtype by ONNX's number. Raises Unsupported."""
    if code not in DTYPES:
        known = {number: name for name, number in P.DataType.items()}
        raise Unsupported(f"tensors of {known.get(code, f'type {code}')}")
    return DTYPES[code]


def element(value: Value) -> str:
    """The name of the dtype of a value; sizes are i64."""
    if isinstance(value, Tensor):
        return value.dtype_name
    return "i64" if value.dtype == object else dtype_of(value.dtype)


def is_sizes(value: Value) -> bool:
    """Whether a value holds sizes of which some are expressions."""
    return isinstance(value, np.ndarray) and value.dtype == object


def sizes(items: Sequence[Size | int]) -> np.ndarray:
    """A vector of sizes: of integers where all have a value."""
    if all(isinstance(n, int | np.integer) for n in items):
        return np.array([int(n) for n in items], np.int64)
    out = np.empty(len(items), object)
    out[:] = items
    return out


def tightened(array: np.ndarray) -> np.ndarray:
    """An array of objects as integers where none of them is an expression."""
    if array.dtype == object and not any(isinstance(n, Size) for n in array.flat):
        return array.astype(np.int64)
    return array


def size_tensor(array: np.ndarray) -> Tensor:
    """Sizes as elements of a tensor of i64, for models that compute with them: a size is how many ones it holds."""
    parts = [ops.reshape(_counted(n), [1]) for n in array.flat]
    whole = parts[0] if len(parts) == 1 else ops.concat(parts, axis=0)
    return ops.reshape(whole, list(array.shape))


def _counted(n: Size | int) -> Tensor:
    if isinstance(n, Size):
        return ops.sum(ops.full([n], 1, "i64"))
    return ops.full([], int(n), "i64")


def joined(parts: Sequence[Tensor], axis: int) -> Tensor:
    """Tensors of one shape along a new dim."""
    made = [ops.reshape(p, [*p.shape[:axis], 1, *p.shape[axis:]]) for p in parts]
    return made[0] if len(made) == 1 else ops.concat(made, axis=axis)


def array_of(proto: onnx.TensorProto, base_dir: str = "") -> np.ndarray:
    """The data of a tensor in the dtype that we have for it. Raises Unsupported."""
    name = dtype_name(proto.data_type)
    try:
        array = onnx.numpy_helper.to_array(proto, base_dir)
    except Exception as fault:  # the library has several
        raise IrkitError(
            f"tensor '{proto.name}' cannot be read", found=str(fault).splitlines()[0][:200]
        ) from None
    if name == "bool":  # a byte of a file may be any
        array = np.not_equal(array.view(np.uint8), 0, out=np.empty(array.shape, bool))
    wanted = np_dtype(name)
    if (
        array.dtype != wanted
        and array.dtype.itemsize == wanted.itemsize
        and name in ("bf16", "f8e4m3", "f8e5m2")
    ):
        return array.view(wanted)
    return array.astype(wanted, copy=False)


def dense(sparse: onnx.SparseTensorProto, folder: str) -> np.ndarray:
    """A sparse initialiser in full: indices are places in row-major order, or one row of coordinates each."""
    elements = array_of(sparse.values, folder)
    indices = array_of(sparse.indices, folder)
    shape = tuple(sparse.dims)
    name = sparse.values.name
    if min(shape, default=0) < 0 or math.prod(shape) > MAX_SPARSE:
        raise IrkitError(f"the sparse tensor '{name}' is too large", found=str(list(shape)))
    out = np.zeros(shape, elements.dtype)
    try:
        places = indices if indices.ndim == 1 else np.ravel_multi_index(tuple(indices.T), shape)
        out.reshape(-1)[places] = elements
    except (ValueError, IndexError, TypeError):
        raise IrkitError(f"the sparse tensor '{name}' has no such places", found=str(list(shape))) from None
    return out


def is_float(value: Value) -> bool:
    return types.is_float(types.DTYPES[element(value)])


def is_same(a: Size | int, b: Size | int) -> bool:
    """Whether two sizes are the same expression: == has no answer where they may differ."""
    return dim_of(a) == dim_of(b)


def is_one(value: Value) -> bool:
    """Whether a value is known to have one element."""
    return all(isinstance(n, int) and n == 1 for n in value.shape)
