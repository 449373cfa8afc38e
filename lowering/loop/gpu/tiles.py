"""Tile by tile: a block for each tile of a product, whose operands its threads stage in shared memory.

What the nest computes with one register tile becomes the work of a thread. A block has SIDE x SIDE of them; for every DEPTH
points of the reduced axis they copy what they all read to shared arrays, wait, add up products, and wait again. What lies
outside the operands is zero there, so that the inner loop has no conditions. The structure is that of the kernel level's
packed products, with shared memory for a cache (V. Volkov and J. Demmel, "Benchmarking GPUs to tune dense linear algebra",
2008).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.dialects import arith
from xdsl.dialects.builtin import FloatAttr, IntegerAttr, IntegerType, VectorType
from xdsl.ir import Attribute, Block, BlockArgument, Operation, SSAValue

from dialects import loop
from dialects.dims import ONE, ZERO, Dim, ceildiv, dmin, product
from dialects.types import RefType, element_bytes, ref
from lowering.loop.gpu.aligned import unit_lanes
from lowering.loop.gpu.chain import Axis, Chain, Mover, fresh_name, numbers_of
from lowering.target import Gpu

SIDE = 16
"""Threads along each side of a block's tile."""

DEPTH = 16
"""Points of the reduced axis that are staged at once."""

PAD = 4
"""Elements between the rows of a shared array, so that what threads store side by side lies in different banks."""


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
    if found is None or found.step != ONE or found.lower != ZERO or _product(found) is None:
        return None
    axes = {axis.variable: axis for axis in chain.axes}
    outer = [op for op in chain.body if op is not found]
    if any(isinstance(op, loop.ForOp | loop.IfOp) for op in outer) or _needs_memory(found, outer):
        return None
    operands = [_operand(op, found, axes) for op in found.block.ops if isinstance(op, loop.LoadOp)]
    if len(operands) != 2 or None in operands:
        return None
    lhs, rhs = _product(found) or (None, None)
    assert lhs is not None and rhs is not None
    by_source = {_source(lhs): 0, _source(rhs): 1}
    ordered = sorted((o for o in operands if o is not None), key=lambda o: by_source.get(o.load, 2))
    if [o.load for o in ordered] != [_source(lhs), _source(rhs)] or ordered[0].axis is ordered[1].axis:
        return None
    return Tile(found, ordered[0].axis, ordered[1].axis, (ordered[0], ordered[1]))


def _product(op: loop.ForOp) -> tuple[SSAValue, SSAValue] | None:
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
    return any(isinstance(op, loop.LoadOp) for op in _needed(found, outer))


def _needed(found: loop.ForOp, outer: Sequence[Operation]) -> list[Operation]:
    """The ops of a body that a loop needs, in order."""
    work = [v for op in found.walk() for v in op.operands]
    needed: set[Operation] = set()
    while work:
        owner = work.pop().owner
        if isinstance(owner, Operation) and owner in outer and owner not in needed:
            needed.add(owner)
            work += owner.operands
    return [op for op in outer if op in needed]


def map_tiles(func: loop.FuncOp, chain: Chain, tile: Tile, body: Block, gpu: Gpu) -> None:
    """Fills a body."""
    _Tiles(func, chain, tile, body, gpu).fill()


class _Tiles:
    def __init__(self, func: loop.FuncOp, chain: Chain, tile: Tile, body: Block, gpu: Gpu):
        self.func, self.chain, self.tile, self.gpu = func, chain, tile, gpu
        counts = dict(zip(chain.axes, chain.counts(func.symbols.ranges()), strict=True))
        for axis in (tile.rows, tile.columns):
            counts[axis] = ceildiv(counts[axis], SIDE)
        self.blocks = loop.ForOp(fresh_name("b", func), 0, product(counts.values()), role="block")
        self.threads = loop.ForOp(fresh_name("t", func), 0, SIDE * SIDE, role="thread")
        body.add_op(self.blocks)
        self.thread = Dim.of(self.threads.variable)
        numbers = numbers_of(Dim.of(self.blocks.variable), list(counts.values()))
        self.first: dict[Axis, Dim] = {}
        """The first point of the block along each axis."""
        self.own: dict[Axis, Dim] = {}
        """The first point of the thread."""
        for axis, number in zip(chain.axes, numbers, strict=True):
            lanes = SIDE if axis in (tile.rows, tile.columns) else 1
            self.first[axis] = self.own[axis] = axis.at(number * lanes)
        self.place = {tile.rows: self.thread // SIDE, tile.columns: self.thread % SIDE}
        for axis, place in self.place.items():
            self.own[axis] = self.first[axis] + place * axis.step
        self.ranges = func.symbols.ranges()
        self.ranges[self.blocks.variable] = (0, max(0, self.blocks.upper.bounds(self.ranges)[1] - 1))
        self.ranges[self.threads.variable] = (0, SIDE * SIDE - 1)
        names = {axis.variable: point for axis, point in self.own.items()}
        self.mover = Mover(names, dict(zip(func.block.args, body.args, strict=True)))

    def fill(self) -> None:
        outer = [op for op in self.chain.body if op is not self.tile.sum]
        before = _needed(self.tile.sum, outer)
        inside = self.threads.block
        for op in before:
            self.mover.copy(op, inside)
        self._sum(inside)
        if conditions := self.unproved([axis.upper - 1 - self.own[axis] for axis in self.place]):
            branch = loop.IfOp(conditions)
            inside.add_op(branch)
            inside = branch.then.block
        for op in outer:
            if op not in before:
                self.mover.copy(op, inside)
        self.blocks.block.add_op(self.threads)

    def unproved(self, conditions: Sequence[Dim]) -> list[Dim]:
        """The conditions (each at least zero) that do not hold for all blocks and threads."""
        return [c for c in conditions if c.bounds(self.ranges)[0] < 0]

    def _sum(self, inside: Block) -> None:
        found = self.tile.sum
        step = loop.ForOp(
            fresh_name(f"{found.variable}o", self.func),
            0,
            found.upper,
            step=DEPTH,
            inits=[self.mover.values.get(v, v) for v in found.inits],
        )
        inside.add_op(step)
        last = found.upper.value
        self.ranges[step.variable] = (
            0,
            (last - 1) // DEPTH * DEPTH if last else found.upper.bounds(self.ranges)[1],
        )
        arrays = {o.load: self._stage(o, Dim.of(step.variable), step.block) for o in self.tile.operands}
        step.block.add_op(loop.BarrierOp())
        points = loop.ForOp(found.variable, 0, DEPTH, role="unrolled", inits=list(step.block.args))
        step.block.add_op(points)
        self._products(found, points, arrays)
        step.block.add_op(loop.BarrierOp())
        step.block.add_op(loop.YieldOp(*points.results))
        self.mover.values.update(zip(found.results, step.results, strict=True))

    def _products(self, found: loop.ForOp, points: loop.ForOp, arrays: dict[loop.LoadOp, SSAValue]) -> None:
        """One point of the reduced axis: operands come from shared arrays, else as the nest has it."""
        inner = Mover(self.mover.names, dict(self.mover.values))
        inner.values.update(zip(found.block.args, points.block.args, strict=True))
        factors = _product(found)
        assert factors is not None
        wide = _only_for_product(found)
        operands = {o.load: o for o in self.tile.operands}
        for op in found.block.ops:
            if isinstance(op, loop.LoadOp):
                axis = operands[op].axis
                shape = op.result.type.get_shape()  # pyright: ignore[reportAttributeAccessIssue]
                index = [Dim.of(points.variable), self.place[axis] * axis.step]
                load = loop.LoadOp(arrays[op], index, shape=shape, along=[1])
                points.block.add_op(load)
                inner.values[op.result] = load.result
            elif op not in wide:
                inner.copy(op, points.block)
        total = loop.ContractOp(inner.values[factors[0]], inner.values[factors[1]], points.block.args[0])
        points.block.add_ops([total, loop.YieldOp(total.result)])

    def _stage(self, operand: Operand, start: Dim, block: Block) -> SSAValue:
        """Copies what the block reads of an operand to a shared array of [DEPTH, points of the axis]."""
        load, axis = operand.load, operand.axis
        array = load.array.type
        assert isinstance(array, RefType) and load.along is not None
        length = SIDE * (axis.step.value or 1)
        alloc = loop.AllocOp(
            ref(array.element_type, [DEPTH, length], strides=[length + PAD, 1], space="shared")
        )
        alloc.result.name_hint = f"{load.array.name_hint or 'operand'}_tile"
        self.blocks.block.add_op(alloc)
        copy = _Copy(self, operand, start, length)
        count = DEPTH * length // copy.lanes
        rounds = -(-count // (SIDE * SIDE))
        over = loop.ForOp(fresh_name("s", self.func), 0, rounds, role="unrolled")
        block.add_op(over)
        self.ranges[over.variable] = (0, rounds - 1)
        point = Dim.of(over.variable) * (SIDE * SIDE) + self.thread
        inside = over.block
        if count % (SIDE * SIDE):
            branch = loop.IfOp([count - 1 - point])
            inside.add_op(branch)
            inside = branch.then.block
        copy.emit(point, alloc.result, inside)
        return alloc.result


class _Copy:
    """One vector on its way from an operand to shared memory, along the dim in which the operand is contiguous."""

    def __init__(self, tiles: _Tiles, operand: Operand, start: Dim, length: int):
        self.tiles, self.operand, self.start, self.length = tiles, operand, start, length
        load, reduced = operand.load, tiles.tile.sum
        self.names = {axis.variable: point for axis, point in tiles.first.items()}
        array = load.array.type
        assert isinstance(array, RefType) and load.along is not None
        self.element: Attribute = array.element_type
        self.axis_dim = load.along.data[0].value or 0
        named = [n for n, e in enumerate(load.index.data) if e.coefficient(reduced.variable) == ONE]
        self.reduced_dim = named[0] if len(named) == 1 and named[0] != self.axis_dim else None
        most = tiles.gpu.access // element_bytes(self.element)
        self.along_reduced, self.lanes = False, 1
        for dim, along_reduced in ((self.axis_dim, False), (self.reduced_dim, True)):
            steps = {(reduced if along_reduced else operand.axis).variable: most}
            lanes = 1 if dim is None else unit_lanes(array, load.index.data, dim, most, steps)
            if lanes > self.lanes:
                self.along_reduced, self.lanes = along_reduced, lanes
        if self.lanes == 1:
            self.along_reduced = self.reduced_dim is not None and array.strides.data[self.reduced_dim] == ONE

    def emit(self, number: Dim, shared: SSAValue, block: Block) -> None:
        """The copy with a number: neighbouring ones follow the dim that is contiguous."""
        lanes, axis, reduced = self.lanes, self.operand.axis, self.tiles.tile.sum
        if self.along_reduced:
            k, point = number % (DEPTH // lanes) * lanes, number // (DEPTH // lanes)
        else:
            k, point = number // (self.length // lanes), number % (self.length // lanes) * lanes
        base = self.tiles.first[axis]
        left_k, left_point = reduced.upper - self.start - k, axis.upper - base - point
        names = {**self.names, axis.variable: base + point, reduced.variable: self.start + k}
        index = [e.subst(names) for e in self.operand.load.index.data]
        array = self.tiles.mover.values.get(self.operand.load.array, self.operand.load.array)
        guard = [left_point - 1, left_k - 1]
        shape, along, valid = (), [], None
        if lanes > 1:
            left = left_k if self.along_reduced else left_point
            guard = [left_point - 1] if self.along_reduced else [left_k - 1]
            dim = self.reduced_dim if self.along_reduced else self.axis_dim
            assert dim is not None
            shape, along = [lanes], [dim]
            valid = [dmin(lanes, left)] if self.tiles.unproved([left - lanes]) else None
        guard = self.tiles.unproved(guard)
        otherwise = _zero(self.element) if guard else None
        load = loop.LoadOp(
            array, index, shape=shape, along=along, valid=valid, guard=guard or None, otherwise=otherwise
        )
        store = loop.StoreOp(load.result, shared, [k, point], along=[0 if self.along_reduced else 1])
        block.add_ops([load, store])


def _only_for_product(found: loop.ForOp) -> set[Operation]:
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


def _zero(element: Attribute) -> Attribute:
    return IntegerAttr(0, element) if isinstance(element, IntegerType) else FloatAttr(0.0, element)  # pyright: ignore
