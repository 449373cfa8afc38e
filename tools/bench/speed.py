"""Runs a race: checks our result against every peer's, then times them in turn."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from statistics import median

import numpy as np

import irkit
from tools.bench.measure import Ratio, interleaved, paired_ratio
from tools.bench.rows import Arrays, Call, Row

ROUNDS = 15
TOLERANCE = 2e-5


@dataclass(frozen=True)
class Result:
    """What a race gave. Times are medians in seconds; `ratio` is our speed in multiples of the best peer's."""

    row: str
    threads: int
    seconds: dict[str, float]
    best_peer: str
    ratio: Ratio
    goal: float | None
    flops: float
    compile_seconds: float
    peak_bytes: int
    versions: dict[str, str]

    @property
    def reached(self) -> bool:
        return self.goal is None or self.ratio.median >= self.goal


def aligned(shape: Sequence[int]) -> np.ndarray:
    """An f32 array that starts on a cache line, as every candidate likes it."""
    count = int(np.prod(shape))
    memory = np.zeros(4 * count + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + 4 * count].view(np.float32).reshape(shape)


def inputs(row: Row) -> Arrays:
    """Normal numbers; what is multiplied into a sum is scaled so that results stay near one."""
    rng = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {}
    for name, shape in row.inputs.items():
        arrays[name] = aligned(shape)
        arrays[name][:] = rng.standard_normal(shape, np.float32)
        if len(shape) > 1 and name != "x":
            arrays[name] /= np.float32(np.sqrt(np.prod(shape[1:] if len(shape) == 4 else shape[:1])))
    return arrays


def run(row: Row, threads: int, peers: Sequence[str]) -> Result:
    """Races one row. Raises ArithmeticError for a wrong result, ValueError where no peer has it."""
    peers = [peer for peer in peers if peer in row.peers]
    if not peers:
        raise ValueError(f"none of the peers has {row.name}; it is in {', '.join(row.peers)}")
    if "torch" in peers:
        import torch

        torch.set_num_threads(threads)
    x = inputs(row)
    start = time.perf_counter()
    ours = irkit.compile(row.program, threads=threads)
    compile_seconds = time.perf_counter() - start
    out = aligned(ours.prepare(**x).run()[0].shape)
    candidates: dict[str, Call] = {"irkit": lambda: ours(**x, out=out)}
    candidates["irkit"]()
    for peer in peers:
        theirs = np.zeros_like(out)
        candidates[peer] = row.peers[peer](x, theirs)
        candidates[peer]()
        check(row.name, peer, out, theirs)
    times = interleaved(candidates, ROUNDS)
    best = min(peers, key=lambda peer: median(times[peer]))
    return Result(
        row.name,
        threads,
        {name: median(t) for name, t in times.items()},
        best,
        paired_ratio(times["irkit"], times[best]),
        row.goal,
        row.flops,
        compile_seconds,
        ours.peak_bytes,
        {peer: version(peer) for peer in peers},
    )


def check(row: str, peer: str, ours: np.ndarray, theirs: np.ndarray) -> None:
    error = np.abs(ours - theirs).max() / np.abs(theirs).max()
    if not error < TOLERANCE:
        raise ArithmeticError(f"{row}: our result is off {peer}'s by {error:.1e} of its range")


def as_json(result: Result) -> dict[str, object]:
    return {"kind": "speed", **asdict(result), "reached": result.reached}
