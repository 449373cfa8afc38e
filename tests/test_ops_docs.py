"""The op reference says what the ops say: pages are up to date, examples give through compiled C what the pages show."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from dialects.errors import IrkitError
from dialects.graph import OPS, GraphOp, register_op
from dialects.graph.elementwise import Elementwise
from dialects.graph.examples import Example
from tests.ops.harness import program_of
from tests.ops.torch_calls import FUNCTIONS
from tools.ops_docs.__main__ import DOCS, all_examples, differences, documented, reference
from tools.ops_docs.derivatives import PATH, known_errors, table
from tools.ops_docs.errors import messages
from tools.ops_docs.examples import all_in_one, shown
from tools.ops_docs.pages import TORCH, page, read_cells
from tools.ops_docs.table import AGREES, ONLY_REFERENCE, REFUSED, measured, rows

ROOT = DOCS.parent


def test_the_pages_are_up_to_date():
    """Also fails for an op without an example, and says what to add."""
    found = differences(reference())
    assert not found, "\n".join([*found, "run python -m tools.ops_docs"])


def test_the_table_of_derivatives_is_up_to_date():
    """Its columns of rules are those of the code, and what has a derivative of floats was measured."""
    text = PATH.read_text(encoding="utf-8")
    errors = known_errors(text)
    assert text == table(errors), "run python -m tools.ops_docs.derivatives"
    moving = re.findall(r"^\| \[(\w+)\]\S+ \| (?:rule|formula) ", text, re.MULTILINE)
    assert {name for name in moving if not errors[name]} == {"cast", "quantize", "dequantize"}


def test_examples_give_what_the_pages_show_through_c():
    examples = all_examples()
    module, arrays = all_in_one(examples)
    results = iter(program_of(module)(*arrays))
    wrong = []
    for example in examples:
        found = example.lines([next(results) for _ in example.results])
        shown_there = (DOCS / "ops" / f"{example.name}.md").read_text(encoding="utf-8")
        if "```text\n" + "\n".join(found) + "\n```" not in shown_there:
            wrong.append(f"{example.name}: {found}")
    assert not wrong, "\n".join(wrong)


def test_an_example_runs_as_it_stands(tmp_path: Path):
    """The text of a page, as a file, by the command."""
    text = re.search(r"```tg\n(.*?)```", (DOCS / "ops" / "matmul.md").read_text(encoding="utf-8"), re.DOTALL)
    assert text
    (tmp_path / "matmul.tg").write_text(text[1])
    code = "import sys; from irkit.cli import main; sys.exit(main())"
    words = [sys.executable, "-c", code, "run", str(tmp_path / "matmul.tg")]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "f32[2, 2]" in done.stdout and "17" in done.stdout


def test_the_table_has_a_mark_in_every_cell():
    cells = read_cells((DOCS / "ops.md").read_text(encoding="utf-8"))
    assert {row.partition(" ")[0] for row in cells} == set(documented())
    marks = {mark for row in cells.values() for dtype, mark in row.items() if dtype != TORCH}
    assert marks <= {AGREES, ONLY_REFERENCE, REFUSED}
    assert cells["add"]["f32"] == AGREES
    assert cells["exp"]["i32"] == REFUSED
    said = {label: row[TORCH] for label, row in cells.items() if row[TORCH]}
    assert said.keys() == FUNCTIONS.keys()
    assert all(text.startswith(f"`{FUNCTIONS[name]}`: ") and text[-1] != " " for name, text in said.items())
    assert said["elu"] == "`F.elu`: f64 f32 f16 bf16"


def test_pages_that_differ_are_told(tmp_path: Path):
    files = reference(docs=tmp_path)
    (tmp_path / "ops").mkdir()
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
    assert not differences(files, tmp_path)
    place = tmp_path / "ops" / "exp.md"
    place.write_text(place.read_text(encoding="utf-8").replace("0.36788", "0.36789"), encoding="utf-8")
    (tmp_path / "ops" / "gone.md").write_text("")
    page_fault, spare = differences(files, tmp_path)
    assert "-f32[3]: [0.36789, 1, 2.7183]" in page_fault
    assert spare.endswith("gone.md: no op has this page")


@pytest.fixture
def op():
    """An op of its own module for one test."""
    before = dict(OPS)
    yield register_op
    OPS.clear()
    OPS.update(before)


def test_an_op_without_an_example_is_told_what_to_add(op, monkeypatch: pytest.MonkeyPatch):
    class HalvedOp(Elementwise):
        """x / 2."""

        __module__ = "dialects.graph.elementwise"
        name = "graph.halved"
        FUNCTION: ClassVar = staticmethod(lambda x: x / 2)

    op(HalvedOp)
    with pytest.raises(IrkitError) as fault:
        reference()
    text = str(fault.value)
    assert "the op 'halved' (dialects/graph/elementwise.py) has no example" in text
    assert '"halved": Example("halved(x)", x="f32 [1, 2, 3]"),' in text


def test_an_op_brings_its_own_example(op):
    class DoubledOp(Elementwise):
        """x + x."""

        name = "mine.doubled"
        TAKES: ClassVar = "f"
        FUNCTION: ClassVar = staticmethod(lambda x: x + x)
        EXAMPLE: ClassVar = Example("doubled(x)", x="f32 [1, 2]")

    op(DoubledOp)
    text = page(shown("doubled"))
    assert "f32[2]: [2, 4]" in text
    assert "%0 = mine.doubled %x : (tensor<2xf32>) -> tensor<2xf32>" in text
    assert "| dtypes of `x` | floats |" in text
    assert "doubled" not in documented()


def test_an_example_that_does_not_use_its_op_is_told(op):
    class IdleOp(Elementwise):
        name = "mine.idle"
        FUNCTION: ClassVar = staticmethod(np.abs)
        EXAMPLE: ClassVar = Example("abs(x)", x="f32 [1, 2]")

    op(IdleOp)
    with pytest.raises(IrkitError, match="the example of idle does not use it"):
        shown("idle")


def test_messages_come_from_the_source():
    found = messages(OPS["matmul"])
    assert "inner dims of matmul differ: … against …" in found
    assert "tril has no complex form" in messages(OPS["tril"])
    assert not messages(GraphOp)


@pytest.mark.slow
def test_the_table_is_what_is_measured():
    known = read_cells((DOCS / "ops.md").read_text(encoding="utf-8"))
    assert measured(rows(all_examples()), print, known) == known
