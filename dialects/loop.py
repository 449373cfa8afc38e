"""The loop level: how a unit runs.

A `loop.func` is a kernel as an explicit nest. Loop variables are names, and bounds, indices and conditions are dim
expressions over them, so that an access can be analysed, moved and printed without chasing index arithmetic.
Values are scalars and n-D vectors; a register tile is a vector that a loop carries.

    loop.func @matmul (in %x: !buffer.ref<[28, 64], f32>, in %w: !buffer.ref<[64, 32], f32>, out %y: !buffer.ref<[28, 32], f32>) {
      loop.for i in 0 to 28 step 14 parallel {
        %zero = arith.constant dense<0.0> : vector<14x32xf32>
        %acc = loop.for k in 0 to 64 step 1 iter (%t = %zero : vector<14x32xf32>) {
          %a = loop.load %x[i, k] along [0] : vector<14xf32>
          %b = loop.load %w[k, 0] along [1] : vector<32xf32>
          %t1 = loop.contract %a, %b, %t : vector<14x32xf32>
          loop.yield %t1 : vector<14x32xf32>
        }
        loop.store %acc, %y[i, 0] along [0, 1] : vector<14x32xf32>
      }
    }

Every function is SPMD: all threads of a team run it; a `parallel` loop is split between them in contiguous chunks,
everything else is done by each; `loop.barrier` makes what one thread wrote visible to the others. `scratch` arrays
belong to one thread, `team` arrays to all of them, both live in the arena; `stack` arrays are small and on the stack.
`loop.prefetch` asks for memory before it is needed and changes no number.

A function that is mapped to a GPU has a `block` loop in place of the parallel one, and in it a `thread` loop: what a block
does, and what each of its threads does. A `shared` array belongs to a block, and `loop.barrier` joins its threads:

    loop.for b in 0 to 16 block {
      %s = loop.alloc : !buffer.ref<[32], f32, space = shared>
      loop.for t in 0 to 32 thread {
        %v = loop.load %x[b * 32 + t] : f32
        loop.store %v, %s[t] : f32
        loop.barrier
        %w = loop.load %s[31 - t] : f32
        loop.store %w, %y[b * 32 + t] : f32
      }
    }

What the level can no longer say: fields over axes. What it cannot say: where an array is placed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, TypeAlias

from xdsl.dialects.builtin import ArrayAttr, IntegerType, StringAttr, UnitAttr, VectorType
from xdsl.ir import Attribute, Block, Dialect, Region, SSAValue
from xdsl.irdl import (
    AnyAttr,
    IRDLOperation,
    VarConstraint,
    irdl_op_definition,
    operand_def,
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
from xdsl.traits import IsolatedFromAbove, IsTerminator, NoTerminator, Pure, SymbolOpInterface
from xdsl.utils.exceptions import VerifyException

from dialects.dims import ONE, ZERO, Dim, DimAttr, DimsAttr, dims_text, parse_dim, parse_dims
from dialects.kernel import ArgAttr, parse_signature, print_signature, resolve_by_name, verify_access
from dialects.loop_matrix import FRAGMENT, MATRIX_OPS, WARP, LoadMatrixOp
from dialects.loop_roles import verify_roles
from dialects.signature import verify_names, verify_outputs
from dialects.syntax import SymbolsAttr, parse_access, parse_name, parse_symbols, print_access, symbols_text
from dialects.types import RefType

ROLES = ("serial", "parallel", "unrolled", "vector", "block", "cluster", "thread", "warp", "lane")
"""What a loop is mapped to; serial is the default and is not printed."""


@irdl_op_definition
class FuncOp(IRDLOperation):
    """A kernel as a nest; arguments as in `kernel.def`. `title` says which ops it came from."""

    name = "loop.func"

    sym_name = prop_def(StringAttr)
    symbols = prop_def(SymbolsAttr)
    signature = prop_def(ArrayAttr[ArgAttr])
    body = region_def("single_block")

    traits = traits_def(IsolatedFromAbove(), SymbolOpInterface(), NoTerminator())

    def __init__(
        self,
        name: str,
        body: Region,
        signature: Sequence[ArgAttr],
        symbols: Sequence[tuple[str, int, int]] = (),
    ):
        super().__init__(
            properties={
                "sym_name": StringAttr(name),
                "symbols": SymbolsAttr(tuple(symbols)),
                "signature": ArrayAttr(signature),
            },
            regions=[body],
        )

    @property
    def block(self) -> Block:
        return self.body.block

    def allocs(self, space: str) -> list[AllocOp]:
        """The arrays that the function needs in a memory space."""
        return [op for op in self.body.walk() if isinstance(op, AllocOp) and op.ref_type.space.data == space]

    @classmethod
    def parse(cls, parser: Parser) -> FuncOp:
        name = parser.parse_symbol_name()
        symbols = parse_symbols(parser) if parser.parse_optional_keyword("symbols") is not None else ()
        args, signature = parse_signature(parser)
        attributes = parser.parse_optional_attr_dict_with_keyword()
        op = cls(name.data, parser.parse_region(args), signature.data, symbols)
        op.attributes.update(attributes.data if attributes else {})
        return op

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_symbol_name(self.sym_name.data)
        if self.symbols.data:
            printer.print_string(f" symbols {symbols_text(self.symbols.data)}")
        printer.print_string(" ")
        print_signature(printer, self.block.args, self.signature.data)
        printer.print_op_attributes(self.attributes, print_keyword=True)
        printer.print_string(" ")
        printer.print_region(self.body, print_entry_block_args=False, print_empty_block=False)

    def verify_(self) -> None:
        if len(self.signature.data) != len(self.block.args):
            raise VerifyException(
                f"{len(self.signature.data)} signature entries for {len(self.block.args)} arguments"
            )
        scope = {name for name, _, _ in self.symbols.data}
        verify_names(self.block, scope)
        verify_outputs(self.block, self.signature.data)
        work: list[tuple[Block, set[str]]] = [(self.block, scope)]
        while work:
            block, names = work.pop()
            for op in block.ops:
                _verify_names(op, names)
                inner = names | {op.variable} if isinstance(op, ForOp) else names
                if isinstance(op, ForOp) and op.variable in names:
                    raise VerifyException(f"loop variable {op.variable} is already in scope")
                work.extend((b, inner) for region in op.regions for b in region.blocks)
        verify_roles(self)


def _verify_names(op: object, names: set[str]) -> None:
    exprs: list[Dim] = []
    extra: set[str] = set()
    if isinstance(op, ForOp):
        exprs += [op.lower, op.upper, op.step]
    elif isinstance(op, IfOp):
        exprs += op.conditions.data
    elif isinstance(op, IndexOp):
        exprs += [op.expr.data]
    elif isinstance(op, LoadOp | StoreOp | PrefetchOp):
        exprs += [*op.index.data, *(op.valid.data if op.valid else ())]
        exprs += op.guard.data if isinstance(op, LoadOp) and op.guard else ()
        extra = {f"_{i}" for i in range(len(op.indices))}
    elif isinstance(op, AllocOp):
        exprs += op.ref_type.shape.data
    elif isinstance(op, MATRIX_OPS):
        exprs += [e for p in op.properties.values() if isinstance(p, DimsAttr) for e in p.data]
        extra = {FRAGMENT} if isinstance(op, LoadMatrixOp) else set()
    for expr in exprs:
        if unknown := expr.names() - names - extra:
            raise VerifyException(f"{expr} names {sorted(unknown)}: no loop variable or symbol in scope")


@irdl_op_definition
class ForOp(IRDLOperation):
    """A loop: `%r = loop.for k in 0 to 64 step 1 parallel iter (%t = %init : f32) { ... loop.yield %u : f32 }`.

    `unroll` asks the emitter to unroll fully (the IR stays rolled).
    """

    name = "loop.for"

    var = prop_def(StringAttr)
    lower_ = prop_def(DimAttr)
    upper_ = prop_def(DimAttr)
    step_ = prop_def(DimAttr)
    role = prop_def(StringAttr)
    inits = var_operand_def()
    results_ = var_result_def()
    body = region_def("single_block")

    traits = traits_def(NoTerminator())

    def __init__(
        self,
        var: str,
        lower: Dim | int,
        upper: Dim | int,
        body: Region | None = None,
        *,
        step: Dim | int = 1,
        role: str = "serial",
        inits: Sequence[SSAValue] = (),
    ):
        types = [v.type for v in inits]
        super().__init__(
            operands=[list(inits)],
            properties={
                "var": StringAttr(var),
                "lower_": DimAttr(Dim.of(lower)),
                "upper_": DimAttr(Dim.of(upper)),
                "step_": DimAttr(Dim.of(step)),
                "role": StringAttr(role),
            },
            result_types=[types],
            regions=[body or Region(Block(arg_types=types))],
        )

    @property
    def variable(self) -> str:
        return self.var.data

    @property
    def lower(self) -> Dim:
        return self.lower_.data

    @property
    def upper(self) -> Dim:
        return self.upper_.data

    @property
    def step(self) -> Dim:
        return self.step_.data

    @property
    def block(self) -> Block:
        return self.body.block

    @classmethod
    def parse(cls, parser: Parser) -> ForOp:
        var = parse_name(parser, "loop variable")
        parser.parse_keyword("in")
        lower = parse_dim(parser)
        parser.parse_keyword("to")
        upper = parse_dim(parser)
        step = parse_dim(parser) if parser.parse_optional_keyword("step") is not None else ONE
        role = next((r for r in ROLES if parser.parse_optional_keyword(r) is not None), "serial")
        args: list[Parser.Argument] = []
        inits: list[SSAValue] = []
        if parser.parse_optional_keyword("iter") is not None:

            def carried() -> None:
                name = parser.parse_unresolved_operand()
                parser.parse_punctuation("=")
                init = parser.parse_unresolved_operand()
                parser.parse_punctuation(":")
                type_ = parser.parse_type()
                inits.append(parser.resolve_operand(init, type_))
                args.append(Parser.UnresolvedArgument(name.span).resolve(type_))

            parser.parse_comma_separated_list(parser.Delimiter.PAREN, carried)
        return cls(var, lower, upper, parser.parse_region(args), step=step, role=role, inits=inits)

    def print(self, printer: Printer) -> None:
        printer.print_string(f" {self.variable} in {self.lower} to {self.upper}")
        if self.step != ONE:
            printer.print_string(f" step {self.step}")
        if self.role.data != "serial":
            printer.print_string(f" {self.role.data}")
        if self.inits:
            printer.print_string(" iter (")
            for i, (arg, init) in enumerate(zip(self.block.args, self.inits, strict=True)):
                printer.print_string(", " if i else "")
                printer.print_ssa_value(arg)
                printer.print_string(" = ")
                printer.print_ssa_value(init)
                printer.print_string(" : ")
                printer.print_attribute(init.type)
            printer.print_string(")")
        printer.print_string(" ")
        printer.print_region(self.body, print_entry_block_args=False, print_empty_block=False)

    def verify_(self) -> None:
        if self.role.data not in ROLES:
            raise VerifyException(f"unknown loop role {self.role.data}: expected one of {', '.join(ROLES)}")
        if (step := self.step.value) is not None and step <= 0:
            raise VerifyException(f"step {step} of loop {self.variable} is not positive")
        types = tuple(v.type for v in self.inits)
        if tuple(a.type for a in self.block.args) != types:
            raise VerifyException(f"loop {self.variable} carries {len(types)} values, its body takes others")
        last = self.block.last_op
        yielded = tuple(v.type for v in last.operands) if isinstance(last, YieldOp) else ()
        if yielded != types:
            raise VerifyException(
                f"loop {self.variable} yields ({', '.join(map(str, yielded))}), expected ({', '.join(map(str, types))})"
            )


@irdl_op_definition
class YieldOp(IRDLOperation):
    """The next carried values, or the results of a region: `loop.yield %a : f32`."""

    name = "loop.yield"

    values = var_operand_def()

    traits = traits_def(IsTerminator())
    assembly_format = "attr-dict ($values^ `:` type($values))?"

    def __init__(self, *values: SSAValue):
        super().__init__(operands=[list(values)])


@irdl_op_definition
class IfOp(IRDLOperation):
    """Runs its body where every expression is at least zero: `loop.if [n - 1 - i] { ... } else { ... }`."""

    name = "loop.if"

    conditions = prop_def(DimsAttr)
    then = region_def("single_block")
    otherwise = region_def("single_block")

    traits = traits_def(NoTerminator())

    def __init__(
        self, conditions: Sequence[Dim], then: Region | None = None, otherwise: Region | None = None
    ):
        super().__init__(
            properties={"conditions": DimsAttr(tuple(conditions))},
            regions=[then or Region(Block()), otherwise or Region(Block())],
        )

    @classmethod
    def parse(cls, parser: Parser) -> IfOp:
        conditions = parse_dims(parser)
        then = parser.parse_region()
        has_else = parser.parse_optional_keyword("else") is not None
        return cls(conditions, then, parser.parse_region() if has_else else None)

    def print(self, printer: Printer) -> None:
        printer.print_string(f" {dims_text(self.conditions.data)} ")
        printer.print_region(self.then, print_empty_block=False)
        if self.otherwise.block.first_op is not None:
            printer.print_string(" else ")
            printer.print_region(self.otherwise, print_empty_block=False)


def _print_vector_facts(printer: Printer, op: Access) -> None:
    if op.along is not None:
        printer.print_string(f" along {dims_text(op.along.data)}")
    if op.valid is not None:
        printer.print_string(f" valid {dims_text(op.valid.data)}")


def _parse_vector_facts(parser: Parser) -> dict[str, Attribute]:
    facts: dict[str, Attribute] = {}
    for name in ("along", "valid"):
        if parser.parse_optional_keyword(name) is not None:
            facts[name] = DimsAttr(parse_dims(parser))
    return facts


def _verify_vector(op: Access, type_: Attribute) -> None:
    rank = type_.get_num_dims() if isinstance(type_, VectorType) else 0
    along = op.along.data if op.along is not None else ()
    if len(along) != rank:
        raise VerifyException(
            f"a value of type {type_} names {rank} array dims after 'along', found {len(along)}"
        )
    for dim in along:
        if dim.value is None or not 0 <= dim.value < len(op.index.data):
            raise VerifyException(f"'along {dim}' is no dim of an array of rank {len(op.index.data)}")
    if op.valid is not None and len(op.valid.data) != rank:
        raise VerifyException(f"'valid' gives {len(op.valid.data)} counts for {rank} vector dims")
    element = type_.get_element_type() if isinstance(type_, VectorType) else type_
    array = op.array.type
    if isinstance(array, RefType) and array.element_type != element:
        raise VerifyException(f"{element} does not match an array of {array.element_type}")


@irdl_op_definition
class LoadOp(IRDLOperation):
    """Reads a scalar or a vector whose dims run along the named dims of the array.

        %v = loop.load %x[i, k] : f32
        %r = loop.load %x[i, j] along [1] valid [min(16, n - j)] : vector<16xf32>      // lanes past the count are zero
        %g = loop.load %x[i - 1, j] guard [i - 1] else 0.0 : f32 : f32                 // 0.0 where i - 1 < 0
        %t = loop.load %table[_0, j](%id) : f32                                        // indexed by a value

    A guard is uniform over a vector. Index operands are i64 scalars, or vectors for a gather (then one value per lane
    and `along []` does not apply: the result has the operand's shape).
    """

    name = "loop.load"

    array = operand_def(RefType)
    indices = var_operand_def()
    index = prop_def(DimsAttr)
    along = opt_prop_def(DimsAttr)
    valid = opt_prop_def(DimsAttr)
    guard = opt_prop_def(DimsAttr)
    otherwise = opt_prop_def(Attribute)
    result = result_def()

    def __init__(
        self,
        array: SSAValue,
        index: Sequence[Dim],
        *,
        shape: Sequence[int] = (),
        along: Sequence[int] = (),
        valid: Sequence[Dim] | None = None,
        guard: Sequence[Dim] | None = None,
        otherwise: Attribute | None = None,
        indices: Sequence[SSAValue] = (),
    ):
        type_ = array.type
        if not isinstance(type_, RefType):
            raise VerifyException(f"reads from {type_}, which is no array")
        element = type_.element_type
        properties: dict[str, Attribute] = {"index": DimsAttr(tuple(index))}
        if shape:
            properties["along"] = DimsAttr(tuple(Dim.of(a) for a in along))
        if valid is not None:
            properties["valid"] = DimsAttr(tuple(valid))
        if guard is not None:
            properties["guard"] = DimsAttr(tuple(guard))
        if otherwise is not None:
            properties["otherwise"] = otherwise
        super().__init__(
            operands=[array, list(indices)],
            properties=properties,
            result_types=[VectorType(element, shape) if shape else element],
        )

    @classmethod
    def parse(cls, parser: Parser) -> LoadOp:
        array, index, operands = parse_access(parser)
        facts = _parse_vector_facts(parser)
        guard = parse_dims(parser) if parser.parse_optional_keyword("guard") is not None else None
        otherwise = parser.parse_attribute() if parser.parse_optional_keyword("else") is not None else None
        parser.parse_punctuation(":")
        type_ = parser.parse_type()
        properties: dict[str, Attribute] = {"index": DimsAttr(index), **facts}
        if guard is not None:
            properties["guard"] = DimsAttr(guard)
        if otherwise is not None:
            properties["otherwise"] = otherwise
        values = [resolve_by_name(parser, array), *(resolve_by_name(parser, o) for o in operands)]
        return cls.create(operands=values, properties=properties, result_types=[type_])

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        print_access(printer, self.array, self.index.data, self.indices)
        _print_vector_facts(printer, self)
        if self.guard is not None:
            printer.print_string(f" guard {dims_text(self.guard.data)}")
        if self.otherwise is not None:
            printer.print_string(" else ")
            printer.print_attribute(self.otherwise)
        printer.print_string(" : ")
        printer.print_attribute(self.result.type)

    def verify_(self) -> None:
        verify_access(self.array, self.index.data)
        if not any(isinstance(v.type, VectorType) for v in self.indices):
            _verify_vector(self, self.result.type)
        if (self.guard is None) != (self.otherwise is None) and self.guard is not None:
            raise VerifyException("a guarded load names the value to take instead, after 'else'")


@irdl_op_definition
class StoreOp(IRDLOperation):
    """Writes a scalar or a vector: `loop.store %v, %y[i, j] along [0, 1] valid [min(14, n - i), 32] : vector<14x32xf32>`.

    `stream` asks for stores that bypass the cache.
    """

    name = "loop.store"

    value = operand_def()
    array = operand_def(RefType)
    indices = var_operand_def()
    index = prop_def(DimsAttr)
    along = opt_prop_def(DimsAttr)
    valid = opt_prop_def(DimsAttr)
    stream = opt_prop_def(UnitAttr)

    def __init__(
        self,
        value: SSAValue,
        array: SSAValue,
        index: Sequence[Dim],
        *,
        along: Sequence[int] = (),
        valid: Sequence[Dim] | None = None,
        indices: Sequence[SSAValue] = (),
        stream: bool = False,
    ):
        properties: dict[str, Attribute] = {"index": DimsAttr(tuple(index))}
        if isinstance(value.type, VectorType):
            properties["along"] = DimsAttr(tuple(Dim.of(a) for a in along))
        if valid is not None:
            properties["valid"] = DimsAttr(tuple(valid))
        if stream:
            properties["stream"] = UnitAttr()
        super().__init__(operands=[value, array, list(indices)], properties=properties)

    @classmethod
    def parse(cls, parser: Parser) -> StoreOp:
        value = parser.parse_unresolved_operand()
        parser.parse_punctuation(",")
        array, index, operands = parse_access(parser)
        facts = _parse_vector_facts(parser)
        if parser.parse_optional_keyword("stream") is not None:
            facts["stream"] = UnitAttr()
        parser.parse_punctuation(":")
        type_ = parser.parse_type()
        ssa = parser.resolve_operand(value, type_)
        values = [resolve_by_name(parser, array), *(resolve_by_name(parser, o) for o in operands)]
        return cls.create(operands=[ssa, *values], properties={"index": DimsAttr(index), **facts})

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_ssa_value(self.value)
        printer.print_string(", ")
        print_access(printer, self.array, self.index.data, self.indices)
        _print_vector_facts(printer, self)
        if self.stream is not None:
            printer.print_string(" stream")
        printer.print_string(" : ")
        printer.print_attribute(self.value.type)

    def verify_(self) -> None:
        verify_access(self.array, self.index.data)
        _verify_vector(self, self.value.type)


@irdl_op_definition
class PrefetchOp(IRDLOperation):
    """Asks for what a load would read, so that it is in the second-level cache by then; what it names is in the array.

        loop.prefetch %x[min(i + 1, n - 1), j] along [1] : vector<32xf32>
        loop.prefetch %table[_0, j](%id) along [1] valid [min(32, n - j)] : vector<32xf32>

    Lanes lie side by side in memory. Index operands are i64 scalars.
    """

    name = "loop.prefetch"

    array = operand_def(RefType)
    indices = var_operand_def()
    index = prop_def(DimsAttr)
    along = opt_prop_def(DimsAttr)
    valid = opt_prop_def(DimsAttr)
    covers = prop_def(Attribute)

    def __init__(
        self,
        array: SSAValue,
        index: Sequence[Dim],
        covers: Attribute,
        *,
        along: DimsAttr | None = None,
        valid: DimsAttr | None = None,
        indices: Sequence[SSAValue] = (),
    ):
        properties: dict[str, Attribute | None] = {"index": DimsAttr(tuple(index)), "covers": covers}
        super().__init__(
            operands=[array, list(indices)], properties={**properties, "along": along, "valid": valid}
        )

    @classmethod
    def parse(cls, parser: Parser) -> PrefetchOp:
        array, index, operands = parse_access(parser)
        facts = _parse_vector_facts(parser)
        parser.parse_punctuation(":")
        properties = {"index": DimsAttr(index), "covers": parser.parse_type(), **facts}
        values = [resolve_by_name(parser, array), *(resolve_by_name(parser, o) for o in operands)]
        return cls.create(operands=values, properties=properties)

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        print_access(printer, self.array, self.index.data, self.indices)
        _print_vector_facts(printer, self)
        printer.print_string(" : ")
        printer.print_attribute(self.covers)

    def verify_(self) -> None:
        verify_access(self.array, self.index.data)
        if any(isinstance(v.type, VectorType) for v in self.indices):
            raise VerifyException("asks for one place, and its index operand is a vector of them")
        _verify_vector(self, self.covers)
        if self.along is None or not isinstance(self.array.type, RefType):
            return
        if len(self.along.data) != 1:
            raise VerifyException(f"asks for one row of lanes, and {self.covers} has several")
        dim = self.along.data[0].value or 0
        if (stride := self.array.type.strides.data[dim]) != ONE:
            raise VerifyException(
                f"asks for lanes side by side, and those along dim {dim} lie {stride} elements apart"
            )


Access: TypeAlias = LoadOp | StoreOp | PrefetchOp
"""What names elements of an array."""


@irdl_op_definition
class AllocOp(IRDLOperation):
    """An array of the function's own: `%p = loop.alloc : !buffer.ref<[256, 32], f32, space = scratch>`.

    scratch: one for each thread, in the arena; team: one for all; stack: one for each thread, small, of constant size;
    shared: one for each block of a GPU, of constant size, gone when the block ends.
    """

    name = "loop.alloc"

    result = result_def(RefType)

    assembly_format = "attr-dict `:` type($result)"

    def __init__(self, type_: RefType):
        super().__init__(result_types=[type_])

    @property
    def ref_type(self) -> RefType:
        type_ = self.result.type
        assert isinstance(type_, RefType)
        return type_


@irdl_op_definition
class ContractOp(IRDLOperation):
    """acc[m, n] + a[m] * b[n]: `%t1 = loop.contract %a, %b, %t : vector<14x32xf32>`. A target legalises it."""

    name = "loop.contract"

    T: ClassVar = VarConstraint("T", AnyAttr())

    lhs = operand_def()
    rhs = operand_def()
    acc = operand_def(T)
    result = result_def(T)

    traits = traits_def(Pure())

    def __init__(self, lhs: SSAValue, rhs: SSAValue, acc: SSAValue):
        super().__init__(operands=[lhs, rhs, acc], result_types=[acc.type])

    @classmethod
    def parse(cls, parser: Parser) -> ContractOp:
        names = [parser.parse_unresolved_operand()]
        for _ in range(2):
            parser.parse_punctuation(",")
            names.append(parser.parse_unresolved_operand())
        parser.parse_punctuation(":")
        tile = parser.parse_type()
        if not isinstance(tile, VectorType) or tile.get_num_dims() != 2:
            parser.raise_error("expected a vector type of two dims")
        m, n = tile.get_shape()
        element = tile.get_element_type()
        types = [VectorType(element, [m]), VectorType(element, [n]), tile]
        return cls(*(parser.resolve_operand(o, t) for o, t in zip(names, types, strict=True)))

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_list(self.operands, printer.print_ssa_value)
        printer.print_string(" : ")
        printer.print_attribute(self.acc.type)

    def verify_(self) -> None:
        tile = self.acc.type
        if not isinstance(tile, VectorType) or tile.get_num_dims() != 2:
            raise VerifyException(f"accumulates into {tile}, expected a vector of two dims")
        m, n = tile.get_shape()
        element = tile.get_element_type()
        if self.lhs.type != VectorType(element, [m]) or self.rhs.type != VectorType(element, [n]):
            raise VerifyException(f"{self.lhs.type} and {self.rhs.type} do not multiply into {tile}")


@irdl_op_definition
class BroadcastOp(IRDLOperation):
    """A scalar or vector repeated: `%t = loop.broadcast %row along [1] : vector<32xf32> to vector<14x32xf32>`.

    `along` gives the result dim of each operand dim.
    """

    name = "loop.broadcast"

    value = operand_def()
    along = prop_def(DimsAttr)
    result = result_def(VectorType)

    traits = traits_def(Pure())

    def __init__(self, value: SSAValue, shape: Sequence[int], along: Sequence[int] = ()):
        element = value.type.get_element_type() if isinstance(value.type, VectorType) else value.type
        super().__init__(
            operands=[value],
            properties={"along": DimsAttr(tuple(Dim.of(a) for a in along))},
            result_types=[VectorType(element, shape)],
        )

    @classmethod
    def parse(cls, parser: Parser) -> BroadcastOp:
        name = parser.parse_unresolved_operand()
        parser.parse_keyword("along")
        along = parse_dims(parser)
        parser.parse_punctuation(":")
        source = parser.parse_type()
        parser.parse_keyword("to")
        target = parser.parse_type()
        value = parser.resolve_operand(name, source)
        return cls.create(operands=[value], properties={"along": DimsAttr(along)}, result_types=[target])

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_ssa_value(self.value)
        printer.print_string(f" along {dims_text(self.along.data)} : ")
        printer.print_attribute(self.value.type)
        printer.print_string(" to ")
        printer.print_attribute(self.result.type)

    def verify_(self) -> None:
        source = self.value.type
        shape = source.get_shape() if isinstance(source, VectorType) else ()
        target = self.result.type
        assert isinstance(target, VectorType)
        if len(shape) != len(self.along.data):
            raise VerifyException(f"'along' names {len(self.along.data)} dims for a value of type {source}")
        for size, dim in zip(shape, self.along.data, strict=True):
            shape_at = dict(enumerate(target.get_shape()))
            if dim.value is None or shape_at.get(dim.value) != size:
                raise VerifyException(f"{source} does not run along dim {dim} of {target}")


@irdl_op_definition
class IndexOp(IRDLOperation):
    """The value of an expression, as i64: `%n = loop.index i * 2 : i64`.

    As a vector, lane l of the last dim is the value plus l times the stride: `%v = loop.index j by 1 : vector<16xi64>`.
    """

    name = "loop.index"

    expr = prop_def(DimAttr)
    stride = prop_def(DimAttr)
    result = result_def()

    traits = traits_def(Pure())

    def __init__(self, expr: Dim, shape: Sequence[int] = (), stride: Dim = ZERO):
        element = IntegerType(64)
        super().__init__(
            properties={"expr": DimAttr(expr), "stride": DimAttr(stride)},
            result_types=[VectorType(element, shape) if shape else element],
        )

    @classmethod
    def parse(cls, parser: Parser) -> IndexOp:
        expr = parse_dim(parser)
        stride = parse_dim(parser) if parser.parse_optional_keyword("by") is not None else ZERO
        parser.parse_punctuation(":")
        type_ = parser.parse_type()
        return cls.create(properties={"expr": DimAttr(expr), "stride": DimAttr(stride)}, result_types=[type_])

    def print(self, printer: Printer) -> None:
        printer.print_string(f" {self.expr.data}")
        if self.stride.data != ZERO:
            printer.print_string(f" by {self.stride.data}")
        printer.print_string(" : ")
        printer.print_attribute(self.result.type)


@irdl_op_definition
class FoldOp(IRDLOperation):
    """Combines the lanes of a tuple of vectors into a tuple of scalars, in a fixed tree, by an associative region.

    %m, %l = loop.fold (%vm, %vl) : (vector<16xf32>, vector<16xf32>) {
    ^bb0(%m0: f32, %l0: f32, %m1: f32, %l1: f32):
      ... loop.yield %m2, %l2 : f32, f32
    }
    """

    name = "loop.fold"

    inputs = var_operand_def()
    results_ = var_result_def()
    combine = region_def("single_block")

    traits = traits_def(Pure())

    def __init__(self, inputs: Sequence[SSAValue], combine: Region):
        types = [v.type.get_element_type() for v in inputs if isinstance(v.type, VectorType)]
        super().__init__(operands=[list(inputs)], result_types=[types], regions=[combine])

    @classmethod
    def parse(cls, parser: Parser) -> FoldOp:
        names = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_unresolved_operand)
        parser.parse_punctuation(":")
        types = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_type)
        return cls(parser.resolve_operands(names, types, parser.pos), parser.parse_region())

    def print(self, printer: Printer) -> None:
        printer.print_string(" (")
        printer.print_list(self.inputs, printer.print_ssa_value)
        printer.print_string(") : (")
        printer.print_list([v.type for v in self.inputs], printer.print_attribute)
        printer.print_string(") ")
        printer.print_region(self.combine)

    def verify_(self) -> None:
        scalars = [r.type for r in self.results]
        if len(scalars) != len(self.inputs):
            raise VerifyException("every operand of loop.fold is a vector")
        if [a.type for a in self.combine.block.args] != scalars * 2:
            raise VerifyException("the region takes two tuples of lanes")


@irdl_op_definition
class FoldThreadsOp(IRDLOperation):
    """Combines what neighbouring threads of a block hold, in a fixed tree; each of them gets the result.

    %m, %l = loop.fold_threads (%m0, %l0) of 32 : (f32, f32) {
    ^bb0(%a: f32, %b: f32, %c: f32, %d: f32):
      ... loop.yield %m2, %l2 : f32, f32
    }

    Threads t with the same t floordiv 32 are a group; its size is a power of two, and no more than a warp. In the region
    the tuple of the lower thread comes first.
    """

    name = "loop.fold_threads"

    MOST: ClassVar = WARP

    inputs = var_operand_def()
    size = prop_def(DimAttr)
    results_ = var_result_def()
    combine = region_def("single_block")

    def __init__(self, inputs: Sequence[SSAValue], size: int, combine: Region):
        super().__init__(
            operands=[list(inputs)],
            properties={"size": DimAttr(Dim.of(size))},
            result_types=[[v.type for v in inputs]],
            regions=[combine],
        )

    @property
    def threads(self) -> int:
        """Threads of a group."""
        return self.size.data.value or 0

    @classmethod
    def parse(cls, parser: Parser) -> FoldThreadsOp:
        names = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_unresolved_operand)
        parser.parse_keyword("of")
        size = parser.parse_integer()
        parser.parse_punctuation(":")
        types = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_type)
        return cls(parser.resolve_operands(names, types, parser.pos), size, parser.parse_region())

    def print(self, printer: Printer) -> None:
        printer.print_string(" (")
        printer.print_list(self.inputs, printer.print_ssa_value)
        printer.print_string(f") of {self.size.data} : (")
        printer.print_list([v.type for v in self.inputs], printer.print_attribute)
        printer.print_string(") ")
        printer.print_region(self.combine)

    def verify_(self) -> None:
        size, types = self.threads, [v.type for v in self.inputs]
        if not 0 < size <= self.MOST or size & (size - 1):
            raise VerifyException(
                f"joins groups of {self.size.data} threads: expected 1, 2, 4, ... {self.MOST}"
            )
        if any(isinstance(t, VectorType) for t in types):
            raise VerifyException("joins scalars: fold the lanes of vectors first")
        if [r.type for r in self.results] != types or [a.type for a in self.combine.block.args] != types * 2:
            raise VerifyException("the region takes the tuples of two threads")


@irdl_op_definition
class BarrierOp(IRDLOperation):
    """All threads of the team arrive here before any goes on; in a `thread` loop, all threads of the block."""

    name = "loop.barrier"
    assembly_format = "attr-dict"


Loop = Dialect(
    "loop",
    [
        FuncOp,
        ForOp,
        YieldOp,
        IfOp,
        LoadOp,
        StoreOp,
        PrefetchOp,
        AllocOp,
        ContractOp,
        BroadcastOp,
        IndexOp,
        FoldOp,
        FoldThreadsOp,
        BarrierOp,
        *MATRIX_OPS,
    ],
    [],
)
