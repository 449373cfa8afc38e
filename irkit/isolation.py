"""Runs a function in a child process, so that a crash or a loop without end is told and not suffered."""

from __future__ import annotations

import multiprocessing
import os
import signal
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import TypeVar

ResultT = TypeVar("ResultT")


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
    receiver, sender = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(target=_answer, args=(work, receiver, sender))
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # of forking with threads: the child uses none of them
        child.start()
    sender.close()
    try:
        if not receiver.poll(limit):
            raise Died(f"it is not done after {limit:g} seconds", late=True)
        good, value = receiver.recv()
    except EOFError:
        child.join()
        raise Died(_reason(child.exitcode or 0)) from None
    finally:
        receiver.close()
        if child.is_alive():
            child.kill()
        child.join()
    if not good:
        raise value
    return value


def _answer(work: Callable[[], object], receiver: Connection, sender: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # on ctrl-C the parent speaks, and the child ends in silence
    receiver.close()
    try:
        answer: tuple[bool, object] = True, work()
    except Exception as fault:
        answer = False, fault
    try:
        sender.send(answer)
    except Exception:  # what was returned or raised does not pickle
        sender.send((False, RuntimeError(f"{type(answer[1]).__name__}: {answer[1]}")))
    sender.close()
    os._exit(0)  # neither handlers nor buffers of the parent are the child's to run


def _reason(code: int) -> str:
    if code >= 0:
        return f"the process ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    meaning = {"SIGSEGV": ", an access outside of its memory", "SIGFPE": ", an error in arithmetic"}
    return f"the process was ended by {name}{meaning.get(name, '')}"
