"""Loop nests for kernels without a packed contraction: elementwise, reductions, stencils, small contractions.

Each group of writes over the same axes gets one nest. The last axis is a vector where it is contiguous; loops around
it that carry no reduction come first, one of them parallel. Reductions are emitted where their results are needed
(see `Nest.materialise`), in lanes along a contiguous reduced axis where their results are scalars.

Reads outside an array are peeled: a vector axis runs as a scalar head, a vector body in which all guards hold and all
clamps are idle, and a scalar tail.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from xdsl.ir import Block, Operation, Region, SSAValue

from dialects import loop
from dialects.dims import Dim, dmin
from dialects.errors import IrkitError
from dialects.kernel import DefOp, ReduceOp, ScanOp, WriteOp
from dialects.types import ref
from lowering.kernel.fields import Axes
from lowering.kernel.keep import Kept, kept_of
from lowering.loop import nest_remarks
from lowering.loop.nest import Level, Nest, Shared, VectorAxis
from lowering.loop.peeling import inside, interior
from lowering.remarks import listening
from lowering.schedule import Schedule


def lower_pointwise(kernel: DefOp, body: Block, schedule: Schedule) -> None:
    """Fills the body of a loop.func from a kernel."""
    plan = _Plan(kernel, schedule)
    shared = Shared.of(kernel, body, plan.reduce)
    shared.stream = schedule.stream
    root = Level(body)
    plan.keep(Nest(shared, [root]))
    written: set[SSAValue] = set()
    for writes in _grouped_writes(kernel):
        nest = Nest(shared, [root])
        if any(w.array in written for w in writes):
            shared.location_of = writes[0]
            nest.add(loop.BarrierOp())
        if writes[0].combiner is None:
            plan.lower_group(nest, writes, _scans_behind(writes))
        else:
            plan.lower_update(nest, writes[0])
        written.update(w.array for w in writes)


def _grouped_writes(kernel: DefOp) -> list[list[WriteOp]]:
    """Writes over the same axes share a nest; an update has one of its own."""
    groups: dict[object, list[WriteOp]] = {}
    declared = [n for n, _ in kernel.axes.data]
    for op in kernel.block.ops:
        if isinstance(op, WriteOp):
            names = frozenset[str]().union(*(e.names() for e in op.index.data))
            key = tuple(a for a in declared if a in names) if op.combiner is None else op
            groups.setdefault(key, []).append(op)
    return list(groups.values())


def _scans_behind(writes: Sequence[WriteOp]) -> list[ScanOp]:
    """The scans that the written values depend on."""
    found: dict[ScanOp, None] = {}
    work: list[SSAValue] = [w.value for w in writes]
    seen: set[SSAValue] = set()
    while work:
        owner = work.pop().owner
        if not isinstance(owner, Operation):
            continue
        if isinstance(owner, ScanOp):
            found[owner] = None
        work += [v for v in owner.operands if v not in seen]
        seen.update(owner.operands)
    return list(found)


@dataclass
class _Plan:
    kernel: DefOp
    schedule: Schedule

    rows: dict[ReduceOp, list[tuple[Kept, SSAValue]]] = field(default_factory=dict)
    """What each reduction leaves in memory, and where."""

    def extent(self, axis: str) -> Dim:
        return self.kernel.extents()[axis]

    def keep(self, nest: Nest) -> None:
        """Memory for the rows that the schedule keeps."""
        for axis in self.schedule.keep:
            for kept in kept_of(self.kernel, axis):
                row = loop.AllocOp(ref(kept.first.type, [self.extent(axis)], space="scratch"))
                nest.shared.location_of = kept.reduce
                nest.add(row)
                nest.shared.kept[kept.again] = kept, row.result
                self.rows.setdefault(kept.reduce, []).append((kept, row.result))

    def _elements(self, nest: Nest, op: ReduceOp) -> list[SSAValue]:
        """The elements of a reduction at a point, some of them left in memory."""
        elements = [nest.materialise(v) for v in op.inputs]
        for kept, row in self.rows.get(op, ()):
            lanes = tuple(v.axis for v in nest.vectors() if v.axis == kept.axis)
            value = nest.splat(nest.materialise(kept.first), lanes)
            nest.add(loop.StoreOp(value, row, [nest.binds()[kept.axis]], along=[0] * len(lanes)))
        return elements

    def _is_light(self, nest: Nest, lanes: str) -> bool:
        """Whether a vector is so little work that a nest may hold it several times: no reduction runs for it."""
        reductions = (op for op in self.kernel.block.ops if isinstance(op, ReduceOp))
        return not any(lanes in nest.shared.axes[r] for op in reductions for r in op.results)

    # -- a group of writes ------------------------------------------------------------------------------------

    def lower_group(self, nest: Nest, writes: Sequence[WriteOp], scans: Sequence[ScanOp]) -> None:
        along = {s.along.data for s in scans}
        axes = [a for a in self._loop_order(writes[0]) if a not in along]
        if any(self.extent(a).value == 0 for a in axes):
            return
        whole = [a for a in axes if a in self.schedule.whole]
        lanes = next((a for a in axes if a in self.schedule.vector), None)
        tiled = [a for a in axes if a in self.schedule.tile and a != lanes]
        outer = [a for a in axes if a not in (*whole, *tiled) and a != lanes]
        parallel = self._parallel_axis([*outer, *tiled, *([lanes] if lanes else [])])
        nest_remarks.threads(
            self.kernel, self.schedule, parallel, {"is taken whole": whole, "carries a scan": along}
        )
        nest_remarks.lanes(self.kernel, self.schedule, axes, lanes)
        if parallel is None:
            nest.open(nest.fresh("solo"), 0, 1, role="parallel", binds={})
        for axis in outer:
            nest.open(axis, 0, self.extent(axis), role="parallel" if axis == parallel else "serial")
        for axis in tiled:
            size = self.schedule.tile[axis]
            self._open_vector(
                nest, axis, Dim.of(0), self.extent(axis), size, "parallel" if axis == parallel else "serial"
            )
        for axis in whole:
            # A loop of one iteration, so that what does not depend on the axis stays outside.
            size = self.extent(axis).value
            assert size is not None
            nest.open(axis, 0, size, step=size, vectors=[VectorAxis(axis, size)])
        if scans:
            if lanes is not None:
                role = "parallel" if lanes == parallel else "serial"
                self._open_vector(
                    nest, lanes, Dim.of(0), self.extent(lanes), self.schedule.vector[lanes], role
                )
            self._scan(nest, writes, scans)
        elif lanes is None:
            self._emit_writes(nest, writes)
        else:
            role = "parallel" if lanes == parallel else "serial"
            self._rows(
                nest, outer, lanes, lambda common: self._vector_loop(nest, writes, lanes, role, split=common)
            )
        while nest.level.loop is not None:
            nest.close()

    def _rows(self, nest: Nest, outer: Sequence[str], lanes: str, row: Callable[[bool], None]) -> None:
        """A row, in two forms where a test of the axes around it spares tests in it; `row` is told whether it is common.
        Where no axis is around it the one loop stays one, so that threads split all of it."""
        light = bool(outer) and self._is_light(nest, lanes)
        found = inside(self.kernel, outer, nest) if light else None
        if found is None:
            row(light)
            return
        test, ranges, held = found
        branch = loop.IfOp(test)
        for level, split in (
            (Level(branch.then.block, ranges=ranges, idle=held), True),
            (Level(branch.otherwise.block), False),
        ):
            nest.levels.append(level)
            row(split)
            nest.levels.pop()
        nest.add(branch)  # behind what its rows need from outside of it

    def _scan(self, nest: Nest, writes: Sequence[WriteOp], scans: Sequence[ScanOp]) -> None:
        """The loop that carries the states of scans, all along one axis, and writes at each point."""
        axis = scans[0].along.data
        if any(s.along.data != axis for s in scans):
            raise IrkitError(
                "scans along several axes in one nest",
                scans[0],
                found=", ".join(dict.fromkeys(s.along.data for s in scans)),
                expected="one axis; a kernel for each",
            )
        states: list[SSAValue] = []
        for scan in scans:
            shapes = [self._shape(nest, nest.shared.axes[r] - {axis}) for r in scan.results]
            init = nest.inline(scan.init.block, [])
            states += [nest.splat(v, s) for v, s in zip(init, shapes, strict=True)]
        level = nest.open(axis, 0, self.extent(axis), inits=states)
        carried, final = list(level.block.args), []
        for scan in scans:
            before, carried = carried[: len(scan.results)], carried[len(scan.results) :]
            elements = [nest.materialise(v) for v in scan.inputs]
            nest.shared.location_of = scan
            after = self._following(nest, scan.step.block, before, elements)
            final += after
            given = before if scan.exclusive is not None else after
            nest.level.values.update(zip(scan.results, given, strict=True))
        self._emit_writes(nest, writes)
        nest.close(final)

    def lower_update(self, nest: Nest, write: WriteOp) -> None:
        """Axes that are an index of their own may run in parallel and in lanes; along all others points follow one another,
        in every thread."""
        axes = nest.shared.axes
        moving = frozenset[str]().union(*(axes[v] for v in write.indices))
        named = moving | axes[write.value] | {n for e in write.index.data for n in e.names()}
        own = [a for a in write.own_axes() if a in named]
        swept = [a for a, _ in self.kernel.axes.data if a in named and a not in own]
        lanes = next((a for a in own if a in self.schedule.vector and a not in moving), None)
        outer = [a for a in self._ordered(own) if a != lanes]
        parallel = self._parallel_axis([*outer, *([lanes] if lanes else [])])
        nest_remarks.threads(self.kernel, self.schedule, parallel, {"may write to one element twice": swept})
        nest_remarks.lanes(self.kernel, self.schedule, own, lanes)
        if parallel is None:
            nest.open(nest.fresh("solo"), 0, 1, role="parallel", binds={})
        for axis in outer:
            nest.open(axis, 0, self.extent(axis), role="parallel" if axis == parallel else "serial")
        for axis in swept:
            nest.open(axis, 0, self.extent(axis))
        if lanes is not None:
            role = "parallel" if lanes == parallel else "serial"
            size = self.schedule.vector[lanes]
            self._open_vector(nest, lanes, Dim.of(0), self.extent(lanes), size, role)
        operands = [nest.materialise(v) for v in write.indices]
        value = nest.materialise(write.value)
        nest.shared.location_of = write
        nest.update(write, value, operands)
        while nest.level.loop is not None:
            nest.close()

    def _loop_order(self, write: WriteOp) -> list[str]:
        """Axes as the output's dims have them, or as the schedule says."""
        axes: list[str] = []
        declared = self.kernel.extents()
        for expr in write.index.data:
            axes += sorted(n for n in expr.names() if n in declared and n not in axes)
        return self._ordered(axes)

    def _ordered(self, axes: Sequence[str]) -> list[str]:
        """Axes in the order that the schedule states; those of which it says nothing come last."""
        stated = [a for a in self.schedule.order if a in axes]
        return stated + [a for a in axes if a not in stated]

    def _parallel_axis(self, axes: Sequence[str]) -> str | None:
        if self.schedule.parallel in axes:
            return self.schedule.parallel
        return next((a for a in axes if self.extent(a).value != 1), axes[0] if axes else None)

    def _emit_writes(self, nest: Nest, writes: Sequence[WriteOp]) -> None:
        values = [nest.materialise(w.value) for w in writes]
        for write, value in zip(writes, values, strict=True):
            nest.shared.location_of = write
            nest.write(write, value)

    def _open_vector(self, nest: Nest, axis: str, lower: Dim, upper: Dim, size: int, role: str) -> None:
        count = (upper - lower).value
        if count is not None and count < size:
            valid = Dim.of(count)
        elif count is not None and count % size == 0:
            valid = None
        else:
            valid = dmin(size, upper - Dim.of(axis))
        nest.open(axis, lower, upper, step=size, role=role, vectors=[VectorAxis(axis, size, valid)])

    def _vector_loop(
        self, nest: Nest, writes: Sequence[WriteOp], axis: str, role: str, *, split: bool
    ) -> None:
        """The loop along the vector axis, with loops before and behind it where that spares tests. Where it is `split`,
        the vectors that are full come first, without masks."""
        extent = self.extent(axis)
        size = self.schedule.vector[axis]
        found = interior(self.kernel, axis, extent, nest)
        low, high, held = (found.low, found.high, found.held) if found else (Dim.of(0), extent, frozenset())
        if found:
            nest_remarks.peeled(self.kernel, axis, low, high, extent)
        for lower, upper in ((Dim.of(0), low), (high, extent)):
            if lower == upper:
                continue
            nest.open(axis, lower, upper, role=role)
            with listening(None):  # what is done at the edges is no news of the nest
                self._emit_writes(nest, writes)
            nest.close()
        whole = low + (high - low) // size * size if split else high
        for lower, upper in ((low, whole), (whole, high)):
            if lower == upper and low != high:
                continue
            # Not where threads split the axis: two of them would write to one place.
            if lower == whole and split and role != "parallel" and self._may_repeat(nest, high - low, size):
                lower = high - size
            self._open_vector(nest, axis, lower, upper, size, role)
            nest.level.idle = held
            self._emit_writes(nest, writes)
            nest.close()

    def _may_repeat(self, nest: Nest, points: Dim, size: int) -> bool:
        """Whether the last vector may compute again what a vector before it has: where there is one, and no result lies in
        the memory of an operand."""
        apart = all(a.alias_of is None for a in self.kernel.signature.data)
        return apart and points.bounds(nest.ranges())[0] >= size

    # -- reductions -------------------------------------------------------------------------------------------

    def reduce(self, nest: Nest, op: ReduceOp) -> None:
        """Emits a reduction at the innermost level of the nest; its results are found there afterwards."""
        axes = nest.shared.axes
        kept = frozenset[str]().union(*(axes[r] for r in op.results))
        in_lanes = not any(v.axis in kept for v in nest.vectors())
        lanes = next((a for a in reversed(op.axes) if a in self.schedule.vector and in_lanes), None)
        nest_remarks.reduction(
            self.kernel, op, self.schedule, lanes, [v.axis for v in nest.vectors() if v.axis in kept]
        )
        states = self._initial(nest, op)
        over = [*self._ordered([a for a in op.axes if a != lanes]), *([lanes] if lanes else [])]
        finished = nest.inline(op.finish.block, self._over(nest, op, over, lanes, states, states))
        nest.level.values.update(zip(op.results, finished, strict=True))

    def _initial(self, nest: Nest, op: ReduceOp) -> list[SSAValue]:
        """The states before any point."""
        shapes = [self._shape(nest, nest.shared.axes[arg]) for arg in op.finish.block.args]
        init = nest.inline(op.init.block, [])
        return [nest.splat(v, s) for v, s in zip(init, shapes, strict=True)]

    def _over(
        self,
        nest: Nest,
        op: ReduceOp,
        axes: Sequence[str],
        lanes: str | None,
        init: Sequence[SSAValue],
        states: Sequence[SSAValue],
    ) -> list[SSAValue]:
        """The states after all points of the axes, the last of which may run in lanes."""
        if not axes:
            elements = self._elements(nest, op)
            return self._step(nest, op, states, elements)
        axis, *rest = axes
        if axis == lanes:
            return self._in_lanes(nest, op, states, axis)

        def points(first: Dim, last: Dim, states: Sequence[SSAValue]) -> list[SSAValue]:
            level = nest.open(axis, first, last, inits=states)
            return list(nest.close(self._over(nest, op, rest, lanes, init, list(level.block.args))))

        return self._in_blocks(nest, op, axis, (self.extent(axis), 1), init, states, points)

    def _in_blocks(
        self,
        nest: Nest,
        op: ReduceOp,
        axis: str,
        size: tuple[Dim, int],
        init: Sequence[SSAValue],
        states: Sequence[SSAValue],
        points: Callable[[Dim, Dim, Sequence[SSAValue]], list[SSAValue]],
    ) -> list[SSAValue]:
        """The states after all points of an axis (extent, step). A split axis is reduced block by block, each from the
        initial state, and the blocks' states are combined."""
        extent, step = size
        block = -(-self.schedule.split.get(axis, 0) // step) * step
        if not block or (extent.value is not None and extent.value <= block):
            return points(Dim.of(0), extent, states)
        first = nest.fresh(f"{axis}o")
        level = nest.open(first, 0, extent, step=block, inits=states, binds={})
        found = points(Dim.of(first), dmin(Dim.of(first) + block, extent), init)
        return list(nest.close(self._following(nest, op.combine.block, level.block.args, found)))

    def _shape(self, nest: Nest, axes: Axes) -> tuple[str, ...]:
        return tuple(v.axis for v in nest.vectors() if v.axis in axes)

    def _step(
        self, nest: Nest, op: ReduceOp, states: Sequence[SSAValue], elements: Sequence[SSAValue]
    ) -> list[SSAValue]:
        return self._following(nest, op.step.block, states, elements)

    def _following(
        self, nest: Nest, block: Block, states: Sequence[SSAValue], others: Sequence[SSAValue]
    ) -> list[SSAValue]:
        """The states that a region makes of others, in the same vector axes."""
        found = nest.inline(block, [*states, *others])
        return [nest.splat(v, nest.shapes(s)) for v, s in zip(found, states, strict=True)]

    def _in_lanes(self, nest: Nest, op: ReduceOp, states: Sequence[SSAValue], axis: str) -> list[SSAValue]:
        """The reduced axis in vector lanes: a vector loop, a fold of the lanes, and a scalar loop over what is left."""
        size = self.schedule.vector[axis]
        extent = self.extent(axis)
        main = (extent // size) * size
        result = list(states)
        if main != Dim.of(0):
            # An inner level in the same block: what it holds for the lanes is not seen by what is emitted around it.
            inner = Nest(
                nest.shared, [*nest.levels, Level(nest.level.block, vectors=[VectorAxis(axis, size)])]
            )
            shapes = [self._lane_shape(inner, nest.shared.axes[a], axis) for a in op.finish.block.args]
            init = [inner.splat(v, s) for v, s in zip(inner.inline(op.init.block, []), shapes, strict=True)]

            def points(first: Dim, last: Dim, states: Sequence[SSAValue]) -> list[SSAValue]:
                level = inner.open(axis, first, last, step=size, inits=states)
                elements = self._elements(inner, op)
                return list(inner.close(self._step(inner, op, list(level.block.args), elements)))

            vectors = self._in_blocks(inner, op, axis, (main, size), init, init, points)
            folded = self._fold(nest, op, vectors)
            result = nest.inline(op.combine.block, [*result, *folded])
        if main != extent:
            # The rest is summed by itself: one after another onto the whole, each addition would round that.
            start = result if main == Dim.of(0) else self._initial(nest, op)
            level = nest.open(axis, main, extent, inits=start)
            elements = self._elements(nest, op)
            rest = list(nest.close(self._step(nest, op, list(level.block.args), elements)))
            result = rest if main == Dim.of(0) else nest.inline(op.combine.block, [*result, *rest])
        return result

    def _lane_shape(self, nest: Nest, axes: Axes, lane: str) -> tuple[str, ...]:
        return tuple(v.axis for v in nest.vectors() if v.axis in axes or v.axis == lane)

    def _fold(self, nest: Nest, op: ReduceOp, vectors: Sequence[SSAValue]) -> list[SSAValue]:
        outside = {o for inner in op.combine.block.ops for o in inner.operands} - set(op.combine.block.args)
        captured = {o: nest.materialise(o) for o in outside if o.owner.parent is not op.combine.block}  # pyright: ignore
        region = Region(Block(arg_types=[a.type for a in op.combine.block.args]))
        mapping = {**captured, **dict(zip(op.combine.block.args, region.block.args, strict=True))}
        for inner in op.combine.block.ops:
            region.block.add_op(inner.clone(mapping))
        last = region.block.last_op
        assert last is not None
        operands = list(last.operands)
        region.block.erase_op(last)
        end = loop.YieldOp(*operands)
        end.location = op.location
        region.block.add_op(end)
        fold = loop.FoldOp(vectors, region)
        nest.add(fold)
        return list(fold.results)
