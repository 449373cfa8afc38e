"""Recognises in a nest the sum of products that is worth a tile of shared memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.dialects import arith
from xdsl.dialects.builtin import VectorType
from xdsl.ir import BlockArgument, Operation, SSAValue

from dialects import loop
from dialects.dims import ONE, ZERO, Dim
from dialects.kernel import ConvertOp
from lowering.loop.gpu.chain import Axis, Chain
from lowering.loop.gpu.parts import needed


@dataclass(frozen=True)
class Operand:
    """A load of the inner loop that all threads of a row or column of the block's tile make."""

    load: loop.LoadOp
    axis: Axis


@dataclass(frozen=True)
class Tile:
    """A sum of products in a register tile: the loop that adds them up, the loops along its rows and columns."""

    sum: loop.ForOp
    rows: Axis
    columns: Axis
    operands: tuple[Operand, Operand]


def tile_of(chain: Chain) -> Tile | None:
    """The product that the body of a chain sums, where it can be staged."""
    found = next((op for op in chain.body if isinstance(op, loop.ForOp) and len(op.inits) == 1), None)
    if found is None or found.step != ONE or found.lower != ZERO or product_of(found) is None:
        return None
    axes = {axis.variable: axis for axis in chain.axes}
    outer = [op for op in chain.body if op is not found]
    if any(isinstance(op, loop.ForOp | loop.IfOp) for op in outer) or _needs_memory(found, outer):
        return None
    operands = [_operand(op, found, axes) for op in found.block.ops if isinstance(op, loop.LoadOp)]
    if len(operands) != 2 or None in operands:
        return None
    lhs, rhs = product_of(found) or (None, None)
    assert lhs is not None and rhs is not None
    by_source = {_source(lhs): 0, _source(rhs): 1}
    ordered = sorted((o for o in operands if o is not None), key=lambda o: by_source.get(o.load, 2))
    if [o.load for o in ordered] != [_source(lhs), _source(rhs)] or ordered[0].axis is ordered[1].axis:
        return None
    return Tile(found, ordered[0].axis, ordered[1].axis, (ordered[0], ordered[1]))


def product_of(op: loop.ForOp) -> tuple[SSAValue, SSAValue] | None:
    """The two vectors whose products a loop adds to the tile that it carries."""
    last, tile = op.block.last_op, op.block.args[0].type
    if not isinstance(last, loop.YieldOp) or not isinstance(tile, VectorType) or tile.get_num_dims() != 2:
        return None
    total = last.values[0].owner
    if isinstance(total, loop.ContractOp):
        return (total.lhs, total.rhs) if total.acc is op.block.args[0] else None
    if not isinstance(total, arith.AddfOp) or op.block.args[0] not in total.operands:
        return None
    factor = total.rhs if total.lhs is op.block.args[0] else total.lhs
    if not isinstance(multiply := factor.owner, arith.MulfOp):
        return None
    sides: dict[int, SSAValue] = {}
    for side in multiply.operands:
        if not isinstance(wide := side.owner, loop.BroadcastOp) or len(wide.along.data) != 1:
            return None
        sides[wide.along.data[0].value or 0] = wide.value
    return (sides[0], sides[1]) if len(sides) == 2 else None


def _source(value: SSAValue) -> Operation | None:
    """The load that a vector is computed from, by ops that take nothing else that is loaded."""
    while isinstance(op := value.owner, Operation) and not isinstance(op, loop.LoadOp):
        vectors = [v for v in op.operands if isinstance(v.type, VectorType) and not _is_constant(v)]
        if len(vectors) != 1:
            return None
        value = vectors[0]
    return op if isinstance(op, loop.LoadOp) else None


def _is_constant(value: SSAValue) -> bool:
    return isinstance(value.owner, arith.ConstantOp)


def _operand(load: loop.LoadOp, around: loop.ForOp, axes: dict[str, Axis]) -> Operand | None:
    """What a load reads, where that depends on the reduced axis and on one axis of the tile, lane by lane."""
    if load.guard is not None or load.indices or load.along is None or len(load.along.data) != 1:
        return None
    (along,) = load.along.data
    inside = [load.index.data[along.value or 0].coefficient(name) for name in axes]
    named = [name for name, factor in zip(axes, inside, strict=True) if factor == ONE]
    others = [e for n, e in enumerate(load.index.data) if n != along.value]
    if len(named) != 1 or any(named[0] in e.names() for e in others):
        return None
    axis, shape = axes[named[0]], load.result.type
    assert isinstance(shape, VectorType)
    reduced = any(around.variable in e.names() for e in load.index.data)
    return Operand(load, axis) if reduced and axis.step == Dim.of(shape.get_shape()[0]) else None


def _needs_memory(found: loop.ForOp, outer: Sequence[Operation]) -> bool:
    """Whether the sum needs anything that is loaded before it."""
    return any(isinstance(op, loop.LoadOp) for op in needed(found, outer))


def is_padded_by_zeros(found: loop.ForOp) -> bool:
    """Whether zeros in place of what is loaded add nothing: the factors are what is loaded, in another format at most."""
    for value in product_of(found) or ():
        while isinstance(op := value.owner, ConvertOp) and op.kind.data == "extf":
            value = op.operands[0]
        if not isinstance(op, loop.LoadOp):
            return False
    return True


def only_for_product(found: loop.ForOp) -> set[Operation]:
    """The ops of a sum that a contraction of its two factors stands for."""
    last = found.block.last_op
    assert last is not None
    total = last.operands[0].owner
    assert isinstance(total, Operation)
    out = {last, total}
    for value in total.operands:
        if not isinstance(value, BlockArgument) and isinstance(owner := value.owner, arith.MulfOp):
            out |= {owner, *(v.owner for v in owner.operands if isinstance(v.owner, Operation))}
    return out
