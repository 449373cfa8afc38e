"""After every pass each op names a line of the source; what stands for several ops names them all."""

from __future__ import annotations

import pytest
from xdsl.dialects.builtin import FusedLoc, LocationAttr, ModuleOp, UnknownLoc

from dialects.errors import loc_of_attr, op_loc
from irkit import pipeline
from tests.levels.programs import programs
from tests.levels.test_round_trip import module_of

PROGRAMS = programs()


def check(module: ModuleOp, file: str, lines: int, after: str) -> None:
    for op in module.walk():
        assert not isinstance(op.location, UnknownLoc), f"{op.name} has no location after {after}:\n{op}"
        place = op_loc(op)
        assert place is not None and place.file == file and 1 <= place.line <= lines, f"{place} after {after}"


@pytest.mark.parametrize("name", PROGRAMS)
def test_no_op_is_without_its_line(name: str):
    file, text, _ = PROGRAMS[name]
    module = module_of(name)
    check(module, file, text.count("\n"), "the front end")
    for run in pipeline.passes_upstream("graph"):
        run.apply(pipeline.context(), module)
        check(module, file, text.count("\n"), run.name)


def lines_of(location: LocationAttr) -> set[int]:
    if isinstance(location, FusedLoc):
        return set().union(*(lines_of(part) for part in location.locations))
    place = loc_of_attr(location)
    return {place.line} if place else set()


def test_a_kernel_names_the_lines_of_all_its_ops():
    from irkit.lang import parse, to_graph

    text = "fn main(x: f32[4]) -> f32[4] {\n  a = exp(x)\n  b = a + 1\n  return tanh(b)\n}\n"
    module = to_graph(parse(text, "fused.tg"))
    pipeline.run_passes(module, pipeline.passes_to("graph", "loop"), pipeline.context())
    kernel = next(op for op in module.ops if op.name == "loop.func")
    assert {2, 3, 4} <= lines_of(kernel.location)
