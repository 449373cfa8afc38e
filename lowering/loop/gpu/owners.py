"""Element by element: updates at places that are looked up, taken by the thread whose element they change.

Each thread has one element and goes through all updates in their order: it takes those for its element and leaves the others.
So every element gets what one thread that does them all would give it, and threads read the same updates at the same time.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.dialects import arith

from dialects import loop
from dialects.dims import Dim, ceildiv, product
from dialects.types import RefType
from lowering.loop.gpu.chain import Chain, Mover, numbers_of, threads_for
from lowering.loop.gpu.grid import Form, Grid
from lowering.loop.gpu.parts import accesses_of, memory, writes
from lowering.target import Gpu

PLACE = Dim.of("_0")

MOST = 512
"""Elements for each multiprocessor: of more, going through all updates is not worth while."""


@dataclass(frozen=True)
class Updates:
    """A loop over updates, how one reads what it changes and writes it, and the dim whose index is looked up."""

    loop: loop.ForOp
    load: loop.LoadOp
    store: loop.StoreOp
    dim: int

    @property
    def size(self) -> Dim:
        array = self.store.array.type
        assert isinstance(array, RefType)
        return array.shape.data[self.dim]


def updates_of(func: loop.FuncOp, chain: Chain, points: int, gpu: Gpu) -> Updates | None:
    """The updates that the body of a chain ends with, where threads may own the elements."""
    op = chain.body[-1] if chain.body else None
    if (
        not isinstance(op, loop.ForOp)
        or op.inits
        or any(o.regions for o in (*chain.body[:-1], *op.block.ops))
    ):
        return None
    stores = [inner for inner in op.block.ops if isinstance(inner, loop.StoreOp)]
    if len(stores) != 1 or any(map(writes, chain.body[:-1])) or stores[0].along is not None:
        return None
    (store,) = stores
    changed = memory(func, store.array)
    loads = [a for a in accesses_of(chain.body) if memory(func, a.array) is changed and a is not store]
    dims = [n for n, e in enumerate(store.index.data) if e == PLACE]
    named = {name for n, e in enumerate(store.index.data) if n not in dims for name in e.names()}
    if len(loads) != 1 or len(dims) != 1 or len(store.indices) != 1 or op.variable in named:
        return None
    (load,) = loads
    if not isinstance(load, loop.LoadOp) or load.array is not store.array or load.parent is not store.parent:
        return None
    same = load.index == store.index and [*load.indices] == [*store.indices] and load.guard is None
    found = Updates(op, load, store, dims[0])
    size = found.size.value
    return found if same and size and size * points <= MOST * gpu.processors else None


class Owners(Form):
    """A thread for each element that may change."""

    kind = "owners"

    def __init__(self, func: loop.FuncOp, chain: Chain, updates: Updates, gpu: Gpu):
        self.chain, self.updates = chain, updates
        self.counts = [*chain.counts(func.symbols.ranges()), updates.size]
        self.total = product(self.counts)
        self.threads = threads_for(self.total.value or gpu.threads, gpu.warp, gpu.threads)

    def blocks(self, threads: int) -> Dim:
        return ceildiv(self.total, threads)

    def fill(self, grid: Grid) -> None:
        point = grid.number * grid.threads + grid.thread
        branch = loop.IfOp([self.total - 1 - point])
        grid.inside.add_op(branch)
        inside = branch.then.block
        *numbers, own = numbers_of(point, self.counts)
        names = {axis.variable: axis.at(n) for axis, n in zip(self.chain.axes, numbers, strict=True)}
        mover = Mover(names, dict(grid.values))
        for op in self.chain.body[:-1]:
            mover.copy(op, inside)
        old, store = self.updates.loop, self.updates.store
        array = mover.values.get(store.array, store.array)
        place = [own if n == self.updates.dim else e.subst(names) for n, e in enumerate(store.index.data)]
        start, mine = loop.LoadOp(array, place), loop.IndexOp(own)
        bounds = (old.lower.subst(names), old.upper.subst(names))
        new = loop.ForOp(old.variable, *bounds, step=old.step.subst(names), inits=[start.result])
        inside.add_ops([start, mine, new])
        mover.values[self.updates.load.result] = new.block.args[0]
        for op in old.block.ops:
            if op is not self.updates.load and op is not store:
                mover.copy(op, new.block)
        looked_up, value = (mover.values.get(v, v) for v in (store.indices[0], store.value))
        here = arith.CmpiOp(looked_up, mine.result, "eq")
        kept = arith.SelectOp(here, value, new.block.args[0])
        new.block.add_ops([here, kept, loop.YieldOp(kept.result)])
        inside.add_op(loop.StoreOp(new.results[0], array, place))
