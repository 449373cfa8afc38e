"""Cumulative ops as scans."""

from __future__ import annotations

from xdsl.ir import SSAValue

from dialects.dims import ONE, ZERO, Dim
from dialects.graph.scan import KINDS, Scan
from lowering.kernel.builder import Builder
from lowering.kernel.rules.parameters import axis_of, flag
from lowering.kernel.rules.reduction import operator


def scanned(b: Builder, op: Scan, axes: tuple[Dim, ...]) -> tuple[SSAValue, tuple[Dim, ...]]:
    """The field of the result at a point of its axes, and the index at which it stands."""
    x = op.operands[0]
    shape = b.shape(x)
    dim = axis_of(op, len(shape))
    step, neutral = operator(KINDS[op.name.removeprefix("graph.")], b.element(x))
    index = tuple(
        shape[d] - 1 - axis if d == dim and flag(op, "reverse") else axis for d, axis in enumerate(axes)
    )
    value = b.at(x, index)
    if shape[dim] == ONE:
        return (b.constant(neutral, value.type) if flag(op, "exclusive") else value), (
            *index[:dim],
            ZERO,
            *index[dim + 1 :],
        )
    return b.scan(axes[dim], value, neutral, step, flag(op, "exclusive")), index
