"""`irkit bisect` names the step and the op of faults that are planted in the compiler, one in each of its parts."""

from __future__ import annotations

import dataclasses
import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from xdsl.dialects import math

import irkit
from irkit.cli import main
from lowering.c import emit, scalars
from lowering.graph.simplify import GraphSimplify
from lowering.kernel.simplify import KernelSimplify
from tests.random_graphs.test_planted_bugs import lost_tail, overlapping_arrays, wrong_neutral

Patch = pytest.MonkeyPatch

TEXT = """fn main(x: f32[6, 20], y: f32[20]) -> f32[6, 20] {
  a = exp(x) - y
  b = a @ transpose(x)
  c = softmax(b, axis=1) - max(b - 1000)
  for t in 0..2 with c { c = c / sum(c * c) + tanh(b + c) }
  return c @ exp(x)
}
"""

SMALL = """fn main(x: f32[4, 12]) -> f32[4, 12] {
  a = x * x
  return tanh(a) + sum(a)
}
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.tg"
    path.write_text(TEXT)
    return path


def bisect(*words: object) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = main(["bisect", *map(str, words)], None, out, err)
    return code, out.getvalue(), err.getvalue()


def swapped_operands(patch: Patch) -> None:
    right = GraphSimplify.apply

    def apply(self: GraphSimplify, ctx, op) -> None:
        right(self, ctx, op)
        found = next((o for o in op.walk() if o.name == "graph.sub" and len({*o.operands}) == 2), None)
        if found is not None:
            found.operands = list(found.operands)[::-1]

    patch.setattr(GraphSimplify, "apply", apply)


def lost_in_a_pass(patch: Patch) -> None:
    def apply(self: KernelSimplify, ctx, op) -> None:
        if any(o.name == "math.tanh" for o in op.walk()):
            raise KeyError("lost")

    patch.setattr(KernelSimplify, "apply", apply)


def wrong_function(patch: Patch) -> None:
    patch.setitem(scalars.FUNCTIONS, math.TanhOp, "exp")


def changed_text(patch: Patch, change: Callable[[str], str]) -> None:
    right = emit.emit_program

    def changed(*words, **options):
        spec = right(*words, **options)
        return dataclasses.replace(spec, source=change(spec.source))

    patch.setattr(emit, "emit_program", changed)


def refused_text(patch: Patch) -> None:
    changed_text(patch, lambda text: re.sub(r"irk_tanh\w*\(", "no_such_function;(", text))


def crashing_text(patch: Patch) -> None:
    changed_text(patch, lambda text: re.sub(r"(irk_tanh\w*\()", r"__builtin_trap(); \1", text))


FAULTS: dict[str, tuple[Callable[[Patch], None], str, str, str]] = {
    "a graph pass": (swapped_operands, "2:7", "pass 'graph-simplify' changes the numbers of graph.sub", "exp_sub"),
    "a rule of a kernel": (wrong_neutral, "4:28", "pass 'graph-to-kernel' changes the numbers of graph.reduce_max", "reduce_max"),
    "a loop": (lost_tail, "", "pass 'kernel-to-loop' changes the numbers of graph.", "kernel"),
    "the planner": (overlapping_arrays, "", "pass 'kernel-to-buffer' changes the numbers of 4 ops that run together:", "none of them alone"),
    "the C text": (wrong_function, "5:47", "the C text changes the numbers of graph.tanh", "tanh"),
    "a pass that fails": (lost_in_a_pass, "3:10", "pass 'kernel-simplify' fails on graph.tanh", "KeyError: 'lost'"),
    "C that is refused": (refused_text, "3:10", "the C compiler fails on graph.tanh", "no_such_function"),
    "C that crashes": (crashing_text, "3:10", "the compiled program crashes on graph.tanh", "SIG"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_narrowed_to_a_step_and_an_op(fault: str, model: Path, monkeypatch: Patch):
    plant, place, message, told = FAULTS[fault]
    plant(monkeypatch)
    if place == "3:10":
        model.write_text(SMALL)
    code, out, err = bisect(model, "--seed", 3)
    assert code == 1, out
    assert f"model.tg:{place}" in err and f"error: {message}" in err and told in err, err
    assert "\n" + " " * 4 in err and "^" in err  # the source line, and the caret
    assert ("ok  graph-simplify" in out) == (fault != "a graph pass")


def test_a_sound_program_is_told_so(model: Path):
    code, out, err = bisect(model)
    assert (code, err) == (0, "")
    assert out.endswith("the C text, the C compiler and the compiled program agree with the reference\n")


def test_the_smallest_part_is_written_and_shows_the_fault_again(
    model: Path, tmp_path: Path, monkeypatch: Patch
):
    part = tmp_path / "part.mlir"
    model.write_text(SMALL)
    wrong_function(monkeypatch)
    assert bisect(model, "-o", part)[0] == 1
    assert part.read_text().count("graph.") == 1 + part.read_text().count("graph.name")
    code, _, err = bisect(part)
    assert code == 1 and "model.tg:3:10: error: the C text changes the numbers of graph.tanh" in err


def test_a_fault_below_the_graph_level_is_narrowed_to_a_kernel(tmp_path: Path, monkeypatch: Patch):
    path = tmp_path / "low.mlir"
    path.write_text(str(irkit.lower(SMALL, "kernel")))
    wrong_function(monkeypatch)
    code, _, err = bisect(path)
    assert code == 1 and "the C text changes the numbers of kernel.launch" in err and "tanh" in err


def test_a_fault_that_some_inputs_show(tmp_path: Path, monkeypatch: Patch):
    """Given numbers are used: where nothing is positive, a maximum that starts from zero is wrong."""
    model, data = tmp_path / "top.tg", tmp_path / "x.npy"
    model.write_text("dim N = 4 in 1..64\nfn main(x: f32[N, 3]) -> f32[N] { return max(x, axis=1) }\n")
    wrong_neutral(monkeypatch)
    np.save(data, np.ones((5, 3), np.float32))
    assert bisect(model, "--input", f"x={data}")[0] == 0
    np.save(data, -np.ones((5, 3), np.float32))
    code, _, err = bisect(model, "--input", f"x={data}")
    assert code == 1 and "graph.reduce_max" in err and "found: 0.0 at [0], and 5 of 5" in err


def test_default_data_of_another_size_is_left_aside(tmp_path: Path):
    np.savez(tmp_path / "x.npz", x=np.ones(4, np.float32))
    model = tmp_path / "sized.tg"
    model.write_text('dim B = 4\nfn main(x: f32[B] = load("x.npz", "x")) -> f32[B] { return -x }\n')
    assert bisect(model, "--dim", "B=2")[0] == bisect(model)[0] == 0


def test_errors(model: Path, tmp_path: Path):
    assert "the program has no input 'z'" in bisect(model, "--input", "z=1")[2]
    assert "there is no file" in bisect(tmp_path / "none.tg")[2]
    low = tmp_path / "low.mlir"
    low.write_text(str(irkit.lower(TEXT, "buffer")))
    code, _, err = bisect(low)
    assert (
        code == 1
        and "irkit bisect needs one function that the reference runs" in err
        and "buffer level" in err
    )
