"""The buffer level: where and when.

A `buffer.program` is the host program after planning. Its arguments are the caller's arrays; every other array is a
view at a byte offset of one arena. Offsets are dim expressions; the arena is sized at the maximum of the symbols.

    buffer.program @mlp (in %x: !buffer.ref<[32, 64], f32>, in %w: !buffer.ref<[64, 10], f32>, out %y: !buffer.ref<[32, 10], f32>)
        attributes {arena_bytes = #dim.expr<8192>, ...} {
      %h = buffer.view 0 : !buffer.ref<[32, 10], f32>
      buffer.call @matmul (%x, %w, %h)
      buffer.barrier
      buffer.call @softmax (%h, %y)
    }

The program is SPMD like the kernels it calls: every thread walks all of it. No tensor values are left.

What depends on parameters alone stands in `buffer.once`, ahead of all other work. It runs when the parameters are set, and
what it leaves in the memory `prepared`, which belongs to the program like the arena, is read by all runs after that:

    %p = buffer.view prepared 0 : !buffer.ref<[1, 64, 16], f32>
    buffer.once {
      buffer.call @panels (%w, %p)
    }
    buffer.call @matmul (%x, %p, %h)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, IntegerType, StringAttr, SymbolRefAttr, UnitAttr
from xdsl.ir import Attribute, Block, Dialect, Region, SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    IRDLOperation,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    prop_def,
    region_def,
    result_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import IsolatedFromAbove, NoTerminator, Pure, SymbolOpInterface
from xdsl.utils.exceptions import VerifyException

from dialects.dims import ZERO, Dim, DimAttr, DimsAttr, parse_dim
from dialects.kernel import ArgAttr, parse_signature, print_signature, resolve_by_name
from dialects.signature import verify_names, verify_outputs
from dialects.syntax import SymbolsAttr, parse_symbols, symbols_text
from dialects.types import DTYPES, RefType, SpaceAttr, ref

KINDS = ("input", "param", "state", "output")
"""Of arguments: `state` is what runs keep from one to the next beside the parameters, as a momentum."""


@irdl_op_definition
class ProgramOp(IRDLOperation):
    """The planned host program. `interface` describes each argument: {name, kind = input | param | state | output, dtype, source},
    and `updated`, the number of the function's result that an argument holds after a run.

    Attributes that the planner writes: arena_bytes (all of the arena but thread scratch), scratch_bytes (for each
    thread), peak_bytes and lower_bound_bytes (live bytes of intermediates: as placed, and the least possible),
    prepared_bytes (what `buffer.once` leaves; not printed where it is 0).
    """

    name = "buffer.program"

    sym_name = prop_def(StringAttr)
    symbols = prop_def(SymbolsAttr)
    signature = prop_def(ArrayAttr[ArgAttr])
    interface = prop_def(ArrayAttr)
    arena_bytes = prop_def(DimAttr)
    scratch_bytes = prop_def(DimAttr)
    peak_bytes = prop_def(DimAttr)
    lower_bound_bytes = prop_def(DimAttr)
    prepared_bytes = prop_def(DimAttr)
    body = region_def("single_block")

    traits = traits_def(IsolatedFromAbove(), SymbolOpInterface(), NoTerminator())

    _FACTS: ClassVar = ("arena_bytes", "scratch_bytes", "peak_bytes", "lower_bound_bytes", "prepared_bytes")

    def __init__(
        self,
        name: str,
        body: Region,
        signature: Sequence[ArgAttr],
        interface: Sequence[Attribute],
        symbols: Sequence[tuple[str, int, int]] = (),
        **facts: Dim | int,
    ):
        super().__init__(
            properties={
                "sym_name": StringAttr(name),
                "symbols": SymbolsAttr(tuple(symbols)),
                "signature": ArrayAttr(signature),
                "interface": ArrayAttr(interface),
                **{f: DimAttr(Dim.of(facts.get(f, 0))) for f in self._FACTS},
            },
            regions=[body],
        )

    @property
    def block(self) -> Block:
        return self.body.block

    @property
    def once(self) -> OnceOp | None:
        """What runs when the parameters are set."""
        return next((op for op in self.block.ops if isinstance(op, OnceOp)), None)

    @classmethod
    def parse(cls, parser: Parser) -> ProgramOp:
        name = parser.parse_symbol_name()
        symbols = parse_symbols(parser) if parser.parse_optional_keyword("symbols") is not None else ()
        args, signature = parse_signature(parser)
        facts: dict[str, Dim] = {}
        for fact in cls._FACTS:
            if parser.parse_optional_keyword(fact) is not None:
                facts[fact] = parse_dim(parser)
        parser.parse_keyword("interface")
        interface = parser.parse_attribute()
        if not isinstance(interface, ArrayAttr):
            parser.raise_error("expected the list of argument descriptions after 'interface'")
        return cls(name.data, parser.parse_region(args), signature.data, interface.data, symbols, **facts)

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_symbol_name(self.sym_name.data)
        if self.symbols.data:
            printer.print_string(f" symbols {symbols_text(self.symbols.data)}")
        printer.print_string(" ")
        print_signature(printer, self.block.args, self.signature.data)
        for fact in self._FACTS:
            if fact != "prepared_bytes" or self.prepared_bytes.data != ZERO:
                printer.print_string(f" {fact} {getattr(self, fact).data}")
        printer.print_string(" interface ")
        printer.print_attribute(self.interface)
        printer.print_string(" ")
        printer.print_region(self.body, print_entry_block_args=False, print_empty_block=False)

    def verify_(self) -> None:
        if len({len(self.signature), len(self.interface), len(self.block.args)}) != 1:
            raise VerifyException("signature and interface describe each argument once")
        for number, facts in enumerate(self.interface.data):
            _verify_interface(number, facts)
        symbols = {n for n, _, _ in self.symbols.data}
        verify_names(self.block, symbols)
        verify_outputs(self.block, self.signature.data)
        for op in self.body.walk():
            if isinstance(op, ViewOp) and (unknown := op.offset.data.names() - symbols):
                raise VerifyException(
                    f"offset {op.offset.data} names {sorted(unknown)}, which are no symbols of the program"
                )


def _verify_interface(number: int, facts: Attribute) -> None:
    """An argument has a name, a kind and a dtype."""
    found = facts.data if isinstance(facts, DictionaryAttr) else {}
    texts = {key: value.data for key, value in found.items() if isinstance(value, StringAttr)}
    if not texts.get("name", "").isidentifier():
        raise VerifyException(f"interface entry {number} has no name that is an identifier")
    if texts.get("kind") not in KINDS:
        raise VerifyException(f"interface entry {number} has no kind, one of {', '.join(KINDS)}")
    if not texts.get("updated", "0").isdecimal():
        raise VerifyException(f"interface entry {number} is updated by no number of a result")
    if texts.get("dtype") not in DTYPES:
        raise VerifyException(f"interface entry {number} has no dtype, one of {', '.join(DTYPES)}")


@irdl_op_definition
class ViewOp(IRDLOperation):
    """An array at a byte offset of the arena: `%h = buffer.view 4096 : !buffer.ref<[32, 128], f32>`; or of the memory that
    runs only read: `%p = buffer.view prepared 0 : !buffer.ref<[4, 64, 32], f32>`."""

    name = "buffer.view"

    offset = prop_def(DimAttr)
    prepared = opt_prop_def(UnitAttr)
    result = result_def(RefType)

    traits = traits_def(Pure())

    def __init__(self, offset: Dim | int, type_: RefType, prepared: bool = False):
        super().__init__(
            properties={"offset": DimAttr(Dim.of(offset))} | ({"prepared": UnitAttr()} if prepared else {}),
            result_types=[type_],
        )

    @classmethod
    def parse(cls, parser: Parser) -> ViewOp:
        prepared = parser.parse_optional_keyword("prepared") is not None
        offset = parse_dim(parser)
        parser.parse_punctuation(":")
        return cls(offset, parser.parse_type(), prepared)  # pyright: ignore[reportArgumentType]

    def print(self, printer: Printer) -> None:
        printer.print_string(" prepared" if self.prepared is not None else "")
        printer.print_string(f" {self.offset.data} : ")
        printer.print_attribute(self.result.type)


@irdl_op_definition
class ReshapeOp(IRDLOperation):
    """The same contiguous memory with other dims: `%v = buffer.reshape %a : !buffer.ref<[64], f32>`."""

    name = "buffer.reshape"

    source = operand_def(RefType)
    result = result_def(RefType)

    traits = traits_def(Pure())

    def __init__(self, source: SSAValue, type_: RefType):
        super().__init__(operands=[source], result_types=[type_])

    @classmethod
    def parse(cls, parser: Parser) -> ReshapeOp:
        name = parser.parse_unresolved_operand()
        parser.parse_punctuation(":")
        return cls(resolve_by_name(parser, name), parser.parse_type())  # pyright: ignore[reportArgumentType]

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_ssa_value(self.source)
        printer.print_string(" : ")
        printer.print_attribute(self.result.type)


@irdl_op_definition
class ConstantOp(IRDLOperation):
    """Constant data of the program: `%c = buffer.constant dense<[1.0, 2.0]> : tensor<2xf32> as !buffer.ref<[2], f32>`."""

    name = "buffer.constant"

    value = prop_def(Attribute)
    result = result_def(RefType)

    traits = traits_def(Pure())
    assembly_format = "$value `as` type($result) attr-dict"

    def __init__(self, value: Attribute, type_: RefType):
        super().__init__(properties={"value": value}, result_types=[type_])


@irdl_op_definition
class CallOp(IRDLOperation):
    """Runs a kernel on arrays: `buffer.call @matmul (%x, %w, %h)`; with `team 4096` the kernel's team arrays start at that offset.

    Arguments follow the kernel's signature; the program's symbols of the same names are passed along.
    """

    name = "buffer.call"

    callee = prop_def(SymbolRefAttr)
    args_ = var_operand_def()
    team = opt_prop_def(DimAttr)

    def __init__(self, callee: str, args: Sequence[SSAValue], team: Dim | None = None):
        super().__init__(
            operands=[list(args)],
            properties={"callee": SymbolRefAttr(callee)} | ({} if team is None else {"team": DimAttr(team)}),
        )

    @classmethod
    def parse(cls, parser: Parser) -> CallOp:
        callee = parser.parse_symbol_name()
        names = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_unresolved_operand)
        team = parse_dim(parser) if parser.parse_optional_keyword("team") is not None else None
        return cls(callee.data, [resolve_by_name(parser, n) for n in names], team)

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_symbol_name(self.callee.root_reference.data)
        printer.print_string(" (")
        printer.print_list(self.args_, printer.print_ssa_value)
        printer.print_string(")")
        if self.team is not None:
            printer.print_string(f" team {self.team.data}")


@irdl_op_definition
class CopyOp(IRDLOperation):
    """Copies a contiguous array: `buffer.copy %a to %b`. Split between the threads."""

    name = "buffer.copy"

    source = operand_def(RefType)
    target = operand_def(RefType)

    def __init__(self, source: SSAValue, target: SSAValue):
        super().__init__(operands=[source, target])

    @classmethod
    def parse(cls, parser: Parser) -> CopyOp:
        source = parser.parse_unresolved_operand()
        parser.parse_keyword("to")
        return cls(
            resolve_by_name(parser, source), resolve_by_name(parser, parser.parse_unresolved_operand())
        )

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_ssa_value(self.source)
        printer.print_string(" to ")
        printer.print_ssa_value(self.target)


@irdl_op_definition
class OnceOp(IRDLOperation):
    """What runs when the parameters are set, and not in each run: `buffer.once { buffer.call @panels (%w, %p) }`.

    It stands ahead of all calls, copies and loops of its program, and holds calls, copies and their views alone.
    """

    name = "buffer.once"

    body = region_def("single_block")

    traits = traits_def(NoTerminator())
    assembly_format = "$body attr-dict"

    def __init__(self, body: Region):
        super().__init__(regions=[body])

    @property
    def block(self) -> Block:
        return self.body.block

    def verify_(self) -> None:
        for op in self.block.ops:
            if not isinstance(op, CallOp | CopyOp | BarrierOp | ViewOp | ReshapeOp):
                raise VerifyException(f"buffer.once holds calls and copies, and no {op.name}")
        if not isinstance(self.parent_op(), ProgramOp):
            raise VerifyException("buffer.once is no part of a loop: it stands in a program")
        before = self.prev_op
        while before is not None:
            if not isinstance(before, ViewOp | ReshapeOp | ConstantOp):
                raise VerifyException(
                    f"buffer.once stands behind {before.name}, and is the first work of a program"
                )
            before = before.prev_op


@irdl_op_definition
class BarrierOp(IRDLOperation):
    """All threads of the team arrive here before any goes on."""

    name = "buffer.barrier"
    assembly_format = "attr-dict"


@irdl_op_definition
class ForOp(IRDLOperation):
    """A counted loop over tasks.

        %r = buffer.for %t in 0 to 100 carry (%cur : %next = %a swap %b) { ... }     // ping-pong
        %r = buffer.for %t in 0 to %n carry (%cur = %a) { ... }                      // in place; bound from a rank-0 array

    Body arguments: the induction variable as `!buffer.ref<[], i64>`, then for each carried value the array that holds
    it, and with `swap` the array that receives the next one; the two change places after each iteration. Results are
    the arrays that hold the values after the last iteration.
    """

    name = "buffer.for"

    lower = prop_def(DimAttr)
    upper = prop_def(DimAttr)
    lower_ref = opt_operand_def(RefType)
    upper_ref = opt_operand_def(RefType)
    carried = var_operand_def(RefType)
    spare = var_operand_def(RefType)
    swaps = prop_def(DimsAttr)
    results_ = var_result_def(RefType)
    body = region_def("single_block")

    irdl_options = (AttrSizedOperandSegments(as_property=True),)
    traits = traits_def(NoTerminator())

    def __init__(
        self,
        lower: Dim | SSAValue,
        upper: Dim | SSAValue,
        carried: Sequence[SSAValue],
        spare: Sequence[SSAValue | None],
        body: Region,
    ):
        """`spare` has an entry for each carried value, None where it is updated in place."""
        super().__init__(
            operands=[
                [lower] if isinstance(lower, SSAValue) else [],
                [upper] if isinstance(upper, SSAValue) else [],
                list(carried),
                [s for s in spare if s is not None],
            ],
            properties={
                "lower": DimAttr(ZERO if isinstance(lower, SSAValue) else lower),
                "upper": DimAttr(ZERO if isinstance(upper, SSAValue) else upper),
                "swaps": DimsAttr(tuple(Dim.of(int(s is not None)) for s in spare)),
            },
            result_types=[[v.type for v in carried]],
            regions=[body],
        )

    @property
    def block(self) -> Block:
        return self.body.block

    def carries(self) -> list[Carry]:
        """Each carried value with its initial and spare array and its body arguments."""
        args = iter(self.block.args[1:])
        spares = iter(self.spare)
        out: list[Carry] = []
        for init, swap in zip(self.carried, self.swaps.data, strict=True):
            current = next(args)
            out.append(
                Carry(init, next(spares), current, next(args))
                if swap.value
                else Carry(init, None, current, None)
            )
        return out

    @classmethod
    def parse(cls, parser: Parser) -> ForOp:
        def bound() -> Dim | SSAValue:
            name = parser.parse_optional_unresolved_operand()
            return resolve_by_name(parser, name) if name is not None else parse_dim(parser)

        args = [parser.parse_argument(expect_type=False).resolve(ref(IntegerType(64), []))]
        parser.parse_keyword("in")
        lower = bound()
        parser.parse_keyword("to")
        upper = bound()
        carried: list[SSAValue] = []
        spare: list[SSAValue | None] = []

        def carry() -> None:
            current = parser.parse_argument(expect_type=False)
            following = (
                parser.parse_argument(expect_type=False) if parser.parse_optional_punctuation(":") else None
            )
            parser.parse_punctuation("=")
            init = resolve_by_name(parser, parser.parse_unresolved_operand())
            carried.append(init)
            args.append(current.resolve(init.type))
            if following is not None:
                parser.parse_keyword("swap")
                args.append(following.resolve(init.type))
                spare.append(resolve_by_name(parser, parser.parse_unresolved_operand()))
            else:
                spare.append(None)

        if parser.parse_optional_keyword("carry") is not None:
            parser.parse_comma_separated_list(parser.Delimiter.PAREN, carry)
        return cls(lower, upper, carried, spare, parser.parse_region(args))

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_ssa_value(self.block.args[0])
        printer.print_string(" in ")
        self._print_bound(printer, self.lower_ref, self.lower)
        printer.print_string(" to ")
        self._print_bound(printer, self.upper_ref, self.upper)
        if self.carried:
            printer.print_string(" carry (")
            printer.print_list(self.carries(), lambda c: c.print(printer))
            printer.print_string(")")
        printer.print_string(" ")
        printer.print_region(self.body, print_entry_block_args=False, print_empty_block=False)

    @staticmethod
    def _print_bound(printer: Printer, array: SSAValue | None, dim: DimAttr) -> None:
        if array is None:
            printer.print_string(str(dim.data))
        else:
            printer.print_ssa_value(array)

    def verify_(self) -> None:
        swaps = sum(s.value or 0 for s in self.swaps.data)
        if len(self.swaps.data) != len(self.carried) or swaps != len(self.spare):
            raise VerifyException("each carried value is updated in place or has one array to swap with")
        if len(self.block.args) != 1 + len(self.carried) + swaps:
            raise VerifyException("body arguments are the induction variable and the carried arrays")


@irdl_op_definition
class LeaveOp(IRDLOperation):
    """Ends the loop that it stands in at once, before anything else of the iteration: `buffer.leave unless %go`.

    %go is an array of rank 0 that holds a bool; it is the first op of a loop's body.
    """

    name = "buffer.leave"

    condition = operand_def(RefType)

    def __init__(self, condition: SSAValue):
        super().__init__(operands=[condition])

    @classmethod
    def parse(cls, parser: Parser) -> LeaveOp:
        parser.parse_keyword("unless")
        return cls(resolve_by_name(parser, parser.parse_unresolved_operand()))

    def print(self, printer: Printer) -> None:
        printer.print_string(" unless ")
        printer.print_ssa_value(self.condition)

    def verify_(self) -> None:
        type_ = self.condition.type
        assert isinstance(type_, RefType)
        if type_.rank or type_.element_type != IntegerType(1):
            raise VerifyException(f"leaves a loop unless {type_}, expected one bool")
        block = self.parent
        if (
            block is None
            or block.first_op not in (self, self.prev_op)
            or not isinstance(block.parent_op(), ForOp)
        ):
            raise VerifyException("buffer.leave is not the first op of a loop's body")


@dataclass(frozen=True)
class Carry:
    """A value that a loop carries: initial array, array to swap with, and the body arguments for the two."""

    init: SSAValue
    spare: SSAValue | None
    current: SSAValue
    following: SSAValue | None

    def print(self, printer: Printer) -> None:
        printer.print_ssa_value(self.current)
        if self.following is not None:
            printer.print_string(" : ")
            printer.print_ssa_value(self.following)
        printer.print_string(" = ")
        printer.print_ssa_value(self.init)
        if self.spare is not None:
            printer.print_string(" swap ")
            printer.print_ssa_value(self.spare)


Buffer = Dialect(
    "buffer",
    [ProgramOp, ViewOp, ReshapeOp, ConstantOp, CallOp, CopyOp, OnceOp, BarrierOp, ForOp, LeaveOp],
    [RefType, SpaceAttr],
)
