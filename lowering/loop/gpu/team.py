"""As a team: one block runs a function as the threads of a CPU would, when its nests have no form of their own.

Parallel loops are split between the threads of the block, barriers are its barriers, all else is done by each thread; where
that would write to one place more than once, one thread is the whole team. Arrays of the function lie in memory that the
launcher is given.
"""

from __future__ import annotations

from xdsl.ir import Operation

from dialects import loop
from dialects.dims import ONE, Dim, ceildiv
from dialects.kernel import ExternOp
from lowering.loop.gpu.chain import Mover, threads_for
from lowering.loop.gpu.grid import Form, Grid
from lowering.target import Gpu


class Team(Form):
    """One block for the whole function."""

    kind = "team"

    def __init__(self, func: loop.FuncOp, gpu: Gpu):
        self.func = func
        self.threads = self._threads(gpu)

    def _threads(self, gpu: Gpu) -> int:
        """One, or enough for the longest of the loops that they share."""
        shared = [op for op in self.func.body.walk() if _is_shared(op)]
        if any(_is_alone(op) for op in self.func.body.walk()):
            return 1
        counts = [ceildiv(op.upper - op.lower, op.step).value for op in shared if isinstance(op, loop.ForOp)]
        known = [count for count in counts if count is not None]
        all_known = len(known) == len(shared) and known
        return threads_for(max(known) if all_known else gpu.threads, gpu.warp, gpu.threads)

    def blocks(self, threads: int) -> Dim:
        return ONE

    def fill(self, grid: Grid) -> None:
        team = (grid.thread, grid.threads) if grid.threads > 1 else None
        mover = Mover({}, dict(grid.values), team)
        for op in self.func.block.ops:
            space = op.ref_type.space.data if isinstance(op, loop.AllocOp) else ""
            mover.copy(op, grid.team if space == "team" else grid.inside)


def _is_shared(op: Operation) -> bool:
    """Whether the threads of a team share an op."""
    return isinstance(op, ExternOp) or (isinstance(op, loop.ForOp) and op.role.data == "parallel")


def _is_alone(op: Operation) -> bool:
    """Whether an op cannot be done by several threads: a store that each of them would make to an array of all, or a barrier in
    a loop that they share."""
    within = False
    around = op.parent_op()
    while around is not None and not isinstance(around, loop.FuncOp):
        within = within or _is_shared(around)
        around = around.parent_op()
    if isinstance(op, loop.BarrierOp):
        return within
    if not isinstance(op, loop.StoreOp):
        return False
    owner = op.array.owner
    private = isinstance(owner, loop.AllocOp) and owner.ref_type.space.data in ("scratch", "stack")
    return not within and not private
