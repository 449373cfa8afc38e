"""Arrays that lie on a device: those of others, seen without a copy, and those that a program makes."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence

import numpy as np

from dialects.errors import IrkitError
from dialects.types import np_dtype
from irkit.runtime.cuda.dlpack import CODES, KIND_OF_BOOL, Tensor, exported
from irkit.runtime.cuda.machine import Machine

ALIGNMENT = 16
"""Bytes: kernels read so many at once."""

LEGACY = 1
"""CUDA's default stream, as DLPack and `__cuda_array_interface__` name it."""


class DeviceArray:
    """A contiguous array on a device. torch.as_tensor, cupy.asarray and others take it without a copy; `numpy()` is a copy."""

    def __init__(
        self,
        machine: Machine,
        address: int,
        shape: Sequence[int],
        dtype: np.dtype,
        owner: object,
        writable: bool = True,
    ):
        self.machine, self.address, self.owner = machine, address, owner
        self.shape, self.dtype, self.writable = tuple(shape), dtype, writable

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    def numpy(self) -> np.ndarray:
        """A copy on the host."""
        array = np.empty(self.shape, self.dtype)
        self.machine.download(array, self.address)
        return array

    def __array__(self, dtype: object = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("an array of a device cannot be seen by the host without a copy")
        return np.asarray(self.numpy(), dtype)  # pyright: ignore[reportCallIssue, reportArgumentType]

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.machine.kind, self.machine.number

    def __dlpack__(
        self,
        *,
        stream: int | None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> object:
        """The array for another library, without a copy: what it sees holds this array. Raises BufferError for what only a
        copy could give."""
        if copy or (dl_device is not None and tuple(dl_device) != self.__dlpack_device__()):
            raise BufferError("a copy is asked for: numpy() makes one on the host")
        if stream not in (None, -1, 0, LEGACY):
            self.machine.synchronise()  # the other stream does not wait for the default one
        return exported(self, versioned=max_version is not None and max_version[0] >= 1)

    def __repr__(self) -> str:
        return f"<array {self.dtype}{list(self.shape)} on {self.machine.name}>"

    @property
    def __cuda_array_interface__(self) -> dict[str, object]:
        if self.machine.kind != CUDA:
            raise AttributeError(f"the memory is not CUDA's: it is {self.machine.name}")
        return {
            "version": 3,
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self.address, not self.writable),
            "strides": None,
            "stream": LEGACY,
        }


CUDA = 2
"""What DLPack calls a GPU of NVIDIA's."""


def is_device_array(value: object) -> bool:
    """Whether a value says where it lies on a device; arrays of NumPy do not."""
    if isinstance(value, np.ndarray | np.generic):
        return False
    return isinstance(value, DeviceArray) or hasattr(value, "__dlpack__") or _interface(value) is not None


def as_device_array(name: str, value: object, machine: Machine) -> DeviceArray:
    """An array of others, without a copy. Raises IrkitError where it lies elsewhere, or not as programs read it."""
    if isinstance(value, DeviceArray):
        if value.machine is not machine:
            raise _elsewhere(name, value.machine.name, machine)
        return value
    found = (
        _from_dlpack(name, value, machine)
        if hasattr(value, "__dlpack__")
        else _from_interface(name, value, machine)
    )
    if found.address % ALIGNMENT and found.size:
        raise IrkitError(
            f"argument '{name}' is not aligned",
            found=f"address {found.address:#x}",
            expected=f"a multiple of {ALIGNMENT} bytes",
            hint="give a copy: a part of an array may begin anywhere",
        )
    return found


def _elsewhere(name: str, found: str, machine: Machine) -> IrkitError:
    return IrkitError(
        f"argument '{name}' lies on another device",
        found=found,
        expected=f"memory of this one: {machine.name}",
        hint="move it there, or give a NumPy array",
    )


def _check_contiguous(name: str, shape: Sequence[int], strides: Sequence[int] | None, unit: int) -> None:
    if strides is None or 0 in shape:
        return
    expected = unit
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size != 1 and stride != expected:
            raise IrkitError(
                f"argument '{name}' is not contiguous",
                found=f"strides {tuple(strides)}",
                expected="the last dim fastest, without gaps",
                hint=f"give {name}.contiguous(), or what your library calls a copy",
            )
        expected *= size


# -- __cuda_array_interface__ -------------------------------------------------------------------------------------


def _interface(value: object) -> dict[str, object] | None:
    found = getattr(value, "__cuda_array_interface__", None)
    return found if isinstance(found, dict) else None


def _from_interface(name: str, value: object, machine: Machine) -> DeviceArray:
    facts = _interface(value)
    assert facts is not None
    shape, (address, readonly) = facts["shape"], facts["data"]  # pyright: ignore
    dtype = np.dtype(facts["typestr"])  # pyright: ignore[reportArgumentType, reportCallIssue]
    _check_contiguous(name, shape, facts.get("strides"), dtype.itemsize)  # pyright: ignore
    if facts.get("stream") not in (None, LEGACY):
        machine.synchronise()  # what makes it is on a stream of its own
    return DeviceArray(machine, int(address or 0), shape, dtype, value, not readonly)  # pyright: ignore


# -- DLPack -------------------------------------------------------------------------------------------------------


def _from_dlpack(name: str, value: object, machine: Machine) -> DeviceArray:
    kind, number = value.__dlpack_device__()  # pyright: ignore[reportAttributeAccessIssue]
    if (int(kind), int(number)) != (machine.kind, machine.number):
        raise _elsewhere(name, f"device {int(number)} of DLPack's kind {int(kind)}", machine)
    stream = LEGACY if machine.kind == CUDA else None
    try:
        capsule = value.__dlpack__(stream=stream)  # pyright: ignore[reportAttributeAccessIssue]
    except (BufferError, RuntimeError, TypeError) as fault:
        raise IrkitError(f"argument '{name}' cannot be seen by DLPack: {fault}") from None
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    tensor = Tensor.from_address(pointer(capsule, b"dltensor"))
    shape = tensor.shape[: tensor.ndim]
    strides = tensor.strides[: tensor.ndim] if tensor.strides else None
    _check_contiguous(name, shape, strides, 1)
    address = (tensor.data or 0) + tensor.byte_offset
    # The capsule lets go of the array when it goes itself: it was never renamed.
    return DeviceArray(machine, address, shape, _dtype(name, tensor), (value, capsule))


def _dtype(name: str, tensor: Tensor) -> np.dtype:
    text = "bool" if tensor.code == KIND_OF_BOOL else f"{CODES.get(tensor.code, '?')}{tensor.bits}"
    try:
        return np_dtype(text)
    except KeyError:
        raise IrkitError(
            f"argument '{name}' has a dtype that irkit does not know",
            found=f"DLPack's type {tensor.code} of {tensor.bits} bits",
        ) from None
