"""Column by column: few points, each of which adds up (or the like) many elements that do not lie side by side.

Neighbouring threads of a block have neighbouring points, so that they read side by side; groups of them take every so many
elements each. What the groups have is combined in shared memory, in halves, and the first group goes on with it.
"""

from __future__ import annotations

from math import prod

from xdsl.dialects.builtin import VectorType
from xdsl.ir import Block, SSAValue

from dialects import loop
from dialects.dims import ZERO, Dim, ceildiv, dmin, product
from dialects.types import element_bytes, element_of, ref, shape_of
from lowering.loop.gpu.chain import Chain, Mover, numbers_of, split_loop
from lowering.loop.gpu.grid import Form, Grid
from lowering.loop.gpu.shared import combiner_of, is_sum
from lowering.target import Gpu

LEAST_STEPS = 32
"""Sums of fewer elements are not worth a group."""

SIDE_BY_SIDE = 128
"""Bytes that neighbouring threads read together."""


def column_sum(chain: Chain) -> loop.ForOp | None:
    """The one loop of a body, whose every carried value begins with what changes nothing."""
    loops = [op for op in chain.body if op.regions]
    if len(loops) != 1 or not isinstance(loops[0], loop.ForOp) or not loops[0].inits:
        return None
    found = loops[0]
    flat = not any(isinstance(op, loop.StoreOp) or op.regions for op in found.block.ops)
    count = ceildiv(found.upper - found.lower, found.step).value
    if not flat or (count is not None and count < LEAST_STEPS):
        return None
    narrow = all(not isinstance(v.type, VectorType) or v.type.get_num_dims() == 1 for v in found.inits)
    return found if narrow and is_sum(found) else None


class Columns(Form):
    """Blocks of some points and groups of threads."""

    kind = "columns"

    def __init__(self, func: loop.FuncOp, chain: Chain, found: loop.ForOp, gpu: Gpu):
        self.chain, self.sum, self.threads = chain, found, gpu.threads
        self.counts = chain.counts(func.symbols.ranges())
        self.total = product(self.counts)
        together = SIDE_BY_SIDE // max(lanes_of(v) * element_bytes(element_of(v.type)) for v in found.inits)
        wanted = 1 << max(0, (self.total.value or together) - 1).bit_length()
        self.points = max(1, min(together, wanted))

    def blocks(self, threads: int) -> Dim:
        return ceildiv(self.total, self.points)

    def fill(self, grid: Grid) -> None:
        groups = grid.threads // self.points
        group, column = grid.thread // self.points, grid.thread % self.points
        place = grid.number * self.points + column
        whole = self.total.value is not None and self.total.value % self.points == 0
        numbers = numbers_of(place if whole else dmin(place, self.total - 1), self.counts)
        names = {a.variable: a.at(n) for a, n in zip(self.chain.axes, numbers, strict=True)}
        mover = Mover(names, dict(grid.values))
        position = self.chain.body.index(self.sum)
        for op in self.chain.body[: position + 1]:
            new = mover.copy(op, grid.inside)
        split_loop(new, group, groups)  # pyright: ignore[reportPossiblyUnbound]
        arrays = [self._array(mover.values[r], groups, grid.shared) for r in self.sum.results]
        for number, (result, array) in enumerate(zip(self.sum.results, arrays, strict=True)):
            self._combine(number, mover.values[result], array, (group, column, groups), grid.inside)
        branch = loop.IfOp([-group] if whole else [-group, self.total - 1 - place])
        grid.inside.add_op(branch)
        for result, array in zip(self.sum.results, arrays, strict=True):
            found = _load(mover.values[result], array, ZERO, column)
            branch.then.block.add_op(found)
            mover.values[result] = found.result
        for op in self.chain.body[position + 1 :]:
            mover.copy(op, branch.then.block)

    def _array(self, value: SSAValue, groups: int, block: Block) -> SSAValue:
        alloc = loop.AllocOp(
            ref(element_of(value.type), [groups, self.points * lanes_of(value)], space="shared")
        )
        alloc.result.name_hint = "groups"
        block.add_op(alloc)
        return alloc.result

    def _combine(
        self, number: int, own: SSAValue, array: SSAValue, place: tuple[Dim, Dim, int], inside: Block
    ) -> None:
        """Leaves what all groups have of a carried value where the first has its own: in halves."""
        group, column, groups = place
        inside.add_op(_store(own, array, group, column))
        op = combiner_of(self.sum, number)
        assert op is not None
        while groups > 1:
            groups //= 2
            branch = loop.IfOp([groups - 1 - group])
            low, high = (_load(own, array, g, column) for g in (group, group + groups))
            both = op.clone(dict(zip(op.operands, [low.result, high.result], strict=True)))
            store = _store(both.results[0], array, group, column)
            branch.then.block.add_ops([low, high, both, store])
            inside.add_ops([loop.BarrierOp(), branch])


def _load(like: SSAValue, array: SSAValue, group: Dim, column: Dim) -> loop.LoadOp:
    shape, along = ([lanes_of(like)], [1]) if isinstance(like.type, VectorType) else ([], [])
    return loop.LoadOp(array, [group, column * lanes_of(like)], shape=shape, along=along)


def _store(value: SSAValue, array: SSAValue, group: Dim, column: Dim) -> loop.StoreOp:
    along = [1] if isinstance(value.type, VectorType) else []
    return loop.StoreOp(value, array, [group, column * lanes_of(value)], along=along)


def lanes_of(value: SSAValue) -> int:
    return prod(shape_of(value.type))
