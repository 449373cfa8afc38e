"""Recognises the sums that few blocks would take although they are long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.dialects.builtin import VectorType
from xdsl.ir import Operation, SSAValue

from dialects import loop
from dialects.dims import ONE, ceildiv, product
from lowering.loop.gpu.chain import Axis, Chain, chain_of
from lowering.loop.gpu.columns import lanes_of
from lowering.loop.gpu.matrices import Product, product_of_matrices
from lowering.loop.gpu.mma import SMALL
from lowering.loop.gpu.parts import accesses_of, changes_what_it_needs, groups_of, memory, needed, writes
from lowering.loop.gpu.products import tile_of
from lowering.loop.gpu.shared import is_sum
from lowering.target import Gpu

LEAST_WORK = 1 << 15
"""Terms of all sums together that are worth a launch."""

LEAST_PART = 256
"""Steps of a part."""

BLOCKS = 4
"""Parts of all sums for each multiprocessor."""

STAGE = 64
"""Parts of a product for tensor cores have a multiple of so many steps: they begin where wide copies are aligned."""

SHORT = 64
"""Steps of other loops beside the sum."""


@dataclass(frozen=True)
class LongSum:
    """A loop that adds up, the fold of its lanes where that is all that is made of them, the independent loops around it and the
    points of each, what it needs; and in how many parts of how many steps it is taken."""

    sum: loop.ForOp
    fold: loop.FoldOp | None
    around: tuple[Axis, ...]
    sizes: tuple[int, ...]
    needs: tuple[Operation, ...]
    parts: int
    size: int

    @property
    def values(self) -> Sequence[SSAValue]:
        return self.sum.results if self.fold is None else self.fold.results

    @property
    def along(self) -> tuple[int, ...]:
        """The axes that lanes run along."""
        return tuple(n for n, axis in enumerate(self.around) if axis.step != ONE)


def long_sum(func: loop.FuncOp, gpu: Gpu) -> LongSum | None:
    """The one long sum of a function that is nothing else, where its sizes are known."""
    groups = groups_of(func)
    order = [facts.is_output for facts in func.signature.data]
    if func.symbols.data or groups is None or [len(g) for g in groups] != [1] or order != sorted(order):
        return None
    (part,) = groups[0]
    if changes_what_it_needs(func, part):
        return None
    chain = chain_of(part.op, part.needs)
    found = _sum_of(chain)
    if found is None:
        return None
    axes = tuple(axis for axis in chain.axes if _is_around(axis, found))
    counts = [axis.count({}).value for axis in axes]
    steps = ceildiv(found.upper - found.lower, found.step).value
    read = {memory(func, a.array) for a in accesses_of([found])}
    written = {a.array for op in chain.body for a in accesses_of([op]) if isinstance(a, loop.StoreOp)}
    if steps is None or None in counts or read & {memory(func, a) for a in written}:
        return None
    known = [count for count in counts if count is not None]
    matrices = product_of_matrices(chain, gpu)
    parts = _parts(chain, found, matrices, product(known).value or 0, steps, gpu)
    needs = _needs(func, found)
    if parts < 2 or needs is None:
        return None
    size = -(-steps // parts)
    fold = _fold_of(found)
    if fold is not None and size > 4 * gpu.threads:
        size = -(-size // gpu.threads) * gpu.threads  # all threads of a block have as many
    if matrices is not None:
        size = -(-size // STAGE) * STAGE
    sizes = [count * (axis.step.value or 0) for count, axis in zip(known, axes, strict=True)]
    out = LongSum(found, fold, axes, tuple(sizes), tuple(needs), -(-steps // size), size)
    lanes = [tuple(v.type.get_shape()) if isinstance(v.type, VectorType) else () for v in out.values]
    steps_along = tuple(axes[n].step.value for n in out.along)
    return out if not out.along or all(shape == steps_along for shape in lanes) else None


def _sum_of(chain: Chain) -> loop.ForOp | None:
    """The only long loop of a body, if it adds up (or the like)."""
    loops = [op for op in chain.body if op.regions and not isinstance(op, loop.FoldOp)]
    if not all(isinstance(op, loop.ForOp) for op in loops):
        return None
    long = [op for op in loops if isinstance(op, loop.ForOp) and not _is_short(op)]
    return long[0] if len(long) == 1 and long[0].inits and not writes(long[0]) and is_sum(long[0]) else None


def _is_short(op: loop.ForOp) -> bool:
    steps = ceildiv(op.upper - op.lower, op.step).value
    return steps is not None and steps <= SHORT and not any(inner.regions for inner in op.block.ops)


def _is_around(axis: Axis, op: Operation) -> bool:
    around = op.parent_op()
    while around is not None and not isinstance(around, loop.FuncOp):
        if isinstance(around, loop.ForOp) and around.variable == axis.variable:
            return True
        around = around.parent_op()
    return False


def _parts(
    chain: Chain, found: loop.ForOp, matrices: Product | None, points: int, steps: int, gpu: Gpu
) -> int:
    """In how many parts the sum is taken; one where it stays whole."""
    tile = tile_of(chain)
    wide = any(isinstance(v.type, VectorType) and v.type.get_num_dims() > 1 for v in found.inits)
    if wide and tile is None:
        return 1
    lanes = max(v.type.get_shape()[0] if isinstance(v.type, VectorType) else 1 for v in found.inits)
    if not points or points * steps * lanes < LEAST_WORK:
        return 1
    each = BLOCKS
    if matrices is not None:
        rows = product(axis.count({}) for axis in matrices.rows)
        beside = product(axis.count({}) for axis in matrices.others)
        tiles = ceildiv(rows, SMALL.rows) * ceildiv(matrices.columns.upper, SMALL.columns) * beside
        blocks, each = tiles.value or 1, BLOCKS // 2  # their blocks are large
    elif tile is not None:
        beside = product(a.count({}) for a in chain.axes if a not in (tile.rows, tile.columns)).value or 1
        sides = [ceildiv(axis.count({}), 16).value or 1 for axis in (tile.rows, tile.columns)]
        blocks = beside * sides[0] * sides[1]
    else:
        blocks = -(-points // (32 // max(1, min(32, lanes_of(found.inits[0])))))
    if blocks * 2 > gpu.processors:
        return 1
    wanted = min(each * gpu.processors // blocks, steps // LEAST_PART)
    if tile is None:
        return wanted
    return next((n for n in range(min(wanted, gpu.processors * 2 // blocks), 1, -1) if steps % n == 0), 1)


def _needs(func: loop.FuncOp, found: loop.ForOp) -> list[Operation] | None:
    """What is computed before the sum and it needs; None where that is more than values."""
    before: list[Operation] = []
    inner: Operation = found
    while not isinstance(inner, loop.FuncOp) and inner.parent is not None:
        ops = list(inner.parent.ops)
        before = [*ops[: ops.index(inner)], *before]
        around = inner.parent_op()
        assert around is not None
        inner = around
    wanted = needed(found, before)
    return None if any(op.regions for op in wanted) else wanted


def _fold_of(found: loop.ForOp) -> loop.FoldOp | None:
    """The fold that is all that is made of the results of a loop."""
    users = {use.operation for result in found.results for use in result.uses}
    fold = next(iter(users)) if len(users) == 1 else None
    alike = isinstance(fold, loop.FoldOp) and [*fold.inputs] == [*found.results]
    return fold if alike and isinstance(fold, loop.FoldOp) and fold.parent is found.parent else None
