"""Ops that NumPy does not have give through compiled C what torch gives. Skipped where torch is not installed."""

from __future__ import annotations

import numpy as np
import pytest

from dialects.types import DTYPES
from tests.graph.samples import op_of
from tests.ops.torch_calls import FUNCTIONS, differing_calls, torch_calls
from tools.ops_docs.__main__ import DOCS
from tools.ops_docs.pages import TORCH, read_cells
from tools.ops_docs.torch_table import column, compared, expected, has_torch, is_measured_with, operand_types

needs_torch = pytest.mark.skipif(
    not has_torch(), reason="torch is not installed: pip install -e '.[test-torch]'"
)
QUICK = ("f32", "i32")


@needs_torch
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "dtype", [pytest.param(d, marks=() if d in QUICK else pytest.mark.slow) for d in DTYPES]
)
def test_the_column_of_torch_is_true(dtype: str) -> None:
    """No call differs, and the op reference names the dtypes that both take."""
    cells = read_cells((DOCS / "ops.md").read_text(encoding="utf-8"))
    said = {name for name in FUNCTIONS if dtype in cells[name][TORCH].split()}
    notes: list[str] = []
    found = {name for name, text in column(notes.append, [dtype]).items() if dtype in text.split()}
    assert not notes, "\n".join(notes)
    assert found == said or not is_measured_with()


@needs_torch
@pytest.mark.filterwarnings("ignore")
def test_references_are_torchs() -> None:
    faults = []
    for call in torch_calls():
        arrays = call.in_dtype("f32")
        both = expected(call, "f32")
        if both is None:
            continue
        with np.errstate(all="ignore"):
            found = op_of(call.name, operand_types(arrays), **call.values).run(arrays)[call.result]
        if fault := compared(found, *both):
            faults.append(f"{call}: {fault}")
    assert not faults, "\n".join(faults)


@needs_torch
def test_every_function_has_a_call() -> None:
    assert {call.name for call in torch_calls()} == FUNCTIONS.keys()


@needs_torch
@pytest.mark.filterwarnings("ignore")
def test_what_the_pages_say_torch_does_otherwise() -> None:
    """No comparison where torch should come to agree: then the page says what is no longer so."""
    for call in differing_calls():
        both = expected(call, "f32")
        assert both is not None
        with np.errstate(all="ignore"):
            found = op_of(call.name, operand_types(call.arrays), **call.values).run(call.arrays)[0]
        assert compared(found, *both), str(call)
        page = (DOCS / "ops" / f"{call.name}.md").read_text(encoding="utf-8")
        assert "torch" in page, call.name


ONE = np.array([1, np.inf, np.nan], np.float32)
FAULTS = [
    (ONE + np.float32(1e-5), "Not equal"),
    (np.array([1, np.nan, np.nan], np.float32), "nan location"),
    (np.array([1, -np.inf, np.nan], np.float32), "inf"),
    (ONE.astype(np.float64), "float64[3] against float32[3]"),
    (ONE[:2], "float32[2] against float32[3]"),
]


@pytest.mark.parametrize(("found", "fault"), FAULTS, ids=[f[1] for f in FAULTS])
def test_a_difference_is_told(found: np.ndarray, fault: str) -> None:
    assert not compared(ONE, ONE, ONE.astype(np.float64))
    assert fault in compared(found, ONE, ONE.astype(np.float64))


def test_integers_have_to_be_equal() -> None:
    a = np.array([1, 2])
    assert not compared(a, a, a) and "Mismatched" in compared(a + 1, a, a)
