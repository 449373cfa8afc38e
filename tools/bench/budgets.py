"""Rows that have so many seconds: the compiler on large programs, the command line, the lit tests."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from irkit.lang import parse
from tools.bench import programs
from tools.bench.compiling import Compiled, compile_to_c

ROOT = Path(__file__).resolve().parents[2]
LIT_TESTS = 200


@dataclass(frozen=True)
class Spent:
    """Seconds used, with what they went to, most first, and a remark on what was done."""

    seconds: float
    steps: dict[str, float] = field(default_factory=dict)
    remark: str = ""


@dataclass(frozen=True)
class Row:
    """`run` does the work once; the best of `repeats` counts, since what else runs can only add."""

    name: str
    budget: float
    run: Callable[[], Spent]
    repeats: int = 3


@dataclass(frozen=True)
class Result:
    row: str
    budget: float
    spent: Spent

    @property
    def reached(self) -> bool:
        return self.spent.seconds <= self.budget


def compiles(text: str) -> Callable[[], Spent]:
    """`.tg` text to C text, in this process."""

    def run() -> Spent:
        done: Compiled = compile_to_c(text)
        steps = dict(sorted(done.seconds.items(), key=lambda item: -item[1]))
        remark = (
            f"{done.graph_ops} graph ops, {done.kernels} kernels, {done.c_text.count(chr(10))} lines of C"
        )
        return Spent(done.total, steps, remark)

    return run


def parses(lines: int) -> Spent:
    text = programs.chain(2 * lines)
    start = time.perf_counter()
    parse(text, "bench.tg")
    return Spent(time.perf_counter() - start, remark=f"{text.count(chr(10))} lines")


def command_line(cached: bool) -> Callable[[], Spent]:
    """`irkit run examples/digits.tg` as a process, with an empty cache or after a run that filled it."""

    def run() -> Spent:
        code = "import sys; from irkit.cli import main; sys.exit(main())"
        command = [sys.executable, "-c", code, "run", "examples/digits.tg"]
        with tempfile.TemporaryDirectory() as cache:
            for _ in range(2 if cached else 1):
                start = time.perf_counter()
                _process(command, {"XDG_CACHE_HOME": cache})
                seconds = time.perf_counter() - start
        return Spent(seconds)

    return run


def lit_tests() -> Spent:
    """All lit tests; where there are more than 200, the share of 200."""
    lit = Path(sys.executable).with_name("lit")
    start = time.perf_counter()
    text = _process([str(lit), "lit_tests"], {})
    seconds = time.perf_counter() - start
    found = re.search(r"Total Discovered Tests: (\d+)", text) or re.search(r"-- Testing: (\d+) tests", text)
    count = int(found[1]) if found else 0
    return Spent(seconds * LIT_TESTS / max(count, LIT_TESTS), remark=f"{count} tests in {seconds:.2f} s")


def _process(command: list[str], environment: dict[str, str]) -> str:
    """The output of a command. Raises RuntimeError where it fails."""
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{(done.stdout + done.stderr)[-2000:]}")
    return done.stdout


ROWS = [
    Row("parse-3000-lines", 0.3, lambda: parses(3000)),
    Row("compile-250-repeated-blocks", 3, compiles(programs.repeated_blocks(250))),
    Row("compile-250-distinct-blocks", 10, compiles(programs.distinct_blocks(250))),
    Row("compile-chain-of-20000", 60, compiles(programs.chain(20_000)), repeats=1),
    Row("run-digits-cold", 4, command_line(cached=False)),
    Row("run-digits-cached", 0.8, command_line(cached=True)),
    Row("lit-200-tests", 5, lit_tests),
]


SCALE = [
    Row(f"compile-chain-of-{ops}", math.inf, compiles(programs.chain(ops)), 3 if ops <= 3000 else 1)
    for ops in (100, 300, 1000, 3000, 10_000, 30_000)
]
"""The compiler's time against the number of ops."""


def find(name: str) -> Row | None:
    """The budget of a name, those of the plot included."""
    return next((row for row in (*ROWS, *SCALE) if row.name == name), None)


def run(row: Row) -> Result:
    return Result(row.name, row.budget, min((row.run() for _ in range(row.repeats)), key=lambda s: s.seconds))


def as_json(result: Result) -> dict[str, object]:
    return {"kind": "budget", **asdict(result), "passed": result.reached}
