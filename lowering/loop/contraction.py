"""Loop nests for packed contractions: cache blocks, panels, a register tile, the epilogue on write-back.

For each batch point and each block of the reduced axis: pack the right operand into panels (all threads, then a
barrier); for each block of rows: pack the left operand into panels of its thread; for each tile of the block run the
micro-kernel, a loop over the reduced axis that carries the tile in registers. Each block is summed from zero and added to
what the one before left in memory; the last applies the epilogue. Operands are fields, so a prologue (a
cast, a scale, an activation) is computed while packing.

The structure is that of K. Goto and R. van de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.dialects import arith
from xdsl.dialects.builtin import FloatAttr
from xdsl.ir import Attribute, Block, BlockArgument, SSAValue

from dialects import loop
from dialects.dims import ONE, ZERO, Dim, ceildiv, dmax, dmin
from dialects.errors import IrkitError
from dialects.kernel import DefOp, ReduceOp, WriteOp
from dialects.types import RefType, ref
from lowering.kernel.contraction import Contraction
from lowering.loop.nest import Level, Nest, Shared, VectorAxis
from lowering.schedule import Schedule


def lower_contraction(kernel: DefOp, body: Block, schedule: Schedule, contraction: Contraction) -> None:
    """Fills the body of a loop.func from a kernel whose schedule packs its contraction."""
    _Packed(kernel, body, schedule, contraction).lower()


@dataclass
class _Packed:
    kernel: DefOp
    body: Block
    schedule: Schedule
    contraction: Contraction

    def __post_init__(self) -> None:
        c, extents = self.contraction, self.kernel.extents()
        (self.i,), (self.j,), (self.k,) = c.m, c.n, c.k
        for axis in (self.i, self.j):
            if axis not in self.schedule.tile:
                raise IrkitError(
                    f"schedule of @{self.kernel.sym_name.data} packs a contraction without a register tile along '{axis}'",
                    self.kernel,
                    expected=f'"tile {axis} SIZE"',
                    hint="give both tile sizes, or remove the pack directives",
                )
        self._check_axes()
        self.m, self.n, self.depth = extents[self.i], extents[self.j], extents[self.k]
        self.mr, self.nr = self.schedule.tile[self.i], self.schedule.tile[self.j]
        wanted = self.schedule.split.get(self.k)
        size = self.depth.value
        # One block where the axis is no longer than the wanted block, or where none is wanted.
        self.blocks_k = wanted is not None and (size is None or size > wanted)
        self.kc = wanted if self.blocks_k and wanted is not None else 0
        self.mc = -(-self.schedule.split.get(self.i, 8 * self.mr) // self.mr) * self.mr
        self.by_columns = self.schedule.parallel == self.j
        self.element: Attribute = c.reduce.results[0].type
        self.shared = Shared.of(self.kernel, self.body, self._no_reduction)
        self.shared.location_of = c.reduce

    def _check_axes(self) -> None:
        """Every directive is about an axis for which it means something."""
        for verb, axes, allowed in (
            ("tile", self.schedule.tile, (self.i, self.j)),
            ("split", self.schedule.split, (self.i, self.k)),
            ("parallel", filter(None, [self.schedule.parallel]), (self.i, self.j)),
        ):
            for axis in axes:
                if axis not in allowed:
                    raise IrkitError(
                        f"schedule of @{self.kernel.sym_name.data}: '{verb}' along '{axis}' means nothing to a packed contraction",
                        self.kernel,
                        expected=" or ".join(f'"{verb} {a}"' for a in allowed),
                        hint="remove it, or remove the pack directives",
                    )

    def _no_reduction(self, nest: Nest, op: ReduceOp) -> None:
        raise AssertionError(f"@{self.kernel.sym_name.data} holds a second reduction")

    def lower(self) -> None:
        nest = Nest(self.shared, [Level(self.body)])
        k_block = Dim.of(self.kc) if self.blocks_k else self.depth
        self.rhs = self._alloc(nest, [ceildiv(self.n, self.nr), k_block, self.nr], "team")
        self.lhs = self._alloc(
            nest,
            [ceildiv(self.m, self.mr) if self.by_columns else self.mc // self.mr, k_block, self.mr],
            "scratch",
        )
        self.partial = self._partial_sums(nest)
        for axis in self.contraction.batch:
            nest.open(axis, 0, self.kernel.extents()[axis])
        if self.blocks_k:
            self.ko = nest.fresh(f"{self.k}o")
            empty = (
                self.depth.bounds(nest.ranges())[0] < 1
            )  # even a sum of nothing is written, by one empty block
            nest.open(self.ko, 0, dmax(1, self.depth) if empty else self.depth, step=self.kc, binds={})
        self.base = Dim.of(self.ko) if self.blocks_k else ZERO
        self.count = dmin(self.kc, self.depth - self.base) if self.blocks_k else self.depth
        self._pack_rhs(nest)
        nest.add(loop.BarrierOp())
        if self.by_columns:
            self._columns(nest)
        else:
            self._rows(nest)
        if self.blocks_k or self.contraction.batch:
            nest.add(loop.BarrierOp())  # the next panels overwrite these
        while nest.level.loop is not None:
            nest.close()

    # -- memory -----------------------------------------------------------------------------------------------

    def _alloc(self, nest: Nest, shape: list[Dim | int], space: str) -> SSAValue:
        op = loop.AllocOp(ref(self.element, shape, space=space))
        nest.add(op)
        return op.result

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
                dims = [names.index(self.i), names.index(self.j)]
                return self.shared.arrays[op.array], op.index.data, dims
        return self._alloc(nest, [self.m, self.n], "team"), (Dim.of(self.i), Dim.of(self.j)), [0, 1]

    # -- packing ----------------------------------------------------------------------------------------------

    def _pack_rhs(self, nest: Nest) -> None:
        panel = nest.fresh(f"{self.j}p")
        nest.open(panel, 0, ceildiv(self.n, self.nr), role="parallel", binds={})
        start = Dim.of(panel) * self.nr
        self._pack(nest, self.contraction.rhs, self.rhs, self.j, start, self.n, self.nr, Dim.of(panel))
        nest.close()

    def _pack_lhs(self, nest: Nest, first: Dim, last: Dim) -> None:
        """Packs rows [first, last) into the panels of this thread."""
        panel = nest.fresh(f"{self.i}p")
        nest.open(panel, 0, ceildiv(last - first, self.mr), binds={})
        start = first + Dim.of(panel) * self.mr
        self._pack(nest, self.contraction.lhs, self.lhs, self.i, start, self.m, self.mr, Dim.of(panel))
        nest.close()

    def _pack(
        self,
        nest: Nest,
        value: SSAValue,
        panels: SSAValue,
        axis: str,
        start: Dim,
        extent: Dim,
        size: int,
        panel: Dim,
    ) -> None:
        """One panel: for each reduced point a row of `size` points of the axis, zero past the extent."""
        kk = nest.fresh(f"{self.k}i")
        valid = None if extent.value is not None and extent.value % size == 0 else dmin(size, extent - start)
        # The axis is a vector axis whose first point is bound by a loop of one iteration.
        nest.open(axis, start, start + 1, step=size, vectors=[VectorAxis(axis, size, valid)])
        nest.open(kk, 0, self.count, binds={self.k: self.base + Dim.of(kk)})
        row = nest.materialise(value)
        row = nest.splat(row, (axis,))
        nest.add(loop.StoreOp(row, panels, [panel, Dim.of(kk), ZERO], along=[2]))
        nest.close()
        nest.close()

    # -- tiles ------------------------------------------------------------------------------------------------

    def _rows(self, nest: Nest) -> None:
        """Blocks of rows between the threads."""
        block = nest.fresh(f"{self.i}o")
        nest.open(block, 0, self.m, step=self.mc, role="parallel", binds={})
        first = Dim.of(block)
        last = dmin(first + self.mc, self.m)
        self._pack_lhs(nest, first, last)
        panel = nest.fresh(f"{self.j}p")
        nest.open(panel, 0, ceildiv(self.n, self.nr), binds={})
        self._open_tiles(nest, first, last, Dim.of(panel))
        for _ in range(4):
            nest.close()

    def _columns(self, nest: Nest) -> None:
        """Column panels between the threads; every thread packs all rows for itself."""
        self._pack_lhs(nest, ZERO, self.m)
        panel = nest.fresh(f"{self.j}p")
        nest.open(panel, 0, ceildiv(self.n, self.nr), role="parallel", binds={})
        self._open_tiles(nest, ZERO, self.m, Dim.of(panel))
        for _ in range(3):
            nest.close()

    def _open_tiles(self, nest: Nest, first: Dim, last: Dim, panel: Dim) -> None:
        start = panel * self.nr
        full_n = self.n.value is not None and self.n.value % self.nr == 0
        full_m = self.m.value is not None and self.m.value % self.mr == 0
        nest.open(
            self.i,
            first,
            last,
            step=self.mr,
            vectors=[VectorAxis(self.i, self.mr, None if full_m else dmin(self.mr, last - Dim.of(self.i)))],
        )
        nest.open(
            self.j,
            start,
            start + 1,
            step=self.nr,
            vectors=[VectorAxis(self.j, self.nr, None if full_n else dmin(self.nr, self.n - start))],
        )
        self._tile(nest, (Dim.of(self.i) - first) // self.mr, panel)

    def _tile(self, nest: Nest, row_panel: Dim, column_panel: Dim) -> None:
        """Sums one block of the reduced axis from zero: short sums, added up block by block, round less."""
        shape = (self.i, self.j)
        zero = nest.constant(FloatAttr(0.0, self.element), self.element)  # pyright: ignore
        kk = nest.fresh(f"{self.k}i")
        level = nest.open(kk, 0, self.count, inits=[nest.splat(zero, shape)], binds={})
        a = loop.LoadOp(self.lhs, [row_panel, Dim.of(kk), ZERO], shape=[self.mr], along=[2])
        b = loop.LoadOp(self.rhs, [column_panel, Dim.of(kk), ZERO], shape=[self.nr], along=[2])
        product = loop.ContractOp(a.result, b.result, level.block.args[0])
        for op in (a, b, product):
            nest.add(op)
        self.shared.shapes[product.result] = shape
        (total,) = nest.close([product.result])
        if not self.blocks_k:
            self._epilogue(nest, total)
            return
        branch = loop.IfOp([self.base - ONE])
        self._inside(
            nest, branch.then.block, lambda inner: self._finish(inner, self._add_partial(inner, total, shape))
        )
        self._inside(nest, branch.otherwise.block, lambda inner: self._finish(inner, total, first=True))
        nest.add(branch)

    def _finish(self, nest: Nest, total: SSAValue, first: bool = False) -> None:
        """Keeps the sums where another block follows, else runs the epilogue."""
        shape = (self.i, self.j)
        if first and self.depth.value is not None:  # longer than one block
            self._store_partial(nest, total, shape)
            return
        remaining = self.depth - self.base - Dim.of(self.kc) - 1  # at least zero while another block follows
        branch = loop.IfOp([remaining])
        self._inside(nest, branch.then.block, lambda inner: self._store_partial(inner, total, shape))
        self._inside(nest, branch.otherwise.block, lambda inner: self._epilogue(inner, total))
        nest.add(branch)

    def _inside(self, nest: Nest, block: Block, fill) -> None:  # pyright: ignore
        """Runs `fill` with a nest whose innermost level is a branch."""
        fill(Nest(self.shared, [*nest.levels, Level(block)]))

    def _add_partial(self, nest: Nest, total: SSAValue, shape: tuple[str, ...]) -> SSAValue:
        assert self.partial is not None
        array, index, along = self.partial
        load = loop.LoadOp(array, index, shape=[self.mr, self.nr], along=along, valid=nest.valid(shape))
        total_op = arith.AddfOp(load.result, total)
        for op in (load, total_op):
            nest.add(op)
            self.shared.shapes[op.results[0]] = shape
        return total_op.result

    def _store_partial(self, nest: Nest, total: SSAValue, shape: tuple[str, ...]) -> None:
        assert self.partial is not None
        array, index, along = self.partial
        nest.add(loop.StoreOp(total, array, index, along=along, valid=nest.valid(shape)))

    def _epilogue(self, nest: Nest, total: SSAValue) -> None:
        nest.level.values[self.contraction.reduce.results[0]] = total
        writes = [op for op in self.kernel.block.ops if isinstance(op, WriteOp)]
        values = [nest.materialise(w.value) for w in writes]
        for write, value in zip(writes, values, strict=True):
            self.shared.location_of = write
            nest.write(write, value)


def can_pack(kernel: DefOp, contraction: Contraction) -> bool:
    """Whether the packed nest covers the kernel: one axis each for rows, columns and the sum, and one reduction."""
    reductions = [op for op in kernel.block.ops if isinstance(op, ReduceOp)]
    single = len(contraction.m) == len(contraction.n) == len(contraction.k) == 1
    out = {contraction.m[0], contraction.n[0], *contraction.batch} if single else set[str]()
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
