"""Runs graph functions in NumPy, index notation point by point: slow and plain, to judge what the language emits."""

from __future__ import annotations

import itertools
import math

import numpy as np
from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, SSAValue

from dialects import graph
from dialects.types import dims_of, np_dtype
from irkit.lang import parse, to_graph
from lowering.graph.interpret import signless_view
from lowering.graph.scalars import run_scalar, signless


def run(text: str, *inputs: object, fn: str | None = None, **dims: int) -> list[np.ndarray]:
    """The results of a function of a text on arrays."""
    module = to_graph(parse(text, "test.tg"), fn=fn, dims=dims)
    module.verify()
    return run_module(module, *inputs)


def run_module(module: ModuleOp, *inputs: object) -> list[np.ndarray]:
    (function,) = module.ops
    assert isinstance(function, func.FuncOp)
    env: dict[SSAValue, np.ndarray] = {}
    for arg, value in zip(function.body.block.args, inputs, strict=True):
        env[arg] = np.asarray(value, np_dtype(arg.type.element_type))  # pyright: ignore
    symbols = {}
    for arg in function.body.block.args:
        for d, size in zip(dims_of(arg.type), env[arg].shape, strict=True):
            if d.value is None and d.names() == {str(d)}:
                symbols[str(d)] = size
    return run_block(function.body.block, env, symbols)


def run_block(block: Block, env: dict[SSAValue, np.ndarray], symbols: dict[str, int]) -> list[np.ndarray]:
    for op in block.ops:
        match op:
            case func.ReturnOp() | graph.YieldOp():
                return [env[v] for v in op.operands]
            case graph.IndexOp():
                env[op.results[0]] = run_index(op, env, symbols)
            case graph.ForOp():
                low = int(env[op.lower_value]) if op.lower_value else op.lower.data.evaluate(symbols)
                high = int(env[op.upper_value]) if op.upper_value else op.upper.data.evaluate(symbols)
                state = [env[v] for v in op.inits]
                for t in range(low, high):
                    if op.conditional is not None and not state[0]:
                        break
                    inner = dict(zip(op.block.args, [np.int64(t), *state], strict=True))
                    state = run_block(op.block, {**env, **inner}, symbols)
                env.update(zip(op.results, state, strict=True))
            case graph.IfOp():
                way = (op.then if env[op.condition] else op.otherwise).block
                inner = dict(zip(way.args, [env[v] for v in op.inits], strict=True))
                env.update(zip(op.results, run_block(way, {**env, **inner}, symbols), strict=True))
            case graph.CustomOp():
                inner = dict(zip(op.body.block.args, [env[v] for v in op.operands], strict=True))
                env.update(zip(op.results, run_block(op.body.block, inner, symbols), strict=True))
            case graph.GraphOp():
                env.update(zip(op.results, op.run([env[v] for v in op.operands], symbols), strict=True))
    raise AssertionError("no terminator")


def run_index(op: graph.IndexOp, env: dict[SSAValue, np.ndarray], symbols: dict[str, int]) -> np.ndarray:
    sizes = [d.evaluate(symbols) for _, d in op.axes.data]
    reduced = [d.evaluate(symbols) for _, d in op.reduced.data]
    names = [n for n, _ in (*op.axes.data, *op.reduced.data)]
    out = np.zeros(sizes, np_dtype(op.results[0].type.element_type))  # pyright: ignore
    combine = {"sum": sum, "prod": math.prod, "max": max, "min": min}
    for point in itertools.product(*map(range, sizes)):
        values = [
            at_point(op, dict(zip(names, (*point, *inner), strict=True)) | symbols, env)
            for inner in itertools.product(*map(range, reduced))
        ]
        out[point] = values[0] if op.combiner is None else combine[op.combiner.data](values)
    return out


def at_point(op: graph.IndexOp, where: dict[str, int], env: dict[SSAValue, np.ndarray]) -> object:
    reads: list[np.ndarray] = []
    for access in op.accesses():
        known = where | {f"_{i}": int(v) for i, v in enumerate(reads) if v.dtype.kind == "i"}
        reads.append(signless(np.asarray(read(env[op.inputs[access.operand]], access, known))))
    names = [n for n, _ in (*op.axes.data, *op.reduced.data)]
    scalars = dict(zip(op.body.block.args, [*reads, *(np.asarray(where[n]) for n in names)], strict=True))
    for inner in op.body.block.ops:
        if isinstance(inner, graph.YieldOp):
            return signless_view(scalars[inner.operands[0]], np_dtype(op.results[0].type.element_type))  # pyright: ignore
        scalars[inner.results[0]] = run_scalar(inner, [scalars[v] for v in inner.operands])
    raise AssertionError("no terminator")


def read(array: np.ndarray, access: graph.Access, known: dict[str, int]) -> object:
    index = [d.evaluate(known) for d in access.index]
    for k, (i, n) in enumerate(zip(index, array.shape, strict=True)):
        if 0 <= i < n:
            continue
        match access.boundary:
            case "zero":
                return array.dtype.type(0)
            case "value":
                return array.dtype.type(access.value)
            case "wrap":
                index[k] = i % n
            case "reflect":
                index[k] = -i if i < 0 else 2 * (n - 1) - i
            case "clamp":
                index[k] = min(max(i, 0), n - 1)
            case _:
                assert any("_" in name for d in access.index for name in d.names()), (
                    "an access left its tensor"
                )
                index[k] = min(max(i, 0), n - 1)
    return array[tuple(index)]
