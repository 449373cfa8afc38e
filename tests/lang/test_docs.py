"""Every example of the language reference, and of the page on training, compiles, or fails with the text that stands below it."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

from dialects.errors import ErrorList
from irkit.diagnostics import render
from irkit.lang import parse, to_graph

PAGE = Path(__file__).parents[2] / "docs" / "language.md"
FENCE = re.compile(r"^```(tg|tg fails|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = [
    (m[1], m[2], PAGE.read_text(encoding="utf-8")[: m.start()].count("\n") + 1)
    for m in FENCE.finditer(PAGE.read_text(encoding="utf-8"))
]


TRAINING = [
    (m[1], m[2], m.start()) for m in FENCE.finditer((PAGE.parent / "training.md").read_text(encoding="utf-8"))
]


@pytest.mark.parametrize(
    "source",
    [pytest.param(text, id=f"line{line}") for kind, text, line in BLOCKS if kind == "tg"]
    + [pytest.param(text, id=f"training{at}") for kind, text, at in TRAINING if kind == "tg"],
)
def test_example_compiles(source: str) -> None:
    module = parse(source, "example.tg")
    to_graph(module).verify()
    names = re.findall(r"^fn (\w+)", source, re.MULTILINE)
    assert names, "an example without a function shows nothing"


FAILS = [(a, b) for a, b in pairwise(BLOCKS) if a[0] == "tg fails"]


@pytest.mark.parametrize(
    ("source", "message"), [pytest.param(a[1], b[1], id=f"line{a[2]}") for a, b in FAILS]
)
def test_example_fails_as_shown(source: str, message: str) -> None:
    with pytest.raises(ErrorList) as caught:
        to_graph(parse(source, "example.tg"))
    assert render(caught.value.errors, {"example.tg": source}) == message.rstrip("\n")


def test_every_op_is_documented() -> None:
    from dialects import graph

    text = PAGE.read_text(encoding="utf-8")
    spelt_otherwise = {"add", "sub", "mul", "div", "mod", "neg", "compare"}
    missing = [
        name
        for name, op in graph.OPS.items()
        if op.__module__.startswith("dialects.")
        and name not in spelt_otherwise
        and not re.search(rf"\b{name.removeprefix('reduce_')}\b", text)
    ]
    assert not missing
