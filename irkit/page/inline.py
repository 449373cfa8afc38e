"""Drawings for notebooks: the graph and the memory plan, each text of its own with its style and no script."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib.resources import files

from xdsl.dialects.builtin import ModuleOp

from irkit.commands.arguments import bytes_text
from irkit.page.drawing import drawing
from irkit.page.facts import Drawing, Mark, MemoryPlan
from irkit.page.graph_svg import graph_svg
from irkit.page.markup import text
from irkit.page.memory_svg import memory_svg

LARGEST = 200
"""Boxes and tasks that are drawn; what comes after them is told in a word."""

Order = Mapping[str, int]


def graph_drawing(module: ModuleOp, name: str) -> str:
    """The graph of a module as SVG that stands alone; a large one is cut."""
    return _graph(drawing(module, lambda _: Mark()), name, {})[0]


def graph_html(module: ModuleOp, name: str) -> str:
    """The graph of a module as HTML."""
    return _html(name, *_graph(drawing(module, lambda _: Mark()), name, {}))


def program_html(module: ModuleOp, name: str, target: str, cc: str) -> str:
    """The graph, with the colours of the kernels that hold its ops, and the memory plan. The module is lowered."""
    from irkit.api import lower
    from irkit.page.marks import Marks, number_ops
    from irkit.page.memory import memory_plan

    marks = Marks()
    lower(module, "graph", target=target, cc=cc)
    number_ops(module)
    marks.see_graph(module)
    graph = drawing(module, lambda op: marks.read(op.location))
    lower(module, "kernel", target=target, cc=cc)
    marks.see_kernels(module)
    lower(module, "loop", target=target, cc=cc)
    plan = memory_plan(module, marks)
    order = {kernel: n for n, kernel in enumerate(marks.launches)}
    nodes = tuple(replace(n, mark=marks.with_kernels(n.mark)) for n in graph.nodes)
    return _html(name, *_graph(replace(graph, nodes=nodes), name, order), *_memory(plan, order))


def _graph(whole: Drawing, name: str, order: Order) -> tuple[str, str]:
    """The drawing, and a note where it is not the whole."""
    count = min(len(whole.nodes), LARGEST)
    edges = tuple(e for e in whole.edges if max(e.source, e.target) < count)
    shown = graph_svg(Drawing(whole.nodes[:count], edges), name, _no_mark, order)
    return _alone(shown), _cut(count, len(whole.nodes), "boxes")


def _memory(plan: MemoryPlan, order: Order) -> tuple[str, str, str]:
    count = min(len(plan.tasks), LARGEST)
    pieces = tuple(p for p in plan.pieces if p.end <= count)
    cut = MemoryPlan(plan.tasks[:count], pieces, plan.peak_bytes, plan.lower_bound_bytes, plan.scratch_bytes)
    sizes = f"{bytes_text(plan.peak_bytes)} at the peak, lower bound {bytes_text(plan.lower_bound_bytes)}"
    return (
        f"<p>Intermediates: {sizes}</p>",
        _alone(memory_svg(cut, _no_mark, order)),
        _cut(count, len(plan.tasks), "tasks"),
    )


def _no_mark(_: Mark) -> int:
    return 0


def _cut(shown: int, total: int, what: str) -> str:
    return "" if shown == total else f'<p class="note">The first {shown} of {total} {what}.</p>'


def _alone(svg: str) -> str:
    """An SVG of the page as one that needs nothing around it, and in which nothing is to be chosen."""
    style = files("irkit.page").joinpath("inline.css").read_text(encoding="utf-8")
    head, _, rest = svg.partition(">")
    head = head.replace('<svg class="', '<svg xmlns="http://www.w3.org/2000/svg" class="irkit ')
    return f"{head}><style>{style}</style>{rest}".replace(' data-g="0" role="button"', ' role="img"')


def _html(name: str, *parts: str) -> str:
    return f'<div class="irkit"><p><b>{text(name)}</b></p>{"".join(parts)}</div>'
