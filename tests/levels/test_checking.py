"""`irkit-opt --check`: every pass keeps the numbers, and a pass that does not is named."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from xdsl.context import Context
from xdsl.dialects import arith, math
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from dialects import buffer, kernel, loop
from dialects.dims import Dim
from dialects.errors import IrkitError
from irkit import pipeline
from irkit.checking import Checker, compare, random_inputs
from irkit.lang import parse, to_graph
from irkit.mlir_parser import parse_mlir
from irkit.pass_manager import PassManager, Watch
from irkit.pipeline_text import Step
from lowering.c import scalars
from tests.levels.programs import programs
from tests.levels.test_round_trip import lower, module_of

LONG = ("packed", "mlp", "cnn", "joined")
"""The loops of these take NumPy half a minute."""

PROGRAMS = [pytest.param(name, marks=[pytest.mark.slow] * (name in LONG)) for name in programs()]


def graph_of(text: str, name: str = "test.tg", **dims: int) -> ModuleOp:
    return to_graph(parse(text, name), None, dims)


def run_checked(module: ModuleOp, checker: Checker) -> ModuleOp:
    """The module at the buffer level, compared from the level that it is at on."""
    steps = [Step(run) for run in pipeline.passes_to(pipeline.level_of(module), "buffer")]
    PassManager(pipeline.context(), Watch(checker=checker)).run(module, steps)
    assert pipeline.level_of(module) == "buffer"
    return module


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_pass_keeps_the_numbers(name: str):
    """From the graph level on, with NaN and infinities among the inputs; from the kernel and the loop level on, as text
    that has no graph level above it."""
    run_checked(module_of(name), Checker(seed=1, special=True))
    for level in ("kernel", "loop"):
        text = str(lower(module_of(name), "graph", level))
        module = parse_mlir(pipeline.context(), text, f"{name}.mlir", True)
        assert pipeline.level_of(module) == level or level == "kernel"
        run_checked(module, Checker(seed=2))


def test_complex_numbers_may_differ_by_rounding():
    text = "fn f(x: c64[9, 9], y: c64[9, 9]) -> (c64[9, 9], c64[9, 9]) {\n  return x @ y, conj(x) * y / (y + 2)\n}\n"
    run_checked(graph_of(text), Checker(seed=1))
    func = next(iter(graph_of(text).ops))
    assert isinstance(func, FuncOp)
    z = np.array([1 + 2j, 3 + 4j], np.complex64)
    compare("numbers", func, z + np.complex64(1e-7j), z, 0.0)
    with pytest.raises(IrkitError, match="numbers"):
        compare("numbers", func, z + np.complex64(1e-3j), z, 0.0)


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


def check_broken(
    module: ModuleOp, name: str, fault: Callable[[ModuleOp], None], checker: Checker, level: str = "kernel"
) -> None:
    """Runs the passes to a level on a module, one of them with a fault planted in it."""

    class Broken(ModulePass):
        def apply(self, ctx: Context, op: ModuleOp) -> None:
            sound.apply(ctx, op)
            fault(op)

    runs = pipeline.passes_to("graph", level)
    position = next(i for i, run in enumerate(runs) if run.name == name)
    sound, runs[position] = runs[position], Broken()
    Broken.name = name
    PassManager(pipeline.context(), Watch(checker=checker)).run(module, [Step(run) for run in runs])


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
    with pytest.raises(IrkitError, match=f"pass '{name}' changed the numbers of"):
        check_broken(graph_of(TEXT), name, fault, Checker(), level)


def a_maximum_loses_nan(module: ModuleOp) -> None:
    op = first(module, arith.MaximumfOp)
    Rewriter.replace_op(op, arith.MaxnumfOp(op.lhs, op.rhs))


def test_special_numbers_show_what_others_do_not():
    text = "fn main(x: f32[800], y: f32[800]) -> f32[800] { return max(x, y) }"
    check_broken(graph_of(text), "kernel-simplify", a_maximum_loses_nan, Checker())
    with pytest.raises(IrkitError, match=r"pass 'kernel-simplify' changed the numbers of") as caught:
        check_broken(graph_of(text), "kernel-simplify", a_maximum_loses_nan, Checker(special=True))
    assert (caught.value.expected or "").startswith("nan")


def test_special_inputs_hold_each_kind_and_mostly_numbers():
    (func,) = graph_of("fn main(x: f32[4000], n: i32[9], z: c64[9]) -> f32[4000] { return x }").ops
    inputs = random_inputs(func, {}, special=True)  # pyright: ignore[reportArgumentType]
    x = inputs["x"]
    assert np.isnan(x).any() and np.isposinf(x).any() and np.isneginf(x).any() and (x == 0).any()
    assert np.isfinite(x).mean() > 0.9 and np.isfinite(inputs["z"]).all()


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
