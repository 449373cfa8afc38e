"""Recognises contractions: reductions that sum products of two fields."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from xdsl.dialects import arith
from xdsl.ir import SSAValue

from dialects.dims import Dim
from dialects.kernel import DefOp, ReduceOp, WriteOp
from lowering.kernel.fields import Axes, field_axes


@dataclass(frozen=True)
class Contraction:
    """sum over k of lhs[batch, m, k] * rhs[batch, n, k]; axis names in declaration order, n holds the unit-stride one.

    `lhs` and `rhs` are fields of the kernel's body. Of several axes that only `lhs` has, the last is that of the rows, and the
    others count as batch, along which `rhs` stays the same. So it is with those that only `rhs` has and the columns, which
    are along the unit-stride one. `spread` are these others.
    """

    reduce: ReduceOp
    lhs: SSAValue
    rhs: SSAValue
    batch: tuple[str, ...]
    m: tuple[str, ...]
    n: tuple[str, ...]
    k: tuple[str, ...]
    spread: tuple[str, ...] = ()


def panel_index(column: str, reduced: str, size: int) -> tuple[Dim, Dim, Dim]:
    """Where an array of panels has an element of the right operand: panel, reduced point, column in the panel."""
    place = Dim.of(column)
    return place // size, Dim.of(reduced), place % size


def contractions(kernel: DefOp) -> Iterator[Contraction]:
    """The reductions of a kernel that are contractions."""
    axes = field_axes(kernel)
    for op in kernel.block.ops:
        if isinstance(op, ReduceOp) and (found := match_contraction(kernel, op, axes)) is not None:
            yield found


def match_contraction(kernel: DefOp, op: ReduceOp, axes: dict[SSAValue, Axes]) -> Contraction | None:
    """The contraction that a reduction is, or None: step is acc + a * b of two elements, finish is the identity."""
    operands = _summed_product(op)
    if operands is None:
        return None
    lhs, rhs = (op.inputs[i] for i in operands)
    reduced = frozenset(op.axes)
    a, b = axes[lhs], axes[rhs]
    if not (reduced <= a and reduced <= b):
        return None
    order = [name for name, _ in kernel.axes.data]
    m, n, both = a - b, b - a, (a & b) - reduced
    fast = unit_stride_axis(kernel)
    if fast in m:
        lhs, rhs, m, n = rhs, lhs, n, m

    def ordered(names: Axes) -> tuple[str, ...]:
        return tuple(x for x in order if x in names)

    rows, columns = ordered(m), ordered(n)
    last = (fast,) if fast in n else columns[-1:]
    spread = {*rows[:-1]} | {*columns} - {*last}
    return Contraction(
        op, lhs, rhs, ordered(both | spread), rows[-1:], last, ordered(reduced), ordered(frozenset(spread))
    )


def unit_stride_axis(kernel: DefOp) -> str | None:
    """The axis along which the first output is contiguous."""
    for op in kernel.block.ops:
        if isinstance(op, WriteOp) and op.index.data:
            names = op.index.data[-1].names()
            return next(iter(names)) if len(names) == 1 else None
    return None


def _summed_product(op: ReduceOp) -> tuple[int, int] | None:
    """The positions of the two elements whose product the step adds to its only state."""
    if len(op.state_types) != 1:
        return None
    finish, step = op.finish.block, op.step.block
    end, last = finish.last_op, step.last_op
    assert end is not None and last is not None
    if end.operands[0] is not finish.args[0]:
        return None
    total = last.operands[0].owner
    if not isinstance(total, arith.AddfOp):
        return None
    acc = step.args[0]
    product = total.rhs if total.lhs is acc else total.lhs if total.rhs is acc else None
    if product is None or not isinstance(mul := product.owner, arith.MulfOp):
        return None
    elements: list[SSAValue] = list(step.args[1:])
    if mul.lhs not in elements or mul.rhs not in elements:
        return None
    return elements.index(mul.lhs), elements.index(mul.rhs)
