"""Checkpoints: parameters, state, and where in the data a run is, in one safetensors file that appears whole or not at all."""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError, safe_open

from dialects.errors import IrkitError
from irkit.files import write_bytes_atomically
from irkit.params import SAFETENSORS, Wanted, fill_all
from irkit.runtime.module import Program

FORMAT = "irkit.training.1"
NAME = re.compile(r"step-(\d{8,})\.safetensors")


@dataclass(frozen=True)
class Place:
    """Where a run is, and of which run: the same seed, batch and examples give the same order of examples."""

    seed: int
    batch: int
    examples: int
    epoch: int = 0
    """Epochs that are done."""
    batches: int = 0
    """Batches of the epoch after that are done."""
    steps: int = 0
    total: float = 0.0
    """The sum of the losses of these batches."""


def weights_file(values: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None) -> bytes:
    """The content of a safetensors file. Raises IrkitError for a dtype that it has no name for."""
    for name, value in values.items():
        if value.dtype not in SAFETENSORS.values():
            raise IrkitError(f"'{name}' has no place in a safetensors file", found=str(value.dtype))
    return safetensors.numpy.save(dict(values), metadata=None if metadata is None else dict(metadata))


def save(folder: Path, program: Program, place: Place, keep: int) -> Path:
    """Writes a checkpoint, then removes the oldest beyond `keep`."""
    path = folder / f"step-{place.steps:08d}.safetensors"
    # One entry, since the library writes several in any order, and equal runs are to write equal files.
    facts = {"place": json.dumps({"format": FORMAT, **asdict(place)})}
    write_bytes_atomically(str(path), weights_file(program.params(), facts))
    for old in found(folder)[:-keep]:
        old.unlink(missing_ok=True)
    return path


def found(folder: Path) -> list[Path]:
    """The checkpoints in a folder, the oldest first."""
    if not folder.is_dir():
        return []
    names = {p: m for p in folder.iterdir() if (m := NAME.fullmatch(p.name))}
    return sorted(names, key=lambda p: int(names[p][1]))


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Makes the folder, and keeps it for one run until that ends or is killed. Raises IrkitError where another run has it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
    except OSError as fault:
        raise _cannot_write(folder, fault) from None
    try:
        with suppress(OSError):  # some file systems have no locks
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise IrkitError(
                    f"another run writes its checkpoints to '{folder}'",
                    expected="one run at a time",
                    hint="wait until it ends, or name another folder",
                ) from None
        yield
    finally:
        os.close(handle)


def prepare(folder: Path, resume: bool) -> Path | None:
    """Removes what a killed run left half written, and gives the checkpoint to go on from. Raises IrkitError where there are
    some and the run is not to go on."""
    try:
        for left in folder.glob(".new-*"):
            left.unlink(missing_ok=True)
    except OSError as fault:
        raise _cannot_write(folder, fault) from None
    last = found(folder)
    if last and not resume:
        raise IrkitError(
            f"'{folder}' holds checkpoints of another run",
            found=last[-1].name,
            hint="--resume goes on from there; or name another folder",
        )
    return last[-1] if last else None


def _cannot_write(folder: Path, fault: OSError) -> IrkitError:
    return IrkitError(f"cannot write to '{folder}': {fault.strerror}", hint="choose another folder")


def load(path: Path, program: Program, run: Place) -> Place:
    """Gives a program the values of a checkpoint; where its run was. Raises IrkitError for one of another run, or a file that
    is damaged."""
    try:
        with safe_open(path, framework="numpy") as file:
            facts = json.loads((file.metadata() or {}).get("place", "{}"))
            if facts.pop("format", None) != FORMAT:
                raise ValueError("it is no checkpoint")
            place = Place(**facts)
    except (OSError, SafetensorError, ValueError, TypeError, KeyError) as fault:
        raise IrkitError(
            f"cannot read the checkpoint '{path}'",
            found=str(fault),
            hint="remove it, and --resume takes the one before",
        ) from None
    for name in ("seed", "batch", "examples"):
        if getattr(place, name) != getattr(run, name):
            raise IrkitError(
                f"'{path}' is of another run: its {name} differs",
                found=f"{name} {getattr(place, name)} in the checkpoint",
                expected=f"{name} {getattr(run, name)}, as this run has",
                hint="a run goes on with the same data and options",
            )
    wants = [
        Wanted(n, a.dtype, program.values[n].shape, f"load {path.name} {n}")
        for n, a in ((a.name, a) for a in program.spec.args)
        if a.role in ("param", "state")
    ]
    program.set_params(fill_all(wants, path.parent))
    return place
