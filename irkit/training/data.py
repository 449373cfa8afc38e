"""Examples from an .npz file: arrays by the names of inputs, whose first dim counts the examples."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dialects.dims import Dim
from dialects.errors import IrkitError
from dialects.types import np_dtype
from irkit.diagnostics import nearest
from irkit.runtime.module import Program
from irkit.training.job import KEY
from lowering.c.abi import ArgSpec


@dataclass(frozen=True)
class Data:
    """Arrays by name: those of examples have `count` rows, the others go to every step whole."""

    count: int
    rows: Mapping[str, np.ndarray]
    whole: Mapping[str, np.ndarray]

    def part(self, which: np.ndarray) -> Data:
        """Some of the examples."""
        return Data(len(which), {n: a[which] for n, a in self.rows.items()}, self.whole)


def read_data(
    path: str, args: Sequence[ArgSpec], counted: Collection[str], defaults: Collection[str]
) -> Data:
    """The data for the inputs of a step; those of `counted` have examples along the first dim, those of `defaults` may be
    missing. Raises IrkitError."""
    arrays = _arrays(path)
    rows: dict[str, np.ndarray] = {}
    whole: dict[str, np.ndarray] = {}
    for arg in args:
        if arg.name not in arrays:
            if arg.name in defaults or arg.type_text == KEY:
                continue
            raise IrkitError(
                f"'{path}' has no array for the input '{arg.name}'",
                found=", ".join(arrays) or "no arrays",
                expected=f"{arg.name}: {arg.type_text}, with all examples along the first dim",
                hint=nearest(arg.name, arrays),
            )
        is_row = arg.name in counted
        (rows if is_row else whole)[arg.name] = _checked(path, arg, arrays[arg.name], is_row)
    if not rows:
        raise IrkitError(f"'{path}' holds no examples", found=", ".join(arrays) or "no arrays")
    counts = {name: len(array) for name, array in rows.items()}
    if len(set(counts.values())) > 1:
        raise IrkitError(
            f"the arrays of '{path}' have different numbers of examples",
            found=", ".join(f"{n}: {c}" for n, c in counts.items()),
        )
    return Data(next(iter(counts.values())), rows, whole)


def _arrays(path: str) -> dict[str, np.ndarray]:
    file = Path(path)
    if not file.is_file():
        near = [p.name for p in file.parent.iterdir()] if file.parent.is_dir() else []
        raise IrkitError(f"there is no file '{path}'", hint=nearest(file.name, near))
    try:
        with np.load(file, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("it is one array and no archive")
            return {name: archive[name] for name in archive.files}
    except (
        OSError,
        ValueError,
        EOFError,
        zipfile.BadZipFile,
        zlib.error,
        AttributeError,
        TypeError,
    ) as fault:
        reason = "it is no archive, or one of Python objects" if "pickle" in str(fault) else str(fault)
        raise IrkitError(
            f"cannot read '{path}': {reason}", expected="an .npz file, as numpy.savez writes it"
        ) from None


def _checked(path: str, arg: ArgSpec, array: np.ndarray, is_row: bool) -> np.ndarray:
    """An array in the dtype and with the dims of its input, but for the first of examples. Raises IrkitError."""
    found = f"{array.dtype}{list(array.shape) if array.ndim else ''}"
    dims = ("examples", *arg.dims[1:]) if is_row else arg.dims
    expected = arg.dtype + (f"[{', '.join(dims)}]" if dims else "")
    shape = [Dim.parse(d).value for d in arg.dims]
    start = 1 if is_row else 0
    if array.ndim != len(shape) or list(array.shape[start:]) != shape[start:]:
        raise IrkitError(f"'{arg.name}' in '{path}' has another shape", found=found, expected=expected)
    dtype = np_dtype(arg.dtype)
    if array.dtype.kind == "V" and array.dtype.itemsize == dtype.itemsize:
        array = array.view(dtype)
    if array.dtype != dtype:
        raise IrkitError(
            f"'{arg.name}' in '{path}' has another dtype",
            found=found,
            expected=expected,
            hint=f"convert it: {arg.name}.astype('{dtype}')",
        )
    if dtype.kind == "f" and not np.isfinite(array).all():
        raise IrkitError(
            f"'{arg.name}' in '{path}' holds what is no number",
            found=f"{int((~np.isfinite(array)).sum())} elements that are NaN or infinite",
            expected="finite numbers",
        )
    return np.ascontiguousarray(array)


def split(data: Data, fraction: float, seed: int) -> tuple[Data, Data]:
    """The data without some of its examples, and these. Raises IrkitError where one part would be empty."""
    count = round(data.count * fraction)
    if not 0 < count < data.count:
        raise IrkitError(
            f"--val {fraction} leaves nothing",
            found=f"{count} of {data.count} examples for validation",
            expected="a fraction between 0 and 1, as 0.1, or an .npz file",
        )
    order = generator(seed, 2**32).permutation(data.count)
    return data.part(np.sort(order[count:])), data.part(np.sort(order[:count]))


def generator(seed: int, epoch: int) -> np.random.Generator:
    """The random numbers of an epoch: the same wherever a run begins again."""
    return np.random.Generator(np.random.Philox(key=np.array([seed, epoch], np.uint64)))


def batches(data: Data, batch: int, seed: int, epoch: int) -> Iterator[np.ndarray]:
    """The rows of each batch of an epoch, in another order each time; examples that fill no batch are left for others."""
    order = generator(seed, epoch).permutation(data.count)
    for start in range(0, data.count - batch + 1, batch):
        yield order[start : start + batch]


class Feeder:
    """Arrays for the inputs of a program, which are filled again for each call."""

    def __init__(self, program: Program, data: Data, size: int):
        self.data = data
        self.arrays = {n: np.empty((size, *a.shape[1:]), a.dtype) for n, a in data.rows.items()}
        given = {n for n in (*data.rows, *data.whole)}
        self.key = next((a.name for a in program.inputs if a.name not in given and a.type_text == KEY), None)
        names = {a.name for a in program.inputs}
        self.inputs: dict[str, np.ndarray] = {
            n: a for n, a in {**data.whole, **self.arrays}.items() if n in names
        }
        if self.key is not None and self.key not in program.values:
            self.inputs[self.key] = np.zeros(2, np.uint32)

    def fill(self, rows: np.ndarray, seed: int = 0, step: int = 0) -> None:
        for name, array in self.arrays.items():
            np.take(self.data.rows[name], rows, axis=0, out=array)
        if self.key in self.inputs:
            self.inputs[self.key][:] = seed & 0xFFFFFFFF, step & 0xFFFFFFFF
