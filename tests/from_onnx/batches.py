"""Test cases of the `onnx` package, many of them in one C file: imported, merged into one function, compiled, compared."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import lru_cache

import numpy as np
import onnx
from onnx.backend.test.loader import load_model_tests
from onnx.backend.test.runner import Runner
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Region

from dialects.errors import ErrorList, IrkitError
from dialects.syntax import SymbolsAttr
from irkit import pipeline
from irkit.onnx.backend import named, specialised
from irkit.onnx.nested import taken_apart
from irkit.runtime import cache
from irkit.runtime.compiler import find_compiler
from irkit.runtime.module import Program
from irkit.tracing.graph import Graph
from irkit.tracing.tree import unflatten
from lowering.c.emit import emit_program
from lowering.target import get_target

SUITES = ("node", "simple", "pytorch-converted", "pytorch-operator")
SIZE = 24
"""Cases in one C file."""

RANDOM = "test_bernoulli*"
DROPPED = "test_training_dropout*"
"""Cases whose numbers are NumPy's random ones, which no other generator gives: of these the types are compared, and of
a dropout what both keep."""


@dataclass(frozen=True)
class Case:
    """A model with inputs and the outputs that they give."""

    name: str
    model: onnx.ModelProto
    inputs: list
    outputs: list
    rtol: float
    atol: float


@dataclass(frozen=True)
class Outcome:
    """What became of a case: passed, refused with the reason, or wrong with what differs."""

    name: str
    kind: str
    reason: str = ""


@lru_cache
def tests(suite: str) -> list:
    """The cases of a suite, unread, in the order of their names."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return sorted(load_model_tests(kind=suite), key=lambda t: t.name)


def groups(names: Sequence[str]) -> list[Sequence[str]]:
    """As many names as go into one file, and so on."""
    return [names[i : i + SIZE] for i in range(0, len(names), SIZE)]


def cases(suite: str, names: Sequence[str] | None = None) -> Iterator[Case]:
    for test in tests(suite):
        if names is not None and test.name not in names:
            continue
        if test.model is not None:  # of nodes: the model and its data are in memory
            for inputs, outputs in test.data_sets[:1]:
                arrays = [[_array(v) for v in values] for values in (inputs, outputs)]
                yield Case(test.name, test.model, *arrays, test.rtol, test.atol)
            continue
        model = onnx.load(os.path.join(test.model_dir, "model.onnx"))
        folder = os.path.join(test.model_dir, "test_data_set_0")
        if not os.path.isdir(folder):
            continue
        types = [i.type for i in model.graph.input], [o.type for o in model.graph.output]
        data = [
            [_read(os.path.join(folder, f"{what}_{n}.pb"), kind) for n, kind in enumerate(kinds)]
            for what, kinds in zip(("input", "output"), types, strict=True)
        ]
        yield Case(test.name, model, data[0], data[1], test.rtol, test.atol)


def _array(value: object) -> object:
    """What has no dtype in NumPy stands in a case as ONNX stores it."""
    return onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value


def _read(path: str, kind: onnx.TypeProto) -> object:
    if not os.path.exists(path) or kind.WhichOneof("value") != "tensor_type":
        return None
    proto = onnx.TensorProto()
    with open(path, "rb") as file:
        proto.ParseFromString(file.read())
    return onnx.numpy_helper.to_array(proto)


@dataclass
class Imported:
    case: Case
    graph: Graph
    known: frozenset[str]

    def arrays(self) -> list[np.ndarray]:
        """What the function is called with."""
        given = taken_apart(named(self.case.model, self.case.inputs))
        return [a for n, a in given.items() if n not in self.known]


def imported(case: Case) -> Imported | Outcome:
    try:
        return Imported(case, *specialised(case.model, named(case.model, case.inputs)))
    except (IrkitError, ErrorList) as fault:
        errors = fault.errors if isinstance(fault, ErrorList) else [fault]
        return Outcome(case.name, "refused", "; ".join(e.message for e in errors))


def run(group: Sequence[Case], level: str = "-O1") -> list[Outcome]:
    """What becomes of some cases, compiled as one file; one by one where the whole has a fault."""
    ready = [imported(case) for case in group]
    good = [r for r in ready if isinstance(r, Imported)]
    outcomes = {r.name: r for r in ready if isinstance(r, Outcome)}
    for outcome in _together(good, level):
        outcomes[outcome.name] = outcome
    return [outcomes[case.name] for case in group]


def _together(good: Sequence[Imported], level: str) -> list[Outcome]:
    if not good:
        return []
    try:
        found = results([one.graph for one in good], [one.arrays() for one in good], level)
    except Exception as fault:
        if len(good) > 1:
            half = len(good) // 2
            return [*_together(good[:half], level), *_together(good[half:], level)]
        kind = "refused" if isinstance(fault, IrkitError | ErrorList) else "wrong"
        return [Outcome(good[0].case.name, kind, f"{type(fault).__name__}: {fault}")]
    return [_compared(one.case, its) for one, its in zip(good, found, strict=True)]


def results(
    graphs: Sequence[Graph], inputs: Sequence[Sequence[np.ndarray]], level: str
) -> list[list[np.ndarray]]:
    """The results of each graph for its inputs, in one program."""
    compiler = find_compiler(None)
    machine = get_target("native", compiler.name)
    module = merged(graphs)
    pipeline.run_passes(
        module, pipeline.passes_to("graph", "buffer", "native", compiler.name), pipeline.context()
    )
    spec = emit_program(module, machine, "batch")
    flags = tuple(level if f.startswith("-O") else f for f in machine.cflags)
    program = Program(spec, cache.library(spec, compiler, flags), None, 1)
    program.set_params(
        {f"w{k}_{name}": array for k, graph in enumerate(graphs) for name, array in graph.arrays.items()}
    )
    found = program(*(a for given in inputs for a in given))
    queue = iter(found if isinstance(found, tuple) else (found,))
    flat = [[next(queue) for _ in graph.func.function_type.outputs] for graph in graphs]
    return [list(unflatten(graph.gives, own)) for graph, own in zip(graphs, flat, strict=True)]


def merged(graphs: Sequence[Graph]) -> ModuleOp:
    """One function that does what all of them do; their arguments and results stand after each other.

    Parameter w of graph number 3 is w3_w. A dim that graphs leave open has one range in all of them.
    """
    block = Block()
    results, facts, symbols = [], [], {}
    for number, graph in enumerate(graphs):
        func = graph.func.clone()
        body = func.body.block
        assert func.arg_attrs is not None
        for arg, own in zip(body.args, func.arg_attrs.data, strict=True):
            new = block.insert_arg(arg.type, len(block.args))
            arg.replace_all_uses_with(new)
            name = own.data["graph.name"]
            assert isinstance(name, StringAttr)
            prefix = f"w{number}" if name.data in graph.arrays else f"a{number}"
            facts.append(
                DictionaryAttr(
                    {"graph.name": StringAttr(f"{prefix}_{name.data}"), "graph.kind": own.data["graph.kind"]}
                )
            )
        if isinstance(found := func.attributes.get("graph.symbols"), SymbolsAttr):
            symbols |= {symbol[0]: symbol for symbol in found.data}
        last = body.last_op
        assert isinstance(last, ReturnOp)
        results += last.operands
        for op in list(body.ops):
            op.detach()
            if op is last:
                op.erase()
            else:
                block.add_op(op)
    block.add_op(ReturnOp(*results))
    names = [DictionaryAttr({"graph.name": StringAttr(f"r{n}")}) for n in range(len(results))]
    kind = ([a.type for a in block.args], [v.type for v in results])
    func = FuncOp("batch", kind, Region(block), arg_attrs=ArrayAttr(facts), res_attrs=ArrayAttr(names))
    if symbols:
        func.attributes["graph.symbols"] = SymbolsAttr(tuple(symbols.values()))
    return ModuleOp([func])


def _compared(case: Case, found: Sequence[np.ndarray]) -> Outcome:
    """By the rule of the `onnx` package: the same shape and dtype, and numbers within its tolerance.

    Expected results were rounded too, some in each step of a formula: they may err by two roundings of their greatest.
    """
    if fnmatch(case.name, RANDOM):
        right = all(
            len(np.unique(a)) <= 2 and a.shape == b.shape and a.dtype == b.dtype
            for a, b in zip(found, case.outputs, strict=True)
        )
        return Outcome(case.name, "passed" if right else "wrong", "" if right else "another type")
    if fnmatch(case.name, DROPPED) and "zero_ratio" not in case.name:
        fault = _dropped_fault(case, found)
        return Outcome(case.name, "wrong" if fault else "passed", fault)
    if list(map(_count, case.outputs)) != list(map(_count, found)):
        return Outcome(case.name, "wrong", "another number of elements in a sequence")
    expected, given = _leaves(case.outputs), _leaves(found)
    atol = max([case.atol, *map(_rounding, expected)])
    try:
        with np.errstate(all="ignore"):
            Runner.assert_similar_outputs(expected, given, rtol=case.rtol, atol=atol, model_dir=None)
    except AssertionError as fault:
        lines = [line for line in str(fault).splitlines() if line.strip()]
        return Outcome(case.name, "wrong", " | ".join(lines[:8]))
    return Outcome(case.name, "passed")


def _dropped_fault(case: Case, found: Sequence[np.ndarray]) -> str:
    """What is wrong with a dropout: other types, elements that are kept otherwise, or not the part that the case says."""
    x, ratio = case.inputs[0], float(case.inputs[1])
    y, expected = found[0], case.outputs[0]
    if any(a.shape != b.shape or a.dtype != b.dtype for a, b in zip(found, case.outputs, strict=True)):
        return "another type"
    kept = y != 0
    if len(found) > 1 and not np.array_equal(kept, found[1]):
        return "another mask than elements"
    if not np.allclose(y[kept], (x / (1 - ratio))[kept], rtol=case.rtol, atol=case.atol):
        return "other elements"
    both = kept & (expected != 0)
    if not both.any() or not np.allclose(y[both], expected[both], rtol=case.rtol, atol=case.atol):
        return "other elements than are expected"
    return "" if abs(kept.mean() - (1 - ratio)) < 0.25 else f"{kept.mean():.0%} are kept"


def _count(output: object) -> int | None:
    """How many elements a sequence has; None for a tensor."""
    return len(output) if isinstance(output, list) else None


def _leaves(outputs: Sequence[object]) -> list:
    """Tensors, those of sequences too."""
    return [leaf for one in outputs for leaf in (one if isinstance(one, list) else [one])]


def _rounding(expected: object) -> float:
    """Two roundings of the greatest number of an expected result of floats."""
    if not isinstance(expected, np.ndarray) or expected.dtype.name not in ("float16", "float32", "float64"):
        return 0.0
    sizes = np.abs(expected[np.isfinite(expected)]).astype(float)
    return 2 * float(np.finfo(expected.dtype).eps) * float(sizes.max(initial=0.0))
