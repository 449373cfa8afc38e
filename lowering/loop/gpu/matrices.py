"""Recognises in a nest the sum of products of two matrices that tensor cores compute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.dialects import arith
from xdsl.dialects.builtin import (
    BFloat16Type,
    Float16Type,
    Float32Type,
    FloatAttr,
    VectorType,
    f32,
)
from xdsl.ir import Attribute, Operation, SSAValue

from dialects import loop
from dialects.dims import ONE, ZERO
from dialects.kernel import ConvertOp
from dialects.types import RefType, element_of
from lowering.loop.gpu.chain import Axis, Chain
from lowering.loop.gpu.parts import needed
from lowering.loop.gpu.shared import constant_of
from lowering.target import Gpu

LANES = 2
"""Columns of a sum that lie side by side in a fragment: what the nest computes at one point of its columns."""


@dataclass(frozen=True)
class Product:
    """sum over `reduced` of lhs * rhs. `rows` are the axes that only lhs has; `columns` is the axis along which the nest takes
    LANES at once; the loops of the sum are nested, outermost first, and `deep` is the one that is staged in pieces."""

    sum: loop.ForOp
    reduced: tuple[loop.ForOp, ...]
    deep: loop.ForOp
    rows: tuple[Axis, ...]
    columns: Axis
    others: tuple[Axis, ...]
    lhs: loop.LoadOp
    rhs: loop.LoadOp
    element: Attribute


def product_of_matrices(chain: Chain, gpu: Gpu) -> Product | None:
    """The product that a body of a chain sums, where tensor cores have an instruction for it."""
    found = next((op for op in chain.body if isinstance(op, loop.ForOp)), None)
    outer = [op for op in chain.body if op is not found]
    if found is None or any(op.regions for op in outer) or not _is_zero(found):
        return None
    reduced = tuple(_loops(found))
    factors = _factors(reduced[-1])
    if factors is None or any(op.step != ONE or op.lower != ZERO for op in reduced):
        return None
    if any(isinstance(op, loop.LoadOp) for op in needed(found, outer)):
        return None
    names = {op.variable for op in reduced}
    wide = [f for f in factors if isinstance(f.result.type, VectorType)]
    narrow = [f for f in factors if f not in wide]
    if len(wide) != 1 or wide[0].result.type.get_shape() != (LANES,):  # pyright: ignore[reportAttributeAccessIssue]
        return None
    (rhs,), (lhs,) = wide, narrow
    element = _element(lhs)
    if element != _element(rhs) or not has_instruction(element, gpu):
        return None
    if any(not names & _names(f) or f.indices or not _is_zero_outside(f) for f in factors):
        return None
    columns = _columns(rhs, chain.axes)
    rows = tuple(a for a in chain.axes if a.variable in _names(lhs) - _names(rhs))
    if columns is None or columns.variable in _names(lhs) or not rows:
        return None
    if any(axis.step != ONE or axis.lower != ZERO for axis in rows) or columns.lower != ZERO:
        return None
    others = tuple(a for a in chain.axes if a is not columns and a not in rows)
    own = {columns.variable, *(a.variable for a in rows), *names}
    if any(own & op.upper.names() for op in reduced):  # the points of a tile have sums of different lengths
        return None
    deep = max(reduced, key=lambda op: op.upper.value or (1 << 40))
    return Product(found, reduced, deep, rows, columns, others, lhs, rhs, element)


def has_instruction(element: Attribute, gpu: Gpu) -> bool:
    """Whether tensor cores multiply numbers of a type."""
    return isinstance(element, BFloat16Type | Float16Type) or (gpu.tf32 and isinstance(element, Float32Type))


def _is_zero(op: loop.ForOp) -> bool:
    """Whether a loop carries one f32 value, from zero on."""
    return len(op.inits) == 1 and element_of(op.inits[0].type) == f32 and constant_of(op.inits[0]) == 0


def _is_zero_outside(op: loop.LoadOp) -> bool:
    return op.guard is None or (isinstance(op.otherwise, FloatAttr) and op.otherwise.value.data == 0)


def _loops(op: loop.ForOp) -> list[loop.ForOp]:
    """The loops of a sum: those that do nothing but hand on what they carry, and the innermost."""
    out = [op]
    while True:
        ops = list(op.block.ops)
        inner = ops[0] if len(ops) == 2 else None
        if not isinstance(inner, loop.ForOp) or list(inner.inits) != list(op.block.args):
            return out
        if list(ops[1].operands) != list(inner.results):
            return out
        out.append(inner)
        op = inner


def _factors(op: loop.ForOp) -> tuple[loop.LoadOp, loop.LoadOp] | None:
    """The loads whose product a loop adds to what it carries, and nothing else."""
    last = op.block.last_op
    total = last.operands[0].owner if isinstance(last, loop.YieldOp) and last.operands else None
    if not isinstance(total, arith.AddfOp) or op.block.args[0] not in total.operands:
        return None
    multiply = (total.rhs if total.lhs is op.block.args[0] else total.lhs).owner
    if not isinstance(multiply, arith.MulfOp):
        return None
    seen: set[Operation] = {last, total, multiply}  # pyright: ignore[reportAssignmentType]
    loads = [_load(side, seen) for side in multiply.operands]
    if None in loads or loads[0] is loads[1] or any(inner not in seen for inner in op.block.ops):
        return None
    return loads[0], loads[1]  # pyright: ignore[reportReturnType]


def _load(value: SSAValue, seen: set[Operation]) -> loop.LoadOp | None:
    """The load that a factor is, in another format at most, or repeated."""
    while isinstance(op := value.owner, Operation):
        seen.add(op)
        if isinstance(op, loop.LoadOp):
            return op
        widens = isinstance(op, arith.ExtFOp) or (isinstance(op, ConvertOp) and op.kind.data == "extf")
        if not widens and not isinstance(op, loop.BroadcastOp):
            return None
        value = op.operands[0]
    return None


def _element(op: loop.LoadOp) -> Attribute:
    array = op.array.type
    assert isinstance(array, RefType)
    return array.element_type


def _names(op: loop.LoadOp) -> set[str]:
    exprs = [*op.index.data, *(op.guard.data if op.guard is not None else ())]
    return {n for e in exprs for n in e.names()}


def _columns(op: loop.LoadOp, axes: Sequence[Axis]) -> Axis | None:
    """The axis along which the lanes of a load run."""
    if op.along is None or len(op.along.data) != 1:
        return None
    dim = op.along.data[0].value or 0
    found = [a for a in axes if op.index.data[dim].coefficient(a.variable) == ONE and a.step.value == LANES]
    others = [e for n, e in enumerate(op.index.data) if n != dim]
    own = len(found) == 1 and not any(found[0].variable in e.names() for e in others)
    return found[0] if own and op.guard is None else None
