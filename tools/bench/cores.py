"""What keeps a row from running on many cores, counted from its IR: barriers, pieces that threads can take, and bytes.

A model and no measurement: kernels run one after another, each takes what its arithmetic or its bytes take, whichever is
more, and every barrier costs the same. Its machine is a round figure for a server of today, stated in `MACHINE`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from xdsl.ir import Operation

from dialects import buffer, loop
from irkit import pipeline
from irkit.api import graph_of
from irkit.commands.show import launch_counts
from lowering.kernel.cost import KernelCost, kernel_costs
from lowering.target import AVX512, DECLARED
from tools.bench.rows import Row


@dataclass(frozen=True)
class Machine:
    """FLOP/s, calls of exp and bytes a second of a core; bytes a second of all cores; seconds of a barrier."""

    flops: float = 100e9
    exps: float = 4e9
    core_bytes: float = 12e9
    all_bytes: float = 300e9
    barrier: float = 2e-6


MACHINE = Machine()


@dataclass(frozen=True)
class Scaling:
    """What a row does on so many cores. `pieces` are those of the kernel that has fewest among those that matter: the ones
    with a twentieth of the time of one core or more."""

    row: str
    cores: int
    barriers: int
    pieces: int
    bytes: int
    one: float
    many: float
    waiting: float

    @property
    def speedup(self) -> float:
        return self.one / self.many


def scaling(row: Row, cores: int, machine: Machine = MACHINE) -> Scaling:
    """Counts a row, scheduled for a machine of so many cores."""
    module = graph_of(row.text(), row.file, None, row.sizes())
    with _declared(cores) as target:
        passes = pipeline.passes_to("graph", "buffer", target)
        before, rest = pipeline.split(passes, "kernel-merge-reductions")
        to_loop, to_buffer = pipeline.split(rest, "kernel-to-buffer")
        # Arithmetic is counted before reductions are merged, which repeats calls of exp; time tiling renames kernels.
        pipeline.run_passes(module, before, pipeline.context())
        costs, (launches, _) = kernel_costs(module.ops), launch_counts(module)
        pipeline.run_passes(module, to_loop, pipeline.context())
        pieces = {f.sym_name.data: _pieces(f) for f in module.ops if isinstance(f, loop.FuncOp)}
        inside = {f.sym_name.data: _barriers(f.walk()) for f in module.ops if isinstance(f, loop.FuncOp)}
        untiled = [p for p in to_buffer if p.name != "buffer-tile-time"]
        pipeline.run_passes(module, untiled, pipeline.context())
    barriers = _barriers(module.walk()) - sum(inside.values())
    barriers += sum(launches[name] * count for name, count in inside.items())
    one = {name: launches[name] * _seconds(cost, 1, 1, machine) for name, cost in costs.items()}
    many = {
        name: launches[name] * _seconds(cost, cores, pieces[name], machine) for name, cost in costs.items()
    }
    matter = [name for name, seconds in one.items() if seconds >= sum(one.values()) / 20]
    waiting = barriers * machine.barrier
    size = sum(launches[name] * cost.bytes.evaluate({}) for name, cost in costs.items())
    least = min(pieces[name] for name in matter)
    total = sum(many.values()) + waiting
    return Scaling(row.name, cores, barriers, least, size, sum(one.values()), total, waiting / total)


def table(rows: Iterable[Row], cores: int) -> str:
    """All rows as Markdown."""
    lines = [
        "| row | barriers in a run | pieces | MB | of one core's speed | time in barriers |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        s = scaling(row, cores)
        lines.append(
            f"| {s.row} | {s.barriers} | {s.pieces} | {s.bytes / 1e6:.3g} | {s.speedup:.1f} | {s.waiting:.0%} |"
        )
    return "\n".join(lines)


@contextmanager
def _declared(cores: int) -> Iterator[str]:
    """The name of a target with so many cores."""
    name = f"avx512 with {cores} cores"
    DECLARED[name] = replace(AVX512, name=name, cores=cores)
    try:
        yield name
    finally:
        del DECLARED[name]


def _seconds(cost: KernelCost, cores: int, pieces: int, machine: Machine) -> float:
    """One run of a kernel whose work comes in equal pieces."""
    share = -(-pieces // cores) / pieces
    flops, exps, size = (d.evaluate({}) for d in (cost.flops, cost.exps, cost.bytes))
    arithmetic = share * (flops / machine.flops + exps / machine.exps)
    return max(arithmetic, size / min(machine.core_bytes / share, machine.all_bytes))


def _trips(op: loop.ForOp | buffer.ForOp) -> int:
    """Iterations of a loop, as if the ones around it began at zero; one where they are data."""
    lower, upper = (op.lower, op.upper) if isinstance(op, loop.ForOp) else (op.lower.data, op.upper.data)
    step = (op.step.value or 1) if isinstance(op, loop.ForOp) else 1
    span = (upper - lower).subst(dict.fromkeys((upper - lower).names(), 0)).value or 0
    return max(1, -(-span // step))


def _around(op: Operation) -> int:
    """How often the loops around an op run it."""
    total, parent = 1, op.parent_op()
    while parent is not None:
        total *= _trips(parent) if isinstance(parent, loop.ForOp | buffer.ForOp) else 1
        parent = parent.parent_op()
    return total


def _barriers(ops: Iterable[Operation]) -> int:
    return sum(_around(op) for op in ops if isinstance(op, loop.BarrierOp | buffer.BarrierOp))


def _pieces(func: loop.FuncOp) -> int:
    """The iterations of the parallel loop that holds most of a kernel: the one with most ops in it."""
    found = [op for op in func.walk() if isinstance(op, loop.ForOp) and op.role.data == "parallel"]
    largest = max(found, key=lambda op: sum(1 for _ in op.walk()), default=None)
    return 1 if largest is None else _trips(largest)
