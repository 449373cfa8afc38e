"""What `irkit run` tells of a run beyond its results: `--profile`, `--trace-file`, `--dump-intermediates`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from dialects.errors import IrkitError
from irkit.commands.arguments import bytes_text, seconds_text
from irkit.files import check_writable, write_atomically
from lowering.c.record import sources_text
from lowering.target import is_cuda

if TYPE_CHECKING:
    from irkit.profiling import Profile, TaskProfile
    from irkit.runtime.module import Call

REPEATS = 20
WIDTH = 150
"""Columns of a table that goes to a file or a pipe."""


def check(args: argparse.Namespace) -> None:
    """Raises IrkitError for options that cannot work, before any work is done."""
    watched = {"--profile": args.profile, "--trace-file": args.trace_file}
    watched["--dump-intermediates"] = args.dump_intermediates
    for option in (o for o, value in watched.items() if value and is_cuda(args.target)):
        raise IrkitError(
            f"{option} does not watch a GPU",
            found=f"--target={args.target}",
            hint="leave --target out; on a GPU, NVIDIA's tools show the kernels by the same names",
        )
    if args.repeat is not None and args.repeat < 1:
        raise IrkitError(
            f"cannot repeat a run {args.repeat} times", expected="at least one, as in --repeat 20"
        )
    if args.repeat is not None and not (args.profile or args.trace_file):
        raise IrkitError("--repeat without a profile", hint="add --profile or --trace-file")
    if args.trace_file:
        check_writable(args.trace_file)
    if args.dump_intermediates:
        check_writable(os.path.join(args.dump_intermediates, "index.json"), makes_folders=True)


def write(args: argparse.Namespace, call: Call) -> None:
    """Prints and writes what the options ask for. Raises IrkitError."""
    if args.profile or args.trace_file:
        from irkit.profiling import profile

        found = profile(call, args.repeat or REPEATS)
        if args.profile:
            print_profile(found)
        if found.dropped:
            print(f"note: {found.dropped} more events of a run are not counted", file=sys.stderr)
        if args.trace_file:
            write_atomically(args.trace_file, json.dumps(trace(found)) + "\n")
            print(f"wrote {args.trace_file}: {len(found.events)} events")
    if args.dump_intermediates:
        from irkit.intermediates import intermediates, write_intermediates

        report = intermediates(call)
        write_intermediates(Path(args.dump_intermediates), report)
        for line in report.lines():
            print(line)


# -- the table ------------------------------------------------------------------------------------------------


def print_profile(profile: Profile) -> None:
    """Prints a row for each task, and the roofs that they are held against."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("kernel", overflow="fold")
    for title in ("calls", "time", "share", "GFLOP/s", "bytes", "GB/s", "roofline"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("source", overflow="fold")
    for task in profile.tasks:
        table.add_row(*_row(task))
    table.add_section()
    rest = max(0.0, 1 - sum(t.share for t in profile.tasks))
    table.add_row("between calls", "", "", f"{rest:.1%}", "", "", "", "", "")
    table.add_row("run", "", _microseconds(profile.seconds), "100.0%", "", "", "", "", "")
    width = None if sys.stdout.isatty() else WIDTH
    Console(highlight=False, soft_wrap=False, width=width).print(table)
    machine = profile.machine
    bandwidths = ", ".join(f"{v / 1e9:.0f} GB/s within {bytes_text(s)}" for s, v in machine.bandwidths)
    threads = f"{profile.threads} thread{'s' if profile.threads > 1 else ''}"
    runs = f"{profile.repeats} run{'s' if profile.repeats > 1 else ''}"
    print(f"medians of {runs}; the roofs of {threads}, measured: {machine.flops32 / 1e9:.0f} GFLOP/s in f32,")
    print(f"{machine.flops64 / 1e9:.0f} in f64; {bandwidths}")


def _row(task: TaskProfile) -> tuple[str, ...]:
    flops, size = task.flops_per_second, task.bytes_per_second
    return (
        task.name,
        str(task.calls),
        _microseconds(task.seconds),
        f"{task.share:.1%}",
        f"{flops / 1e9:.2f}" if flops else "-",
        bytes_text(task.bytes) if task.bytes is not None else "-",
        f"{size / 1e9:.2f}" if size else "-",
        f"{task.roofline:.0%}" if task.roofline is not None else "-",
        sources_text(task.sources) or "-",
    )


def _microseconds(seconds: float) -> str:
    return f"{seconds * 1e6:.1f} us" if seconds else seconds_text(0)


# -- the trace ------------------------------------------------------------------------------------------------


def trace(profile: Profile) -> dict[str, object]:
    """The events of the fastest run in the Chrome trace format: a row for each thread, times in microseconds."""
    rows: list[dict[str, object]] = [_named("process_name", 0, profile.name)]
    rows += [_named("thread_name", t, f"thread {t}") for t in range(profile.threads)]
    for event in profile.events:
        task = None if event.task is None else profile.tasks[event.task]
        row: dict[str, object] = {
            "name": "barrier" if task is None else task.name,
            "cat": "barrier" if task is None else task.kind,
            "ph": "X",
            "ts": event.begin * 1e6,
            "dur": event.seconds * 1e6,
            "pid": 1,
            "tid": event.thread,
        }
        if task is not None:
            row["args"] = {"source": sources_text(task.sources), "flops": task.flops, "bytes": task.bytes}
        rows.append(row)
    return {"traceEvents": rows, "displayTimeUnit": "ns"}


def _named(kind: str, thread: int, name: str) -> dict[str, object]:
    return {"name": kind, "ph": "M", "pid": 1, "tid": thread, "args": {"name": name}}
