"""Compiles many calls of graph ops as one C program and compares each with the op's NumPy reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import ml_dtypes
import numpy as np
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Region

from dialects.errors import IrkitError, Loc
from dialects.graph import make
from dialects.graph.base import _ELEMENTS
from dialects.types import AnyTensor, tensor
from irkit import pipeline
from irkit.runtime import cache
from irkit.runtime.compiler import find_compiler
from irkit.runtime.module import Program
from lowering.c.abi import ProgramSpec
from lowering.c.emit import emit_program
from lowering.target import get_target


@dataclass
class Call:
    """One op on arrays: types may hold symbolic dims, else they come from the arrays."""

    name: str
    arrays: Sequence[np.ndarray]
    values: dict[str, object] = field(default_factory=dict)
    types: Sequence[AnyTensor] = ()
    result: int = 0
    """The result that is compared, of an op that has several."""

    def operand_types(self) -> list[AnyTensor]:
        return list(self.types) or [tensor(_ELEMENTS[a.dtype], a.shape) for a in self.arrays]

    def reference(self, arrays: Sequence[np.ndarray] | None = None) -> np.ndarray:
        """The result of the op's NumPy reference, on other arrays than its own if given."""
        arrays = self.arrays if arrays is None else arrays
        types = [tensor(_ELEMENTS[a.dtype], a.shape) for a in arrays]
        block = Block(arg_types=types)
        op = make(self.name, list(block.args), self.values)
        return op.run(list(arrays))[self.result]

    def __str__(self) -> str:
        shapes = ", ".join(f"{a.dtype}{list(a.shape)}" for a in self.arrays)
        return f"{self.name}({shapes}, {self.values})"


def built(
    module: ModuleOp, cc: str | None = None, target: str = "native", start: str = "graph"
) -> tuple[ProgramSpec, Path]:
    """A module of graph level, or of another, through all passes and a compiler. The module is consumed."""
    compiler = find_compiler(cc)
    machine = get_target(target, compiler.name)
    passes = pipeline.passes_to(start, "buffer", target, compiler.name)
    pipeline.run_passes(module, passes, pipeline.context())
    spec = emit_program(module, machine, "batch")
    return spec, cache.library(spec, compiler, tuple(machine.cflags))


def program_of(module: ModuleOp, cc: str | None = None, threads: int = 1, target: str = "native") -> Program:
    """A module of graph level as a callable. The module is consumed."""
    return Program(*built(module, cc, target), None, threads)


def module_of(calls: Sequence[Call]) -> ModuleOp:
    """A function whose results are those of independent calls."""
    types = [call.operand_types() for call in calls]
    block = Block(arg_types=[t for each in types for t in each])
    args = iter(block.args)
    results = []
    for line, (call, each) in enumerate(zip(calls, types, strict=True), 1):
        op = make(call.name, [next(args) for _ in each], call.values, Loc("calls.tg", line, 1))
        block.add_op(op)
        results.append(op.results[call.result])
    last = ReturnOp(*results)
    block.add_op(last)
    func = FuncOp("main", ([a.type for a in block.args], [r.type for r in results]), Region(block))
    func.arg_attrs = named("x", len(block.args))
    func.res_attrs = named("y", len(results))
    func.location = last.location = Loc("calls.tg", 1, 1).attr()
    module = ModuleOp([func])
    module.location = func.location
    return module


def named(letter: str, count: int) -> ArrayAttr[DictionaryAttr]:
    """Names for arguments or results: x0, x1, ..."""
    return ArrayAttr([DictionaryAttr({"graph.name": StringAttr(f"{letter}{i}")}) for i in range(count)])


def run_all(calls: Sequence[Call], cc: str | None = None, threads: int = 1) -> list[np.ndarray]:
    """The results of calls, compiled as one program."""
    program = program_of(module_of(calls), cc, threads)
    results = program(*[a for call in calls for a in call.arrays])
    return list(results) if isinstance(results, tuple) else [results]


def check_all(calls: Sequence[Call], cc: str | None = None, threads: int = 1, ulps: float = 4) -> None:
    """Every call's C result against its reference; all that differ are reported together."""
    faults = []
    for call, found in zip(calls, run_all(calls, cc, threads), strict=True):
        try:
            check(call, found, ulps)
        except AssertionError as fault:
            faults.append(f"{call}: {str(fault).strip()}")
    assert not faults, "\n\n".join(faults)


def check(call: Call, found: np.ndarray, ulps: float = 4) -> None:
    """Shape and dtype equal; integers and bools exact; floats within `ulps` units of their dtype, or within four times
    the error that the reference itself makes against f64; of f64 itself, within `ulps` units of the greatest."""
    with np.errstate(all="ignore"):
        expected = call.reference()
        assert found.shape == expected.shape, (found.shape, expected.shape)
        assert found.dtype == expected.dtype, (found.dtype, expected.dtype)
        if expected.dtype.kind == "c":  # each part, to the size of the whole
            eps = np.finfo(expected.dtype).eps
            np.testing.assert_allclose(
                found, expected, rtol=ulps * eps, atol=ulps * eps * np.abs(expected).max(initial=0)
            )
            return
        if not is_float(expected.dtype):
            np.testing.assert_array_equal(found, expected)
            return
        try:
            wide = call.reference([a.astype(np.float64) if is_float(a.dtype) else a for a in call.arrays])
        except IrkitError:  # an op on what is stored takes no other dtype
            wide = expected
        wide = wide.astype(np.float64)
        own = expected.astype(np.float64)
        rounded = wide.astype(expected.dtype).astype(np.float64)
        finite = np.isfinite(own) & np.isfinite(wide)
        scale = np.max(np.abs(wide[finite]), initial=0.0)
        error = np.max(np.abs(own - wide)[finite], initial=0.0)
        eps = float(ml_dtypes.finfo(expected.dtype).eps)
        np.testing.assert_allclose(
            found.astype(np.float64),
            np.where(finite, rounded, own),
            rtol=ulps * eps,
            atol=max(4 * error, (ulps if expected.dtype == np.float64 else 1) * eps * scale),
        )


def is_float(dtype: np.dtype) -> bool:
    return dtype.kind == "f" or dtype.name.startswith(("bfloat", "float"))
