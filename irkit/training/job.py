"""What is trained: the step function of a file, its loss, and the dim that counts the examples of a batch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from dialects.dims import Dim
from dialects.errors import ErrorList, IrkitError
from irkit.api import compile_text, read_defaults
from irkit.diagnostics import nearest
from irkit.lang import tree
from irkit.lang.program import Program as Declarations
from irkit.runtime.module import Program
from lowering.c.abi import ProgramSpec

MINIMIZE = "minimize"
KEY = "u32[2]"
"""The type of an input that gets the seed and the number of the step where the data has nothing for it."""

RANDOM = ("normal", "uniform", "glorot", "he")
"""The initialisers that draw numbers."""


@dataclass(frozen=True)
class Source:
    """A `.tg` text, the name of its file, and how its functions are compiled."""

    text: str
    name: str
    dims: Mapping[str, int]
    target: str = "native"
    cc: str | None = None
    threads: int | None = None

    def compiled(
        self, fn: str, dims: Mapping[str, int] | None = None, given: frozenset[str] = frozenset()
    ) -> Program:
        """A function of the file. Inputs and parameters in `given` are not read from files. Raises IrkitError."""
        whole = {**self.dims, **(dims or {})}
        return compile_text(self.text, self.name, fn, whole, self.target, self.threads, self.cc, given)


@dataclass(frozen=True)
class Job:
    """The step function, the function whose first result is minimised (None where that has no name), the name of the dim
    that counts examples (None where it is a number), and its size."""

    source: Source
    step: str
    loss: str | None
    dim: str | None
    batch: int
    rows: frozenset[str]
    """The inputs whose first dim counts examples."""

    def batch_dims(self, size: int) -> dict[str, int]:
        """The dims that give a batch a size."""
        return {} if self.dim is None else {self.dim: size}


def find_job(source: Source, fn: str | None = None, batch: int | None = None) -> Job:
    """What a file says is to be trained: the function asked for, or the only one that `minimize` makes. Raises IrkitError."""
    declared = Declarations(parse_text(source), source.dims)
    if declared.errors:
        raise ErrorList(declared.sorted_errors())
    made = {
        name: decl
        for name, decl in declared.functions.items()
        if isinstance(decl, tree.FnMade) and decl.value.callee.id == MINIMIZE
    }
    if fn is not None and fn not in made:
        raise IrkitError(
            f"'{fn}' is no step of training",
            found=f"functions {', '.join(declared.functions)}",
            expected=f"one of {', '.join(made)}" if made else "a function that minimize makes",
            hint=nearest(fn, made),
        )
    if fn is None and len(made) != 1:
        raise IrkitError(
            f"'{source.name}' has no step of training" if not made else "which function is to be trained?",
            found=", ".join(made) or f"functions {', '.join(declared.functions) or 'none'}",
            expected="fn step = minimize(loss, wrt=params, optimizer=adamw(lr=1e-3))",
            hint="name it: --fn NAME" if made else None,
        )
    name = fn if fn is not None else next(iter(made))
    first = made[name].value.args[0] if made[name].value.args else None
    function = declared.function(name, made[name])
    dim, size = _batch_dim(declared, function.inputs, source, batch)
    loss = first.id if isinstance(first, tree.Name) else None
    rows = {i.name.id for i in function.inputs if i.type.dims and str(i.type.dims[0]) == (dim or str(size))}
    return Job(source, name, loss, dim, size, frozenset(rows))


def parse_text(source: Source) -> tree.Module:
    from irkit.lang import parse as parse_tg

    return parse_tg(source.text, source.name)


def _batch_dim(
    declared: Declarations, inputs: tuple[tree.Input, ...], source: Source, batch: int | None
) -> tuple[str | None, int]:
    """The first dim of the first input that has one, and its size. Raises IrkitError."""
    first = next((i for i in inputs if i.type.dims and str(i.type) != KEY), None)
    if first is None:
        raise IrkitError(
            "the step of training takes no examples", expected="inputs whose first dim counts them"
        )
    dim = first.type.dims[0]
    text = str(dim)
    decl = next((d for d in declared.module.decls if isinstance(d, tree.DimDecl) and d.name.id == text), None)
    known = source.dims.get(text)
    if decl is not None:
        known = known if known is not None else declared.integer(decl.value).value
    elif dim.value is not None:
        known = dim.value
    if batch is not None and dim.value is not None and batch != dim.value:
        raise IrkitError(
            f"--batch {batch} does not fit",
            declared.module.loc(first),
            found=f"{first.name.id}: {first.type}, which fixes it at {dim.value}",
            hint=f"declare it: dim B = {dim.value}, and write B there",
        )
    size = batch if batch is not None else known
    if size is None or size < 1 or (dim.value is None and dim != Dim.of(text)):
        raise IrkitError(
            "the size of a batch is not known",
            declared.module.loc(first),
            found=f"{first.name.id}: {first.type}",
            expected="a dim of the file as the first dim",
            hint="--batch N gives it a size",
        )
    return (None if dim.value is not None else text), size


def reseeded(program: Program, source: Source, seed: int, given: frozenset[str]) -> dict[str, np.ndarray]:
    """The parameters whose initialisers draw numbers, drawn with another seed; the others stay as they are."""
    if seed == 0:
        return {}
    args = [
        replace(a, source=_with_seed(a.source, seed))
        for a in program.spec.args
        if a.role == "param" and a.source.split(" ")[0] in RANDOM
    ]
    spec: ProgramSpec = replace(program.spec, args=tuple(args))
    return read_defaults(spec, {}, source.name, given)


def _with_seed(text: str, seed: int) -> str:
    """A source text whose seed is greater by so much."""
    if found := re.search(r"\bseed=(-?\d+)", text):
        return f"{text[: found.start(1)]}{int(found[1]) + seed}{text[found.end(1) :]}"
    return f"{text} seed={seed}"
