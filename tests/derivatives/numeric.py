"""Derivatives by central differences in f64, to judge the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp

from dialects.types import dims_of, is_float, np_dtype
from irkit.lang.emit import to_graph
from irkit.lang.parser import parse
from lowering.graph.differentiate import GraphDifferentiate
from lowering.graph.interpret import argument_names, run_graph

Array = np.ndarray
STEP = 1e-6


def function_of(text: str, fn: str | None = None) -> FuncOp:
    """The graph of a file's function."""
    module = to_graph(parse(text, "case.tg"), fn)
    (func,) = (op for op in module.ops if isinstance(op, FuncOp))
    func.detach()
    return func


def differentiated(func: FuncOp) -> FuncOp:
    """A function after `graph-differentiate`, verified."""
    module = ModuleOp([func.clone()])
    GraphDifferentiate().apply(Context(), module)
    module.verify()
    (made,) = (op for op in module.ops if isinstance(op, FuncOp))
    return made


def float_names(func: FuncOp) -> list[str]:
    """The arguments that have a derivative."""
    rows = zip(argument_names(func), func.body.block.args, strict=True)
    return [n for n, a in rows if is_float(a.type.element_type)]  # pyright: ignore


def inputs_of(func: FuncOp, seed: int = 0, given: Mapping[str, Array] | None = None) -> list[Array]:
    """Arrays for all arguments: normal floats, integers from 0 to 2."""
    rng = np.random.default_rng(seed)
    arrays: list[Array] = []
    for name, arg in zip(argument_names(func), func.body.block.args, strict=True):
        shape = [d.value for d in dims_of(arg.type)]  # pyright: ignore
        dtype = np_dtype(arg.type.element_type)  # pyright: ignore
        drawn = rng.standard_normal(shape) if dtype.kind == "f" else rng.integers(0, 3, shape)
        arrays.append(np.asarray((given or {}).get(name, drawn)).astype(dtype))
    return arrays


def floats_of(results: Sequence[Array]) -> list[Array]:
    """The results that have a derivative."""
    return [r for r in results if r.dtype.kind == "f"]


def central_differences(func: FuncOp, arrays: Sequence[Array], seeds: Sequence[Array], number: int) -> Array:
    """The cotangent of one argument: for each element, how the sum of seeds times results changes."""
    x = arrays[number]
    out = np.zeros(x.size)
    for i in range(x.size):
        values: list[float] = []
        for sign in (1, -1):
            moved = x.copy()
            moved.reshape(-1)[i] += sign * STEP
            results = floats_of(run_graph(func, [*arrays[:number], moved, *arrays[number + 1 :]]))
            values.append(sum(float((s * r).sum()) for s, r in zip(seeds, results, strict=True)))
        out[i] = (values[0] - values[1]) / (2 * STEP)
    return out.reshape(x.shape)
