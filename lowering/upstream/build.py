"""One function under construction: where its next op goes, its constants, and the ops that most rules need."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from xdsl.dialects import arith, scf, vector
from xdsl.dialects.builtin import (
    DenseIntOrFPElementsAttr,
    FloatAttr,
    IndexType,
    IntegerAttr,
    IntegerType,
    LocationAttr,
    UnregisteredOp,
    VectorType,
)
from xdsl.ir import Attribute, Block, Operation, SSAValue

from dialects.types import element_of, is_float, shape_of
from lowering.upstream.types import shaped, value_type

INDEX = IndexType()


class Build:
    """Appends ops to a block. `names` are the symbols and loop variables in scope, `ranges` what they can be."""

    def __init__(self, entry: Block, location: LocationAttr):
        self.entry = entry
        self.block = entry
        self.location = location
        self.names: dict[str, SSAValue] = {}
        self.ranges: dict[str, tuple[float, float]] = {}
        self.constants: dict[tuple[str, Attribute], SSAValue] = {}
        self.last_constant: Operation | None = None
        self.known: list[dict[object, SSAValue]] = [{}]

    # -- ops ----------------------------------------------------------------------------------------------------

    def add(self, op: Operation) -> SSAValue:
        """Appends an op with a result, and gives the result."""
        self.do(op)
        return op.results[0]

    def do(self, op: Operation) -> None:
        """Appends an op."""
        op.location = self.location
        self.block.add_op(op)

    def other(
        self,
        name: str,
        operands: Sequence[SSAValue],
        result: Attribute,
        properties: Mapping[str, Attribute] | None = None,
    ) -> SSAValue:
        """An op that xDSL lacks, or whose class takes scalars only: it is printed in the generic form."""
        cls = UnregisteredOp.with_name(name)
        return self.add(
            cls.create(operands=list(operands), result_types=[result], properties=properties or {})
        )

    def effect(
        self, name: str, operands: Sequence[SSAValue], properties: Mapping[str, Attribute] | None = None
    ) -> None:
        """An op that xDSL lacks, and that has no result."""
        self.do(UnregisteredOp.with_name(name).create(operands=list(operands), properties=properties or {}))

    def once(self, key: object, make: Callable[[], SSAValue]) -> SSAValue:
        """What the key stands for, made where this block and those around it do not have it yet."""
        for scope in reversed(self.known):
            if key in scope:
                return scope[key]
        value = self.known[-1][key] = make()
        return value

    @contextmanager
    def inside(self, block: Block) -> Iterator[None]:
        """Appends to a block of a region; what is computed there is known there only."""
        outside, self.block = self.block, block
        self.known.append({})
        try:
            yield
        finally:
            self.known.pop()
            self.block = outside

    # -- constants ----------------------------------------------------------------------------------------------

    def number(self, value: float | int, type_: Attribute) -> SSAValue:
        """A constant, all lanes alike for a vector type; each is made once, at the head of the function."""
        value = float(value) if is_float(element_of(type_)) else int(value)
        key = (repr(value), type_)
        if key not in self.constants:
            self.constants[key] = self.head(arith.ConstantOp(_literal(value, type_)))  # pyright: ignore[reportArgumentType]
        return self.constants[key]

    def constant(self, op: arith.ConstantOp) -> SSAValue:
        """The value of an arith.constant of the level above."""
        value = op.value
        if isinstance(value, DenseIntOrFPElementsAttr):
            if not value.is_splat():
                return self.head(arith.ConstantOp(value, value_type(op.result.type)))
            return self.number(value.get_values()[0], value_type(op.result.type))  # pyright: ignore
        assert isinstance(value, FloatAttr | IntegerAttr)
        return self.number(value.value.data, value_type(op.result.type))

    def index(self, value: int) -> SSAValue:
        return self.number(value, INDEX)

    def steps(self, count: int, element: Attribute) -> SSAValue:
        """The vector 0, 1, 2, ..."""
        type_ = VectorType(element, [count])
        key = ("steps", type_)
        if key not in self.constants:
            value = DenseIntOrFPElementsAttr.from_list(type_, list(range(count)))  # pyright: ignore
            self.constants[key] = self.head(arith.ConstantOp(value))
        return self.constants[key]

    def head(self, op: Operation) -> SSAValue:
        """Puts an op after the constants at the head of the function, and gives its result."""
        op.location = self.location
        if self.last_constant is not None:
            self.entry.insert_op_after(op, self.last_constant)
        elif self.entry.first_op is not None:
            self.entry.insert_op_before(op, self.entry.first_op)
        else:
            self.entry.add_op(op)
        self.last_constant = op
        return op.results[0]

    # -- values -------------------------------------------------------------------------------------------------

    def cast(self, name: str, value: SSAValue, element: Attribute) -> SSAValue:
        """A cast of arith, `extsi` or another, of a scalar or lane by lane."""
        if element_of(value.type) == element:
            return value
        return self._scalar_or_other(name, [value], shaped(element, shape_of(value.type)))

    def compare(self, predicate: int, a: SSAValue, b: SSAValue) -> SSAValue:
        """arith.cmpi or arith.cmpf, by the number of its predicate."""
        name = "cmpf" if is_float(element_of(a.type)) else "cmpi"
        properties = {"predicate": IntegerAttr(predicate, 64)}
        return self._scalar_or_other(name, [a, b], shaped(IntegerType(1), shape_of(a.type)), properties)

    def select(self, condition: SSAValue, a: SSAValue, b: SSAValue) -> SSAValue:
        """arith.select; the condition is a scalar, or has a lane for each of the values."""
        return self._scalar_or_other("select", [condition, a, b], a.type)

    def _scalar_or_other(
        self,
        name: str,
        operands: Sequence[SSAValue],
        result: Attribute,
        properties: Mapping[str, Attribute] | None = None,
    ) -> SSAValue:
        cls = _SCALARS[name]
        if isinstance(operands[0].type, VectorType) and name not in ("extf", "truncf"):
            return self.other(f"arith.{name}", operands, result, properties)
        op = cls.create(operands=list(operands), result_types=[result], properties=properties or {})
        return self.add(op)

    def broadcast(self, value: SSAValue, shape: Sequence[int]) -> SSAValue:
        """A value as a vector of a shape whose last dims are its own."""
        if shape_of(value.type) == tuple(shape):
            return value
        type_ = VectorType(element_of(value.type), shape)
        return self.once((value, type_), lambda: self.add(vector.BroadcastOp(value, type_)))

    def reshape(self, value: SSAValue, shape: Sequence[int]) -> SSAValue:
        """A vector with the same lanes under another shape."""
        if shape_of(value.type) == tuple(shape):
            return value
        return self.other("vector.shape_cast", [value], VectorType(element_of(value.type), shape))

    # -- control ------------------------------------------------------------------------------------------------

    @contextmanager
    def loop(
        self, bounds: Sequence[SSAValue | int], inits: Sequence[SSAValue] = ()
    ) -> Iterator[tuple[scf.ForOp, Block]]:
        """An scf.for from, to and by the bounds, around the ops that are added; the caller adds its yield."""
        lower, upper, step = (self.index(b) if isinstance(b, int) else b for b in bounds)
        block = Block(arg_types=[INDEX, *(v.type for v in inits)])
        op = scf.ForOp(lower, upper, step, list(inits), block)
        self.do(op)
        with self.inside(block):
            yield op, block


_SCALARS: dict[str, type[Operation]] = {
    "cmpf": arith.CmpfOp,
    "cmpi": arith.CmpiOp,
    "select": arith.SelectOp,
    "sitofp": arith.SIToFPOp,
    "uitofp": arith.UIToFPOp,
    "fptosi": arith.FPToSIOp,
    "fptoui": arith.FPToUIOp,
    "extsi": arith.ExtSIOp,
    "extui": arith.ExtUIOp,
    "trunci": arith.TruncIOp,
    "extf": arith.ExtFOp,
    "truncf": arith.TruncFOp,
    "bitcast": arith.BitcastOp,
}


def _literal(value: float | int, type_: Attribute) -> Attribute:
    if isinstance(type_, VectorType):
        return DenseIntOrFPElementsAttr.from_list(type_, [value])  # pyright: ignore
    if is_float(type_):
        return FloatAttr(value, type_)  # pyright: ignore
    assert isinstance(type_, IntegerType | IndexType)
    return IntegerAttr(int(value), type_)
