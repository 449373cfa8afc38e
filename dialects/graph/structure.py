"""Ops with regions: index notation and loops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, StringAttr, TensorType, UnitAttr, i64
from xdsl.ir import Attribute, Block, Data, Operation, Region, SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    IRDLOperation,
    irdl_attr_definition,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    prop_def,
    region_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.parser import AttrParser, Parser, UnresolvedOperand
from xdsl.printer import Printer
from xdsl.traits import IsTerminator, Pure
from xdsl.utils.exceptions import VerifyException

from dialects.dims import Atom, Dim, DimAttr, DimsAttr, dims_text, parse_dim, parse_dims
from dialects.graph.base import Mismatch
from dialects.graph.ranges import Ranges, symbol_ranges
from dialects.syntax import AxesAttr, axes_text, parse_axes
from dialects.types import AnyTensor, Coded, dims_of, is_integer, storage, tensor, type_text

BOUNDARIES = ("none", "zero", "clamp", "wrap", "reflect", "value")
COMBINERS = ("sum", "prod", "max", "min")

# -- accesses -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Access:
    """One read in index notation: which operand, at which index, and what lies outside.

    Index expressions are over axes and the function's symbols; `_1` is the value that access 1 reads. boundary is none
    (the access stays inside), zero, clamp (the nearest element), wrap (modulo the size), reflect (mirrored at the edge
    elements: -1 is 1), or value (`value` outside).
    """

    operand: int
    index: tuple[Dim, ...]
    boundary: str = "none"
    value: float = 0.0

    def boundary_text(self) -> str:
        """` clamp`, ` value 0.5`, or nothing."""
        if self.boundary != "value":
            return "" if self.boundary == "none" else f" {self.boundary}"
        return f" value {self.value!r}" if isfinite(self.value) else f' value "{self.value!r}"'


def _parse_boundary(parser: AttrParser) -> tuple[str, float]:
    boundary = parser.parse_optional_identifier() or "none"
    if boundary not in BOUNDARIES:
        parser.raise_error(f"unknown boundary '{boundary}': expected one of {', '.join(BOUNDARIES)}")
    if boundary != "value":
        return boundary, 0.0
    text = parser.parse_optional_str_literal()
    return boundary, float(parser.parse_number() if text is None else text)


@irdl_attr_definition
class AccessAttr(Data[Access]):
    """`#graph.access<0[i - 1, j] clamp>`"""

    name = "graph.access"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> Access:
        with parser.in_angle_brackets():
            return Access(parser.parse_integer(), parse_dims(parser), *_parse_boundary(parser))

    def print_parameter(self, printer: Printer) -> None:
        a = self.data
        printer.print_string(f"<{a.operand}{dims_text(a.index)}{a.boundary_text()}>")


def dim_names(attr: Attribute) -> frozenset[str]:
    """The names in the dim expressions of an attribute, axes among them."""
    dims: Sequence[Dim] = ()
    if isinstance(attr, DimAttr):
        dims = (attr.data,)
    elif isinstance(attr, DimsAttr):
        dims = attr.data
    elif isinstance(attr, AccessAttr):
        dims = attr.data.index
    elif isinstance(attr, AxesAttr):
        dims = [size for _, size in attr.data]
    elif isinstance(attr, ArrayAttr):
        return frozenset().union(*map(dim_names, attr.data))
    elif isinstance(attr, DictionaryAttr):
        return frozenset().union(*map(dim_names, attr.data.values()))
    return frozenset().union(*(d.names() for d in dims))


def stays_inside(index: Dim, size: Dim, axes: Sequence[tuple[str, Dim]], symbols: Ranges) -> bool:
    """Whether 0 <= index < size holds for all values of the axes and symbols, as far as intervals show it."""
    extents = dict(axes)
    if any(extent.bounds(symbols)[1] <= 0 for extent in extents.values()):
        return True  # there is no point at all
    return _least(index, extents, symbols) >= 0 and _least(size - 1 - index, extents, symbols) >= 0


def _least(expr: Dim, extents: Mapping[str, Dim], symbols: Ranges) -> float:
    """A lower bound: each axis along which the expression only grows or only falls is put at the end of its range."""
    ranges = {**symbols, **{name: (0, extent.bounds(symbols)[1] - 1) for name, extent in extents.items()}}
    for name, extent in extents.items():
        if (direction := _direction(expr, name, ranges)) is not None:
            expr = expr.subst({name: 0 if direction >= 0 else extent - 1})
    return expr.bounds(ranges)[0]


def _direction(expr: Dim, name: str, ranges: Ranges) -> int | None:
    """1 where the expression does not fall as a name grows, -1 where it does not grow, 0 without it, None if unknown."""
    if name not in expr.names():
        return 0
    if (slope := expr.coefficient(name)) is not None:
        return _sign(slope, ranges)
    found: set[int | None] = set()
    for monomial, factor in expr.terms:
        moving = [a for a in monomial if name in Dim((((a,), 1),)).names()]
        if moving:
            rest = Dim(((tuple(a for a in monomial if a not in moving), factor),))
            sign = _sign(rest, ranges)
            step = _atom_direction(moving[0], name, ranges) if len(moving) == 1 else None
            found.add(None if sign is None or step is None else sign * step)
    return found.pop() if len(found) == 1 else None


def _atom_direction(atom: Atom, name: str, ranges: Ranges) -> int | None:
    if isinstance(atom, str):
        return 1
    first, *rest = atom.args
    if atom.kind == "floordiv":
        return (
            _direction(first, name, ranges)
            if name not in rest[0].names() and _sign(rest[0], ranges) == 1
            else None
        )
    if atom.kind in ("mod", "xor"):
        return None
    found = {_direction(a, name, ranges) for a in atom.args} - {0}
    return found.pop() if len(found) == 1 else None


def _sign(expr: Dim, ranges: Ranges) -> int | None:
    low, high = expr.bounds(ranges)
    return 1 if low >= 0 else -1 if high <= 0 else None


@irdl_op_definition
class YieldOp(IRDLOperation):
    """Ends a region with its values: `graph.yield %a : f32`."""

    name = "graph.yield"

    values = var_operand_def()

    traits = traits_def(IsTerminator())
    assembly_format = "attr-dict ($values^ `:` type($values))?"

    def __init__(self, *values: SSAValue | Sequence[SSAValue]):
        flat = [v for part in values for v in ((part,) if isinstance(part, SSAValue) else part)]
        super().__init__(operands=[flat])


def copied(block: Block, values: dict[SSAValue, SSAValue]) -> tuple[list[Operation], list[SSAValue]]:
    """Copies of the ops of a body, with other values for some, and the values that they end with."""
    last = block.last_op
    assert isinstance(last, YieldOp)
    ops = [op.clone(values) for op in block.ops if op is not last]
    return ops, [values.get(v, v) for v in last.operands]


# -- index notation -----------------------------------------------------------------------------------------------


@irdl_op_definition
class IndexOp(IRDLOperation):
    """Index notation: each point of the result combines a scalar body over the reduced axes.

        // y[i, f] = sum(j) a[i, j] * x[j, f]
        %y = graph.index axes [i: 512, f: 16] reduce sum [j: 512] reads (%a[i, j], %x[j, f])
            : (tensor<512x512xf32>, tensor<512x16xf32>) -> tensor<512x16xf32> {
        ^bb0(%0: f32, %1: f32, %i: i64, %f: i64, %j: i64):
          %2 = arith.mulf %0, %1 : f32
          graph.yield %2 : f32
        }

    Body arguments are the reads in order, then the index of each axis (out, then reduced) as i64. Integers are signless
    in the body: its ops are signed or unsigned. `reduce` combines by sum, prod, max or min (signed or unsigned as the
    result's dtype says). What lies outside an operand needs a boundary: `%u[i - 1, j] clamp`, `%u[i - 1] value 0.5`.
    """

    name = "graph.index"

    inputs = var_operand_def()
    axes = prop_def(AxesAttr)
    reduced = prop_def(AxesAttr)
    combiner = opt_prop_def(StringAttr)
    reads = prop_def(ArrayAttr[AccessAttr])
    outputs = var_result_def()
    body = region_def("single_block")

    traits = traits_def(Pure())

    def __init__(
        self,
        inputs: Sequence[SSAValue],
        axes: Sequence[tuple[str, Dim]],
        reads: Sequence[Access],
        element: Attribute,
        body: Region,
        combiner: str | None = None,
        reduced: Sequence[tuple[str, Dim]] = (),
    ):
        properties: dict[str, Attribute] = {
            "axes": AxesAttr(tuple(axes)),
            "reduced": AxesAttr(tuple(reduced)),
            "reads": ArrayAttr([AccessAttr(a) for a in reads]),
        }
        if combiner is not None:
            properties["combiner"] = StringAttr(combiner)
        super().__init__(
            operands=[list(inputs)],
            properties=properties,
            result_types=[[tensor(element, [n for _, n in axes])]],
            regions=[body],
        )

    def accesses(self) -> list[Access]:
        """The reads."""
        return [a.data for a in self.reads]

    def extents(self) -> tuple[tuple[str, Dim], ...]:
        """All axes with their sizes, those of the result first."""
        return (*self.axes.data, *self.reduced.data)

    # Written out, since an access names its operand beside its index.

    @classmethod
    def parse(cls, parser: Parser) -> IndexOp:
        parser.parse_keyword("axes")
        axes = parse_axes(parser)
        combiner, reduced = None, ()
        if parser.parse_optional_keyword("reduce") is not None:
            combiner = parser.parse_identifier("sum, prod, max or min")
            reduced = parse_axes(parser)
        names: dict[tuple[str, int], UnresolvedOperand] = {}

        def access() -> Access:
            operand = parser.parse_unresolved_operand()
            names.setdefault((operand.operand_name, operand.index), operand)
            number = list(names).index((operand.operand_name, operand.index))
            return Access(number, parse_dims(parser), *_parse_boundary(parser))

        parser.parse_keyword("reads")
        reads = parser.parse_comma_separated_list(parser.Delimiter.PAREN, access)
        attributes = parser.parse_optional_attr_dict_with_keyword()
        parser.parse_punctuation(":")
        position = parser.pos
        types = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_type)
        parser.parse_punctuation("->")
        result = parser.parse_type()
        if not isinstance(result, TensorType):
            parser.raise_error(f"graph.index gives a tensor, found {result}")
        inputs = parser.resolve_operands(list(names.values()), types, position)
        op = cls(inputs, axes, reads, result.element_type, parser.parse_region(), combiner, reduced)
        op.attributes.update(attributes.data if attributes else {})
        if op.results[0].type != result:
            parser.raise_error(
                f"graph.index over {axes_text(axes)} gives {op.results[0].type}, found {result}"
            )
        return op

    def print(self, printer: Printer) -> None:
        printer.print_string(f" axes {axes_text(self.axes.data)}")
        if self.combiner is not None:
            printer.print_string(f" reduce {self.combiner.data} {axes_text(self.reduced.data)}")
        printer.print_string(" reads (")
        used: dict[SSAValue, None] = {}
        for number, access in enumerate(self.accesses()):
            value = self.operands[access.operand]
            used.setdefault(value)
            printer.print_string(", " if number else "")
            printer.print_ssa_value(value)
            printer.print_string(dims_text(access.index) + access.boundary_text())
        printer.print_string(")")
        printer.print_op_attributes(self.attributes, print_keyword=True)
        printer.print_string(" : (")
        printer.print_list([v.type for v in used], printer.print_attribute)
        printer.print_string(") -> ")
        printer.print_attribute(self.results[0].type)
        printer.print_string(" ")
        printer.print_region(self.body)

    def verify_(self) -> None:
        extents = self.extents()
        names = [name for name, _ in extents]
        if len(set(names)) != len(names):
            raise VerifyException(f"axes of graph.index are not distinct: {', '.join(names)}")
        if (self.combiner.data if self.combiner else None) not in (
            COMBINERS if self.reduced.data else (None,)
        ):
            raise VerifyException(f"reduced axes need a combiner, one of {', '.join(COMBINERS)}")
        if [v.type for v in self.results] != [self._result_type()]:
            raise VerifyException(f"graph.index gives {self._result_type()}")
        symbols = symbol_ranges(self)
        unread = set(range(len(self.operands))) - {a.operand for a in self.accesses()}
        if unread:
            raise VerifyException(f"operand {min(unread)} of graph.index is not read")
        for number in range(len(self.reads)):
            self._verify_access(number, symbols)
        self._verify_body()

    def _result_type(self) -> AnyTensor:
        (result,) = (v.type for v in self.results)
        if not isinstance(result, TensorType):
            raise VerifyException(f"graph.index gives a tensor, found {result}")
        return tensor(result.element_type, [size for _, size in self.axes.data])

    def _verify_access(self, number: int, symbols: Ranges) -> None:
        access = self.reads.data[number].data
        if not 0 <= access.operand < len(self.operands):
            raise VerifyException(f"access {number} reads operand {access.operand} of {len(self.operands)}")
        type_ = self.operands[access.operand].type
        if not isinstance(type_, TensorType):
            raise VerifyException(f"graph.index takes tensors, found {type_}")
        if isinstance(type_.element_type, Coded):
            raise Mismatch(
                "graph.index does not read quantised elements",
                found=type_text(type_),
                hint="dequantise the tensor: cast(x, f32)",
            )
        sizes, extents = dims_of(type_), self.extents()
        if len(sizes) != len(access.index):
            message = f"access {number} has {len(access.index)} indices"
            raise Mismatch(message, found=type_text(type_), expected=f"{len(sizes)}, one for each dim")
        known = {name for name, _ in extents} | symbols.keys()
        for expr, size in zip(access.index, sizes, strict=True):
            read = {n for n in expr.names() if n.startswith("_")}
            if any(not n[1:].isdigit() or int(n[1:]) >= number for n in read):
                raise VerifyException(
                    f"index {expr} of access {number} names a read that does not come before it"
                )
            if unknown := expr.names() - known - read - size.names():
                message = f"index {expr} names {', '.join(sorted(unknown))}"
                raise Mismatch(message, expected="axes of graph.index and symbols of the function")
            if read:  # clamped
                continue
            if access.boundary == "reflect" and not stays_inside(
                expr + (size - 1), 3 * size - 2, extents, symbols
            ):
                message = f"index {expr} may be reflected twice in a dim of size {size}"
                raise Mismatch(
                    message, found=f"axes {axes_text(extents)}", expected=f"{1 - size} to {2 * size - 2}"
                )
            if access.boundary == "none" and not stays_inside(expr, size, extents, symbols):
                raise Mismatch(
                    f"index {expr} may leave a dim of size {size}",
                    found=f"axes {axes_text(extents)}",
                    expected="an index that stays inside, or a boundary",
                    hint="state a boundary: zero, clamp, wrap, reflect or value",
                )

    def _verify_body(self) -> None:
        elements = [self.operands[a.operand].type.element_type for a in self.accesses()]  # pyright: ignore
        expected = [*map(storage, elements), *[i64] * len(self.extents())]
        if [a.type for a in self.body.block.args] != expected:
            raise VerifyException(
                "the body of graph.index takes the reads, then the index of each axis as i64"
            )
        last, wanted = self.body.block.last_op, storage(self.results[0].type.element_type)  # pyright: ignore
        if not isinstance(last, YieldOp) or [v.type for v in last.operands] != [wanted]:
            raise VerifyException(f"the body of graph.index ends with graph.yield of {wanted}")


# -- loops --------------------------------------------------------------------------------------------------------


@irdl_op_definition
class ForOp(IRDLOperation):
    """A counted loop that carries tensors.

        %r = graph.for 0 to 100 (%u) : (tensor<8xf32>) {
        ^bb0(%t: tensor<si64>, %c: tensor<8xf32>):
          ...
          graph.yield %n : tensor<8xf32>
        }
        %r = graph.for 0 to %steps : tensor<si32> (%u) : (tensor<8xf32>) { ... }

    Bounds are dims, or integer tensors of rank 0 (the property is absent then). The step is 1; an upper bound that is
    not above the lower one means no iteration. The body may use values from around the loop.

    With `while` the loop ends early: before each iteration the first carried value, a bool of rank 0, has to be true.

        %go, %r = graph.for 0 to 100 while (%first, %u) : (tensor<i1>, tensor<8xf32>) { ... }
    """

    name = "graph.for"

    lower = opt_prop_def(DimAttr)
    upper = opt_prop_def(DimAttr)
    conditional = opt_prop_def(UnitAttr)
    lower_value = opt_operand_def()
    upper_value = opt_operand_def()
    inits = var_operand_def()
    outputs = var_result_def()
    body = region_def("single_block")

    irdl_options = (AttrSizedOperandSegments(as_property=True),)
    traits = traits_def(Pure())

    def __init__(
        self,
        lower: Dim | SSAValue,
        upper: Dim | SSAValue,
        inits: Sequence[SSAValue],
        body: Region | None = None,
        conditional: bool = False,
    ):
        types = [v.type for v in inits]
        bounds = {"lower": lower, "upper": upper}
        super().__init__(
            operands=[[b] if isinstance(b, SSAValue) else [] for b in bounds.values()] + [list(inits)],
            properties={name: DimAttr(b) for name, b in bounds.items() if isinstance(b, Dim)}
            | ({"conditional": UnitAttr()} if conditional else {}),
            result_types=[types],
            regions=[body or Region(Block(arg_types=[tensor("i64", []), *types]))],
        )

    @property
    def block(self) -> Block:
        return self.body.block

    def bounds(self) -> tuple[Dim | SSAValue, Dim | SSAValue]:
        """The lower and the upper bound."""
        out: list[Dim | SSAValue] = []
        for attr, value in ((self.lower, self.lower_value), (self.upper, self.upper_value)):
            bound = attr.data if attr is not None else value
            assert bound is not None
            out.append(bound)
        return out[0], out[1]

    # Written out, since a bound is a dim expression or an operand.

    @classmethod
    def parse(cls, parser: Parser) -> ForOp:
        def bound() -> Dim | SSAValue:
            name = parser.parse_optional_unresolved_operand()
            if name is None:
                return parse_dim(parser)
            parser.parse_punctuation(":")
            return parser.resolve_operand(name, parser.parse_type())

        lower = bound()
        parser.parse_keyword("to")
        upper = bound()
        conditional = parser.parse_optional_keyword("while") is not None
        operands = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_unresolved_operand)
        attributes = parser.parse_optional_attr_dict_with_keyword()
        parser.parse_punctuation(":")
        position = parser.pos
        types = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_type)
        inits = parser.resolve_operands(operands, types, position)
        op = cls(lower, upper, inits, parser.parse_region(), conditional)
        op.attributes.update(attributes.data if attributes else {})
        return op

    def print(self, printer: Printer) -> None:
        for word, bound in zip((" ", " to "), self.bounds(), strict=True):
            printer.print_string(word)
            if isinstance(bound, Dim):
                printer.print_string(str(bound))
            else:
                printer.print_ssa_value(bound)
                printer.print_string(" : ")
                printer.print_attribute(bound.type)
        printer.print_string(" while (" if self.conditional is not None else " (")
        printer.print_list(self.inits, printer.print_ssa_value)
        printer.print_string(")")
        printer.print_op_attributes(self.attributes, print_keyword=True)
        printer.print_string(" : (")
        printer.print_list([v.type for v in self.inits], printer.print_attribute)
        printer.print_string(") ")
        printer.print_region(self.body)

    def verify_(self) -> None:
        for name, attr, value in (
            ("lower", self.lower, self.lower_value),
            ("upper", self.upper, self.upper_value),
        ):
            if (attr is None) == (value is None):
                raise VerifyException(f"the {name} bound of graph.for is a dim or an operand")
            if value is not None and not _is_count(value.type):
                raise Mismatch(
                    f"the {name} bound of graph.for has another type",
                    found=str(value.type),
                    expected="an integer tensor of rank 0",
                )
        types = [v.type for v in self.inits]
        if self.conditional is not None and types[:1] != [tensor("bool", [])]:
            raise Mismatch(
                "the first value of a loop with a condition tells whether to go on",
                found=str(types[0]) if types else "no value",
                expected="a bool tensor of rank 0",
            )
        if [a.type for a in self.block.args] != [tensor("i64", []), *types]:
            raise VerifyException(
                "the body of graph.for takes the loop index as tensor<si64>, then the carried values"
            )
        last = self.block.last_op
        if not isinstance(last, YieldOp) or [v.type for v in last.operands] != types:
            raise VerifyException("graph.for yields values of the carried types")
        if [v.type for v in self.results] != types:
            raise VerifyException("graph.for gives values of the carried types")


@irdl_op_definition
class IfOp(IRDLOperation):
    """A choice between two ways on from the same values.

        %r = graph.if %c (%u) : (tensor<8xf32>) {
        ^bb0(%a: tensor<8xf32>):
          ...
          graph.yield %n : tensor<8xf32>
        } else {
        ^bb0(%a: tensor<8xf32>):
          graph.yield %a : tensor<8xf32>
        }

    The condition is a bool of rank 0. The bodies may use values from around; they give values of the types of the inits.
    """

    name = "graph.if"

    condition = operand_def()
    inits = var_operand_def()
    outputs = var_result_def()
    then = region_def("single_block")
    otherwise = region_def("single_block")

    traits = traits_def(Pure())

    def __init__(self, condition: SSAValue, inits: Sequence[SSAValue], then: Region, otherwise: Region):
        super().__init__(
            operands=[condition, list(inits)],
            result_types=[[v.type for v in inits]],
            regions=[then, otherwise],
        )

    @classmethod
    def parse(cls, parser: Parser) -> IfOp:
        condition = parser.resolve_operand(parser.parse_unresolved_operand(), tensor("bool", []))
        operands = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_unresolved_operand)
        attributes = parser.parse_optional_attr_dict_with_keyword()
        parser.parse_punctuation(":")
        position = parser.pos
        types = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_type)
        inits = parser.resolve_operands(operands, types, position)
        then = parser.parse_region()
        parser.parse_keyword("else")
        op = cls(condition, inits, then, parser.parse_region())
        op.attributes.update(attributes.data if attributes else {})
        return op

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_ssa_value(self.condition)
        printer.print_string(" (")
        printer.print_list(self.inits, printer.print_ssa_value)
        printer.print_string(")")
        printer.print_op_attributes(self.attributes, print_keyword=True)
        printer.print_string(" : (")
        printer.print_list([v.type for v in self.inits], printer.print_attribute)
        printer.print_string(") ")
        printer.print_region(self.then)
        printer.print_string(" else ")
        printer.print_region(self.otherwise)

    def verify_(self) -> None:
        if self.condition.type != tensor("bool", []):
            raise Mismatch(
                "the condition of graph.if has another type",
                found=str(self.condition.type),
                expected="a bool tensor of rank 0",
            )
        types = [v.type for v in self.inits]
        for region in (self.then, self.otherwise):
            last = region.block.last_op
            if [a.type for a in region.block.args] != types:
                raise VerifyException("a body of graph.if takes values of the types of the inits")
            if not isinstance(last, YieldOp) or [v.type for v in last.operands] != types:
                raise VerifyException("a body of graph.if yields values of the types of the inits")
        if [v.type for v in self.results] != types:
            raise VerifyException("graph.if gives values of the types of the inits")


def _is_count(type_: Attribute) -> bool:
    return isinstance(type_, TensorType) and type_.get_num_dims() == 0 and is_integer(type_.element_type)
