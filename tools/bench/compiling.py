"""Timing of the compiler itself: `.tg` text through every pass to C text, step by step."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

from irkit import pipeline
from irkit.collector import paused
from irkit.lang import parse, to_graph
from lowering.c.emit import emit_c
from lowering.target import get_target


@dataclass(frozen=True)
class Compiled:
    """What compiling gave: the seconds of each step, the number of graph ops, of kernels, and the text."""

    seconds: dict[str, float]
    graph_ops: int
    kernels: int
    c_text: str

    @property
    def total(self) -> float:
        return sum(self.seconds.values())


def compile_to_c(text: str, dims: dict[str, int] | None = None) -> Compiled:
    """Compiles a program by the standard pipeline, as `irkit.compile` does. Raises IrkitError."""
    with paused():
        return _compile_to_c(text, dims)


def _compile_to_c(text: str, dims: dict[str, int] | None) -> Compiled:
    seconds: dict[str, float] = {}
    clock = perf_counter()

    def lap(step: str) -> None:
        nonlocal clock
        now = perf_counter()
        seconds[step], clock = now - clock, now

    tree = parse(text, "bench.tg")
    lap("parse")
    module = to_graph(tree, dims=dims)
    lap("to-graph")
    graph_ops = sum(op.name.startswith("graph.") for op in module.walk())
    ctx = pipeline.context()
    kernels = 0
    clock = perf_counter()
    for step in pipeline.passes_to("graph", "c"):
        pipeline.run_passes(module, [step], ctx)
        lap(step.name)
        if step.name == "graph-outline":
            kernels = sum(op.name == "kernel.def" for op in module.ops)
            clock = perf_counter()
    c_text = emit_c(module, get_target("native", "gcc"))
    lap("emit")
    return Compiled(seconds, graph_ops, kernels, c_text)
