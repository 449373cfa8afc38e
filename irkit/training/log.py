"""The losses of a run as a CSV file: a row for each step, and one with what validation gives after each epoch."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from typing import TextIO

from dialects.errors import IrkitError
from irkit.training.checkpoint import Place
from irkit.training.loop import Row


class Log:
    """Rows `step, epoch, loss, ...`; each is in the file once it is told, so that a killed run leaves them."""

    def __init__(self, path: str, names: Sequence[str], place: Place):
        """Begins a file; one of a run that goes on is kept up to that step. Raises IrkitError."""
        self.path = path
        self.head = ["step", "epoch", "loss", *names]
        rows = _kept(path, self.head, place) if place.steps else []
        try:
            self.file: TextIO = open(path, "w", encoding="utf-8", newline="", buffering=1)  # noqa: SIM115
            self.writer = csv.writer(self.file)
            self.writer.writerows([self.head, *rows])
        except OSError as fault:
            raise _cannot(path, fault) from None

    def step(self, place: Place, loss: float) -> None:
        self._write([place.steps, place.epoch + 1, loss, *[""] * (len(self.head) - 3)])

    def epoch(self, row: Row) -> None:
        if row.values:
            self._write([row.steps, row.epoch, "", *(v for _, v in row.values)])

    def _write(self, cells: Sequence[object]) -> None:
        try:
            self.writer.writerow(cells)
        except OSError as fault:
            raise _cannot(self.path, fault) from None

    def close(self) -> None:
        self.file.close()


def read_log(path: str) -> list[tuple[str, list[tuple[float, float]]]]:
    """The lines of a picture that a log holds: for each column of values, the steps and what stands there."""
    with open(path, encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    return [
        (name, [(float(row[0]), float(row[n])) for row in rows if len(row) > n and row[n]])
        for n, name in enumerate(head)
        if n >= 2
    ]


def _kept(path: str, head: Sequence[str], place: Place) -> list[list[str]]:
    """The rows of a file with this head up to a step; none where there is no such file."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            first, *rows = csv.reader(file)
    except (OSError, ValueError):
        return []
    whole = [r for r in rows if len(r) == len(head) and r[0].isdigit() and r[1].isdigit()]
    # An epoch that a killed run told of, after its last checkpoint, is told once more.
    done = [r for r in whole if int(r[0]) <= place.steps and (r[2] or int(r[1]) <= place.epoch)]
    return done if first == list(head) else []


def _cannot(path: str, fault: OSError) -> IrkitError:
    return IrkitError(f"cannot write '{path}': {fault.strerror}", hint="choose another place")
