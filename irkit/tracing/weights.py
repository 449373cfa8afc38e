"""Arrays as a `.safetensors` file, in every dtype that the format has."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np

from dialects.errors import IrkitError
from irkit.params import SAFETENSORS

_NAMES = {dtype: name for name, dtype in SAFETENSORS.items()}


def safetensors_bytes(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The bytes of the file. Raises IrkitError for a dtype that the format lacks."""
    entries: dict[str, dict[str, object]] = {}
    parts: list[bytes] = []
    at = 0
    for name, array in arrays.items():
        if array.dtype not in _NAMES:
            hint = "keep the parameter in another dtype and convert it: w.astype(...)"
            raise IrkitError(
                f"a .safetensors file holds no {array.dtype}", found=f"parameter '{name}'", hint=hint
            )
        parts.append(np.ascontiguousarray(array).tobytes())
        span = [at, at + len(parts[-1])]
        entries[name] = {"dtype": _NAMES[array.dtype], "shape": list(array.shape), "data_offsets": span}
        at = span[1]
    head = json.dumps(entries, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    return b"".join([len(head).to_bytes(8, "little"), head, *parts])
