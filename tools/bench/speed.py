"""Rows that race the peers. Each states its program, its inputs, its work, and the same thing in every peer."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from statistics import median

import numpy as np

import irkit
from tools.bench import programs
from tools.bench.measure import Ratio, interleaved, paired_ratio

ROUNDS = 15

Arrays = dict[str, np.ndarray]
Call = Callable[[], object]


@dataclass(frozen=True)
class Row:
    """A race: `goal` is the least speed, in multiples of the best peer's, that the row has to reach."""

    name: str
    program: str
    inputs: Mapping[str, tuple[int, ...]]
    flops: float
    goal: float
    peers: Mapping[str, Callable[[Arrays, np.ndarray], Call]]


@dataclass(frozen=True)
class Result:
    """What a race gave. Times are medians in seconds; `ratio` is our speed in multiples of the best peer's."""

    row: str
    threads: int
    seconds: dict[str, float]
    best_peer: str
    ratio: Ratio
    goal: float
    flops: float
    compile_seconds: float
    peak_bytes: int
    versions: dict[str, str]

    @property
    def reached(self) -> bool:
        return self.ratio.median >= self.goal


# -- peers ------------------------------------------------------------------------------------------------------


def numpy_matmul(x: Arrays, out: np.ndarray) -> Call:
    return lambda: np.matmul(x["a"], x["b"], out=out)


def torch_matmul(x: Arrays, out: np.ndarray) -> Call:
    import torch

    a, b, c = torch.from_numpy(x["a"]), torch.from_numpy(x["b"]), torch.from_numpy(out)
    return lambda: torch.mm(a, b, out=c)


PEERS = ("numpy", "torch")


def gemm(n: int, goal: float) -> Row:
    peers = {"numpy": numpy_matmul, "torch": torch_matmul}
    return Row(f"gemm{n}", programs.matmul(n, n, n), {"a": (n, n), "b": (n, n)}, 2.0 * n**3, goal, peers)


ROWS = [
    gemm(512, 0.85),
    gemm(1024, 0.85),
    gemm(2048, 0.85),
    gemm(1021, 0.8 * 0.85),
    gemm(1025, 0.8 * 0.85),
]


# -- the race ---------------------------------------------------------------------------------------------------


def aligned(shape: Sequence[int]) -> np.ndarray:
    """An f32 array that starts on a cache line, as every candidate likes it."""
    count = int(np.prod(shape))
    memory = np.empty(4 * count + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + 4 * count].view(np.float32).reshape(shape)


def run(row: Row, threads: int, peers: Sequence[str]) -> Result:
    """Checks our result against the first peer's, then races. Raises ArithmeticError for a wrong result."""
    if "torch" in peers:
        import torch

        torch.set_num_threads(threads)
    rng = np.random.default_rng(0)
    x: Arrays = {}
    for name, shape in row.inputs.items():
        x[name] = aligned(shape)
        x[name][:] = rng.standard_normal(shape, np.float32)
    start = time.perf_counter()
    ours = irkit.compile(row.program, threads=threads)
    compile_seconds = time.perf_counter() - start
    shape = ours.prepare(**x).run()[0].shape
    out = aligned(shape)
    candidates: dict[str, Call] = {"irkit": lambda: ours(**x, out=out)}
    candidates["irkit"]()
    for peer in peers:
        theirs = aligned(shape)
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
    if not error < 1e-5:
        raise ArithmeticError(f"{row}: our result is off {peer}'s by {error:.1e} of its range")


def as_json(result: Result) -> dict[str, object]:
    return {"kind": "speed", **asdict(result), "reached": result.reached}
