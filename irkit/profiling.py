"""Where the time of a run goes: each kernel call with its time, FLOPs, bytes and source lines, and the events of a run.

The program is built a second time, with instrumentation (`lowering.c.record`), and run on the same data.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from dialects.errors import IrkitError
from irkit.collector import paused
from irkit.runtime import cache
from irkit.runtime.compiler import find_compiler
from irkit.runtime.module import Call, Program
from irkit.runtime.roofline import Machine, machine
from lowering.c.record import COUNT_STRIDE, RecordedTask, Recorder, SourceLine
from lowering.target import get_target

if TYPE_CHECKING:
    from irkit.runtime.module import Origin
    from lowering.kernel.cost import KernelCost

MAX_EVENTS = 1 << 17
"""No more events of a thread are kept."""

_ONE_AT_A_TIME = threading.Lock()

_Table = np.ndarray
"""Events of one run: [thread, event, (task, begin, end)] in nanoseconds."""


@dataclass(frozen=True)
class TaskProfile:
    """A call of a kernel, or a copy, as it stands in the program; one inside a loop runs several times.

    `seconds` is the median of one call and `total_seconds` that of all calls in a run; a call takes as long as its
    slowest thread. `share` is of the time of a run. `flops` and `bytes` are of one call, None where the program starts
    below the kernel level. `roofline` is the fraction of what the machine could do at this ratio of FLOPs to bytes.
    """

    kind: str
    name: str
    sources: tuple[SourceLine, ...]
    calls: int
    seconds: float
    total_seconds: float
    share: float
    flops: int | None
    bytes: int | None
    roofline: float | None

    @property
    def flops_per_second(self) -> float | None:
        """FLOP/s in the median call."""
        return self.flops / self.seconds if self.flops is not None and self.seconds else None

    @property
    def bytes_per_second(self) -> float | None:
        """Bytes per second in the median call."""
        return self.bytes / self.seconds if self.bytes is not None and self.seconds else None


@dataclass(frozen=True)
class Event:
    """A task on one thread of the fastest run; `task` is its place in `Profile.tasks`, None for a barrier."""

    thread: int
    task: int | None
    begin: float
    seconds: float


@dataclass(frozen=True)
class Profile:
    """The tasks of a program in the order of its text, and the events of its fastest run, in seconds from its start.

    `seconds` is the median of `repeats` runs, from the first task to the last. `dropped` counts events beyond the most
    that are kept.
    """

    name: str
    threads: int
    repeats: int
    seconds: float
    tasks: tuple[TaskProfile, ...]
    events: tuple[Event, ...]
    dropped: int
    machine: Machine

    @property
    def kernels(self) -> tuple[TaskProfile, ...]:
        """The kernel calls alone."""
        return tuple(t for t in self.tasks if t.kind == "kernel")


def profile(call: Call, repeats: int = 20) -> Profile:
    """Runs a prepared call of a program some times with instrumentation. Raises IrkitError."""
    if repeats < 1:
        raise IrkitError(f"cannot repeat a run {repeats} times", expected="at least one")
    origin, threads = origin_of(call.program), call.program.threads
    compiler = find_compiler(origin.cc)
    target = get_target(origin.target, compiler.name)
    program, tasks, costs = _instrumented(call.program, origin)
    roofs = machine(compiler, target, threads)
    with _ONE_AT_A_TIME:
        runs, fastest, dropped = Recording(program, call, tasks).run(repeats)
    return Profile(
        name=call.program.name,
        threads=threads,
        repeats=repeats,
        seconds=median(r.seconds for r in runs),
        tasks=_tasks(tasks, costs, runs, roofs, call.symbols),
        events=_events(tasks, fastest),
        dropped=dropped,
        machine=roofs,
    )


def origin_of(program: Program) -> Origin:
    """What a program was compiled from; raises IrkitError where that is not known."""
    if program.origin is None:
        raise IrkitError(
            f"the source of {program.name} is not known",
            expected="a program that irkit.compile returned",
        )
    return program.origin


def _instrumented(
    program: Program, origin: Origin
) -> tuple[Program, list[RecordedTask], dict[str, KernelCost]]:
    """The program built with a recorder, its tasks, and the costs of its kernels."""
    from irkit import api, pipeline
    from lowering.c.emit import emit_program
    from lowering.kernel.cost import kernel_costs

    compiler = find_compiler(origin.cc)
    target = get_target(origin.target, compiler.name)
    recorder = Recorder()
    with paused():
        module = api.graph_of(origin.text, origin.name, origin.fn, origin.dims)
        as_origin = {"target": origin.target, "cc": compiler.name, "tuned": origin.tuned}
        if pipeline.level_of(module) == "graph":
            api.lower(module, "kernel", **as_origin, fast_math=origin.fast_math)
        costs = kernel_costs(module.ops)
        if pipeline.level_of(module) != "buffer":
            api.lower(module, "buffer", **as_origin)
        spec = emit_program(module, target, program.name, recorder)
    library = cache.library(spec, compiler, tuple(target.cflags))
    return Program(spec, library, program.values, program.threads), recorder.tasks, costs


# -- recording ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """One run: its length, and the seconds of every call of each task."""

    seconds: float
    calls: Mapping[int, np.ndarray]


class _Record(ctypes.Structure):
    _fields_ = [
        ("events", ctypes.c_void_p),
        ("counts", ctypes.c_void_p),
        ("capacity", ctypes.c_int64),
        ("skipped", ctypes.c_void_p),
    ]


class Recording:
    """Runs an instrumented program, on the arrays of a call, and reads what it took down."""

    def __init__(self, program: Program, call: Call, tasks: Sequence[RecordedTask]):
        self.tasks = tasks
        self.threads = program.threads
        self.call = program.prepare(**call.arrays)
        self.skipped = np.zeros(len(tasks), np.uint8)
        """Marks tasks that runs leave out; what else they would compute has to need none of them."""
        self.record = getattr(ctypes.CDLL(os.fspath(program.library)), f"{program.name}_record")
        self.record.restype, self.record.argtypes = None, [ctypes.c_void_p]

    def run(self, repeats: int) -> tuple[list[Run], _Table, int]:
        """The runs after a first one, the events of the fastest, and how many events of a run were not kept."""
        counts = np.zeros((self.threads, COUNT_STRIDE), np.int64)
        events = np.zeros((self.threads, 0, 3), np.int64)
        self._once(events, counts)
        wanted = int(counts[0, 0])
        events = np.zeros((self.threads, min(wanted, MAX_EVENTS), 3), np.int64)
        runs: list[Run] = []
        fastest = events
        for _ in range(repeats):
            self._once(events, counts)
            runs.append(self._read(events))
            if runs[-1].seconds <= min(r.seconds for r in runs):
                fastest = events.copy()
        return runs, fastest, wanted - events.shape[1]

    def _once(self, events: _Table, counts: np.ndarray) -> None:
        counts[:] = 0
        record = _Record(events.ctypes.data, counts.ctypes.data, events.shape[1], self.skipped.ctypes.data)
        self.record(ctypes.byref(record))
        try:
            self.call.run()
        finally:
            self.record(None)

    def _read(self, events: _Table) -> Run:
        if not events.shape[1]:
            return Run(0.0, {})
        # Threads run the same tasks in the same order, so that column n is one call on all of them.
        slowest = (events[:, :, 2] - events[:, :, 1]).max(axis=0) * 1e-9
        calls = {
            number: slowest[events[0, :, 0] == number]
            for number, task in enumerate(self.tasks)
            if task.kind != "barrier"
        }
        return Run(float(events[:, :, 2].max() - events[:, :, 1].min()) * 1e-9, calls)


# -- what it means --------------------------------------------------------------------------------------------


def _tasks(
    tasks: Sequence[RecordedTask],
    costs: Mapping[str, KernelCost],
    runs: Sequence[Run],
    roofs: Machine,
    symbols: Mapping[str, int],
) -> tuple[TaskProfile, ...]:
    found: list[TaskProfile] = []
    whole = median(r.seconds for r in runs)
    for number, task in enumerate(tasks):
        if task.kind == "barrier":
            continue
        calls = [r.calls.get(number, np.zeros(0)) for r in runs]
        seconds = float(np.median(np.concatenate(calls))) if calls[0].size else 0.0
        total = median(float(c.sum()) for c in calls)
        cost = costs.get(task.name) if task.kind == "kernel" else None
        flops = size = None
        if cost is not None:
            flops, size = cost.flops.evaluate(symbols), cost.bytes.evaluate(symbols)
        elif task.kind == "copy":
            flops, size = 0, task.bytes.evaluate(symbols)
        roofline = None
        if flops is not None and size is not None and seconds:
            roofline = roofs.seconds(flops, size, cost is not None and cost.is_double) / seconds
        share = total / whole if whole else 0.0
        facts = (task.kind, task.name, task.sources, calls[0].size, seconds, total, share)
        found.append(TaskProfile(*facts, flops, size, roofline))
    return tuple(found)


def _events(tasks: Sequence[RecordedTask], table: _Table) -> tuple[Event, ...]:
    places: dict[int, int | None] = {}
    for number, task in enumerate(tasks):
        places[number] = None if task.kind == "barrier" else sum(p is not None for p in places.values())
    start = int(table[:, :, 1].min(initial=np.iinfo(np.int64).max))
    return tuple(
        Event(thread, places[task], (begin - start) * 1e-9, (end - begin) * 1e-9)
        for thread, rows in enumerate(table.tolist())
        for task, begin, end in rows
    )
