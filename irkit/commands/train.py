"""`irkit train`: trains the parameters of a file on examples, and writes them, checkpoints, and the losses."""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dialects.errors import IrkitError
from irkit.commands.arguments import count_text, read_dims, seconds_text
from irkit.commands.run import load_input
from irkit.files import check_writable, read_text, write_atomically, write_bytes_atomically
from irkit.runtime.module import Program
from irkit.training import checkpoint
from irkit.training.checkpoint import Place, weights_file
from irkit.training.data import Data, read_data, split
from irkit.training.evaluate import Evaluation
from irkit.training.job import Job, Source, find_job, reseeded
from irkit.training.log import Log, read_log
from irkit.training.loop import Observers, Plan, Row, train
from irkit.training.plot import loss_svg

LOSS = "val_loss"


def execute(args: argparse.Namespace) -> None:
    """Runs the command; raises IrkitError."""
    _check(args)
    name = "<stdin>" if args.file == "-" else args.file
    source = Source(read_text(args.file), name, read_dims(args.dim), args.target, args.cc, args.threads)
    job = find_job(source, args.fn, args.batch)
    program = source.compiled(job.step, job.batch_dims(job.batch))
    data, validation = _examples(args, job, program)
    given = frozenset(a.name for a in program.spec.args if a.role == "param")
    evaluations = _evaluations(args, job, validation, given)
    program.set_params(reseeded(program, source, args.seed, frozenset()))
    if args.init:
        own = [a for a in program.spec.args if a.role == "param"]
        program.set_params({a.name: load_input(a, f"{args.init}:{a.name}") for a in own})
    folder = Path(args.checkpoint) if args.checkpoint else None
    with checkpoint.held(folder) if folder is not None else nullcontext():
        _run(args, job, program, data, evaluations, folder)


def _run(
    args: argparse.Namespace,
    job: Job,
    program: Program,
    data: Data,
    evaluations: list[tuple[str, Evaluation]],
    folder: Path | None,
) -> None:
    """Trains, from the last checkpoint where there is one, and writes what is asked for."""
    place = Place(args.seed, job.batch, data.count)
    if folder is not None and (last := checkpoint.prepare(folder, args.resume)) is not None:
        place = checkpoint.load(last, program, place)
        print(f"goes on from {last}: step {place.steps}, epoch {place.epoch + 1}")
    told = _Told(Log(args.log, [n for n, _ in evaluations], place) if args.log else None)
    start = time.perf_counter()
    with _bar(args, job, place, data.count // job.batch) as advance:

        def on_step(at: Place, loss: float) -> None:
            told.step(at, loss)
            advance(at, loss)

        def on_epoch(row: Row) -> None:
            told.epoch(row)
            if not args.quiet:
                print(_epoch_text(row, args.epochs), flush=True)

        plan = Plan(args.epochs, folder, args.every, args.keep)
        end = train(program, data, evaluations, plan, place, Observers(on_step, on_epoch))
    told.summary(end.steps - place.steps, time.perf_counter() - start)
    _write(args, program, told, f"{job.source.name}: the loss of {job.step}")


def _write(args: argparse.Namespace, program: Program, told: _Told, title: str) -> None:
    """The files that are asked for at the end."""
    if args.save:
        names = [a.name for a in program.spec.args if a.role == "param"]
        write_bytes_atomically(args.save, weights_file({n: program.values[n] for n in names}))
        print(f"wrote {args.save}")
    if args.plot:
        lines = read_log(args.log) if args.log else [("loss", told.losses), *told.curves.items()]
        write_atomically(args.plot, loss_svg(title, lines))
        print(f"wrote {args.plot}")


class _Told:
    """What a run has told so far, and the log that takes it down."""

    def __init__(self, log: Log | None):
        self.log = log
        self.losses: list[tuple[float, float]] = []
        self.curves: dict[str, list[tuple[float, float]]] = {}

    def step(self, at: Place, loss: float) -> None:
        self.losses.append((at.steps, loss))
        if self.log is not None:
            self.log.step(at, loss)

    def epoch(self, row: Row) -> None:
        for name, value in row.values:
            self.curves.setdefault(name, []).append((row.steps, value))
        if self.log is not None:
            self.log.epoch(row)

    def summary(self, steps: int, seconds: float) -> None:
        """Prints how it went."""
        if not self.losses:
            print("nothing is left to do: the run is at its end")
            return
        ends = "".join(f", {name} {points[-1][1]:.4f}" for name, points in self.curves.items())
        first, last = self.losses[0][1], self.losses[-1][1]
        print(f"{steps} steps in {seconds_text(seconds)}: loss {first:.4f} to {last:.4f}{ends}")


def _check(args: argparse.Namespace) -> None:
    """Raises IrkitError for options that cannot work, before any work is done."""
    least = (("--epochs", args.epochs, 1), ("--batch", args.batch, 1), ("--every", args.every, 0))
    for option, value, low in (*least, ("--keep", args.keep, 1), ("--seed", args.seed, 0)):
        if value is not None and value < low:
            raise IrkitError(f"{option} {value} makes no sense", expected=f"{low} or more")
    if args.resume and not args.checkpoint:
        raise IrkitError("--resume goes on from a checkpoint", expected="--checkpoint DIR")
    if args.metric and not args.val:
        raise IrkitError(
            "--metric is measured on examples for validation", expected="--val FILE.npz, or --val 0.1"
        )
    for path in (args.save, args.log, args.plot):
        if path:
            check_writable(path)


def _examples(args: argparse.Namespace, job: Job, program: Program) -> tuple[Data, Data | None]:
    """The examples to train on, and those for validation: a part of the data, or a file of their own. Raises IrkitError."""
    data, validation = read_data(args.data, program.inputs, job.rows, program.values), None
    if args.val and re.fullmatch(r"0?\.\d+|[01]|[01]\.0*", args.val):
        data, validation = split(data, float(args.val), args.seed)
    elif args.val:
        validation = read_data(args.val, program.inputs, job.rows, program.values)
    if data.count < job.batch:
        raise IrkitError(
            "there are fewer examples than a batch takes",
            found=f"{data.count} for training",
            expected=f"at least {job.batch}",
            hint=f"--batch {data.count} makes batches smaller",
        )
    return data, validation


def _evaluations(
    args: argparse.Namespace, job: Job, data: Data | None, given: frozenset[str]
) -> list[tuple[str, Evaluation]]:
    if data is None:
        return []
    found = [(LOSS, Evaluation(job, job.loss, data, given))] if job.loss is not None else []
    return [*found, *((name, Evaluation(job, name, data, given)) for name in args.metric)]


@contextmanager
def _bar(
    args: argparse.Namespace, job: Job, place: Place, per_epoch: int
) -> Iterator[Callable[[Place, float], None]]:
    """A progress bar on a terminal: the loss, examples in a second, and the time that is left."""
    console = Console(file=sys.stderr, highlight=False, soft_wrap=True)
    columns = (
        TextColumn("epoch {task.fields[epoch]}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]}"),
        TextColumn("{task.fields[speed]}/s"),
        TimeRemainingColumn(),
    )
    shown = console.is_terminal and not args.quiet
    begin, first = time.perf_counter(), place.steps
    both = sys.stdout.isatty()  # else what is printed belongs to a file or a pipe, and not above the bar
    with Progress(
        *columns, console=console, transient=True, disable=not shown, redirect_stdout=both
    ) as progress:
        task = progress.add_task(
            "", total=args.epochs * per_epoch, completed=first, epoch=place.epoch + 1, loss="", speed=""
        )

        def advance(at: Place, loss: float) -> None:
            if shown:
                rate = (at.steps - first) * job.batch / max(1e-9, time.perf_counter() - begin)
                progress.update(
                    task, completed=at.steps, epoch=at.epoch + 1, loss=f"{loss:.4g}", speed=count_text(rate)
                )

        yield advance


def _epoch_text(row: Row, epochs: int) -> str:
    values = "".join(f"  {name} {value:.4f}" for name, value in row.values)
    speed = count_text(row.examples / max(1e-9, row.seconds))
    return f"epoch {row.epoch}/{epochs}  step {row.steps}  loss {row.loss:.4f}{values}  {speed} examples/s"
