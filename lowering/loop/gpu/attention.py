"""Attention in one kernel on tensor cores: a block for some queries, which goes over the keys tile by tile.

Scores stay in registers. Of each query a block keeps the greatest score so far, the sum of the weights relative to it, and the
weighted sum of the values; where a tile has a greater score, both sums are scaled. So memory grows with the sequence, not with
its square (T. Dao, "FlashAttention-2: faster attention with better parallelism and work partitioning", 2023).

A warp has 16 or 32 queries, whose scores and results are fragments of its threads (`dialects/loop_matrix.py`); the weights of
a tile are, rounded, the left factor of the product with the values, without leaving their thread. Values are copied to shared
memory while scores are computed, the next keys while the values are summed up. Rows of shared arrays have a pad of 16 bytes, so
that the eight rows that are read at once lie in different banks.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects import arith, math
from xdsl.dialects.builtin import VectorType, i1, i32
from xdsl.ir import SSAValue

from dialects import loop
from dialects.dims import ZERO, Dim, ceildiv, dmax, dmin, product
from dialects.graph.kernels import find_kernel
from dialects.kernel import CompareOp, ConvertOp, ExternOp, SelectOp
from dialects.loop_matrix import CommitCopiesOp, ExtractOp
from lowering.graph.attention import fits_tensor_cores
from lowering.kernel.extern import call
from lowering.loop.gpu.attention_products import SIDE, Products, Shape
from lowering.loop.gpu.grid import Form, Grid
from lowering.target import Gpu

INFINITY = float("inf")


class Attention(Form):
    """A block for some queries of one head."""

    kind = "attention"

    def __init__(self, func: loop.FuncOp, op: ExternOp, gpu: Gpu):
        self.shape = Shape(func, op, gpu)
        self.threads = self.shape.threads

    def blocks(self, threads: int) -> Dim:
        return product(self.shape.heads) * ceildiv(self.shape.rows, self.shape.queries)

    def fill(self, grid: Grid) -> None:
        _Queries(self.shape, grid).fill()


def is_attention(func: loop.FuncOp, op: ExternOp) -> bool:
    """Whether a kernel is an attention that was kept whole, and not one that text is written for."""
    whole = call(op)
    if op.callee.data != "attention" or find_kernel(whole, "cuda") or find_kernel(whole):
        return False
    return fits_tensor_cores(op.operand_types, whole.values, func.symbols.ranges())


class _Queries(Products):
    """What the block of some queries does."""

    def fill(self) -> None:
        form = self.form
        self.copy(self.q, self.first, form.queries, form.rows, self.q_tile)
        self.copy(self.k, ZERO, self.form.tile, form.keys, self.k_tile)
        self.add(CommitCopiesOp())
        self.arrive()
        fragments = self.kept_queries()
        rows = 2 * form.groups
        state = [self.number(-INFINITY)] * rows + [self.number(0.0)] * rows
        state.append(self.splat(0.0, self.sums))
        full, count = self._tiles()
        for first, last, is_edge in ((ZERO, full, False), (full, count, True)):
            if (last - first).value != 0:
                state = self._tiles_of(first, last, count, state, fragments, is_edge)
        self._store(self._divided(state[rows : 2 * rows], state[-1]))

    def _tiles(self) -> tuple[Dim, Dim]:
        """The tiles of keys that all queries see whole, and those that any of them sees."""
        keys = self.form.keys
        if not self.is_causal:
            return keys // self.form.tile, ceildiv(keys, self.form.tile)
        ahead = self.first + keys - self.form.rows

        def seen(bound: Dim) -> Dim:
            low = bound if bound.bounds(self.grid.ranges)[0] >= 0 else dmax(0, bound)
            return dmin(keys, low)

        return seen(ahead + 1) // self.form.tile, ceildiv(seen(ahead + self.form.queries), self.form.tile)

    def _tiles_of(
        self,
        first: Dim,
        last: Dim,
        count: Dim,
        state: Sequence[SSAValue],
        fragments: Sequence[SSAValue],
        is_edge: bool,
    ) -> list[SSAValue]:
        """Goes over tiles of keys; those at an edge have scores that do not count."""
        tile, size = Dim.of(self.names["n"]), self.form.tile

        def step(carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
            self.arrive()
            self.copy(self.v, tile * size, size, self.form.keys, self.v_tile)
            self.add(CommitCopiesOp())
            scores = self.products(fragments)
            self.arrive()
            with self.only([count - 2 - tile]):
                self.copy(self.k, (tile + 1) * size, size, self.form.keys, self.k_tile)
                self.add(CommitCopiesOp())
            if is_edge:
                scores = self._hidden(scores, tile)
            return self._softmax(scores, carried)

        return self.loop("n", first, last, state, step, "serial")

    # -- softmax ---------------------------------------------------------------------------------------------------------

    def _row(self, row: int) -> Dim:
        """The query of one of a thread's rows: two of each group."""
        group, half = divmod(row, 2)
        return self.first + (self.warp * self.form.groups + group) * SIDE + self.lane // 4 + half * 8

    def _hidden(self, scores: SSAValue, tile: Dim) -> SSAValue:
        """Scores of keys that a query does not see are -inf."""
        keys, shape = self.form.keys, self.scores
        column = tile * self.form.tile + self.lane % 4 * 2
        limits: list[SSAValue] = []
        for row in range(2 * self.form.groups):
            last = keys - 1
            if self.is_causal:
                last = dmin(last, self._row(row) + keys - self.form.rows)
            index = self.add(loop.IndexOp(last - column))
            limits.append(self.add(arith.TruncIOp(index, i32)))
        places = self.lattice([SIDE * j for j in range(shape[1])], 1, shape)
        places = self.add(arith.AddiOp(places, self.lattice([0, 0, 8, 8], 2, shape)))
        places = self.add(arith.AddiOp(places, self.lattice([0, 1], 3, shape)))
        seen = self.add(CompareOp("sle", places, self.spread(limits, shape), VectorType(i1, shape)))
        return self.add(SelectOp(seen, scores, self.splat(-INFINITY, shape)))

    def _softmax(self, scores: SSAValue, state: Sequence[SSAValue]) -> list[SSAValue]:
        """The state with the scores of one more tile of keys, whose values are in shared memory."""
        rows = 2 * self.form.groups
        scale = self.number(self.scale)
        tops = self.over_threads(self.over_rows(scores, arith.MaxnumfOp), arith.MaxnumfOp)
        tops = [self.add(arith.MaxnumfOp(a, b)) for a, b in zip(state[:rows], tops, strict=True)]
        shifts, factors = [], []
        for top, before in zip(tops, state[:rows], strict=True):
            # A row that has seen no key yet: differences of infinities are no numbers.
            is_none = self.add(arith.CmpfOp(top, self.number(-INFINITY), "oeq"))
            base = self.add(arith.SelectOp(is_none, self.number(0.0), top))
            shifts.append(self.add(arith.MulfOp(base, scale)))
            difference = self.add(arith.SubfOp(before, base))
            factors.append(self.add(math.Exp2Op(self.add(arith.MulfOp(difference, scale)))))
        scaled = self.add(arith.MulfOp(scores, self.add(loop.BroadcastOp(scale, self.scores))))
        weights = self.add(math.Exp2Op(self.add(arith.SubfOp(scaled, self.spread(shifts, self.scores)))))
        sums = [
            self.add(arith.AddfOp(self.add(arith.MulfOp(old, factor)), new))
            for old, factor, new in zip(
                state[rows : 2 * rows], factors, self.over_rows(weights, arith.AddfOp), strict=True
            )
        ]
        total = self.add(arith.MulfOp(state[-1], self.spread(factors, self.sums)))
        rounded = self.add(ConvertOp("truncf", weights, VectorType(self.element, self.scores)))
        return [*tops, *sums, self.weighted(rounded, total)]

    # -- results ---------------------------------------------------------------------------------------------------------

    def _divided(self, sums: Sequence[SSAValue], total: SSAValue) -> SSAValue:
        """The mean of the values; rows without keys as the op says."""
        sums = self.over_threads(sums, arith.AddfOp)
        one = self.number(1.0)
        shares = [self.add(arith.DivfOp(one, s)) for s in sums]
        out = self.add(arith.MulfOp(total, self.spread(shares, self.sums)))
        test = {"zero": "une", "safe": "ogt"}.get(str(self.form.values["unseen"]))
        if test is not None:
            zero, mask = self.splat(0.0, self.sums), VectorType(i1, self.sums)
            counts = self.add(CompareOp(test, self.spread(sums, self.sums), zero, mask))
            out = self.add(SelectOp(counts, out, zero))
        return self.add(ConvertOp("truncf", out, VectorType(self.element, self.sums)))

    def _store(self, values: SSAValue) -> None:
        """Each thread its pairs."""
        group, column, quarter = (Dim.of(self.names[n]) for n in ("r", "j", "q"))
        row = (self.warp * self.form.groups + group) * SIDE + self.lane // 4 + quarter % 2 * 8 + self.first
        place = column * SIDE + self.lane % 4 * 2 + quarter // 2 * 8

        def pair(_: Sequence[SSAValue]) -> Sequence[SSAValue]:
            index = [*self.head, row, place]
            with self.only([self.form.rows - 1 - row] if self.form.rows % self.form.queries != ZERO else []):
                value = self.add(ExtractOp(values, [group, column, quarter]))
                self.add(loop.StoreOp(value, self.out, index, along=[len(index) - 1]))
            return []

        def columns(_: Sequence[SSAValue]) -> Sequence[SSAValue]:
            return self.loop("q", ZERO, Dim.of(4), [], pair)

        def groups(_: Sequence[SSAValue]) -> Sequence[SSAValue]:
            return self.loop("j", ZERO, Dim.of(self.sums[1]), [], columns)

        self.loop("r", ZERO, Dim.of(self.sums[0]), [], groups)
