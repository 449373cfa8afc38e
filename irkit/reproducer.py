"""Crash reproducers: a module with all that is needed to see a failure of irkit-opt again.

    // irkit-opt --run-reproducer crash.mlir
    // configuration: -f mlir -p 'builtin.module(graph-simplify,graph-cse)' --target=native --cc=gcc --verify-each
    builtin.module { ...

The configuration is the part of a command line that decides what happens. Ops keep the places of their source.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
from collections.abc import Sequence
from typing import NoReturn

from dialects.errors import IrkitError, Loc
from irkit.pipeline_text import Step, format_pipeline

MARK = "// configuration:"
HEAD_LINES = 10
"""The configuration stands in one of so many lines."""

FLAGS = ("check", "verify_each", "disable_verify", "allow_unregistered_dialect")
ALLOWED = frozenset(
    [*FLAGS, "passes", "emit", "machine", "cc", "check_seed", "load_plugin", "frontend", "target"]
)
"""What a configuration may set: how a module is compiled, and not what is read, written or shown."""


def reproducer_text(args: argparse.Namespace, module: str, steps: Sequence[Step], emit: str | None) -> str:
    """The text of a reproducer that runs some steps on a module, and then emits a level."""
    words = ["-f", "mlir"]
    if steps:
        words += ["-p", format_pipeline(steps)]
    if emit:
        words.append(f"--emit={emit}")
    words += [f"--target={args.machine}", f"--cc={args.cc}"]
    words += [f"--{flag.replace('_', '-')}" for flag in FLAGS if getattr(args, flag)]
    if args.check:
        words.append(f"--check-seed={args.check_seed}")
    if args.target != "mlir":
        words.append(f"--output-format={args.target}")
    for plugin in args.load_plugin:
        words.append(f"--load-plugin={os.path.abspath(plugin) if os.path.exists(plugin) else plugin}")
    path = args.crash_reproducer
    run = shlex.join(["irkit-opt", "--run-reproducer", path])
    return f"// {run}\n{MARK} {shlex.join(words)}\n{module.rstrip()}\n"


def read_configuration(text: str, file: str, parser: argparse.ArgumentParser) -> list[str]:
    """The words of the configuration in a text. Raises IrkitError where there is none, or where it makes no sense."""
    head = text.splitlines()[:HEAD_LINES]
    line = next((n for n, content in enumerate(head) if content.startswith(MARK)), None)
    if line is None:
        raise IrkitError(
            f"'{file}' is no crash reproducer",
            Loc(file, 1, 1),
            found=f"no line that starts with '{MARK}' among the first {HEAD_LINES}",
            expected=f"{MARK} -p PASSES ..., as --crash-reproducer=FILE writes it",
            hint="run it without --run-reproducer, and name the passes with -p or --emit",
        )
    loc = Loc(file, line + 1, 1, 1 + len(head[line]))

    def damaged(found: str) -> NoReturn:
        raise IrkitError(
            "the configuration of the reproducer is damaged",
            loc,
            found=found,
            expected="options of irkit-opt that say how to compile",
            hint="write it again, with --crash-reproducer=FILE",
        )

    try:
        words = shlex.split(head[line].removeprefix(MARK))
    except ValueError as fault:
        damaged(str(fault))
    parser.error = lambda message: damaged(re.sub(r"^argument ", "", message))
    given = vars(parser.parse_args(words))
    plain = vars(parser.parse_args([]))
    if foreign := sorted(name for name in given if name not in ALLOWED and given[name] != plain[name]):
        damaged(f"'{foreign[0].replace('_', '-')}', which a reproducer does not set")
    return words
