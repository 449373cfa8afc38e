"""What bounds a row from below: its FLOPs, its bytes or its calls of exp, counted from the IR, by what this machine does
of each in a second, measured in the same process.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

from irkit import pipeline
from irkit.api import graph_of
from irkit.commands.show import launch_counts
from irkit.runtime import roofline
from irkit.runtime.compiler import find_compiler
from lowering.kernel.cost import kernel_costs
from lowering.target import get_target
from tools.bench.rows import Row

LEAST_BYTES = 4096
"""Kernels that touch less are not timed: a counter of steps is no stream."""


@dataclass(frozen=True)
class Work:
    """What one run takes. `streams` says how often kernels run that read and write so many bytes."""

    flops: int
    exps: int
    streams: dict[tuple[int, int], int]

    @property
    def bytes(self) -> int:
        return sum(times * (read + written) for (read, written), times in self.streams.items())


@dataclass(frozen=True)
class Limit:
    """The least seconds of a run by each bound; the greatest of them binds."""

    seconds: dict[str, float]

    @property
    def binds(self) -> str:
        return max(self.seconds, key=lambda what: self.seconds[what])

    @property
    def least(self) -> float:
        return self.seconds[self.binds]


def work(row: Row) -> Work:
    """Counts a row's work in its fused kernels, before reductions are merged: merging repeats calls of exp."""
    module = graph_of(row.text(), row.file, None, row.sizes())
    before, _ = pipeline.split(pipeline.passes_to("graph", "kernel"), "kernel-merge-reductions")
    pipeline.run_passes(module, before, pipeline.context())
    launches, _ = launch_counts(module)
    flops = exps = 0
    streams: Counter[tuple[int, int]] = Counter()
    for name, cost in kernel_costs(module.ops).items():
        sizes = [d.evaluate({}) for d in (cost.flops, cost.exps, cost.bytes, cost.written)]
        flops += launches[name] * sizes[0]
        exps += launches[name] * sizes[1]
        streams[sizes[2] - sizes[3], sizes[3]] += launches[name]
    return Work(flops, exps, dict(streams))


def limit(done: Work, threads: int, cc: str | None = None) -> Limit:
    """The bounds of some work on this machine, f32 throughout. Raises IrkitError."""
    compiler = find_compiler(cc)
    target = get_target("native", compiler.name)
    roofs = roofline.machine(compiler, target, threads)
    rate = lru_cache(None)(lambda *sizes: roofline.stream_rate(compiler, target, threads, *sizes))
    return Limit(
        {
            "FLOPs": done.flops / roofs.flops32,
            "exp": done.exps / roofs.exps32,
            "bytes": sum(
                times * sum(sizes) / rate(*sizes)
                for sizes, times in done.streams.items()
                if sum(sizes) >= LEAST_BYTES
            ),
        }
    )
