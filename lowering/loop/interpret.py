"""Runs functions of the loop level in Python and NumPy, one op at a time, with every access checked.

Threads of the team take turns: each runs to its next barrier. What a function allocates holds garbage first, so that
a value read too early shows. The blocks of a GPU are split between the team, and the threads of a block take turns in
the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from math import prod

import numpy as np
from xdsl.dialects.builtin import FloatAttr, IntegerAttr
from xdsl.ir import Attribute, Block, Operation, SSAValue

from dialects.dims import DimsAttr
from dialects.errors import IrkitError
from dialects.kernel import ExternOp
from dialects.loop import (
    Access,
    AllocOp,
    BarrierOp,
    BroadcastOp,
    ContractOp,
    FoldOp,
    FoldThreadsOp,
    ForOp,
    FuncOp,
    IfOp,
    IndexOp,
    LoadOp,
    PrefetchOp,
    StoreOp,
    YieldOp,
)
from dialects.loop_matrix import (
    CommitCopiesOp,
    CopyAsyncOp,
    ExtractOp,
    JoinOp,
    LoadMatrixOp,
    MmaOp,
    WaitCopiesOp,
)
from dialects.types import RefType, np_dtype, shape_of
from lowering.graph.scalars import run_scalar
from lowering.kernel.extern import run_extern
from lowering.loop.interpret_matrix import Copies, meet as meet_in_warps

Array = np.ndarray
Names = dict[str, int]
Steps = Generator[Operation, None, list[Array]]
"""Runs until threads meet next at each `next`, and tells the op where; gives the values of a block's terminator."""

GARBAGE = 0xA5


def run_function(
    func: FuncOp,
    arrays: Sequence[Array],
    symbols: Mapping[str, int],
    threads: int = 1,
    backwards: bool = False,
) -> None:
    """Runs a function on arrays, one for each argument; outputs are written in place. Between two barriers the first thread
    runs first, or the last one `backwards`: what depends on that order lacks a barrier.

    Arrays are contiguous, hold integers as signed ones, and may have any shape with the right number of elements.
    Raises IrkitError for an access outside an array, and where threads do not meet at the same barriers.
    """
    views: list[Array] = []
    for arg, array in zip(func.block.args, arrays, strict=True):
        shape = _shape(arg.type, symbols)
        if prod(shape) != array.size:
            raise IrkitError(
                f"an array of @{func.sym_name.data} is launched with another size",
                func,
                found=f"{array.size} elements",
                expected=f"{' x '.join(map(str, shape))}, as its signature says",
            )
        views.append(array.reshape(shape))
    shared: dict[Operation, Array] = {}
    team = [
        _Thread(tid, threads, shared).block(
            func.block, dict(zip(func.block.args, views, strict=True)), dict(symbols)
        )
        for tid in (reversed(range(threads)) if backwards else range(threads))
    ]
    with np.errstate(all="ignore"):
        while _meet(team, func) is not None:
            pass


def _meet(threads: Sequence[Steps], blame: Operation) -> Operation | None:
    """Lets all threads run until they meet, and tells at which op; None where all have ended."""
    places = [next(thread, None) for thread in threads]
    first = places[0] if places else None
    if any(place is None for place in places) and any(place is not None for place in places):
        raise IrkitError("a thread ends while others wait at a barrier", blame)
    if any(place is not first for place in places):
        raise IrkitError("threads wait for one another at different places", first or blame)
    return first


def _shape(type_: Attribute, symbols: Mapping[str, int]) -> list[int]:
    assert isinstance(type_, RefType)
    return [d.evaluate(symbols) for d in type_.shape.data]


class _Thread:
    """One thread of the team; `shared` holds the arrays of all."""

    def __init__(self, tid: int, threads: int, shared: dict[Operation, Array]):
        self.tid = tid
        self.threads = threads
        self.shared = shared
        self.is_first = tid == 0
        self.names: Names = {}
        self.env: dict[SSAValue, Array] = {}
        self.rules: dict[type[Operation], Callable[..., Sequence[Array]]] = {
            LoadOp: self._load,
            StoreOp: self._store,
            PrefetchOp: self._prefetch,
            AllocOp: self._alloc,
            ContractOp: self._contract,
            BroadcastOp: self._broadcast,
            IndexOp: self._index,
            FoldOp: self._fold,
            ExternOp: self._extern,
            ExtractOp: self._extract,
            JoinOp: lambda op: [np.stack([self.env[v] for v in op.values])],
            CopyAsyncOp: lambda op: self.copies.begin(op, self.env, self.names) or [],
            CommitCopiesOp: lambda op: self.copies.commit() or [],
            WaitCopiesOp: lambda op: self.copies.wait(op.groups.data.value or 0) or [],
        }
        self.copies = Copies()

    def block(self, block: Block, env: Mapping[SSAValue, Array], names: Mapping[str, int]) -> Steps:
        """Runs a block with more values and names in scope than before."""
        self.env.update(env)
        self.names.update(names)
        for op in block.ops:
            match op:
                case YieldOp():
                    return [self.env[v] for v in op.operands]
                case BarrierOp() | FoldThreadsOp() | MmaOp() | LoadMatrixOp():
                    yield op
                case ForOp():
                    yield from self._for(op)
                case IfOp():
                    taken = all(c.evaluate(self.names) >= 0 for c in op.conditions.data)
                    yield from self.block((op.then if taken else op.otherwise).block, {}, {})
                case _:
                    self._run(op)
        return []

    def _run(self, op: Operation) -> None:
        rule = self.rules.get(type(op))
        if rule is not None:
            results = rule(op)
        else:
            out = run_scalar(op, [self.env[v] for v in op.operands])
            results = [np.broadcast_to(out, shape_of(op.results[0].type))]
        self.env.update(zip(op.results, results, strict=True))

    def _for(self, op: ForOp) -> Steps:
        lower, upper, step = (d.evaluate(self.names) for d in (op.lower, op.upper, op.step))
        points = range(lower, upper, step)
        if op.role.data == "thread":
            self._block_of_threads(op, points)
            return []
        if op.role.data in ("parallel", "block"):
            each, extra = divmod(len(points), self.threads)
            begin = self.tid * each + min(self.tid, extra)
            points = points[begin : begin + each + (self.tid < extra)]
        carried = [self.env[v] for v in op.inits]
        for point in points:
            if op.role.data == "block":
                self.is_first = point == 0
            inner = dict(zip(op.block.args, carried, strict=True))
            carried = yield from self.block(op.block, inner, {op.variable: point})
        self.names.pop(op.variable, None)
        self.env.update(zip(op.results, carried, strict=True))
        return []

    def _block_of_threads(self, op: ForOp, points: range) -> None:
        """Runs the threads of a block, each from one place where they meet to the next."""
        threads = [_Thread(self.tid, self.threads, self.shared) for _ in points]
        for thread, point in zip(threads, points, strict=True):
            thread.is_first = self.is_first and point == 0
            thread.env.update(self.env)
        running = [
            thread.block(op.block, {}, {**self.names, op.variable: point})
            for thread, point in zip(threads, points, strict=True)
        ]
        while (place := _meet(running, op)) is not None:
            if isinstance(place, FoldThreadsOp):
                for first in range(0, len(threads), place.threads):
                    _fold_group(place, threads[first : first + place.threads])
            elif isinstance(place, MmaOp | LoadMatrixOp):
                meet_in_warps(place, threads)

    # -- memory -------------------------------------------------------------------------------------------------

    def _alloc(self, op: AllocOp) -> Sequence[Array]:
        if op in self.shared:
            return [self.shared[op]]
        dtype = np_dtype(op.ref_type.element_type)
        shape = _shape(op.ref_type, self.names)
        garbage = np.full([*shape, dtype.itemsize], GARBAGE, np.uint8)
        array = garbage.view(dtype).reshape(shape) if dtype != np.bool_ else np.ones(shape, np.bool_)
        if op.ref_type.space.data == "team":
            self.shared[op] = array
        return [array]

    def _places(self, op: Access, shape: Sequence[int]) -> list[Array]:
        """The index of each lane along each dim of the array."""
        gathered = {f"_{i}": self.env[v] for i, v in enumerate(op.indices)}
        places: list[Array] = []
        for expr in op.index.data:
            lanes = {n: gathered[n] for n in expr.names() & gathered.keys()}
            if not lanes:
                places.append(np.asarray(expr.evaluate(self.names)))
                continue
            size = max(v.size for v in lanes.values())
            flat = {n: np.broadcast_to(v.reshape(-1), size) for n, v in lanes.items()}
            values = [
                expr.evaluate({**self.names, **{n: int(v[i]) for n, v in flat.items()}}) for i in range(size)
            ]
            places.append(np.asarray(values).reshape(max((v.shape for v in lanes.values()), key=len)))
        for lane, dim in enumerate(_numbers(op.along)):
            steps = np.arange(shape[lane]).reshape([-1 if i == lane else 1 for i in range(len(shape))])
            places[dim] = places[dim] + steps
        return places

    def _valid(self, op: Access, shape: Sequence[int]) -> Array | bool:
        """Which lanes count."""
        mask: Array | bool = True
        for lane, count in enumerate(op.valid.data if op.valid is not None else ()):
            steps = np.arange(shape[lane]).reshape([-1 if i == lane else 1 for i in range(len(shape))])
            mask = mask & (steps < count.evaluate(self.names))
        return mask

    def _inside(
        self, op: Access, array: Array, places: Sequence[Array], mask: Array | bool
    ) -> tuple[Array, ...]:
        """The places as an index, those of lanes that do not count moved into the array."""
        index: list[Array] = []
        for number, (place, size) in enumerate(zip(places, array.shape, strict=True)):
            wrong = (place < 0) | (place >= size)
            if np.any(wrong & mask):
                raise IrkitError(
                    f"'{op.name}' at {op.index.data[number]} leaves dim {number} of its array",
                    op,
                    found=f"{np.broadcast_to(place, np.shape(wrong & mask))[wrong & mask].flat[0]} "
                    f"at {', '.join(f'{n} = {v}' for n, v in self.names.items())}",
                    expected=f"an index from 0 to {size - 1}",
                )
            index.append(np.where(wrong, 0, place))
        return tuple(index)

    def _load(self, op: LoadOp) -> Sequence[Array]:
        array, shape = self.env[op.array], shape_of(op.result.type)
        if op.guard is not None and any(g.evaluate(self.names) < 0 for g in op.guard.data):
            fill = op.otherwise
            assert isinstance(fill, FloatAttr | IntegerAttr)
            return [np.broadcast_to(np.asarray(fill.value.data).astype(array.dtype), shape)]
        mask = self._valid(op, shape)
        if not np.any(mask):
            return [np.zeros(shape, array.dtype)]
        found = array[self._inside(op, array, self._places(op, shape), mask)]
        return [np.where(mask, np.broadcast_to(found, shape), np.zeros((), array.dtype))]

    def _store(self, op: StoreOp) -> Sequence[Array]:
        array, value = self.env[op.array], self.env[op.value]
        mask = self._valid(op, value.shape)
        if not np.any(mask):
            return []
        index = self._inside(op, array, self._places(op, value.shape), mask)
        *places, value, mask = np.broadcast_arrays(*index, value, np.asarray(mask))
        array[tuple(p[mask] for p in places)] = value[mask] if places else value
        return []

    def _prefetch(self, op: PrefetchOp) -> Sequence[Array]:
        """Nothing but the check of what it asks for."""
        shape = shape_of(op.covers)
        mask = self._valid(op, shape)
        if np.any(mask):
            self._inside(op, self.env[op.array], self._places(op, shape), mask)
        return []

    def _extern(self, op: ExternOp) -> Sequence[Array]:
        if self.is_first:
            symbols = {n: int(v) for n, v in self.names.items()}
            run_extern(op, [self.env[v] for v in op.inputs], [self.env[v] for v in op.outputs_], symbols)
        return []

    # -- values -------------------------------------------------------------------------------------------------

    def _contract(self, op: ContractOp) -> Sequence[Array]:
        lhs, rhs, acc = (self.env[v] for v in op.operands)
        return [(acc + lhs[:, None] * rhs[None, :]).astype(acc.dtype)]

    def _broadcast(self, op: BroadcastOp) -> Sequence[Array]:
        value, shape = self.env[op.value], shape_of(op.result.type)
        along = _numbers(op.along)
        order = np.argsort(along)
        value = value.transpose(order) if value.ndim else value
        sizes = [shape[d] if d in along else 1 for d in range(len(shape))]
        return [np.broadcast_to(value.reshape(sizes), shape)]

    def _index(self, op: IndexOp) -> Sequence[Array]:
        shape = shape_of(op.result.type)
        first = np.asarray(op.expr.data.evaluate(self.names), np.int64)
        if not shape:
            return [first]
        lanes = first + np.arange(shape[-1]) * op.stride.data.evaluate(self.names)
        return [np.broadcast_to(lanes, shape)]

    def _extract(self, op: ExtractOp) -> Sequence[Array]:
        part = self.env[op.value][tuple(e.evaluate(self.names) for e in op.index.data)]
        return [part.reshape(shape_of(op.result.type))]

    def _fold(self, op: FoldOp) -> Sequence[Array]:
        return self.fold(op.combine.block, [self.env[v] for v in op.inputs])

    def fold(self, block: Block, lanes: list[Array]) -> list[Array]:
        """Combines lanes in halves."""
        last = block.last_op
        assert last is not None
        while (half := lanes[0].shape[-1] // 2) > 0:
            halves = [*(v[..., :half] for v in lanes), *(v[..., half : 2 * half] for v in lanes)]
            self.env.update(zip(block.args, halves, strict=True))
            for inner in block.ops:
                if inner is not last:
                    self.env[inner.results[0]] = run_scalar(inner, [self.env[v] for v in inner.operands])
            lanes = [self.env[v] for v in last.operands]
        return [v[..., 0] for v in lanes]


def _fold_group(op: FoldThreadsOp, threads: Sequence[_Thread]) -> None:
    """What a group of threads holds, combined; each of them gets it."""
    lanes = [np.stack([thread.env[v] for thread in threads]) for v in op.inputs]
    found = threads[0].fold(op.combine.block, lanes)
    for thread in threads:
        thread.env.update(zip(op.results, found, strict=True))


def _numbers(dims: DimsAttr | None) -> list[int]:
    """Dims that are known integers."""
    return [d.value for d in dims.data if d.value is not None] if dims is not None else []
