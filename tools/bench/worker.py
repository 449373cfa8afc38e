"""Runs rows in a process of its own and prints one line of JSON for each: `worker '{"threads": 1, ...}'`.

The thread count has to be in the environment before NumPy and the peers are loaded, and pinning must not outlive the
rows: hence a process for each thread count. Where it dies, the row that it ran is at fault, and another goes on.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TextIO

ROOT = Path(__file__).resolve().parents[2]
THREAD_SETTINGS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)


@dataclass(frozen=True)
class Job:
    """Rows to run: races with so many threads against peers, ours built by each of some C compilers; and budgets."""

    rows: tuple[str, ...]
    threads: int = 1
    peers: tuple[str, ...] = ()
    compilers: tuple[str | None, ...] = (None,)
    rounds: int = 15

    @staticmethod
    def from_json(text: str) -> Job:
        asked = json.loads(text)
        names, peers, compilers = (tuple(asked[what]) for what in ("rows", "peers", "compilers"))
        return Job(names, asked["threads"], peers, compilers, asked["rounds"])


def environment(threads: int, cache: str) -> dict[str, str]:
    """The variables that hold every candidate to a number of threads, and make all compile anew."""
    chosen = os.environ | dict.fromkeys(THREAD_SETTINGS, str(threads))
    chosen |= {"XDG_CACHE_HOME": cache, "TORCHINDUCTOR_CACHE_DIR": f"{cache}/inductor"}
    chosen["TORCHINDUCTOR_COMPILE_THREADS"] = "1"  # no pool of processes beside the race
    if threads == 1:
        flags = os.environ.get("XLA_FLAGS", "")
        chosen["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
    return chosen


def start(job: Job) -> Iterator[dict]:
    """Runs rows in new processes, and yields what each gave, or {"row", "fault"}."""
    rest = list(job.rows)
    while rest:
        with tempfile.TemporaryDirectory() as cache, tempfile.TemporaryFile("w+") as noise:
            code = 0
            for result in _process(replace(job, rows=tuple(rest)), cache, noise):
                if isinstance(result, int):
                    code = result
                    break
                if result.get("done"):
                    rest.remove(result["done"])
                else:
                    yield result
            if rest:
                yield {"row": rest.pop(0), "threads": job.threads, "fault": _death(code, noise)}


def _process(job: Job, cache: str, noise: TextIO) -> Iterator[dict | int]:
    """The lines of one worker, then its exit code."""
    command = [sys.executable, "-m", "tools.bench.worker", json.dumps(asdict(job))]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment(job.threads, cache),
        stdout=subprocess.PIPE,
        stderr=noise,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            yield json.loads(line)
    yield process.returncode


def _death(code: int, noise: TextIO) -> str:
    noise.seek(0)
    last = "".join(noise.readlines()[-5:]).strip()
    return f"the worker ended with {code}" + (f": {last}" if last else "")


def main(job: Job) -> None:
    from tools.bench import budgets, candidate, measure, race, rows

    out = _own_output()
    candidate.set_malloc(keeps_all=False)
    pinned = False
    options = (job.threads, job.peers, job.compilers, job.rounds)
    for name in job.rows:
        if budget := budgets.find(name):
            _emit(out, job, name, lambda row=budget: [budgets.as_json(budgets.run(row))])
        elif row := rows.find(name):
            if not pinned:
                measure.pin(job.threads)
                pinned = True
            _emit(out, job, name, lambda row=row: [race.as_json(r) for r in race.run(row, *options)])
        gc.collect()


def _own_output() -> TextIO:
    """Standard output for us alone; what peers print goes to the standard error."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return out


def _emit(out: TextIO, job: Job, name: str, run: Callable[[], Sequence[dict[str, object]]]) -> None:
    """One row; a fault ends the row, not the benchmark."""
    try:
        results = run()
    except Exception as fault:
        results = [{"row": name, "threads": job.threads, "fault": f"{type(fault).__name__}: {fault}"}]
    for result in (*results, {"done": name}):
        print(json.dumps(result), file=out, flush=True)


if __name__ == "__main__":
    main(Job.from_json(sys.argv[1]))
