"""What the threads of a warp hold of the rows of a sum: two rows of each 16, of which four threads have all elements."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xdsl.dialects import arith
from xdsl.dialects.builtin import IntegerAttr, VectorType, f32, i32
from xdsl.ir import Block, Operation, Region, SSAValue

from dialects import loop
from dialects.dims import ONE, ZERO, Dim
from dialects.loop_matrix import ExtractOp, JoinOp
from lowering.loop.gpu.writer import Writer

Combine = Callable[..., Operation]
"""Makes the op that combines two values."""


class Fragments(Writer):
    """Adds ops on sums [groups of 16 rows, of 16 columns, 4, 2]; what belongs to a thread's rows is a list of numbers, two for
    each group."""

    def spread(self, rows: Sequence[SSAValue], shape: Sequence[int]) -> SSAValue:
        """What belongs to a thread's rows, at each of their elements."""
        groups = [(rows[i], rows[i + 1]) for i in range(0, len(rows), 2)]
        joined = self.add(JoinOp(*(self.add(JoinOp(a, b, a, b)) for a, b in groups)))
        return self.add(loop.BroadcastOp(joined, shape, [0, 2]))

    def lattice(self, places: Sequence[int], dim: int, shape: Sequence[int]) -> SSAValue:
        """Numbers along one dim of a sum."""
        numbers = [self.add(arith.ConstantOp(IntegerAttr(p, i32))) for p in places]
        return self.add(loop.BroadcastOp(self.add(JoinOp(*numbers)), shape, [dim]))

    def over_rows(self, values: SSAValue, combine: Combine) -> list[SSAValue]:
        """What a thread has of each of its rows, combined."""
        place = Dim.of(self.names["j"])
        assert isinstance(values.type, VectorType)
        groups, columns, *_ = values.type.get_shape()
        found: list[SSAValue] = []
        for group in range(groups):

            def step(carried: Sequence[SSAValue], group: int = group) -> Sequence[SSAValue]:
                return [self.add(combine(carried[0], self.add(ExtractOp(values, [Dim.of(group), place]))))]

            first = self.add(ExtractOp(values, [Dim.of(group), ZERO]))
            (both,) = self.loop("j", ONE, Dim.of(columns), [first], step)
            for half in range(2):
                near, far = (self.add(ExtractOp(both, [Dim.of(half + n)])) for n in (0, 2))
                pair = self.add(combine(near, far))
                left, right = (self.add(ExtractOp(pair, [Dim.of(n)])) for n in (0, 1))
                found.append(self.add(combine(left, right)))
        return found

    def over_threads(self, values: Sequence[SSAValue], combine: Combine) -> list[SSAValue]:
        """What the four threads have that share rows, combined."""
        block = Block(arg_types=[f32] * (2 * len(values)))
        low, high = block.args[: len(values)], block.args[len(values) :]
        ops = [combine(a, b) for a, b in zip(low, high, strict=True)]
        block.add_ops([*ops, loop.YieldOp(*(op.results[0] for op in ops))])
        fold = loop.FoldThreadsOp(values, 4, Region(block))
        self.block.add_op(fold)
        return list(fold.results)
