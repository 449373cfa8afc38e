"""Row by row: a block for each iteration of the independent loops, whose reductions its threads share.

A reduction in lanes is a loop whose states a `loop.fold` combines; what lanes may do, threads may: each starts from the
initial state and takes every so many steps. Warps combine their states, then one of each warp in shared memory. Loops that
only write are split between the threads, all else is done by each of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import Block, Operation, Region, SSAValue

from dialects import loop
from dialects.dims import Dim, ceildiv, product
from dialects.types import ref
from lowering.loop.gpu.chain import (
    Chain,
    Mover,
    first_thread,
    is_independent,
    numbers_of,
    threads_for,
)
from lowering.loop.remade import fresh_name
from lowering.target import Gpu

LEAST_STEPS = 8
"""Reductions of fewer steps are not worth a block."""


def rows_reduced(chain: Chain) -> list[loop.ForOp]:
    """The loops of a body that threads may share: reductions in lanes with enough steps. None where the body also has what
    rows do not cover."""
    folded = {value.owner for op in chain.body if isinstance(op, loop.FoldOp) for value in op.inputs}
    loops = [op for op in chain.body if isinstance(op, loop.ForOp) and op in folded]
    steps = [ceildiv(op.upper - op.lower, op.step).value for op in loops]
    if all(count is not None and count < LEAST_STEPS for count in steps) or not _is_covered(chain.body):
        return []
    return loops


def _is_covered(body: Sequence[Operation]) -> bool:
    """Whether nothing reads what another thread may have written."""
    stored = {inner.array for op in body for inner in op.walk() if isinstance(inner, loop.StoreOp)}
    read = {inner.array for op in body for inner in op.walk() if isinstance(inner, loop.LoadOp)}
    writers = [op for op in body if _writes(op)]
    return not stored & read and all(not op.results for op in writers)


def _writes(op: Operation) -> bool:
    return any(isinstance(inner, loop.StoreOp) for inner in op.walk())


def map_rows(func: loop.FuncOp, chain: Chain, body: Block, gpu: Gpu) -> None:
    """Fills a body."""
    _Rows(func, chain, body, gpu).fill()


class _Rows:
    def __init__(self, func: loop.FuncOp, chain: Chain, body: Block, gpu: Gpu):
        self.chain, self.gpu = chain, gpu
        self.shared = set(rows_reduced(chain))
        self.size = self._threads()
        counts = chain.counts(func.symbols.ranges())
        self.blocks = loop.ForOp(fresh_name("b", func), 0, product(counts), role="block")
        self.threads = loop.ForOp(fresh_name("t", func), 0, self.size, role="thread")
        body.add_op(self.blocks)
        self.thread = Dim.of(self.threads.variable)
        numbers = zip(chain.axes, numbers_of(Dim.of(self.blocks.variable), counts), strict=True)
        names = {axis.variable: axis.at(number) for axis, number in numbers}
        self.mover = Mover(names, dict(zip(func.block.args, body.args, strict=True)))

    def _threads(self) -> int:
        """Enough for one step each of the longest loop whose length is known."""
        loops = [op for op in self.chain.body if isinstance(op, loop.ForOp)]
        steps = [ceildiv(op.upper - op.lower, op.step).value for op in loops]
        known = [n for n in steps if n is not None]
        wanted = max(known) if len(known) == len(steps) else self.gpu.threads
        return threads_for(wanted, self.gpu.warp, self.gpu.threads)

    def fill(self) -> None:
        for op in self.chain.body:
            self._place(op)
        self.blocks.block.add_op(self.threads)

    def _place(self, op: Operation) -> None:
        inside = self.threads.block
        if op in self.shared or (isinstance(op, loop.ForOp) and _writes(op) and is_independent(op)):
            self._split(op)  # pyright: ignore[reportArgumentType]
        elif isinstance(op, loop.FoldOp) and all(value.owner in self.shared for value in op.inputs):
            self._fold(op)
        elif _writes(op):
            branch = loop.IfOp(first_thread(self.thread))
            inside.add_op(branch)
            self.mover.copy(op, branch.then.block)
        else:
            self.mover.copy(op, inside)

    def _split(self, op: loop.ForOp) -> None:
        """Every so many iterations of a loop for each thread."""
        new = self.mover.copy(op, self.threads.block)
        assert isinstance(new, loop.ForOp)
        lower, step = new.lower + self.thread * new.step, new.step * self.size
        new.properties["lower_"] = type(new.lower_)(lower)
        new.properties["step_"] = type(new.step_)(step)

    def _fold(self, op: loop.FoldOp) -> None:
        """The lanes of each thread, the threads of each warp, and one of each warp."""
        inside, warp = self.threads.block, self.gpu.warp
        self.mover.copy(op, inside)
        values = [self.mover.values[r] for r in op.results]
        values = self._fold_threads(op, values, min(warp, self.size))
        if self.size > warp:
            warps = self.size // warp
            arrays = [self._shared(v, warps) for v in values]
            branch = loop.IfOp(first_thread(self.thread % warp))
            inside.add_op(branch)
            for value, array in zip(values, arrays, strict=True):
                branch.then.block.add_op(loop.StoreOp(value, array, [self.thread // warp]))
            inside.add_op(loop.BarrierOp())
            loads = [loop.LoadOp(array, [self.thread % warps]) for array in arrays]
            inside.add_ops(loads)
            values = self._fold_threads(op, [load.result for load in loads], warps)
        self.mover.values.update(zip(op.results, values, strict=True))

    def _shared(self, value: SSAValue, count: int) -> SSAValue:
        alloc = loop.AllocOp(ref(value.type, [count], space="shared"))
        alloc.result.name_hint = "warps"
        self.blocks.block.add_op(alloc)
        return alloc.result

    def _fold_threads(self, op: loop.FoldOp, values: Sequence[SSAValue], size: int) -> list[SSAValue]:
        region = Region()
        op.combine.clone_into(region, value_mapper=dict(self.mover.values))
        new = loop.FoldThreadsOp(values, size, region)
        self.threads.block.add_op(new)
        return list(new.results)
