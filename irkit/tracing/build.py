"""From a trace to a function: the arguments with their facts, the results with their names, names for values."""

from __future__ import annotations

import linecache
import re
import shlex
from collections.abc import Mapping, Sequence

import numpy as np
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, FileLineColLoc, ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Region, SSAValue

from dialects import graph
from dialects.errors import Loc
from dialects.syntax import SymbolsAttr
from irkit.lang.program import used_symbols
from irkit.lang.unparse.text import is_name
from irkit.tracing.errors import full_name
from irkit.tracing.state import Parameter, Trace
from irkit.tracing.weights import file_of

_ASSIGNED = re.compile(r"\s*([A-Za-z_]\w*)\s*(?::[^=]*)?=(?!=)")


def build(trace: Trace, name: str, results: Sequence[tuple[str, SSAValue]], loc: Loc) -> ModuleOp:
    """The module of a function whose body has been traced; results come with the names that they would have."""
    name_values(trace.entry)
    trace.builder.add(ReturnOp(*(v for _, v in results)), loc)
    arg_attrs = [_facts(n, "input", None) for n in trace.inputs]
    arg_attrs += [_facts(n, "param", _source(n, p, name), p.loc) for n, p in trace.params.items()]
    names = _result_names(results, trace.inputs.keys() | trace.params.keys())
    func = FuncOp(
        name,
        ([a.type for a in trace.entry.args], [v.type for _, v in results]),
        Region(trace.entry),
        arg_attrs=ArrayAttr(arg_attrs),
        res_attrs=ArrayAttr([DictionaryAttr({"graph.name": StringAttr(n)}) for n in names]),
    )
    if symbols := used_symbols(func, {n: (low, high) for n, (_, low, high) in trace.ranges.items()}):
        func.attributes["graph.symbols"] = SymbolsAttr(symbols)
    func.location = loc.attr()
    module = ModuleOp([func])
    module.location = loc.attr()
    return module


def _facts(name: str, kind: str, source: str | None, loc: Loc | None = None) -> DictionaryAttr:
    facts: dict[str, Attribute] = {"graph.name": StringAttr(name), "graph.kind": StringAttr(kind)}
    if source is not None and loc is not None:
        facts |= {"graph.source": StringAttr(source), "graph.loc": loc.attr()}
    return DictionaryAttr(facts)


def _source(name: str, param: Parameter, function: str) -> str:
    if param.source is not None:
        return param.source
    file = f"{function}.safetensors"
    return load_source(file if param.array is None else file_of(param.array, file), name)


def load_source(file: str, name: str) -> str:
    return f"load {shlex.quote(file)} {shlex.quote(name)}"


def _result_names(results: Sequence[tuple[str, SSAValue]], taken: set[str]) -> list[str]:
    """A name for each result: the one that it has, else that of its value, else out, out0, out1, ..."""
    names: list[str] = []
    for n, (wanted, value) in enumerate(results):
        others = [f"out{k}" for k in range(n, n + len(taken) + len(results) + 1)]
        first = ["out"] if len(results) == 1 else []
        options = [wanted, value.name_hint, *first, *others]
        names.append(next(o for o in options if o and is_name(o) and o not in taken and o not in names))
    return names


def with_weights(module: ModuleOp, arrays: Mapping[str, np.ndarray], file: str) -> ModuleOp:
    """The module with other places for the data of its parameters."""
    other = module.clone()
    for func in other.ops:
        assert isinstance(func, FuncOp) and func.arg_attrs is not None
        facts = [dict(a.data) for a in func.arg_attrs.data]
        for fact in facts:
            name = fact["graph.name"]
            if isinstance(name, StringAttr) and name.data in arrays:
                fact["graph.source"] = StringAttr(load_source(file_of(arrays[name.data], file), name.data))
        func.arg_attrs = ArrayAttr(map(DictionaryAttr, facts))
    return other


def name_values(block: Block) -> None:
    """Gives the last value of each line of Python the name that the line assigns: `h = np.exp(x)` names h."""
    ops = [op for op in block.ops if op is not block.last_op or isinstance(op, graph.GraphOp)]
    lines = [_line_of(op.location) for op in ops]
    for op, line, after in zip(ops, lines, [*lines[1:], None], strict=False):
        for region in op.regions:
            if isinstance(op, graph.ForOp | graph.IfOp | graph.VjpOp | graph.JvpOp | graph.VmapOp):
                name_values(region.block)
        if line is None or line == after or len(op.results) != 1 or op.results[0].name_hint is not None:
            continue
        found = _ASSIGNED.match(linecache.getline(*line))
        if found:
            op.results[0].name_hint = found[1]


def _line_of(location: object) -> tuple[str, int] | None:
    if not isinstance(location, FileLineColLoc):
        return None
    return full_name(location.filename.data), location.line.data
