"""What tracing a function gives: the graph, the data of its parameters, and how arguments and results are nested."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.printer import Printer

from dialects.errors import IrkitError
from irkit.tracing.tree import Structure

if TYPE_CHECKING:
    from irkit.runtime.module import Program


@dataclass(frozen=True)
class Graph:
    """A traced function as a module at graph level. Its text is `.tg`; a notebook shows it as a drawing.

    `arrays` holds the data of captured arrays and parameters by name, `defaults` the sizes that dims with a range have
    unless told otherwise; `takes` and `gives` say how arguments and results are nested.
    """

    name: str
    module: ModuleOp
    arrays: Mapping[str, np.ndarray]
    defaults: Mapping[str, int]
    takes: Structure
    gives: Structure

    @property
    def func(self) -> FuncOp:
        return next(op for op in self.module.ops if isinstance(op, FuncOp))

    def __str__(self) -> str:
        return self.tg()

    def __repr__(self) -> str:
        ops = sum(1 for op in self.module.walk() if op.name.startswith("graph.") and op.name != "graph.yield")
        return f"<irkit graph {self.name} of {ops} ops>"

    # -- text ---------------------------------------------------------------------------------------------------

    def tg(self, weights: str | None = None) -> str:
        """The function in the language, derivatives as what computes them. Parameters with data load it from the file
        `weights`, NAME.safetensors by default; from a `.npz` beside it where that format lacks their dtype."""
        from irkit.lang.unparse import unparse
        from irkit.tracing.build import with_weights

        module = self.module if weights is None else with_weights(self.module, self.arrays, weights)
        return unparse(_without_derivatives(module), self.defaults)

    def mlir(self, locations: bool = False) -> str:
        """The IR as text; with locations, each op with the line of Python that made it."""
        out = StringIO()
        Printer(out, print_debuginfo=locations).print_op(self.module)
        return out.getvalue() + "\n"

    def save_tg(self, path: str | os.PathLike[str]) -> None:
        """Writes the `.tg` file, and the data of its parameters beside it as `.safetensors`, c128 as `.npz`: all or nothing.

        `irkit run` on the file gives the same numbers. Raises IrkitError.
        """
        from irkit.files import write_files
        from irkit.tracing.weights import weight_files

        target = Path(path)
        if target.suffix != ".tg":
            raise IrkitError(f"'{target}' is no .tg file", hint=f"write to {target.name}.tg")
        data = target.with_suffix(".safetensors").name
        files = weight_files(self.arrays, data)
        write_files(target.parent, {**files, target.name: self.tg(data).encode()})

    # -- running ------------------------------------------------------------------------------------------------

    def compile(self, target: str = "native", threads: int | None = None, cc: str | None = None) -> Program:
        """The program, as `irkit.compile` gives it, with the data of its parameters. Raises IrkitError or ErrorList."""
        from irkit.api import compile_text

        given = frozenset(self.arrays)
        program = compile_text(
            self.mlir(locations=True), f"{self.name}.mlir", None, None, target, threads, cc, given
        )
        program.set_params(dict(self.arrays))
        return program

    def interpret(self, *args: Any) -> list[np.ndarray]:
        """The results in NumPy, op by op, for inputs in their order: what the compiled program is held to."""
        from irkit.params import fill_all, wanted
        from lowering.graph.interpret import argument_names, run_graph

        others = fill_all(w for w in wanted(self.func) if w.name not in self.arrays)
        kept = {**self.arrays, **others}
        inputs = [n for n in argument_names(self.func) if n not in kept]
        given: dict[str, np.ndarray] = dict(zip(inputs, map(np.asarray, args), strict=True))
        return run_graph(self.func, {**kept, **given})

    # -- notebooks ----------------------------------------------------------------------------------------------

    def _repr_svg_(self) -> str:
        from irkit.page.inline import graph_drawing

        return graph_drawing(self.module, self.name)

    def _repr_html_(self) -> str:
        from irkit.page.inline import graph_html

        return graph_html(self.module, self.name)


def _without_derivatives(module: ModuleOp) -> ModuleOp:
    """The module with what computes its derivatives in their place, which the language has words for."""
    from irkit import pipeline
    from lowering.graph.differentiate import TRANSFORMS

    if not any(isinstance(op, TRANSFORMS) for op in module.walk()):
        return module
    other = module.clone()
    for name in pipeline.STAGES[0][1]:
        pipeline.make_pass(name).apply(Context(), other)
    return other
