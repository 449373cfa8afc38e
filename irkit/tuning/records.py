"""What was found for each kernel, as TOML files that people can read and change, in the folder that the pass reads.

A file is replaced whole after every batch, so that a run that is stopped at any time loses no more than a batch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dialects.errors import IrkitError
from irkit.files import write_atomically
from irkit.tuning.search import State
from lowering.kernel.mutation import Directives
from lowering.kernel.tuned import read_tuned


@dataclass(frozen=True)
class Record:
    """A search, and where it stands. `sizes` are the extents of the axes, symbolic dims at their greatest."""

    name: str
    target: str
    compiler: str
    threads: int
    sizes: Mapping[str, int]
    start: Directives
    state: State

    def text(self) -> str:
        """The file."""
        s = self.state
        return "\n".join(
            [
                f"# @{self.name}: ratio is the time by these directives, by the time by those of the start",
                f"name = {json.dumps(self.name)}",
                f"target = {json.dumps(self.target)}",
                f"compiler = {json.dumps(self.compiler)}",
                f"threads = {self.threads}",
                f"sizes = {{ {', '.join(f'{a} = {n}' for a, n in self.sizes.items())} }}",
                f"start = {_list(self.start)}",
                f"directives = {_list(s.best)}",
                f"ratio = {s.ratio:.4f}",
                f"microseconds_before = {s.seconds / s.ratio * 1e6:.3f}",
                f"microseconds = {s.seconds * 1e6:.3f}",
                f"trials = {s.trials}",
                f"done = {json.dumps(s.is_done)}",
                f"exhausted = {json.dumps(s.is_exhausted)}",
                "",
            ]
        )

    def is_finished(self, trials: int) -> bool:
        """Whether a search for so many trials has nothing left to do."""
        return self.state.is_done and (self.state.is_exhausted or self.state.trials >= trials)


def write_record(path: Path, record: Record) -> None:
    """Raises IrkitError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise IrkitError(f"cannot make the folder '{path.parent}': {fault.strerror}") from None
    write_atomically(str(path), record.text())


def read_record(path: Path) -> Record | None:
    """What a file says; None where there is none. Raises IrkitError for one that is damaged."""
    facts = read_tuned(path)
    if facts is None:
        return None
    try:
        state = State(
            tuple(facts["directives"]),
            int(facts["trials"]),
            float(facts["microseconds"]) * 1e-6,
            float(facts["ratio"]),
            bool(facts["done"]),
            bool(facts["exhausted"]),
        )
        name, target, compiler = (str(facts[key]) for key in ("name", "target", "compiler"))
        threads, sizes, start = int(facts["threads"]), dict(facts["sizes"]), tuple(facts["start"])
        return Record(name, target, compiler, threads, sizes, start, state)
    except (KeyError, TypeError, ValueError) as fault:
        raise IrkitError(
            f"cannot read what was tuned before from '{path}'",
            found=f"{type(fault).__name__}: {fault}",
            hint="remove the file, or run irkit tune --fresh",
        ) from None


def _list(directives: Directives) -> str:
    return "[" + ", ".join(map(json.dumps, directives)) + "]"
