"""What takes part in a race."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Candidate:
    """`call` is timed. `result` runs once from the row's inputs and gives the array that came out; it is called before
    any timing. `turn` is entered around each turn, untimed. `allocates` says that every call makes its result anew, on
    pages that come from the system where it is large. `load_seconds` is what compiling or loading took, where preparing
    it did more than that. `save` writes to a folder what is shipped to run the model elsewhere, weights included and a
    peer's library not."""

    call: Callable[[], object]
    result: Callable[[], np.ndarray]
    allocates: bool = False
    turn: Callable[[], AbstractContextManager[object]] = nullcontext
    load_seconds: float | None = None
    save: Callable[[Path], object] | None = None


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4
LARGEST_KEPT = 32 << 20
"""The largest block that glibc's malloc can be told to keep when it is freed, other than by never using mmap."""


def set_malloc(keeps_all: bool) -> None:
    """What malloc does with freed memory: keep all of it, or give blocks above 32 MiB back to the system, as glibc does
    once it has seen some. Without glibc nothing changes."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT)
    mallopt(M_MMAP_MAX, 0 if keeps_all else 65536)
    mallopt(M_TRIM_THRESHOLD, 2**31 - 1 if keeps_all else 2 * LARGEST_KEPT)


@contextmanager
def kept_pages() -> Iterator[None]:
    """A turn in which malloc gives nothing back."""
    set_malloc(keeps_all=True)
    try:
        yield
    finally:
        set_malloc(keeps_all=False)
