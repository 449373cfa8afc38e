"""CUDA text of fragments of matrices and of copies that go on by themselves, by the names of `irk_cuda_matrix.h`."""

from __future__ import annotations

from xdsl.dialects import arith, math
from xdsl.dialects.builtin import BFloat16Type, Float16Type, Float32Type, StringAttr, VectorType
from xdsl.ir import Attribute, Operation

from dialects.dims import ONE, Dim
from dialects.kernel import ConvertOp
from dialects.loop_matrix import (
    CommitCopiesOp,
    CopyAsyncOp,
    ExtractOp,
    JoinOp,
    LoadMatrixOp,
    MmaOp,
    WaitCopiesOp,
)
from dialects.types import RefType, element_bytes
from lowering.c.portable import Numbers, PortableEmitter
from lowering.c.types import c_type, short_name

FUNCTIONS: dict[type[Operation], str] = {math.Exp2Op: "irk_exp2_f32", arith.MaxnumfOp: "irk_maxnum_f32"}
"""Functions of `irk_cuda_matrix.h` on f32, as exact as the instructions are."""


def _are_pairs(type_: Attribute) -> bool:
    """Whether it is a vector of pairs of the small floats that a GPU rounds two at a time to."""
    return (
        isinstance(type_, VectorType)
        and isinstance(type_.get_element_type(), BFloat16Type | Float16Type)
        and type_.get_shape()[-1] % 2 == 0
    )


class MatrixEmitter(PortableEmitter):
    """The emitter for what a warp holds together."""

    def matrix_op(self, op: Operation) -> bool:
        """Writes one op down; False where it is none of these."""
        match op:
            case MmaOp():
                self._mma(op)
            case LoadMatrixOp():
                self._load_matrix(op)
            case ExtractOp():
                self._extract(op)
            case JoinOp():
                self._join(op)
            case CopyAsyncOp():
                self._copy_async(op)
            case CommitCopiesOp():
                self.line("irk_commit_copies();")
            case math.Exp2Op() | arith.MaxnumfOp():
                self._function(op)
            case ConvertOp(kind=StringAttr(data="truncf")) if _are_pairs(op.result.type):
                self._narrow(op)
            case WaitCopiesOp():
                self.line(f"irk_wait_copies<{op.groups.data}>();")
            case _:
                return False
        return True

    def _function(self, op: Operation) -> None:
        """What a GPU has an instruction for, and C no function of its own."""
        result, function = op.results[0], FUNCTIONS[type(op)]
        if not isinstance(result.type, VectorType):
            args = ", ".join(self.names[o] for o in op.operands)
            self.line(f"const {c_type(result.type)} {self.new(result)} = {function}({args});")
            return
        layout = self.layout(result.type)
        args = ", ".join(self.at(o, layout) for o in op.operands)
        name, _ = self.declare(result)
        own = name + (self.subscript(layout) if layout.count > 1 else "")
        self.each(layout, f"{own} = {function}({args});")

    def _narrow(self, op: ConvertOp) -> None:
        """Two numbers at once."""
        name, layout = self.declare(op.result)
        value = self.at(op.input, layout)
        pairs = Numbers(layout.element, layout.rows, layout.parts // 2, 1)
        low, high = (value.replace("[p]", f"[p * 2 + {n}]") for n in (0, 1))
        place = (name + self.subscript(layout)).replace("[p]", "[p * 2]")
        self.each(pairs, f"irk_narrow_{short_name(layout.element)}(&{place}, {low}, {high});")

    def _mma(self, op: MmaOp) -> None:
        acc, lhs, rhs = op.acc.type, op.lhs.type, op.rhs.type
        assert isinstance(acc, VectorType) and isinstance(lhs, VectorType) and isinstance(rhs, VectorType)
        if op.result in self.folded:
            name = self.names[op.result] = self.names[op.acc]
        else:
            name = self.new(op.result)
            self._copy_into(name, op.acc, op.result.type, declare=True)
        element = lhs.get_element_type()
        kind = "tf32" if isinstance(element, Float32Type) else short_name(element)
        rows, columns = lhs.get_shape()[0], rhs.get_shape()[0]
        self.line(f"irk_mma_{kind}<{rows}, {columns}>({name}, {self.names[op.lhs]}, {self.names[op.rhs]});")

    def _load_matrix(self, op: LoadMatrixOp) -> None:
        name, _ = self.declare(op.result)
        count, transposed = op.result.type.get_shape()[0], int(op.transposed is not None)
        place = f"{self.names[op.array]} + {self.offset(op.array, op.index.data, ['r'])}"
        head = f"{self.UNROLL}for (int r = 0; r < {count}; r++)"
        self.line(f"{head} irk_load_matrix<{transposed}>({name}[r], {place});")

    def _extract(self, op: ExtractOp) -> None:
        place = self.names[op.value] + "".join(f"[{self.dim(e)}]" for e in op.index.data)
        if not isinstance(op.result.type, VectorType):
            self.line(f"const {c_type(op.result.type)} {self.new(op.result)} = {place};")
            return
        name, layout = self.declare(op.result)
        sub = inside = self.subscript(layout)
        assert isinstance(op.value.type, VectorType)
        rest = op.value.type.get_shape()[len(op.index.data) :]
        if rest != op.result.type.get_shape():  # elements in a row
            inside, size = "", 1
            for count in reversed(rest):
                inside = f"[p / {size} % {count}]{inside}"
                size *= count
        self.each(layout, f"{name}{sub if layout.count > 1 else ''} = {place}{inside};")

    def _join(self, op: JoinOp) -> None:
        name, whole = self.declare(op.result)
        for number, value in enumerate(op.values):
            if not isinstance(value.type, VectorType):
                self.line(f"{name}{f'[{number}]' if whole.count > 1 else ''} = {self.names[value]};")
                continue
            layout = self.layout(value.type)
            sub = self.subscript(layout)
            self.each(layout, f"{name}[{number}]{sub} = {self.at(value, layout)};")

    def _copy_async(self, op: CopyAsyncOp) -> None:
        array = op.array.type
        assert isinstance(array, RefType)
        width = element_bytes(array.element_type)
        size = op.elements * width
        to = f"{self.names[op.shared]} + {self.offset(op.shared, op.place.data)}"
        source = f"{self.names[op.array]} + {self.offset(op.array, op.index.data)}"
        count = op.valid.data[0] if op.valid is not None else Dim.of(op.elements)
        valid = self.dim(count * width) if width > 1 or count != ONE else "1"
        if op.guard is None:
            self.line(f"irk_copy_async<{size}>({to}, {source}, {valid});")
            return
        inside = self.fresh("inside")
        self.line(f"const bool {inside} = {self.condition(op.guard.data)};")
        self.line(
            f"irk_copy_async<{size}>({to}, {inside} ? {source} : {self.names[op.array]}, {inside} ? {valid} : 0);"
        )
