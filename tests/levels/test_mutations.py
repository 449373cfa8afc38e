"""Mutated text of every level: an error in kind or a right answer, never a fault of irkit, time or memory without end.

What still compiles is run too, in a process of its own: `--check` compares each level with the level that the text is at.
A text of the buffer level has no other level to be compared with; it only has to compile.
"""

from __future__ import annotations

import io
import multiprocessing
import random
import re
import resource
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import pytest

from irkit.opt import main
from tests.levels.programs import SMALL

LEVELS = ("tg", "graph", "kernel", "loop", "buffer")
STRANGE = ["0", "-1", "99999999999", "4294967296", "f32", "i1", "index", "tensor", "%x", "@k", "]", "[", "}", '"', "kernel.read", "inf", "fn", "="]  # fmt: skip
SECONDS = 20
RUN_SECONDS = 10
BYTES = 2 << 30
"""What one text may take beyond what the process holds already."""

FAULTS = ("fault of irkit", "Traceback", "changed the numbers", "not enough memory")


def run(text: str, *words: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = main(["-", *words], io.StringIO(text), out, err)
    return code, out.getvalue(), err.getvalue()


@cache
def text_of(name: str, level: str) -> str:
    if level == "tg":
        return SMALL[name] + "\n"
    code, out, err = run(SMALL[name] + "\n", "-f", "tg", f"--emit={level}")
    assert code == 0, err
    return out


def mutated(text: str, rng: random.Random) -> str:
    """The text with tokens or lines dropped, doubled, exchanged or replaced."""
    tokens = re.findall(r"\s+|\w+|[^\w\s]", text)
    for _ in range(rng.choice((1, 1, 2, 3))):
        if len(tokens) < 2:
            break
        i, j = rng.randrange(len(tokens)), rng.randrange(len(tokens))
        match rng.randrange(6):
            case 0:
                del tokens[i]
            case 1:
                tokens.insert(i, tokens[j])
            case 2:
                tokens[i], tokens[j] = tokens[j], tokens[i]
            case 3:
                tokens[i] = rng.choice(STRANGE)
            case kind:
                lines = "".join(tokens).split("\n")
                at = rng.randrange(len(lines))
                lines[at : at + 1] = [] if kind == 4 else [lines[at], lines[rng.randrange(len(lines))]]
                tokens = re.findall(r"\s+|\w+|[^\w\s]", "\n".join(lines))
    return "".join(tokens)


@contextmanager
def limited(text: str) -> Iterator[None]:
    """Fails where what is inside takes too long, or too much memory."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"more than {SECONDS} s for:\n{text}")

    with open("/proc/self/statm", encoding="ascii") as file:
        held = int(file.read().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (held + BYTES, before[1]))
    signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        resource.setrlimit(resource.RLIMIT_AS, before)


def verdict(text: str, kind: str) -> str:
    """How a text that compiles does when it runs: right, refused (an access outside its array, say), endless, or what
    is wrong. A mutated loop may run for ever, and a mutated array be larger than the memory, by right."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(target=_checked, args=(text, kind, sender))
    child.start()
    sender.close()
    found = None
    if receiver.poll(RUN_SECONDS):
        try:
            found = receiver.recv()
        except EOFError:
            found = "crashed"
    child.kill()
    child.join()
    return found or "endless"


def _checked(text: str, kind: str, sender: multiprocessing.connection.Connection) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (4 * BYTES, 4 * BYTES))
    code, _, err = run(text, "--emit=c", "--check", "-f", kind)
    wrong = any(word in err for word in FAULTS[:3])
    sender.send(err if wrong else "right" if code == 0 else "refused")


def check(seed: int, count: int, share: int = 1) -> Counter[str]:
    """Mutates and compiles `count` texts, and runs one of `share` of those that compile."""
    rng = random.Random(seed)
    names, verdicts = list(SMALL), Counter[str]()
    for number in range(count):
        level = rng.choice(LEVELS)
        kind = "tg" if level == "tg" else "mlir"
        text = mutated(text_of(rng.choice(names), level), rng)
        with limited(text):
            goal = rng.choice(("c", "upstream"))
            code, _, err = run(text, f"--emit={goal}", "-f", kind)
        assert code in (0, 1) and not any(word in err for word in FAULTS), f"{err}\n{text}"
        assert (code == 0) == (not err), f"{code}: {err}\n{text}"
        if code == 0 and level != "buffer" and number % share == 0:
            found = verdict(text, kind)
            assert found in ("right", "refused", "endless"), f"{found}\n{text}"
            verdicts[found] += 1
        verdicts["compiles" if code == 0 else "error"] += 1
    return verdicts


def test_mutated_text_is_an_error_in_kind_or_right():
    assert check(0, 120, share=8)["right"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 11))
def test_more_mutated_text(seed: int):
    print(f"seed {seed}: {dict(check(seed, 1000))}")
