"""`@irkit.trace`: a function on arrays that is traced once for each signature, compiled, and run."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import update_wrapper
from types import MethodType
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from dialects.dims import Dim
from dialects.types import type_text
from irkit.collector import paused
from irkit.lang.builder import type_of
from irkit.lang.unparse.text import MEANINGS, identifier
from irkit.tracing.build import build
from irkit.tracing.errors import TraceError, code_place, located, place
from irkit.tracing.graph import Graph
from irkit.tracing.sizes import Size, Spec, dtype_of
from irkit.tracing.state import Trace
from irkit.tracing.tensor import Tensor
from irkit.tracing.tree import Structure, flatten, statics, unflatten

if TYPE_CHECKING:
    from irkit.runtime.module import Program


class Traced:
    """A Python function as a graph. Called with arrays, it is traced, compiled and run; the program is kept.

    Arrays, however nested in tuples, lists and dicts, are inputs; whatever else an argument holds (numbers, words, None)
    is a part of the function, and another value traces it anew.
    """

    def __init__(self, fn: Callable[..., Any], target: str, threads: int | None, cc: str | None):
        self.fn = fn
        self.options: dict[str, Any] = {"target": target, "threads": threads, "cc": cc}
        self.signature = inspect.signature(fn)
        self._graphs: dict[object, Graph] = {}
        self._programs: dict[object, Program] = {}
        update_wrapper(self, fn)

    def __repr__(self) -> str:
        return f"<irkit trace of {self.name}{self.signature}>"

    def __get__(self, owner: object, _: type | None = None) -> object:
        return self if owner is None else MethodType(self, owner)

    @property
    def name(self) -> str:
        name = identifier(getattr(self.fn, "__name__", ""))
        return name if name and name != "_lambda_" and name not in MEANINGS else "main"

    def __call__(self, *args: Any, **named: Any) -> Any:
        """Runs the program for arrays; among the tensors of another trace, the function itself. Raises TraceError,
        IrkitError."""
        leaves, structure = self._arguments(args, named)
        if any(isinstance(leaf, Tensor) for _, leaf in leaves):
            return self.fn(*args, **named)
        if specs := [name for name, leaf in leaves if isinstance(leaf, Spec)]:
            hint = f"{self.name}.graph(...) and {self.name}.compile(...) take specs"
            raise TraceError(f"'{specs[0]}' has no data", place(), hint=hint)
        key = _key(leaves, structure)
        program = self._programs.get(key)
        if program is None:
            program = self._programs[key] = self._graph(key, leaves, structure).compile(**self.options)
        results = program(*(np.asarray(leaf) for _, leaf in leaves))
        return unflatten(self._graphs[key].gives, results if isinstance(results, tuple) else (results,))

    def graph(self, *args: Any, **named: Any) -> Graph:
        """The graph for arguments, which may be specs or arrays. Raises TraceError."""
        leaves, structure = self._arguments(args, named)
        return self._graph(_key(leaves, structure), leaves, structure)

    def compile(self, *args: Any, **named: Any) -> Program:
        """The program for such arguments, as `irkit.compile` gives it: it takes the arrays in their order, or by name."""
        return self.graph(*args, **named).compile(**self.options)

    # -- tracing ------------------------------------------------------------------------------------------------

    def _arguments(
        self, args: Sequence[Any], named: dict[str, Any]
    ) -> tuple[list[tuple[str, Any]], Structure]:
        """The tensors among the arguments, each with a name, and how they are nested."""
        try:
            bound = self.signature.bind(*args, **named)
        except TypeError as fault:
            raise TraceError(
                f"{self.name}: {fault}", place(), expected=f"{self.name}{self.signature}"
            ) from None
        bound.apply_defaults()
        leaves, structure = flatten(dict(bound.arguments), _is_tensor)
        for value in statics(structure):
            try:
                hash(value)
            except TypeError:
                what = type(value).__name__
                hint = "make it an array, or something that can be a key of a dict"
                raise TraceError(f"an argument of type '{what}' is no tensor", place(), hint=hint) from None
        return leaves, structure

    def _graph(self, key: object, leaves: Sequence[tuple[str, Any]], structure: Structure) -> Graph:
        found = self._graphs.get(key)
        if found is None:
            with located(), paused():
                found = self._graphs[key] = self._trace(leaves, structure)
        return found

    def _trace(self, leaves: Sequence[tuple[str, Any]], structure: Structure) -> Graph:
        trace = Trace()
        specs = [_spec(leaf) for _, leaf in leaves]
        for spec in specs:
            for one in spec.shape:
                if isinstance(one, Size):
                    _declare(trace, one)
        tensors: list[Tensor] = []
        for (name, _), spec in zip(leaves, specs, strict=True):
            name = identifier(name)
            name = trace.free_name(f"{name}_" if name in MEANINGS else name)
            tensors.append(Tensor(trace, trace.input(name, spec.dtype, spec.dims())))
        bound = inspect.BoundArguments(self.signature, unflatten(structure, tensors))  # pyright: ignore
        with trace.active():
            made = self.fn(*bound.args, **bound.kwargs)
            results, gives = self._results(trace, made)
        code = getattr(inspect.unwrap(self.fn), "__code__", None)
        loc = code_place(code) if code is not None else place()
        module = build(trace, self.name, results, loc)
        arrays = {n: p.array for n, p in trace.params.items() if p.array is not None}
        defaults = {n: default for n, (default, _, _) in trace.ranges.items()}
        return Graph(self.name, module, arrays, defaults, structure, gives)

    def _results(self, trace: Trace, made: object) -> tuple[list[tuple[str, Any]], Structure]:
        """The returned tensors. Raises TraceError for anything else."""
        code = getattr(inspect.unwrap(self.fn), "__code__", None)
        loc = code_place(code) if code is not None else place()
        results, gives = flatten(made, lambda v: isinstance(v, Tensor))
        others = [v for v in statics(gives)]
        if others or not results:
            found = (
                "nothing"
                if not others or others[0] is None
                else f"an object of type '{type(others[0]).__name__}'"
            )
            hint = "return tensors alone, in tuples, lists or dicts"
            if isinstance(others[0] if others else None, np.ndarray | int | float):
                hint = "return what does not depend on the inputs from Python, not from the graph"
            raise TraceError(f"'{self.name}' returns what is no tensor", loc, found=found, hint=hint)
        named = isinstance(made, dict)
        return [(n if named else "", trace.own(t)) for n, t in results], gives


def _is_tensor(value: object) -> bool:
    return isinstance(value, np.ndarray | np.generic | Tensor | Spec)


def _spec(leaf: Any) -> Spec:
    """What an argument is, without its data."""
    if isinstance(leaf, Spec):
        return leaf
    return Spec(np.shape(leaf), dtype_of(np.asarray(leaf).dtype.newbyteorder("=")))


def _declare(trace: Trace, size: Size) -> None:
    for name, range_ in size.ranges.items():
        if trace.ranges.setdefault(name, range_) != range_:
            raise TraceError(
                f"dim '{name}' has two ranges", place(), hint="make it once, and use it everywhere"
            )


def _key(leaves: Sequence[tuple[str, Any]], structure: Structure) -> object:
    """What a graph depends on; 1, 1.0 and True are different here."""
    tensors = []
    for _, leaf in leaves:
        if isinstance(leaf, Tensor):
            raise TraceError("a tensor of a trace has no data", place(), found=type_text(type_of(leaf.value)))
        spec = _spec(leaf)
        ranges = [tuple(sorted(s.ranges.items())) if isinstance(s, Size) else () for s in spec.shape]
        tensors.append((tuple(map(_dim_key, spec.shape)), spec.dtype, tuple(ranges)))
    return tuple(tensors), structure, tuple(type(v) for v in statics(structure))


def _dim_key(n: Size | int) -> Dim | int:
    return n.dim if isinstance(n, Size) else n


@overload
def trace(
    fn: Callable[..., Any], *, target: str = ..., threads: int | None = ..., cc: str | None = ...
) -> Traced: ...


@overload
def trace(
    fn: None = ..., *, target: str = ..., threads: int | None = ..., cc: str | None = ...
) -> Callable[[Callable[..., Any]], Traced]: ...


def trace(
    fn: Callable[..., Any] | None = None,
    *,
    target: str = "native",
    threads: int | None = None,
    cc: str | None = None,
) -> Any:
    """Makes a Python function a graph: `@irkit.trace`, `irkit.trace(f)`, `@irkit.trace(threads=1)`.

    target, threads and cc are those of `irkit.compile`.
    """
    if fn is None:
        return lambda function: Traced(function, target, threads, cc)
    return Traced(fn, target, threads, cc)
