"""buffer-to-upstream: a level change from nests and the host program to the dialects of MLIR itself."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects import builtin
from xdsl.passes import ModulePass

from dialects import buffer, loop
from lowering.upstream.kernel import export_kernel
from lowering.upstream.program import export_program


@dataclass(frozen=True)
class BufferToUpstream(ModulePass):
    """Exports kernels and the host program to func, scf, memref, vector, arith and math, for `mlir-opt`.

    Expects: nests, and the host program of the buffer level where there is one.
    Does: (1) each `loop.func` @k becomes a function @k_k over memrefs: loops scf.for, parallel ones scf.parallel, vector
    accesses transfers, and what arith leaves undefined spelled out; (2) the `buffer.program` becomes a function that
    allocates the arena and calls them.
    Leaves: nothing of irkit's own dialects; a kernel written by hand in C is an error.
    """

    name = "buffer-to-upstream"

    def apply(self, ctx: Context, op: builtin.ModuleOp) -> None:
        kernels = {o.sym_name.data: o for o in op.ops if isinstance(o, loop.FuncOp)}
        exported = [(o, export_kernel(o)) for o in kernels.values()]
        programs = [(o, *export_program(o, kernels)) for o in op.ops if isinstance(o, buffer.ProgramOp)]
        block = op.body.block
        for old, new in exported:
            block.insert_op_before(new, old)
            block.erase_op(old)
        for old, new, constants in programs:
            block.insert_ops_before([*constants, new], old)
            block.erase_op(old)
