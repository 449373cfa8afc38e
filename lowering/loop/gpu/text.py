"""As text: a kernel written by hand, run by the threads of a grid."""

from __future__ import annotations

from xdsl.dialects.builtin import IntegerType

from dialects import loop
from dialects.dims import ONE, ZERO, Dim, ceildiv, dmin, product
from dialects.kernel import ExternOp
from dialects.types import RefType, ref
from lowering.kernel.extern import call, implementation, on_arrays
from lowering.loop.gpu.grid import Form, Grid
from lowering.target import Gpu

BLOCKS = 4
"""Blocks for each multiprocessor, at most: threads of C text take as many rows as there are."""


class Text(Form):
    """A grid as the kernel says; for C text that of one team, with a thread for each element of the result at most, or one
    block where each thread has memory of its own."""

    kind = "text"

    def __init__(self, op: ExternOp, gpu: Gpu):
        self.op, self.gpu = op, gpu
        self.kernel = implementation(op, "cuda")
        self.is_cuda = self.kernel.target == "cuda"
        self.scratch = Dim.of(self.kernel.scratch(call(op)))
        self.threads = (
            self.kernel.threads if self.is_cuda else gpu.threads if self.scratch == ZERO else gpu.warp
        )

    def blocks(self, threads: int) -> Dim:
        if self.is_cuda:
            return Dim.of(self.kernel.blocks(call(self.op)))
        if self.scratch != ZERO:
            return ONE
        result = self.op.outputs_[0].type
        assert isinstance(result, RefType)
        return dmin(ceildiv(product(result.shape.data), threads), BLOCKS * self.gpu.processors)

    def fill(self, grid: Grid) -> None:
        scratch = None
        if self.scratch != ZERO:
            space, block = ("team", grid.team) if self.is_cuda else ("scratch", grid.inside)
            alloc = loop.AllocOp(ref(IntegerType(8), [self.scratch], space=space))
            block.add_op(alloc)
            scratch = alloc.result
        grid.inside.add_op(on_arrays(self.op, grid.values, scratch))


def text_of(func: loop.FuncOp) -> ExternOp | None:
    """The kernel written by hand that a function is, beside the memory that it has."""
    ops = [op for op in func.block.ops if not isinstance(op, loop.AllocOp)]
    return ops[0] if len(ops) == 1 and isinstance(ops[0], ExternOp) else None
