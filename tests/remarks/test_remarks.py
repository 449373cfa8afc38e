"""Remarks: every kernel has some, with a place; they change nothing that is compiled, and cost nothing unheard."""

from __future__ import annotations

import json
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from dialects import kernel
from dialects.errors import Loc
from irkit.api import emit, lower
from irkit.remarks import remarks_json
from lowering.remarks import CATEGORIES, KINDS, Remark, Remarks, listener, listening

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted(path.stem for path in (ROOT / "examples").glob("*.tg"))

SMALL = """fn main(x: f32[9, 40], w: f32[40, 40], u: f32[9, 40]) -> (f32[9, 40], f32[9, 40]) {
  v[i, j] = u[i, j - 1] + u[i, j + 1], boundary=zero
  for t in 0..3 with v { v = v * 0.5 }
  return softmax(relu(x @ w) + 1), v
}"""


def path_of(example: str) -> Path:
    return ROOT / "examples" / f"{example}.tg"


@cache
def heard(example: str) -> tuple[Remarks, frozenset[str]]:
    """The remarks of a compilation down to arrays, and the kernels of the program but for those that make panels."""
    remarks = Remarks()
    with listening(remarks):
        module = lower(path_of(example), "kernel", target="avx2")
        names = {op.sym_name.data for op in module.ops if isinstance(op, kernel.DefOp)}
        kernels = {name for name in names if not name.endswith("_panels")}
        lower(module, "buffer", target="avx2")
    return remarks, frozenset(kernels)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_kernel_has_remarks_with_a_place_in_the_source(example: str):
    remarks, kernels = heard(example)
    assert kernels
    lines = path_of(example).read_text(encoding="utf-8").splitlines()
    for category in ("fuse", "vectorise", "parallel"):
        named = {r.op.removeprefix("@") for r in remarks.found if r.category == category}
        assert kernels <= named, f"no remark on {category} of {sorted(kernels - named)}"
    for remark in remarks.found:
        loc = remark.loc
        assert loc is not None, remark
        assert Path(loc.file) == path_of(example)
        assert lines[loc.line - 1][loc.col - 1].strip(), f"{loc} points at nothing"


@pytest.mark.parametrize("example", EXAMPLES)
def test_remarks_stand_as_the_source_has_them_and_say_each_thing_once(example: str):
    remarks, _ = heard(example)
    ordered = remarks.in_order()
    places = [(r.loc.line, r.loc.col) for r in ordered if r.loc is not None]
    assert places == sorted(places)
    assert max(Counter(ordered).values()) == 1
    assert {r.kind for r in ordered} <= KINDS.keys()
    assert {r.category for r in ordered} <= CATEGORIES.keys()
    assert all(r.message and "{" not in r.message + r.reason for r in ordered)


def test_between_them_the_examples_speak_of_every_category_in_every_kind():
    found = [r for example in EXAMPLES for r in heard(example)[0].found]
    with listening(remarks := Remarks()):  # no example multiplies three matrices
        emit("fn main(x: f32[9, 2], y: f32[2, 9]) -> f32[9, 2] { return x @ y @ x }", "three.tg")
    found += remarks.found
    assert {r.category for r in found} == CATEGORIES.keys() - {
        "prune"
    }  # of which sound programs have nothing
    assert {r.kind for r in found} == KINDS.keys()


@pytest.mark.parametrize("example", EXAMPLES)
def test_what_is_compiled_is_the_same_with_and_without_remarks(example: str):
    path = path_of(example)
    text = path.read_text(encoding="utf-8")
    plain, _ = emit(text, str(path), target="avx2")
    with listening(Remarks()):
        told, _ = emit(text, str(path), target="avx2")
    assert told.source == plain.source
    assert told.header == plain.header


def test_unheard_remarks_cost_a_look_at_who_listens_and_nothing_else():
    """Calls into the files of remarks, counted: a bounded number for each op and kernel, and no text is made."""
    calls: Counter[str] = Counter()

    def count(frame, event: str, _) -> None:
        if event == "call" and Path(frame.f_code.co_filename).stem.endswith("remarks"):
            calls[frame.f_code.co_name] += 1

    module = lower(SMALL, "graph")
    ops = sum(1 for _ in module.walk())
    sys.setprofile(count)
    try:
        lower(module, "buffer", target="avx2")
    finally:
        sys.setprofile(None)
    made = {"_tell", "applied", "missed", "analysis", "places_of", "label_of", "reason", "started", "joined"}
    assert calls["listener"]
    assert not calls.keys() & made
    assert calls["listener"] < 12 * ops
    assert calls.total() < 24 * ops


def test_only_wanted_categories_and_kinds_are_told():
    remarks = Remarks(frozenset({"in-place"}), frozenset({"missed"}))
    with listening(remarks):
        assert listener("fuse", "graph-fuse") is None
        lower(path_of("encoder"), "buffer", target="avx2")
        with listening(None):
            assert listener("in-place", "kernel-to-buffer") is None
    assert listener("in-place", "kernel-to-buffer") is None
    assert {(r.category, r.kind) for r in remarks.found} == {("in-place", "missed")}


def test_json_holds_all_fields():
    here, there = Loc("a.tg", 3, 5), Loc("a.tg", 1, 2)
    remark = Remark("missed", "fuse", "graph-fuse", "@k", (here,), "what", "why", (there,), (("lanes", 8),))
    assert json.loads(remarks_json([remark])) == {
        "version": 1,
        "remarks": [
            {
                "kind": "missed",
                "category": "fuse",
                "pass": "graph-fuse",
                "op": "@k",
                "locations": [{"file": "a.tg", "line": 3, "column": 5}],
                "message": "what",
                "reason": "why",
                "see": [{"file": "a.tg", "line": 1, "column": 2}],
                "args": {"lanes": 8},
            }
        ],
    }
