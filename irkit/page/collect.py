"""Takes a model through the levels and gathers what the page shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp

from dialects import buffer, kernel
from dialects.errors import IrkitError
from irkit.api import lower, program_prefix, read_module
from irkit.commands.show import kernel_costs, launch_counts, once_kernels
from irkit.files import read_text
from irkit.page.drawing import drawing
from irkit.page.facts import Kernel, Level, Line, Page, Section
from irkit.page.marks import Marks, number_ops
from irkit.page.memory import memory_plan
from irkit.page.roof import find_roof
from irkit.page.text import (
    c_sections,
    graph_sections,
    host_mark,
    host_section,
    kernel_sections,
    source_sections,
)
from lowering.c.emit import emit_program
from lowering.target import get_target

ABOUT = {
    "source": "the model as written",
    "graph": "what is computed",
    "kernel": "what runs as one unit",
    "loop": "how a unit runs",
    "buffer": "where and when",
    "C": "what the C compiler gets",
}


def collect(
    path: str,
    fn: str | None = None,
    dims: Mapping[str, int] | None = None,
    target: str = "native",
    cc: str = "gcc",
    roof: str | None = None,
) -> Page:
    """The page of a `.tg` or `.mlir` file, or of `-` for standard input. Raises IrkitError or ErrorList."""
    machine = get_target(target, cc)
    ceiling = find_roof(machine, roof)
    module, text, name = read_module(Path(path), fn, dims)
    marks = Marks()

    lower(module, "graph", target=target, cc=cc)
    number_ops(module)
    marks.see_graph(module)
    sections = {"graph": list(graph_sections(module, marks))}
    graph = drawing(module, lambda op: marks.read(op.location))
    function = next(op.sym_name.data for op in module.ops if isinstance(op, FuncOp))

    lower(module, "kernel", target=target, cc=cc)
    marks.see_kernels(module)
    sections["kernel"] = [*kernel_sections(module, marks), _host(module, marks)]
    kernels, known = _kernels(module, marks)
    kernel_graph = drawing(module, lambda op: host_mark(op, marks))

    lower(module, "loop", target=target, cc=cc)
    sections["loop"] = list(kernel_sections(module, marks))
    memory = memory_plan(module, marks)

    lower(module, "buffer", target=target, cc=cc)
    program = next(op for op in module.ops if isinstance(op, buffer.ProgramOp))
    sections["buffer"] = [host_section(program, program.sym_name.data, marks)]
    spec = emit_program(module, machine, program_prefix(name))
    sections["C"] = list(c_sections(spec.source, spec.kernels, program, marks))

    sections["source"] = list(source_sections(_files(name, text, marks), marks))
    sections["graph"] = [_linked(s, marks) for s in sections["graph"]]
    return Page(
        title=name,
        function=function,
        target=machine.name,
        notes=tuple(_notes(program, known)),
        levels=tuple(Level(level, about, tuple(sections[level])) for level, about in ABOUT.items()),
        graph=replace(graph, nodes=tuple(replace(n, mark=marks.with_kernels(n.mark)) for n in graph.nodes)),
        kernel_graph=kernel_graph,
        kernels=kernels,
        memory=memory,
        roof=ceiling,
    )


def _host(module: ModuleOp, marks: Marks) -> Section:
    func = next(op for op in module.ops if isinstance(op, FuncOp))
    return host_section(func, func.sym_name.data, marks)


def _linked(section: Section, marks: Marks) -> Section:
    """A section of the graph level, whose kernels are known only now."""
    return replace(section, lines=tuple(Line(x.text, marks.with_kernels(x.mark)) for x in section.lines))


def _kernels(module: ModuleOp, marks: Marks) -> tuple[tuple[Kernel, ...], bool]:
    """The kernels of a module at kernel level, and whether it is known how often each runs."""
    schedules = {
        op.sym_name.data: ", ".join(op.schedule.data)
        for op in module.ops
        if isinstance(op, kernel.DefOp) and op.schedule is not None
    }
    launches, known = launch_counts(module)
    once = once_kernels(module)
    return tuple(
        Kernel(
            cost.name,
            cost.axes,
            schedules.get(cost.name, ""),
            cost.ops,
            launches[cost.name],
            cost.flops,
            cost.bytes,
            marks.whole(cost.name),
            cost.name in once,
        )
        for cost in kernel_costs(module)
    ), known


def _notes(program: buffer.ProgramOp, known: bool) -> Iterator[str]:
    if not known:
        yield "a loop whose bounds are data counts as one iteration"
    if symbols := program.symbols.data:
        yield "sizes are for " + ", ".join(f"{name} = {high}" for name, _, high in symbols)


def _files(name: str, text: str, marks: Marks) -> Iterator[tuple[str, str]]:
    """The file of the model, and the others that its ops come from, where they can be read."""
    yield name, text
    for other in dict.fromkeys(file for file, _ in marks.ops_of_line):
        if other != name:
            with suppress(IrkitError):
                yield other, read_text(other)
