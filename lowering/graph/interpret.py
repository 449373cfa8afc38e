"""Runs a function of the graph level in NumPy, op by op, by the ops' references: the judge of all that comes below.

It also runs what the function becomes on its way down: `kernel.group`, and `kernel.launch` of kernels of graph ops, of
named axes (`lowering.kernel.interpret`) and of loops (`lowering.loop.interpret`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from xdsl.dialects.builtin import ModuleOp, StringAttr, TensorType
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, Block, Operation, SSAValue

from dialects.dims import Dim
from dialects.errors import IrkitError
from dialects.graph import Access, CustomOp, ForOp, GraphOp, IfOp, IndexOp
from dialects.graph.numerics import greatest, least, widened
from dialects.kernel import DefOp, LaunchOp, YieldOp as KernelYield
from dialects.loop import FuncOp as LoopFunc
from dialects.types import dims_of, is_complex, is_float, is_float_tensor, np_dtype, type_text
from lowering.graph.scalars import run_scalar, signless
from lowering.points import evaluate

Array = np.ndarray
Env = dict[SSAValue, Array]
Arrays = "Mapping[str, Array] | Sequence[Array]"

MAX_ROUNDS = 1_000_000
"""Rounds after which a loop with a condition is given up."""

CHUNK = 1 << 22
"""Index notation is evaluated for about this many points at a time."""


def run_graph(
    func: FuncOp,
    arrays: Mapping[str, Array] | Sequence[Array],
    dims: Mapping[str, int] | None = None,
    threads: int = 1,
    checked: bool = True,
    smooth: bool = False,
) -> list[Array]:
    """The results of a function on arrays, in the order of its arguments or by their names (`graph.name`).

    Symbolic dims take their values from the shapes, or from dims. Raises IrkitError for arrays that do not fit; without
    `checked`, floats may be wider than the function says, which shows its own rounding error. With `smooth` no cast from
    float to float rounds either.
    """
    names = argument_names(func)
    given = [arrays.get(name) for name in names] if isinstance(arrays, Mapping) else list(arrays)
    if isinstance(arrays, Mapping) and (unknown := sorted(arrays.keys() - set(names))):
        raise IrkitError(
            f"the function has no argument '{unknown[0]}'", func, expected=f"one of {', '.join(names)}"
        )
    if len(given) != len(names):
        raise IrkitError(
            "wrong number of arrays",
            func,
            found=str(len(given)),
            expected=f"{len(names)}: {', '.join(names)}",
        )
    symbols = dict(dims or {})
    env: Env = {}
    for arg, name, array in zip(func.body.block.args, names, given, strict=True):
        if array is None:
            raise IrkitError(f"there is no array for '{name}'", func)
        if array.dtype.kind == "c" and not is_complex(arg.type.element_type):  # pyright: ignore
            array = (
                np.ascontiguousarray(array)
                .view(np.float32 if array.itemsize == 8 else np.float64)
                .reshape(*array.shape, 2)
            )
        if checked:
            _bind_dims(arg.type, name, array, symbols, func)
        env[arg] = array
    interpreter = _Interpreter(func, symbols, threads, not checked, smooth)
    try:
        results = interpreter.block(func.body.block, env)
    finally:
        interpreter.forget()
    return [_whole(r, attrs) for r, attrs in zip(results, _result_facts(func, len(results)), strict=True)]


def values_of(func: FuncOp, arrays: Sequence[Array], dims: Mapping[str, int]) -> Mapping[SSAValue, Array]:
    """Every value of a function's block, as it is with floats in f64: what `smooth` gives."""
    env: Env = dict(zip(func.body.block.args, arrays, strict=True))
    _Interpreter(func, dims, wide=True, smooth=True, keep=True).block(func.body.block, env)
    return env


def _result_facts(func: FuncOp, count: int) -> Sequence[Mapping[str, Attribute]]:
    return [a.data for a in func.res_attrs.data] if func.res_attrs is not None else [{}] * count


def _whole(array: Array, facts: Mapping[str, Attribute]) -> Array:
    """A result as the interface tells it: complex numbers that lie as pairs are complex again."""
    dtype = facts.get("graph.dtype")
    if not isinstance(dtype, StringAttr):
        return array
    return np.ascontiguousarray(array).view(np_dtype(dtype.data)).reshape(array.shape[:-1])


def argument_names(func: FuncOp) -> list[str]:
    """The name of each argument: its `graph.name`, or its SSA name, or arg0, arg1, ..."""
    names: list[str] = []
    attrs = func.arg_attrs.data if func.arg_attrs is not None else ()
    for i, arg in enumerate(func.body.block.args):
        name = attrs[i].data.get("graph.name") if attrs else None
        names.append(name.data if isinstance(name, StringAttr) else arg.name_hint or f"arg{i}")
    return names


def _bind_dims(type_: Attribute, name: str, array: Array, symbols: dict[str, int], func: FuncOp) -> None:
    assert isinstance(type_, TensorType)
    dtype = np_dtype(type_.element_type)
    expected = type_text(type_)
    if array.dtype != dtype or array.ndim != len(dims_of(type_)):
        raise IrkitError(
            f"the array for '{name}' does not fit",
            func,
            found=f"{array.dtype}{list(array.shape)}",
            expected=expected,
        )
    for dim, size in zip(dims_of(type_), array.shape, strict=True):
        if len(dim.names()) == 1 and str(dim) in dim.names():
            symbols.setdefault(str(dim), size)
        if dim.names() <= symbols.keys() and dim.evaluate(symbols) != size:
            where = ", ".join(f"{n} = {symbols[n]}" for n in sorted(dim.names()))
            found = f"{array.dtype}{list(array.shape)}"
            raise IrkitError(
                f"the array for '{name}' does not fit",
                func,
                found=found,
                expected=f"{expected} {where}".strip(),
            )


class _Interpreter:
    """Evaluates blocks; values are dropped after their last use."""

    def __init__(
        self,
        func: Operation,
        symbols: Mapping[str, int],
        threads: int = 1,
        wide: bool = False,
        smooth: bool = False,
        keep: bool = False,
    ):
        self.func = func
        self.wide = wide
        self.smooth = smooth
        self.keep = keep
        self.symbols = symbols
        self.threads = threads
        self.uses: dict[Block, Counter[SSAValue]] = {}
        self.expansions: dict[Operation, Block] = {}
        self.rules: dict[str, Callable[[Operation, Env], Sequence[Array]]] = {
            "graph.for": self._for,
            "graph.if": self._if,
            "graph.custom": self._custom,
            "graph.index": self._index,
            "graph.vjp": self._derivative,
            "graph.jvp": self._derivative,
            "graph.vmap": self._derivative,
            "kernel.group": self._group,
            "kernel.launch": self._launch,
        }

    def block(self, block: Block, env: Env) -> list[Array]:
        """Runs the ops of a block in order; what its terminator gives."""
        if block not in self.uses:
            self.uses[block] = _use_counts(block)
        uses = self.uses[block].copy()
        for op in block.ops:
            if op is block.last_op:
                return [env[v] for v in op.operands]
            operands = [env[v] for v in op.operands]
            if self.smooth and op.name == "graph.cast" and _stays_float(op):
                results: Sequence[Array] = operands
            elif isinstance(op, GraphOp):
                results = op.run(operands, self.symbols, self.wide)
            elif op.name in self.rules:
                results = self.rules[op.name](op, env)
            else:
                raise IrkitError(f"'{op.name}' does not run at graph level", op)
            for value in () if self.keep else op.operands:
                uses[value] -= 1
                if not uses[value] and isinstance(value.owner, Operation) and value.owner.parent is block:
                    del env[value]
            for value, array in zip(op.results, results, strict=True):
                env[value] = array
        return []

    def _for(self, op: Operation, env: Env) -> Sequence[Array]:
        assert isinstance(op, ForOp)
        lower, upper = (b.evaluate(self.symbols) if isinstance(b, Dim) else int(env[b]) for b in op.bounds())
        carried = [env[v] for v in op.inits]
        for t in range(lower, upper):
            if op.conditional is not None and not carried[0]:
                break
            if t - lower >= MAX_ROUNDS:
                message = f"a loop goes on after {MAX_ROUNDS} rounds"
                raise IrkitError(
                    message, op, hint="bound it: while ... max 1000 with ...; or give it other data"
                )
            inner = dict(env)
            inner.update(zip(op.block.args, [np.asarray(t, np.int64), *carried], strict=True))
            carried = self.block(op.block, inner)
        return carried

    def _if(self, op: Operation, env: Env) -> Sequence[Array]:
        assert isinstance(op, IfOp)
        body = (op.then if env[op.condition] else op.otherwise).block
        return self.block(body, dict(env) | dict(zip(body.args, [env[v] for v in op.inits], strict=True)))

    def _custom(self, op: Operation, env: Env) -> Sequence[Array]:
        assert isinstance(op, CustomOp)
        body = op.body.block
        return self.block(body, dict(zip(body.args, [env[v] for v in op.operands], strict=True)))

    def _derivative(self, op: Operation, env: Env) -> Sequence[Array]:
        """Runs what a derivative becomes: it has no other meaning in numbers than by rules."""
        from lowering.graph.differentiate import expanded

        block = self.expansions.get(op)
        if block is None:
            block = self.expansions[op] = expanded(op)
        return self.block(block, dict(env))

    def forget(self) -> None:
        """Drops what derivatives became, which would count as uses of the function's values."""
        for block in self.expansions.values():
            block.drop_all_references()
        self.expansions.clear()

    def _group(self, op: Operation, env: Env) -> Sequence[Array]:
        return self.block(op.regions[0].block, dict(env))

    def _launch(self, op: Operation, env: Env) -> Sequence[Array]:
        """Runs a kernel of graph ops, of named axes, or of loops, as far as it has come."""
        assert isinstance(op, LaunchOp)
        kernel, inputs = self._kernel(op), [env[v] for v in op.inputs]
        if isinstance(kernel, DefOp) and isinstance(kernel.block.last_op, KernelYield):  # still graph ops
            return self.block(kernel.block, dict(zip(kernel.block.args, inputs, strict=True)))
        outputs = [self._empty(r.type) for r in op.results]
        facts = kernel.signature.data[len(inputs) :]
        for output, fact in zip(outputs, facts, strict=True):
            if fact.mode.data == "inout" and fact.alias_of is not None:
                output.reshape(-1)[:] = inputs[fact.alias_of].reshape(-1)
        first, rest = iter(map(_contiguous, inputs)), iter(map(signless, outputs))
        arrays = [next(rest if a.is_output else first) for a in kernel.signature.data]
        if isinstance(kernel, DefOp):
            from lowering.kernel.interpret import run_kernel

            run_kernel(kernel, arrays, self.symbols)
        else:
            from lowering.loop.interpret import run_function

            run_function(kernel, arrays, self.symbols, self.threads)
        return outputs

    def _empty(self, type_: Attribute) -> Array:
        assert isinstance(type_, TensorType)
        return np.zeros([d.evaluate(self.symbols) for d in dims_of(type_)], np_dtype(type_.element_type))

    def _kernel(self, op: LaunchOp) -> DefOp | LoopFunc:
        module: Operation | None = self.func
        while module is not None and not isinstance(module, ModuleOp):
            module = module.parent_op()
        name = op.callee.root_reference.data
        for kernel in module.ops if module is not None else ():
            if isinstance(kernel, DefOp | LoopFunc) and kernel.sym_name.data == name:
                return kernel
        raise IrkitError(f"there is no kernel @{name}", op)

    # -- index notation -----------------------------------------------------------------------------------------

    def _index(self, op: Operation, env: Env) -> Sequence[Array]:
        assert isinstance(op, IndexOp)
        sizes = {name: size.evaluate(self.symbols) for name, size in op.extents()}
        shape = [sizes[name] for name, _ in op.axes.data]
        result = op.results[0].type
        assert isinstance(result, TensorType)
        dtype = (
            np.dtype(np.float64)
            if self.wide and is_float(result.element_type)
            else np_dtype(result.element_type)
        )
        if not shape:
            return [self._points(op, env, sizes, 0, 1, dtype)]
        rows = max(1, CHUNK // max(1, int(np.prod([*sizes.values()][1:], dtype=np.int64))))
        out = np.empty(shape, dtype)
        for start in range(0, shape[0], rows):
            stop = min(start + rows, shape[0])
            out[start:stop] = self._points(op, env, sizes, start, stop, dtype)
        return [out]

    def _points(
        self, op: IndexOp, env: Env, sizes: Mapping[str, int], start: int, stop: int, dtype: np.dtype
    ) -> Array:
        """The result for rows start to stop of its first axis."""
        outer = len(op.axes.data)
        grid = list(sizes.values())
        places: dict[str, Array] = {}
        for position, (name, size) in enumerate(sizes.items()):
            first = position == 0 and outer > 0
            axis = np.arange(start, stop) if first else np.arange(size)
            places[name] = axis.reshape([-1 if i == position else 1 for i in range(len(grid))])
        if outer:
            grid[0] = stop - start
        names: dict[str, Array | int] = {**self.symbols, **places}
        reads: list[Array] = []
        with np.errstate(all="ignore"):
            for number, access in enumerate(op.accesses()):
                reads.append(signless(read(env[op.operands[access.operand]], access, names)))
                names[f"_{number}"] = reads[-1]
            inner: Env = dict(zip(op.body.block.args, [*reads, *places.values()], strict=True))
            value = signless_view(self._scalars(op.body.block, inner), dtype)
            value = np.broadcast_to(value, grid)
            if op.combiner is None:
                return value
            return combine(value, op.combiner.data, tuple(range(outer, len(grid))))

    def _scalars(self, block: Block, env: Env) -> Array:
        for op in block.ops:
            if op is block.last_op:
                break
            env[op.results[0]] = run_scalar(op, [env[v] for v in op.operands], self.wide)
        assert block.last_op is not None
        return env[block.last_op.operands[0]]


def _stays_float(op: Operation) -> bool:
    """Whether a cast goes from float to float."""
    return is_float_tensor(op.operands[0].type) and is_float_tensor(op.results[0].type)


def _contiguous(array: Array) -> Array:
    return signless(np.ascontiguousarray(array).reshape(array.shape))


def _use_counts(block: Block) -> Counter[SSAValue]:
    """How often each value is used by the ops of a block; uses inside their regions count as one that never ends."""
    counts: Counter[SSAValue] = Counter()
    for op in block.ops:
        counts.update(op.operands)
        for region in op.regions:
            for nested in region.walk():
                counts.update(nested.operands)
    return counts


def read(array: Array, access: Access, names: Mapping[str, Array | int]) -> Array:
    """The elements that an access reads at all points of its axes."""
    index: list[Array] = []
    outside: Array | None = None
    for expr, size in zip(access.index, array.shape, strict=True):
        place = np.asarray(evaluate(expr, names), np.int64)
        if access.boundary in ("zero", "value"):
            wrong = (place < 0) | (place >= size)
            outside = wrong if outside is None else outside | wrong
        index.append(_bounded(place, size, access.boundary, any(n.startswith("_") for n in expr.names())))
    if outside is None:
        return array[tuple(index)]
    fill = np.asarray(access.value).astype(array.dtype)
    if not array.size:
        return np.broadcast_to(fill, np.broadcast_shapes(*(i.shape for i in index)))
    return np.where(outside, fill, array[tuple(index)])


def _bounded(place: Array, size: int, boundary: str, is_gathered: bool) -> Array:
    if boundary == "wrap":
        return place % size
    if boundary == "reflect":
        period = max(1, 2 * (size - 1))
        once = place % period
        return np.minimum(once, period - once) if size > 1 else once
    if boundary == "none" and not is_gathered:
        assert not place.size or (place.min() >= 0 and place.max() < size)
        return place
    return np.clip(place, 0, max(size - 1, 0))


def signless_view(array: Array, dtype: np.dtype) -> Array:
    """A body's value in the dtype of the tensor that it goes into."""
    return array.view(dtype) if dtype.kind == "u" and array.dtype.kind == "i" else array


def combine(array: Array, kind: str, axes: tuple[int, ...]) -> Array:
    """Reduces dims by sum, prod, max or min, in the array's dtype (small floats in f32)."""
    (wide,) = widened([array])
    match kind:
        case "sum":
            out = wide.sum(axis=axes, dtype=wide.dtype)
        case "prod":
            out = wide.prod(axis=axes, dtype=wide.dtype)
        case "max":
            out = wide.max(axis=axes, initial=least(wide.dtype))
        case _:
            out = wide.min(axis=axes, initial=greatest(wide.dtype))
    return np.asarray(out).astype(array.dtype)
