"""What a gradient costs beside the loss alone: `python -m tools.bench.gradient [ROW...]`, on one thread.

For each step of training of the rows, the processor time of `value_and_grad(loss, wrt=params)` over that of the loss; the
goal is below 4. The exit code is 1 where a row misses it.
"""

from __future__ import annotations

import sys
import time
from statistics import median

from irkit.api import compile_text
from tools.bench.data import data_of
from tools.bench.rows import ROWS, Row, find
from tools.bench.training import is_step

GOAL = 4.0
ROUNDS = 15
BOTH = "\nfn both = value_and_grad(loss, wrt=params)\n"


def times(row: Row, rounds: int = ROUNDS) -> tuple[float, float]:
    """The median seconds of the loss, and of the loss with its gradient; they take turns."""
    inputs = data_of(row).inputs
    text = row.text() + BOTH
    calls = [
        compile_text(text, row.file, fn, row.sizes(), threads=1).prepare(**inputs).run
        for fn in ("loss", "both")
    ]
    taken: list[list[float]] = [[], []]
    for _ in range(rounds + 1):
        for call, seconds in zip(calls, taken, strict=True):
            start = time.thread_time()
            call()
            seconds.append(time.thread_time() - start)
    loss, both = (median(seconds[1:]) for seconds in taken)
    return loss, both


def main(names: list[str]) -> int:
    """Prints a line for each row."""
    asked = [row for name in names if (row := find(name)) is not None and is_step(row)]
    missed = False
    for row in asked or filter(is_step, ROWS):
        loss, both = times(row)
        missed |= both / loss >= GOAL
        print(f"{row.name}: loss {loss * 1e3:.3g} ms, with gradient {both * 1e3:.3g} ms: {both / loss:.2f}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
