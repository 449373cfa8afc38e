"""A compiled program as one file, which runs on machines without a compiler.

The file is a zip archive: `artefact.json` (version, machine, compiler, interface, a hash of every other member), the shared
library, the C text and header, and the bytes of the parameters as safetensors. Reading it runs nothing but the library, and
that only after every hash was compared.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors.numpy import load, save

from dialects.errors import IrkitError
from dialects.types import np_dtype
from irkit.files import write_bytes_atomically
from irkit.runtime import cache
from irkit.runtime.module import Program
from lowering.c.abi import ABI_VERSION, ProgramSpec

VERSION = 1
SUFFIX = ".irk"
LIBRARY, PARAMETERS, SOURCE, HEADER, FACTS = (
    "program.so",
    "values.safetensors",
    "program.c",
    "program.h",
    "artefact.json",
)
MEMBERS = (LIBRARY, PARAMETERS, SOURCE, HEADER)
MAX_FACTS = 64 << 20
"""Bytes of the description, which is read before anything is known of it."""

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every member, so that equal programs make equal files."""


def save_program(program: Program, path: str | os.PathLike[str]) -> None:
    """Writes a program with its parameters and default inputs to a file, all or nothing. Raises IrkitError."""
    contents = {
        LIBRARY: program.library.read_bytes(),
        PARAMETERS: save({n: np.frombuffer(v.tobytes(), np.uint8) for n, v in program.values.items()}),
        SOURCE: program.spec.source.encode(),
        HEADER: program.spec.header.encode(),
    }
    facts = {
        "version": VERSION,
        "abi": ABI_VERSION,
        "machine": platform.machine(),
        "system": platform.system(),
        "features": sorted(_features()),
        "spec": program.spec.to_json(),
        "shapes": {name: list(value.shape) for name, value in program.values.items()},
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()},
        "sizes": {name: len(data) for name, data in contents.items()},
    }
    contents[FACTS] = json.dumps(facts, sort_keys=True).encode()
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in contents.items():
            archive.writestr(zipfile.ZipInfo(name, EPOCH), data, zipfile.ZIP_DEFLATED)
    write_bytes_atomically(os.fspath(path), whole.getvalue())


def load_program(path: str | os.PathLike[str], threads: int | None = None) -> Program:
    """The program in a file. Raises IrkitError for a file that is damaged, of another version, or for another machine."""
    target = Path(path)
    try:
        with zipfile.ZipFile(target) as archive:
            facts = _facts(archive, target)
            _check_machine(facts, target)
            contents = {name: _member(archive, name, facts, target) for name in MEMBERS}
        spec = ProgramSpec.from_json(facts["spec"])
        dtypes = {a.name: np_dtype(a.dtype) for a in spec.args}
        values = {
            name: data.view(dtypes[name]).reshape(facts["shapes"][name])
            for name, data in load(contents[PARAMETERS]).items()
        }
    except FileNotFoundError:
        raise IrkitError(f"there is no file '{target}'") from None
    except IrkitError:
        raise
    except (
        OSError,
        zipfile.BadZipFile,
        ValueError,
        KeyError,
        TypeError,
        NotImplementedError,
        EOFError,
    ) as fault:
        raise _damaged(target, f"{type(fault).__name__}: {fault}") from None
    except Exception as fault:  # safetensors and zlib have errors of their own
        raise _damaged(target, f"{type(fault).__name__}: {fault}") from None
    return Program(spec, _unpacked(contents[LIBRARY]), values, threads)


def _facts(archive: zipfile.ZipFile, target: Path) -> dict:
    info = archive.getinfo(FACTS)
    if info.file_size > MAX_FACTS:
        raise _damaged(target, f"a description of {info.file_size} bytes")
    facts = json.loads(archive.read(info))
    if not isinstance(facts, dict) or not isinstance(facts.get("sha256"), dict):
        raise _damaged(target, "no description")
    if facts.get("version") != VERSION or facts.get("abi") != ABI_VERSION:
        raise IrkitError(
            f"'{target}' is of another version",
            found=f"format {facts.get('version')}, interface {facts.get('abi')}",
            expected=f"format {VERSION}, interface {ABI_VERSION}",
            hint="compile the model again",
        )
    return facts


def _check_machine(facts: Mapping, target: Path) -> None:
    here = (platform.machine(), platform.system())
    if (facts["machine"], facts["system"]) != here:
        raise IrkitError(
            f"'{target}' is for another machine",
            found=f"{facts['machine']}, {facts['system']}",
            expected=", ".join(here),
            hint="compile the model here, or build its C text",
        )
    if missing := sorted(set(facts["features"]) - _features()):
        raise IrkitError(
            f"'{target}' needs what this processor lacks",
            found=", ".join(missing),
            hint="compile it with --target sse2, or here",
        )


def _member(archive: zipfile.ZipFile, name: str, facts: Mapping, target: Path) -> bytes:
    """A member, no longer than the description says, with the hash that it says."""
    size = facts["sizes"][name]
    with archive.open(name) as file:
        data = file.read(size + 1)
    if len(data) != size or hashlib.sha256(data).hexdigest() != facts["sha256"][name]:
        raise _damaged(target, f"{name} is not what was written")
    return data


def _damaged(target: Path, found: str) -> IrkitError:
    return IrkitError(
        f"'{target}' is damaged, or no program of irkit",
        found=found.splitlines()[0][:200] if found else None,
        expected=f"a file that Program.save or `irkit compile -o name{SUFFIX}` wrote",
    )


def _unpacked(library: bytes) -> Path:
    """The library as a file that can be loaded, under its content in the cache."""
    path = cache.cache_dir() / f"artefact-{hashlib.sha256(library).hexdigest()[:32]}.so"
    if not path.is_file() or path.read_bytes() != library:
        cache.write_file(path, lambda new: new.write_bytes(library))
    return path


def _features() -> set[str]:
    """The instruction sets of this processor that compiled code may use."""
    wanted = ("sse", "avx", "fma", "f16c", "bmi", "asimd", "neon", "amx")
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith(("flags", "Features")):
                    return {f for f in line.split(":", 1)[1].split() if f.startswith(wanted)}
    except OSError:
        pass
    return set()
