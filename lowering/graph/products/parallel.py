"""Which products read the same tensor, and whether one product of all their columns costs less."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from xdsl.ir import Block, SSAValue

from dialects.dims import ceildiv, product
from dialects.graph import GraphOp
from dialects.graph.carrying import has_quantised
from dialects.graph.contraction import Conv2dOp, MatmulOp
from dialects.graph.kernels import runs_by_hand
from dialects.graph.ranges import symbol_ranges
from dialects.types import dims_of, is_complex
from lowering.graph.products.weights import Weights
from lowering.rewriting import is_scheduled
from lowering.target import Target

FEW_ROWS = 16
"""So many rows leave a product waiting for its weights: one long walk over them is faster than several."""

LONG_SUM = 128
"""Terms of a sum from which on columns that do not even fill one register tile pay for their slices."""


@dataclass(frozen=True)
class Parallel:
    """Products, in order, that read one tensor and differ in their weights alone; `axis` is the dim of their columns in a
    result, counted from the last, `weight_axis` that in a weight."""

    ops: tuple[GraphOp, ...]
    axis: int
    weight_axis: int

    @property
    def widths(self) -> list[int]:
        """The columns of each."""
        return [dims_of(op.results[0].type)[self.axis].value or 0 for op in self.ops]

    def pays(self, target: Target) -> bool:
        """Whether one product is faster, as measured: it has fewer register tiles, the last of each part being narrow, or so
        few rows that it waits for the weights."""
        first, widths = self.ops[0], self.widths
        weight = first.operands[1]
        columns = target.register_tile(weight.type.element_type)[1]  # pyright: ignore[reportAttributeAccessIssue]
        inner = (product(dims_of(weight.type)).value or 0) // max(widths[0], 1)
        if min(widths) < columns and inner < LONG_SUM and self.axis == -1:
            return False
        if _tiles(sum(widths), columns) < sum(_tiles(w, columns) for w in widths):
            return True
        if self.axis != -1:
            return False
        rows = product(dims_of(first.operands[0].type)[:-1])
        return rows.bounds(symbol_ranges(first))[1] <= FEW_ROWS


def _tiles(width: int, columns: int) -> int:
    return ceildiv(width, columns).value or 0


def parallel_products(block: Block, weights: Weights) -> list[Parallel]:
    """The products of one block that read the same tensor, two or more each time."""
    found: dict[Hashable, list[GraphOp]] = {}
    for op in block.ops:
        if isinstance(op, MatmulOp | Conv2dOp) and (key := _key(op, weights)) is not None:
            found.setdefault(key, []).append(op)
    return [
        Parallel(tuple(ops), -1, 1) if isinstance(ops[0], MatmulOp) else Parallel(tuple(ops), -3, 0)
        for ops in found.values()
        if len(ops) > 1
    ]


def _key(op: MatmulOp | Conv2dOp, weights: Weights) -> Hashable | None:
    """Equal for products that can be one; None for what is not a product of weights."""
    left, right = op.operands[0], dims_of(op.operands[1].type)
    if is_scheduled(op) or runs_by_hand(op) or weights.includes(left):
        return None
    if has_quantised([left.type]) or is_complex(left.type.element_type):  # pyright: ignore
        return None
    if not all(weights.includes(w) for w in op.operands[1:]):
        return None
    if isinstance(op, MatmulOp):
        return (left, "matmul") if len(right) == 2 else None
    values = op.values()
    if values["groups"] != 1:
        return None
    return (left, right[2:], len(op.operands), *(values[k] for k in ("stride", "padding", "dilation")))


def per_column(values: Sequence[SSAValue], widths: Sequence[int], axis: int) -> int | None:
    """The dim along which values, one for each product, have one element for each column and otherwise one; None if they do
    not."""
    ranks = {len(dims_of(v.type)) for v in values}
    if len(ranks) != 1 or (rank := ranks.pop()) < -axis:
        return None
    for value, width in zip(values, widths, strict=True):
        sizes = [d.value for d in dims_of(value.type)]
        if sizes.pop(axis) != width or any(size != 1 for size in sizes):
            return None
    return rank + axis
