"""Functions under a transformation: reverse mode, forward mode, and mapping over a dim.

Each holds a function as a region, which may use values from around it; those are constants of the transformation.
`graph-differentiate` puts what is computed in the place of these ops, the innermost first, so that they compose.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from xdsl.dialects.builtin import DenseArrayBase, TensorType, i64
from xdsl.ir import Attribute, Block, Region, SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    IRDLOperation,
    irdl_op_definition,
    prop_def,
    region_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from dialects.dims import Dim, DimAttr, parse_dim
from dialects.graph.base import Mismatch
from dialects.graph.structure import YieldOp
from dialects.types import AnyTensor, dims_of, is_float_tensor, tensor, type_text


class _Derivative(IRDLOperation):
    """Base of vjp and jvp: `graph.NAME (%x) WORD (%s) : (types) {region}`."""

    WORD: ClassVar[str]

    inputs = var_operand_def()
    directions = var_operand_def()
    outputs = var_result_def()
    body = region_def("single_block")

    irdl_options = (AttrSizedOperandSegments(as_property=True),)
    traits = traits_def(Pure())

    def __init__(self, inputs: Sequence[SSAValue], directions: Sequence[SSAValue], body: Region):
        super().__init__(
            operands=[list(inputs), list(directions)],
            result_types=[self.types_of(inputs, yielded(body))],
            regions=[body],
        )

    @classmethod
    def types_of(cls, inputs: Sequence[SSAValue], values: Sequence[SSAValue]) -> list[Attribute]:
        """The types of the results."""
        raise NotImplementedError

    @property
    def block(self) -> Block:
        return self.body.block

    @classmethod
    def parse(cls, parser: Parser) -> _Derivative:
        inputs = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_unresolved_operand)
        parser.parse_keyword(cls.WORD)
        along = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_unresolved_operand)
        attributes = parser.parse_optional_attr_dict_with_keyword()
        parser.parse_punctuation(":")
        position = parser.pos
        types = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_type)
        values = parser.resolve_operands([*inputs, *along], types, position)
        op = cls(values[: len(inputs)], values[len(inputs) :], parser.parse_region())
        op.attributes.update(attributes.data if attributes else {})
        return op

    def print(self, printer: Printer) -> None:
        printer.print_string(" (")
        printer.print_list(self.inputs, printer.print_ssa_value)
        printer.print_string(f") {self.WORD} (")
        printer.print_list(self.directions, printer.print_ssa_value)
        printer.print_string(")")
        printer.print_op_attributes(self.attributes, print_keyword=True)
        printer.print_string(" : (")
        printer.print_list([v.type for v in self.operands], printer.print_attribute)
        printer.print_string(") ")
        printer.print_region(self.body)

    def verify_(self) -> None:
        values = yielded(self.body)
        if [a.type for a in self.block.args] != [v.type for v in self.inputs]:
            raise VerifyException(f"the body of {self.name} takes values of the types of the inputs")
        if [r.type for r in self.results] != self.types_of(self.inputs, values):
            raise VerifyException(
                f"the results of {self.name} do not have the types that follow from its body"
            )
        for number, value in enumerate(self.inputs):
            check_differentiable(self, f"input {number}", value.type)
        self.check_directions(values)

    def check_directions(self, values: Sequence[SSAValue]) -> None:
        """Raises Mismatch for directions that do not fit."""
        raise NotImplementedError


def check_differentiable(op: IRDLOperation, what: str, type_: Attribute) -> None:
    """Raises Mismatch for what has no derivative."""
    if not is_float_tensor(type_):
        raise Mismatch(
            f"{what} of {op.name} has no derivative",
            found=type_text(type_) if isinstance(type_, TensorType) else str(type_),
            expected="a tensor of floats",
        )


def yielded(region: Region) -> list[SSAValue]:
    """What a body ends with."""
    last = region.block.last_op
    return list(last.operands) if isinstance(last, YieldOp) else []


def _check_types(op: _Derivative, what: str, wanted: Sequence[Attribute]) -> None:
    found = [v.type for v in op.directions]
    if found != list(wanted):
        raise Mismatch(
            f"the {what} of {op.name} have other types",
            found=", ".join(map(str, found)) or "none",
            expected=", ".join(map(str, wanted)),
        )


@irdl_op_definition
class VjpOp(_Derivative):
    """Reverse mode: the function's results, then for each input the sum over the seeded results of seed times derivative.

        %y, %dx = graph.vjp (%x) seed (%s) : (tensor<8xf32>, tensor<f32>) {
        ^bb0(%a: tensor<8xf32>):
          ...
          graph.yield %n : tensor<f32>
        }

    The first results have seeds; others are carried along, and may have any type.
    """

    name = "graph.vjp"
    WORD: ClassVar = "seed"

    @classmethod
    def types_of(cls, inputs: Sequence[SSAValue], values: Sequence[SSAValue]) -> list[Attribute]:
        return [v.type for v in (*values, *inputs)]

    def check_directions(self, values: Sequence[SSAValue]) -> None:
        for number, _ in enumerate(self.directions):
            if number < len(values):
                check_differentiable(self, f"result {number}", values[number].type)
        if len(self.directions) > len(values) or not self.directions:
            raise Mismatch(
                "wrong number of seeds for graph.vjp",
                found=str(len(self.directions)),
                expected=f"1 to {len(values)}, for the first results",
            )
        _check_types(self, "seeds", [v.type for v in values[: len(self.directions)]])


@irdl_op_definition
class JvpOp(_Derivative):
    """Forward mode: the function's results, then the derivative of each along a direction of the inputs.

        %y, %dy = graph.jvp (%x) along (%t) : (tensor<8xf32>, tensor<8xf32>) {
        ^bb0(%a: tensor<8xf32>):
          ...
          graph.yield %n : tensor<f32>
        }

    Results that are no floats have no derivative: they are given once.
    """

    name = "graph.jvp"
    WORD: ClassVar = "along"

    @classmethod
    def types_of(cls, inputs: Sequence[SSAValue], values: Sequence[SSAValue]) -> list[Attribute]:
        return [*(v.type for v in values), *(v.type for v in values if has_tangent(v))]

    def check_directions(self, values: Sequence[SSAValue]) -> None:
        _check_types(self, "directions", [v.type for v in self.inputs])


def has_tangent(value: SSAValue) -> bool:
    """Whether a value is a tensor of floats."""
    return is_float_tensor(value.type)


@irdl_op_definition
class VmapOp(IRDLOperation):
    """A function of parts, on all parts at once: the results have one more dim, the first.

        %y = graph.vmap 32 (%x, %z) axes [0, 1] : (tensor<32x8xf32>, tensor<4x32xf32>) {
        ^bb0(%a: tensor<8xf32>, %b: tensor<4xf32>):
          ...
          graph.yield %n : tensor<f32>
        }

    `axes` says along which dim each operand is taken apart. What the body uses from around is the same for all parts.
    """

    name = "graph.vmap"

    size = prop_def(DimAttr)
    axes = prop_def(DenseArrayBase)
    inputs = var_operand_def()
    outputs = var_result_def()
    body = region_def("single_block")

    traits = traits_def(Pure())

    def __init__(self, size: Dim, inputs: Sequence[SSAValue], axes: Sequence[int], body: Region):
        super().__init__(
            operands=[list(inputs)],
            properties={"size": DimAttr(size), "axes": DenseArrayBase.from_list(i64, list(axes))},
            result_types=[[_stacked(v.type, size) for v in yielded(body)]],
            regions=[body],
        )

    @property
    def block(self) -> Block:
        return self.body.block

    def dims_apart(self) -> tuple[int, ...]:
        """For each operand, the dim along which it is taken apart."""
        return tuple(int(a) for a in self.axes.get_values())  # pyright: ignore

    @classmethod
    def parse(cls, parser: Parser) -> VmapOp:
        size = parse_dim(parser)
        inputs = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_unresolved_operand)
        parser.parse_keyword("axes")
        axes = parser.parse_comma_separated_list(parser.Delimiter.SQUARE, parser.parse_integer)
        attributes = parser.parse_optional_attr_dict_with_keyword()
        parser.parse_punctuation(":")
        position = parser.pos
        types = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_type)
        op = cls(size, parser.resolve_operands(inputs, types, position), axes, parser.parse_region())
        op.attributes.update(attributes.data if attributes else {})
        return op

    def print(self, printer: Printer) -> None:
        printer.print_string(f" {self.size.data} (")
        printer.print_list(self.inputs, printer.print_ssa_value)
        printer.print_string(f") axes {list(self.dims_apart())}")
        printer.print_op_attributes(self.attributes, print_keyword=True)
        printer.print_string(" : (")
        printer.print_list([v.type for v in self.inputs], printer.print_attribute)
        printer.print_string(") ")
        printer.print_region(self.body)

    def verify_(self) -> None:
        size, axes = self.size.data, self.dims_apart()
        if len(axes) != len(self.inputs):
            raise Mismatch(
                "graph.vmap has an axis for each operand",
                found=str(list(axes)),
                expected=str(len(self.inputs)),
            )
        parts: list[Attribute] = []
        for number, (value, axis) in enumerate(zip(self.inputs, axes, strict=True)):
            dims = dims_of(value.type)  # pyright: ignore[reportArgumentType]
            if not 0 <= axis < len(dims) or dims[axis] != size:
                raise Mismatch(
                    f"operand {number} of graph.vmap has no {size} parts along dim {axis}",
                    found=type_text(value.type),  # pyright: ignore[reportArgumentType]
                )
            parts.append(tensor(value.type.element_type, dims[:axis] + dims[axis + 1 :]))  # pyright: ignore
        if [a.type for a in self.block.args] != parts:
            raise VerifyException("the body of graph.vmap takes the parts of its operands")
        if [r.type for r in self.results] != [_stacked(v.type, size) for v in yielded(self.body)]:
            raise VerifyException("graph.vmap gives the results of its body with one more dim, the first")


def _stacked(type_: Attribute, size: Dim) -> AnyTensor:
    assert isinstance(type_, TensorType)
    return tensor(type_.element_type, (size, *dims_of(type_)))
