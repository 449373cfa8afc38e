"""What makes a module interesting to `irkit reduce`: a command says so, it fails in the same way, or its numbers are wrong.

Passes and programs run in child processes, so that a crash is an answer too.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

from xdsl.dialects.builtin import ModuleOp

from dialects.errors import ErrorList, IrkitError
from irkit import pipeline
from irkit.faults import AFTER_PASSES, Setup, find_fault
from irkit.isolation import Died, isolated
from irkit.mlir_parser import errors_of
from irkit.pass_manager import KNOWN_FAULTS, PassManager, Watch, crash
from irkit.pipeline_text import Step, parse_pipeline
from irkit.reducer import Interesting, module_text

SECONDS = 60.0
"""What one test may take."""


def by_command(command: str, module: ModuleOp, stem: str) -> Interesting:
    """A command that gets the file of a module as its last argument, and exits with 0 where it is interesting.

    Raises IrkitError where there is no such command, or where the module as it is does not interest it.
    """
    try:
        words = shlex.split(command)
    except ValueError as fault:
        raise IrkitError("bad --test", found=f"{command}: {fault}") from None

    def run(candidate: ModuleOp) -> subprocess.CompletedProcess[str] | None:
        with tempfile.TemporaryDirectory(prefix="irkit-reduce-") as folder:
            path = os.path.join(folder, f"{stem}.mlir")
            Path(path).write_text(module_text(candidate), encoding="utf-8")
            try:
                return subprocess.run(
                    [*words, path],
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    errors="replace",
                    timeout=SECONDS,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                return None
            except (OSError, IndexError) as fault:
                reason = fault.strerror if isinstance(fault, OSError) else "it names no command"
                raise IrkitError(
                    f"cannot run the test '{command}': {reason}",
                    expected="a command that takes a file and exits with 0 where it is interesting",
                    hint="a script needs to be executable, or its interpreter before it: --test 'sh test.sh'",
                ) from None

    first = run(module)
    if first is None or first.returncode:
        told = f"exit code {first.returncode}" if first else f"no answer within {SECONDS:g} seconds"
        last = (first.stderr or first.stdout).strip().splitlines()[-1:] if first else []
        raise _boring(f"'{command}' exits with 0", "\n".join([told, *last]))
    return lambda candidate: (done := run(candidate)) is not None and done.returncode == 0


def by_failure(
    passes: str, emit: str | None, target: str, cc: str, module: ModuleOp
) -> tuple[Interesting, str]:
    """Whether passes, and the standard ones to a level after them, fail as they do on the module; and how that is.

    Numbers in a message do not count. Raises IrkitError where nothing fails, or for a pipeline that cannot be read.
    """
    steps = parse_pipeline(passes, pipeline.all_passes())

    def failure(candidate: ModuleOp) -> str | None:
        try:
            return isolated(lambda: _failure(candidate, steps, emit, target, cc), SECONDS)
        except Died as end:
            return end.reason

    message = failure(module)
    if message is None:
        raise _boring("the passes fail on the module", "they do not")
    wanted = _plain(message)
    return lambda candidate: (m := failure(candidate)) is not None and _plain(m) == wanted, message


def _failure(module: ModuleOp, steps: list[Step], emit: str | None, target: str, cc: str) -> str | None:
    """The message of what fails, in the child; the module is its own."""
    manager = PassManager(pipeline.context(), Watch(verify_each=True))
    try:
        manager.run(module, steps)
        if emit is not None:
            level = pipeline.level_of(module)
            manager.run(module, [Step(run) for run in pipeline.passes_to(level, emit, target, cc)])
        if emit == "c":
            from lowering.c.emit import emit_c
            from lowering.target import get_target

            emit_c(module, get_target(target, cc))
    except KNOWN_FAULTS as fault:
        return errors_of(fault, "<input>")[0].message
    except Exception as fault:
        return crash("the C text", fault).message
    return None


def _plain(message: str) -> str:
    """A message without the numbers in it, which change with the module."""
    return re.sub(r"\d+", "0", message)


def by_numbers(setup: Setup, module: ModuleOp) -> tuple[Interesting, str]:
    """Whether the first step that errs is the one that errs on the module; and which that is.

    Raises IrkitError where the module is right.
    """
    fault = find_fault(module, setup)
    if fault is None:
        raise _boring("the numbers of the module are wrong", "they agree with the reference at every step")
    wanted, number = fault, len(fault.passed)
    ends_early = fault.step not in AFTER_PASSES and fault.step != "buffer-place-barriers"
    flags = () if ends_early or fault.step == "the C compiler" else ("-O0",)
    narrowed = replace(
        setup,
        first=number if fault.kind == "numbers" else 0,
        last=number if ends_early else None,
        seconds=SECONDS,
        cflags=flags,
    )
    if flags and not wanted.resembles(find_fault(module, narrowed)):
        narrowed = replace(narrowed, cflags=())

    def interesting(candidate: ModuleOp) -> bool:
        try:
            return wanted.resembles(find_fault(candidate, narrowed))
        except (IrkitError, ErrorList):  # it does not run at all
            return False

    return interesting, fault.error.message


def _boring(expected: str, found: str) -> IrkitError:
    return IrkitError(
        "the module is not interesting as it is",
        found=found,
        expected=expected,
        hint="nothing was reduced; check the test, or the options that it needs",
    )
