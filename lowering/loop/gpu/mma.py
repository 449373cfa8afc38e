"""Matrix by matrix: a block for each tile of a product, which its warps compute on tensor cores.

Pieces of both operands pass through several stages of shared memory: while the warps multiply those of one stage, copies fill
the others. A row of a stage has 128 bytes of one operand's rows or of one point of the sum; its chunks of 16 bytes are
permuted by the row's number, so that eight threads which read or write eight rows at once use all banks. This is the
structure of NVIDIA's CUTLASS for Ampere ("CUTLASS: fast linear algebra in CUDA C++", 2017; "Developing CUDA kernels to push
tensor cores to the absolute limit on NVIDIA A100", 2020).
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.dialects import arith
from xdsl.dialects.builtin import DenseIntOrFPElementsAttr, Float32Type, VectorType
from xdsl.ir import Block, SSAValue

from dialects import loop
from dialects.dims import Dim, ceildiv, product
from dialects.loop_matrix import FRAGMENT, ExtractOp, LoadMatrixOp, MmaOp, fragment_elements
from dialects.types import element_bytes
from lowering.loop.gpu.chain import Chain, Mover, numbers_of
from lowering.loop.gpu.grid import Form, Grid
from lowering.loop.gpu.matrices import LANES, Product
from lowering.loop.gpu.parts import needed, writes
from lowering.loop.gpu.stages import STEP, Side, Stages
from lowering.loop.remade import fresh_name
from lowering.target import Gpu

TILE = 16
"""Rows and columns of a fragment."""

GROUP = 8
"""Rows of blocks that go along the columns together, so that what they read stays in the second-level cache."""


@dataclass(frozen=True)
class Shape:
    """The tile of a block, and its warps along rows and columns."""

    rows: int
    columns: int
    warps: tuple[int, int]

    @property
    def fragments(self) -> tuple[int, int]:
        """Fragments of a warp along rows and columns."""
        return self.rows // self.warps[0] // TILE, self.columns // self.warps[1] // TILE


LARGE = Shape(128, 128, (2, 2))
SMALL = Shape(64, 64, (2, 2))
LOW = Shape(32, 128, (1, 4))
NARROW = Shape(128, 32, (4, 1))


class Matrices(Form):
    """A block of four warps for each tile."""

    kind = "matrices"
    threads = 128

    def __init__(self, func: loop.FuncOp, chain: Chain, found: Product, gpu: Gpu):
        self.func, self.chain, self.product, self.gpu = func, chain, found, gpu
        ranges = func.symbols.ranges()
        self.row_counts = [axis.count(ranges) for axis in found.rows]
        self.rows = product(self.row_counts)
        self.other_counts = [axis.count(ranges) for axis in found.others]
        self.shape = self._shape(ranges)
        self.tiles = (ceildiv(self.rows, self.shape.rows), ceildiv(found.columns.upper, self.shape.columns))

    def _shape(self, ranges: dict[str, tuple[float, float]]) -> Shape:
        """A tile that wastes little, and a smaller one where there are few blocks of the large one."""
        rows, columns = self.rows.bounds(ranges)[1], self.product.columns.upper.bounds(ranges)[1]
        if rows <= LOW.rows:
            return LOW
        if columns <= NARROW.columns:
            return NARROW
        blocks = product(
            [
                ceildiv(self.rows, LARGE.rows),
                ceildiv(self.product.columns.upper, LARGE.columns),
                *self.other_counts,
            ]
        )
        return LARGE if blocks.bounds(ranges)[1] >= self.gpu.processors else SMALL

    def blocks(self, threads: int) -> Dim:
        return product([*self.other_counts, *self.tiles])

    def fill(self, grid: Grid) -> None:
        _Tile(self, grid).fill()


class _Tile:
    """What the block of one tile does."""

    def __init__(self, form: Matrices, grid: Grid):
        self.form, self.grid, self.func = form, grid, form.func
        self.product, self.shape = form.product, form.shape
        numbers = numbers_of(grid.number, [*form.other_counts, *form.tiles])
        numbers[-2:] = self._in_groups(numbers[-2], numbers[-1])
        others = numbers[: len(form.other_counts)]
        names = {a.variable: a.at(n) for a, n in zip(self.product.others, others, strict=True)}
        self.first_row, self.first_column = numbers[-2] * self.shape.rows, numbers[-1] * self.shape.columns
        self.mover = Mover(names, dict(grid.values))
        self.ranges = dict(grid.ranges)
        width = element_bytes(self.product.element)
        self.stages = Stages(
            self.func,
            grid,
            self.mover,
            self.product,
            (
                Side(
                    self.product.lhs,
                    self.product.rows,
                    form.row_counts,
                    form.rows,
                    self.first_row,
                    self.shape.rows,
                ),
                Side(
                    self.product.rhs,
                    (self.product.columns,),
                    [self.product.columns.upper],
                    self.product.columns.upper,
                    self.first_column,
                    self.shape.columns,
                ),
            ),
            form.gpu,
        )
        self.step = STEP // width
        self.lane = grid.thread % form.gpu.warp
        warp = grid.thread // form.gpu.warp
        rows, columns = self.shape.fragments
        self.warp_row = warp // self.shape.warps[1] * (rows * TILE)
        self.warp_column = warp % self.shape.warps[1] * (columns * TILE)

    def _in_groups(self, row: Dim, column: Dim) -> list[Dim]:
        """Which tile a block has: GROUP of the rows of tiles are walked together, column by column."""
        rows, columns = (count.value for count in self.form.tiles)
        group = next((g for g in (GROUP, 4, 2) if rows is not None and rows % g == 0), 1)
        if columns is None or group == 1:
            return [row, column]
        place = row % group * columns + column  # of the group
        return [row // group * group + place % group, place // group]

    def fill(self) -> None:
        inside = self.grid.inside
        rows, columns = self.shape.fragments
        type_ = VectorType(Float32Type(), [rows, columns, 4, LANES])
        zero = arith.ConstantOp(DenseIntOrFPElementsAttr.from_list(type_, [0.0]))
        inside.add_op(zero)
        self.stages.begin(inside)
        step = loop.ForOp(fresh_name("step", self.func), 0, self.stages.count, inits=[zero.result])
        inside.add_op(step)
        number = Dim.of(step.variable)
        self.ranges[step.variable] = (0, max(0, self.stages.count.bounds(self.ranges)[1] - 1))
        self.stages.turn(number, step.block)
        part = loop.ForOp(
            fresh_name("part", self.func),
            0,
            self.stages.depth,
            step=self.step,
            role="unrolled",
            inits=list(step.block.args),
        )
        step.block.add_op(part)
        lhs, rhs = self._fragments(number, Dim.of(part.variable), part.block)
        total = MmaOp(lhs, rhs, part.block.args[0])
        part.block.add_ops([total, loop.YieldOp(total.result)])
        step.block.add_op(loop.YieldOp(*part.results))
        self._finish(step.results[0])

    def _fragments(self, number: Dim, k: Dim, block: Block) -> tuple[SSAValue, SSAValue]:
        """What the warp multiplies at some points of the sum. Each thread names a row of a matrix of 8 x 8: those of lhs are
        rows and then points, those of rhs points and then columns."""
        rows, columns = self.shape.fragments
        chunk = 16 // element_bytes(self.product.element)
        low, high = self.lane % 8, self.lane // 8
        out: list[SSAValue] = []
        for side, base, count in ((0, self.warp_row, rows), (1, self.warp_column, columns)):
            first, second = (high % 2, high // 2) if side == 0 else (high // 2, high % 2)
            transposed = not self.stages.along_sum[side]
            # Of a transposed tile a thread names a point of the sum, and else a row or column.
            own = base + Dim.of(FRAGMENT) * TILE + first * 8 + (Dim.of(0) if transposed else low)
            point = k + second * chunk + (low if transposed else Dim.of(0))
            index = self.stages.place(side, number, own, point)
            load = LoadMatrixOp(self.stages.arrays[side], index, count, transposed=transposed)
            assert load.result.type.get_shape()[1] == fragment_elements(self.product.element)
            block.add_op(load)
            out.append(load.result)
        return out[0], out[1]

    def _finish(self, total: SSAValue) -> None:
        """What the nest does with its sums, two of them at a time."""
        rows, columns = self.shape.fragments
        names = ["i", "j", "q"]
        loops: list[loop.ForOp] = []
        inside = self.grid.inside
        for name, count in zip(names, (rows, columns, 4), strict=True):
            over = loop.ForOp(fresh_name(name, self.func), 0, count, role="unrolled")
            inside.add_op(over)
            loops.append(over)
            self.ranges[over.variable] = (0, count - 1)
            inside = over.block
        i, j, q = (Dim.of(over.variable) for over in loops)
        row = self.first_row + self.warp_row + i * TILE + q % 2 * 8 + self.lane // 4
        column = self.first_column + self.warp_column + j * TILE + q // 2 * 8 + self.lane % 4 * LANES
        conditions = [self.form.rows - 1 - row, self.product.columns.upper - 1 - column]
        if left := [c for c in conditions if c.bounds(self.ranges)[0] < 0]:
            branch = loop.IfOp(left)
            inside.add_op(branch)
            inside = branch.then.block
        pair = ExtractOp(total, [i, j, q])
        inside.add_op(pair)
        points = {
            a.variable: n
            for a, n in zip(self.product.rows, numbers_of(row, self.form.row_counts), strict=True)
        }
        mover = Mover(
            {**self.mover.names, **points, self.product.columns.variable: column}, dict(self.mover.values)
        )
        mover.values[self.product.sum.results[0]] = pair.result
        body = [op for op in self.form.chain.body if op is not self.product.sum]
        used = {need for op in body if writes(op) for need in needed(op, body)}
        for op in body:
            if op in used or writes(op):
                mover.copy(op, inside)
