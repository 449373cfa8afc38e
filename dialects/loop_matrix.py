"""Ops of the loop level for tensor cores: products of matrices that the threads of a warp hold together, and copies to shared
memory that go on while threads compute.

A fragment is a thread's part of a 16 x 16 matrix that its warp holds (16 x 8 and 8 x 16 for f32 factors), in the layout that
the instruction `mma.sync` has (PTX ISA, "Matrix fragments for mma.m16n8k16"). With l = t mod 32, the lane:

    lhs (rows x k), 8 elements e:  row l floordiv 4 + e floordiv 2 mod 2 * 8, k (l mod 4) * 2 + e floordiv 4 * 8 + e mod 2
    rhs (k x columns), 8 elements: column l floordiv 4 + e floordiv 4 * 8, k (l mod 4) * 2 + e floordiv 2 mod 2 * 8 + e mod 2
    sum (rows x columns), [q, p]:  row l floordiv 4 + q mod 2 * 8, column (l mod 4) * 2 + q floordiv 2 * 8 + p
    of f32 factors, 4 elements:    lhs row l floordiv 4 + e mod 2 * 8, k l mod 4 + e floordiv 2 * 4
                                   rhs column l floordiv 4 + e floordiv 2 * 8, k l mod 4 + e mod 2 * 4

So the elements of a sum are, in order, those of an lhs.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import ClassVar

from xdsl.dialects.builtin import BFloat16Type, Float16Type, Float32Type, UnitAttr, VectorType
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from dialects.dims import Dim, DimAttr, DimsAttr, dims_text, parse_dims
from dialects.kernel import resolve_by_name, verify_access
from dialects.syntax import parse_access, print_access
from dialects.types import RefType, element_bytes, element_of, shape_of

WARP = 32
"""Threads that hold a matrix together."""

FRAGMENT = "_0"
"""The number of a fragment, in the index of what reads it."""


def fragment_elements(element: Attribute) -> int | None:
    """The elements that a thread has of a factor; None where there is no instruction for their type."""
    if isinstance(element, BFloat16Type | Float16Type):
        return 8
    return 4 if isinstance(element, Float32Type) else None


@irdl_op_definition
class MmaOp(IRDLOperation):
    """Adds the products of fragments: acc[i, j] += lhs[i] @ rhs[j], each of them a matrix that a warp holds.

        %t1 = loop.mma %a, %b, %t : vector<4x8xbf16>, vector<2x8xbf16>, vector<4x2x4x2xf32>

    Factors are f16, bf16 or f32, of which the instruction reads the first 19 bits (tf32); sums are f32. All threads of a
    warp get here together.
    """

    name = "loop.mma"

    lhs = operand_def(VectorType)
    rhs = operand_def(VectorType)
    acc = operand_def(VectorType)
    result = result_def(VectorType)

    def __init__(self, lhs: SSAValue, rhs: SSAValue, acc: SSAValue):
        super().__init__(operands=[lhs, rhs, acc], result_types=[acc.type])

    @classmethod
    def parse(cls, parser: Parser) -> MmaOp:
        names = parser.parse_comma_separated_list(parser.Delimiter.NONE, parser.parse_unresolved_operand)
        parser.parse_punctuation(":")
        types = parser.parse_comma_separated_list(parser.Delimiter.NONE, parser.parse_type)
        lhs, rhs, acc = parser.resolve_operands(names, types, parser.pos)
        return cls(lhs, rhs, acc)

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_list(self.operands, printer.print_ssa_value)
        printer.print_string(" : ")
        printer.print_list([v.type for v in self.operands], printer.print_attribute)

    def verify_(self) -> None:
        element = element_of(self.lhs.type)
        count = fragment_elements(element)
        if count is None or element_of(self.rhs.type) != element:
            raise VerifyException(
                f"multiplies {element} and {element_of(self.rhs.type)}: expected f16, bf16 or f32, the same twice"
            )
        lhs, rhs = shape_of(self.lhs.type), shape_of(self.rhs.type)
        if len(lhs) != 2 or len(rhs) != 2 or (lhs[1], rhs[1]) != (count, count):
            raise VerifyException(f"a thread has {count} elements of a fragment of {element}")
        if self.acc.type != VectorType(Float32Type(), [lhs[0], rhs[0], 4, 2]):
            raise VerifyException(
                f"adds to {self.acc.type}, expected vector<{lhs[0]}x{rhs[0]}x4x2xf32> for these fragments"
            )


@irdl_op_definition
class LoadMatrixOp(IRDLOperation):
    """Reads fragments from shared memory: 8 x 8 matrices (of f32 8 x 4), four at once.

        %a = loop.load_matrix %tile[_0 * 16 + t mod 16, t mod 32 floordiv 16 * 8] : vector<4x8xbf16>

    Each thread names one row of 16 bytes, which begins at a multiple of 16; the rows of threads 8 m to 8 m + 7 of the warp are
    matrix m. Of it thread l gets two elements (of f32 one), those at (l mod 4) * 2 of row l floordiv 4; where it is
    `transposed`, those of column l floordiv 4. `_0` is the number of the fragment. All threads of a warp get here together.
    """

    name = "loop.load_matrix"

    array = operand_def(RefType)
    index = prop_def(DimsAttr)
    transposed = opt_prop_def(UnitAttr)
    result = result_def(VectorType)

    def __init__(
        self,
        array: SSAValue,
        index: Sequence[Dim],
        count: int,
        *,
        transposed: bool = False,
    ):
        type_ = array.type
        assert isinstance(type_, RefType)
        element = type_.element_type
        elements = fragment_elements(element)
        assert elements is not None
        super().__init__(
            operands=[array],
            properties={
                "index": DimsAttr(tuple(index)),
                "transposed": UnitAttr() if transposed else None,
            },
            result_types=[VectorType(element, [count, elements])],
        )

    @classmethod
    def parse(cls, parser: Parser) -> LoadMatrixOp:
        array, index, _ = parse_access(parser)
        properties: dict[str, Attribute] = {"index": DimsAttr(index)}
        if parser.parse_optional_keyword("transposed") is not None:
            properties["transposed"] = UnitAttr()
        parser.parse_punctuation(":")
        type_ = parser.parse_type()
        return cls.create(
            operands=[resolve_by_name(parser, array)], properties=properties, result_types=[type_]
        )

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        print_access(printer, self.array, self.index.data, ())
        printer.print_string(" transposed : " if self.transposed is not None else " : ")
        printer.print_attribute(self.result.type)

    def verify_(self) -> None:
        verify_access(self.array, self.index.data)
        array = self.array.type
        assert isinstance(array, RefType)
        if array.space.data != "shared":
            raise VerifyException(f"reads from shared memory, found an array in '{array.space.data}'")
        element = array.element_type
        count = fragment_elements(element)
        shape = shape_of(self.result.type)
        if count is None or element_of(self.result.type) != element or len(shape) != 2 or shape[1] != count:
            raise VerifyException(f"{self.result.type} holds no fragments of {element}")
        if self.transposed is not None and element_bytes(element) != 2:
            raise VerifyException(f"there is no transposed read of {element}: elements are of 2 bytes")


@irdl_op_definition
class ExtractOp(IRDLOperation):
    """Part of a vector: `%v = loop.extract %t[i, j, 2] : vector<4x4x4x2xf32> to vector<2xf32>`.

    The index names a place along the first dims; all of the others is taken, in their dims or as elements of one (`to
    vector<8xf32>` of four pairs). Loops around it whose variables it names are unrolled, so that a vector stays in registers.
    """

    name = "loop.extract"

    value = operand_def(VectorType)
    index = prop_def(DimsAttr)
    result = result_def()

    traits = traits_def(Pure())

    def __init__(self, value: SSAValue, index: Sequence[Dim], *, flat: bool = False):
        rest = shape_of(value.type)[len(index) :]
        rest = (prod(rest),) if flat else rest
        element = element_of(value.type)
        super().__init__(
            operands=[value],
            properties={"index": DimsAttr(tuple(index))},
            result_types=[VectorType(element, rest) if rest else element],
        )

    @classmethod
    def parse(cls, parser: Parser) -> ExtractOp:
        value, index, _ = parse_access(parser)
        parser.parse_punctuation(":")
        source = parser.parse_type()
        parser.parse_keyword("to")
        target = parser.parse_type()
        operand = parser.resolve_operand(value, source)
        return cls.create(operands=[operand], properties={"index": DimsAttr(index)}, result_types=[target])

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        print_access(printer, self.value, self.index.data, ())
        printer.print_string(" : ")
        printer.print_attribute(self.value.type)
        printer.print_string(" to ")
        printer.print_attribute(self.result.type)

    def verify_(self) -> None:
        shape, place = shape_of(self.value.type), len(self.index.data)
        if not 0 < place <= len(shape):
            raise VerifyException(f"{place} index expressions for {self.value.type}")
        element, rest = element_of(self.value.type), shape[place:]
        wanted = [VectorType(element, rest), VectorType(element, [prod(rest)])] if rest else [element]
        if self.result.type not in wanted:
            raise VerifyException(
                f"{self.result.type} is no part of {self.value.type} behind {place} indices"
            )


@irdl_op_definition
class JoinOp(IRDLOperation):
    """Numbers, or vectors, as the rows of a vector: `%v = loop.join %a, %b : f32` is a vector<2xf32>."""

    name = "loop.join"

    values = var_operand_def()
    result = result_def(VectorType)

    traits = traits_def(Pure())

    def __init__(self, *values: SSAValue):
        type_ = values[0].type
        super().__init__(
            operands=[list(values)],
            result_types=[VectorType(element_of(type_), [len(values), *shape_of(type_)])],
        )

    @classmethod
    def parse(cls, parser: Parser) -> JoinOp:
        names = parser.parse_comma_separated_list(parser.Delimiter.NONE, parser.parse_unresolved_operand)
        parser.parse_punctuation(":")
        type_ = parser.parse_type()
        return cls(*(parser.resolve_operand(name, type_) for name in names))

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_list(self.values, printer.print_ssa_value)
        printer.print_string(" : ")
        printer.print_attribute(self.values[0].type)

    def verify_(self) -> None:
        types = {v.type for v in self.values}
        if len(types) != 1:
            raise VerifyException("joins values of one type, at least one")
        (type_,) = types
        if self.result.type != VectorType(element_of(type_), [len(self.values), *shape_of(type_)]):
            raise VerifyException(f"{len(self.values)} values of {type_} are no {self.result.type}")


@irdl_op_definition
class CopyAsyncOp(IRDLOperation):
    """Begins to copy elements that lie side by side to shared memory; the thread goes on.

        loop.copy_async 8 of %x[i, k] valid [min(8, n - k)] guard [m - 1 - i] to %tile[t, 0]

    They are 4, 8 or 16 bytes and begin at a multiple of that on both sides. Elements past the valid ones are zero, and all of
    them where a guard is less than zero. The copy is done after a `loop.wait_copies` that waits for its group; the memory may
    not be touched before.
    """

    name = "loop.copy_async"

    SIZES: ClassVar = (4, 8, 16)

    array = operand_def(RefType)
    shared = operand_def(RefType)
    count = prop_def(DimAttr)
    index = prop_def(DimsAttr)
    place = prop_def(DimsAttr)
    valid = opt_prop_def(DimsAttr)
    guard = opt_prop_def(DimsAttr)

    def __init__(
        self,
        count: int,
        array: SSAValue,
        index: Sequence[Dim],
        shared: SSAValue,
        place: Sequence[Dim],
        *,
        valid: Dim | None = None,
        guard: Sequence[Dim] = (),
    ):
        super().__init__(
            operands=[array, shared],
            properties={
                "count": DimAttr(Dim.of(count)),
                "index": DimsAttr(tuple(index)),
                "place": DimsAttr(tuple(place)),
                "valid": DimsAttr((valid,)) if valid is not None else None,
                "guard": DimsAttr(tuple(guard)) if guard else None,
            },
        )

    @property
    def elements(self) -> int:
        """How many elements it copies."""
        return self.count.data.value or 0

    @classmethod
    def parse(cls, parser: Parser) -> CopyAsyncOp:
        count = parser.parse_integer()
        parser.parse_keyword("of")
        array, index, _ = parse_access(parser)
        properties: dict[str, Attribute] = {"count": DimAttr(Dim.of(count)), "index": DimsAttr(index)}
        for name in ("valid", "guard"):
            if parser.parse_optional_keyword(name) is not None:
                properties[name] = DimsAttr(parse_dims(parser))
        parser.parse_keyword("to")
        shared, place, _ = parse_access(parser)
        properties["place"] = DimsAttr(place)
        values = [resolve_by_name(parser, array), resolve_by_name(parser, shared)]
        return cls.create(operands=values, properties=properties)

    def print(self, printer: Printer) -> None:
        printer.print_string(f" {self.count.data} of ")
        print_access(printer, self.array, self.index.data, ())
        for name, dims in (("valid", self.valid), ("guard", self.guard)):
            if dims is not None:
                printer.print_string(f" {name} {dims_text(dims.data)}")
        printer.print_string(" to ")
        print_access(printer, self.shared, self.place.data, ())

    def verify_(self) -> None:
        verify_access(self.array, self.index.data)
        verify_access(self.shared, self.place.data)
        source, target = self.array.type, self.shared.type
        assert isinstance(source, RefType) and isinstance(target, RefType)
        if target.space.data != "shared" or source.element_type != target.element_type:
            raise VerifyException(f"copies {source} to a shared array of the same type, found {target}")
        if (size := self.elements * element_bytes(source.element_type)) not in self.SIZES:
            raise VerifyException(f"copies {size} bytes at once: expected 4, 8 or 16")
        for type_ in (source, target):
            if type_.strides.data[-1].value != 1:
                raise VerifyException(f"copies elements side by side along the last dim of {type_}")
        if self.valid is not None and len(self.valid.data) != 1:
            raise VerifyException("'valid' is one count")


@irdl_op_definition
class CommitCopiesOp(IRDLOperation):
    """The copies that the thread has begun since the last commit are a group, which may be empty."""

    name = "loop.commit_copies"
    assembly_format = "attr-dict"


@irdl_op_definition
class WaitCopiesOp(IRDLOperation):
    """Waits until all but the last `groups` groups of the thread's copies are done: `loop.wait_copies 2`. For those of other
    threads a barrier follows."""

    name = "loop.wait_copies"

    groups = prop_def(DimAttr)

    def __init__(self, groups: int):
        super().__init__(properties={"groups": DimAttr(Dim.of(groups))})

    @classmethod
    def parse(cls, parser: Parser) -> WaitCopiesOp:
        return cls(parser.parse_integer())

    def print(self, printer: Printer) -> None:
        printer.print_string(f" {self.groups.data}")


MATRIX_OPS = (MmaOp, LoadMatrixOp, ExtractOp, JoinOp, CopyAsyncOp, CommitCopiesOp, WaitCopiesOp)
