"""The test cases of the `onnx` package through compiled C: a tenth of those of nodes with each change, all with `-m slow`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.from_onnx import batches
from tests.rotating import change

DOCS = Path(__file__).parents[2] / "docs" / "onnx.md"
PARTS = 10


def listed() -> set[str]:
    """The cases that docs/onnx.md says are refused."""
    return set(re.findall(r"^\| `(\w+)` \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE))


def check(suite: str, names: list[str]) -> None:
    outcomes = batches.run(list(batches.cases(suite, names)))
    refused = listed()
    faults = [o for o in outcomes if o.kind == "wrong" or (o.kind == "refused" and o.name not in refused)]
    assert not faults, "\n".join(f"{o.kind} {o.name}: {o.reason}" for o in faults)
    again = [o.name for o in outcomes if o.kind == "passed" and o.name in refused]
    assert not again, f"docs/onnx.md says that these are refused: {again}"


def _names(suite: str) -> list[str]:
    return [t.name for t in batches.tests(suite)]


@pytest.mark.parametrize(
    "names", batches.groups(_names("node")[change() % PARTS :: PARTS]), ids=lambda g: g[0]
)
def test_some_nodes(names: list[str]):
    check("node", names)


@pytest.mark.slow
@pytest.mark.parametrize("names", batches.groups(_names("node")), ids=lambda g: g[0])
def test_all_nodes(names: list[str]):
    check("node", names)


@pytest.mark.parametrize("suite", ["simple", "pytorch-operator", "pytorch-converted"])
def test_models(suite: str):
    for names in batches.groups(_names(suite)):
        check(suite, names)
