"""Tuning the kernels of one program: which ones, from which schedule, what is known already, and when to stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from xdsl.dialects.builtin import ModuleOp

from dialects.dims import Dim
from dialects.errors import IrkitError
from dialects.kernel import DefOp, LaunchOp
from dialects.types import dims_of
from irkit import pipeline
from irkit.collector import paused
from irkit.diagnostics import nearest
from irkit.runtime.compiler import Compiler
from irkit.tuning.records import Record, read_record, write_record
from irkit.tuning.search import Measure, State, search
from lowering.kernel.cost import extent_sizes
from lowering.kernel.mutation import Bounds, Directives, schedulable
from lowering.kernel.tuned import tuned_file
from lowering.target import Target, runs_here

LITTLE = 0.01
"""A kernel that takes less of the time of a run is not worth tuning."""

SHORT = 1e-6
"""Seconds below which a clock tells nothing."""


@dataclass(frozen=True)
class Settings:
    """How to tune: `folder` keeps what is found, `kernels` are all where empty, `seconds` may end it early."""

    target: Target
    compiler: Compiler
    folder: Path
    kernels: tuple[str, ...] = ()
    trials: int = 64
    seconds: float | None = None
    threads: int = 1
    seed: int = 0
    fresh: bool = False


@dataclass(frozen=True)
class Job:
    """A kernel of the program, with a launch of it, its share of the time and the schedule that it has. `is_given` says
    that its statement states that schedule; `skip` why it is not tuned."""

    kernel: DefOp
    launch: LaunchOp
    share: float
    start: Directives
    is_given: bool
    path: Path
    skip: str = ""

    @property
    def name(self) -> str:
        return self.kernel.sym_name.data


@dataclass(frozen=True)
class Step:
    """News of a job: where its search stands, out of so many trials, and whether that was known before."""

    job: Job
    state: State
    trials: int
    is_known: bool = False


MakeMeasure = Callable[[Job], Measure]


def lowered(module: ModuleOp, target: str, cc: str) -> tuple[ModuleOp, frozenset[str]]:
    """A module brought to kernel level, with schedules by the cost model, and the kernels that had one before.

    Raises IrkitError for one that is below that level.
    """
    level = pipeline.level_of(module)
    if level not in ("graph", "kernel"):
        raise IrkitError(f"the module is at the {level} level", module, expected="the graph or kernel level")
    before, after = [], []
    if level == "graph":
        before, after = pipeline.split(pipeline.passes_to("graph", "kernel", target, cc), "kernel-schedule")
    with paused():
        pipeline.run_passes(module, before)
        given = frozenset(k.sym_name.data for k in kernels_of(module) if k.schedule is not None)
        pipeline.run_passes(module, after)
    return module, given


def kernels_of(module: ModuleOp) -> list[DefOp]:
    return [op for op in module.ops if isinstance(op, DefOp)]


def require_here(target: Target) -> None:
    """Raises IrkitError for a target whose code does not run on this machine."""
    if target.gpu is not None:
        raise IrkitError(
            "schedules for a GPU are not tuned",
            found=f"the target {target.name}",
            expected="a CPU",
            hint="leave --target out; kernels for a GPU have the schedules of the cost model",
        )
    if not runs_here(target):
        raise IrkitError(
            f"what is compiled for the target {target.name} does not run on this machine",
            expected="native, or a target whose instructions this machine has",
            hint="run irkit tune on such a machine, and --export the schedules",
        )


def require_kernels(module: ModuleOp, names: Sequence[str]) -> None:
    """Raises IrkitError where there is no kernel of a name."""
    kernels = [k.sym_name.data for k in kernels_of(module)]
    for name in names:
        if name not in kernels:
            raise IrkitError(
                f"the program has no kernel '{name}'",
                expected=f"one of {', '.join(kernels)}" if kernels else "a program with kernels",
                hint=nearest(name, kernels),
            )


def jobs_of(
    module: ModuleOp,
    given: frozenset[str],
    shares: Mapping[str, tuple[float, float]],
    settings: Settings,
) -> list[Job]:
    """The kernels to tune, the dearest first, and those to skip; `shares` gives (share of the time, seconds of a call)."""
    kernels = {k.sym_name.data: k for k in kernels_of(module)}
    launches: dict[str, LaunchOp] = {}
    for op in module.walk():
        if isinstance(op, LaunchOp):
            launches.setdefault(op.callee.root_reference.data, op)
    jobs: list[Job] = []
    for name, kernel in kernels.items():
        if name not in launches or (settings.kernels and name not in settings.kernels):
            continue
        share, seconds = shares.get(name, (0.0, 0.0))
        start = kernel.schedule.data if kernel.schedule is not None else ()
        path = tuned_file(settings.folder, kernel)
        job = Job(kernel, launches[name], share, start, name in given, path)
        jobs.append(replace(job, skip=_why_not(job, seconds, bool(settings.kernels))))
    return sorted(jobs, key=lambda j: -j.share)


def _why_not(job: Job, seconds: float, is_asked: bool) -> str:
    """Why a kernel is not tuned, or nothing."""
    known = {str(d) for value in job.launch.operands for d in dims_of(value.type)}
    unknown = [n for n, _, _ in job.kernel.symbols.data if str(Dim.of(n)) not in known]
    if not schedulable(job.kernel):
        return "it is C text written by hand"
    if unknown:
        return f"no operand has the size '{unknown[0]}' as a dim"
    if seconds < SHORT:
        return f"a call takes less than {SHORT * 1e6:g} us, too little to be measured"
    if job.share < LITTLE and not is_asked:
        return f"it takes {job.share:.1%} of the time; --kernel {job.name} tunes it all the same"
    return ""


def tune(
    jobs: Sequence[Job],
    settings: Settings,
    measure_of: MakeMeasure,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Step]:
    """Tunes the jobs one after another, and keeps what is found; yields after each batch. Raises IrkitError."""
    end = None if settings.seconds is None else clock() + settings.seconds
    for job in jobs:
        if job.skip:
            continue
        record = None if settings.fresh else _known(job, settings)
        if record is not None and record.is_finished(settings.trials):
            yield Step(job, record.state, settings.trials, is_known=True)
            continue
        state = State(job.start) if record is None else record.state
        if end is not None and clock() >= end:
            return
        bounds = Bounds.around(job.kernel, job.start, settings.target)
        lanes = max(1, settings.target.vector_bytes // 4)
        measure = measure_of(job)
        for found in search(
            job.kernel, job.start, state, bounds, measure, settings.trials, settings.seed, lanes
        ):
            write_record(job.path, _record(job, settings, found))
            yield Step(job, found, settings.trials)
            if end is not None and clock() >= end:
                break


def _known(job: Job, settings: Settings) -> Record | None:
    """What an earlier run found, if it began where this one does."""
    record = read_record(job.path)
    fits = record is not None and record.start == job.start and record.threads == settings.threads
    return record if fits else None


def _record(job: Job, settings: Settings, state: State) -> Record:
    return Record(
        job.name,
        settings.target.name,
        settings.compiler.name,
        settings.threads,
        extent_sizes(job.kernel),
        job.start,
        state,
    )
