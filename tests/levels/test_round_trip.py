"""Every level is text: it prints, parses, verifies, prints the same again, and continues to the same C."""

from __future__ import annotations

from io import StringIO

import pytest
from xdsl.dialects.builtin import ModuleOp
from xdsl.printer import Printer

from irkit import pipeline
from irkit.lang import parse, to_graph
from irkit.mlir_parser import parse_mlir
from lowering.c.emit import emit_c
from lowering.target import get_target
from lowering.verify import verify_module
from tests.levels.programs import programs

PROGRAMS = programs()
LEVELS = ("graph", "kernel", "loop", "buffer")


def module_of(name: str) -> ModuleOp:
    file, text, dims = PROGRAMS[name]
    return to_graph(parse(text, file), None, dims)


def printed(module: ModuleOp, generic: bool = False) -> str:
    out = StringIO()
    Printer(out, print_generic_format=generic, print_debuginfo=True).print_op(module)
    return out.getvalue()


def lower(module: ModuleOp, start: str, level: str) -> ModuleOp:
    pipeline.run_passes(module, pipeline.passes_to(start, level), pipeline.context())
    return module


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_level_round_trips_and_continues_to_the_same_c(name: str):
    machine = get_target("native", "gcc")
    straight = emit_c(lower(module_of(name), "graph", "buffer"), machine)
    for level in LEVELS:
        module = lower(module_of(name), "graph", level)
        text, generic = printed(module), printed(module, generic=True)
        again = parse_mlir(pipeline.context(), text, f"{name}.mlir", True)
        verify_module(again)
        assert pipeline.level_of(again) == level
        assert printed(again) == text
        other = parse_mlir(pipeline.context(), generic, f"{name}.mlir", True)
        assert other.is_structurally_equivalent(again)
        assert emit_c(lower(again, level, "buffer"), machine) == straight
