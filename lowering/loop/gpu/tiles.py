"""Tile by tile: a block for each tile of a product, whose operands its threads stage in shared memory.

What the nest computes with one register tile becomes the work of a thread. A block has SIDE x SIDE of them; for every DEPTH
points of the reduced axis they copy what they all read to shared arrays, wait, add up products, and wait again. What lies
outside the operands is zero there, so that the inner loop has no conditions and, where products of these zeros are zeros, one
length. The structure is that of the kernel level's
packed products, with shared memory for a cache (V. Volkov and J. Demmel, "Benchmarking GPUs to tune dense linear algebra",
2008).
"""

from __future__ import annotations

from xdsl.ir import Block, SSAValue

from dialects import loop
from dialects.dims import Dim, ceildiv, dmin, product
from dialects.types import RefType, ref
from lowering.loop.gpu.chain import Axis, Chain, Mover, numbers_of
from lowering.loop.gpu.grid import Form, Grid
from lowering.loop.gpu.parts import needed
from lowering.loop.gpu.products import Operand, Tile, is_padded_by_zeros, only_for_product, product_of
from lowering.loop.gpu.staging import DEPTH, Copy, Part
from lowering.loop.remade import fresh_name
from lowering.target import Gpu

SIDE = 16
"""Threads along each side of a block's tile."""

PAD = 4
"""Elements between the rows of a shared array, so that what threads store side by side lies in different banks."""


class Tiles(Form):
    """A block for each tile of SIDE x SIDE register tiles."""

    kind = "tiles"
    threads = SIDE * SIDE

    def __init__(self, func: loop.FuncOp, chain: Chain, tile: Tile, gpu: Gpu):
        self.func, self.chain, self.tile, self.gpu = func, chain, tile, gpu
        self.counts = dict(zip(chain.axes, chain.counts(func.symbols.ranges()), strict=True))
        for axis in (tile.rows, tile.columns):
            self.counts[axis] = ceildiv(self.counts[axis], SIDE)

    def blocks(self, threads: int) -> Dim:
        return product(self.counts.values())

    def fill(self, grid: Grid) -> None:
        _Tile(self, grid).fill()


class _Tile:
    """What the block of one tile does."""

    def __init__(self, form: Tiles, grid: Grid):
        self.grid, self.func, self.chain, self.gpu = grid, form.func, form.chain, form.gpu
        self.tile = tile = form.tile
        self.thread = grid.thread
        numbers = numbers_of(grid.number, list(form.counts.values()))
        self.first: dict[Axis, Dim] = {}
        """The first point of the block along each axis."""
        self.own: dict[Axis, Dim] = {}
        """The first point of the thread."""
        for axis, number in zip(form.chain.axes, numbers, strict=True):
            lanes = SIDE if axis in (tile.rows, tile.columns) else 1
            self.first[axis] = self.own[axis] = axis.at(number * lanes)
        self.place = {tile.rows: self.thread // SIDE, tile.columns: self.thread % SIDE}
        for axis, place in self.place.items():
            self.own[axis] = self.first[axis] + place * axis.step
        self.ranges = dict(grid.ranges)
        names = {axis.variable: point for axis, point in self.own.items()}
        self.mover = Mover(names, dict(grid.values))

    def fill(self) -> None:
        outer = [op for op in self.chain.body if op is not self.tile.sum]
        before = needed(self.tile.sum, outer)
        inside = self.grid.inside
        for op in before:
            self.mover.copy(op, inside)
        self._sum(inside)
        part = Part(self.first, 0, self.ranges)
        if conditions := part.unproved([axis.upper - 1 - self.own[axis] for axis in self.place]):
            branch = loop.IfOp(conditions)
            inside.add_op(branch)
            inside = branch.then.block
        for op in outer:
            if op not in before:
                self.mover.copy(op, inside)

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
        count = Dim.of(DEPTH)
        if not is_padded_by_zeros(found) and (last is None or last % DEPTH):
            count = dmin(DEPTH, found.upper - Dim.of(step.variable))
        points = loop.ForOp(found.variable, 0, count, role="unrolled", inits=list(step.block.args))
        step.block.add_op(points)
        self._products(found, points, arrays)
        step.block.add_op(loop.BarrierOp())
        step.block.add_op(loop.YieldOp(*points.results))
        self.mover.values.update(zip(found.results, step.results, strict=True))

    def _products(self, found: loop.ForOp, points: loop.ForOp, arrays: dict[loop.LoadOp, SSAValue]) -> None:
        """One point of the reduced axis: operands come from shared arrays, else as the nest has it."""
        inner = Mover(self.mover.names, dict(self.mover.values))
        inner.values.update(zip(found.block.args, points.block.args, strict=True))
        factors = product_of(found)
        assert factors is not None
        wide = only_for_product(found)
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
        self.grid.shared.add_op(alloc)
        part = Part(self.first, length, self.ranges)
        copy = Copy(operand, self.tile.sum, start, part, self.gpu.access)
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
        copy.emit(point, self.mover.values[load.array], alloc.result, inside)
        return alloc.result
