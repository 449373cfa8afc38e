"""Every value that a run materialises, and the first that differs from the NumPy reference.

The program is compiled a second time, with the output of every kernel as a result, so that no array is overwritten; the
kernels are the same. The reference runs the graph ops inside each kernel by themselves. Results are held to the graph as
the source states it too, before any pass.

Kernels inside loops run many times and their outputs are not kept; what a loop leaves is.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, FunctionType, ModuleOp, StringAttr, TensorType
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation, SSAValue

from dialects.errors import IrkitError
from dialects.graph import ForOp
from dialects.kernel import GroupOp, LaunchOp, YieldOp
from dialects.types import dtype_name
from irkit.api import tuned_folder
from irkit.checking import compare, slacks
from irkit.collector import paused
from irkit.files import write_files
from irkit.profiling import origin_of
from irkit.runtime import cache
from irkit.runtime.compiler import Compiler, find_compiler
from irkit.runtime.module import Call, Origin, Program
from lowering.c.emit import emit_program
from lowering.c.record import SourceLine, source_lines, sources_text
from lowering.graph.interpret import run_graph
from lowering.target import get_target


@dataclass(frozen=True)
class Intermediate:
    """A value that a kernel or a loop leaves: `kernel` is empty for a loop, `difference` where it agrees."""

    name: str
    kernel: str
    dtype: str
    sources: tuple[SourceLine, ...]
    array: np.ndarray
    difference: str = ""


@dataclass(frozen=True)
class SkippedLoop:
    """A loop with so many kernels, whose outputs are not kept."""

    sources: tuple[SourceLine, ...]
    kernels: int


@dataclass(frozen=True)
class Intermediates:
    """The values in the order in which the program makes them, and the results that differ from the source's graph."""

    values: tuple[Intermediate, ...]
    loops: tuple[SkippedLoop, ...]
    results: tuple[Intermediate, ...]

    @property
    def first_difference(self) -> Intermediate | None:
        """The first value that is further from the reference than rounding explains."""
        return next((v for v in (*self.values, *self.results) if v.difference), None)

    def lines(self) -> list[str]:
        """What a user reads: what is missing, and where the numbers go wrong."""
        lines = [
            f"the loop at {sources_text(loop.sources[:1]) or 'no known line'} runs its"
            f" {'kernel' if loop.kernels == 1 else f'{loop.kernels} kernels'} many times:"
            " what it leaves is dumped, what comes before that is not"
            for loop in self.loops
        ]
        wrong = self.first_difference
        if wrong is None:
            lines.append(f"all {len(self.values)} intermediates agree with the reference")
        else:
            where = sources_text(wrong.sources)
            of = f" of kernel {wrong.kernel}" if wrong.kernel else ""
            lines.append(
                f"first divergence: '{wrong.name}'{of}{f' at {where}' if where else ''}: {wrong.difference}"
            )
        return lines


def intermediates(call: Call) -> Intermediates:
    """Runs a prepared call with every kernel output kept, and compares. Raises IrkitError."""
    origin = origin_of(call.program)
    compiler = find_compiler(origin.cc)
    with paused():
        module, func = _read(origin)
        sizes, arrays = call.symbols, call.arrays
        stated = run_graph(func, arrays, sizes)
        slack = slacks(func, arrays, sizes, stated)
        count = len(stated)
        _run_to(module, origin, compiler, "graph-fuse")
        makers = _makers(func)
        loops = _loops(func)
        lowered = module.clone()
        _run_after(lowered, origin, compiler, "graph-fuse", "kernel-schedule")
        names = _keep(func, makers)
        _keep(_function(lowered), _makers(_function(lowered)))
        _run_after(lowered, origin, compiler, "kernel-schedule", None)
    found = _run_c(lowered, origin, compiler, call)
    expected = run_graph(func, arrays, sizes)
    allowed = slacks(func, arrays, sizes, expected)
    values: list[Intermediate] = []
    returned = list(_returned(func))
    for value in (r for maker in makers for r in maker.results):
        i = returned.index(value)
        difference = _difference(func, found[i], expected[i], allowed[i])
        values.append(_intermediate(names[i], value, found[i], difference))
    results: list[Intermediate] = []
    for i in range(count):
        difference = _difference(func, found[i], stated[i], slack[i])
        if difference:
            difference += ", by the graph before any pass"
            results.append(_intermediate(names[i], returned[i], found[i], difference))
    return Intermediates(tuple(values), loops, tuple(results))


def write_intermediates(folder: Path, report: Intermediates) -> None:
    """Writes each value to NAME.npy, and what they are to index.json. Raises IrkitError.

    NumPy reads a dtype of its own back; others, such as bf16, come back as raw bytes, and the index tells what they are.
    """
    files: dict[str, bytes] = {}
    index: list[dict[str, object]] = []
    for value in report.values:
        content = io.BytesIO()
        np.save(content, value.array)
        files[f"{value.name}.npy"] = content.getvalue()
        index.append(
            {
                "name": value.name,
                "file": f"{value.name}.npy",
                "shape": list(value.array.shape),
                "dtype": value.dtype,
                "kernel": value.kernel,
                "source": [str(s) for s in value.sources],
                "agrees": not value.difference,
            }
        )
    files["index.json"] = (json.dumps(index, indent=1) + "\n").encode()
    write_files(folder, files)


# -- the two programs -----------------------------------------------------------------------------------------


def _read(origin: Origin) -> tuple[ModuleOp, FuncOp]:
    from irkit import api, pipeline

    module = api.graph_of(origin.text, origin.name, origin.fn, origin.dims)
    if pipeline.level_of(module) != "graph":
        raise IrkitError("intermediates need a program at the graph level", found=pipeline.level_of(module))
    return module, _function(module)


def _function(module: ModuleOp) -> FuncOp:
    return next(op for op in module.ops if isinstance(op, FuncOp))


def _run_to(module: ModuleOp, origin: Origin, compiler: Compiler, last: str) -> None:
    _run_after(module, origin, compiler, None, last)


def _run_after(
    module: ModuleOp, origin: Origin, compiler: Compiler, first: str | None, last: str | None
) -> None:
    """Runs the standard passes after one and up to another; None is the start or the end."""
    from irkit import pipeline

    folder = tuned_folder(origin.target, compiler.name) if origin.tuned else ""
    passes = pipeline.passes_to("graph", "buffer", origin.target, compiler.name, folder, origin.fast_math)
    names = [p.name for p in passes]
    start = 0 if first is None else names.index(first) + 1
    stop = len(names) if last is None else names.index(last) + 1
    pipeline.run_passes(module, passes[start:stop], pipeline.context())


def _makers(func: FuncOp) -> list[Operation]:
    """The ops of a function, outside of loops, that leave values in memory: groups or launches, and loops."""
    return [op for op in func.body.block.ops if isinstance(op, GroupOp | LaunchOp | ForOp)]


def _loops(func: FuncOp) -> tuple[SkippedLoop, ...]:
    loops = [op for op in func.body.block.ops if isinstance(op, ForOp)]
    counts = [sum(isinstance(inner, GroupOp) for inner in loop.walk()) for loop in loops]
    return tuple(SkippedLoop(source_lines(o), n) for o, n in zip(loops, counts, strict=True) if n)


def _returned(func: FuncOp) -> Sequence[SSAValue]:
    last = func.body.block.last_op
    assert last is not None
    return last.operands


def _keep(func: FuncOp, makers: Sequence[Operation]) -> list[str]:
    """Makes every value of the makers a result; returns the names of all results."""
    last = func.body.block.last_op
    assert last is not None
    values = list(last.operands)
    facts = (
        [dict(a.data) for a in func.res_attrs.data] if func.res_attrs is not None else [{} for _ in values]
    )
    arguments = func.arg_attrs.data if func.arg_attrs is not None else ()
    taken = {n.data for a in arguments if isinstance(n := a.data.get("graph.name"), StringAttr)}
    names: list[str] = []
    for number, fact in enumerate(facts):
        given = fact.get("graph.name")
        names.append(_unused(given.data if isinstance(given, StringAttr) else f"result_{number}", taken))
    for maker in makers:
        for value in maker.results:
            if value not in values:
                values.append(value)
                names.append(_unused(value.name_hint or _title(maker), taken))
                facts.append({})
    for fact, name in zip(facts, names, strict=True):
        fact["graph.name"] = StringAttr(name)
    last.operands = values
    func.properties["res_attrs"] = ArrayAttr([DictionaryAttr(f) for f in facts])
    inputs = [a.type for a in func.body.block.args]
    func.properties["function_type"] = FunctionType.from_lists(inputs, [v.type for v in values])
    return names


def _unused(name: str, taken: set[str]) -> str:
    base = re.sub(r"\W", "_", name, flags=re.ASCII)
    found, count = base, 0
    while found in taken:
        count += 1
        found = f"{base}_{count}"
    taken.add(found)
    return found


def _title(maker: Operation) -> str:
    return maker.title.data if isinstance(maker, GroupOp) else "value"


def _run_c(module: ModuleOp, origin: Origin, compiler: Compiler, call: Call) -> Sequence[np.ndarray]:
    target = get_target(origin.target, compiler.name)
    spec = emit_program(module, target, call.program.name)
    library = cache.library(spec, compiler, tuple(target.cflags))
    updated = {a.name for a in spec.args if a.updated is not None}
    arrays = {n: a.copy() if n in updated else a for n, a in call.arrays.items()}
    again = Program(spec, library, None, call.program.threads).prepare(**arrays)
    again.run()
    return again.all_results()


# -- comparing ------------------------------------------------------------------------------------------------


def _difference(func: FuncOp, found: np.ndarray, expected: np.ndarray, slack: float) -> str:
    """How an array differs from the reference by more than rounding; empty where it does not."""
    try:
        compare("", func, found, expected, slack)
    except IrkitError as fault:
        return f"{fault.found}, expected {fault.expected}"
    return ""


def _intermediate(name: str, value: SSAValue, array: np.ndarray, difference: str) -> Intermediate:
    maker, type_ = value.owner, value.type
    assert isinstance(type_, TensorType)
    kernel = maker.title.data if isinstance(maker, GroupOp) else ""
    sources = _sources(maker, value) if isinstance(maker, Operation) else ()
    return Intermediate(name, kernel, dtype_name(type_.element_type), sources, array, difference)


def _sources(maker: Operation, value: SSAValue) -> tuple[SourceLine, ...]:
    """Where a value stands in the source: the op of the group that yields it, or all that the group stands for."""
    if isinstance(maker, GroupOp) and isinstance(last := maker.body.block.last_op, YieldOp):
        made = last.operands[[*maker.results].index(value)].owner  # pyright: ignore[reportArgumentType]
        if isinstance(made, Operation) and (found := source_lines(made)):
            return found
    return source_lines(maker)
