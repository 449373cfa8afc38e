"""Scan by scan: a block for each row whose sums so far (or the like) are wanted at every element.

The threads of a block take a stretch of the row at a time, some neighbouring elements each. They combine these, then what they
have in shared memory, in steps that double; then each goes over its elements again, from what lies before them. What the last
thread ends with begins the next stretch. So sums are taken in another order than by one thread, the same in every run.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.ir import Attribute, Block, Operation, SSAValue

from dialects import loop
from dialects.dims import ONE, Dim, DimAttr, ceildiv, dmin, product
from dialects.types import RefType, ref
from lowering.loop.gpu.chain import Chain, Mover, first_thread, numbers_of, threads_for
from lowering.loop.gpu.grid import Form, Grid
from lowering.loop.gpu.parts import accesses_of, memory, writes
from lowering.loop.gpu.shared import NEUTRAL, constant_of
from lowering.loop.remade import fresh_name
from lowering.target import Gpu

LEAST_STEPS = 128
"""Shorter rows are one thread's."""

EACH = 4
"""Elements of a thread in a stretch."""

MOST_THREADS = 512


@dataclass(frozen=True)
class Scan:
    """A loop that carries one value and writes as it goes, and the op by which it combines."""

    loop: loop.ForOp
    op: Operation


def scan_of(func: loop.FuncOp, chain: Chain, points: int, gpu: Gpu) -> Scan | None:
    """The scan that the body of a chain ends with, where blocks are worth it."""
    op = chain.body[-1] if chain.body else None
    if not isinstance(op, loop.ForOp) or len(op.inits) != 1 or any(o.regions for o in chain.body[:-1]):
        return None
    stores = [inner for inner in op.block.ops if isinstance(inner, loop.StoreOp)]
    last, carried = op.block.last_op, op.block.args[0]
    if len(stores) != 1 or any(inner.regions for inner in op.block.ops) or last is None:
        return None
    found = last.operands[0].owner
    uses = [use.operation for use in carried.uses]
    if not isinstance(found, Operation) or type(found) not in NEUTRAL or uses != [found]:
        return None
    if constant_of(op.inits[0]) != NEUTRAL[type(found)] or any(map(writes, chain.body[:-1])):
        return None
    if op.results[0].first_use is not None or not _is_own(func, chain, stores[0]):
        return None
    steps = ceildiv(op.upper - op.lower, op.step).value
    few = points < (gpu.processors * gpu.threads if _is_side_by_side(op, stores[0]) else gpu.threads)
    return Scan(op, found) if few and (steps is None or steps >= LEAST_STEPS) else None


def _is_own(func: loop.FuncOp, chain: Chain, store: loop.StoreOp) -> bool:
    """Whether a step reads of the memory that it changes the very element that it writes."""
    changed = memory(func, store.array)
    loads = [a for a in accesses_of(chain.body) if isinstance(a, loop.LoadOp)]
    same = [a for a in loads if memory(func, a.array) is changed]
    alike = all(
        a.array is not store.array and a.index == store.index and a.parent is store.parent for a in same
    )
    return alike and store.along is None and not store.indices


def _is_side_by_side(op: loop.ForOp, store: loop.StoreOp) -> bool:
    array = store.array.type
    assert isinstance(array, RefType)
    moved = [n for n, e in enumerate(store.index.data) if op.variable in e.names()]
    return len(moved) == 1 and array.strides.data[moved[0]] == ONE


class Scans(Form):
    """A block for each iteration of the independent loops."""

    kind = "scans"

    def __init__(self, func: loop.FuncOp, chain: Chain, scan: Scan, gpu: Gpu):
        self.func, self.chain, self.scan = func, chain, scan
        self.counts = chain.counts(func.symbols.ranges())
        steps = ceildiv(scan.loop.upper - scan.loop.lower, scan.loop.step)
        wanted = ceildiv(steps, EACH).value
        self.threads = threads_for(gpu.threads if wanted is None else wanted, gpu.warp, MOST_THREADS)

    def blocks(self, threads: int) -> Dim:
        return product(self.counts)

    def fill(self, grid: Grid) -> None:
        numbers = zip(self.chain.axes, numbers_of(grid.number, self.counts), strict=True)
        names = {axis.variable: axis.at(number) for axis, number in numbers}
        mover = Mover(names, dict(grid.values))
        for op in self.chain.body[:-1]:
            mover.copy(op, grid.inside)
        old, size, thread = self.scan.loop, grid.threads, grid.thread
        start = mover.values.get(old.inits[0], old.inits[0])
        arrays = [_array(grid.shared, start.type, size) for _ in range(2)]
        end = _array(grid.shared, start.type, 1)
        lower, upper = old.lower.subst(names), old.upper.subst(names)
        step = old.step.subst(names)
        stretch = loop.ForOp(
            fresh_name("s", self.func), lower, upper, step=step * (size * EACH), inits=[start]
        )
        grid.inside.add_op(stretch)
        inside = stretch.block
        first = Dim.of(stretch.variable) + thread * (step * EACH)
        bounds = (first, dmin(first + step * EACH, upper))
        own = _over(mover, old, bounds, start, inside)
        _drop_stores(own)
        branch = loop.IfOp([size - 2 - thread])
        branch.then.block.add_op(loop.StoreOp(own.results[0], arrays[0], [thread + 1]))
        begin = loop.IfOp(first_thread(thread))
        begin.then.block.add_op(loop.StoreOp(stretch.block.args[0], arrays[0], [thread]))
        inside.add_ops([branch, begin, loop.BarrierOp()])
        found = self._before(arrays, grid, inside)
        through = _over(mover, old, bounds, found, inside)
        ended = loop.IfOp([thread - (size - 1)])
        ended.then.block.add_op(loop.StoreOp(through.results[0], end, [Dim.of(0)]))
        carried = loop.LoadOp(end, [Dim.of(0)])
        inside.add_ops([ended, loop.BarrierOp(), carried, loop.YieldOp(carried.result)])

    def _before(self, arrays: list[SSAValue], grid: Grid, inside: Block) -> SSAValue:
        """What lies before the elements of a thread: sums of twice as many in each step."""
        source, other, thread, distance = *arrays, grid.thread, 1
        while distance < grid.threads:
            branch = loop.IfOp([thread - distance])
            low, high = loop.LoadOp(source, [thread - distance]), loop.LoadOp(source, [thread])
            both = self._combined(low.result, high.result)
            branch.then.block.add_ops([low, high, both, loop.StoreOp(both.results[0], other, [thread])])
            same = loop.LoadOp(source, [thread])
            branch.otherwise.block.add_ops([same, loop.StoreOp(same.result, other, [thread])])
            inside.add_ops([branch, loop.BarrierOp()])
            source, other, distance = other, source, distance * 2
        found = loop.LoadOp(source, [thread])
        inside.add_op(found)
        return found.result

    def _combined(self, low: SSAValue, high: SSAValue) -> Operation:
        """What comes first and what comes behind it, in the order that the loop has them."""
        op, carried = self.scan.op, self.scan.loop.block.args[0]
        terms = [low if v is carried else high for v in op.operands]
        return op.clone(dict(zip(op.operands, terms, strict=True)))


def _array(block: Block, type_: Attribute, size: int) -> SSAValue:
    alloc = loop.AllocOp(ref(type_, [size], space="shared"))
    alloc.result.name_hint = "before" if size > 1 else "end"
    block.add_op(alloc)
    return alloc.result


def _over(
    mover: Mover, old: loop.ForOp, bounds: tuple[Dim, Dim], start: SSAValue, block: Block
) -> loop.ForOp:
    """A copy of the loop over some of its steps, from a value."""
    new = mover.copy(old, block)
    assert isinstance(new, loop.ForOp)
    new.properties["lower_"], new.properties["upper_"] = (DimAttr(bound) for bound in bounds)
    new.operands[0] = start
    return new


def _drop_stores(op: loop.ForOp) -> None:
    """Leaves of a loop what it yields."""
    for inner in reversed(list(op.block.ops)):
        if isinstance(inner, loop.YieldOp) or any(r.first_use is not None for r in inner.results):
            continue
        op.block.erase_op(inner)
