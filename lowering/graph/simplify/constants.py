"""Ops on constants, computed by their references."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import Operation, SSAValue

from dialects.dims import product
from dialects.graph import OPS, ConstantOp, CustomOp, GraphOp, dense, make, operation_name
from dialects.graph.carrying import has_quantised
from dialects.graph.elementwise import Elementwise
from dialects.types import dims_of
from lowering.graph.simplify.values import produced_by, type_of
from lowering.rewriting import Pattern, Rewriter, pattern

FOLD_LIMIT = 1024
"""By default constants of more elements than this are not computed at compile time."""

NOT_FOLDED = frozenset(OPS[name] for name in ("constant", "random", "broadcast"))


def constants(limit: int) -> tuple[Pattern, ...]:
    """The rules, for constants of at most so many elements."""

    @pattern(*(set(OPS.values()) - NOT_FOLDED))
    def op_of_constants(op: GraphOp, rewriter: Rewriter) -> None:
        """f(c) is computed where all operands are constants, and it is small"""
        if not all(isinstance(v.owner, ConstantOp) for v in op.operands):
            return
        if not is_small([*op.operands, *op.results], limit) or has_quantised(
            [type_of(r) for r in op.results]
        ):
            return  # of quantised tensors there are no constants
        arrays = op.run([v.owner.array() for v in op.operands])  # pyright: ignore[reportAttributeAccessIssue]
        elements = [type_of(r).element_type for r in op.results]
        folded = [make("constant", [], {"value": dense(a, e)}) for a, e in zip(arrays, elements, strict=True)]
        owners = [v.owner for v in op.operands if isinstance(v.owner, Operation)]
        rewriter.replace(op, folded, [f.results[0] for f in folded], absorbed=owners)

    @pattern(CustomOp)
    def custom_of_constants(op: CustomOp, rewriter: Rewriter) -> None:
        """An op of the file is its formula where all operands are constants, and small"""
        if all(isinstance(v.owner, ConstantOp) for v in op.operands) and is_small(
            [*op.operands, *op.results], limit
        ):
            rewriter.replace(op, *op.decomposed())

    return op_of_constants, custom_of_constants, elementwise_of_filled


@pattern(*{cls for cls in OPS.values() if issubclass(cls, Elementwise)})
def elementwise_of_filled(op: GraphOp, rewriter: Rewriter) -> None:
    """f(broadcast(c), broadcast(d)) = broadcast(f(c, d)) for constants, of one element each"""
    fills = [produced_by(v, "broadcast") for v in op.operands]
    if not any(fills) or has_quantised([type_of(v) for v in (*op.operands, *op.results)]):
        return
    sources = [v if fill is None else fill.operands[0] for v, fill in zip(op.operands, fills, strict=True)]
    if not all(isinstance(s.owner, ConstantOp) and not dims_of(s.type) for s in sources):
        return
    inner = make(operation_name(op), sources, op.values())
    outer = make("broadcast", inner.results, {"shape": dims_of(op.results[0].type)})
    rewriter.replace(op, [inner, outer], absorbed=[f for f in fills if f is not None])


def is_small(values: Sequence[SSAValue], limit: int) -> bool:
    """Whether tensors have a known number of elements, within the limit."""
    counts = [product(dims_of(v.type)).value for v in values]
    return all(count is not None and count <= limit for count in counts)
