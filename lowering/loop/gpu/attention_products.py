"""What attention on tensor cores copies and multiplies: queries, keys and values of a block."""

from __future__ import annotations

from collections.abc import Sequence
from math import e, log2

from xdsl.ir import SSAValue

from dialects import loop
from dialects.dims import ONE, ZERO, Dim, ceildiv, product
from dialects.graph.shapes import number
from dialects.kernel import ExternOp
from dialects.loop_matrix import FRAGMENT, CopyAsyncOp, ExtractOp, JoinOp, LoadMatrixOp, MmaOp, WaitCopiesOp
from dialects.types import dims_of, ref
from lowering.kernel.extern import call
from lowering.loop.gpu.chain import numbers_of
from lowering.loop.gpu.fragments import Fragments
from lowering.loop.gpu.grid import Grid
from lowering.loop.remade import fresh_name
from lowering.target import Gpu

WARPS = 4
KEYS = (64, 32)
"""The keys of a tile: the first number with which what a thread holds stays in registers."""

HELD = 160
"""Scores and sums that a thread may hold, beside fragments of what is multiplied."""

SIDE = 16
"""Rows and columns of a fragment's matrix."""

NUMBER = Dim.of(FRAGMENT)
"""That of a fragment, where several are read at once."""

CHUNK = 8
"""Elements that a thread copies at once: 16 bytes."""

IN_REGISTERS = 64
"""Features up to which the fragments of the queries stay in registers."""


class Shape:
    """How attention is divided: what a block and a warp of it have."""

    def __init__(self, func: loop.FuncOp, op: ExternOp, gpu: Gpu):
        self.func, self.op = func, op
        self.values = call(op).values
        q, k, v = (dims_of(t) for t in op.operand_types)  # pyright: ignore[reportArgumentType]
        self.heads, self.rows, self.keys = q[:-2], q[-2], k[-2]
        self.depth, self.width = (d[-1].value or 0 for d in (q, v))
        self.threads = WARPS * gpu.warp
        # Twice the queries read keys half as often, where there are blocks enough to fill the device.
        blocks = (product(self.heads) * ceildiv(self.rows, 2 * WARPS * SIDE)).value
        self.groups = 1 if blocks is not None and blocks < gpu.processors else 2
        self.queries = WARPS * SIDE * self.groups
        self.tile = next((n for n in KEYS if self.groups * (self.width + n) // 2 <= HELD), KEYS[-1])


class Products(Fragments):
    """Adds the copies and the products of a block of queries."""

    def __init__(self, form: Shape, grid: Grid):
        super().__init__(grid.inside, {n: fresh_name(n, form.func) for n in ("n", "c", "j", "s", "r", "q")})
        self.form, self.grid = form, grid
        self.is_causal = bool(form.values["causal"])
        tiles, heads = ceildiv(form.rows, form.queries), product(form.heads)
        tile, head = grid.number % tiles, grid.number // tiles
        if self.is_causal:  # blocks with many keys first, so that none of them is last
            tile, head = tiles - 1 - grid.number // heads, grid.number % heads
        self.head = numbers_of(head, form.heads) if form.heads else []
        self.first = tile * form.queries
        self.lane, self.warp = grid.thread % 32, grid.thread // 32
        self.q, self.k, self.v = (grid.values[a] for a in form.op.inputs)
        self.out = grid.values[form.op.outputs_[0]]
        self.element = self.q.type.element_type  # pyright: ignore[reportAttributeAccessIssue]
        self.scale = number(form.values, "scale") * log2(e)
        self.scores = (form.groups, form.tile // SIDE, 4, 2)
        self.sums = (form.groups, form.width // SIDE, 4, 2)
        self.q_tile = self.shared("q", form.queries, form.depth)
        self.k_tile = self.shared("k", form.tile, form.depth)
        self.v_tile = self.shared("v", form.tile, form.width)

    # -- copies ----------------------------------------------------------------------------------------------------------

    def shared(self, name: str, rows: int, columns: int) -> SSAValue:
        alloc = loop.AllocOp(ref(self.element, [rows, columns], strides=[columns + CHUNK, 1], space="shared"))
        alloc.result.name_hint = f"{name}_tile"
        self.grid.shared.add_op(alloc)
        return alloc.result

    def copy(self, array: SSAValue, first: Dim, rows: int, limit: Dim, tile: SSAValue) -> None:
        """Begins to copy rows to a tile; those from the limit on are zero there."""
        shape = array.type.shape.data  # pyright: ignore[reportAttributeAccessIssue]
        chunks = (shape[-1].value or 0) // CHUNK
        head = [h if d != ONE else ZERO for h, d in zip(self.head, shape[:-2], strict=True)]
        count, threads = rows * chunks, self.form.threads

        def step(_: Sequence[SSAValue]) -> Sequence[SSAValue]:
            point = Dim.of(self.names["s"]) * threads + self.grid.thread
            row, column = point // chunks, point % chunks * CHUNK
            guard = [limit - 1 - first - row] if limit % rows != ZERO else []
            with self.only([count - 1 - point] if count % threads else []):
                index = [*head, first + row, column]
                self.add(CopyAsyncOp(CHUNK, array, index, tile, [row, column], guard=guard))
            return []

        self.loop("s", ZERO, ceildiv(count, threads), [], step)

    def arrive(self) -> None:
        """What was begun to be copied is there, and all threads have read what was there before."""
        self.add(WaitCopiesOp(0))
        self.add(loop.BarrierOp())

    # -- products --------------------------------------------------------------------------------------------------------

    def kept_queries(self) -> list[SSAValue]:
        """The fragments of the warp's queries, for each group all of them; none where they do not stay in registers."""
        if self.form.depth > IN_REGISTERS:
            return []
        steps = self.form.depth // SIDE
        return [
            self.add(LoadMatrixOp(self.q_tile, self._query(Dim.of(g), NUMBER * SIDE), steps))
            for g in range(self.form.groups)
        ]

    def _query(self, group: Dim, column: Dim) -> list[Dim]:
        """The row that a thread names of the warp's queries."""
        return [(self.warp * self.form.groups + group) * SIDE + self.lane % 16, column + self.lane // 16 * 8]

    def products(self, fragments: Sequence[SSAValue]) -> SSAValue:
        """The products of the warp's queries with a tile of keys."""
        place = Dim.of(self.names["c"])
        lane, groups = self.lane, self.form.groups

        def step(carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
            column = place * SIDE
            if fragments:
                lhs = self.add(JoinOp(*(self.add(ExtractOp(f, [place])) for f in fragments)))
            else:
                lhs = self.add(LoadMatrixOp(self.q_tile, self._query(NUMBER, column), groups))
            row, half = lane // 16 * 8 + lane % 8, lane // 8 % 2 * 8
            index = [row + NUMBER * SIDE, column + half]
            rhs = self.add(LoadMatrixOp(self.k_tile, index, self.form.tile // SIDE))
            return [self.add(MmaOp(lhs, rhs, carried[0]))]

        zero = self.splat(0.0, self.scores)
        return self.loop("c", ZERO, Dim.of(self.form.depth // SIDE), [zero], step)[0]

    def weighted(self, weights: SSAValue, total: SSAValue) -> SSAValue:
        """Adds the values of a tile, each times its weight."""
        place = Dim.of(self.names["j"])

        def step(carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
            parts = [
                self.add(ExtractOp(weights, [Dim.of(g), place], flat=True)) for g in range(self.form.groups)
            ]
            index = [place * SIDE + self.lane % 16, self.lane // 16 * 8 + NUMBER * SIDE]
            rhs = self.add(LoadMatrixOp(self.v_tile, index, self.form.width // SIDE, transposed=True))
            return [self.add(MmaOp(self.add(JoinOp(*parts)), rhs, carried[0]))]

        return self.loop("j", ZERO, Dim.of(self.form.tile // SIDE), [total], step)[0]
