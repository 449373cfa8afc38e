"""What kernel-merge-reductions says of the chains that it merges, and of reductions that go on waiting for another."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xdsl.ir import SSAValue

from dialects.kernel import DefOp, ReduceOp
from lowering.remarks import Reporter, counted, label_of


def merged(tell: Reporter, top: ReduceOp, sums: Sequence[ReduceOp], kernel: DefOp) -> None:
    """A maximum and the sums over exp(x - maximum) become one reduction."""
    message = f"a maximum and {counted(len(sums), 'sum')} over {', '.join(top.axes)} walk their row once"
    reason = f"in {label_of(kernel)} each sum is of exp(x - maximum), and is rescaled when the maximum grows"
    tell.applied(top, message, reason, sums, kernel=kernel.sym_name.data, sums=len(sums))


def waiting(
    tell: Reporter,
    kernel: DefOp,
    is_maximum: Callable[[ReduceOp], bool],
    why_not: Callable[[ReduceOp, ReduceOp], str],
) -> None:
    """Each reduction that needs the result of one before it, a maximum or one over the same axes: why they are not one."""
    needs: dict[SSAValue, ReduceOp] = {}
    for op in kernel.block.ops:
        first = next((needs[v] for v in op.operands if v in needs), None)
        if isinstance(op, ReduceOp):
            if first is not None and (first.over == op.over or is_maximum(first)):
                message = f"a reduction over {', '.join(op.axes)} waits for one over {', '.join(first.axes)}"
                reason = f"in {label_of(kernel)} {why_not(first, op)}"
                tell.missed(op, message, reason, [first], kernel=kernel.sym_name.data)
            needs.update((r, op) for r in op.results)
        elif first is not None:
            needs.update((r, first) for r in op.results)
