"""Operands of a product on their way through stages of shared memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd

from xdsl.ir import Block, SSAValue

from dialects import loop
from dialects.dims import ONE, Dim, ceildiv, dmin, product
from dialects.loop_matrix import CommitCopiesOp, CopyAsyncOp, WaitCopiesOp
from dialects.types import RefType, element_bytes, ref
from lowering.loop.gpu.aligned import divisor, unit_lanes
from lowering.loop.gpu.chain import Axis, Mover, numbers_of
from lowering.loop.gpu.grid import Grid
from lowering.loop.gpu.matrices import Product
from lowering.loop.gpu.staging import zero_of
from lowering.loop.remade import fresh_name
from lowering.target import Gpu

ROW = 128
"""Bytes of the sum's points in a row of a stage, at most."""

STEP = 32
"""Bytes of the points that an instruction takes at once."""

CHUNK = 16
"""Bytes that are copied, and read, at once."""

MOST_STAGES = 4

BLOCKS = 2
"""Blocks that a multiprocessor is to hold at once."""


@dataclass(frozen=True)
class Side:
    """An operand: what reads it; its own axes with their counts and how many points these have together; the first point of the
    block, and how many it has."""

    load: loop.LoadOp
    axes: tuple[Axis, ...]
    counts: Sequence[Dim]
    total: Dim
    first: Dim
    length: int

    @property
    def array(self) -> RefType:
        type_ = self.load.array.type
        assert isinstance(type_, RefType)
        return type_

    def at(self, point: Dim) -> dict[str, Dim]:
        """The variables of its axes at a point."""
        return {a.variable: n for a, n in zip(self.axes, numbers_of(point, self.counts), strict=True)}

    def lanes(self, axis: str, most: int) -> int:
        """Elements along one of its axes, or the sum, that lie side by side and are aligned together."""
        index = self.load.index.data
        dims = [n for n, e in enumerate(index) if e.coefficient(axis) == ONE and axis in e.names()]
        if len(dims) != 1 or any(axis in e.names() for n, e in enumerate(index) if n != dims[0]):
            return 0
        guards = self.load.guard.data if self.load.guard is not None else ()
        if self.array.strides.data[dims[0]] != ONE or any(axis in g.names() for g in guards):
            return 0
        return unit_lanes(self.array, index, dims[0], most, {axis: most})


class Stages:
    """The shared arrays of both operands, and the copies that fill them."""

    def __init__(
        self,
        func: loop.FuncOp,
        grid: Grid,
        mover: Mover,
        found: Product,
        sides: tuple[Side, Side],
        gpu: Gpu,
    ):
        self.func, self.grid, self.mover, self.product, self.sides = func, grid, mover, found, sides
        self.width = element_bytes(found.element)
        self.chunk = CHUNK // self.width
        self.upper = found.deep.upper.subst(mover.names)
        self.depth = self._depth(self.upper)
        self.lanes: list[int] = []
        self.read_along_sum: list[bool] = []
        for side in sides:
            along_sum, lanes = self._direction(side)
            self.read_along_sum.append(along_sum)
            self.lanes.append(lanes)
        self.along_sum = [along or self.width == 4 for along in self.read_along_sum]
        """Whether points of the sum lie side by side in a stage: of 4-byte numbers always, as there is no transposed read."""
        for n in range(2):
            if self.along_sum[n] != self.read_along_sum[n]:
                self.lanes[n] = min(self.lanes[n], 1)
        self.outer = [op for op in found.reduced if op is not found.deep]
        self.counts = [
            *(op.upper.subst(mover.names) for op in self.outer),
            ceildiv(self.upper, self.depth),
        ]
        self.count = product(self.counts)
        bytes_ = sum(side.length for side in sides) * self.depth * self.width
        self.stages = max(2, min(MOST_STAGES, gpu.shared_of_processor // BLOCKS // bytes_))
        self.arrays = [self._alloc(n) for n in range(2)]

    def _depth(self, upper: Dim) -> int:
        """The points of the sum in a stage: 128 bytes of a row, or what is enough for a short sum, in steps of fragments."""
        most, step = ROW // self.width, STEP // self.width
        return most if upper.value is None else min(most, -(-upper.value // step) * step)

    def _direction(self, side: Side) -> tuple[bool, int]:
        """Along what an operand is read, the sum or its own last axis, and how many elements at once; 0 where they are read one
        by one and lie apart."""
        deep = side.lanes(self.product.deep.variable, self.chunk)
        own = side.lanes(side.axes[-1].variable, self.chunk)
        if len(side.axes) > 1 and own > 1:  # a chunk does not go past the end of the last axis
            common = divisor(side.counts[-1], {})
            own = min(own, common & -common) if common else own
        return deep >= own, max(deep, own, 1)

    def _alloc(self, n: int) -> SSAValue:
        side = self.sides[n]
        shape = (
            [self.stages, side.length, self.depth]
            if self.along_sum[n]
            else [self.stages, self.depth, side.length]
        )
        alloc = loop.AllocOp(ref(self.product.element, shape, space="shared"))
        alloc.result.name_hint = f"{side.load.array.name_hint or 'operand'}_stages"
        self.grid.shared.add_op(alloc)
        return alloc.result

    def place(self, n: int, number: Dim, own: Dim, point: Dim) -> list[Dim]:
        """Where a stage has an element: chunks of a row are permuted by the row's number, within as many as divide the row."""
        row, column = (own, point) if self.along_sum[n] else (point, own)
        chunks = (self.depth if self.along_sum[n] else self.sides[n].length) // self.chunk
        turns = gcd(chunks, 8)  # of 8 // turns rows, no two begin at the same banks
        turned = (column // self.chunk) ^ (row // (8 // turns) % turns)
        return [number % self.stages, row, turned * self.chunk + column % self.chunk]

    def begin(self, block: Block) -> None:
        """Fills all stages but one."""
        for stage in range(self.stages - 1):
            self._fill(Dim.of(stage), block)

    def turn(self, number: Dim, block: Block) -> None:
        """Waits for a stage, and begins to fill the one that was used before it."""
        block.add_ops([WaitCopiesOp(self.stages - 2), loop.BarrierOp()])
        self._fill(number + (self.stages - 1), block)

    def _fill(self, number: Dim, block: Block) -> None:
        left = self.count - 1 - number
        ranges = self.func.symbols.ranges()
        inside = block
        if number.value is None or left.bounds(ranges)[0] < 0:
            branch = loop.IfOp([left])
            block.add_op(branch)
            inside = branch.then.block
        for n in range(2):
            self._copy(n, number, inside)
        block.add_op(CommitCopiesOp())

    def _copy(self, n: int, number: Dim, block: Block) -> None:
        """Copies of a piece of one operand, shared out between the threads."""
        side, lanes = self.sides[n], self.lanes[n]
        along = self.read_along_sum[n]
        count = side.length * self.depth // lanes
        rounds = -(-count // self.grid.threads)
        role = "unrolled" if rounds <= 16 else "serial"
        over = loop.ForOp(fresh_name("s", self.func), 0, rounds, role=role)
        block.add_op(over)
        chunk = Dim.of(over.variable) * self.grid.threads + self.grid.thread
        inside = over.block
        if count % self.grid.threads:
            branch = loop.IfOp([count - 1 - chunk])
            inside.add_op(branch)
            inside = branch.then.block
        each = (self.depth if along else side.length) // lanes
        own, point = (chunk // each, chunk % each * lanes) if along else (chunk % each * lanes, chunk // each)
        self._copy_one(n, number, own, point, inside)

    def _copy_one(self, n: int, number: Dim, own: Dim, point: Dim, block: Block) -> None:
        side, lanes, deep = self.sides[n], self.lanes[n], self.product.deep
        numbers = numbers_of(number, self.counts)
        k = numbers[-1] * self.depth + point
        row = side.first + own
        names = {
            **self.mover.names,
            **side.at(row),
            **{op.variable: value for op, value in zip(self.outer, numbers, strict=False)},
            deep.variable: k,
        }
        index = [e.subst(names) for e in side.load.index.data]
        left_row, left_k = side.total - row, self.upper - k
        along = self.read_along_sum[n]
        guard = [left_row - 1] if divisor(side.total, {}) % side.length else []
        valid = None
        if divisor(self.upper, {}) % self.depth:
            guard.append(left_k - 1)
            if along and lanes > 1 and divisor(self.upper, {}) % lanes:
                valid = dmin(lanes, left_k)
        if not along and lanes > 1 and divisor(side.total, {}) % lanes:
            valid = dmin(lanes, left_row)
        if side.load.guard is not None:
            guard += [g.subst(names) for g in side.load.guard.data]
        array, shared = self.mover.values[side.load.array], self.arrays[n]
        place = self.place(n, number, own, point)
        if lanes * self.width in CopyAsyncOp.SIZES and side.array.strides.data[-1] == ONE:
            block.add_op(CopyAsyncOp(lanes, array, index, shared, place, valid=valid, guard=guard))
            return
        zero = zero_of(self.product.element) if guard else None
        load = loop.LoadOp(array, index, guard=guard or None, otherwise=zero)
        block.add_ops([load, loop.StoreOp(load.result, shared, place)])
