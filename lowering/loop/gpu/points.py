"""Point by point: a thread for each iteration of the independent loops, whatever their body is."""

from __future__ import annotations

from dialects import loop
from dialects.dims import Dim, ceildiv, product
from lowering.loop.gpu.chain import Chain, Mover, numbers_of, threads_for
from lowering.loop.gpu.grid import Form, Grid
from lowering.target import Gpu


class Points(Form):
    """Neighbouring threads take neighbouring points of the innermost loop; without a loop one thread does all."""

    kind = "points"

    def __init__(self, func: loop.FuncOp, chain: Chain, gpu: Gpu):
        self.chain = chain
        self.counts = chain.counts(func.symbols.ranges())
        self.total = product(self.counts)
        self.threads = threads_for(self.total.value or gpu.threads, gpu.warp, gpu.threads)

    def blocks(self, threads: int) -> Dim:
        return ceildiv(self.total, threads)

    def fill(self, grid: Grid) -> None:
        inside, size = grid.inside, grid.threads
        point = grid.number * size + grid.thread
        if self.total.value is None or self.total.value % size:
            branch = loop.IfOp([self.total - 1 - point])
            inside.add_op(branch)
            inside = branch.then.block
        numbers = zip(self.chain.axes, numbers_of(point, self.counts), strict=True)
        names = {axis.variable: axis.at(number) for axis, number in numbers}
        mover = Mover(names, dict(grid.values))
        for op in self.chain.body:
            mover.copy(op, inside)
