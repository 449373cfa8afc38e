"""The data of parameters as files that `load` reads: `.safetensors`, and `.npz` for what that format lacks.

Numbers of two and four bits stand as bytes, as everywhere in files; of complex numbers the format has those of 64 bits alone.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import PurePath

import numpy as np

from dialects.types import SMALL_FLOATS, np_dtype
from irkit.params import BYTES, SAFETENSORS

_NAMES = {dtype: name for name, dtype in SAFETENSORS.items()}
_BYTES = {np_dtype(name): dtype for name, dtype in BYTES.items()}
_FLOATS = frozenset(np_dtype(name) for name in SMALL_FLOATS)


def file_of(array: np.ndarray, file: str) -> str:
    """The file that holds an array, where the others are in `file`: the `.npz` beside a `.safetensors` that cannot."""
    held = _BYTES.get(array.dtype, array.dtype) in _NAMES
    return file if held or not file.endswith(".safetensors") else str(PurePath(file).with_suffix(".npz"))


def as_bytes(array: np.ndarray) -> np.ndarray:
    """An array as it stands in a file."""
    byte = _BYTES.get(array.dtype)
    if byte is None:
        return array
    return array.view(byte) if array.dtype in _FLOATS else array.astype(byte)


def weight_files(arrays: Mapping[str, np.ndarray], file: str) -> dict[str, bytes]:
    """What is written for arrays, by the name of the file: those that a `.safetensors` file holds, and the rest."""
    parts: dict[str, dict[str, np.ndarray]] = {}
    for name, array in arrays.items():
        stored = as_bytes(array)
        parts.setdefault(file_of(array, file), {})[name] = stored
    return {f: _safetensors(a) if f.endswith(".safetensors") else _npz(a) for f, a in parts.items()}


def _safetensors(arrays: Mapping[str, np.ndarray]) -> bytes:
    entries: dict[str, dict[str, object]] = {}
    parts: list[bytes] = []
    at = 0
    for name, array in arrays.items():
        parts.append(np.ascontiguousarray(array).tobytes())
        span = [at, at + len(parts[-1])]
        entries[name] = {"dtype": _NAMES[array.dtype], "shape": list(array.shape), "data_offsets": span}
        at = span[1]
    head = json.dumps(entries, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    return b"".join([len(head).to_bytes(8, "little"), head, *parts])


def _npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    """As np.savez has it, but that equal arrays give equal bytes: it writes the time too."""
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
    return out.getvalue()
