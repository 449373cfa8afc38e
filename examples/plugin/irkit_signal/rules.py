"""How softclip reads as a field of a kernel."""

from __future__ import annotations

from xdsl.dialects import arith, math
from xdsl.ir import Operation, SSAValue

from lowering.kernel.builder import Builder, Index


def softclip(b: Builder, op: Operation, index: Index) -> SSAValue:
    """x / (1 + |x|), point by point."""
    x = b.at(op.operands[0], index)
    size = b.binary(arith.AddfOp, b.constant(1.0, x.type), b.add(math.AbsFOp(x)))
    return b.binary(arith.DivfOp, x, size)
