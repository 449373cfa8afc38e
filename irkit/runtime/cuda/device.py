"""A GPU by PyCUDA: the only module that imports it, and it is imported late.

The primary context is used, which the CUDA run time in a program's library uses too, and torch and CuPy do. Work is launched
on a stream that blocks: it runs in order with what others launch on the default stream, as if it were launched there. Copies
run beside it, on a stream for each direction that does not block; events say what waits for what.
"""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from dialects.errors import IrkitError
from irkit.runtime.cuda.machine import LEAST, Copy, Memory, bytes_of

DRIVER = "libcuda.so.1"

NON_BLOCKING = 1
NO_TIMES = 2
"""Flags of CUDA's for streams and events."""

PIECE = 1 << 22
"""Bytes that are staged at a time."""

LEAST_KEPT, MOST_KEPT = 1 << 12, 1 << 26
"""Bytes of a piece of pinned memory that is kept for later."""
HINT = "--target=cuda:cpu runs the same program on this CPU"


class PyCudaMachine:
    """The first GPU that the driver shows (CUDA_VISIBLE_DEVICES chooses)."""

    kind = 2
    number = 0

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
            # launches, copies to the device, copies from it
            self._streams = [driver.Stream(0), driver.Stream(NON_BLOCKING), driver.Stream(NON_BLOCKING)]
        self.stream: int = self._streams[0].handle
        self._staging: dict[int, list[np.ndarray]] = {}
        # of all that the end of the process does for memory this comes last, as it was asked for first
        weakref.finalize(self, _close, self._context, self._pool, driver, self._streams, self._staging)

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

    def stage(self, size: int) -> np.ndarray:
        """Pinned memory, which the device copies by itself; it is used again when nothing refers to it."""
        room = 1 << (max(LEAST_KEPT, size) - 1).bit_length() if size <= MOST_KEPT else size
        free = self._staging.setdefault(room, [])
        if free:
            piece = free.pop()
        else:
            with self.current():
                try:
                    piece = self._driver.pagelocked_empty(room, np.uint8)
                except self._driver.MemoryError:
                    piece = np.empty(room, np.uint8)  # which is copied too, if in more steps
        staged = piece[:size]
        if room <= MOST_KEPT:
            weakref.finalize(staged, free.append, piece)
        return staged

    def send(self, copies: Sequence[Copy], fresh: bool) -> None:
        launches, sending, _ = self._streams
        with self.current():
            if fresh:
                sending.wait_for_event(self._mark(launches))
            for copy in copies:
                data = bytes_of(copy.array)
                for start in range(0, len(data), PIECE):  # a piece is on its way while the next one is staged
                    part = slice(start, start + PIECE)
                    copy.staged[part] = data[part]
                    self._driver.memcpy_htod_async(copy.address + start, copy.staged[part], sending)
            if copies:
                launches.wait_for_event(self._mark(sending))

    def fetch(self, copies: Sequence[Copy]) -> Callable[[], None]:
        launches, _, fetching = self._streams
        with self.current():
            done = self._mark(launches)
            fetching.wait_for_event(done)
            begun: list[tuple[Copy, Any]] = []
            for copy in copies:
                if copy.staged.nbytes:
                    self._driver.memcpy_dtoh_async(copy.staged, copy.address, fetching)
                    begun.append((copy, self._mark(fetching)))

        def wait() -> None:
            with self.current():
                done.synchronize()
                for copy, arrived in begun:
                    arrived.synchronize()
                    bytes_of(copy.array)[:] = copy.staged

        return wait

    def _mark(self, stream: Any) -> Any:
        """An event for all that a stream has been given."""
        event = self._driver.Event(NO_TIMES)
        event.record(stream)
        return event

    def synchronise(self) -> None:
        with self.current():
            self._driver.Context.synchronize()


def _close(context: Any, pool: Any, driver: Any, streams: list[Any], staging: dict[int, Any]) -> None:
    """Gives all memory back, and then the context: PyCUDA's own end takes it for one that was made here."""
    context.push()
    driver.Context.synchronize()
    streams.clear()
    staging.clear()
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
