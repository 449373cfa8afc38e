"""Row by row: a block for each iteration of the independent loops, whose reductions its threads share.

Of a reduction in lanes each thread starts from the initial state and takes every so many steps (`shared.py`). Warps combine
their states, then one of each warp in shared memory. Loops that only write are split between the threads, all else is done
by each of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import Operation, Region, SSAValue

from dialects import loop
from dialects.dims import Dim, ceildiv, product
from dialects.types import ref
from lowering.loop.gpu.chain import (
    Chain,
    Mover,
    first_thread,
    is_independent,
    numbers_of,
    split_loop,
    threads_for,
)
from lowering.loop.gpu.grid import Form, Grid
from lowering.loop.gpu.parts import accesses_of, writes
from lowering.loop.gpu.shared import Shared, shared_in, sums_in
from lowering.target import Gpu

LEAST_STEPS = 8
"""Reductions of fewer steps are not worth a block."""

LEAST_SUM = 64
"""Nor plain sums."""


def rows_reduced(chain: Chain, *, plain: bool = False) -> list[Shared]:
    """The reductions of a body that threads may share, those in lanes or plain sums too, with enough steps. None where the body
    also has what rows do not cover."""
    found = shared_in(chain.body) + (sums_in(chain.body) if plain else [])
    steps = [shared.steps.value for shared in found]
    least = LEAST_SUM if plain else LEAST_STEPS
    if all(count is not None and count < least for count in steps) or not _is_covered(chain.body):
        return []
    return found


def _is_covered(body: Sequence[Operation]) -> bool:
    """Whether nothing reads what another thread may have written."""
    accesses = accesses_of(body)
    stored = {access.array for access in accesses if isinstance(access, loop.StoreOp)}
    read = {access.array for access in accesses if isinstance(access, loop.LoadOp)}
    return not stored & read and all(not op.results for op in body if writes(op))


def _takes_memory(func: loop.FuncOp, body: Sequence[Operation]) -> bool:
    """Whether a result may lie in the memory of an operand, whose elements threads read that do not write them."""
    written = {access.array for access in accesses_of(body) if isinstance(access, loop.StoreOp)}
    pairs = zip(func.block.args, func.signature.data, strict=True)
    return any(arg in written and facts.alias_of is not None for arg, facts in pairs)


class Rows(Form):
    """A block for each iteration of the independent loops."""

    kind = "rows"

    def __init__(self, func: loop.FuncOp, chain: Chain, reductions: Sequence[Shared], gpu: Gpu):
        self.func, self.chain, self.gpu = func, chain, gpu
        self.split = {shared.loop: shared for shared in reductions}
        self.counts = chain.counts(func.symbols.ranges())
        self.threads = self._threads()

    def _threads(self) -> int:
        """Enough for one step each of the longest loop whose length is known."""
        loops = [op for op in self.chain.body if isinstance(op, loop.ForOp)]
        counted = [self.split[op].lanes if op in self.split else op for op in loops]
        steps = [ceildiv(op.upper - op.lower, op.step).value for op in counted]
        known = [n for n in steps if n is not None]
        wanted = max(known) if len(known) == len(steps) else self.gpu.threads
        return threads_for(wanted, self.gpu.warp, self.gpu.threads)

    def blocks(self, threads: int) -> Dim:
        return product(self.counts)

    def fill(self, grid: Grid) -> None:
        _Row(self, grid).fill()


class _Row:
    """What the block of one row does."""

    def __init__(self, form: Rows, grid: Grid):
        self.form, self.grid = form, grid
        self.inside, self.size, self.warp = grid.inside, grid.threads, form.gpu.warp
        numbers = zip(form.chain.axes, numbers_of(grid.number, form.counts), strict=True)
        names = {axis.variable: axis.at(number) for axis, number in numbers}
        self.mover = Mover(names, dict(grid.values))

    def fill(self) -> None:
        meets = _takes_memory(self.form.func, self.form.chain.body)
        for op in self.form.chain.body:
            if meets and writes(op):
                self.inside.add_op(loop.BarrierOp())
                meets = False
            self._place(op)

    def _place(self, op: Operation) -> None:
        shared = self.form.split.get(op)  # pyright: ignore[reportArgumentType]
        if shared is not None:
            self._share(shared)
        elif isinstance(op, loop.ForOp) and writes(op) and is_independent(op):
            split_loop(self.mover.copy(op, self.inside), self.grid.thread, self.size)
        elif isinstance(op, loop.FoldOp) and any(s.fold is op for s in self.form.split.values()):
            self.mover.copy(op, self.inside)
            self._fold(op.combine, op.results)
        elif writes(op):
            branch = loop.IfOp(first_thread(self.grid.thread))
            self.inside.add_op(branch)
            self.mover.copy(op, branch.then.block)
        else:
            self.mover.copy(op, self.inside)

    def _share(self, shared: Shared) -> None:
        """Every so many steps for each thread; a fold of lanes comes first where there is one."""
        place = list(shared.loop.walk()).index(shared.lanes)
        new = self.mover.copy(shared.loop, self.inside)
        split_loop(list(new.walk())[place], self.grid.thread, self.size)
        if shared.fold is None:
            self._fold(shared.combine, shared.loop.results)

    def _fold(self, combine: Region, results: Sequence[SSAValue]) -> None:
        """What each thread has, folded as the lanes are: the threads of each warp, and one of each warp."""
        inside, warp, thread = self.inside, self.warp, self.grid.thread
        values = [self.mover.values[r] for r in results]
        values = self._fold_threads(combine, values, min(warp, self.size))
        if self.size > warp:
            warps = self.size // warp
            arrays = [self._shared(v, warps) for v in values]
            branch = loop.IfOp(first_thread(thread % warp))
            inside.add_op(branch)
            for value, array in zip(values, arrays, strict=True):
                branch.then.block.add_op(loop.StoreOp(value, array, [thread // warp]))
            inside.add_op(loop.BarrierOp())
            loads = [loop.LoadOp(array, [thread % warps]) for array in arrays]
            inside.add_ops(loads)
            values = self._fold_threads(combine, [load.result for load in loads], warps)
        self.mover.values.update(zip(results, values, strict=True))

    def _shared(self, value: SSAValue, count: int) -> SSAValue:
        alloc = loop.AllocOp(ref(value.type, [count], space="shared"))
        alloc.result.name_hint = "warps"
        self.grid.shared.add_op(alloc)
        return alloc.result

    def _fold_threads(self, combine: Region, values: Sequence[SSAValue], size: int) -> list[SSAValue]:
        region = Region()
        combine.clone_into(region, value_mapper=dict(self.mover.values))
        new = loop.FoldThreadsOp(values, size, region)
        self.inside.add_op(new)
        return list(new.results)
