"""`irkit tune`: finds faster schedules for the kernels of a program, keeps them, and writes them into its text."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dialects.errors import IrkitError
from irkit.api import compile_text, graph_of
from irkit.commands.arguments import read_dims, seconds_text
from irkit.commands.run import random_inputs
from irkit.files import check_writable, read_text, write_atomically
from irkit.profiling import profile
from irkit.runtime import cache
from irkit.runtime.compiler import find_compiler
from irkit.runtime.module import Program
from irkit.tuning.bench import Bench
from irkit.tuning.export import Source, Wanted, export
from irkit.tuning.session import Job, Settings, Step, jobs_of, lowered, require_here, require_kernels, tune
from lowering.c.record import source_lines
from lowering.kernel.identity import kernel_hash
from lowering.target import available_cores, get_target

PROFILED_RUNS = 10


def execute(args: argparse.Namespace) -> None:
    """Runs the command; raises IrkitError, and KeyboardInterrupt after what was found is told."""
    settings = _settings(args)
    name = "<stdin>" if args.file == "-" else args.file
    output = name if args.in_place else args.export
    if output:
        _check_export(name, output)
    text, dims = read_text(args.file), read_dims(args.dim)
    source = Source(text, name, args.fn, dims, settings.target.name, settings.compiler.name)
    module, given = lowered(graph_of(text, name, args.fn, dims), source.target, source.cc)
    require_kernels(module, settings.kernels)
    program = compile_text(text, name, args.fn, dims, source.target, settings.threads, args.cc)
    jobs = jobs_of(module, given, _shares(program), settings)
    steps, stopped = _tuned(jobs, settings)
    _tell(jobs, steps, settings)
    if output:
        _export(source, output, list(steps.values()))
    if stopped:
        raise KeyboardInterrupt


def _settings(args: argparse.Namespace) -> Settings:
    """What the options ask for. Raises IrkitError for what cannot work, before any work is done."""
    for option, value in (("--trials", args.trials), ("--time", args.time)):
        if value is not None and value <= 0:
            raise IrkitError(f"{option} {value} leaves nothing to do", expected="a number above zero")
    if args.seed < 0:
        raise IrkitError(f"{args.seed} is no seed", expected="0, 1, 2, ...")
    compiler = find_compiler(args.cc)
    target = get_target(args.target, compiler.name)
    require_here(target)
    cache.require_writable()
    return Settings(
        target,
        compiler,
        cache.tuned_dir(args.target, compiler),
        tuple(args.kernel),
        args.trials,
        args.time,
        args.threads or available_cores(),
        args.seed,
        args.fresh,
    )


def _check_export(name: str, output: str) -> None:
    if not name.endswith(".tg"):
        raise IrkitError(
            f"schedules cannot be written into '{name}'", expected="a .tg file", hint="leave --export out"
        )
    check_writable(output)


def _shares(program: Program) -> dict[str, tuple[float, float]]:
    """Of each kernel, its share of the time of a run and the seconds of a call."""
    found = profile(program.prepare(**random_inputs(program, {})), PROFILED_RUNS)
    shares: dict[str, tuple[float, float]] = {}
    for task in found.kernels:
        share, seconds = shares.get(task.name, (0.0, 0.0))
        shares[task.name] = share + task.share, max(seconds, task.seconds)
    return shares


# -- while it runs ----------------------------------------------------------------------------------------------


def _tuned(jobs: Sequence[Job], settings: Settings) -> tuple[dict[str, Step], bool]:
    """The last step of each kernel that was tuned, and whether the user stopped it."""
    todo = [job for job in jobs if not job.skip]
    steps: dict[str, Step] = {}

    def bench(job: Job) -> Bench:
        facts = settings.target, settings.compiler, settings.threads, settings.seed
        return Bench(job.kernel, job.launch, job.start, *facts)

    with _progress(todo, settings) as show:
        try:
            for step in tune(todo, settings, bench):
                steps[step.job.name] = step
                show(step)
        except KeyboardInterrupt:
            return steps, True
    return steps, False


@contextmanager
def _progress(jobs: Sequence[Job], settings: Settings) -> Iterator:  # pyright: ignore[reportMissingTypeArgument]
    """A function that shows a step: by a bar on a terminal, else by a line where a search ends."""
    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        yield lambda step: print(_line(step), flush=True) if step.state.is_done else None
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True) as bar:
        every = bar.add_task("tuning", total=max(1, len(jobs) * settings.trials))
        done: dict[str, int] = {}

        def show(step: Step) -> None:
            state = step.state
            done[step.job.name] = settings.trials if state.is_done else min(state.trials, settings.trials)
            speed = f"{1 / state.ratio:.2f}x, {seconds_text(state.seconds)}"
            bar.update(every, completed=sum(done.values()), description=f"{step.job.name}: {speed}")
            if state.is_done:
                console.print(_line(step), markup=False)

        yield show


def _line(step: Step) -> str:
    """How the search for one kernel ended, or where it stands."""
    job, state = step.job, step.state
    tries = f"{state.trials} schedule{'s' if state.trials != 1 else ''} tried"
    known = ", known from before" if step.is_known else ""
    rest = "" if state.is_done else f", {max(0, step.trials - state.trials)} are left for the next run"
    if state.best == job.start:
        return f"{job.name}: none is faster than what it has ({tries}{known}{rest})"
    time = f"{seconds_text(state.seconds / state.ratio)} to {seconds_text(state.seconds)}"
    return f"{job.name}: {1 / state.ratio:.2f}x, {time} ({tries}{known}{rest})\n  {'; '.join(state.best)}"


# -- at the end ---------------------------------------------------------------------------------------------------


def _tell(jobs: Sequence[Job], steps: dict[str, Step], settings: Settings) -> None:
    """Prints what is not told yet: searches cut short, what was skipped, and how to use what was found."""
    for job in jobs:
        if job.skip:
            print(f"{job.name}: left out, as {job.skip}")
        elif job.name not in steps:
            print(f"{job.name}: not begun")
        elif not (step := steps[job.name]).state.is_done:
            print(_line(step))
    better = [s.job for s in steps.values() if s.state.best != s.job.start]
    if better:
        print(f"kept in {settings.folder}; --tuned makes irkit run and irkit compile use it")
    for job in better:
        if job.is_given:
            print(
                f"note: the statement of {job.name} states its schedule, which stays until --export replaces it"
            )


def _export(source: Source, output: str, steps: Sequence[Step]) -> None:
    """Writes the program with the schedules that are faster. Raises IrkitError."""
    found = export(
        source,
        [
            Wanted(s.job.name, kernel_hash(s.job.kernel), s.state.best, source_lines(s.job.kernel))
            for s in steps
            if s.state.best != s.job.start
        ],
    )
    write_atomically(output, found.text)
    print(f"wrote {output}, with the schedules of {', '.join(found.written) or 'no kernel'}")
    for name, reason in found.missing.items():
        print(f"note: the schedule of {name} is not in it: {reason}", file=sys.stderr)
