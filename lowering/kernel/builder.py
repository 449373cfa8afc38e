"""Builds the body of a kernel in axes form: tensors become fields that can be read at any index."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from xdsl.dialects import arith
from xdsl.dialects.builtin import FloatAttr, IntegerAttr, IntegerType, f32, i1, i64
from xdsl.ir import Attribute, Block, BlockArgument, Operation, Region, SSAValue

from dialects.dims import Atom, Dim, Opaque, dmax, dmin
from dialects.kernel import DefOp, IndexOp, IntegerOp, ReadOp, ReduceOp, ScanOp, YieldOp, computed_type
from dialects.types import DTYPES, RefType, dims_of, storage

Index = tuple[Dim, ...]

BINARY = {"min": arith.MinSIOp, "max": arith.MaxSIOp, "xor": arith.XOrIOp}
"""Atoms of dim expressions that are an op of arith."""

SIGNED_GE = 5
"""arith's number for signed "greater or equal"."""


def compute_type(element: Attribute) -> Attribute:
    """The type in which a kernel computes: small floats in f32, integers signless, all else as it is."""
    return computed_type(storage(element))


@dataclass
class Builder:
    """One kernel under construction."""

    source: DefOp
    block: Block
    rules: dict[type[Operation], Callable[[Builder, Operation, Index], SSAValue]]

    def __post_init__(self) -> None:
        self.axes: dict[str, Dim] = {}
        self.fields: dict[tuple[SSAValue, Index], SSAValue] = {}
        self.reads: dict[tuple[object, ...], SSAValue] = {}
        self.constants: dict[tuple[object, Attribute], SSAValue] = {}
        self.arrays: dict[SSAValue, SSAValue] = {}
        self.current: Operation | None = None
        self.symbols = {n for n, _, _ in self.source.symbols.data}
        self.gathered: dict[str, SSAValue] = {}
        self.shared: dict[tuple[Index, int], list[Dim]] = {}

    # -- axes -------------------------------------------------------------------------------------------------

    def axis(self, name: str, extent: Dim) -> Dim:
        """Declares an axis; its name gets a number where it is taken."""
        candidate, count = name, 0
        while candidate in self.axes or candidate in self.symbols:
            count += 1
            candidate = f"{name}{count}"
        self.axes[candidate] = extent
        return Dim.of(candidate)

    def reduced_axis(self, shape: Sequence[Dim], dim: int, index: Index) -> Dim:
        """An axis to reduce a dim of a tensor over, at an index. Reductions of the same dim of the same shape share one,
        so that they can become one; not one inside the other, where the index names it already."""
        axes = self.shared.setdefault((tuple(shape), dim), [])
        used = frozenset().union(*(expr.names() for expr in index)) if index else frozenset()
        for axis in axes:
            if axis.names().isdisjoint(used):
                return axis
        axes.append(self.axis("k", shape[dim]))
        return axes[-1]

    # -- fields -----------------------------------------------------------------------------------------------

    def at(self, value: SSAValue, index: Sequence[Dim]) -> SSAValue:
        """The field of a tensor at an index, in its compute type."""
        key = (value, tuple(index))
        if key not in self.fields:
            if isinstance(value, BlockArgument):
                self.fields[key] = self.read(value, index)
            else:
                op = value.owner
                assert isinstance(op, Operation)
                outer, self.current = self.current, op
                self.fields[key] = self.rules[type(op)](self, op, tuple(index))
                self.current = outer
        return self.fields[key]

    def place(self, field: SSAValue) -> Dim:
        """An integer field as a name that index expressions may use."""
        name = f"_{len(self.gathered)}"
        self.gathered[name] = field
        return Dim.of(name)

    def read(self, value: SSAValue, index: Sequence[Dim], otherwise: float | None = None) -> SSAValue:
        """The field of a tensor at an index; outside it the value is `otherwise`, where given."""
        if value not in self.arrays:
            return self.at(value, index) if otherwise is None else self._guarded(value, index, otherwise)
        array = self.arrays[value]
        key = (array, tuple(index), otherwise)
        if key in self.reads:
            return self.reads[key]
        type_ = array.type
        assert isinstance(type_, RefType)
        element = type_.element_type
        attr = None if otherwise is None else self.number(otherwise, element)
        used = [name for name in self.gathered if any(name in expr.names() for expr in index)]
        names = {name: Dim.of(f"_{i}") for i, name in enumerate(used)}
        op = ReadOp(array, [e.subst(names) for e in index], [self.gathered[name] for name in used], attr)
        result = self.add(op)
        if compute_type(element) != element:
            result = self.add(arith.ExtFOp(result, f32))
        self.reads[key] = result
        return result

    def _guarded(self, value: SSAValue, index: Sequence[Dim], otherwise: float) -> SSAValue:
        """A tensor that this kernel computes, at an index that may lie outside: computed at the nearest point inside."""
        sizes = self.shape(value)
        wide = compute_type(self.element(value))
        fill = self.constant(otherwise, wide)
        if any(size.value == 0 for size in sizes):
            return fill
        ranges = {name: (0.0, extent.bounds({})[1] - 1) for name, extent in self.axes.items()}
        inside: SSAValue | None = None
        nearest: list[Dim] = []
        for expr, size in zip(index, sizes, strict=True):
            for room in (expr, size - 1 - expr):
                if room.bounds(ranges)[0] < 0:
                    holds = self.compare(SIGNED_GE, self.index(room), self.constant(0, i64))
                    inside = holds if inside is None else self.binary(arith.AndIOp, inside, holds)
            nearest.append(dmax(0, dmin(expr, size - 1)))
        if inside is None:
            return self.at(value, index)
        return self.add(arith.SelectOp(inside, self.at(value, nearest), fill))

    def stored(self, value: SSAValue) -> bool:
        """Whether a tensor is an argument of the kernel."""
        return value in self.arrays

    def shape(self, value: SSAValue) -> tuple[Dim, ...]:
        return dims_of(value.type)

    def element(self, value: SSAValue) -> Attribute:
        """The graph element type of a tensor."""
        return value.type.element_type  # pyright: ignore

    # -- ops --------------------------------------------------------------------------------------------------

    def add(self, op: Operation) -> SSAValue:
        """Appends a scalar op, located where the graph op is that it comes from."""
        if self.current is not None:
            op.location = self.current.location
        self.block.add_op(op)
        return op.results[0]

    def finish(self, values: Sequence[SSAValue]) -> None:
        """Ends a region."""
        last = YieldOp(*values)
        if self.current is not None:
            last.location = self.current.location
        self.block.add_op(last)

    @staticmethod
    def number(value: float | int, element: Attribute) -> Attribute:
        """A scalar attribute."""
        if isinstance(element, IntegerType):
            return IntegerAttr(int(value), element)
        if (
            element == DTYPES["f8e8m0"] and value <= 0
        ):  # which has neither, and FloatAttr would take the least
            value = float("nan")
        return FloatAttr(float(value), element)  # pyright: ignore

    def constant(self, value: float | int, element: Attribute) -> SSAValue:
        """A scalar constant; each is made once."""
        key = (repr(value), element)
        if key not in self.constants:
            self.constants[key] = self.add(arith.ConstantOp(self.number(value, element)))  # pyright: ignore
        return self.constants[key]

    def index(self, expr: Dim) -> SSAValue:
        """The value of an index expression, as i64."""
        if expr.names().isdisjoint(self.gathered):
            return self.add(IndexOp(expr))
        total: SSAValue | None = None
        for monomial, factor in expr.terms:
            term = self.add(IndexOp(Dim.of(factor)))
            for atom in monomial:
                term = self.binary(arith.MuliOp, term, self._atom(atom))
            total = term if total is None else self.binary(arith.AddiOp, total, term)
        assert total is not None
        return total

    def _atom(self, atom: Atom) -> SSAValue:
        if isinstance(atom, Opaque):
            first, *rest = [self.index(arg) for arg in atom.args]
            for other in rest:
                if atom.kind in BINARY:
                    first = self.binary(BINARY[atom.kind], first, other)
                else:
                    first = self.add(IntegerOp(atom.kind, first, other))
            return first
        field = self.gathered.get(atom)
        if field is None:
            return self.add(IndexOp(Dim.of(atom)))
        return field if field.type == i64 else self.add(arith.ExtSIOp(field, i64))

    def binary(self, op: type[Operation], a: SSAValue, b: SSAValue) -> SSAValue:
        """A binary arith op."""
        return self.add(op(a, b))  # pyright: ignore[reportCallIssue]

    def compare(self, predicate: int, a: SSAValue, b: SSAValue) -> SSAValue:
        """An integer or float comparison by predicate number."""
        kind = arith.CmpiOp if isinstance(a.type, IntegerType) else arith.CmpfOp
        properties: dict[str, Attribute] = {"predicate": IntegerAttr(predicate, 64)}
        if kind is arith.CmpfOp:
            properties["fastmath"] = arith.FastMathFlagsAttr("none")
        return self.add(kind.create(operands=[a, b], result_types=[i1], properties=properties))

    def reduce(
        self,
        over: Sequence[Dim],
        inputs: Sequence[SSAValue],
        init: Sequence[float | int],
        types: Sequence[Attribute],
        step: Callable[[Builder, list[SSAValue], list[SSAValue]], list[SSAValue]],
        combine: Callable[[Builder, list[SSAValue], list[SSAValue]], list[SSAValue]],
        finish: Callable[[Builder, list[SSAValue]], list[SSAValue]] | None = None,
    ) -> list[SSAValue]:
        """A reduction with a tuple state; the callbacks build the regions."""
        elements = [v.type for v in inputs]
        n = len(types)

        def region(args: Sequence[Attribute], fill: Callable[[list[SSAValue]], list[SSAValue]]) -> Region:
            block = Block(arg_types=args)
            outer, self.block, constants, self.constants = self.block, block, self.constants, {}
            yields = fill(list(block.args))
            self.finish(yields)
            self.block, self.constants = outer, constants
            return Region(block)

        regions = [
            region(
                [],
                lambda _: [self.constant(v, t) for v, t in zip(init, types, strict=True)],
            ),  # pyright: ignore
            region([*types, *elements], lambda a: step(self, a[:n], a[n:])),
            region([*types, *types], lambda a: combine(self, a[:n], a[n:])),
        ]
        finished: list[Attribute] = []

        def last(args: list[SSAValue]) -> list[SSAValue]:
            out = finish(self, args) if finish is not None else args
            finished.extend(v.type for v in out)
            return out

        regions.append(region(list(types), last))
        op = ReduceOp([str(a) for a in over], inputs, finished, regions)
        self.add(op)
        return list(op.results)

    def scan(
        self,
        along: Dim,
        value: SSAValue,
        init: float | int,
        step: type[Operation],
        exclusive: bool,
    ) -> SSAValue:
        """The running combination of a field along an axis."""
        regions: list[Region] = []
        for args in ([], [value.type, value.type]):
            block = Block(arg_types=args)
            outer, self.block, constants, self.constants = self.block, block, self.constants, {}
            self.finish([self.binary(step, *block.args) if args else self.constant(init, value.type)])
            self.block, self.constants = outer, constants
            regions.append(Region(block))
        first, rest = regions
        return self.add(ScanOp(str(along), [value], [value.type], first, rest, exclusive))


Rule = Callable[[Builder, Operation, Index], SSAValue]
