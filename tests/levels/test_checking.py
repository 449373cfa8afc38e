"""`irkit-opt --check`: every pass keeps the numbers, and a pass that does not is named."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from xdsl.context import Context
from xdsl.dialects import arith, math
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation
from xdsl.passes import ModulePass

from dialects import buffer, kernel, loop
from dialects.dims import Dim
from dialects.errors import IrkitError
from irkit import pipeline
from irkit.checking import Checker
from irkit.lang import parse, to_graph
from irkit.pass_manager import PassManager, Watch
from irkit.pipeline_text import Step
from lowering.c import scalars

EXAMPLES = {
    "digits": {"B": 3},
    "mlp": {"B": 1},
    "encoder": {"B": 1, "S": 9, "D": 24, "H": 3},
    "heat": {"N": 7},
}


def graph_of(text: str, name: str = "test.tg", **dims: int) -> ModuleOp:
    return to_graph(parse(text, name), None, dims)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_pass_keeps_the_numbers_of_the_examples(example: str):
    name = f"examples/{example}.tg"
    with open(name, encoding="utf-8") as file:
        module = graph_of(file.read(), name, **EXAMPLES[example])
    checker = Checker(seed=1)
    steps = [Step(run) for run in pipeline.passes_to("graph", "buffer")]
    PassManager(pipeline.context(), Watch(checker=checker)).run(module, steps)
    assert pipeline.level_of(module) == "buffer"


# -- planted faults -------------------------------------------------------------------------------------------------


def an_operand_is_swapped(module: ModuleOp) -> None:
    op = first(module, arith.SubfOp)
    op.operands = [op.rhs, op.lhs]


def an_index_is_shifted(module: ModuleOp) -> None:
    op = first(module, kernel.ReadOp)
    op.index = type(op.index)((Dim.of(0), *op.index.data[1:]))


def a_loop_ends_early(module: ModuleOp) -> None:
    op = first(module, loop.ForOp)
    op.upper_ = type(op.upper_)(op.upper - op.step)


def a_view_is_misplaced(module: ModuleOp) -> None:
    views = [op for op in module.walk() if isinstance(op, buffer.ViewOp)]
    for view in views:
        view.properties["offset"] = views[0].properties["offset"]


TEXT = """
fn main(x: f32[6, 40], y: f32[40]) -> f32[6, 40] {
  a = exp(x) - y
  b = a @ transpose(x)
  c = softmax(b, axis=1)
  return c @ a
}
"""
FAULTS: dict[str, tuple[str, Callable[[ModuleOp], None]]] = {
    "kernel-simplify": ("kernel", an_operand_is_swapped),
    "kernel-schedule": ("kernel", an_index_is_shifted),
    "kernel-to-loop": ("loop", a_loop_ends_early),
    "buffer-place-barriers": ("buffer", a_view_is_misplaced),
}


def first(module: ModuleOp, kind: type[Operation]):
    return next(op for op in module.walk() if isinstance(op, kind))


@pytest.mark.parametrize("name", FAULTS)
def test_a_pass_that_changes_the_numbers_is_named(name: str):
    level, fault = FAULTS[name]

    class Broken(ModulePass):
        def apply(self, ctx: Context, op: ModuleOp) -> None:
            sound.apply(ctx, op)
            fault(op)

    runs = pipeline.passes_to("graph", level)
    position = next(i for i, run in enumerate(runs) if run.name == name)
    sound, runs[position] = runs[position], Broken()
    Broken.name = name
    with pytest.raises(IrkitError, match=f"pass '{name}' changed the numbers of"):
        PassManager(pipeline.context(), Watch(checker=Checker())).run(
            graph_of(TEXT), [Step(run) for run in runs]
        )


def test_wrong_c_text_is_told_from_a_wrong_pass(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(scalars.FUNCTIONS, math.ExpOp, "tanh")
    steps = [Step(run) for run in pipeline.passes_to("graph", "buffer")]
    with pytest.raises(
        IrkitError, match="the C text, and not pass 'kernel-to-buffer', changed the numbers of"
    ):
        PassManager(pipeline.context(), Watch(checker=Checker())).run(graph_of(TEXT), steps)


def test_what_cancels_is_allowed_its_rounding():
    """1000 is added and taken off again: the slack is that of numbers of a thousand, though the result is small."""
    text = """fn main(x: f32[64]) -> (f32[64], f32[64]) {
      y[i] = x[i] * 3.3 + 1000.0 - 1000.0
      return x * 3.3 + 1000 - 1000, y
    }"""
    checker = Checker()
    checker.start(graph_of(text))
    for slack in checker.judges["main"].slack:
        assert 5e-5 < slack < 1e-3


def test_there_has_to_be_something_to_run():
    with pytest.raises(IrkitError, match="--check finds no function to run"):
        Checker().start(ModuleOp([]))
