"""C99 text of one loop.func: a vector is an array of numbers, its ops are loops over them.

No vector extension, no attribute and no builtin; a lane is a C object of the element's type and a mask holds 0 or 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from xdsl.dialects.builtin import IntegerType, VectorType, i1
from xdsl.ir import Attribute, Operation, SSAValue

from dialects import loop
from dialects.dims import ONE, Dim
from dialects.kernel import CompareOp, SelectOp
from lowering.c.dims import c_factor
from lowering.c.function import FunctionEmitter
from lowering.c.scalars import CMPF, CMPI, SUPPORTED, scalar, unsigned
from lowering.c.types import Vector, c_type


@dataclass(frozen=True)
class Numbers(Vector):
    """A vector value as a C array; a bool is one byte."""

    @property
    def name(self) -> str:
        return c_type(self.element)

    @property
    def memory_name(self) -> str:
        return self.name


class PortableEmitter(FunctionEmitter):
    """The emitter for targets that are `portable`."""

    ALIGNED = ""
    UNROLL = ""
    TWICE = ""

    def __init__(self, func: loop.FuncOp, vector_bytes: int, source_line: Callable[[str, int], str | None]):
        super().__init__(func, vector_bytes, source_line)
        self.same: dict[SSAValue, str] = {}  # the element of a broadcast, as its source has it

    def layout(self, type_: Attribute) -> Numbers:
        assert isinstance(type_, VectorType)
        *rows, count = type_.get_shape()
        return Numbers(type_.get_element_type(), tuple(rows), count, 1)

    def splat(self, layout: Vector, text: str) -> str:
        return str(int(text != "0")) if layout.element == i1 else text

    # -- memory -----------------------------------------------------------------------------------------------

    def _end_streams(self) -> None:
        """Nothing: C99 and CUDA have no word for stores past the caches, and these are plain."""

    def _load(self, op: loop.LoadOp) -> None:
        array = self.names[op.array]
        if not isinstance(op.result.type, VectorType):
            self._load_scalar(op, array)
            return
        name, layout = self.declare(op.result)
        own = name + (self.subscript(layout) if layout.count > 1 else "")
        if op.indices and op.along is None:
            index = [self.at(v, self.layout(v.type)) for v in op.indices]
            self.each(layout, f"{own} = {array}[{self.offset(op.array, op.index.data, index)}];")
            return
        otherwise = self._literal(op.otherwise, layout.element)
        source = f"{array}[{self._place(op, layout)}]"
        if op.guard:
            self.line(f"if ({self.condition(op.guard.data)}) {{")
            self.depth += 1
        self._whole_or_part(op, layout, f"{own} = {source};", f"{own} = {{inside}} ? {source} : 0;")
        if op.guard:
            self.depth -= 1
            self.line("} else {")
            self.depth += 1
            self.each(layout, f"{own} = ({layout.name}){otherwise};")
            self.depth -= 1
            self.line("}")

    def _store(self, op: loop.StoreOp) -> None:
        array = self.names[op.array]
        if not isinstance(op.value.type, VectorType):
            index = self.offset(op.array, op.index.data, [self.names[v] for v in op.indices])
            self.line(f"{array}[{index}] = {self.names[op.value]};")
            return
        layout = self.layout(op.value.type)
        text = f"{array}[{self._place(op, layout)}] = {self.at(op.value, layout)};"
        self._whole_or_part(op, layout, text, f"if ({{inside}}) {text}")

    def _place(self, op: loop.LoadOp | loop.StoreOp, layout: Vector) -> str:
        """The element offset of a lane."""
        text = self._base(op)
        for step, name in zip(self._steps(op), self._counters(layout), strict=True):
            text += f" + {name}" + (
                f" * {c_factor(step, self.ranges, self.variables)}" if step != ONE else ""
            )
        return text

    @staticmethod
    def _counters(layout: Vector) -> list[str]:
        """The loop variables of `each`, one for each dim of the vector."""
        return [*(f"r{d or ''}" for d in range(len(layout.rows))), "p"]

    def _whole_or_part(self, op: loop.LoadOp | loop.StoreOp, layout: Vector, whole: str, part: str) -> None:
        """One statement where all lanes exist, another one that asks for each where some do not."""
        full = self._full(op)
        if full is None:
            self._all_lanes(op, layout, whole)
            return
        assert op.valid is not None
        counts = [*layout.rows, layout.parts]
        inside = " && ".join(
            f"{name} < {self.dim(valid)}"
            for name, valid, count in zip(self._counters(layout), op.valid.data, counts, strict=True)
            if valid != Dim.of(count)
        )
        self.line(f"if ({full}) {{")
        self.depth += 1
        self._all_lanes(op, layout, whole)
        self.depth -= 1
        self.line("} else {")
        self.depth += 1
        self.each(layout, part.replace("{inside}", inside))
        self.depth -= 1
        self.line("}")

    def _prefetch(self, op: loop.PrefetchOp) -> None:
        """C has no word for it; what serves it alone has a use all the same."""
        for value in op.operands:
            if all(isinstance(use.operation, loop.PrefetchOp) for use in value.uses):
                self.line(f"(void){self.names[value]};")

    def _all_lanes(self, op: loop.LoadOp | loop.StoreOp, layout: Vector, statement: str) -> None:
        """An access all of whose lanes exist."""
        self.each(layout, statement)

    def _to_lanes(self, name: str, layout: Vector, tmp: str, width: int) -> None:
        source = name + (self.subscript(layout) if layout.count > 1 else "")
        self.each(layout, f"{tmp}[{'p' if layout.count > 1 else '0'}] = {source};")

    # -- values -----------------------------------------------------------------------------------------------

    @staticmethod
    def _element_text(name: str, layout: Vector, position: str) -> str:
        return f"{name}[{position}]" if layout.count > 1 else name

    def at(self, value: SSAValue, layout: Vector) -> str:
        return self.same[value] if value in self.same else super().at(value, layout)

    def _broadcast(self, op: loop.BroadcastOp) -> None:
        layout = self.layout(op.result.type)
        text = self.names[op.value]
        if isinstance(op.value.type, VectorType) and self.layout(op.value.type).count > 1:
            counters = self._counters(layout)
            text += "".join(f"[{counters[d.value or 0]}]" for d in op.along.data)
        if all(_takes_elements(use.operation) for use in op.result.uses):
            self.same[op.result] = text
            return
        name, _ = self.declare(op.result)
        own = name + (self.subscript(layout) if layout.count > 1 else "")
        self.each(layout, f"{own} = {text};")

    def _index(self, op: loop.IndexOp) -> None:
        if not isinstance(op.result.type, VectorType):
            super()._index(op)
            return
        name, layout = self.declare(op.result)
        own = name + (self.subscript(layout) if layout.count > 1 else "")
        stride = c_factor(op.stride.data, self.ranges, self.variables)
        self.each(layout, f"{own} = p * {stride} + {self.dim(op.expr.data)};")

    def _vector_statement(self, op: Operation, out: str, layout: Vector, args: list[str]) -> str:
        return f"{out} = {self._value(op, args)};"

    def _value(self, op: Operation, args: list[str]) -> str:
        if isinstance(op, CompareOp):
            return _compared(op.predicate.data, self.layout(op.lhs.type).element, args)
        if isinstance(op, SelectOp):
            return f"{args[0]} ? {args[1]} : {args[2]}"
        return scalar(op, args)

    def _is_row_of_scalars(self, op: loop.LoadOp) -> bool:
        return False


def _takes_elements(op: Operation) -> bool:
    """Whether an op reads a vector one element at a time."""
    return isinstance(op, CompareOp | SelectOp | loop.StoreOp) or type(op) in SUPPORTED


def _compared(predicate: str, element: Attribute, args: Sequence[str]) -> str:
    a, b = args
    if not isinstance(element, IntegerType):
        test, is_negated = CMPF[CompareOp.FLOAT.index(predicate)]
        return ("!" if is_negated else "") + test.format(a=a, b=b)
    infix, signed = CMPI[CompareOp.INTEGER.index(predicate)]
    cast = "" if signed or element == i1 else f"({unsigned(element)})"
    return f"({cast}{a} {infix} {cast}{b})"
