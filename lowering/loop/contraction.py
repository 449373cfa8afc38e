"""Loop nests for tiled contractions: cache blocks, panels, a register tile, the epilogue on write-back.

The micro-kernel is a loop over a block of the reduced axis that carries a tile of the result in registers. Each block is
summed from zero and added to what the one before left in memory; the last applies the epilogue. What is around it
depends on what is split between the threads:

- rows: pack the right operand into panels (all threads, then a barrier); for each block of rows pack the left operand
  into panels of its thread, and run the tiles of all columns. For large products.
- columns, or whole products of a batch: each thread packs what it needs for itself and waits for no other. A panel of
  columns is packed and used up by all rows at once, which stay in the second-level cache.

An operand that is not packed is read where it lies; a right one may lie in panels of the tile's width that were packed
before (`kernel-prepack`). Operands are fields, so a prologue (a cast, a scale, an activation) is computed while packing.

The structure is that of K. Goto and R. van de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.dialects import arith
from xdsl.dialects.builtin import FloatAttr
from xdsl.ir import Attribute, Block, BlockArgument, SSAValue

from dialects import loop
from dialects.dims import ONE, ZERO, Dim, ceildiv, dmax, dmin
from dialects.errors import IrkitError
from dialects.kernel import DefOp, ReadOp, ReduceOp, WriteOp
from dialects.types import RefType, ref
from lowering.kernel.contraction import Contraction, panel_index
from lowering.loop import nest_remarks
from lowering.loop.nest import Level, Nest, Shared, VectorAxis
from lowering.schedule import Schedule

SHARED_ROWS = 512
"""Rows from which on threads that split the columns pack the rows together: two barriers then cost less than the copies."""


def lower_contraction(kernel: DefOp, body: Block, schedule: Schedule, contraction: Contraction) -> None:
    """Fills the body of a loop.func from a kernel whose schedule packs its contraction."""
    _Packed(kernel, body, schedule, contraction).lower()


@dataclass(frozen=True)
class _Rows:
    """Tiles of rows of one size: `count` of them, the first of which begins at row `start` and is tile `first`."""

    first: int | Dim
    start: Dim
    count: Dim
    size: int
    valid: Dim | None = None
    """The rows left from `start` on, where they may end within a tile."""


@dataclass
class _Packed:
    kernel: DefOp
    body: Block
    schedule: Schedule
    contraction: Contraction

    def __post_init__(self) -> None:
        c, extents = self.contraction, self.kernel.extents()
        self.i = c.m[0] if c.m else None  # a vector times a matrix has no rows
        (self.j,), (self.k,) = c.n, c.k
        self.shape = (*c.m, self.j)
        for axis in self.shape:
            if axis not in self.schedule.tile:
                raise IrkitError(
                    f"schedule of @{self.kernel.sym_name.data} packs a contraction without a register tile along '{axis}'",
                    self.kernel,
                    expected=f'"tile {axis} SIZE"',
                    hint="give both tile sizes, or remove the pack directives",
                )
        self._check_axes()
        self.n, self.depth, self.nr = extents[self.j], extents[self.k], self.schedule.tile[self.j]
        self.m, self.mr = (extents[self.i], self.schedule.tile[self.i]) if self.i else (ONE, 1)
        wanted = self.schedule.split.get(self.k)
        size = self.depth.value
        # One block where the axis is no longer than the wanted block, or where none is wanted.
        self.blocks_k = wanted is not None and (size is None or size > wanted)
        self.kc = wanted if self.blocks_k and wanted is not None else 0
        self.mc = -(-self.schedule.split.get(self.i or "", 8 * self.mr) // self.mr) * self.mr
        self.by_rows = bool(self.i) and self.schedule.parallel in (None, self.i)
        self.shares_rows = self.schedule.parallel == self.j and (self.m.value or 0) >= SHARED_ROWS
        self.element: Attribute = c.reduce.results[0].type
        self.shared = Shared.of(self.kernel, self.body, self._no_reduction)
        self.shared.location_of = c.reduce

    def _check_axes(self) -> None:
        """Every directive is about an axis for which it means something."""
        for verb, axes, allowed in (
            ("tile", self.schedule.tile, self.shape),
            ("split", self.schedule.split, (*self.contraction.m, self.k)),
            ("parallel", filter(None, [self.schedule.parallel]), (*self.shape, *self.contraction.batch)),
        ):
            for axis in axes:
                if axis not in allowed:
                    raise IrkitError(
                        f"schedule of @{self.kernel.sym_name.data}: '{verb}' along '{axis}' means nothing to a packed contraction",
                        self.kernel,
                        expected=" or ".join(f'"{verb} {a}"' for a in allowed),
                        hint="remove it, or remove the pack directives",
                    )
        if self.i is None and "lhs" in self.schedule.pack:
            raise IrkitError(
                f"schedule of @{self.kernel.sym_name.data} packs a vector",
                self.kernel,
                found='"pack lhs"',
                expected="a matrix on the left",
                hint="remove the directive",
            )

    def _no_reduction(self, nest: Nest, op: ReduceOp) -> None:
        raise AssertionError(f"@{self.kernel.sym_name.data} holds a second reduction")

    def lower(self) -> None:
        nest = Nest(self.shared, [Level(self.body)])
        k_block = Dim.of(self.kc) if self.blocks_k else self.depth
        self.rhs, self.lhs = self._panels(), None
        self.prepacked = self.rhs is not None
        if "rhs" in self.schedule.pack:
            panels, space = (ceildiv(self.n, self.nr), "team") if self.by_rows else (ONE, "scratch")
            self.rhs = self._alloc(nest, [panels, k_block, self.nr], space)
        if "lhs" in self.schedule.pack:
            tiles = Dim.of(self.mc // self.mr) if self.by_rows else self._tiles_of_rows()
            self.lhs = self._alloc(nest, [tiles, k_block, self.mr], "team" if self.shares_rows else "scratch")
        self.partial = self._partial_sums(nest)
        for axis in self.contraction.batch:
            role = "parallel" if axis == self.schedule.parallel else "serial"
            nest.open(axis, 0, self.kernel.extents()[axis], role=role)
        if self.blocks_k:
            self.ko = nest.fresh(f"{self.k}o")
            empty = (
                self.depth.bounds(nest.ranges())[0] < 1
            )  # even a sum of nothing is written, by one empty block
            nest.open(self.ko, 0, dmax(1, self.depth) if empty else self.depth, step=self.kc, binds={})
        self.base = Dim.of(self.ko) if self.blocks_k else ZERO
        self.count = dmin(self.kc, self.depth - self.base) if self.blocks_k else self.depth
        if self.by_rows:
            self._by_rows(nest)
        else:
            self._by_columns(nest)
        while nest.level.loop is not None:
            nest.close()

    def _tiles_of_rows(self) -> Dim:
        """At least as many as there are tiles of rows: of an unknown number each smaller size is needed once at most."""
        return ceildiv(self.m, self.mr) + (0 if self.m.value else self.mr.bit_length())

    # -- memory -----------------------------------------------------------------------------------------------

    def _alloc(self, nest: Nest, shape: Sequence[Dim | int], space: str) -> SSAValue:
        op = loop.AllocOp(ref(self.element, shape, space=space))
        nest.add(op)
        return op.result

    def _panels(self) -> SSAValue | None:
        """The array of panels that holds the right operand already."""
        read, size = self.contraction.rhs.owner, self.nr
        if "rhs" in self.schedule.pack or not isinstance(read, ReadOp) or read.otherwise is not None:
            return None
        type_ = read.array.type
        assert isinstance(type_, RefType)
        if read.index.data != panel_index(self.j, self.k, size) or type_.shape.data[2] != Dim.of(size):
            return None
        return self.shared.arrays[read.array] if type_.is_contiguous else None

    def _partial_sums(self, nest: Nest) -> tuple[SSAValue, tuple[Dim, ...], list[int]] | None:
        """Where the sums of one block of the reduced axis wait for the next: array, index, dims of rows and columns.

        An output that holds sums of this type and shares its memory with no operand serves; else an array of our own.
        """
        if not self.blocks_k:
            return None
        for op in self.kernel.block.ops:
            if (
                not isinstance(op, WriteOp)
                or op.value.type != self.element
                or not isinstance(op.array, BlockArgument)
            ):
                continue
            if self.kernel.signature.data[op.array.index].alias_of is None:
                names = [str(e) for e in op.index.data]
                dims = [names.index(axis) for axis in self.shape]
                return self.shared.arrays[op.array], op.index.data, dims
        space = "scratch" if self.schedule.parallel in self.contraction.batch else "team"
        extents = self.kernel.extents()
        array = self._alloc(nest, [extents[a] for a in self.shape], space)
        return array, tuple(map(Dim.of, self.shape)), [*range(len(self.shape))]

    # -- packing ----------------------------------------------------------------------------------------------

    def _pack_rhs(self, nest: Nest, panel: Dim, place: Dim) -> None:
        """Packs one panel of columns."""
        if self.rhs is not None and not self.prepacked:
            start = panel * self.nr
            self._pack(nest, self.contraction.rhs, self.rhs, start, self._columns(panel), place)

    def _pack_lhs(self, nest: Nest, rows: _Rows) -> None:
        """Packs tiles of rows: those of this thread, or a part of those that all threads share."""
        if self.lhs is None:
            return
        panel = nest.fresh(f"{self.i}p")
        nest.open(panel, 0, rows.count, role="parallel" if self.shares_rows else "serial", binds={})
        points = self._rows_of(rows, Dim.of(panel))
        start = rows.start + Dim.of(panel) * rows.size
        self._pack(nest, self.contraction.lhs, self.lhs, start, points, Dim.of(panel) + rows.first)
        nest.close()

    def _pack(
        self,
        nest: Nest,
        value: SSAValue,
        panels: SSAValue,
        start: Dim,
        points: VectorAxis,
        place: Dim,
    ) -> None:
        """One panel: for each reduced point a row of points of an axis, zero past the extent."""
        axis = points.axis
        kk = nest.fresh(f"{self.k}i")
        # The axis is a vector axis whose first point is bound by a loop of one iteration.
        nest.open(axis, start, start + 1, step=points.size, vectors=[points])
        nest.open(kk, 0, self.count, binds={self.k: self.base + Dim.of(kk)})
        row = nest.materialise(value)
        row = nest.splat(row, (axis,))
        nest.add(loop.StoreOp(row, panels, [place, Dim.of(kk), ZERO], along=[2]))
        nest.close()
        nest.close()

    # -- tiles ------------------------------------------------------------------------------------------------

    def _columns(self, panel: Dim) -> VectorAxis:
        """The columns of a panel."""
        full = self.n.value is not None and self.n.value % self.nr == 0
        return VectorAxis(self.j, self.nr, None if full else dmin(self.nr, self.n - panel * self.nr))

    def _rows_of(self, rows: _Rows, panel: Dim) -> VectorAxis:
        """The rows of a tile."""
        assert self.i is not None
        valid = None if rows.valid is None else dmin(rows.size, rows.valid - panel * rows.size)
        return VectorAxis(self.i, rows.size, valid)

    def _row_tiles(self) -> list[_Rows]:
        """All rows in tiles: where their number is known, tiles of two sizes that differ by one, so that none is cut. An
        unknown number is full tiles, then smaller ones, of about half the size each, for what is left."""
        m, size = self.m.value, self.mr
        if not m:
            return self._open_row_tiles()
        count = -(-m // size)
        size = -(-m // count)
        larger = m - count * (size - 1)
        rows = [_Rows(0, ZERO, Dim.of(larger), size)]
        if larger < count:
            rows.append(_Rows(larger, Dim.of(larger * size), Dim.of(count - larger), size - 1))
        return rows

    def _open_row_tiles(self) -> list[_Rows]:
        """An unknown number of rows: full tiles, then of each smaller size one or none."""
        rows: list[_Rows] = []
        first, start, left, size = ZERO, ZERO, self.m, self.mr
        while True:
            count = left // size
            rows.append(_Rows(first, start, count, size))
            first, start, left = first + count, start + count * size, left % size
            if size == 1:
                return rows
            size = -(-size // 2)

    def _by_rows(self, nest: Nest) -> None:
        """Blocks of rows between the threads: all pack the right operand, then each its own rows."""
        nest_remarks.split_blocks(self.kernel, self.i or "", self.mc)
        panel = nest.fresh(f"{self.j}p")
        packs = self.rhs is not None and not self.prepacked
        if packs:
            nest.open(panel, 0, ceildiv(self.n, self.nr), role="parallel", binds={})
            self._pack_rhs(nest, Dim.of(panel), Dim.of(panel))
            nest.close()
            nest.add(loop.BarrierOp())
        rows = self._open_block(nest)
        self._pack_lhs(nest, rows)
        panel = nest.fresh(f"{self.j}p")
        nest.open(panel, 0, ceildiv(self.n, self.nr), binds={})
        self._tiles(nest, rows, Dim.of(panel), Dim.of(panel))
        nest.close()
        nest.close()
        if packs and (self.blocks_k or self.contraction.batch):
            nest.add(loop.BarrierOp())  # the next panels overwrite these

    def _open_block(self, nest: Nest) -> _Rows:
        """Opens the loop over blocks of rows, and gives those of one block.

        Where the number of rows is known, blocks differ by at most one tile, so that threads get equal shares.
        """
        block = nest.fresh(f"{self.i}o")
        if self.m.value is None:
            nest.open(block, 0, self.m, step=self.mc, role="parallel", binds={})
            first = Dim.of(block)
            last = dmin(first + self.mc, self.m)
            return _Rows(0, first, ceildiv(last - first, self.mr), self.mr, last - first)
        tiles = -(-self.m.value // self.mr)
        blocks = max(1, -(-tiles // (self.mc // self.mr)))
        nest.open(block, 0, blocks, role="parallel", binds={})
        begin, end = (number * tiles // blocks for number in (Dim.of(block), Dim.of(block) + 1))
        first = begin * self.mr
        valid = None if self.m.value % self.mr == 0 else dmin(end * self.mr, self.m) - first
        return _Rows(0, first, end - begin, self.mr, valid)

    def _by_columns(self, nest: Nest) -> None:
        """Panels of columns, or whole products, between the threads. Each packs for itself, and none waits for another,
        but for many rows, which all pack together."""
        if self.schedule.parallel == self.j:
            nest_remarks.split_blocks(self.kernel, self.j, self.nr)
        elif self.schedule.parallel in self.contraction.batch:
            nest_remarks.threads(self.kernel, self.schedule, self.schedule.parallel, {})
        tiles = self._row_tiles()
        for rows in tiles:
            self._pack_lhs(nest, rows)
        waits = self.lhs is not None and self.shares_rows
        if waits:
            nest.add(loop.BarrierOp())
        panel = nest.fresh(f"{self.j}p")
        role = "parallel" if self.schedule.parallel == self.j else "serial"
        nest.open(panel, 0, ceildiv(self.n, self.nr), role=role, binds={})
        self._pack_rhs(nest, Dim.of(panel), ZERO)
        for rows in tiles:
            self._tiles(nest, rows, Dim.of(panel), Dim.of(panel) if self.prepacked else ZERO)
        nest.close()
        if waits and (self.blocks_k or self.contraction.batch):
            nest.add(loop.BarrierOp())  # the next rows overwrite these

    def _tiles(self, nest: Nest, rows: _Rows, panel: Dim, place: Dim) -> None:
        """The tiles of some rows in one panel of columns. Tiles are counted, so that no place in the panels needs a division."""
        if self.i is None:
            nest.open(
                self.j, panel * self.nr, panel * self.nr + 1, step=self.nr, vectors=[self._columns(panel)]
            )
            self._tile(nest, ZERO, place)
            nest.close()
            return
        tile = nest.fresh(f"{self.i}p")
        nest.open(tile, 0, rows.count, binds={})
        row, column = rows.start + Dim.of(tile) * rows.size, panel * self.nr
        nest.open(self.i, row, row + 1, step=rows.size, vectors=[self._rows_of(rows, Dim.of(tile))])
        nest.open(self.j, column, column + 1, step=self.nr, vectors=[self._columns(panel)])
        self._tile(nest, Dim.of(tile) + rows.first, place)
        for _ in range(3):
            nest.close()

    def _tile(self, nest: Nest, row_panel: Dim, column_panel: Dim) -> None:
        """Sums one block of the reduced axis from zero: short sums, added up block by block, round less."""
        zero = nest.constant(FloatAttr(0.0, self.element), self.element)  # pyright: ignore
        kk = nest.fresh(f"{self.k}i")
        inits, binds = [nest.splat(zero, self.shape)], {self.k: self.base + Dim.of(kk)}
        level = nest.open(kk, 0, self.count, inits=inits, binds=binds)
        (total,) = nest.close([self._step(nest, level.block.args[0], row_panel, column_panel)])
        if not self.blocks_k:
            self._epilogue(nest, total)
            return
        branch = loop.IfOp([self.base - ONE])
        self._inside(
            nest, branch.then.block, lambda inner: self._finish(inner, self._add_partial(inner, total))
        )
        self._inside(nest, branch.otherwise.block, lambda inner: self._finish(inner, total, first=True))
        nest.add(branch)

    def _step(self, nest: Nest, sums: SSAValue, row_panel: Dim, column_panel: Dim) -> SSAValue:
        """The sums after one reduced point."""
        c = self.contraction
        b = self._element(nest, c.rhs, self.rhs, column_panel, self.j, self.prepacked)
        if self.i is None:
            a = nest.broadcast(nest.materialise(c.lhs), self.shape)
            product = nest.add(arith.MulfOp(a, b)).results[0]
            step = arith.AddfOp(sums, product)
            self.shared.shapes[product] = self.shape
        else:
            step = loop.ContractOp(self._element(nest, c.lhs, self.lhs, row_panel, self.i), b, sums)
        nest.add(step)
        self.shared.shapes[step.results[0]] = self.shape
        return step.results[0]

    def _element(
        self,
        nest: Nest,
        value: SSAValue,
        panels: SSAValue | None,
        place: Dim,
        axis: str,
        has_all: bool = False,
    ) -> SSAValue:
        """The elements of an operand at one reduced point: from its panel, of one block or (`has_all`) of all reduced
        points, or as its field gives them."""
        if panels is None:
            return nest.splat(nest.materialise(value), (axis,))
        point = Dim.of(next(iter(nest.level.ranges)))
        point = self.base + point if has_all else point
        load = loop.LoadOp(panels, [place, point, ZERO], shape=[nest.size_of(axis)], along=[2])
        nest.add(load)
        return load.result

    def _finish(self, nest: Nest, total: SSAValue, first: bool = False) -> None:
        """Keeps the sums where another block follows, else runs the epilogue."""
        if first and self.depth.value is not None:  # longer than one block
            self._store_partial(nest, total)
            return
        remaining = self.depth - self.base - Dim.of(self.kc) - 1  # at least zero while another block follows
        branch = loop.IfOp([remaining])
        self._inside(nest, branch.then.block, lambda inner: self._store_partial(inner, total))
        self._inside(nest, branch.otherwise.block, lambda inner: self._epilogue(inner, total))
        nest.add(branch)

    def _inside(self, nest: Nest, block: Block, fill) -> None:  # pyright: ignore
        """Runs `fill` with a nest whose innermost level is a branch."""
        fill(Nest(self.shared, [*nest.levels, Level(block)]))

    def _add_partial(self, nest: Nest, total: SSAValue) -> SSAValue:
        assert self.partial is not None
        array, index, along = self.partial
        load = loop.LoadOp(
            array,
            index,
            shape=[nest.size_of(a) for a in self.shape],
            along=along,
            valid=nest.valid(self.shape),
        )
        total_op = arith.AddfOp(load.result, total)
        for op in (load, total_op):
            nest.add(op)
            self.shared.shapes[op.results[0]] = self.shape
        return total_op.result

    def _store_partial(self, nest: Nest, total: SSAValue) -> None:
        assert self.partial is not None
        array, index, along = self.partial
        nest.add(loop.StoreOp(total, array, index, along=along, valid=nest.valid(self.shape)))

    def _epilogue(self, nest: Nest, total: SSAValue) -> None:
        nest.level.values[self.contraction.reduce.results[0]] = total
        writes = [op for op in self.kernel.block.ops if isinstance(op, WriteOp)]
        values = [nest.materialise(w.value) for w in writes]
        for write, value in zip(writes, values, strict=True):
            self.shared.location_of = write
            nest.write(write, value)


def can_pack(kernel: DefOp, contraction: Contraction) -> bool:
    """Whether the tiled nest covers the kernel: one axis for columns and the sum, at most one for rows, and one reduction."""
    c = contraction
    reductions = [op for op in kernel.block.ops if isinstance(op, ReduceOp)]
    single = len(c.m) <= 1 and len(c.n) == len(c.k) == 1
    out = {*c.m, *c.n, *c.batch}
    return (
        single
        and len(reductions) == 1
        and all(_covers(op, out) for op in kernel.block.ops if isinstance(op, WriteOp))
    )


def _covers(write: WriteOp, axes: set[str]) -> bool:
    """Whether a write runs over exactly these axes, each as an index of its own."""
    array = write.array.type
    assert isinstance(array, RefType)
    return write.combiner is None and {str(e) for e in write.index.data if e.value is None} == axes
