"""DLPack's structures, and arrays of a device in them for other libraries."""

from __future__ import annotations

import ctypes
import sys
from typing import TYPE_CHECKING

import numpy as np

from dialects.types import np_dtype

if TYPE_CHECKING:
    from irkit.runtime.cuda.arrays import DeviceArray


class Tensor(ctypes.Structure):
    """DLTensor, as dlpack.h has it."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


Deleter = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class Managed(ctypes.Structure):
    """DLManagedTensor: what a library that knows no version takes."""

    _fields_ = [("tensor", Tensor), ("context", ctypes.c_void_p), ("deleter", Deleter)]
    NAME = b"dltensor"


class Versioned(ctypes.Structure):
    """DLManagedTensorVersioned, of version 1.0."""

    _fields_ = [
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", Deleter),
        ("flags", ctypes.c_uint64),
        ("tensor", Tensor),
    ]
    NAME = b"dltensor_versioned"


READ_ONLY = 1
CODES = {0: "i", 1: "u", 2: "f", 4: "bf", 5: "c"}
KIND_OF_BOOL = 6

ONLY_HERE = 3
"""References to a capsule that only `_lent` has: its own, a variable's and that of the call which counts them."""

_lent: dict[int, tuple[object, ...]] = {}
"""What other libraries hold, by the address of its structure: the structure, its shape, the array, the capsule."""


@Deleter
def _give_back(address: int, lent: dict[int, tuple[object, ...]] = _lent) -> None:
    lent.pop(address, None)


ctypes.pythonapi.Py_IncRef(ctypes.py_object(_give_back))  # others may call it when this module has gone


_new = ctypes.pythonapi.PyCapsule_New
_new.restype, _new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
_is_valid = ctypes.pythonapi.PyCapsule_IsValid
_is_valid.restype, _is_valid.argtypes = ctypes.c_int, [ctypes.py_object, ctypes.c_char_p]


def _drop_unused() -> None:
    """Lets go of the capsules that nobody has any more and nobody took: a library that takes one renames it, and gives it back.
    A capsule does not do so itself at its end, where the error of a library that refuses it may be under way: Python code
    would lose that error."""
    for address, (*_, capsule) in list(_lent.items()):
        unused = any(_is_valid(capsule, kind.NAME) for kind in (Managed, Versioned))
        if unused and sys.getrefcount(capsule) <= ONLY_HERE:
            _lent.pop(address, None)


def exported(array: DeviceArray, versioned: bool) -> object:
    """A capsule with an array, which lives until who takes it gives it back; if nobody does, until the next one is made.
    Raises BufferError where what takes it could not know that it is read-only, and for a dtype that DLPack does not have."""
    _drop_unused()
    if not versioned and not array.writable:
        raise BufferError("the array is read-only, which DLPack tells from version 1.0 on")
    shape = (ctypes.c_int64 * max(1, array.ndim))(*array.shape)
    strides = (ctypes.c_int64 * max(1, array.ndim))(*_strides(array.shape))
    code, bits = _type_of(array.dtype)
    tensor = Tensor(
        array.address or None,
        array.machine.kind,
        array.machine.number,
        array.ndim,
        code,
        bits,
        1,
        shape,
        strides,
        0,
    )
    if versioned:
        flags = 0 if array.writable else READ_ONLY
        managed = Versioned(1, 0, None, _give_back, flags, tensor)
    else:
        managed = Managed(tensor, None, _give_back)
    address = ctypes.addressof(managed)
    capsule = _new(address, managed.NAME, None)
    _lent[address] = managed, shape, strides, array, capsule
    return capsule


def _strides(shape: tuple[int, ...]) -> list[int]:
    found = [1] * len(shape)
    for axis in range(len(shape) - 1, 0, -1):
        found[axis - 1] = found[axis] * shape[axis]
    return found


def _type_of(dtype: np.dtype) -> tuple[int, int]:
    if dtype == np.bool_:
        return KIND_OF_BOOL, 8
    kind = "bf" if dtype == np_dtype("bf16") else dtype.kind
    for code, text in CODES.items():
        if text == kind:
            return code, 8 * dtype.itemsize
    raise BufferError(f"DLPack has no type for {dtype}: numpy() makes a copy on the host")
