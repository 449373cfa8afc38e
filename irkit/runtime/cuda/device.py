"""A GPU by PyCUDA: the only module that imports it, and it is imported late.

The primary context is used, which the CUDA run time in a program's library uses too, and torch and CuPy do. Work is launched
on the default stream, which waits for what others launched there and on their streams that block.
"""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from dialects.errors import IrkitError
from irkit.runtime.cuda.machine import LEAST, Memory, bytes_of

DRIVER = "libcuda.so.1"
HINT = "--target=cuda:cpu runs the same program on this CPU"


class PyCudaMachine:
    """The first GPU that the driver shows (CUDA_VISIBLE_DEVICES chooses)."""

    kind = 2
    number = 0
    stream = 0

    def __init__(self, driver: Any, tools: Any):
        """`driver` and `tools` are PyCUDA's modules."""
        self._driver = driver
        try:
            driver.init()
            device = driver.Device(self.number)
            self.name = str(device.name())
            self.capability: tuple[int, int] = device.compute_capability()
            self._context = device.retain_primary_context()
        except driver.Error as fault:
            raise IrkitError(
                "there is no GPU to run on", found=str(fault), expected="a GPU with its driver", hint=HINT
            ) from None
        self.lock = threading.Lock()
        with self.current():
            self._pool = tools.DeviceMemoryPool()
        # of all that the end of the process does for memory this comes last, as it was asked for first
        weakref.finalize(self, _close, self._context, self._pool, driver)

    @contextmanager
    def current(self) -> Iterator[None]:
        """Makes the primary context that of this thread. Raises IrkitError for an error of CUDA."""
        self._context.push()
        try:
            yield
        except self._driver.Error as fault:
            raise IrkitError(f"{self.name} stopped", found=str(fault).splitlines()[0]) from None
        finally:
            self._driver.Context.pop()

    def allocate(self, size: int) -> Memory:
        with self.current():
            try:
                piece = self._pool.allocate(max(size, LEAST))
            except self._driver.MemoryError:
                free, total = self._driver.mem_get_info()
                raise IrkitError(
                    f"{self.name} has no room for {size} bytes",
                    found=f"{free} bytes free of {total}",
                    hint="give dims smaller sizes (--dim), or smaller ranges",
                ) from None
        memory = Memory(int(piece), size, None)
        weakref.finalize(memory, self._free, piece)
        return memory

    def _free(self, piece: Any) -> None:
        """Gives a piece back to the pool, which ends the process where no context is current."""
        with self.current():
            piece.free()

    def upload(self, address: int, array: np.ndarray) -> None:
        if array.nbytes:
            with self.current():
                self._driver.memcpy_htod(address, bytes_of(array))

    def download(self, array: np.ndarray, address: int) -> None:
        with self.current():
            if array.nbytes:
                self._driver.memcpy_dtoh(bytes_of(array), address)

    def synchronise(self) -> None:
        with self.current():
            self._driver.Context.synchronize()


def _close(context: Any, pool: Any, driver: Any) -> None:
    """Gives all memory back, and then the context: PyCUDA's own end takes it for one that was made here."""
    context.push()
    pool.free_held()
    driver.Context.pop()
    context.detach()


@lru_cache(maxsize=1)
def open_device() -> PyCudaMachine:
    """The GPU of this process. Raises IrkitError where there is no driver, no PyCUDA or no GPU."""
    try:
        ctypes.CDLL(DRIVER)
    except OSError:
        raise IrkitError(
            "there is no driver for NVIDIA GPUs", expected=f"{DRIVER}, which the driver brings", hint=HINT
        ) from None
    if find_spec("pycuda") is None:
        raise IrkitError(
            "programs on a GPU need PyCUDA",
            found="no module 'pycuda'",
            hint="pip install 'irkit[cuda]', with the bin folder of the CUDA toolkit on the PATH",
        )
    try:
        return PyCudaMachine(import_module("pycuda.driver"), import_module("pycuda.tools"))
    except ImportError as fault:
        raise IrkitError(
            f"PyCUDA cannot be imported: {fault}",
            hint="install it again with the toolkit that fits the driver: pip install --force-reinstall 'irkit[cuda]'",
        ) from None
