"""Recognises reductions that the threads of a block may share.

One is a loop in lanes whose states a `loop.fold` combines: what lanes may do, threads may. The other goes on around it: in each
of its rounds such a loop begins anew, and what it finds is combined with what the rounds carry. Each thread may then take a
part of every round, if what the rounds begin with changes nothing. And plain sums, or the like, are shared where there are few
of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

from xdsl.dialects import arith
from xdsl.dialects.builtin import DenseIntOrFPElementsAttr, FloatAttr, IntegerAttr, VectorType
from xdsl.ir import Block, Operation, Region, SSAValue

from dialects import loop
from dialects.dims import Dim, ceildiv


@dataclass(frozen=True)
class Shared:
    """The loop whose results threads combine, the loop whose steps they share (it, or one inside it), how two states become
    one, and the fold of its lanes where it is left to others."""

    loop: loop.ForOp
    lanes: loop.ForOp
    combine: Region
    fold: loop.FoldOp | None = None

    @property
    def steps(self) -> Dim:
        return ceildiv(self.lanes.upper - self.lanes.lower, self.lanes.step)


NEUTRAL: dict[type[Operation], float] = {
    arith.AddfOp: 0,
    arith.AddiOp: 0,
    arith.MulfOp: 1,
    arith.MuliOp: 1,
    arith.MaximumfOp: -inf,
    arith.MinimumfOp: inf,
    arith.OrIOp: 0,
}
"""Ops by which a carried value may be combined in any order, and what changes nothing."""


def shared_in(body: Sequence[Operation]) -> list[Shared]:
    """The reductions in lanes among the ops of a body."""
    folds = [op for op in body if isinstance(op, loop.FoldOp)]
    found = [
        Shared(op, op, fold.combine, fold)
        for fold in folds
        for op in [_lanes_of(fold)]
        if op is not None and op in body
    ]
    for op in body:
        if isinstance(op, loop.ForOp) and op.inits and (rounds := _rounds(op)) is not None:
            found.append(Shared(op, rounds[0], rounds[1].combine))
    return found


def sums_in(body: Sequence[Operation]) -> list[Shared]:
    """The plain sums of numbers (and the like) among the ops of a body."""
    loops = [op for op in body if isinstance(op, loop.ForOp) and op.inits and is_sum(op)]
    plain = [op for op in loops if not any(isinstance(v.type, VectorType) for v in op.inits)]
    return [Shared(op, op, _pairwise(op)) for op in plain]


def is_sum(op: loop.ForOp) -> bool:
    """Whether every value that a loop carries begins with what changes nothing, and may be combined in any order."""
    if any(isinstance(inner, loop.StoreOp) or inner.regions for inner in op.block.ops):
        return False
    sums = [combiner_of(op, number) for number in range(len(op.inits))]
    return all(
        found is not None and constant_of(init) == NEUTRAL[type(found)]
        for found, init in zip(sums, op.inits, strict=True)
    )


def combiner_of(op: loop.ForOp, number: int) -> Operation | None:
    """The op that alone changes a carried value, by what does not depend on it."""
    last, arg = op.block.last_op, op.block.args[number]
    assert last is not None
    owner = last.operands[number].owner
    once = len(list(arg.uses)) == 1 and arg.first_use is not None and arg.first_use.operation is owner
    ends = len(list(last.operands[number].uses)) == 1
    return owner if isinstance(owner, Operation) and type(owner) in NEUTRAL and once and ends else None


def _pairwise(op: loop.ForOp) -> Region:
    """What a loop does to what it carries, with two of these."""
    types, count = [v.type for v in op.inits], len(op.inits)
    block = Block(arg_types=types * 2)
    results: list[SSAValue] = []
    for number in range(count):
        found = combiner_of(op, number)
        assert found is not None
        pair = (block.args[number], block.args[number + count])
        both = found.clone(dict(zip(found.operands, pair, strict=True)))
        block.add_op(both)
        results.append(both.results[0])
    block.add_op(loop.YieldOp(*results))
    return Region(block)


def _lanes_of(fold: loop.FoldOp) -> loop.ForOp | None:
    """The loop whose results a fold combines."""
    owners = {value.owner for value in fold.inputs}
    owner = next(iter(owners))
    return owner if len(owners) == 1 and isinstance(owner, loop.ForOp) else None


def _rounds(op: loop.ForOp) -> tuple[loop.ForOp, loop.FoldOp] | None:
    """The loop in lanes in each round of a loop and its fold; where a loop goes on from what this one carries, in its rounds."""
    inner = op
    while (passed := _passed(inner)) is not None:
        inner = passed
    ops = list(inner.block.ops)
    fold = next((i for i in ops if isinstance(i, loop.FoldOp)), None)
    lanes = _lanes_of(fold) if fold is not None else None
    if fold is None or lanes is None or lanes not in ops or not _combines(inner, fold):
        return None
    heavy = [i for i in ops if isinstance(i, loop.ForOp | loop.IfOp | loop.StoreOp | loop.FoldOp)]
    starts = [constant_of(v) for v in op.inits]
    alike = None not in starts and starts == [constant_of(v) for v in lanes.inits]
    return (lanes, fold) if heavy == [lanes, fold] and alike else None


def _passed(op: loop.ForOp) -> loop.ForOp | None:
    """The loop that is all that a loop does with what it carries."""
    *before, inner, last = [None, None, *op.block.ops]
    if not isinstance(inner, loop.ForOp) or not isinstance(last, loop.YieldOp) or not inner.inits:
        return None
    alone = not any(i is not None and i.regions for i in before)
    passed = [*inner.inits] == [*op.block.args] and [*last.values] == [*inner.results]
    return inner if alone and passed else None


def constant_of(value: SSAValue) -> float | int | None:
    """The number that a value is in all lanes."""
    op = value.owner
    if isinstance(op, loop.BroadcastOp):
        op = op.value.owner
    if not isinstance(op, arith.ConstantOp):
        return None
    if isinstance(op.value, DenseIntOrFPElementsAttr):
        return op.value.get_values()[0]  # pyright: ignore
    return op.value.value.data if isinstance(op.value, FloatAttr | IntegerAttr) else None


def _combines(op: loop.ForOp, fold: loop.FoldOp) -> bool:
    """Whether the rounds of a loop do with what they carry and what a fold gives just what the fold does with two lanes."""
    if len(fold.results) != len(op.block.args):
        return False
    ops = list(op.block.ops)
    behind = ops[ops.index(fold) + 1 :]
    model = list(fold.combine.block.ops)
    same: dict[SSAValue, SSAValue] = dict(
        zip(fold.combine.block.args, [*op.block.args, *fold.results], strict=True)
    )
    if len(behind) != len(model):
        return False
    for one, other in zip(model, behind, strict=True):
        if not _is_like(one, other, same):
            return False
        same.update(zip(one.results, other.results, strict=True))
    used = {use.operation for value in (*op.block.args, *fold.results) for use in value.uses}
    inside = {inner for inner in op.body.walk()}
    outside = [v for one in model for v in one.operands if v not in same]
    return used <= set(behind) and not any(v.owner in inside for v in outside)


def _is_like(one: Operation, other: Operation, same: Mapping[SSAValue, SSAValue]) -> bool:
    """Whether two ops are one, on values that stand for one another."""
    operands = [same.get(v, v) for v in one.operands]
    return (
        one.name == other.name
        and one.properties == other.properties
        and operands == list(other.operands)
        and [r.type for r in one.results] == [r.type for r in other.results]
    )
