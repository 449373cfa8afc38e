"""What a candidate needs: the most memory that a process that runs it holds, the row's arrays among it, over what it
holds after its imports; and the bytes of what is shipped to run it elsewhere.

`memory '{"row": ..., "threads": 1, "candidate": ..., "cc": null}'` prints both as JSON. Compiling is not counted where
what was compiled lies in a folder: a first run fills it, and the second, in a process of its own, is measured.
"""

from __future__ import annotations

import ctypes
import gc
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from tools.bench.worker import ROOT, environment

CALLS = 3


@dataclass(frozen=True)
class Needs:
    """The bytes of memory at the peak, and of what is shipped where that is known."""

    memory: int
    shipped: int | None


def measured(
    row: str, threads: int, candidates: Sequence[tuple[str, str | None]]
) -> Iterator[tuple[str, Needs]]:
    """The needs of each candidate that runs: a peer, or `irkit` with a C compiler."""
    with tempfile.TemporaryDirectory() as cache:
        for name, cc in candidates:
            asked = json.dumps({"row": row, "threads": threads, "candidate": name, "cc": cc})
            for _ in range(2):
                done = subprocess.run(
                    [sys.executable, "-m", "tools.bench.memory", asked],
                    cwd=ROOT,
                    env=environment(threads, cache),
                    capture_output=True,
                    text=True,
                    check=False,
                )
            if done.returncode == 0:
                yield name, Needs(**json.loads(done.stdout.splitlines()[-1]))


def needs(row_name: str, threads: int, candidate: str, cc: str | None) -> Needs:
    """Measured in this process, whose peak it resets."""
    from tools.bench import data, ours, rows
    from tools.bench.peers import PEERS

    row = rows.find(row_name)
    assert row is not None
    prepare = PEERS[candidate].load() if candidate in PEERS else None
    arrays = data.data_of(row)
    tidy()
    before = resident("VmRSS") - sum(a.nbytes for a in arrays.all.values())
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forgets the peak
    made = prepare(row, arrays, threads) if prepare else ours.prepare(row, arrays, threads, cc).candidate
    if made is None:
        raise ValueError(f"{candidate} does not have {row_name}")
    with made.turn():
        for _ in range(CALLS):
            made.call()
    peak = resident("VmHWM") - before
    if made.save is None:
        return Needs(peak, None)
    with tempfile.TemporaryDirectory() as folder:
        made.save(Path(folder))
        return Needs(peak, sum(f.stat().st_size for f in Path(folder).iterdir()))


def resident(field: str) -> int:
    """The bytes that this process holds (VmRSS), or held at most (VmHWM)."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field):
            return int(line.split()[1]) << 10
    raise OSError(f"/proc/self/status does not tell {field}")


def tidy() -> None:
    """Gives freed memory back to the system."""
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


if __name__ == "__main__":
    told = json.loads(sys.argv[1])
    print(json.dumps(asdict(needs(told["row"], told["threads"], told["candidate"], told["cc"]))))
