"""Ops with regions: index notation and loops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xdsl.dialects.builtin import ArrayAttr, StringAttr, i64
from xdsl.ir import Attribute, Block, Data, Region, SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    IRDLOperation,
    irdl_attr_definition,
    irdl_op_definition,
    opt_operand_def,
    opt_prop_def,
    prop_def,
    region_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.parser import AttrParser, Parser
from xdsl.printer import Printer
from xdsl.traits import IsTerminator, Pure
from xdsl.utils.exceptions import VerifyException

from dialects.dims import Dim, DimAttr, dims_text, parse_dim, parse_dims
from dialects.syntax import AxesAttr, axes_text, parse_axes
from dialects.types import dims_of, storage, tensor

BOUNDARIES = ("none", "zero", "clamp", "wrap", "reflect", "value")
COMBINERS = ("sum", "prod", "max", "min")


@dataclass(frozen=True)
class Access:
    """One read in index notation: which operand, at which index, and what lies outside."""

    operand: int
    index: tuple[Dim, ...]
    boundary: str = "none"
    value: float = 0.0


@irdl_attr_definition
class AccessAttr(Data[Access]):
    """`#graph.access<0[i - 1, j] clamp>`; `_1` in an index is the value that access 1 reads."""

    name = "graph.access"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> Access:
        with parser.in_angle_brackets():
            operand = parser.parse_integer()
            index = parse_dims(parser)
            boundary = parser.parse_optional_identifier() or "none"
            if boundary not in BOUNDARIES:
                parser.raise_error(f"unknown boundary '{boundary}': expected one of {', '.join(BOUNDARIES)}")
            value = float(parser.parse_str_literal()) if boundary == "value" else 0.0
            return Access(operand, index, boundary, value)

    def print_parameter(self, printer: Printer) -> None:
        a = self.data
        boundary = "" if a.boundary == "none" else f" {a.boundary}"
        value = f' "{a.value!r}"' if a.boundary == "value" else ""
        printer.print_string(f"<{a.operand}{dims_text(a.index)}{boundary}{value}>")


@irdl_op_definition
class YieldOp(IRDLOperation):
    """Ends a region with its values: `graph.yield %a : f32`."""

    name = "graph.yield"

    values = var_operand_def()

    traits = traits_def(IsTerminator())
    assembly_format = "attr-dict ($values^ `:` type($values))?"

    def __init__(self, *values: SSAValue):
        super().__init__(operands=[list(values)])


@irdl_op_definition
class IndexOp(IRDLOperation):
    """Index notation: each result point combines a scalar body over the reduced axes.

        // y[i, f] = sum(j) a[i, j] * x[j, f]
        %y = graph.index axes [i: 512, f: 16] reduce "sum" [j: 512] (%a, %x) reads [#graph.access<0[i, j]>, #graph.access<1[j, f]>]
            : (tensor<512x512xf32>, tensor<512x16xf32>) -> tensor<512x16xf32> {
        ^bb0(%0: f32, %1: f32):
          %2 = arith.mulf %0, %1 : f32
          graph.yield %2 : f32
        }

    Body arguments are the reads in order, then the index of each axis (out, then reduced) as i64. Results start at
    `lower` along each out axis where accesses without a boundary leave only the interior; the result holds just those.
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

    @classmethod
    def parse(cls, parser: Parser) -> IndexOp:
        parser.parse_keyword("axes")
        axes = parse_axes(parser)
        combiner, reduced = None, ()
        if parser.parse_optional_keyword("reduce") is not None:
            combiner = parser.parse_str_literal()
            reduced = parse_axes(parser)
        operands = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_unresolved_operand)
        parser.parse_keyword("reads")
        reads = parser.parse_attribute()
        parser.parse_punctuation(":")
        types = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_type)
        parser.parse_punctuation("->")
        result = parser.parse_type()
        inputs = parser.resolve_operands(operands, types, parser.pos)
        if not isinstance(reads, ArrayAttr):
            parser.raise_error("expected a list of #graph.access after 'reads'")
        found = [a.data for a in reads if isinstance(a, AccessAttr)]
        return cls(inputs, axes, found, result.element_type, parser.parse_region(), combiner, reduced)  # pyright: ignore

    def print(self, printer: Printer) -> None:
        printer.print_string(f" axes {axes_text(self.axes.data)}")
        if self.combiner is not None:
            printer.print_string(f' reduce "{self.combiner.data}" {axes_text(self.reduced.data)}')
        printer.print_string(" (")
        printer.print_list(self.inputs, printer.print_ssa_value)
        printer.print_string(") reads ")
        printer.print_attribute(self.reads)
        printer.print_string(" : (")
        printer.print_list([v.type for v in self.inputs], printer.print_attribute)
        printer.print_string(") -> ")
        printer.print_attribute(self.outputs[0].type)
        printer.print_string(" ")
        printer.print_region(self.body)

    def verify_(self) -> None:
        if self.combiner is not None and self.combiner.data not in COMBINERS:
            raise VerifyException(f"unknown combiner '{self.combiner.data}': expected one of {', '.join(COMBINERS)}")
        extents = (*self.axes.data, *self.reduced.data)
        ranges: dict[str, tuple[float, float]] = {name: (0, _most(size) - 1) for name, size in extents}
        for number, access in enumerate(self.accesses()):
            self._verify_access(number, access, ranges)
        types = [storage(self.inputs[a.operand].type.element_type) for a in self.accesses()]  # pyright: ignore
        if [a.type for a in self.body.block.args] != [*types, *[i64] * len(extents)]:
            raise VerifyException("the body of graph.index takes the reads, then the index of each axis as i64")

    def _verify_access(self, number: int, access: Access, ranges: Mapping[str, tuple[float, float]]) -> None:
        if not 0 <= access.operand < len(self.inputs):
            raise VerifyException(f"access {number} reads operand {access.operand} of {len(self.inputs)}")
        dims = dims_of(self.inputs[access.operand].type)
        if len(dims) != len(access.index):
            raise VerifyException(f"access {number} has {len(access.index)} indices for a tensor of rank {len(dims)}")
        for expr, size in zip(access.index, dims, strict=True):
            gathered = any(n.startswith("_") for n in expr.names())
            if access.boundary != "none" or gathered:
                continue
            if expr.bounds(ranges)[0] < 0 or (size - 1 - expr).bounds(ranges)[0] < 0:
                raise VerifyException(f"index {expr} may leave a dim of size {size}: state a boundary")


def _most(size: Dim) -> float:
    return size.value if size.value is not None else float("inf")


@irdl_op_definition
class ForOp(IRDLOperation):
    """A counted loop that carries tensors.

        %r = graph.for 0 to 100 (%u) : (tensor<8xf32>) { ^bb0(%t: tensor<si64>, %c: tensor<8xf32>): ... graph.yield %n : tensor<8xf32> }
        %r = graph.for 0 to %steps : tensor<si32> (%u) : (...) { ... }

    Bounds are dims, or integer tensors of rank 0.
    """

    name = "graph.for"

    lower = prop_def(DimAttr)
    upper = prop_def(DimAttr)
    lower_value = opt_operand_def()
    upper_value = opt_operand_def()
    inits = var_operand_def()
    outputs = var_result_def()
    body = region_def("single_block")

    irdl_options = (AttrSizedOperandSegments(as_property=True),)
    traits = traits_def(Pure())

    def __init__(self, lower: Dim | SSAValue, upper: Dim | SSAValue, inits: Sequence[SSAValue], body: Region | None = None):
        types = [v.type for v in inits]
        super().__init__(
            operands=[
                [lower] if isinstance(lower, SSAValue) else [],
                [upper] if isinstance(upper, SSAValue) else [],
                list(inits),
            ],
            properties={
                "lower": DimAttr(Dim.of(0) if isinstance(lower, SSAValue) else lower),
                "upper": DimAttr(Dim.of(0) if isinstance(upper, SSAValue) else upper),
            },
            result_types=[types],
            regions=[body or Region(Block(arg_types=[tensor("i64", []), *types]))],
        )

    @property
    def block(self) -> Block:
        return self.body.block

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
        operands = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_unresolved_operand)
        parser.parse_punctuation(":")
        types = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_type)
        return cls(lower, upper, parser.resolve_operands(operands, types, parser.pos), parser.parse_region())

    def print(self, printer: Printer) -> None:
        for word, value, dim in ((" ", self.lower_value, self.lower), (" to ", self.upper_value, self.upper)):
            printer.print_string(word)
            if value is None:
                printer.print_string(str(dim.data))
            else:
                printer.print_ssa_value(value)
                printer.print_string(" : ")
                printer.print_attribute(value.type)
        printer.print_string(" (")
        printer.print_list(self.inits, printer.print_ssa_value)
        printer.print_string(") : (")
        printer.print_list([v.type for v in self.inits], printer.print_attribute)
        printer.print_string(") ")
        printer.print_region(self.body)

    def verify_(self) -> None:
        types = [v.type for v in self.inits]
        if [a.type for a in self.block.args] != [tensor("i64", []), *types]:
            raise VerifyException("the body of graph.for takes the loop index as tensor<si64>, then the carried values")
        last = self.block.last_op
        if not isinstance(last, YieldOp) or [v.type for v in last.operands] != types:
            raise VerifyException("graph.for yields values of the carried types")

