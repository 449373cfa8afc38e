"""The functions of a library with a host program for a device."""

from __future__ import annotations

import ctypes
import weakref
from dataclasses import dataclass

from irkit.runtime.module import Native


@dataclass(frozen=True, eq=False)
class Graph:
    """The launches of a run with arrays at certain places, which a library keeps."""

    handle: ctypes.c_void_p
    places: tuple[int, bytes]


class CudaNative(Native):
    """A loaded library; `graph` is what its program launches, where that is always the same."""

    def _rest(self, name: str) -> None:
        self.arena_bytes = self._function(f"{name}_arena_bytes", ctypes.c_size_t, ctypes.c_void_p)
        self.error = self._function(f"{name}_error", ctypes.c_char_p, ctypes.c_int)
        self.capture = None
        if hasattr(self.library, f"{name}_capture"):  # its launches are always the same
            self.capture = self._function(f"{name}_capture", ctypes.c_int, *[ctypes.c_void_p] * 3)
            self.replay = self._function(f"{name}_replay", ctypes.c_int, *[ctypes.c_void_p] * 2)
            self.forget = self._function(f"{name}_forget", None, ctypes.c_void_p)

    def graph(self, args: object, arena: int, places: tuple[int, bytes]) -> Graph | None:
        """The launches of a run; None where it has no graph."""
        if self.capture is None:
            return None
        handle = ctypes.c_void_p()
        code = self.capture(args, arena, ctypes.byref(handle))
        found = Graph(handle, places)
        if handle:
            weakref.finalize(found, self.forget, handle).atexit = False
        if code:
            self.capture = None  # it is not asked again
            return None
        return found
