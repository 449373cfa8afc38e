"""The house rewriter: every greedy walk over IR goes through `rewrite_greedily`.

A rule is a function named after its equation, whose docstring is the equation:

    @pattern(TransposeOp)
    def transpose_of_transpose(op: TransposeOp, rewriter: Rewriter) -> None:
        \"\"\"transpose(transpose(x, p), q) = transpose(x, p[q])\"\"\"
        inner = op.x.owner
        if not isinstance(inner, TransposeOp):
            return
        rewriter.replace(op, TransposeOp(inner.x, compose(inner.perm, op.perm)), absorbed=(inner,))

Against xDSL's own walker it adds four things: dispatch on the op's class (rules are not tried in vain); a rewrite
budget, whose error names the rules that undo each other; the locations of replaced ops, united on the new ones; and
one walk, which revisits only what a rewrite has touched.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from xdsl.dialects.builtin import LocationAttr, UnknownLoc
from xdsl.ir import Operation, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter as IRRewriter
from xdsl.traits import is_side_effect_free
from xdsl.utils.worklist import Worklist

from dialects.errors import IrkitError, union_location

OpT = TypeVar("OpT", bound=Operation)

REWRITES_PER_OP = 64
"""The default budget is this many rewrites for each op that the walk starts with (and 1,024 more)."""


@dataclass(frozen=True)
class Pattern:
    """One rewrite rule: a function and the op classes at which it is tried."""

    name: str
    roots: tuple[type[Operation], ...]
    apply: Callable[[Operation, Rewriter], None]


def pattern(*roots: type[OpT]) -> Callable[[Callable[[OpT, Rewriter], None]], Pattern]:
    """Makes a function `(op, rewriter) -> None` a rule for ops of the given classes (no class: for every op)."""

    def declare(function: Callable[[OpT, Rewriter], None]) -> Pattern:
        return Pattern(function.__name__, tuple(roots), function)  # pyright: ignore[reportArgumentType]

    return declare


class Rewriter:
    """What a rule changes IR with. Ops that it adds get the locations of the ops that they stand for.

    A rule may also mutate an op in place (an attribute, an operand) and say so by `modified`.
    """

    def __init__(self) -> None:
        self.worklist: Worklist[Operation] = Worklist()
        self.changed = False
        self.memory: dict[object, object] = {}
        """What rules have found out about the IR, until something changes."""

    def replace(
        self,
        op: Operation,
        new_ops: Operation | Sequence[Operation],
        new_values: Sequence[SSAValue] | None = None,
        absorbed: Iterable[Operation] = (),
    ) -> None:
        """Puts new ops before `op`, gives its uses to `new_values` (the last new op's results), erases it.

        `absorbed` names the other ops that the new ones stand for; they stay, and go when nothing uses them.
        """
        ops = (new_ops,) if isinstance(new_ops, Operation) else tuple(new_ops)
        self.insert_before(op, ops, origins=(op, *absorbed))
        if new_values is None:
            new_values = ops[-1].results if ops else ()
        _keep_schedule(op, new_values)
        self.replace_with_values(op, new_values)

    def replace_with_values(self, op: Operation, values: Sequence[SSAValue]) -> None:
        """Gives the uses of an op's results to values that exist, and erases it."""
        assert len(op.results) == len(values), f"{op.name} has {len(op.results)} results, not {len(values)}"
        for old, new in zip(op.results, values, strict=True):
            if new.name_hint is None:
                new.name_hint = old.name_hint
            self.replace_uses(old, new)
        self.erase(op)

    def _change(self) -> None:
        self.changed = True
        self.memory.clear()

    def replace_uses(self, old: SSAValue, new: SSAValue) -> None:
        """Gives every use of one value to another."""
        self._change()
        for use in tuple(old.uses):
            self.worklist.push(use.operation)
        old.replace_all_uses_with(new)
        if isinstance(new.owner, Operation):
            self.worklist.push(new.owner)

    def insert_before(
        self, anchor: Operation, ops: Operation | Sequence[Operation], origins: Iterable[Operation] = ()
    ) -> None:
        """Adds ops before another; their location is that of `origins`, or of the op that the rule is tried at."""
        self._insert(InsertPoint.before(anchor), ops, origins or (anchor,))

    def insert_after(
        self, anchor: Operation, ops: Operation | Sequence[Operation], origins: Iterable[Operation] = ()
    ) -> None:
        """Adds ops after another; see `insert_before`."""
        self._insert(InsertPoint.after(anchor), ops, origins or (anchor,))

    def _insert(
        self, at: InsertPoint, ops: Operation | Sequence[Operation], origins: Iterable[Operation]
    ) -> None:
        self._change()
        ops = (ops,) if isinstance(ops, Operation) else tuple(ops)
        location = union_location(origins)
        for op in ops:
            locate(op, location)
        IRRewriter.insert_op(ops, at)
        for op in reversed(ops):
            for nested in op.walk(reverse=True):
                self.worklist.push(nested)

    def erase(self, op: Operation) -> None:
        """Removes an op whose results have no uses left; what fed it is looked at again."""
        self._change()
        for nested in op.walk():
            for operand in nested.operands:
                if isinstance(operand.owner, Operation):
                    self.worklist.push(operand.owner)
        for nested in op.walk():
            self.worklist.remove(nested)
        op.detach()
        op.erase()

    def modified(self, op: Operation) -> None:
        """Says that a rule has changed an op in place."""
        self._change()
        self.worklist.push(op)
        for result in op.results:
            for use in result.uses:
                self.worklist.push(use.operation)


def _keep_schedule(op: Operation, new_values: Sequence[SSAValue]) -> None:
    """A schedule that the program states goes on to the op that gives the value now."""
    schedule = op.attributes.get("graph.schedule")
    if schedule is not None and new_values and isinstance(owner := new_values[0].owner, Operation):
        owner.attributes.setdefault("graph.schedule", schedule)


def locate(op: Operation, location: LocationAttr) -> None:
    """Gives a location to an op, and to the ops inside it, where they have none."""
    for nested in op.walk():
        if isinstance(nested.location, UnknownLoc):
            nested.location = location


def is_dead(op: Operation) -> bool:
    """Whether an op computes something, has no effect and is not used."""
    return bool(op.results) and all(r.first_use is None for r in op.results) and is_side_effect_free(op)


def rewrite_greedily(
    root: Operation, patterns: Sequence[Pattern], *, budget: int | None = None, erase_dead: bool = True
) -> dict[str, int]:
    """Applies rules inside `root` until none applies; returns how often each did, by name.

    Ops are visited in text order; an op is visited again when it, an operand's producer or a user has changed.
    Raises IrkitError when more than `budget` rewrites were done, naming the rules that were applied most.
    """
    rewriter = Rewriter()
    ops = [op for op in root.walk() if op is not root]
    for op in reversed(ops):
        rewriter.worklist.push(op)
    limit = budget if budget is not None else REWRITES_PER_OP * len(ops) + 1024
    table: dict[type[Operation], tuple[Pattern, ...]] = {}
    counts: Counter[str] = Counter()
    while rewriter.worklist:
        op = rewriter.worklist.pop()
        if op.parent is None:  # a rule made it and threw it away: it uses nothing any more
            op.drop_all_references()
            continue
        if erase_dead and is_dead(op):
            rewriter.erase(op)
            continue
        rules = table.get(type(op))
        if rules is None:
            rules = table[type(op)] = tuple(p for p in patterns if not p.roots or isinstance(op, p.roots))
        _try_rules(op, rules, rewriter, counts)
        if counts.total() > limit:
            raise _over_budget(op, limit, counts)
    _forget_strays(root)
    return dict(counts)


def _forget_strays(root: Operation) -> None:
    """Takes ops that rules made and threw away from the uses of values, so that what feeds them alone is dead."""
    for op in root.walk():
        values = (
            *op.results,
            *(arg for region in op.regions for block in region.blocks for arg in block.args),
        )
        for stray in [
            use.operation for value in values for use in value.uses if use.operation.parent is None
        ]:
            stray.drop_all_references()


def _try_rules(op: Operation, rules: tuple[Pattern, ...], rewriter: Rewriter, counts: Counter[str]) -> None:
    """Applies the first rule that changes anything, and has the op visited again if it is still there."""
    for rule in rules:
        rewriter.changed = False
        rule.apply(op, rewriter)
        if not rewriter.changed:
            continue
        counts[rule.name] += 1
        if op.parent is not None:
            rewriter.worklist.push(op)
        return


def _over_budget(op: Operation, limit: int, counts: Counter[str]) -> IrkitError:
    top = counts.most_common(1)[0][1]
    often = [f"{name} ({n} times)" for name, n in counts.most_common(4) if 4 * n >= top]
    return IrkitError(
        f"rewriting did not come to an end: {', '.join(often)} exceeded the budget of {limit} rewrites",
        op if op.parent is not None else None,
        found=f"the last rewrite was at '{op.name}'",
        expected="rules that do not undo each other",
        hint="this is a fault of irkit, not of the input; leave out the pass that ran, and please report it",
    )


SCHEDULE = "graph.schedule"
"""The attribute of an op of which the program says how it is to run."""


def is_scheduled(op: Operation) -> bool:
    """Whether the program says how an op is to run: then it has to stay the op that this was said of."""
    return SCHEDULE in op.attributes


def unless_scheduled(rules: Iterable[Pattern]) -> tuple[Pattern, ...]:
    """Rules that leave ops alone of which the program says how they are to run."""
    return tuple(Pattern(rule.name, rule.roots, _unless_scheduled(rule.apply)) for rule in rules)


def _unless_scheduled(apply: Callable[[Operation, Rewriter], None]) -> Callable[[Operation, Rewriter], None]:
    def guarded(op: Operation, rewriter: Rewriter) -> None:
        if not is_scheduled(op):
            apply(op, rewriter)

    return guarded


def put_before(new: Operation, op: Operation, needed: Sequence[Operation]) -> None:
    """Puts an op that is to stand for another one before it, at its place in the source, behind the ops that it needs."""
    new.location = op.location
    new.attributes.update(op.attributes)
    block = op.parent
    assert block is not None
    block.insert_ops_before([*needed, new], op)


def put_in_place(new: Operation, op: Operation, kept: Sequence[int]) -> None:
    """Puts an op that gives some of another's results in its place, under their names, and erases the other one."""
    put_before(new, op, [])
    for i, result in zip(kept, new.results, strict=True):
        result.name_hint = op.results[i].name_hint
        op.results[i].replace_all_uses_with(result)
    op.detach()
    op.erase()


def replace_by(op: Operation, values: Sequence[SSAValue]) -> None:
    """Puts values that exist in the place of an op's results, with their names where they have none, and erases it."""
    for old, new in zip(op.results, values, strict=True):
        if new.name_hint is None:
            new.name_hint = old.name_hint
        old.replace_all_uses_with(new)
    op.detach()
    op.erase()
