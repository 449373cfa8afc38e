"""`irkit reduce`: shrinks a module for as long as it shows what is looked for."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp

from dialects.errors import IrkitError
from irkit.api import read_module
from irkit.commands.arguments import read_dims
from irkit.faults import Setup
from irkit.files import check_writable, write_atomically
from irkit.interesting import by_command, by_failure, by_numbers
from irkit.reducer import Interesting, OutOfTime, Reducer, module_text
from irkit.reductions import count_ops
from irkit.runtime.compiler import find_compiler
from lowering.verify import verify_module


def execute(args: argparse.Namespace) -> None:
    """Runs the command; raises IrkitError."""
    asked = [bool(args.test), bool(args.passes or args.emit), args.check]
    if sum(asked) != 1:
        raise IrkitError(
            "irkit reduce needs to know what is interesting",
            found="nothing that says so" if not any(asked) else "several tests",
            expected="one of --test COMMAND, -p PASSES and --emit LEVEL, or --check",
        )
    if args.output:
        check_writable(args.output)
    module, _, name = read_module(Path(args.file), args.fn, read_dims(args.dim))
    verify_module(module)
    interesting = _test(args, module, name)
    start, before = time.monotonic(), _size(module)
    with _progress() as show:
        reducer = Reducer(module, interesting, args.time_limit)
        reducer.on_progress = lambda what: show(f"{_size(reducer.module)}, {reducer.tried} tried: {what}")
        if args.output:
            reducer.on_success = lambda smaller: write_atomically(args.output, module_text(smaller))
            reducer.on_success(module)
        how = ""
        try:
            reducer.run()
        except OutOfTime:
            how = ", when the time was up"
        except KeyboardInterrupt:
            where = f"{args.output} holds" if args.output else "stopped at"
            _note(f"interrupted: {where} {_size(reducer.module)}")
            raise
    seconds = time.monotonic() - start
    _note(f"{before} -> {_size(reducer.module)}; {reducer.tried} candidates in {seconds:.1f} s{how}")
    if args.output:
        _note(f"wrote {args.output}")
    else:
        sys.stdout.write(module_text(reducer.module))


def _test(args: argparse.Namespace, module: ModuleOp, name: str) -> Interesting:
    if args.test:
        return by_command(args.test, module, "program" if name.startswith("<") else Path(name).stem)
    cc = find_compiler(args.cc).name
    if args.check:
        interesting, what = by_numbers(Setup(args.target, cc, args.seed), module)
    else:
        interesting, what = by_failure(args.passes, args.emit, args.target, cc, module)
    _note(f"looking for: {what}")
    return interesting


def _size(module: ModuleOp) -> str:
    args = sum(len(op.body.block.args) for op in module.walk() if isinstance(op, FuncOp) and op.body.blocks)
    ops = count_ops(module)
    return f"{ops} op{'s' * (ops != 1)} and {args} argument{'s' * (args != 1)}"


def _note(text: str) -> None:
    print(text, file=sys.stderr)


@contextmanager
def _progress() -> Iterator:
    """A line that tells how far it is, on a terminal."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status("reducing") as status:
        yield lambda text: status.update(text)
