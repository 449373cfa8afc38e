"""The kernel level: what runs as one unit.

A `kernel.def` declares its axes once. In its body every SSA value is a *field*: a scalar for each point of the axes
that it depends on. `kernel.read` makes a field from an array access, arith and math ops combine fields point by
point (broadcasting is implied: a field that does not depend on an axis is the same all along it), `kernel.reduce`
removes axes with a tuple state, `kernel.write` stores. Nothing here says in which order points are visited.

    kernel.def @matmul_relu axes [i: 32, j: 128, k: 64]
        (in %x: !buffer.ref<[32, 64], f32>, in %w: !buffer.ref<[64, 128], f32>, out %y: !buffer.ref<[32, 128], f32>) {
      %a = kernel.read %x[i, k] : f32
      %b = kernel.read %w[k, j] : f32
      %s = kernel.reduce [k] (%a, %b) : (f32, f32) -> f32 init {
        %zero = arith.constant 0.0 : f32
        kernel.yield %zero : f32
      } step {
      ^bb0(%acc: f32, %p: f32, %q: f32):
        %m = arith.mulf %p, %q : f32
        %n = arith.addf %acc, %m : f32
        kernel.yield %n : f32
      } combine {
      ^bb0(%l: f32, %r: f32):
        %t = arith.addf %l, %r : f32
        kernel.yield %t : f32
      } finish {
      ^bb0(%acc: f32):
        kernel.yield %acc : f32
      }
      %zero = arith.constant 0.0 : f32
      %y0 = arith.maximumf %s, %zero : f32
      kernel.write %y0, %y[i, j]
    }

The axes of a state component are those of the fields that flow into it, less the reduced ones; a component may have
more axes than another (attention's accumulator against its running maximum).

What the level can no longer say: tensor ops by name (they are axes and scalar bodies now), signed element types
(ops are signed or unsigned). What it cannot say yet: loops, order, threads, addresses.

On its way here a unit passes through two intermediate forms: `kernel.group` (graph ops chosen to run together, in
place) and a `kernel.def` over tensors that still holds graph ops (outlined, deduplicated).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from xdsl.dialects.builtin import (
    ArrayAttr,
    DictionaryAttr,
    IntegerType,
    StringAttr,
    SymbolRefAttr,
    UnitAttr,
    f32,
    f64,
)
from xdsl.ir import Attribute, Block, Data, Dialect, Operation, ParametrizedAttribute, Region, SSAValue
from xdsl.irdl import (
    AnyAttr,
    AttrSizedOperandSegments,
    IRDLOperation,
    VarConstraint,
    irdl_attr_definition,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    param_def,
    prop_def,
    region_def,
    result_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.parser import AttrParser, Parser
from xdsl.printer import Printer
from xdsl.traits import IsolatedFromAbove, IsTerminator, NoTerminator, Pure, SymbolOpInterface
from xdsl.utils.exceptions import VerifyException

from dialects.dims import Dim, DimAttr, DimsAttr, parse_dim
from dialects.signature import verify_names, verify_outputs
from dialects.syntax import (
    AxesAttr,
    SymbolsAttr,
    axes_text,
    parse_access,
    parse_axes,
    parse_names,
    parse_regionless_types,
    parse_symbols,
    print_access,
    symbols_text,
)
from dialects.types import RefType, is_float


@irdl_attr_definition
class ArgAttr(ParametrizedAttribute):
    """One operand in a kernel's signature: `#kernel.arg<out, alias = 0, align = 64>`.

    mode is in, out or inout; alias is the position of the operand whose memory an output may share (access maps are
    identical), -1 for none; align is the guaranteed alignment in bytes. An `inout` of a kernel holds, when it begins, what
    the operand holds that it aliases: in the operand's own memory where nothing else needs it, a copy elsewhere.
    """

    name = "kernel.arg"

    mode: StringAttr = param_def()
    alias: DimAttr = param_def()
    align: DimAttr = param_def()

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> Sequence[Attribute]:
        with parser.in_angle_brackets():
            mode = parser.parse_identifier("in, out or inout")
            return [StringAttr(mode), *_parse_arg_facts(parser)]

    def print_parameters(self, printer: Printer) -> None:
        printer.print_string(f"<{self.mode.data}{self.facts_text()}>")

    def facts_text(self) -> str:
        alias = f" alias {self.alias.data}" if self.alias.data != Dim.of(-1) else ""
        align = f" align {self.align.data}" if self.align.data != Dim.of(1) else ""
        return alias + align

    @property
    def alias_of(self) -> int | None:
        """The position of the operand that this output may alias."""
        value = self.alias.data.value
        return value if value is not None and value >= 0 else None

    @property
    def is_output(self) -> bool:
        return self.mode.data != "in"


def _parse_arg_facts(parser: AttrParser) -> tuple[DimAttr, DimAttr]:
    alias, align = Dim.of(-1), Dim.of(1)
    if parser.parse_optional_keyword("alias") is not None:
        alias = parse_dim(parser)
    if parser.parse_optional_keyword("align") is not None:
        align = parse_dim(parser)
    return DimAttr(alias), DimAttr(align)


def arg(mode: str, alias: int | None = None, align: int = 1) -> ArgAttr:
    """A signature entry."""
    return ArgAttr(StringAttr(mode), DimAttr(Dim.of(-1 if alias is None else alias)), DimAttr(Dim.of(align)))


@irdl_attr_definition
class ScheduleAttr(Data[tuple[str, ...]]):
    """An ordered list of directives that name axes: `#kernel.schedule<["split k 256 -> ko ki", "vector j 16"]>`."""

    name = "kernel.schedule"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> tuple[str, ...]:
        with parser.in_angle_brackets():
            return tuple(parser.parse_comma_separated_list(parser.Delimiter.SQUARE, parser.parse_str_literal))

    def print_parameter(self, printer: Printer) -> None:
        printer.print_string("<[" + ", ".join(f'"{d}"' for d in self.data) + "]>")


def print_signature(printer: Printer, args: Sequence[SSAValue], signature: Sequence[ArgAttr]) -> None:
    """Prints `(in %x: type, out %y: type alias 0)`."""
    printer.print_string("(")
    for i, (value, facts) in enumerate(zip(args, signature, strict=True)):
        printer.print_string((", " if i else "") + facts.mode.data + " ")
        printer.print_ssa_value(value)
        printer.print_string(": ")
        printer.print_attribute(value.type)
        printer.print_string(facts.facts_text())
    printer.print_string(")")


def parse_signature(parser: Parser) -> tuple[list[Parser.Argument], ArrayAttr[ArgAttr]]:
    """Reads what `print_signature` prints."""
    facts: list[ArgAttr] = []

    def one() -> Parser.Argument:
        mode = parser.parse_identifier("in, out or inout")
        if mode not in ("in", "out", "inout"):
            parser.raise_error(f"unexpected '{mode}': expected in, out or inout before an argument")
        value = parser.parse_argument()
        alias, align = _parse_arg_facts(parser)
        facts.append(ArgAttr(StringAttr(mode), alias, align))
        return value

    args = parser.parse_comma_separated_list(parser.Delimiter.PAREN, one)
    return args, ArrayAttr(facts)


@irdl_op_definition
class DefOp(IRDLOperation):
    """A kernel. Its arguments are its operands, then its outputs; see the module docstring for the body.

    In the outlined form arguments are tensors, all `in`, and the body is graph ops ended by `kernel.yield`.
    `title` names the ops that it came from, for comments and tables.
    """

    name = "kernel.def"

    sym_name = prop_def(StringAttr)
    symbols = prop_def(SymbolsAttr)
    axes = prop_def(AxesAttr)
    signature = prop_def(ArrayAttr[ArgAttr])
    schedule = opt_prop_def(ScheduleAttr)
    body = region_def("single_block")

    traits = traits_def(IsolatedFromAbove(), SymbolOpInterface(), NoTerminator())

    def __init__(
        self,
        name: str,
        body: Region,
        signature: Sequence[ArgAttr],
        axes: Sequence[tuple[str, Dim]] = (),
        symbols: Sequence[tuple[str, int, int]] = (),
        schedule: Sequence[str] | None = None,
    ):
        properties: dict[str, Attribute] = {
            "sym_name": StringAttr(name),
            "symbols": SymbolsAttr(tuple(symbols)),
            "axes": AxesAttr(tuple(axes)),
            "signature": ArrayAttr(signature),
        }
        if schedule is not None:
            properties["schedule"] = ScheduleAttr(tuple(schedule))
        super().__init__(properties=properties, regions=[body])

    @property
    def block(self) -> Block:
        return self.body.block

    @property
    def in_axes_form(self) -> bool:
        """Whether arguments are arrays (and not the tensors of the outlined form)."""
        return all(isinstance(a.type, RefType) for a in self.block.args)

    def extents(self) -> dict[str, Dim]:
        return dict(self.axes.data)

    @classmethod
    def parse(cls, parser: Parser) -> DefOp:
        name = parser.parse_symbol_name()
        symbols = parse_symbols(parser) if parser.parse_optional_keyword("symbols") is not None else ()
        axes = parse_axes(parser) if parser.parse_optional_keyword("axes") is not None else ()
        args, signature = parse_signature(parser)
        schedule = None
        if parser.parse_optional_keyword("schedule") is not None:
            schedule = parser.parse_comma_separated_list(parser.Delimiter.SQUARE, parser.parse_str_literal)
        attributes = parser.parse_optional_attr_dict_with_keyword()
        op = cls(name.data, parser.parse_region(args), signature.data, axes, symbols, schedule)
        op.attributes.update(attributes.data if attributes else {})
        return op

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_symbol_name(self.sym_name.data)
        if self.symbols.data:
            printer.print_string(f" symbols {symbols_text(self.symbols.data)}")
        if self.axes.data:
            printer.print_string(f" axes {axes_text(self.axes.data)}")
        printer.print_string(" ")
        print_signature(printer, self.block.args, self.signature.data)
        if self.schedule is not None:
            printer.print_string(" schedule [" + ", ".join(f'"{d}"' for d in self.schedule.data) + "]")
        printer.print_op_attributes(self.attributes, print_keyword=True)
        printer.print_string(" ")
        printer.print_region(self.body, print_entry_block_args=False, print_empty_block=False)

    def verify_(self) -> None:
        if len(self.signature.data) != len(self.block.args):
            raise VerifyException(
                f"{len(self.signature.data)} signature entries for {len(self.block.args)} arguments"
            )
        names = [n for n, _ in self.axes.data]
        if len(set(names)) != len(names):
            raise VerifyException(f"axes {names} are not distinct")
        symbols = {n for n, _, _ in self.symbols.data}
        for axis, extent in self.axes.data:
            if unknown := extent.names() - symbols:
                raise VerifyException(
                    f"extent {extent} of axis {axis} names {sorted(unknown)}, which are no symbols of the kernel"
                )
        for position, facts in enumerate(self.signature.data):
            if facts.alias_of is not None and (not facts.is_output or facts.alias_of >= position):
                raise VerifyException(f"argument {position} cannot alias argument {facts.alias_of}")
            if facts.mode.data == "inout" and facts.alias_of is None:
                raise VerifyException(f"argument {position} is inout and says not what it begins with")
        if self.in_axes_form:
            verify_names(self.block, symbols)
            self._verify_names(set(names), symbols)
            verify_outputs(self.block, self.signature.data)
            self._verify_updates()

    def _verify_updates(self) -> None:
        """An update of an output, which holds nothing when the kernel begins, comes after a write to it."""
        fresh: set[SSAValue] = {
            arg
            for arg, facts in zip(self.block.args, self.signature.data, strict=True)
            if facts.mode.data == "out"
        }
        for op in self.body.walk():
            if not isinstance(op, WriteOp) or op.array not in fresh:
                continue
            if op.combiner is not None:
                raise VerifyException(
                    "an update of an output has nothing to begin with: no write comes before it"
                )
            fresh.remove(op.array)

    def _verify_names(self, axes: set[str], symbols: set[str]) -> None:
        for op in self.body.walk():
            if isinstance(op, ReadOp | WriteOp):
                known = axes | symbols | {f"_{i}" for i in range(len(op.indices))}
                for expr in op.index.data:
                    if unknown := expr.names() - known:
                        raise VerifyException(
                            f"index {expr} names {sorted(unknown)}, which are neither axes nor symbols"
                        )
            if isinstance(op, IndexOp) and (unknown := op.expr.data.names() - axes - symbols):
                raise VerifyException(
                    f"{op.expr.data} names {sorted(unknown)}, which are neither axes nor symbols"
                )
            if isinstance(op, ReduceOp) and (unknown := set(op.axes) - axes):
                raise VerifyException(f"reduced axes {sorted(unknown)} are not declared")
            if isinstance(op, ScanOp) and op.along.data not in axes:
                raise VerifyException(f"axis {op.along.data} of a scan is not declared")


@irdl_op_definition
class ReadOp(IRDLOperation):
    """A field from an array: `%a = kernel.read %x[i, k + 1] : f32`.

    With `else v` an access outside the array has the value v: `kernel.read %u[i - 1] else 0.0 : f32 : f32`.
    Index operands (integer fields) are named `_0`, `_1`: `kernel.read %table[_0, j](%id) : f32`.
    """

    name = "kernel.read"

    array = operand_def(RefType)
    indices = var_operand_def()
    index = prop_def(DimsAttr)
    otherwise = opt_prop_def(Attribute)
    result = result_def()

    traits = traits_def(Pure())

    def __init__(
        self,
        array: SSAValue,
        index: Sequence[Dim],
        indices: Sequence[SSAValue] = (),
        otherwise: Attribute | None = None,
    ):
        type_ = array.type
        if not isinstance(type_, RefType):
            raise VerifyException(f"reads from {type_}, which is no array")
        super().__init__(
            operands=[array, list(indices)],
            properties={"index": DimsAttr(tuple(index))}
            | ({} if otherwise is None else {"otherwise": otherwise}),
            result_types=[type_.element_type],
        )

    @classmethod
    def parse(cls, parser: Parser) -> ReadOp:
        array, index, operands = parse_access(parser)
        otherwise = parser.parse_attribute() if parser.parse_optional_keyword("else") is not None else None
        parse_regionless_types(parser)
        values = [_resolve_by_name(parser, o) for o in operands]
        return cls(_resolve_by_name(parser, array), index, values, otherwise)

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        print_access(printer, self.array, self.index.data, self.indices)
        if self.otherwise is not None:
            printer.print_string(" else ")
            printer.print_attribute(self.otherwise)
        printer.print_string(" : ")
        printer.print_attribute(self.result.type)

    def verify_(self) -> None:
        verify_access(self.array, self.index.data)


def _resolve_by_name(parser: Parser, operand) -> SSAValue:  # pyright: ignore
    """The value that a name stands for; arrays and indices are always defined before their use, so no type is printed."""
    values = parser.ssa_values.get(operand.operand_name)
    if values is None:
        parser.raise_error(f"%{operand.operand_name} is used before it is defined", operand.span)
    return values[operand.index]


resolve_by_name = _resolve_by_name


def verify_access(array: SSAValue, index: Sequence[Dim]) -> None:
    """An access has one expression for each dim of its array."""
    type_ = array.type
    if isinstance(type_, RefType) and type_.rank != len(index):
        raise VerifyException(f"{len(index)} index expressions for an array of rank {type_.rank}")


@irdl_op_definition
class WriteOp(IRDLOperation):
    """Stores a field: `kernel.write %v, %y[i, j]`. The index expressions name all axes that the field depends on.

    With a combiner it is an update, which may hit an element several times: `kernel.write %v, %y[_0, j](%n) add`. Points
    along axes that are no index of their own follow one another in order; a place outside the array is left out. `set`
    keeps the last value, `max` and `min` are of signed numbers, `umax` and `umin` of unsigned ones. The value of an update
    is in the type that the level computes in; the array is an `inout` argument.
    """

    name = "kernel.write"

    value = operand_def()
    array = operand_def(RefType)
    indices = var_operand_def()
    index = prop_def(DimsAttr)
    combiner = opt_prop_def(StringAttr)

    COMBINERS: ClassVar = ("set", "add", "mul", "max", "min", "umax", "umin")

    def __init__(
        self,
        value: SSAValue,
        array: SSAValue,
        index: Sequence[Dim],
        indices: Sequence[SSAValue] = (),
        combiner: str | None = None,
    ):
        super().__init__(
            operands=[value, array, list(indices)],
            properties={"index": DimsAttr(tuple(index))}
            | ({} if combiner is None else {"combiner": StringAttr(combiner)}),
        )

    def own_axes(self) -> tuple[str, ...]:
        """The axes that are an index on their own: their points write to different elements."""
        plain = [next(iter(e.names())) for e in self.index.data if len(e.names()) == 1]
        named = [n for e in self.index.data for n in e.names()]
        kept = [n for n in plain if Dim.of(n) in self.index.data and named.count(n) == 1]
        return tuple(n for n in dict.fromkeys(kept) if not n.startswith("_"))

    @classmethod
    def parse(cls, parser: Parser) -> WriteOp:
        value = parser.parse_unresolved_operand()
        parser.parse_punctuation(",")
        array, index, operands = parse_access(parser)
        combiner = next((c for c in cls.COMBINERS if parser.parse_optional_keyword(c) is not None), None)
        values = [_resolve_by_name(parser, o) for o in operands]
        return cls(_resolve_by_name(parser, value), _resolve_by_name(parser, array), index, values, combiner)

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_ssa_value(self.value)
        printer.print_string(", ")
        print_access(printer, self.array, self.index.data, self.indices)
        if self.combiner is not None:
            printer.print_string(f" {self.combiner.data}")

    def verify_(self) -> None:
        verify_access(self.array, self.index.data)
        type_ = self.array.type
        assert isinstance(type_, RefType)
        wanted = type_.element_type if self.combiner is None else computed_type(type_.element_type)
        if wanted != self.value.type:
            raise VerifyException(f"writes {self.value.type} into an array of {type_.element_type}")
        if self.combiner is None and self.indices:
            raise VerifyException("a write at a computed index states how it combines with what is there")
        if self.combiner is not None and self.combiner.data not in self.COMBINERS:
            raise VerifyException(
                f"unknown combiner '{self.combiner.data}': expected one of {', '.join(self.COMBINERS)}"
            )


def computed_type(element: Attribute) -> Attribute:
    """The type in which elements of an array are computed: small floats in f32, all else as it is."""
    return f32 if is_float(element) and element not in (f32, f64) else element


@irdl_op_definition
class IndexOp(IRDLOperation):
    """The value of an index expression, as i64: `%n = kernel.index i * 2 + j`."""

    name = "kernel.index"

    expr = prop_def(DimAttr)
    result = result_def(IntegerType(64))

    traits = traits_def(Pure())

    def __init__(self, expr: Dim):
        super().__init__(properties={"expr": DimAttr(expr)}, result_types=[IntegerType(64)])

    @classmethod
    def parse(cls, parser: Parser) -> IndexOp:
        return cls(parse_dim(parser))

    def print(self, printer: Printer) -> None:
        printer.print_string(f" {self.expr.data}")


@irdl_op_definition
class FloatToIntOp(IRDLOperation):
    """Float to integer, saturating, NaN to 0: `kernel.fptoint "signed" %x : f32 to i32`. Also on vectors."""

    name = "kernel.fptoint"

    kind = prop_def(StringAttr)
    input = operand_def()
    result = result_def()

    traits = traits_def(Pure())
    assembly_format = "$kind $input attr-dict `:` type($input) `to` type($result)"

    def __init__(self, kind: str, value: SSAValue, result_type: Attribute):
        super().__init__(operands=[value], properties={"kind": StringAttr(kind)}, result_types=[result_type])


@irdl_op_definition
class ConvertOp(IRDLOperation):
    """A cast of a vector, element by element: `kernel.convert "sitofp" %x : vector<16xi64> to vector<16xf32>`.

    Kinds are the names of arith's casts, which take scalars only in xDSL.
    """

    name = "kernel.convert"

    kind = prop_def(StringAttr)
    input = operand_def()
    result = result_def()

    traits = traits_def(Pure())
    assembly_format = "$kind $input attr-dict `:` type($input) `to` type($result)"

    KINDS: ClassVar = (
        *("sitofp", "uitofp", "extsi", "extui", "trunci", "extf", "truncf", "index_cast", "bitcast"),
    )

    def __init__(self, kind: str, value: SSAValue, result_type: Attribute):
        super().__init__(operands=[value], properties={"kind": StringAttr(kind)}, result_types=[result_type])

    def verify_(self) -> None:
        if self.kind.data not in self.KINDS:
            raise VerifyException(
                f"unknown conversion '{self.kind.data}': expected one of {', '.join(self.KINDS)}"
            )


@irdl_op_definition
class CompareOp(IRDLOperation):
    """A comparison of vectors: `%m = kernel.compare "slt" %a, %b : vector<16xi64> to vector<16xi1>`.

    Predicates are those of arith.cmpi and arith.cmpf, which take scalars only in xDSL.
    """

    name = "kernel.compare"

    T: ClassVar = VarConstraint("T", AnyAttr())

    predicate = prop_def(StringAttr)
    lhs = operand_def(T)
    rhs = operand_def(T)
    result = result_def()

    traits = traits_def(Pure())
    assembly_format = "$predicate $lhs `,` $rhs attr-dict `:` type($lhs) `to` type($result)"

    INTEGER: ClassVar = ("eq", "ne", "slt", "sle", "sgt", "sge", "ult", "ule", "ugt", "uge")
    FLOAT: ClassVar = (
        "false", "oeq", "ogt", "oge", "olt", "ole", "one", "ord", "ueq", "ugt", "uge", "ult", "ule", "une", "uno", "true",
    )  # fmt: skip

    def __init__(self, predicate: str, lhs: SSAValue, rhs: SSAValue, result_type: Attribute):
        super().__init__(
            operands=[lhs, rhs], properties={"predicate": StringAttr(predicate)}, result_types=[result_type]
        )

    def verify_(self) -> None:
        if self.predicate.data not in (*self.INTEGER, *self.FLOAT):
            raise VerifyException(f"unknown predicate '{self.predicate.data}'")


@irdl_op_definition
class SelectOp(IRDLOperation):
    """Lane by lane the first where the mask is true, else the second.

    `%v = kernel.select %m, %a, %b : vector<16xi1>, vector<16xf32>`
    """

    name = "kernel.select"

    T: ClassVar = VarConstraint("T", AnyAttr())

    mask = operand_def()
    lhs = operand_def(T)
    rhs = operand_def(T)
    result = result_def(T)

    traits = traits_def(Pure())
    assembly_format = "$mask `,` $lhs `,` $rhs attr-dict `:` type($mask) `,` type($result)"

    def __init__(self, mask: SSAValue, lhs: SSAValue, rhs: SSAValue):
        super().__init__(operands=[mask, lhs, rhs], result_types=[lhs.type])


@irdl_op_definition
class IntegerOp(IRDLOperation):
    """Integer arithmetic that the graph defines where arith does not: `kernel.integer "floordiv" %a, %b : i32`.

    floordiv rounds towards minus infinity, mod has the divisor's sign; udiv and umod take unsigned numbers; dividing by
    zero gives 0. ipow wraps, and a negative power is the true quotient truncated; upow is of unsigned numbers. shl, shr
    and sar (with the sign) shift by any count, which is read without sign: by the width or more nothing but signs is left.
    """

    name = "kernel.integer"

    T: ClassVar = VarConstraint("T", AnyAttr())

    kind = prop_def(StringAttr)
    lhs = operand_def(T)
    rhs = operand_def(T)
    result = result_def(T)

    traits = traits_def(Pure())
    assembly_format = "$kind $lhs `,` $rhs attr-dict `:` type($result)"

    KINDS: ClassVar = ("floordiv", "mod", "udiv", "umod", "ipow", "upow", "shl", "shr", "sar")

    def __init__(self, kind: str, lhs: SSAValue, rhs: SSAValue):
        super().__init__(operands=[lhs, rhs], properties={"kind": StringAttr(kind)}, result_types=[lhs.type])

    def verify_(self) -> None:
        if self.kind.data not in self.KINDS:
            raise VerifyException(f"unknown kind '{self.kind.data}': expected one of {', '.join(self.KINDS)}")


@irdl_op_definition
class RemfOp(IRDLOperation):
    """The remainder of a division that truncates, exact, with the sign of the first: `kernel.remf %a, %b : f32`.

    This is arith.remf, which xDSL lacks.
    """

    name = "kernel.remf"

    T: ClassVar = VarConstraint("T", AnyAttr())

    lhs = operand_def(T)
    rhs = operand_def(T)
    result = result_def(T)

    traits = traits_def(Pure())
    assembly_format = "$lhs `,` $rhs attr-dict `:` type($result)"

    def __init__(self, lhs: SSAValue, rhs: SSAValue):
        super().__init__(operands=[lhs, rhs], result_types=[lhs.type])


@irdl_op_definition
class RandomOp(IRDLOperation):
    """A random number from a key of two words and a counter: `kernel.random "normal" %k, %l, %n : i32, i64 to f32`.

    uniform and normal give f32, bits i32, as `graph.random` says. Pure: the same bits for the same operands.
    """

    name = "kernel.random"

    T: ClassVar = VarConstraint("T", AnyAttr())

    dist = prop_def(StringAttr)
    key0 = operand_def(T)
    key1 = operand_def(T)
    counter = operand_def()
    result = result_def()

    traits = traits_def(Pure())
    assembly_format = (
        "$dist $key0 `,` $key1 `,` $counter attr-dict `:` type($key0) `,` type($counter) `to` type($result)"
    )

    DISTRIBUTIONS: ClassVar = ("uniform", "normal", "bits")

    def __init__(self, dist: str, key0: SSAValue, key1: SSAValue, counter: SSAValue, result_type: Attribute):
        super().__init__(
            operands=[key0, key1, counter], properties={"dist": StringAttr(dist)}, result_types=[result_type]
        )

    def verify_(self) -> None:
        if self.dist.data not in self.DISTRIBUTIONS:
            raise VerifyException(
                f"unknown distribution '{self.dist.data}': expected one of {', '.join(self.DISTRIBUTIONS)}"
            )


@irdl_op_definition
class ReduceOp(IRDLOperation):
    """Removes axes: results are the finished states. See the module docstring for the four regions.

    init: () -> state; step: (state..., element...) -> state; combine: (state..., state...) -> state, associative;
    finish: (state...) -> result.... State and results are tuples.
    """

    name = "kernel.reduce"

    inputs = var_operand_def()
    over = prop_def(ArrayAttr[StringAttr])
    init = region_def("single_block")
    step = region_def("single_block")
    combine = region_def("single_block")
    finish = region_def("single_block")
    results_ = var_result_def()

    traits = traits_def(Pure())

    def __init__(
        self,
        over: Sequence[str],
        inputs: Sequence[SSAValue],
        result_types: Sequence[Attribute],
        regions: Sequence[Region],
    ):
        super().__init__(
            operands=[list(inputs)],
            properties={"over": ArrayAttr([StringAttr(a) for a in over])},
            result_types=[list(result_types)],
            regions=list(regions),
        )

    @property
    def axes(self) -> tuple[str, ...]:
        return tuple(a.data for a in self.over)

    @property
    def state_types(self) -> tuple[Attribute, ...]:
        return tuple(v.type for v in _terminator(self.init).operands)

    _PARTS: ClassVar = ("init", "step", "combine", "finish")

    @classmethod
    def parse(cls, parser: Parser) -> ReduceOp:
        over = parse_names(parser)
        operands = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_unresolved_operand)
        parser.parse_punctuation(":")
        input_types = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_type)
        parser.parse_punctuation("->")
        results = parser.parse_optional_comma_separated_list(parser.Delimiter.PAREN, parser.parse_type) or [
            parser.parse_type()
        ]
        inputs = parser.resolve_operands(operands, input_types, parser.pos)
        regions: list[Region] = []
        for part in cls._PARTS:
            parser.parse_keyword(part)
            regions.append(parser.parse_region())
        return cls(over, inputs, results, regions)

    def print(self, printer: Printer) -> None:
        printer.print_string(" [" + ", ".join(self.axes) + "] (")
        printer.print_list(self.inputs, printer.print_ssa_value)
        printer.print_string(") : (")
        printer.print_list([v.type for v in self.inputs], printer.print_attribute)
        printer.print_string(") -> (")
        printer.print_list([v.type for v in self.results], printer.print_attribute)
        printer.print_string(")")
        for part, region in zip(self._PARTS, self.regions, strict=True):
            printer.print_string(f" {part} ")
            printer.print_region(region)

    def verify_(self) -> None:
        states = self.state_types
        elements = tuple(v.type for v in self.inputs)
        expected = {
            "init": ((), states),
            "step": (states + elements, states),
            "combine": (states + states, states),
            "finish": (states, tuple(r.type for r in self.results)),
        }
        for part, region in zip(self._PARTS, self.regions, strict=True):
            args = tuple(a.type for a in region.block.args)
            yields = tuple(v.type for v in _terminator(region).operands)
            if (args, yields) != expected[part]:
                want_args, want_yields = (", ".join(map(str, x)) for x in expected[part])
                raise VerifyException(
                    f"{part} takes ({', '.join(map(str, args))}) and yields ({', '.join(map(str, yields))}), "
                    f"expected ({want_args}) and ({want_yields})"
                )


@irdl_op_definition
class ScanOp(IRDLOperation):
    """Runs along an axis with a tuple state and gives the state at each point of it.

    %s = kernel.scan k (%a) : (f32) -> (f32) init {
      %zero = arith.constant 0.0 : f32
      kernel.yield %zero : f32
    } step {
    ^bb0(%acc: f32, %x: f32):
      %t = arith.addf %acc, %x : f32
      kernel.yield %t : f32
    }

    init: () -> state; step: (state..., element...) -> state. A point gives the state after its step, or before it with
    `exclusive`.
    """

    name = "kernel.scan"

    inputs = var_operand_def()
    along = prop_def(StringAttr)
    exclusive = opt_prop_def(UnitAttr)
    init = region_def("single_block")
    step = region_def("single_block")
    results_ = var_result_def()

    traits = traits_def(Pure())

    def __init__(
        self,
        along: str,
        inputs: Sequence[SSAValue],
        result_types: Sequence[Attribute],
        init: Region,
        step: Region,
        exclusive: bool = False,
    ):
        super().__init__(
            operands=[list(inputs)],
            properties={"along": StringAttr(along)} | ({"exclusive": UnitAttr()} if exclusive else {}),
            result_types=[list(result_types)],
            regions=[init, step],
        )

    @classmethod
    def parse(cls, parser: Parser) -> ScanOp:
        along = parser.parse_identifier("axis")
        exclusive = parser.parse_optional_keyword("exclusive") is not None
        operands = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_unresolved_operand)
        parser.parse_punctuation(":")
        types = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_type)
        parser.parse_punctuation("->")
        results = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_type)
        inputs = parser.resolve_operands(operands, types, parser.pos)
        parser.parse_keyword("init")
        init = parser.parse_region()
        parser.parse_keyword("step")
        return cls(along, inputs, results, init, parser.parse_region(), exclusive)

    def print(self, printer: Printer) -> None:
        printer.print_string(f" {self.along.data}{' exclusive' if self.exclusive is not None else ''} (")
        printer.print_list(self.inputs, printer.print_ssa_value)
        printer.print_string(") : (")
        printer.print_list([v.type for v in self.inputs], printer.print_attribute)
        printer.print_string(") -> (")
        printer.print_list([v.type for v in self.results], printer.print_attribute)
        printer.print_string(") init ")
        printer.print_region(self.init)
        printer.print_string(" step ")
        printer.print_region(self.step)

    def verify_(self) -> None:
        states = tuple(r.type for r in self.results)
        elements = tuple(v.type for v in self.inputs)
        for part, region, expected in (("init", self.init, ()), ("step", self.step, states + elements)):
            args = tuple(a.type for a in region.block.args)
            yields = tuple(v.type for v in _terminator(region).operands)
            if (args, yields) != (expected, states):
                raise VerifyException(
                    f"{part} takes ({', '.join(map(str, args))}) and yields ({', '.join(map(str, yields))}), "
                    f"expected ({', '.join(map(str, expected))}) and ({', '.join(map(str, states))})"
                )


def _terminator(region: Region) -> Operation:
    last = region.block.last_op
    if not isinstance(last, YieldOp):
        raise VerifyException("a region of a reduction or a scan ends with kernel.yield")
    return last


@irdl_op_definition
class ExternOp(IRDLOperation):
    """An op of the graph level on whole arrays, run by a kernel that was written by hand.

    `kernel.extern "argsort" {axis = 1 : i64} (%x) to (%y) : (tensor<4x9xf32>) -> (tensor<4x9xsi64>)`

    It is the whole of its kernel, on the kernel and on the loop level; there it may end in `scratch %s`, an array of bytes
    of each thread's own.
    """

    name = "kernel.extern"

    callee = prop_def(StringAttr)
    values = prop_def(DictionaryAttr)
    operand_types_ = prop_def(ArrayAttr)
    result_types_ = prop_def(ArrayAttr)
    inputs = var_operand_def(RefType)
    outputs_ = var_operand_def(RefType)
    scratch = opt_operand_def(RefType)

    irdl_options = (AttrSizedOperandSegments(as_property=True),)

    def __init__(
        self,
        callee: str,
        values: DictionaryAttr,
        operand_types: Sequence[Attribute],
        result_types: Sequence[Attribute],
        inputs: Sequence[SSAValue],
        outputs: Sequence[SSAValue],
        scratch: SSAValue | None = None,
    ):
        super().__init__(
            operands=[list(inputs), list(outputs), [] if scratch is None else [scratch]],
            properties={
                "callee": StringAttr(callee),
                "values": values,
                "operand_types_": ArrayAttr(operand_types),
                "result_types_": ArrayAttr(result_types),
            },
        )

    @property
    def operand_types(self) -> tuple[Attribute, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The tensors that the op takes."""
        return self.operand_types_.data

    @property
    def result_types(self) -> tuple[Attribute, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The tensors that the op gives."""
        return self.result_types_.data

    @classmethod
    def parse(cls, parser: Parser) -> ExternOp:
        callee = parser.parse_str_literal()
        values = parser.parse_optional_attr_dict()

        def arrays() -> list[SSAValue]:
            names = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_unresolved_operand)
            return [_resolve_by_name(parser, n) for n in names]

        inputs = arrays()
        parser.parse_keyword("to")
        outputs = arrays()
        scratch = None
        if parser.parse_optional_keyword("scratch") is not None:
            scratch = _resolve_by_name(parser, parser.parse_unresolved_operand())
        parser.parse_punctuation(":")
        takes = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_type)
        parser.parse_punctuation("->")
        gives = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_type)
        return cls(callee, DictionaryAttr(values), takes, gives, inputs, outputs, scratch)

    def print(self, printer: Printer) -> None:
        printer.print_string(f' "{self.callee.data}"')
        printer.print_op_attributes(self.values.data)
        printer.print_string(" (")
        printer.print_list(self.inputs, printer.print_ssa_value)
        printer.print_string(") to (")
        printer.print_list(self.outputs_, printer.print_ssa_value)
        printer.print_string(")")
        if self.scratch is not None:
            printer.print_string(" scratch ")
            printer.print_ssa_value(self.scratch)
        printer.print_string(" : (")
        printer.print_list(self.operand_types, printer.print_attribute)
        printer.print_string(") -> (")
        printer.print_list(self.result_types, printer.print_attribute)
        printer.print_string(")")

    def verify_(self) -> None:
        if (len(self.inputs), len(self.outputs_)) != (len(self.operand_types), len(self.result_types)):
            raise VerifyException("kernel.extern has an array for each tensor that its op takes and gives")


@irdl_op_definition
class YieldOp(IRDLOperation):
    """Ends a region with its values: `kernel.yield %a, %b : f32, f32`."""

    name = "kernel.yield"

    values = var_operand_def()

    traits = traits_def(IsTerminator())
    assembly_format = "attr-dict ($values^ `:` type($values))?"

    def __init__(self, *values: SSAValue):
        super().__init__(operands=[list(values)])


@irdl_op_definition
class GroupOp(IRDLOperation):
    """Graph ops that will run as one unit, still in place; uses values from around it, yields what is used outside.

    %y = kernel.group "matmul_relu" -> tensor<32x128xf32> { ... kernel.yield %r : tensor<32x128xf32> }
    """

    name = "kernel.group"

    title = prop_def(StringAttr)
    results_ = var_result_def()
    body = region_def("single_block")

    traits = traits_def(Pure())
    assembly_format = "$title `->` type($results_) $body attr-dict"

    def __init__(self, title: str, result_types: Sequence[Attribute], body: Region):
        super().__init__(
            properties={"title": StringAttr(title)}, result_types=[list(result_types)], regions=[body]
        )


@irdl_op_definition
class LaunchOp(IRDLOperation):
    """Runs a kernel on tensors: `%y = kernel.launch @matmul_relu(%x, %w) : (...) -> tensor<32x128xf32>`.

    Operands are the kernel's `in` arguments in order, results its outputs. What is launched `once` depends on parameters
    and constants alone: it runs when they are set, and its results serve all runs.

        %p = kernel.launch once @panels(%w) : (tensor<64x128xf32>) -> tensor<4x64x32xf32>
    """

    name = "kernel.launch"

    callee = prop_def(SymbolRefAttr)
    once = opt_prop_def(UnitAttr)
    inputs = var_operand_def()
    results_ = var_result_def()

    traits = traits_def(Pure())
    assembly_format = (
        "(`once` $once^)? $callee `(` $inputs `)` attr-dict `:` functional-type($inputs, $results_)"
    )

    def __init__(
        self, callee: str, inputs: Sequence[SSAValue], result_types: Sequence[Attribute], once: bool = False
    ):
        super().__init__(
            operands=[list(inputs)],
            properties={"callee": SymbolRefAttr(callee)} | ({"once": UnitAttr()} if once else {}),
            result_types=[list(result_types)],
        )


Kernel = Dialect(
    "kernel",
    [
        DefOp,
        ReadOp,
        WriteOp,
        IndexOp,
        FloatToIntOp,
        ConvertOp,
        CompareOp,
        SelectOp,
        IntegerOp,
        RemfOp,
        RandomOp,
        ReduceOp,
        ScanOp,
        ExternOp,
        YieldOp,
        GroupOp,
        LaunchOp,
    ],
    [ArgAttr, AxesAttr, ScheduleAttr],
)
"""Symbolic dims and their ranges are in `dialects.syntax`; arrays are `!buffer.ref`."""

__all__ = [
    "ArgAttr",
    "DefOp",
    "ExternOp",
    "GroupOp",
    "IndexOp",
    "Kernel",
    "LaunchOp",
    "ReadOp",
    "ReduceOp",
    "ScanOp",
    "ScheduleAttr",
    "WriteOp",
    "YieldOp",
]
