"""Several steps of one kernel as a wavefront: a step follows the one before at a distance of some rows.

    k(a, b); k(b, a); k(a, b); ...     each over all rows

becomes, with `lag` rows between a step and the next,

    for each front, a block of rows further on:
      for each step:  the block of rows that lies `step * lag` behind the front
      all threads wait

Where the rows themselves are nests over a second dim (planes, say), an outermost loop takes strips of it; the strip of a
step lies as many of its rows before that of the step before as one depends on.

A row is read again while it is still in cache. What a step reads was written at earlier fronts, and what it overwrites
was read there, so that the steps of a front are independent of one another, and threads split them. Each row is
computed by the same ops in the same order as before: the numbers are the same to the last bit.
(Wonnacott, "Using time skewing to eliminate idle time due to memory bandwidth and network limitations", IPDPS 2000.)
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.ir import Block, Region, SSAValue

from dialects.dims import Dim, DimAttr, Opaque, dmax, dmin
from dialects.kernel import arg
from dialects.loop import AllocOp, BarrierOp, ForOp, FuncOp, LoadOp, StoreOp
from lowering.loop.remade import fill_locations, fresh_name

Ranges = dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Dimension:
    """A loop over one dim of both arrays, how many points it has, and how far away a point's sources lie at most."""

    loop: ForOp
    count: int
    reach: int


@dataclass(frozen=True)
class Stencil:
    """A kernel from one array to another: its rows, and the dim inside of them where it has strips."""

    func: FuncOp
    source: int
    target: int
    rows: Dimension
    inner: Dimension | None


@dataclass(frozen=True)
class Group:
    """An even number of steps that are taken at once, rows in a front, and points of the inner dim in a strip (0: all)."""

    steps: int
    rows: int
    strip: int = 0


def stencil_of(func: FuncOp, source: int, target: int) -> Stencil | str:
    """How the rows of one argument depend on those of another; a text that says why nothing is known."""
    outer = _only_loop(func.block)
    if outer is None:
        return "its kernel is more than one nest"
    if outer.role.data != "parallel":
        return "its outermost loop is not split between threads"
    for op in outer.walk():
        parallel = isinstance(op, ForOp) and op is not outer and op.role.data == "parallel"
        if isinstance(op, AllocOp | BarrierOp) or parallel:
            return "its nest has memory or barriers of its own"
        if isinstance(op, LoadOp) and op.array is func.block.args[target]:
            return "it reads what it writes"
    rows = _dimension(func, source, outer, 0)
    if isinstance(rows, str):
        return rows
    second = _only_loop(outer.block)
    inner = _dimension(func, source, second, 1) if second is not None and second.role.data == "serial" else ""
    return Stencil(func, source, target, rows, inner if isinstance(inner, Dimension) else None)


def _only_loop(block: Block) -> ForOp | None:
    """The loop of a block that else holds scalars alone."""
    nested = [op for op in block.ops if op.regions]
    return nested[0] if len(nested) == 1 and isinstance(nested[0], ForOp) and not nested[0].inits else None


def _dimension(func: FuncOp, source: int, loop: ForOp, dim: int) -> Dimension | str:
    """How the points along a loop depend on one another, or why that is not known."""
    count, variable = loop.upper.value, loop.variable
    if loop.lower != Dim.of(0) or count is None or loop.step.value != 1:
        return f"its loop over {variable} does not take one point of a known number after another"
    ranges: Ranges = {}
    reach = 0
    for op in func.walk():
        if isinstance(op, ForOp):
            ranges[op.variable] = (op.lower.bounds(ranges)[0], op.upper.bounds(ranges)[1] - 1)
        if isinstance(op, StoreOp) and op.index.data[dim : dim + 1] != (Dim.of(variable),):
            return f"it writes elsewhere than at {variable}"
        if isinstance(op, LoadOp) and op.array is func.block.args[source]:
            place = op.index.data[dim] if len(op.index.data) > dim else None
            far = None if place is None else _offset(place, variable, count, ranges)
            if far is None:
                return f"it reads {variable} = {place} for {variable}"
            reach = max(reach, -far[0], far[1])
    return Dimension(loop, count, reach)


def _offset(row: Dim, variable: str, count: int, ranges: Ranges) -> tuple[int, int] | None:
    """How far from row `variable` an index lies, at least and at most; a clamp into [0, count) only brings it nearer."""
    if row.coefficient(variable) == Dim.of(1):
        low, high = row.without(variable).bounds(ranges)
        return None if float("inf") in (-low, high) else (int(low), int(high))
    if len(row.terms) != 1 or len(row.terms[0][0]) != 1 or row.terms[0][1] != 1:
        return None
    (atom,) = row.terms[0][0]
    if not isinstance(atom, Opaque) or atom.kind not in ("min", "max") or len(atom.args) != 2:
        return None
    for main, bound in (atom.args, atom.args[::-1]):
        limit = bound.value
        if limit is None or not (limit <= 0 if atom.kind == "max" else limit >= count - 1):
            continue
        far = _offset(main, variable, count, ranges)
        return None if far is None else (min(far[0], 0), max(far[1], 0))
    return None


def wavefront(stencil: Stencil, group: Group, name: str) -> FuncOp:
    """A function that takes a group of steps between two arrays that both hold the state in turn; after it the first one
    does."""
    func, rows, inner = stencil.func, stencil.rows, stencil.inner
    lag = group.rows + rows.reach
    body = Block(arg_types=[a.type for a in func.block.args])
    values: dict[SSAValue, SSAValue] = {}
    for new, old in zip(body.args, func.block.args, strict=True):
        new.name_hint = old.name_hint
        values[old] = new
    for op in func.block.ops:
        if op is not rows.loop:
            body.add_op(op.clone(values))
    source, target = func.block.args[stencil.source], func.block.args[stencil.target]
    swapped = {**values, source: values[target], target: values[source]}
    strip, front, pair = (fresh_name(name, func) for name in ("strip", "front", "pair"))
    pairs = ForOp(pair, 0, group.steps // 2, role="parallel")
    for odd, places in enumerate((values, swapped)):
        step = 2 * Dim.of(pair) + odd
        first = Dim.of(front) - step * lag
        loop = ForOp(rows.loop.variable, dmax(0, first), dmin(rows.count, first + group.rows))
        local = dict(places)
        for op in rows.loop.block.ops:
            copy = op.clone(local)
            if group.strip and inner is not None and op is inner.loop:
                begin = Dim.of(strip) - step * inner.reach
                copy.properties["lower_"] = DimAttr(dmax(0, begin))
                copy.properties["upper_"] = DimAttr(dmin(inner.count, begin + group.strip))
            loop.block.add_op(copy)
        pairs.block.add_op(loop)
    fronts = ForOp(front, 0, rows.count + (group.steps - 1) * lag, step=group.rows)
    fronts.block.add_op(pairs)
    fronts.block.add_op(BarrierOp())
    outermost = fronts
    if group.strip and inner is not None:
        outermost = ForOp(strip, 0, inner.count + (group.steps - 1) * inner.reach, step=group.strip)
        outermost.block.add_op(fronts)
    body.add_op(outermost)
    fill_locations(body, rows.loop)
    both = (stencil.source, stencil.target)
    signature = [arg("inout") if n in both else facts for n, facts in enumerate(func.signature.data)]
    made = FuncOp(name, Region(body), signature, func.symbols.data)
    made.attributes.update(func.attributes)
    made.location = func.location
    return made
