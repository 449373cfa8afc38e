"""What both ways of a choice compute from the same values: it may be computed before the choice."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from xdsl.ir import Block, Operation, SSAValue

from dialects.errors import union_location
from dialects.graph import ConstantOp, CustomOp, ForOp, GraphOp, IfOp, IndexOp
from lowering.graph.cse import Keys
from lowering.graph.fuse_groups import is_view


class Pairs:
    """The ops of one way of a choice, in order, with those of the other that compute the same."""

    def __init__(self, choice: IfOp):
        self.ways = choice.then.block, choice.otherwise.block
        self.found: dict[Operation, Operation] = {}
        self.keys = Keys()
        self.inside = {
            v for way in self.ways for v in (*way.args, *(r for op in way.ops for r in op.results))
        }
        self.inits: dict[SSAValue, SSAValue] = {
            arg: init for way in self.ways for arg, init in zip(way.args, choice.inits, strict=True)
        }
        self.before = dict(self.inits)
        """Values of both ways, each with what stands for it before the choice, or in the first way."""
        waiting: dict[Hashable, Operation] = {}
        for op in self.ways[1].ops:
            self._wait(op, waiting)
        for op in self.ways[0].ops:
            values = self.values_of(op)
            other = None if values is None else waiting.pop(self.keys.key(op, values), None)
            if other is not None:
                self._pair(op, other, waiting)

    def values_of(self, op: Operation) -> list[SSAValue] | None:
        """What an op reads, where that is of both ways alike."""
        if not isinstance(op, GraphOp | IndexOp | ForOp | IfOp | CustomOp):
            return None
        deep = (v for inner in op.walk() if inner is not op for v in inner.operands)
        if any(v in self.inside for v in deep):
            return None
        values = [self.before.get(v, v) for v in op.operands]
        is_known = all(v in self.before or v not in self.inside for v in op.operands)
        return values if is_known else None

    def _wait(self, op: Operation, waiting: dict[Hashable, Operation]) -> None:
        values = self.values_of(op)
        if values is not None:
            waiting[self.keys.key(op, values)] = op

    def _pair(self, op: Operation, other: Operation, waiting: dict[Hashable, Operation]) -> None:
        self.found[op] = other
        for mine, its in zip(op.results, other.results, strict=True):
            self.before[mine] = self.before[its] = mine
        for use in [use for its in other.results for use in its.uses]:
            if use.operation.parent is self.ways[1]:
                self._wait(use.operation, waiting)


def join(choice: IfOp, is_worth_it: Callable[[Operation], bool]) -> int:
    """Moves ahead of a choice what both its ways compute and is worth it, with what feeds that; returns how many ops."""
    pairs, around = Pairs(choice), choice.parent
    assert around is not None
    wanted = {op for op in pairs.found if is_worth_it(op)}
    for op in reversed(pairs.found):
        if op in wanted:
            wanted |= {o for v in op.operands if (o := v.owner) in pairs.found}  # pyright: ignore
    moved = dict(pairs.inits)
    for op in (o for o in pairs.found if o in wanted):
        other = pairs.found[op]
        new = op.clone() if is_view(op) or isinstance(op, ConstantOp) else op
        if new is op:
            op.detach()
        new.operands = [moved.get(v, v) for v in new.operands]
        new.location = union_location((op, other))
        around.insert_op_before(new, choice)
        for mine, its, result in zip(op.results, other.results, new.results, strict=True):
            moved[mine] = result
            if new is op:
                its.replace_all_uses_with(result)
        if new is op:
            other.detach()
            other.erase()
    _erase_unused(pairs.ways)
    return len(wanted)


def _erase_unused(ways: tuple[Block, Block]) -> None:
    """Views and constants that nothing of a way reads any more."""
    for way in ways:
        for op in reversed(list(way.ops)):
            if (is_view(op) or isinstance(op, ConstantOp)) and op.results[0].first_use is None:
                way.erase_op(op)
