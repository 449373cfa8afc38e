"""Runs kernels of the kernel level in NumPy: every field is an array over all axes of its kernel.

A field has one dim for each axis, of size 1 where it does not depend on the axis, so that NumPy's broadcasting is that
of the level. Reductions run their own regions: init and step along chunks of the points, combine across the chunks.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from math import prod

import numpy as np
from xdsl.dialects.builtin import FloatAttr, IntegerAttr
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue

from dialects.errors import IrkitError
from dialects.graph.scatter import MODES
from dialects.kernel import DefOp, ExternOp, IndexOp, ReadOp, ReduceOp, ScanOp, WriteOp
from dialects.types import dims_of
from lowering.graph.scalars import run_scalar, unsigned
from lowering.kernel.extern import run_extern
from lowering.points import evaluate

Array = np.ndarray
Env = dict[SSAValue, Array]

SERIAL_POINTS = 32
"""A reduction over more points than this is cut into chunks that step side by side."""


def run_kernel(kernel: DefOp, arrays: Sequence[Array], symbols: Mapping[str, int]) -> None:
    """Runs a kernel in axes form on arrays, one for each argument; outputs are written in place.

    Arrays are contiguous, hold integers as signed ones, and may have any shape with the right number of elements.
    Raises IrkitError for an access outside an array that has no `else`.
    """
    views = [
        array.reshape([d.evaluate(symbols) for d in dims_of(arg.type)])
        for arg, array in zip(kernel.block.args, arrays, strict=True)
    ]
    _Kernel(kernel, symbols).run(dict(zip(kernel.block.args, views, strict=True)))


class _Kernel:
    """The state of one run: the sizes of the axes, and the place of every point along each."""

    def __init__(self, kernel: DefOp, symbols: Mapping[str, int]):
        self.block = kernel.block
        self.symbols = symbols
        self.sizes = {name: extent.evaluate(symbols) for name, extent in kernel.axes.data}
        self.position = {name: i for i, name in enumerate(self.sizes)}
        self.names: dict[str, Array | int] = dict(symbols)
        for name, size in self.sizes.items():
            self.names[name] = np.arange(size).reshape(self._along(name))
        self.rules: dict[type[Operation], Callable[[Operation, Env], Sequence[Array]]] = {
            ReadOp: self._read,
            WriteOp: self._write,
            IndexOp: self._index,
            ReduceOp: self._reduce,
            ScanOp: self._scan,
            ExternOp: self._extern,
        }

    def _along(self, axis: str) -> list[int]:
        return [-1 if name == axis else 1 for name in self.sizes]

    def run(self, env: Env) -> None:
        with np.errstate(all="ignore"):
            for op in self.block.ops:
                rule = self.rules.get(type(op))
                results = [run_scalar(op, [env[v] for v in op.operands])] if rule is None else rule(op, env)
                env.update(zip(op.results, results, strict=True))

    def _full(self, array: Array | int) -> Array:
        """A field with all its dims: scalars have none yet."""
        array = np.asarray(array)
        return array.reshape([1] * (len(self.sizes) - array.ndim) + list(array.shape))

    def _places(self, op: ReadOp | WriteOp, env: Env) -> list[Array]:
        names = {**self.names, **{f"_{i}": env[v].astype(np.int64) for i, v in enumerate(op.indices)}}
        return [self._full(evaluate(expr, names)) for expr in op.index.data]

    def _read(self, op: Operation, env: Env) -> Sequence[Array]:
        assert isinstance(op, ReadOp)
        array, places = env[op.array], self._places(op, env)
        outside = self._outside(places, array.shape)
        if op.otherwise is None:
            if outside is not None and outside.any():
                raise _outside_error(op, places, outside, array.shape)
            return [self._full(array[tuple(places)])]
        fill = _number(op.otherwise, array.dtype)
        if outside is None:
            return [self._full(array[tuple(places)])]
        if not array.size:
            return [np.broadcast_to(fill, outside.shape)]
        inside = [np.clip(p, 0, size - 1) for p, size in zip(places, array.shape, strict=True)]
        return [np.where(outside, fill, array[tuple(inside)])]

    def _outside(self, places: Sequence[Array], shape: Sequence[int]) -> Array | None:
        wrong: Array | None = None
        for place, size in zip(places, shape, strict=True):
            here = (place < 0) | (place >= size)
            wrong = here if wrong is None else wrong | here
        return wrong

    def _write(self, op: Operation, env: Env) -> Sequence[Array]:
        assert isinstance(op, WriteOp)
        array, places = env[op.array], self._places(op, env)
        if op.combiner is not None:
            _update(op, array, places, self._full(env[op.value]))
            return []
        outside = self._outside(places, array.shape)
        if outside is not None and outside.any():
            raise _outside_error(op, places, outside, array.shape)
        *places, value = np.broadcast_arrays(*places, self._full(env[op.value]))
        array[tuple(places)] = value if places else value.reshape(())
        return []

    def _index(self, op: Operation, env: Env) -> Sequence[Array]:
        assert isinstance(op, IndexOp)
        return [self._full(np.asarray(evaluate(op.expr.data, self.names), np.int64))]

    def _extern(self, op: Operation, env: Env) -> Sequence[Array]:
        assert isinstance(op, ExternOp)
        run_extern(op, [env[v] for v in op.inputs], [env[v] for v in op.outputs_], self.symbols)
        return []

    # -- reductions ---------------------------------------------------------------------------------------------

    def _reduce(self, op: Operation, env: Env) -> Sequence[Array]:
        assert isinstance(op, ReduceOp)
        inputs = [self._points_last(self._full(env[v]), op.axes) for v in op.inputs]
        count = prod(self.sizes[a] for a in op.axes)

        def part(region: Region, *values: Array) -> list[Array]:
            return self._region(region, values, env)

        chunks = 1 if count <= SERIAL_POINTS else 1 << (count.bit_length() // 2)
        state = [s if s.ndim else s.reshape([1] * (len(self.sizes) + 1)) for s in part(op.init)]
        if chunks > 1:
            each = count // chunks
            cut = [x[..., : each * chunks].reshape(*x.shape[:-1], chunks, each) for x in inputs]
            lanes = self._steps(op, part, [np.repeat(s, chunks, axis=-1) for s in state], cut)
            while chunks > 1:
                left, right = ([s[..., i::2] for s in lanes] for i in (0, 1))
                lanes, chunks = part(op.combine, *left, *right), chunks // 2
            state = lanes
            inputs = [x[..., each * cut[0].shape[-2] :] for x in inputs]
        state = self._steps(op, part, state, [x[..., None, :] for x in inputs])
        return [v[..., 0] for v in part(op.finish, *state)]

    def _scan(self, op: Operation, env: Env) -> Sequence[Array]:
        assert isinstance(op, ScanOp)
        inputs = [self._points_last(self._full(env[v]), [op.along.data])[..., None, :] for v in op.inputs]
        state = [
            s if s.ndim else s.reshape([1] * (len(self.sizes) + 1)) for s in self._region(op.init, [], env)
        ]
        given: list[list[Array]] = []
        for point in range(self.sizes[op.along.data]):
            following = self._region(op.step, [*state, *(x[..., point] for x in inputs)], env)
            given.append(state if op.exclusive is not None else following)
            state = following
        axis = self.position[op.along.data]
        if not given:
            empty = list(np.broadcast_shapes(*(x.shape[:-2] for x in inputs)))
            empty[axis] = 0
            return [np.zeros(empty, s.dtype) for s in state]
        shape = np.broadcast_shapes(*(s.shape for states in given for s in states))
        return [
            np.concatenate([np.broadcast_to(s[i], shape)[..., 0] for s in given], axis)
            for i in range(len(state))
        ]

    def _steps(
        self,
        op: ReduceOp,
        part: Callable[..., list[Array]],
        state: list[Array],
        inputs: Sequence[Array],
    ) -> list[Array]:
        """Steps along the last dim of the inputs; the dim before it holds the chunks."""
        for point in range(inputs[0].shape[-1] if inputs else 0):
            state = part(op.step, *state, *(x[..., point] for x in inputs))
        return state

    def _region(self, region: Region, values: Sequence[Array], around: Env) -> list[Array]:
        """What a region yields; values have a last dim for chunks, which fields from around the reduction lack."""
        block: Block = region.block
        env: Env = dict(zip(block.args, values, strict=True))
        last = block.last_op
        assert last is not None

        def value(v: SSAValue) -> Array:
            return env[v] if v in env else self._full(around[v])[..., None]

        for op in itertools.takewhile(lambda op: op is not last, block.ops):
            env[op.results[0]] = run_scalar(op, [value(v) for v in op.operands])
        return [np.asarray(value(v)) for v in last.operands]

    def _points_last(self, field: Array, axes: Sequence[str]) -> Array:
        """The field with size 1 along the reduced axes, and a last dim for all their points."""
        shape = list(field.shape)
        for axis in axes:
            shape[self.position[axis]] = self.sizes[axis]
        field = np.broadcast_to(field, shape)
        moved = np.moveaxis(field, [self.position[a] for a in axes], range(-len(axes), 0))
        rest = [1 if name in axes else size for name, size in zip(self.sizes, shape, strict=True)]
        return moved.reshape([*rest, prod(self.sizes[a] for a in axes)])


def _update(op: WriteOp, array: Array, places: Sequence[Array], value: Array) -> None:
    """Combines values with what is at their places, point by point in the order of the axes."""
    assert op.combiner is not None
    kind = op.combiner.data
    flat = [a.reshape(-1) for a in np.broadcast_arrays(*places, value)]
    inside = np.logical_and.reduce(
        [(p >= 0) & (p < size) for p, size in zip(flat, array.shape, strict=False)], initial=True
    ) & np.ones(flat[-1].shape, bool)
    *index, value = [a[inside] for a in flat]
    value = value.astype(array.dtype)
    if kind[0] == "u":
        array, value, kind = unsigned(array), unsigned(value), kind[1:]
    if value.size:
        MODES[kind](array, tuple(index), value)


def _number(value: Attribute, dtype: np.dtype) -> Array:
    assert isinstance(value, FloatAttr | IntegerAttr)
    return np.asarray(value.value.data).astype(dtype)


def _outside_error(
    op: ReadOp | WriteOp, places: Sequence[Array], outside: Array, shape: Sequence[int]
) -> IrkitError:
    point = tuple(np.argwhere(outside)[0])
    found = ", ".join(str(np.broadcast_to(p, outside.shape)[point]) for p in places)
    index = ", ".join(map(str, op.index.data))
    return IrkitError(
        f"'{op.name}' at [{index}] leaves its array",
        op,
        found=f"[{found}]",
        expected=f"an index inside {list(shape)}",
    )
