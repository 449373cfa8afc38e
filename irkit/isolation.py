"""Runs a function in a child process, so that a crash or a loop without end is told and not suffered."""

from __future__ import annotations

import faulthandler
import os
import pickle
import resource
import select
import signal
import time
import warnings
from collections.abc import Callable
from typing import NoReturn, TypeVar

ResultT = TypeVar("ResultT")

CHUNK = 1 << 20


class Died(Exception):
    """A child process that gave no answer; `reason` says how it ended, `late` whether its time was up."""

    def __init__(self, reason: str, late: bool = False):
        super().__init__(reason)
        self.reason = reason
        self.late = late


def isolated(work: Callable[[], ResultT], limit: float | None = None) -> ResultT:
    """What a function returns, or raises, in a child that begins as a copy of this process.

    What is returned or raised has to pickle. Raises Died where the child crashes, or runs for longer than `limit` seconds.
    """
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # of forking with threads: the child uses none of them
        child = os.fork()
    if not child:
        os.close(reader)
        _answer(work, writer)
    os.close(writer)
    answer = None
    try:
        answer = _read(reader, limit)
    finally:  # on ctrl-C too
        os.close(reader)
        if answer is None:
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    if answer is None:
        raise Died(f"it is not done after {limit or 0:g} seconds", late=True)
    if not answer:
        raise Died(_reason(os.waitstatus_to_exitcode(status)))
    good, value = pickle.loads(answer)
    if not good:
        raise value
    return value


def _read(reader: int, limit: float | None) -> bytes | None:
    """All that the child writes; None where it takes too long."""
    end = None if limit is None else time.monotonic() + limit
    parts: list[bytes] = []
    while True:
        left = None if end is None else max(0.0, end - time.monotonic())
        if not select.select([reader], [], [], left)[0]:
            return None
        part = os.read(reader, CHUNK)
        if not part:
            return b"".join(parts)
        parts.append(part)


def _answer(work: Callable[[], object], writer: int) -> NoReturn:
    """The child: does the work, writes what comes of it, and ends without the handlers and buffers of its parent."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # on ctrl-C the parent speaks
        faulthandler.disable()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        try:
            answer: tuple[bool, object] = True, work()
        except Exception as fault:
            answer = False, fault
        try:
            data = pickle.dumps(answer)
        except Exception:
            data = pickle.dumps((False, RuntimeError(f"{type(answer[1]).__name__}: {answer[1]}")))
        while data:
            data = data[os.write(writer, data) :]
        os._exit(0)
    finally:
        os._exit(1)


def _reason(code: int) -> str:
    if code >= 0:
        return f"the process ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    meaning = {"SIGSEGV": ", an access outside of its memory", "SIGFPE": ", an error in arithmetic"}
    return f"the process was ended by {name}{meaning.get(name, '')}"
