"""Keeps compiled programs between runs, by content.

A library is kept under the hash of its C text, the headers, the flags and the compiler; a whole program under the hash
of all that leads to it, from the `.tg` text on, so that running it again needs no front end. Files appear whole or not
at all, so several processes may share a folder, and one that is killed leaves nothing that another would take for whole.
Where the folder cannot be written, or its disk is full, programs are compiled all the same, with a warning.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import re
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from dialects.errors import IrkitError
from irkit.runtime.compiler import Compiler
from irkit.runtime.units import units
from lowering.c.abi import ABI_VERSION, ProgramSpec

MAX_BYTES = 2 << 30
MAX_AGE = 3600.0
"""Seconds after which a file under a temporary name is one that a killed process left; no compile takes as long."""

LITTLE = 1 << 20
"""Bytes left on a disk that is full."""

BUILD, NEW = "build-", ".new-"
"""What the names of folders and files begin with that are not whole yet."""

PACKAGES = ("dialects", "lowering", "irkit")

Place = tuple[str, int, int]


@dataclass(frozen=True)
class Entry:
    """A program in the cache: spec, library, where its arguments stand in the source, flags for the compiler."""

    spec: ProgramSpec
    library: Path
    places: Mapping[str, Place]
    cflags: tuple[str, ...]


def cache_dir() -> Path:
    """The folder of the cache, made if need be: IRKIT_CACHE_DIR, or `irkit` in the user's cache folder."""
    path, reason = _chosen_dir()
    if reason is None:
        return path.resolve()
    _warn(path, reason)
    return _temporary_dir()


def require_writable() -> None:
    """Raises IrkitError where the folder of the cache cannot be written, for what is of no use unless it is kept."""
    path, reason = _chosen_dir()
    if reason is not None:
        raise IrkitError(
            f"nothing can be kept in '{path}': {reason}",
            expected="a folder that is writable",
            hint="name one by the variable IRKIT_CACHE_DIR",
        )


def _chosen_dir() -> tuple[Path, str | None]:
    """The folder of the cache, made if need be, and why it is of no use."""
    chosen = os.environ.get("IRKIT_CACHE_DIR")
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    path = Path(chosen) if chosen else Path(base) / "irkit"
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path, None if os.access(path, os.W_OK | os.X_OK) else "it is not writable"
    except OSError as fault:
        return path, fault.strerror or str(fault)


def tuned_dir(target: str, compiler: Compiler) -> Path:
    """Where the schedules lie that `irkit tune` found for a target, with a compiler, on this machine; it may not exist."""
    what = digest([compiler.identity(), _machine()])[:12]
    command = re.sub(r"[^\w.+-]+", "-", os.path.basename(compiler.name))
    return cache_dir() / "tuned" / f"{target}-{command}-{what}"


def tuned_texts(folder: Path) -> list[str]:
    """All that a folder of tuned schedules says, for the key of a program that is compiled by them."""
    texts: list[str] = []
    for path in sorted(folder.glob("*.toml")):
        try:
            texts += [path.name, path.read_text(encoding="utf-8", errors="replace")]
        except OSError as fault:
            texts += [path.name, str(fault)]
    return texts


@lru_cache(maxsize=64)
def _warn(path: Path, reason: str) -> None:
    """Says once why nothing is kept."""
    warnings.warn(f"the cache in {path} is of no use: {reason}; nothing is kept", stacklevel=3)


@lru_cache(maxsize=1)
def _temporary_dir() -> Path:
    """A folder for this process alone, where the proper one cannot be written."""
    import atexit

    path = tempfile.mkdtemp(prefix="irkit-")
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return Path(path)


def program_key(parts: Iterable[str], compiler: Compiler) -> str:
    """The key of a program made from such texts by this irkit, on this machine, with this compiler."""
    return digest([*parts, compiler.identity(), _toolchain(), _machine()])


def load_program(key: str) -> Entry | None:
    """A program from the cache; None where it is not there or damaged."""
    folder = cache_dir()
    try:
        record = json.loads((folder / f"{key}.json").read_text(encoding="utf-8"))
        spec = ProgramSpec.from_json(record["spec"])
        places = {n: (str(f), int(line), int(col)) for n, (f, line, col) in record["places"].items()}
        library = folder / record["library"]
        return Entry(spec, library, places, tuple(record["cflags"])) if library.is_file() else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def store_program(key: str, entry: Entry) -> None:
    """Puts a program into the cache; its library is there already."""
    record = {
        "spec": entry.spec.to_json(),
        "library": entry.library.name,
        "places": entry.places,
        "cflags": list(entry.cflags),
    }
    folder = cache_dir()
    if entry.library.parent != folder:  # compiled elsewhere, since the cache could not hold it
        return
    try:
        write_file(folder / f"{key}.json", lambda path: path.write_text(json.dumps(record), encoding="utf-8"))
    except OSError as fault:
        _warn(folder, fault.strerror or str(fault))


def library(spec: ProgramSpec, compiler: Compiler, cflags: Sequence[str], again: bool = False) -> Path:
    """The shared library of a program, compiled unless the cache holds it. `again` compiles in any case."""
    headers = [p.read_text(encoding="utf-8") for f in compiler.FOLDERS for p in sorted(f.glob("*.h"))]
    machine = _machine() if any("native" in f for f in cflags) else platform.machine()
    key = digest(
        [
            str(ABI_VERSION),
            spec.source,
            spec.header,
            *headers,
            *compiler.flags(cflags),
            compiler.identity(),
            machine,
        ]
    )
    path = cache_dir() / f"{spec.name[:40]}-{key}.so"
    if not again and path.is_file():
        return path
    try:
        _compile(spec, compiler, cflags, path)
    except OSError as fault:
        _warn(path.parent, fault.strerror or str(fault))
        path = _temporary_dir() / path.name
        _compile_elsewhere(spec, compiler, cflags, path)
        return path
    prune(path.parent)
    return path


def _compile(spec: ProgramSpec, compiler: Compiler, cflags: Sequence[str], path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=BUILD) as folder:
        texts = units(spec)
        sources = [Path(folder) / f"{spec.name}{n or ''}{compiler.SUFFIX}" for n in range(len(texts))]
        for source, text in zip(sources, texts, strict=True):
            source.write_text(text, encoding="utf-8")
        (Path(folder) / f"{spec.name}.h").write_text(spec.header, encoding="utf-8")
        built = Path(folder) / path.name
        try:
            compiler.shared_library_of(sources, built, cflags)
        except IrkitError:
            if shutil.disk_usage(folder).free < LITTLE:  # no fault of the program
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from None
            raise
        with open(built, "rb") as file:
            os.fsync(file.fileno())  # its content is on the disk before its name is
        os.replace(built, path)


def _compile_elsewhere(spec: ProgramSpec, compiler: Compiler, cflags: Sequence[str], path: Path) -> None:
    try:
        _compile(spec, compiler, cflags, path)
    except OSError as fault:
        raise IrkitError(
            f"there is no place for a compiled program: {fault.strerror or fault}",
            found=f"neither in {cache_dir()} nor in {path.parent}",
            hint="set IRKIT_CACHE_DIR to a folder that has room",
        ) from None


def prune(folder: Path, limit: int = MAX_BYTES) -> None:
    """Removes what killed processes left, and the files used longest ago until those left take no more than limit bytes."""
    for path in [*folder.glob(f"{BUILD}*"), *folder.glob(f"{NEW}*")]:
        try:
            if time.time() - path.stat().st_mtime > MAX_AGE:
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        except OSError:
            continue
    files: list[tuple[float, int, Path]] = []
    for path in [*folder.glob("*.so"), *folder.glob("*.json")]:
        try:
            facts = path.stat()
        except OSError:
            continue
        files.append((max(facts.st_atime, facts.st_mtime), facts.st_size, path))
    total = sum(size for _, size, _ in files)
    for _, size, path in sorted(files):
        if total <= limit:
            return
        path.unlink(missing_ok=True)
        total -= size


def digest(parts: Iterable[str]) -> str:
    """A hash of a list of texts."""
    state = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogateescape")
        state.update(len(data).to_bytes(8, "little"))
        state.update(data)
    return state.hexdigest()[:32]


def write_file(path: Path, fill: Callable[[Path], object]) -> None:
    """Writes a file under a name of its own and moves it into place."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=NEW)
    os.close(handle)
    try:
        fill(Path(temporary))
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@lru_cache(maxsize=1)
def _toolchain() -> str:
    """Changes with any file of irkit."""
    root = Path(__file__).resolve().parents[2]
    rows: list[str] = []
    for package in PACKAGES:
        for folder, _, names in os.walk(root / package):
            for name in names:
                if name.endswith((".py", ".h", ".lark", ".tg")):
                    path = os.path.join(folder, name)
                    facts = os.stat(path)
                    rows.append(f"{path} {facts.st_size} {facts.st_mtime_ns}")
    return digest(sorted(rows))


@lru_cache(maxsize=1)
def _machine() -> str:
    """The instruction set and caches that `native` stands for."""
    text = platform.machine() + platform.system()
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith(("flags", "Features", "model name")):
                    text += line
                if not line.strip():
                    break
    except OSError:
        text += platform.processor()
    return text
