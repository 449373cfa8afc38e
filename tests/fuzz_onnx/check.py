"""Models through irkit's reference and through compiled C, many of them in one file, held to what they should give."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx

from dialects.errors import ErrorList, IrkitError
from irkit.onnx import from_onnx
from irkit.onnx.backend import source_of
from irkit.onnx.faults import NeedsValue
from irkit.tracing.graph import Graph
from tests.from_onnx import batches
from tests.fuzz_onnx.expected import Expected, difference, expect
from tests.fuzz_onnx.runners import Runner

SECOND_LOOK = 40
"""Runs with noise before a difference counts as wrong."""


@dataclass(frozen=True)
class Sample:
    """A model with inputs for it, and the ranges of the dims that it leaves open."""

    name: str
    model: onnx.ModelProto
    inputs: dict[str, np.ndarray]
    dims: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def opened(self) -> dict[str, tuple[int, int]]:
        """The ranges of the dims that its inputs have."""
        dims = (d for i in self.model.graph.input for d in i.type.tensor_type.shape.dim)
        return {d.dim_param: self.dims[d.dim_param] for d in dims if d.dim_param in self.dims}

    def ops(self) -> Iterator[str]:
        return (node.op_type for node in self.model.graph.node)


@dataclass(frozen=True)
class Outcome:
    """What became of a sample: `passed`, `refused` by irkit, `unknown` to the other side, or `wrong`; and why."""

    kind: str
    reason: str = ""
    output: str = ""
    """The result that is wrong."""
    open: Sequence[str] = ()
    """For each result that was not compared, why ONNX leaves it open."""


@dataclass(frozen=True)
class Ready:
    """A sample that was imported, and what it should give."""

    sample: Sample
    graph: Graph
    expected: Expected
    inputs: list[np.ndarray]


def ready(sample: Sample, run: Runner) -> Ready | Outcome:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = expect(sample.model, sample.inputs, run)
    except Exception as fault:  # whatever the other side raises for what it lacks
        return Outcome("unknown", f"{type(fault).__name__}: {' '.join(str(fault).split())[:200]}")
    try:
        graph, known = _imported(sample)
    except (IrkitError, ErrorList) as fault:
        errors = fault.errors if isinstance(fault, ErrorList) else [fault]
        crashed = any("cannot be imported" in e.message and e.found for e in errors)
        text = "; ".join(f"{e.message} {e.found or ''}" for e in errors)
        return Outcome("wrong" if crashed else "refused", re.sub(r"node (\d+|'[^']*') ", "", text))
    except Exception as fault:
        return Outcome("wrong", f"importing raises {type(fault).__name__}: {fault}")
    return Ready(sample, graph, expected, [a for n, a in sample.inputs.items() if n not in known])


def _imported(sample: Sample) -> tuple[Graph, Mapping[str, np.ndarray]]:
    known: dict[str, np.ndarray] = {}
    while True:
        try:
            return from_onnx(sample.model, dims=sample.opened(), known=known), known
        except (NeedsValue, ErrorList) as fault:
            sources = {s for s in map(source_of, getattr(fault, "errors", [fault])) if s is not None}
            if not sources - known.keys():
                raise
            known |= {s: sample.inputs[s] for s in sources}


def check(samples: Sequence[Sample], run: Runner, level: str | None = "-O1") -> list[Outcome]:
    """What becomes of each sample; without a level of the C compiler, by the reference alone."""
    found: dict[int, Outcome] = {}
    good: dict[int, Ready] = {}
    for number, sample in enumerate(samples):
        one = ready(sample, run)
        if isinstance(one, Outcome):
            found[number] = one
        else:
            good[number] = one
    numbers = list(good)
    compiled = _compiled([good[n] for n in numbers], level) if level else [None] * len(numbers)
    for number, results in zip(numbers, compiled, strict=True):
        found[number] = _judged(good[number], results, run)
    return [found[n] for n in range(len(samples))]


def _compiled(group: Sequence[Ready], level: str) -> list[list[np.ndarray] | str]:
    """The results of each by compiled C, or what went wrong."""
    if not group:
        return []
    try:
        return list(batches.results([r.graph for r in group], [r.inputs for r in group], level))
    except Exception as fault:
        if len(group) == 1:
            return [f"compiling raises {type(fault).__name__}: {' '.join(str(fault).split())[:300]}"]
        half = len(group) // 2
        return [*_compiled(group[:half], level), *_compiled(group[half:], level)]


def _interpreted(one: Ready) -> list[np.ndarray] | str:
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return one.graph.interpret(*one.inputs)
    except Exception as fault:
        return f"the reference raises {type(fault).__name__}: {fault}"


def _judged(one: Ready, compiled: list[np.ndarray] | str | None, run: Runner) -> Outcome:
    """The first fault of the reference or of compiled C; differences that more noise explains are none."""
    names = list(one.expected.plain)
    faults: dict[str, str] = {}
    both = {"the reference": _interpreted(one)} | ({} if compiled is None else {"C": compiled})
    for results in both.values():
        if isinstance(results, str):
            return Outcome("wrong", results, names[0])
    for what, results in both.items():
        faults = _faults(what, results, one.expected) | faults
    if faults:
        more = expect(one.sample.model, one.sample.inputs, run, SECOND_LOOK)
        faults = {}
        for what, results in both.items():
            faults = _faults(what, results, more) | faults
    if faults:
        output, reason = next(iter(faults.items()))
        return Outcome("wrong", reason, output)
    return Outcome("passed", open=[why for n, why in one.expected.open.items() if n in names])


def _faults(what: str, results: Sequence[np.ndarray] | str, expected: Expected) -> dict[str, str]:
    """By result, what is wrong with it."""
    found = {
        n: difference(a, n, expected)
        for n, a in zip(expected.plain, results, strict=True)
        if n not in expected.open
    }
    return {n: f"{what} gives {why} in '{n}'" for n, why in found.items() if why}


Checker = Callable[[Sample], Outcome]


def checker(run: Runner, level: str | None = "-O1") -> Checker:
    """What checks one sample."""
    return lambda sample: check([sample], run, level)[0]
