"""Ops that a `.tg` file declares: whole at the graph level, with the formula that is their meaning inside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from xdsl.dialects.builtin import (
    ArrayAttr,
    BoolAttr,
    DictionaryAttr,
    FloatAttr,
    IntegerAttr,
    StringAttr,
    f64,
    i64,
)
from xdsl.ir import Attribute, Operation, Region, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    opt_region_def,
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

from dialects.dims import Dim, DimAttr, DimsAttr
from dialects.errors import union_location
from dialects.graph.base import Mismatch
from dialects.graph.structure import YieldOp, copied
from dialects.types import is_float_tensor


@irdl_op_definition
class CustomOp(IRDLOperation):
    """A call of an op that a file declares, for the types of its operands and the settings of this call.

        // op swish(x, beta=1.0) { return x * sigmoid(beta * x) }
        %y = graph.custom swish(%x) {beta = 1.5 : f64} : (tensor<8xf32>) -> tensor<8xf32> {
        ^bb0(%a: tensor<8xf32>):
          ...
          graph.yield %n : tensor<8xf32>
        }

    The body is the formula, specialised; it takes the operands and uses no other value from around it. The settings are
    in it already, and stand on the op for those who read it. `graph-decompose` puts the formula in the op's place.

    A second region, after `backward`, is the rule of reverse mode: it takes the operands, the results and a cotangent for
    each float result, and yields one for each float operand. It sees nothing from around either. Without it, the formula
    is differentiated.
    """

    name = "graph.custom"

    title = prop_def(StringAttr)
    settings = prop_def(DictionaryAttr)
    inputs = var_operand_def()
    outputs = var_result_def()
    body = region_def("single_block")
    backward = opt_region_def("single_block")

    # Not IsolatedFromAbove, under which xDSL prints names twice that its parser then refuses; verified here instead.
    traits = traits_def(Pure())

    def __init__(
        self,
        title: str,
        inputs: Sequence[SSAValue],
        settings: Mapping[str, Attribute],
        body: Region,
        backward: Region | None = None,
    ):
        last = body.block.last_op
        super().__init__(
            operands=[list(inputs)],
            properties={"title": StringAttr(title), "settings": DictionaryAttr(settings)},
            result_types=[[v.type for v in last.operands] if isinstance(last, YieldOp) else []],
            regions=[body, [] if backward is None else [backward]],
        )

    def pulled_back(self, cotangents: Sequence[SSAValue]) -> tuple[list[Operation], list[SSAValue]]:
        """A copy of the rule for the cotangents of the float results, and the cotangents of the float operands."""
        assert self.backward is not None
        block = self.backward.block
        given = (*self.operands, *self.results, *cotangents)
        values: dict[SSAValue, SSAValue] = dict(zip(block.args, given, strict=True))
        ops, ends = copied(block, values)
        for op in ops:
            for inner in op.walk():
                inner.location = union_location((self, inner))
        return ops, ends

    def drop_rule(self) -> None:
        """Takes the rule away, which nothing needs once derivatives are computed."""
        if self.backward is not None:
            self.detach_region(self.backward).drop_all_references()

    def decomposed(self) -> tuple[list[Operation], list[SSAValue]]:
        """The ops of the formula, taken out of the body, and the values for the results. Each op's location is that of
        the call and its own."""
        block = self.body.block
        for arg, value in zip(block.args, self.operands, strict=True):
            arg.replace_all_uses_with(value)
        last = block.last_op
        assert last is not None
        values = list(last.operands)
        block.erase_op(last)
        ops = list(block.ops)
        for op in ops:
            op.detach()
            for inner in op.walk():
                inner.location = union_location((self, inner))
        return ops, values

    # Written out, since the settings are a dictionary of any names.

    @classmethod
    def parse(cls, parser: Parser) -> CustomOp:
        title = parser.parse_identifier("the name of an op")
        operands = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_unresolved_operand)
        settings = parser.parse_optional_attr_dict()
        attributes = parser.parse_optional_attr_dict_with_keyword()
        parser.parse_punctuation(":")
        position = parser.pos
        types = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_type)
        parser.parse_punctuation("->")
        results = parser.parse_optional_comma_separated_list(parser.Delimiter.PAREN, parser.parse_type)
        results = [parser.parse_type()] if results is None else results
        regions = [parser.parse_region()]
        if parser.parse_optional_keyword("backward"):
            regions.append(parser.parse_region())
        return cls.create(
            operands=parser.resolve_operands(operands, types, position),
            result_types=results,
            properties={"title": StringAttr(title), "settings": DictionaryAttr(settings)},
            attributes=dict(attributes.data) if attributes else {},
            regions=regions,
        )

    def print(self, printer: Printer) -> None:
        printer.print_string(f" {self.title.data}(")
        printer.print_list(self.operands, printer.print_ssa_value)
        printer.print_string(")")
        printer.print_op_attributes(self.settings.data)
        printer.print_op_attributes(self.attributes, print_keyword=True)
        printer.print_string(" : (")
        printer.print_list([v.type for v in self.operands], printer.print_attribute)
        printer.print_string(") -> ")
        many = len(self.results) != 1
        printer.print_string("(" if many else "")
        printer.print_list([v.type for v in self.results], printer.print_attribute)
        printer.print_string(") " if many else " ")
        printer.print_region(self.body)
        if self.backward is not None:
            printer.print_string(" backward ")
            printer.print_region(self.backward)

    def verify_(self) -> None:
        if not self.title.data.isidentifier():
            raise VerifyException(f"graph.custom has a name as title, found '{self.title.data}'")
        block, last = self.body.block, self.body.block.last_op
        if [a.type for a in block.args] != [v.type for v in self.operands]:
            raise Mismatch(
                f"the body of {self.title.data} takes other types than its operands have",
                found=", ".join(str(a.type) for a in block.args),
                expected=", ".join(str(v.type) for v in self.operands),
            )
        if not isinstance(last, YieldOp) or [v.type for v in last.operands] != [r.type for r in self.results]:
            raise VerifyException(
                f"the body of {self.title.data} ends with graph.yield of the results' types"
            )
        self._check_closed("body", self.body)
        if self.backward is not None:
            self._verify_backward(self.backward)

    def _verify_backward(self, rule: Region) -> None:
        title, last = self.title.data, rule.block.last_op
        floats = [v.type for v in self.results if is_float_tensor(v.type)]
        taken = [*(v.type for v in (*self.operands, *self.results)), *floats]
        if [a.type for a in rule.block.args] != taken:
            raise Mismatch(
                f"the rule of {title} takes operands, results and cotangents of the float results",
                found=", ".join(str(a.type) for a in rule.block.args),
                expected=", ".join(map(str, taken)),
            )
        given = [v.type for v in self.operands if is_float_tensor(v.type)]
        found = [v.type for v in last.operands] if isinstance(last, YieldOp) else []
        if found != given:
            raise Mismatch(
                f"the rule of {title} gives a cotangent for each float operand",
                found=", ".join(map(str, found)) or "none",
                expected=", ".join(map(str, given)) or "none",
            )
        self._check_closed("rule", rule)

    def _check_closed(self, what: str, region: Region) -> None:
        """Raises Mismatch for a region that uses a value from around it."""
        own: set[SSAValue] = set(region.block.args)
        for op in region.walk():
            own.update(op.results, *(b.args for inner in op.regions for b in inner.blocks))
        if any(value not in own for op in region.walk() for value in op.operands):
            raise Mismatch(
                f"the {what} of {self.title.data} uses a value from around it",
                hint="make it an operand of the op",
            )


def setting_attr(value: object) -> Attribute:
    """The attribute that shows a setting: a number, a dim, a truth, a word, or a list of them."""
    match value:
        case bool():
            return BoolAttr.from_bool(value)
        case int():
            return IntegerAttr(value, i64) if -(2**63) <= value < 2**63 else DimAttr(Dim.of(value))
        case float():
            return FloatAttr(value, f64)
        case Dim():
            return DimAttr(value)
        case list() | tuple():
            if value and all(isinstance(v, Dim) or type(v) is int for v in value):
                return DimsAttr(tuple(map(Dim.of, value)))
            return ArrayAttr([setting_attr(v) for v in value])
        case _:
            return StringAttr(str(value))


def outside_customs(root: Operation) -> Iterator[Operation]:
    """The ops inside `root` in order, but for the formulas of custom ops: these count as one op each."""
    work = [root]
    while work:
        op = work.pop()
        yield op
        if not isinstance(op, CustomOp):
            blocks = [block for region in op.regions for block in region.blocks]
            work.extend(inner for block in reversed(blocks) for inner in reversed(list(block.ops)))
