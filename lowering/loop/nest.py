"""The one helper that builds loop nests: levels of open loops, and the point (or tile) of fields at the innermost one.

A `Nest` holds the open levels from the function's body inwards. Each level binds axes of the kernel to expressions
over loop variables, and may hold *vector axes*: axes of which a tile is computed at once. `materialise` emits what a
field needs, each op at the shallowest level that binds its axes, so that what does not change in a loop is computed
before it and what two loops share is computed once. Reductions are emitted the same way, by the callback `reduce`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, isfinite

from xdsl.dialects import arith
from xdsl.dialects.builtin import (
    DenseIntOrFPElementsAttr,
    FloatAttr,
    IntegerAttr,
    IntegerType,
    VectorType,
    i1,
    i64,
)
from xdsl.ir import Attribute, Block, Operation, SSAValue

from dialects import kernel, loop
from dialects.dims import ONE, ZERO, Dim, Opaque, dmax, dmin
from dialects.errors import IrkitError
from dialects.kernel import DefOp, ReadOp, ReduceOp, WriteOp
from dialects.types import RefType
from lowering.kernel.fields import Axes, field_axes, reduced_axes
from lowering.kernel.keep import Kept
from lowering.loop import nest_remarks
from lowering.loop.decided import chosen, decided

Shape = tuple[str, ...]
"""The vector axes of an emitted value, in the order of its vector type's dims."""


@dataclass(frozen=True)
class VectorAxis:
    """An axis of which `size` points are computed at once; `valid` of them exist, all where it is None."""

    axis: str
    size: int
    valid: Dim | None = None


@dataclass
class Level:
    """One open loop: its body, what it binds, and the values already emitted in it."""

    block: Block
    loop: loop.ForOp | None = None
    binds: dict[str, Dim] = field(default_factory=dict)
    vectors: list[VectorAxis] = field(default_factory=list)
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    idle: frozenset[Dim] = frozenset()
    """Conditions (each at least zero) that are known to hold for all points: guards to drop, clamps to ignore."""
    values: dict[SSAValue, SSAValue] = field(default_factory=dict)


@dataclass
class Shared:
    """What all nests of one function share."""

    kernel: DefOp
    axes: dict[SSAValue, Axes]
    arrays: dict[SSAValue, SSAValue]
    reduce: Callable[[Nest, ReduceOp], None]
    kept: dict[SSAValue, tuple[Kept, SSAValue]] = field(default_factory=dict)
    """Fields that lie in a row of memory once a reduction has run, with that row."""
    stream: bool = False
    """Whether whole vectors of results bypass the caches."""
    shapes: dict[SSAValue, Shape] = field(default_factory=dict)
    location_of: Operation | None = None

    @staticmethod
    def of(definition: DefOp, body: Block, reduce: Callable[[Nest, ReduceOp], None]) -> Shared:
        return Shared(
            definition,
            field_axes(definition),
            dict(zip(definition.block.args, body.args, strict=True)),
            reduce,
        )


class Nest:
    """Open levels, outermost first. Copies that share outer levels are cheap."""

    def __init__(self, shared: Shared, levels: Sequence[Level]):
        self.shared = shared
        self.levels = list(levels)

    # -- loops ------------------------------------------------------------------------------------------------

    @property
    def level(self) -> Level:
        return self.levels[-1]

    def ranges(self) -> dict[str, tuple[float, float]]:
        """Inclusive ranges of all loop variables and symbols in scope."""
        out = self.shared.kernel.symbols.ranges()
        for level in self.levels:
            out.update(level.ranges)
        return out

    def fresh(self, name: str) -> str:
        """A loop variable that no open level uses."""
        used = {n for level in self.levels for n in level.ranges} | {
            n for n, _, _ in self.shared.kernel.symbols.data
        }
        candidate, count = name, 0
        while candidate in used:
            count += 1
            candidate = f"{name}{count}"
        return candidate

    def open(
        self,
        name: str,
        lower: Dim | int,
        upper: Dim | int,
        *,
        step: int = 1,
        role: str = "serial",
        inits: Sequence[SSAValue] = (),
        binds: Mapping[str, Dim] | None = None,
        vectors: Sequence[VectorAxis] = (),
    ) -> Level:
        """Opens a loop inside the innermost level; `binds` maps axes to expressions (default: name to itself)."""
        lower, upper = Dim.of(lower), Dim.of(upper)
        op = loop.ForOp(name, lower, upper, step=step, role=role, inits=inits)
        ranges = self.ranges()
        low, high = lower.bounds(ranges)[0], upper.bounds(ranges)[1] - 1
        for vector in (v for v in vectors if v.axis == name):  # all points of its lanes are there
            extent = self.shared.kernel.extents()[name].bounds(ranges)[1]
            high = max(high, min(high + vector.size, extent) - 1)
        level = Level(
            op.block,
            op,
            dict(binds if binds is not None else {name: Dim.of(name)}),
            list(vectors),
            {name: (low, max(low, high))},
        )
        for arg, init in zip(op.block.args, inits, strict=True):
            self.shared.shapes[arg] = self.shapes(init)
        self.levels.append(level)
        return level

    def close(self, yields: Sequence[SSAValue] = ()) -> Sequence[SSAValue]:
        """Closes the innermost loop; returns the loop's results."""
        level = self.levels.pop()
        op = level.loop
        assert op is not None
        self.add(op)
        if yields:
            last = loop.YieldOp(*yields)
            last.location = op.location
            level.block.add_op(last)
        for result, value in zip(op.results, yields, strict=True):
            self.shared.shapes[result] = self.shapes(value)
        return op.results

    def add(self, op: Operation, depth: int = -1) -> Operation:
        """Appends an op at a level."""
        if self.shared.location_of is not None and not _located(op):
            op.location = self.shared.location_of.location
        self.levels[depth].block.add_op(op)
        return op

    # -- bindings ---------------------------------------------------------------------------------------------

    def binds(self, depth: int | None = None) -> dict[str, Dim]:
        out: dict[str, Dim] = {}
        for level in self.levels[: None if depth is None else depth + 1]:
            out.update(level.binds)
        return out

    def vectors(self, depth: int | None = None) -> list[VectorAxis]:
        return [v for level in self.levels[: None if depth is None else depth + 1] for v in level.vectors]

    def shapes(self, value: SSAValue) -> Shape:
        return self.shared.shapes.get(value, ())

    def depth_of(self, axes: Iterable[str]) -> int:
        """The shallowest level at which all axes are bound."""
        wanted = set(axes)
        for depth, level in enumerate(self.levels):
            wanted -= level.binds.keys()
            if not wanted:
                return depth
        raise AssertionError(f"axes {sorted(wanted)} are bound by no open loop")

    def lookup(self, value: SSAValue) -> SSAValue | None:
        for level in reversed(self.levels):
            if (found := level.values.get(value)) is not None:
                return found
        return None

    # -- values -----------------------------------------------------------------------------------------------

    def materialise(self, value: SSAValue) -> SSAValue:
        """Emits a field at the innermost point, or finds it; each op goes to the shallowest level that can hold it."""
        found = self.lookup(value)
        if found is not None:
            return found
        work: list[tuple[SSAValue, bool]] = [(value, False)]
        same: dict[SSAValue, SSAValue] = {}
        while work:
            current, ready = work.pop()
            if self.lookup(current) is not None:
                continue
            op = current.owner
            assert isinstance(op, Operation), "a value of the kernel is an op's result"
            if isinstance(op, ReduceOp):
                self._at(self.shared.axes[current] if len(op.results) == 1 else self._all_axes(op)).reduce(op)
                continue
            if current in self.shared.kept:
                self._read_kept(current)
                continue
            if current in same:  # known at this point alone: it is kept at the innermost level
                self.level.values[current] = self._need(same[current])
                continue
            if not ready:
                known = None if isinstance(op, arith.ConstantOp) else decided(current, self._holds_here)
                if known is not None:
                    self.level.values[current] = self.constant(IntegerAttr(int(known), i1), i1)
                    continue
                work.append((current, True))
                if (branch := chosen(op, self._holds_here)) is not None:
                    same[current] = branch
                    work.append((branch, False))
                    continue
                work.extend((o, False) for o in op.operands if not isinstance(o.type, RefType))
                continue
            operands = [o for o in op.operands if not isinstance(o.type, RefType)]
            depth = max([self.depth_of(self.shared.axes[current]), *map(self._depth_found, operands)])
            nest = Nest(self.shared, self.levels[: depth + 1])
            self.shared.location_of = op
            nest.level.values[current] = nest.emit(op, [self._need(o) for o in operands])
        return self._need(value)

    def _read_kept(self, value: SSAValue) -> None:
        """A field from the row that its reduction has left."""
        kept, row = self.shared.kept[value]
        self.materialise(kept.reduce.results[0])
        nest = self._at(self.shared.axes[value])
        shape = tuple(v.axis for v in nest.vectors() if v.axis == kept.along)
        place = [nest.binds()[kept.along]]
        load = loop.LoadOp(
            row,
            place,
            shape=[nest.size_of(a) for a in shape],
            along=[0] * len(shape),
            valid=nest.valid(shape),
        )
        self.shared.location_of = value.owner if isinstance(value.owner, Operation) else None
        nest.level.values[value] = nest._shaped(load, shape)

    def reduce(self, op: ReduceOp) -> None:
        self.shared.location_of = op
        self.shared.reduce(self, op)

    def _all_axes(self, op: ReduceOp) -> Axes:
        return frozenset().union(*(self.shared.axes[r] for r in op.results))

    def _need(self, value: SSAValue) -> SSAValue:
        found = self.lookup(value)
        assert found is not None
        return found

    def _depth_found(self, value: SSAValue) -> int:
        return next(d for d, level in enumerate(self.levels) if value in level.values)

    def _at(self, axes: Iterable[str]) -> Nest:
        return Nest(self.shared, self.levels[: self.depth_of(axes) + 1])

    def inline(self, block: Block, args: Sequence[SSAValue]) -> list[SSAValue]:
        """Emits a region's ops at the innermost level for given arguments; returns what it yields."""
        env: dict[SSAValue, SSAValue] = dict(zip(block.args, args, strict=True))
        for op in block.ops:
            if isinstance(op, kernel.YieldOp):
                return [env[v] if v in env else self.materialise(v) for v in op.operands]
            operands = [env[o] if o in env else self.materialise(o) for o in op.operands]
            self.shared.location_of = op
            env[op.results[0]] = self.emit(op, operands)
        raise AssertionError("a region of kernel.reduce ends with kernel.yield")

    # -- one op -----------------------------------------------------------------------------------------------

    def emit(self, op: Operation, operands: Sequence[SSAValue]) -> SSAValue:
        """Emits one scalar op of the kernel at the innermost level, on vectors where its operands are vectors."""
        if isinstance(op, ReadOp):
            return self.read(op, operands)
        if isinstance(op, kernel.IndexOp):
            return self.index_value(op.expr.data.subst(self.binds()), ())
        values, shape = self.align(operands)
        if shape and (kind := op.name.removeprefix("arith.")) in kernel.ConvertOp.KINDS:
            return self._shaped(
                kernel.ConvertOp(kind, values[0], self.vector_type(op.results[0].type, shape)), shape
            )
        if shape and isinstance(op, arith.CmpiOp | arith.CmpfOp):
            names = kernel.CompareOp.INTEGER if isinstance(op, arith.CmpiOp) else kernel.CompareOp.FLOAT
            return self._compare(names[op.predicate.value.data], values[0], values[1], shape)
        if shape and isinstance(op, arith.SelectOp):
            return self._shaped(kernel.SelectOp(*values), shape)
        new = type(op).create(
            operands=values,
            result_types=[self.vector_type(r.type, shape) for r in op.results],
            properties=dict(op.properties),
            attributes=dict(op.attributes),
            location=op.location,
        )
        self.add(new)
        self.shared.shapes[new.results[0]] = shape
        return new.results[0]

    def vector_type(self, element: Attribute, shape: Shape) -> Attribute:
        return VectorType(element, [self.size_of(a) for a in shape]) if shape else element

    def size_of(self, axis: str) -> int:
        return next(v.size for v in reversed(self.vectors()) if v.axis == axis)

    def align(self, values: Sequence[SSAValue]) -> tuple[list[SSAValue], Shape]:
        """Broadcasts values to the union of their vector axes."""
        present = {a for v in values for a in self.shapes(v)}
        shape = tuple(v.axis for v in self.vectors() if v.axis in present)
        return [self.broadcast(v, shape) for v in values], shape

    def broadcast(self, value: SSAValue, shape: Shape) -> SSAValue:
        """The value with more vector axes."""
        have = self.shapes(value)
        if have == shape:
            return value
        op = loop.BroadcastOp(value, [self.size_of(a) for a in shape], [shape.index(a) for a in have])
        self.add(op)
        self.shared.shapes[op.result] = shape
        return op.result

    # -- index expressions as values --------------------------------------------------------------------------

    def index_value(self, expr: Dim, operands: Sequence[SSAValue]) -> SSAValue:
        """An expression over loop variables, vector axes and index operands, as an i64 scalar or vector."""
        names = expr.names()
        lanes = [v for v in self.vectors() if v.axis in names]
        if not lanes and not any(n.startswith("_") for n in names):
            return self.add(loop.IndexOp(expr)).results[0]
        if len(lanes) == 1 and not any(n.startswith("_") for n in names):
            axis = lanes[0].axis
            stride = expr.coefficient(axis)
            if stride is not None and not (stride.names() & {axis}):
                op = loop.IndexOp(expr, [lanes[0].size], stride)
                self.add(op)
                self.shared.shapes[op.results[0]] = (axis,)
                return op.results[0]
        total: SSAValue | None = None
        for monomial, factor in expr.terms:
            term: SSAValue | None = None
            for atom in monomial:
                value = self._atom_value(atom, operands)
                term = value if term is None else self._binary(arith.MuliOp, term, value)
            if term is None:
                term = self.index_value(Dim.of(factor), ())
            elif factor != 1:
                term = self._binary(arith.MuliOp, term, self.index_value(Dim.of(factor), ()))
            total = term if total is None else self._binary(arith.AddiOp, total, term)
        return total if total is not None else self.index_value(ZERO, ())

    def _atom_value(self, atom: str | Opaque, operands: Sequence[SSAValue]) -> SSAValue:
        if isinstance(atom, Opaque):
            parts = [self.index_value(a, operands) for a in atom.args]
            if atom.kind in ("min", "max"):
                out = parts[0]
                for part in parts[1:]:
                    out = self._binary(arith.MinSIOp if atom.kind == "min" else arith.MaxSIOp, out, part)
                return out
            values, shape = self.align(parts)
            op = kernel.IntegerOp(atom.kind, *values)
            self.add(op)
            self.shared.shapes[op.result] = shape
            return op.result
        if atom.startswith("_"):
            return self._as_i64(operands[int(atom[1:])])
        return self.index_value(Dim.of(atom), ())

    def _as_i64(self, value: SSAValue) -> SSAValue:
        element = value.type.get_element_type() if isinstance(value.type, VectorType) else value.type
        if element == i64:
            return value
        shape = self.shapes(value)
        type_ = self.vector_type(i64, shape)
        return self._shaped(
            kernel.ConvertOp("extsi", value, type_) if shape else arith.ExtSIOp(value, i64), shape
        )

    def _shaped(self, op: Operation, shape: Shape) -> SSAValue:
        """Appends an op whose result has the given vector axes."""
        self.add(op)
        self.shared.shapes[op.results[0]] = shape
        return op.results[0]

    def _binary(self, op_type: type[Operation], a: SSAValue, b: SSAValue) -> SSAValue:
        (x, y), shape = self.align([a, b])
        op = op_type.create(operands=[x, y], result_types=[x.type], properties=_no_overflow(op_type))
        self.add(op)
        self.shared.shapes[op.results[0]] = shape
        return op.results[0]

    # -- reads and writes -------------------------------------------------------------------------------------

    def read(self, op: ReadOp, operands: Sequence[SSAValue]) -> SSAValue:
        """Emits a kernel.read: a contiguous or strided vector where its index is linear, a gather elsewhere."""
        array = self.shared.arrays[op.array]
        binds = self.binds()
        exprs = [without_idle_clamps(e.subst(binds), self.holds) for e in op.index.data]
        shape = tuple(
            v.axis
            for v in self.vectors()
            if any(v.axis in e.names() for e in exprs) or any(v.axis in self.shapes(o) for o in operands)
        )
        guard = self.guard(exprs, array.type) if op.otherwise is not None else []
        nest_remarks.unpeeled(op, exprs, guard, [v.axis for v in self.vectors()])
        if not shape:
            return self._scalar_read(array, exprs, operands, guard, op.otherwise)
        along = self.unit_dims(exprs, array.type, shape)
        lanewise = any(g.names() & set(shape) or any(n.startswith("_") for n in g.names()) for g in guard)
        if along is None or lanewise or any(self.shapes(o) for o in operands):
            return self._select_in_range(array, exprs, operands, guard, op.otherwise, shape)
        valid = self.valid(shape)
        if valid is not None and self._has_room(exprs, array.type, shape):
            valid = None
        load = loop.LoadOp(
            array,
            exprs,
            shape=[self.size_of(a) for a in shape],
            along=along,
            valid=valid,
            guard=guard or None,
            otherwise=op.otherwise if guard else None,
            indices=[self._as_i64(o) for o in operands],
        )
        self.add(load)
        self.shared.shapes[load.result] = shape
        return load.result

    def _scalar_read(
        self,
        array: SSAValue,
        exprs: Sequence[Dim],
        operands: Sequence[SSAValue],
        guard: list[Dim],
        otherwise: Attribute | None,
    ) -> SSAValue:
        if guard and any(n.startswith("_") for g in guard for n in g.names()):
            return self._select_in_range(array, exprs, operands, guard, otherwise, ())
        load = loop.LoadOp(
            array,
            exprs,
            guard=guard or None,
            otherwise=otherwise if guard else None,
            indices=[self._as_i64(o) for o in operands],
        )
        self.add(load)
        return load.result

    def _select_in_range(
        self,
        array: SSAValue,
        exprs: Sequence[Dim],
        operands: Sequence[SSAValue],
        guard: list[Dim],
        otherwise: Attribute | None,
        shape: Shape,
    ) -> SSAValue:
        """A read with an index per lane: clamped into the array, then replaced where the guard fails."""
        type_ = array.type
        assert isinstance(type_, RefType)
        partial = any(v.valid is not None for v in self.vectors() if v.axis in shape)
        index: list[Dim] = []
        values: list[SSAValue] = []
        for expr, size in zip(exprs, type_.shape.data, strict=True):
            names = expr.names()
            if not (names & set(shape)) and not any(n.startswith("_") for n in names):
                clamped = (
                    dmax(0, dmin(expr, size - 1))
                    if any(
                        (g - expr).value is not None or (g + expr).names().isdisjoint(names) for g in guard
                    )
                    else expr
                )
                index.append(clamped)
                continue
            value = self.index_value(expr, operands)
            if guard or partial:
                value = self._binary(arith.MinSIOp, value, self.index_value(size - 1, ()))
                value = self._binary(arith.MaxSIOp, value, self.index_value(ZERO, ()))
            index.append(Dim.of(f"_{len(values)}"))
            values.append(self.broadcast(value, shape))
        load = loop.LoadOp.create(
            operands=[array, *values],
            properties=loop.LoadOp(array, index, indices=values).properties,
            result_types=[self.vector_type(type_.element_type, shape)],
        )
        self.add(load)
        self.shared.shapes[load.results[0]] = shape
        result: SSAValue = load.results[0]
        for condition in guard:
            result = self._where_nonnegative(condition, operands, result, otherwise, type_.element_type)
        return result

    def _where_nonnegative(
        self,
        condition: Dim,
        operands: Sequence[SSAValue],
        value: SSAValue,
        otherwise: Attribute | None,
        element: Attribute,
    ) -> SSAValue:
        (number, zero), lanes = self.align(
            [self.index_value(condition, operands), self.index_value(ZERO, ())]
        )
        test = self._compare("sge", number, zero, lanes)
        (mask, kept, other), shape = self.align([test, value, self.constant(otherwise, element)])
        return self._shaped(
            kernel.SelectOp(mask, kept, other) if shape else arith.SelectOp(mask, kept, other), shape
        )

    def _compare(self, predicate: str, a: SSAValue, b: SSAValue, shape: Shape) -> SSAValue:
        if not shape:
            return self.add(arith.CmpiOp(a, b, predicate)).results[0]
        return self._shaped(kernel.CompareOp(predicate, a, b, self.vector_type(i1, shape)), shape)

    def constant(self, value: Attribute | None, element: Attribute) -> SSAValue:
        """A scalar constant."""
        if value is None:
            value = IntegerAttr(0, element) if isinstance(element, IntegerType) else FloatAttr(0.0, element)  # pyright: ignore
        return self.add(arith.ConstantOp(value)).results[0]  # pyright: ignore[reportArgumentType]

    def splat(self, value: SSAValue, shape: Shape) -> SSAValue:
        """A value (a constant, mostly) with the given vector axes."""
        owner = value.owner
        # A dense constant with inf or NaN does not survive printing and parsing, so those are broadcast.
        if (
            isinstance(owner, arith.ConstantOp)
            and shape
            and isinstance(owner.value, FloatAttr | IntegerAttr)
            and isfinite(owner.value.value.data)
        ):
            type_ = self.vector_type(value.type, shape)
            dense = DenseIntOrFPElementsAttr.from_list(type_, [owner.value.value.data])  # pyright: ignore
            op = arith.ConstantOp(dense)
            self.add(op)
            self.shared.shapes[op.result] = shape
            return op.result
        return self.broadcast(value, shape)

    def write(self, op: WriteOp, value: SSAValue) -> None:
        """Emits a kernel.write of an emitted value."""
        array = self.shared.arrays[op.array]
        binds = self.binds()
        exprs = [e.subst(binds) for e in op.index.data]
        shape = tuple(v.axis for v in self.vectors() if any(v.axis in e.names() for e in exprs))
        value = self.splat(value, shape)
        along = self.unit_dims(exprs, array.type, shape)
        if along is None:
            raise IrkitError(
                f"cannot vectorise the store of {op.value.type} along {', '.join(shape)}",
                op,
                hint="choose another axis in the schedule",
            )
        valid = self.valid(shape)
        stream = self.shared.stream and bool(shape) and valid is None
        self.add(loop.StoreOp(value, array, exprs, along=along, valid=valid, stream=stream))

    def update(self, op: WriteOp, value: SSAValue, operands: Sequence[SSAValue]) -> None:
        """Emits a write that combines with what is at its place; a place outside the array keeps what it has."""
        array = self.shared.arrays[op.array]
        type_ = array.type
        assert isinstance(type_, RefType) and op.combiner is not None
        binds = self.binds()
        exprs = [e.subst(binds) for e in op.index.data]
        looked_up = [any(n.startswith("_") for n in e.names()) for e in exprs]
        sizes = [size for size, computed in zip(type_.shape.data, looked_up, strict=True) if computed]
        known = self.ranges()
        empty = [size - 1 for size in sizes if size.bounds(known)[0] < 1]
        if any(size.value == 0 for size in sizes):
            return
        if empty:
            branch = loop.IfOp(empty)
            self.add(branch)
            self.levels.append(Level(branch.then.block))
        index: list[Dim] = []
        places: list[SSAValue] = []
        inside: SSAValue | None = None
        for expr, size, computed in zip(exprs, type_.shape.data, looked_up, strict=True):
            if not computed:
                index.append(expr)
                continue
            place = self.index_value(expr, operands)
            near = self._binary(arith.MinSIOp, place, self.index_value(size - 1, ()))
            near = self._binary(arith.MaxSIOp, near, self.index_value(ZERO, ()))
            here = self._compare("eq", place, near, ())
            inside = here if inside is None else self._binary(arith.AndIOp, inside, here)
            index.append(Dim.of(f"_{len(places)}"))
            places.append(near)
        shape = tuple(v.axis for v in self.vectors() if any(v.axis in e.names() for e in exprs))
        along = self.unit_dims(exprs, type_, shape)
        assert along is not None, "lanes run along an index of their own"
        valid = self.valid(shape)
        load = loop.LoadOp(
            array,
            index,
            shape=[self.size_of(a) for a in shape],
            along=along,
            valid=valid,
            indices=places,
        )
        old = self._widened(self._shaped(load, shape), type_.element_type)
        new = self._combined(op.combiner.data, old, self.splat(value, shape))
        if inside is not None:
            (mask, new, old), _ = self.align([inside, new, old])
            new = self._shaped(
                kernel.SelectOp(mask, new, old) if shape else arith.SelectOp(mask, new, old), shape
            )
        new = self._narrowed(new, type_.element_type)
        self.add(loop.StoreOp(new, array, index, along=along, valid=valid, indices=places))
        if empty:
            self.levels.pop()

    def _combined(self, combiner: str, old: SSAValue, new: SSAValue) -> SSAValue:
        """What an update leaves."""
        if combiner == "set":
            return new
        element = old.type.get_element_type() if isinstance(old.type, VectorType) else old.type
        float_op, integer_op = _COMBINERS[combiner]
        op = integer_op if isinstance(element, IntegerType) else float_op
        return self._shaped(op(old, new), self.shapes(old))  # pyright: ignore[reportCallIssue]

    def _widened(self, value: SSAValue, element: Attribute) -> SSAValue:
        """Elements of an array in the type that they are computed in."""
        wide = kernel.computed_type(element)
        if wide == element:
            return value
        shape = self.shapes(value)
        type_ = self.vector_type(wide, shape)
        return self._shaped(
            kernel.ConvertOp("extf", value, type_) if shape else arith.ExtFOp(value, wide),  # pyright: ignore
            shape,
        )

    def _narrowed(self, value: SSAValue, element: Attribute) -> SSAValue:
        """Computed values as elements of an array."""
        if kernel.computed_type(element) == element:
            return value
        shape = self.shapes(value)
        type_ = self.vector_type(element, shape)
        return self._shaped(
            kernel.ConvertOp("truncf", value, type_) if shape else arith.TruncFOp(value, element),  # pyright: ignore
            shape,
        )

    def valid(self, shape: Shape) -> list[Dim] | None:
        """How many lanes exist along each vector axis; None where all do."""
        known = {v.axis: v for v in self.vectors()}
        if all(known[a].valid is None for a in shape):
            return None
        return [known[a].valid or Dim.of(known[a].size) for a in shape]

    def _has_room(self, exprs: Sequence[Dim], array: Attribute, shape: Shape) -> bool:
        """Whether whole vectors lie in an array, those at the end of an axis too: what the lanes behind the end hold goes
        nowhere, unless a reduction runs over them. The range of a vector axis ends with the last point of its last vector;
        where that one starts is known if all of them start whole vectors from the first."""
        assert isinstance(array, RefType)
        if reduced_axes(self.shared.kernel) & set(shape):
            return False
        ranges = self.ranges()
        for level in self.levels:
            for vector in level.vectors:
                low, high = ranges.get(vector.axis, (0, inf))
                if vector.axis not in level.ranges or level.loop is None or not -inf < low <= high < inf:
                    continue
                ahead = level.loop.lower - int(low)
                if all(factor % vector.size == 0 for _, factor in ahead.terms):  # whole vectors from `low` on
                    ranges[vector.axis] = (low, low + (high - low) // vector.size * vector.size)
        past = {axis: Dim.of(axis) + self.size_of(axis) - 1 for axis in shape}
        return all(
            (size - 1 - expr.subst(past)).bounds(ranges)[0] >= 0
            for expr, size in zip(exprs, array.shape.data, strict=True)
            if expr.names() & set(shape)
        )

    def guard(self, exprs: Sequence[Dim], array: Attribute) -> list[Dim]:
        """The conditions (each at least zero) under which an access is inside its array and that cannot be proved."""
        assert isinstance(array, RefType)
        pairs = zip(exprs, array.shape.data, strict=True)
        return [c for expr, size in pairs for c in (expr, size - 1 - expr) if not self.holds(c)]

    def _holds_here(self, condition: Dim) -> bool:
        """Whether an expression over axes is known to be at least zero at the innermost point."""
        return self.holds(condition.subst(self.binds()))

    def holds(self, condition: Dim) -> bool:
        """Whether an expression is known to be at least zero at the innermost point."""
        return (
            any(condition in level.idle for level in self.levels) or condition.bounds(self.ranges())[0] >= 0
        )

    def unit_dims(self, exprs: Sequence[Dim], array: Attribute, shape: Shape) -> list[int] | None:
        """For each vector axis the array dim along which it steps by one; None where an index is not of that form."""
        out: list[int] = []
        for axis in shape:
            dims = [d for d, e in enumerate(exprs) if axis in e.names()]
            if len(dims) != 1 or exprs[dims[0]].coefficient(axis) != ONE:
                return None
            out.append(dims[0])
        return out if len(set(out)) == len(out) else None


_COMBINERS: dict[str, tuple[type[Operation], type[Operation]]] = {
    "add": (arith.AddfOp, arith.AddiOp),
    "mul": (arith.MulfOp, arith.MuliOp),
    "max": (arith.MaximumfOp, arith.MaxSIOp),
    "min": (arith.MinimumfOp, arith.MinSIOp),
    "umax": (arith.MaximumfOp, arith.MaxUIOp),
    "umin": (arith.MinimumfOp, arith.MinUIOp),
}
"""What combines an update with what is there: of floats, of integers."""


def without_idle_clamps(expr: Dim, holds: Callable[[Dim], bool]) -> Dim:
    """The expression with each min, max and mod replaced by its argument where the conditions for that hold."""
    for opaque in clamps(expr):
        found = idle_form(opaque)
        if found is not None and all(map(holds, found[1])):
            return without_idle_clamps(expr.replace_atom(opaque, found[0]), holds)
    return expr


def clamps(expr: Dim) -> list[Opaque]:
    """The min, max and mod nodes of an expression, outermost first."""
    out: list[Opaque] = []
    for monomial, _ in expr.terms:
        for atom in monomial:
            if isinstance(atom, Opaque):
                out += [atom] if atom.kind != "floordiv" else []
                out += [inner for a in atom.args for inner in clamps(a)]
    return out


def idle_form(opaque: Opaque) -> tuple[Dim, list[Dim]] | None:
    """What a min, max or mod is where it changes nothing, and the conditions (each at least zero) for that."""
    args: list[Dim] = []
    conditions: list[Dim] = []
    for arg in opaque.args:
        for inner in {a for m, _ in arg.terms for a in m if isinstance(a, Opaque) and a.kind != "floordiv"}:
            form = idle_form(inner)
            if form is None:
                return None
            arg = arg.replace_atom(inner, form[0])
            conditions += form[1]
        args.append(arg)
    if opaque.kind == "mod":
        return args[0], [*conditions, args[0], args[1] - 1 - args[0]]
    if opaque.kind in ("floordiv", "xor") or len(args) != 2:
        return None
    main, other = (args[0], args[1]) if _rises(args[0]) else (args[1], args[0])
    return main, [*conditions, main - other if opaque.kind == "max" else other - main]


def _rises(expr: Dim) -> bool:
    """Whether an expression holds a name with a positive factor (and so is the index, not a bound on it)."""
    return any(
        m and c > 0 and not all(isinstance(a, Opaque) and not _rises_atom(a) for a in m)
        for m, c in expr.terms
    )


def _rises_atom(atom: Opaque) -> bool:
    return any(_rises(a) for a in atom.args)


def _located(op: Operation) -> bool:
    return type(op.location).__name__ != "UnknownLoc"


def _no_overflow(op_type: type[Operation]) -> dict[str, Attribute]:
    """Properties that an integer op needs to be complete."""
    if op_type in (arith.AddiOp, arith.MuliOp, arith.SubiOp):
        return {"overflowFlags": arith.IntegerOverflowAttr("none")}
    return {}
