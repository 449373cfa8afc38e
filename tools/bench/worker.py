"""Runs rows in a process of its own and prints one line of JSON for each: `worker THREADS PEERS ROW...`.

The thread count has to be in the environment before NumPy and torch are loaded, and pinning must not outlive the rows:
hence a process for each thread count.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
THREAD_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def start(threads: int, peers: Sequence[str], rows: Sequence[str]) -> Iterator[dict]:
    """Runs rows in a new process, and yields what each gave, or {"row", "fault"}."""
    environment = os.environ | dict.fromkeys(THREAD_SETTINGS, str(threads))
    command = [sys.executable, "-m", "tools.bench.worker", str(threads), ",".join(peers), *rows]
    with tempfile.TemporaryDirectory() as cache:
        environment["XDG_CACHE_HOME"] = cache  # so that every program is compiled, and its time is told
        with subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                yield json.loads(line)
    if process.returncode:
        yield {"row": rows[-1], "fault": f"the worker ended with {process.returncode}"}


def main(threads: int, peers: Sequence[str], names: Sequence[str]) -> None:
    from tools.bench import budgets, measure, rows, speed

    for name in names:
        if row := next((r for r in budgets.ROWS if r.name == name), None):
            emit(name, lambda row=row: budgets.as_json(budgets.run(row)))
    races = [r for r in rows.ROWS if r.name in names]
    if races:
        measure.pin(threads)
    for race in races:
        emit(race.name, lambda race=race: speed.as_json(speed.run(race, threads, peers)))


def emit(name: str, run: Callable[[], dict[str, object]]) -> None:
    """One row; a fault ends the row, not the benchmark."""
    try:
        result = run()
    except Exception as fault:
        result = {"row": name, "fault": f"{type(fault).__name__}: {fault}"}
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), [p for p in sys.argv[2].split(",") if p], sys.argv[3:])
