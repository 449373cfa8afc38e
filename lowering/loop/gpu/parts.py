"""The parts of a function: the ops that write to memory, each with what it needs of the values before it.

Parts that have nothing to do with one another may run at once; the others follow one another, in groups.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from xdsl.ir import Operation, SSAValue

from dialects import loop
from dialects.dims import Dim
from dialects.kernel import ExternOp
from lowering.loop.gpu.aligned import divisor
from lowering.loop.gpu.chain import Access, Chain, chain_of, lanes_along

Ranges = Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class Part:
    """An op of a function's block that writes, and the values that it is computed from, in order."""

    op: Operation
    needs: tuple[Operation, ...]

    @property
    def accesses(self) -> list[Access]:
        return accesses_of([*self.needs, self.op])


def writes(op: Operation) -> bool:
    return any(isinstance(inner, loop.StoreOp) for inner in op.walk())


def accesses_of(ops: Iterable[Operation]) -> list[Access]:
    return [a for op in ops for a in op.walk() if isinstance(a, loop.LoadOp | loop.StoreOp)]


def changes_what_it_needs(func: loop.FuncOp, part: Part) -> bool:
    """Whether a part writes to memory that it has to read first."""
    before = {memory(func, a.array) for a in accesses_of(part.needs)}
    return bool(
        before & {memory(func, a.array) for a in accesses_of([part.op]) if isinstance(a, loop.StoreOp)}
    )


def chain_of_part(func: loop.FuncOp, part: Part) -> Chain:
    """The loops of a part that may run at once; none where it changes what it has to read first."""
    if changes_what_it_needs(func, part):
        return Chain((), (*part.needs, part.op))
    return chain_of(part.op, part.needs)


def parts_of(func: loop.FuncOp) -> list[Part]:
    """The parts of a function in order."""
    ops = list(func.block.ops)
    pure = [op for op in ops if not writes(op)]
    return [Part(op, tuple(needed(op, pure))) for op in ops if writes(op)]


def needed(op: Operation, before: Sequence[Operation]) -> list[Operation]:
    """Those ops that another one needs, in order."""
    work = [v for inner in op.walk() for v in inner.operands]
    candidates, seen = set(before), set[Operation]()
    while work:
        owner = work.pop().owner
        if isinstance(owner, Operation) and owner in candidates and owner not in seen:
            seen.add(owner)
            work += [v for inner in owner.walk() for v in inner.operands]
    return [op for op in before if op in seen]


def groups_of(func: loop.FuncOp) -> list[list[Part]] | None:
    """The parts, so that those of a group may run at once, and each group after the one before. None where the function has
    more than parts: arrays of its own, meetings of threads, text written by hand, values read before they change."""
    ops = list(func.block.ops)
    if any(isinstance(op, loop.AllocOp | ExternOp) for op in func.body.walk()):
        return None
    if any(isinstance(inner, loop.BarrierOp) for op in ops for r in op.regions for inner in r.walk()):
        return None
    parts, ranges = parts_of(func), func.symbols.ranges()
    if any(op.results for part in parts for op in [part.op]):
        return None
    groups: list[list[Part]] = []
    for part in parts:
        if not groups or not all(are_apart(func, part, other, ranges) for other in groups[-1]):
            groups.append([])
        groups[-1].append(part)
    order = {op: number for number, op in enumerate(ops)}
    for number, group in enumerate(groups):
        changed = [p for earlier in groups[:number] for p in earlier]
        if any(_is_stale(func, need, order, changed) for part in group for need in part.needs):
            return None
    return groups


def _is_stale(
    func: loop.FuncOp, need: Operation, order: Mapping[Operation, int], changed: Sequence[Part]
) -> bool:
    """Whether a value is read before a part changes what it is read from."""
    read = {memory(func, a.array) for a in accesses_of([need])}
    return any(
        order[need] < order[part.op] and memory(func, a.array) in read
        for part in changed
        for a in part.accesses
        if isinstance(a, loop.StoreOp)
    )


def memory(func: loop.FuncOp, array: SSAValue) -> SSAValue:
    """The array whose memory an array may share."""
    args = func.block.args
    if array in args and (alias := func.signature.data[args.index(array)].alias_of) is not None:
        return args[alias]
    return array


def are_apart(func: loop.FuncOp, a: Part, b: Part, ranges: Ranges) -> bool:
    """Whether neither part writes to elements that the other one reads or writes."""
    for one in a.accesses:
        for other in b.accesses:
            is_read = isinstance(one, loop.LoadOp) and isinstance(other, loop.LoadOp)
            if is_read or memory(func, one.array) is not memory(func, other.array):
                continue
            if one.array is not other.array or not _miss(one, other, ranges):
                return False
    return True


def _miss(a: Access, b: Access, ranges: Ranges) -> bool:
    """Whether two accesses have no element in common: along one dim, all places of one lie before those of the other."""
    for dim in range(len(a.index.data)):
        for one, other in ((a, b), (b, a)):
            ends, start = _last(one, dim), _extreme(other, other.index.data[dim], high=False)
            if any((start - end - 1).bounds(ranges)[0] >= 0 for end in ends):
                return True
    return False


def _last(op: Access, dim: int) -> list[Dim]:
    """Bounds of the places of an access along a dim."""
    lanes, expr = lanes_along(op).get(dim, 1), op.index.data[dim]
    counts = [Dim.of(lanes)]
    if op.valid is not None and op.along is not None and lanes > 1:
        valid = next(v for v, along in zip(op.valid.data, op.along.data, strict=True) if along.value == dim)
        counts += [valid, *_smallest(valid)]
    return [_extreme(op, expr + count - 1, high=True) for count in counts]


def _smallest(expr: Dim) -> Sequence[Dim]:
    """What a minimum is the least of."""
    atom = expr.opaque
    return atom.args if atom is not None and atom.kind == "min" else ()


def _extreme(op: Operation, expr: Dim, *, high: bool) -> Dim:
    """The expression at the ends of the loops around an op that make it greatest, or least."""
    around = op.parent_op()
    while around is not None and not isinstance(around, loop.FuncOp):
        if isinstance(around, loop.ForOp):
            factor = expr.coefficient(around.variable)
            if factor is not None and factor.value:
                upper = (factor.value > 0) == high
                expr = expr.subst({around.variable: _last_point(around) if upper else around.lower})
        around = around.parent_op()
    return expr


def _last_point(op: loop.ForOp) -> Dim:
    """The last iteration of a loop, or one behind it that is nearer than the bound."""
    length, step = op.upper - op.lower, op.step.value or 1
    return op.upper - (step if divisor(length, {}) % step == 0 else 1)
