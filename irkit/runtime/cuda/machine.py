"""What the run time asks of a device: memory, and data to and from it. The body for a CPU stands here."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from irkit.runtime.module import aligned

SPOILT = 0xA5
"""Bytes of fresh memory on a CPU, so that what reads it before it is written shows."""

LEAST = 64
"""Bytes of a piece of memory, so that an empty array has an address too."""


@dataclass(frozen=True, eq=False)
class Memory:
    """A piece of memory of a device, at a multiple of 64 bytes; it is given back when nothing refers to it."""

    address: int
    size: int
    owner: object


@dataclass(frozen=True)
class Copy:
    """An array of the host, its place on the device, and the bytes between them."""

    array: np.ndarray
    address: int
    staged: np.ndarray


class Machine(Protocol):
    """A device. `kind` and `number` are its type and place as DLPack has them, `stream` is what programs are launched on;
    `lock` is held while a program runs."""

    name: str
    kind: int
    number: int
    stream: int
    lock: threading.Lock

    def current(self) -> AbstractContextManager[object]:
        """While it is open, libraries of programs work on this device."""
        ...

    def allocate(self, size: int) -> Memory: ...

    def upload(self, address: int, array: np.ndarray) -> None: ...

    def download(self, array: np.ndarray, address: int) -> None:
        """Waits for what was launched before."""
        ...

    def stage(self, size: int) -> np.ndarray:
        """Bytes of the host through which arrays are copied while the device and the host go on."""
        ...

    def send(self, copies: Sequence[Copy], fresh: bool) -> None:
        """Begins to copy arrays to the device, and returns once they may be changed; what is launched later waits for them.
        The places are not in use, unless they are fresh: what was launched before may have had them then."""
        ...

    def fetch(self, copies: Sequence[Copy]) -> Callable[[], None]:
        """Begins to copy what was launched before has made; the function that it gives ends once it is in the arrays."""
        ...

    def synchronise(self) -> None: ...


class CpuMachine:
    """This CPU in place of a device."""

    name = "emulated on this CPU"
    kind = 1
    number = 0
    stream = 0
    lock = threading.Lock()
    """One for all: the blocks and threads of all programs run in one scheduler (irk_cuda_on_cpu.h)."""

    def current(self) -> AbstractContextManager[object]:
        return nullcontext()

    def allocate(self, size: int) -> Memory:
        memory = aligned(max(size, LEAST))
        memory.fill(SPOILT)
        return Memory(memory.ctypes.data, size, memory)

    def upload(self, address: int, array: np.ndarray) -> None:
        if array.nbytes:
            _at(address, array.nbytes)[:] = bytes_of(array)

    def download(self, array: np.ndarray, address: int) -> None:
        if array.nbytes:
            bytes_of(array)[:] = _at(address, array.nbytes)

    def stage(self, size: int) -> np.ndarray:
        return np.full(size, SPOILT, np.uint8)

    def send(self, copies: Sequence[Copy], fresh: bool) -> None:
        for copy in copies:
            self.upload(copy.address, copy.array)

    def fetch(self, copies: Sequence[Copy]) -> Callable[[], None]:
        for copy in copies:
            self.download(copy.staged, copy.address)

        def wait() -> None:
            for copy in copies:
                bytes_of(copy.array)[:] = copy.staged

        return wait

    def synchronise(self) -> None:
        pass


def bytes_of(array: np.ndarray) -> np.ndarray:
    """The bytes of a contiguous array, in place."""
    return array.reshape(-1).view(np.uint8)


def _at(address: int, size: int) -> np.ndarray:
    return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))
