"""The values of parameters: read from `.safetensors` and `.npz` files, or made by an initialiser.

What a parameter is filled with stands in the IR, as the `graph.source` of a function's argument, so that a `.mlir` file
works like the `.tg` file it came from:

    load weights.safetensors w1     zeros     ones     full 0.5     glorot seed=1     he seed=1
    normal seed=1 mean=0 std=0.02   uniform seed=1 low=-0.1 high=0.1

Random initialisers draw from Philox-4x64 keyed by (seed, name of the parameter): the same on every machine, and two
parameters of one seed differ.
"""

from __future__ import annotations

import json
import math
import shlex
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import ml_dtypes
import numpy as np
from xdsl.dialects.builtin import DictionaryAttr, LocationAttr, StringAttr, TensorType
from xdsl.dialects.func import FuncOp

from dialects.dims import dims_text
from dialects.errors import ErrorList, IrkitError, Loc, loc_of_attr, op_loc
from dialects.types import DTYPE_NAMES, dims_of, dtype_name, integer_range, np_dtype, stored
from irkit.diagnostics import nearest

MAX_HEADER_BYTES = 100 << 20


def materialise(
    func: FuncOp, base_dir: str | Path = ".", kind: str = "param", dims: Mapping[str, int] | None = None
) -> dict[str, np.ndarray]:
    """The arrays of a function's arguments of one kind that have a source, by name.

    Relative file names start at `base_dir`; `dims` gives symbolic dims their values. Raises ErrorList, one error for
    each argument that cannot be made: no such file or tensor, wrong shape or dtype, a truncated file.
    """
    return fill_all(wanted(func, kind, dims or {}), base_dir)


def fill_all(wants: Iterable[Wanted], base_dir: str | Path = ".") -> dict[str, np.ndarray]:
    """The arrays of several arguments, by name; the errors of all are raised together, as by `materialise`."""
    files = _Files(Path(base_dir))
    values: dict[str, np.ndarray] = {}
    errors: list[IrkitError] = []
    for want in wants:
        try:
            values[want.name] = fill(want, files)
        except (IrkitError, MemoryError) as fault:
            error = fault if isinstance(fault, IrkitError) else _too_large(want)
            error.loc = error.loc or want.loc
            errors.append(error)
    if errors:
        raise ErrorList(errors)
    return values


def _too_large(want: Wanted) -> IrkitError:
    return IrkitError(
        f"there is not enough memory for '{want.name}'",
        found=want.type_text,
        hint="give dims smaller sizes (--dim)",
    )


@dataclass(frozen=True)
class Wanted:
    """An argument to be filled: its name, NumPy dtype and dtype name, shape, source text, place in the source."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    source: str
    loc: Loc | None = None

    @property
    def type_text(self) -> str:
        return self.dtype + (str(list(self.shape)) if self.shape else "")


def wanted(func: FuncOp, kind: str = "param", dims: Mapping[str, int] | None = None) -> list[Wanted]:
    """The arguments of one kind that have a source, in order. Raises IrkitError for a dim without a value."""
    out: list[Wanted] = []
    if func.arg_attrs is None:
        return out
    for arg, attrs in zip(func.args, func.arg_attrs.data, strict=True):
        name, source = _text(attrs, "graph.name"), _text(attrs, "graph.source")
        if (
            _text(attrs, "graph.kind") != kind
            or not name
            or not source
            or not isinstance(arg.type, TensorType)
        ):
            continue
        place = attrs.data.get("graph.loc")
        loc = loc_of_attr(place) if isinstance(place, LocationAttr) else op_loc(func)
        shape = [d.subst(dict(dims or {})).value for d in dims_of(arg.type)]
        if None in shape:
            raise IrkitError(
                f"'{name}' needs dims of known size to be filled",
                loc,
                found=dtype_name(arg.type.element_type) + dims_text(dims_of(arg.type)),
                hint="give the dim a value (--dim), or leave its range out",
            )
        out.append(
            Wanted(
                name,
                dtype_name(stored(arg.type.element_type)),
                tuple(s for s in shape if s is not None),
                source,
                loc,
            )
        )
    return out


def _text(attrs: DictionaryAttr, key: str) -> str | None:
    value = attrs.data.get(key)
    return value.data if isinstance(value, StringAttr) else None


def fill(want: Wanted, files: _Files | None = None) -> np.ndarray:
    """The array that a source text describes. Raises IrkitError."""
    try:
        kind, *words = shlex.split(want.source)
    except ValueError:
        kind, words = "", []
    if kind == "load" and len(words) == 2:
        return (files or _Files(Path("."))).load(want, *words)
    if kind not in INITIALISERS:
        known = ", ".join(["load", *INITIALISERS])
        raise IrkitError(
            f"cannot read the source of '{want.name}': '{want.source}'",
            want.loc,
            expected=f"one of {known}",
            hint=nearest(kind, INITIALISERS),
        )
    return _initialise(want, INITIALISERS[kind], words)


# -- initialisers -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Initialiser:
    """How an initialiser is called: its settings with their defaults (None: must be given), and what it computes."""

    settings: Mapping[str, float | None]
    compute: Callable[[np.random.Generator, tuple[int, ...], Mapping[str, float]], np.ndarray]
    floats_only: bool = True


def _fans(shape: Sequence[int]) -> tuple[int, int]:
    """(inputs, outputs) that meet at one weight: [in, out] for matmul, [out, in, kernel...] for convolution."""
    if len(shape) < 2:
        return math.prod(shape), math.prod(shape)
    if len(shape) == 2:
        return shape[0], shape[1]
    field_size = math.prod(shape[2:])
    return shape[1] * field_size, shape[0] * field_size


def _glorot(rng: np.random.Generator, shape: tuple[int, ...], _: Mapping[str, float]) -> np.ndarray:
    """Uniform in +-sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010)."""
    limit = math.sqrt(6 / max(1, sum(_fans(shape))))
    return rng.uniform(-limit, limit, shape)


def _he(rng: np.random.Generator, shape: tuple[int, ...], _: Mapping[str, float]) -> np.ndarray:
    """Normal with variance 2 / fan_in (He et al. 2015)."""
    return rng.normal(0, math.sqrt(2 / max(1, _fans(shape)[0])), shape)


INITIALISERS: dict[str, Initialiser] = {
    "zeros": Initialiser({}, lambda _, shape, s: np.zeros(shape), floats_only=False),
    "ones": Initialiser({}, lambda _, shape, s: np.ones(shape), floats_only=False),
    "full": Initialiser({"value": None}, lambda _, shape, s: np.full(shape, s["value"]), floats_only=False),
    "normal": Initialiser(
        {"seed": 0, "mean": 0, "std": 1}, lambda rng, shape, s: rng.normal(s["mean"], s["std"], shape)
    ),
    "uniform": Initialiser(
        {"seed": 0, "low": 0, "high": 1}, lambda rng, shape, s: rng.uniform(s["low"], s["high"], shape)
    ),
    "glorot": Initialiser({"seed": 0}, _glorot),
    "he": Initialiser({"seed": 0}, _he),
}
"""What a parameter can be filled with, besides `load`."""


def _initialise(want: Wanted, init: Initialiser, words: Sequence[str]) -> np.ndarray:
    settings: dict[str, float] = {k: v for k, v in init.settings.items() if v is not None}
    for i, word in enumerate(words):
        key, equals, value = word.partition("=")
        if not equals:
            key, value = next(iter(init.settings), ""), word
        if key not in init.settings or (not equals and i):
            known = ", ".join(init.settings) or "none"
            raise IrkitError(
                f"unknown setting '{key or word}' of an initialiser", want.loc, expected=f"settings: {known}"
            )
        try:
            settings[key] = int(value) if value.lstrip("-").isdigit() else float(value)
        except ValueError:
            raise IrkitError(f"setting '{key}' is no number", want.loc, found=value) from None
    if init.floats_only and not _is_real(want.dtype):
        raise IrkitError(
            f"'{want.name}' cannot be random",
            want.loc,
            found=want.dtype,
            expected="a floating-point dtype",
            hint="use zeros, ones, full or load",
        )
    seed = int(settings.get("seed", 0))
    key = np.array([seed & (2**64 - 1), zlib.crc32(want.name.encode())], dtype=np.uint64)
    rng = np.random.Generator(np.random.Philox(key=key))
    value = init.compute(rng, want.shape, settings)
    return np.ascontiguousarray(value.astype(np_dtype(want.dtype))).reshape(want.shape)


def _is_real(dtype: str) -> bool:
    return dtype.startswith(("f", "bf"))


# -- files ------------------------------------------------------------------------------------------------------

SAFETENSORS: dict[str, np.dtype] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F8_E4M3": np.dtype(ml_dtypes.float8_e4m3fn),
    "F8_E5M2": np.dtype(ml_dtypes.float8_e5m2),
    "F8_E8M0": np.dtype(ml_dtypes.float8_e8m0fnu),
    **{f"{kind}{8 * size}": np.dtype(f"<{kind.lower()}{size}") for kind in "IU" for size in (1, 2, 4, 8)},
    "BOOL": np.dtype(np.bool_),
    "C64": np.dtype("<c8"),
}
BYTES = {
    **dict.fromkeys(("i2", "i4"), np.dtype(np.int8)),
    **dict.fromkeys(("u2", "u4", "f8e4m3fnuz", "f8e5m2fnuz", "f4e2m1"), np.dtype(np.uint8)),
}
"""What small numbers stand as in a file, which has no such dtype: integers as numbers, floats as their bits."""

_NAMES = {np_dtype(name): name for name in reversed(DTYPE_NAMES.values())}


@dataclass(frozen=True)
class _Header:
    """Of a safetensors file: its entries, whose places in the data are checked, and the offset of the data."""

    entries: dict[str, dict]
    start: int


@dataclass
class _Files:
    """The files of one call; each header is read once."""

    base: Path
    headers: dict[Path, _Header] = field(default_factory=dict)
    archives: dict[Path, np.lib.npyio.NpzFile] = field(default_factory=dict)

    def load(self, want: Wanted, file: str, tensor: str) -> np.ndarray:
        """One tensor of a file, checked against what the parameter declares."""
        path = self.base / file
        if not path.is_file():
            raise _no_file(path, want)
        try:
            if path.suffix == ".safetensors":
                value = self._safetensor(path, tensor, want)
            elif path.suffix == ".npz":
                value = self._npz(path, tensor, want)
            else:
                raise IrkitError(
                    f"cannot load '{file}'",
                    want.loc,
                    found=f"the suffix '{path.suffix}'",
                    expected=".safetensors or .npz",
                )
        except OSError as fault:
            raise IrkitError(f"cannot read '{path}': {fault.strerror or fault}", want.loc) from None
        _check(want, value, f"'{tensor}' in '{path}'")
        return _as_stored(want, value, f"'{tensor}' in '{path}'")

    def _safetensor(self, path: Path, tensor: str, want: Wanted) -> np.ndarray:
        if path not in self.headers:
            self.headers[path] = _read_header(path, want)
        header = self.headers[path]
        if tensor not in header.entries:
            raise _no_tensor(path, tensor, list(header.entries), want)
        try:
            entry = header.entries[tensor]
            dtype, shape, (begin, end) = SAFETENSORS[entry["dtype"]], entry["shape"], entry["data_offsets"]
            claimed = np.broadcast_to(np.zeros((), dtype), [_size(n) for n in shape])  # without memory
        except (KeyError, TypeError, ValueError):
            raise _damaged(path, f"the entry of '{tensor}' cannot be read", want) from None
        size = claimed.size * dtype.itemsize
        if end - begin != size:
            message = f"'{tensor}' takes {size} bytes and its entry says {begin} to {end}"
            raise _damaged(path, message, want)
        _check(want, claimed, f"'{tensor}' in '{path}'")  # before anything is read
        return np.fromfile(path, dtype, claimed.size, offset=header.start + begin).reshape(claimed.shape)

    def _npz(self, path: Path, tensor: str, want: Wanted) -> np.ndarray:
        try:
            if path not in self.archives:
                archive = np.load(path, allow_pickle=False)
                if not isinstance(archive, np.lib.npyio.NpzFile):
                    raise _damaged(path, "it is no archive of arrays", want)
                self.archives[path] = archive
            archive = self.archives[path]
            if tensor not in archive.files:
                raise _no_tensor(path, tensor, archive.files, want)
            _check(want, _claimed(archive, tensor), f"'{tensor}' in '{path}'")  # before anything is unpacked
            value = archive[tensor]
        except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError) as fault:
            raise _damaged(path, f"{fault}", want) from None
        return np.ascontiguousarray(value.astype(value.dtype.newbyteorder("="), copy=False)).reshape(
            value.shape
        )


def _claimed(archive: np.lib.npyio.NpzFile, tensor: str) -> np.ndarray:
    """An array without memory of the dtype and shape that a member of an archive says it has. Raises ValueError."""
    files = archive.zip
    assert files is not None
    name = tensor if tensor in files.namelist() else f"{tensor}.npy"
    with files.open(name) as file:
        version = np.lib.format.read_magic(file)
        read = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read(file)
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    return np.broadcast_to(np.zeros((), dtype.newbyteorder("=")), shape)


def _read_header(path: Path, want: Wanted) -> _Header:
    """The header of a safetensors file; raises IrkitError for one that cannot be read, and for a truncated file."""
    total = path.stat().st_size

    def entry(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise _damaged(path, "a name stands twice in the header", want)
        return found

    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if total < 8 or length > min(total - 8, MAX_HEADER_BYTES):
            raise _damaged(path, f"the header should have {length} bytes and the file has {total}", want)
        try:
            entries = json.loads(file.read(length), object_pairs_hook=entry)
            entries.pop("__metadata__", None)
            spans = sorted((*_span(e), name) for name, e in entries.items())
        except (ValueError, RecursionError, AttributeError, TypeError, KeyError):
            raise _damaged(path, "the header cannot be read", want) from None
    _check_spans(spans, total - 8 - length, path, want)
    return _Header(entries, 8 + length)


def _size(number: object) -> int:
    """A number of a header that counts something. Raises ValueError."""
    if type(number) is not int or not 0 <= number < 1 << 63:
        raise ValueError
    return number


def _span(entry: Mapping) -> tuple[int, int]:
    """Where the data of a tensor begins and ends. Raises ValueError, TypeError or KeyError."""
    begin, end = entry["data_offsets"]
    return _size(begin), _size(end)


def _check_spans(spans: Sequence[tuple], size: int, path: Path, want: Wanted) -> None:
    """Raises IrkitError where tensors share bytes of the data, or where some have no bytes there."""
    done, before = 0, ""
    for begin, end, name in spans:
        if end > size:
            raise _damaged(path, f"the file is truncated: '{name}' ends at byte {end} of {size}", want)
        if begin < done:
            raise _damaged(path, f"'{before}' and '{name}' share bytes", want)
        if end < begin:
            raise _damaged(path, f"'{name}' ends before it begins", want)
        done, before = max(done, end), name


def _check(want: Wanted, value: np.ndarray, what: str) -> None:
    dtype = _NAMES.get(value.dtype, str(value.dtype))
    found = dtype + (str(list(value.shape)) if value.shape else "")
    if value.dtype not in (np_dtype(want.dtype), BYTES.get(want.dtype)):
        hint = f"declare '{want.name}' as {dtype} and cast where it is used, or convert the file"
        raise IrkitError(
            f"{what} has another dtype", want.loc, found=found, expected=want.type_text, hint=hint
        )
    if value.shape != want.shape:
        wrong = [i for i, (a, b) in enumerate(zip(value.shape, want.shape, strict=False)) if a != b]
        hint = f"dim {wrong[0]} differs" if len(value.shape) == len(want.shape) else "the ranks differ"
        raise IrkitError(
            f"{what} has another shape", want.loc, found=found, expected=want.type_text, hint=hint
        )


def _as_stored(want: Wanted, value: np.ndarray, what: str) -> np.ndarray:
    """The array in the dtype of the parameter; small numbers may stand in files as bytes. Raises IrkitError."""
    if value.dtype == np_dtype(want.dtype):
        return value
    if _is_real(want.dtype):
        return value.view(np_dtype(want.dtype))
    low, high = integer_range(want.dtype)
    wrong = value[(value < low) | (value > high)]
    if wrong.size:
        found = f"{wrong.reshape(-1)[0]}, and {wrong.size} of {value.size} elements outside"
        raise IrkitError(
            f"{what} does not fit into {want.dtype}", want.loc, found=found, expected=f"{low} to {high}"
        )
    return value.astype(np_dtype(want.dtype))


def _no_file(path: Path, want: Wanted) -> IrkitError:
    near = [p.name for p in path.parent.iterdir() if p.is_file()] if path.parent.is_dir() else []
    hint = nearest(path.name, near) or "file names are relative to the .tg file"
    return IrkitError(f"there is no file '{path}'", want.loc, hint=hint)


def _no_tensor(path: Path, tensor: str, names: Sequence[str], want: Wanted) -> IrkitError:
    shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    message = f"there is no tensor '{tensor}' in '{path}'"
    return IrkitError(message, want.loc, found=shown or "no tensors", hint=nearest(tensor, names))


def _damaged(path: Path, what: str, want: Wanted) -> IrkitError:
    return IrkitError(
        f"cannot load '{path}'",
        want.loc,
        found=what,
        expected=f"a whole {path.suffix} file",
        hint="write or download the file again",
    )
