"""Mutated text of every level: an error in kind or a right answer, never a fault of irkit, and never without end."""

from __future__ import annotations

import io
import random
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import pytest

from irkit.opt import main
from tests.levels.programs import SMALL

NAMES = ("dense", "loop", "boundary_wrap", "softmax", "gather", "symbolic", "dtypes", "interior", "random")
LEVELS = ("tg", "graph", "kernel", "loop", "buffer")
STRANGE = ["0", "-1", "99999999999", "4294967296", "f32", "i1", "index", "tensor", "%x", "@k", "]", "[", "}", '"', "kernel.read", "inf", "fn", "="]  # fmt: skip
SECONDS = 20


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
    """Fails where what is inside takes too long."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"more than {SECONDS} s for:\n{text}")

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)


def check(seed: int, count: int) -> None:
    rng = random.Random(seed)
    for _ in range(count):
        level = rng.choice(LEVELS)
        text = mutated(text_of(rng.choice(NAMES), level), rng)
        with limited(text):
            code, _, err = run(text, "--emit=c", "-f", "tg" if level == "tg" else "mlir")
        assert code in (0, 1) and "fault of irkit" not in err and "Traceback" not in err, f"{err}\n{text}"
        assert (code == 0) == (not err), f"{code}: {err}\n{text}"


def test_mutated_text_is_an_error_in_kind_or_compiles():
    check(0, 400)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 11))
def test_more_mutated_text(seed: int):
    check(seed, 1000)
