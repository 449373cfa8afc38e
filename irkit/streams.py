"""The streams of a command: given ones in place of the process's, and none that is closed or full ends in a traceback."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from typing import TextIO


def run_on(
    command: Callable[[], int], stdin: TextIO | None, stdout: TextIO | None, stderr: TextIO | None
) -> int:
    """The exit code of a command on streams; None stands for the process's own."""
    with _streams(stdin, stdout, stderr), warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            return command()
        except SystemExit as stop:  # argparse: --help, and errors in the command line
            return stop.code if isinstance(stop.code, int) else 2
        except BrokenPipeError:
            return 1
        except KeyboardInterrupt:
            return 130
        finally:
            if stdout is None:
                _give_up_what_cannot_be_written()


def _show_warning(message: Warning | str, *_: object) -> None:
    """A warning as a user sees it, without the line of Python that it comes from."""
    if sys.stderr is not None:
        print(f"warning: {message}", file=sys.stderr)


@contextmanager
def _streams(stdin: TextIO | None, stdout: TextIO | None, stderr: TextIO | None) -> Iterator[None]:
    with ExitStack() as stack:
        for given, own, redirect in (
            (stdout, sys.stdout, redirect_stdout),
            (stderr, sys.stderr, redirect_stderr),
        ):
            if given is None and own is None:  # the process was started without one
                given = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
            if given is not None:
                stack.enter_context(redirect(given))
        if stdin is not None:
            stack.callback(setattr, sys, "stdin", sys.stdin)
            sys.stdin = stdin
        yield


def _give_up_what_cannot_be_written() -> None:
    """Drops what stdout still holds where its reader is gone or its disk is full; Python would complain at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
