"""One program for every size against programs for one size each: `python -m tools.bench.dynamic [FAMILY...]`.

For each family a dim is left open and the program compiled once; for each of five sizes another is compiled with the dim
fixed. The two take turns on one thread. The goal is that the open one takes at most 1.15 times as long; the exit code is 1
where a size misses it. The arrays of the open program lie where its largest size needs them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

import numpy as np

from irkit.api import compile_text
from irkit.runtime.module import Program
from tools.bench.candidate import Candidate
from tools.bench.data import aligned, data_of
from tools.bench.measure import Ratio, interleaved, paired_ratio, pin
from tools.bench.rows import Row

GOAL = 1.15
ROUNDS = 15


@dataclass(frozen=True)
class Open:
    """A family of which one dim is left open, and the sizes that it is run at; the last is the greatest."""

    row: Row
    dim: str
    sizes: tuple[int, ...]


FAMILIES = {
    "mlp": Open(Row("mlp", "mlp", {"B": 1}), "B", (1, 8, 32, 100, 256)),
    "encoder": Open(
        Row("encoder", "encoder", {"L": 6, "S": 1, "D": 384, "H": 12}), "S", (16, 32, 77, 128, 256)
    ),
    "cnn": Open(Row("cnn", "cnn", {"B": 1}), "B", (1, 2, 5, 8, 16)),
}


@dataclass(frozen=True)
class Found:
    """The seconds at a size, of the open program and the one for this size; how many times longer the open one takes; the
    bytes of their intermediates."""

    size: int
    open: float
    fixed: float
    slowdown: Ratio
    open_bytes: int
    fixed_bytes: int


def opened(family: Open) -> str:
    """The program with the dim left open."""
    pattern = rf"^dim {family.dim} = \d+"
    declared = f"dim {family.dim} = {family.sizes[-1]} in 1..{family.sizes[-1]}"
    return re.sub(pattern, declared, family.row.text(), flags=re.MULTILINE)


def race(family: Open, rounds: int = ROUNDS) -> Iterator[Found]:
    """What each size gives. Raises ArithmeticError where the programs differ by more than rounding."""
    fixed_dims = {n: s for n, s in family.row.sizes().items() if n != family.dim}
    anywhere = compile_text(opened(family), family.row.file, dims=fixed_dims, threads=1)
    for size in family.sizes:
        row = Row(family.row.name, family.row.family, {**family.row.dims, family.dim: size})
        here = compile_text(row.text(), row.file, dims=row.sizes(), threads=1)
        inputs = data_of(row).inputs
        candidates = {"open": _candidate(anywhere, inputs), "fixed": _candidate(here, inputs)}
        results = [c.result() for c in candidates.values()]
        if not np.allclose(*results, rtol=1e-3, atol=1e-4 * np.abs(results[0]).max()):
            raise ArithmeticError(f"{row.name}: the programs differ at {family.dim} = {size}")
        times = interleaved(candidates, rounds)
        yield Found(
            size,
            median(times["open"]),
            median(times["fixed"]),
            paired_ratio(times["fixed"], times["open"]),
            anywhere.peak_bytes,
            here.peak_bytes,
        )


def _candidate(program: Program, inputs: dict[str, np.ndarray]) -> Candidate:
    out = aligned(program.prepare(**inputs).results[0].shape)
    call = program.prepare(**inputs, out=out)
    return Candidate(call.run, lambda: call.run()[0].copy())


def main(names: list[str]) -> int:
    """Prints a table in Markdown, a line for each size."""
    pin(1)
    missed = False
    print("| program | open dim | size | open, ms | fixed, ms | open / fixed | 95% | arena, MiB |")
    print("|---|---|---|---|---|---|---|---|")
    for name in names or FAMILIES:
        family = FAMILIES[name]
        for found in race(family):
            ratio = found.slowdown
            missed |= ratio.low > GOAL
            arenas = f"{found.open_bytes / 2**20:.2f}; {found.fixed_bytes / 2**20:.2f}"
            print(
                f"| {name} | {family.dim} | {found.size} | {found.open * 1e3:.3g} | {found.fixed * 1e3:.3g} "
                f"| {ratio.median:.2f} | {ratio.low:.2f} to {ratio.high:.2f} | {arenas} |",
                flush=True,
            )
    return int(missed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
