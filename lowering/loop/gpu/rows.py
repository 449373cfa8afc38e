"""Row by row: a block or a warp for each iteration of the independent loops, whose reductions its threads share.

What several loops over a row read or compute stays with the thread (`kept.py`) where the row is short enough. Of a reduction
in lanes each thread starts from the initial state and takes every so many steps (`shared.py`). Warps combine their states,
then one of each warp in shared memory. Loops that only write are split between the threads, all else is done by each of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import Block, Operation, Region, SSAValue

from dialects import loop
from dialects.dims import Dim, ceildiv, dmin, product
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
from lowering.loop.gpu.kept import kept_in
from lowering.loop.gpu.parts import accesses_of, writes
from lowering.loop.gpu.shared import Shared, shared_in, sums_in
from lowering.loop.remade import fresh_name
from lowering.target import Gpu

LEAST_STEPS = 8
"""Reductions of fewer steps are not worth a block."""

LEAST_SUM = 64
"""Nor plain sums."""

ROOM = ((32, 128), (64, 64), (128, 64), (256, 64), (512, 128), (1024, 128))
"""Threads of a row, and the bytes that each may keep of it: few enough that several blocks have registers at once."""

STEPS_OF_WARP = 8
"""Rows of up to so many steps for each thread of a warp are a warp's."""

BLOCKS = 4
"""For each multiprocessor, before a block takes several rows."""


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
    """A block for each iteration of the independent loops, or a warp where the row is short."""

    kind = "rows"

    def __init__(self, func: loop.FuncOp, chain: Chain, reductions: Sequence[Shared], gpu: Gpu):
        self.func, self.chain, self.gpu = func, chain, gpu
        self.split = {shared.loop: shared for shared in reductions}
        self.counts = chain.counts(func.symbols.ranges())
        self.total = product(self.counts)
        self.kept = kept_in([op for op in chain.body if isinstance(op, loop.ForOp) and self.is_split(op)])
        self.row = self._threads_of_row()
        self.threads = self.row if self.row > gpu.warp else gpu.warp * self._rows()

    def is_split(self, op: loop.ForOp) -> bool:
        """Whether threads take steps of a loop itself."""
        if op in self.split:
            return self.split[op].lanes is op
        return writes(op) and is_independent(op)

    def _threads_of_row(self) -> int:
        """Enough to keep what is read again, else for one step each of the longest loop whose length is known. Short rows are
        a warp's, where there are many."""
        loops = [op for op in self.chain.body if isinstance(op, loop.ForOp)]
        counted = [self.split[op].lanes if op in self.split else op for op in loops]
        steps = [ceildiv(op.upper - op.lower, op.step).value for op in counted]
        known = [n for n in steps if n is not None]
        wanted = max(known) if len(known) == len(steps) else self.gpu.threads
        enough = threads_for(wanted, self.gpu.warp, self.gpu.threads)
        least = self.gpu.warp if self._most_rows() > self.gpu.processors else enough
        for threads, room in ROOM:
            if self.kept and least <= threads <= self.gpu.most_threads and self._held(threads) <= room:
                return threads
        self.kept = []
        is_short = len(known) == len(steps) and wanted <= self.gpu.warp * STEPS_OF_WARP
        return least if is_short else enough

    def _most_rows(self) -> float:
        return self.total.bounds(self.func.symbols.ranges())[1]

    def _held(self, threads: int) -> int:
        return sum(kept.held(threads) for kept in self.kept)

    def _rows(self) -> int:
        """The rows of a block that has a warp for each: several where there are blocks for all processors still."""
        most = self.gpu.threads // self.gpu.warp
        wanted = int(min(most, self._most_rows() // (BLOCKS * self.gpu.processors)))
        return max(1, 1 << max(0, wanted.bit_length() - 1))

    def blocks(self, threads: int) -> Dim:
        return ceildiv(self.total, threads // self.row_of(threads))

    def row_of(self, threads: int) -> int:
        """The threads of a row in blocks of so many."""
        return self.row if self.row <= self.gpu.warp else threads

    def fill(self, grid: Grid) -> None:
        _Row(self, grid).fill()


class _Row:
    """What the threads of one row do."""

    def __init__(self, form: Rows, grid: Grid):
        self.form, self.grid = form, grid
        self.inside, self.warp = grid.inside, form.gpu.warp
        self.size = form.row_of(grid.threads)
        self.moved: dict[Operation, loop.ForOp] = {}
        rows, number, self.thread = grid.threads // self.size, grid.number, grid.thread
        self.exists: list[Dim] = []
        if rows > 1:
            number, self.thread = number * rows + grid.thread // self.size, grid.thread % self.size
            if (
                form.total.value is None or form.total.value % rows
            ):  # all threads meet, and the last row is read again
                self.exists = [form.total - 1 - number]
                number = dmin(number, form.total - 1)
        numbers = zip(form.chain.axes, numbers_of(number, form.counts), strict=True)
        names = {axis.variable: axis.at(number) for axis, number in numbers}
        self.mover = Mover(names, dict(grid.values))

    def fill(self) -> None:
        meets = _takes_memory(self.form.func, self.form.chain.body)
        for op in self.form.chain.body:
            if meets and writes(op):
                self.inside.add_op(loop.BarrierOp())
                meets = False
            self._place(op)
        for kept in self.form.kept:
            start = self.inside.first_op
            assert start is not None
            kept.unroll(self.moved, start, self.size, fresh_name("n", self.form.func))

    def _place(self, op: Operation) -> None:
        shared = self.form.split.get(op)  # pyright: ignore[reportArgumentType]
        if shared is not None:
            self._share(shared)
        elif isinstance(op, loop.ForOp) and self.form.is_split(op):
            new = self.mover.copy(op, self._where([]))
            split_loop(new, self.thread, self.size)
            self.moved[op] = new  # pyright: ignore[reportArgumentType]
        elif isinstance(op, loop.FoldOp) and any(s.fold is op for s in self.form.split.values()):
            self.mover.copy(op, self.inside)
            self._fold(op.combine, op.results)
        elif writes(op):
            self.mover.copy(op, self._where(first_thread(self.thread)))
        else:
            self.mover.copy(op, self.inside)

    def _where(self, conditions: list[Dim]) -> Block:
        """Where a thread writes: under conditions, and if it has a row."""
        if not (conditions := conditions + self.exists):
            return self.inside
        branch = loop.IfOp(conditions)
        self.inside.add_op(branch)
        return branch.then.block

    def _share(self, shared: Shared) -> None:
        """Every so many steps for each thread; a fold of lanes comes first where there is one."""
        place = list(shared.loop.walk()).index(shared.lanes)
        new = self.mover.copy(shared.loop, self.inside)
        split_loop(list(new.walk())[place], self.thread, self.size)
        self.moved[shared.loop] = new  # pyright: ignore[reportArgumentType]
        if shared.fold is None:
            self._fold(shared.combine, shared.loop.results)

    def _fold(self, combine: Region, results: Sequence[SSAValue]) -> None:
        """What each thread has, folded as the lanes are: the threads of each warp, and one of each warp."""
        inside, warp, thread = self.inside, self.warp, self.thread
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
