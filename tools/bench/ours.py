"""Our side of a race: the program of a row, compiled without its cache, and its cheapest repeated call."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from irkit.api import compile_text
from tools.bench import training
from tools.bench.candidate import Candidate
from tools.bench.data import Data, aligned
from tools.bench.rows import Row


@dataclass(frozen=True)
class Ours:
    """A compiled row. `seconds` is what compiling took, `peak_bytes` what its intermediates take in memory."""

    candidate: Candidate
    seconds: float
    peak_bytes: int


def prepare(row: Row, data: Data, threads: int, cc: str | None = None) -> Ours:
    """Compiles a row with a C compiler. Raises IrkitError."""
    start = time.perf_counter()
    given = frozenset(data.inputs if training.is_step(row) else data.all)
    program = compile_text(row.text(), row.file, dims=row.sizes(), threads=threads, cc=cc, given=given)
    seconds = time.perf_counter() - start
    if training.is_step(row):
        return Ours(training.ours(row, program, data.inputs), seconds, program.peak_bytes)
    shape = program.prepare(**data.all).results[0].shape
    out = aligned(shape)
    call = program.prepare(**data.all, out=out)

    def result() -> np.ndarray:
        return call.run()[0]

    def save(folder: Path) -> None:
        whole = compile_text(
            row.text(), row.file, dims=row.sizes(), threads=threads, cc=cc
        )  # holds its weights
        whole.save(folder / "model.irk")

    return Ours(Candidate(call.run, result, save=save), seconds, program.peak_bytes)
