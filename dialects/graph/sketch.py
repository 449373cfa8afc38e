"""Graph ops written as formulas: `x * (x + 1).of("exp")` makes the ops, in order, of a list.

A `Term` stands for a value. Its operators make graph ops; a Python number takes the dtype of the term that it meets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self

import numpy as np
from xdsl.dialects.builtin import LocationAttr, TensorType, i64
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue

from dialects.dims import ZERO, Dim, DimLike
from dialects.graph.base import dense, make
from dialects.graph.numerics import cast_array
from dialects.graph.structure import Access, ForOp, IndexOp, YieldOp
from dialects.types import AnyTensor, dims_of, dtype_name, storage, tensor

Number = int | float | bool


def axis(number: int) -> Dim:
    """The name of an axis of index notation that a formula makes; the language has no names that end so."""
    return Dim.of(f"axis{number}_")


class Sketch:
    """Collects the ops of a formula, all at one location."""

    def __init__(self, loc: LocationAttr | None = None):
        self.ops: list[Operation] = []
        self.loc = loc

    def term(self, value: SSAValue) -> Term:
        """The term of a value that exists."""
        return Term(self, value)

    def make(self, name: str, *operands: Term, **values: object) -> Term:
        """The first result of a graph op on terms."""
        return self.term(self.add(make(name, [t.value for t in operands], values, self.loc)).results[0])

    def add(self, op: Operation) -> Operation:
        """Appends an op."""
        if self.loc is not None:
            op.location = self.loc
        self.ops.append(op)
        return op

    def discard(self) -> None:
        """Erases ops that nobody wants after all: they would stay among the uses of their operands."""
        while self.ops:
            self.ops.pop().erase()

    def number(self, value: Number, element: Attribute) -> Term:
        """A constant of rank 0."""
        array = cast_array(np.asarray(value, np.float64 if isinstance(value, float) else None), element)
        return self.make("constant", value=dense(array, element))

    def points(
        self,
        operands: Sequence[Term],
        axes: Sequence[tuple[str, Dim]],
        reads: Sequence[Access],
        element: Attribute,
        body: Callable[[Block], SSAValue],
        combiner: str | None = None,
        reduced: Sequence[tuple[str, Dim]] = (),
    ) -> Term:
        """Index notation: `body` appends scalar ops to a block (arguments: the reads, then all axes as i64)."""
        elements = [storage(operands[a.operand].type.element_type) for a in reads]
        block = Block(arg_types=[*elements, *[i64] * (len(axes) + len(reduced))])
        block.add_op(YieldOp(body(block)))
        values = [t.value for t in operands]
        op = self.add(IndexOp(values, axes, reads, element, Region(block), combiner, reduced))
        for inner in block.ops:
            inner.location = op.location
        return self.term(op.results[0])

    def loop(
        self,
        count: Dim,
        initial: Sequence[Term],
        step: Callable[[Term, Sequence[Term]], Sequence[Term]],
    ) -> list[Term]:
        """The terms after so many rounds of `step`, which takes the number of the round and the terms before it."""
        block = Block(arg_types=[tensor("i64", []), *(t.type for t in initial)])
        inner = Sketch(self.loc)
        counter, *carried = (inner.term(a) for a in block.args)
        last = step(counter, carried)
        block.add_ops(inner.ops)
        end = YieldOp(*(t.value for t in last))
        block.add_op(end)
        op = self.add(ForOp(ZERO, count, [t.value for t in initial], Region(block)))
        end.location = op.location
        return [self.term(r) for r in op.results]

    def moved(
        self,
        x: Term,
        sizes: Sequence[DimLike],
        index: Sequence[DimLike],
        boundary: str = "none",
        value: float = 0.0,
    ) -> Term:
        """A tensor of other dims; its element at (axis 0, axis 1, ...) is that of x at `index`, over `axis(i)`."""
        axes = [(str(axis(i)), Dim.of(size)) for i, size in enumerate(sizes)]
        read = Access(0, tuple(map(Dim.of, index)), boundary, value)
        return self.points([x], axes, [read], x.type.element_type, lambda block: block.args[0])

    def table(self, expr: Dim, count: Dim, most: Dim) -> Term:
        """The values of an expression over `axis(0)`, as i64 [count]; held in 0 to `most`."""
        numbers = self.make("iota", shape=(most + 1,), axis=0, dtype="i64")
        return self.moved(numbers, [count], [expr], "clamp")


class Algebra:
    """What formulas are written in: operators over `of`, which applies a graph op, and `like`, which takes up a number."""

    def of(self, name: str, *others: Self | Number, **values: object) -> Self:
        """A graph op of this operand, then others."""
        raise NotImplementedError

    def like(self, other: Self | Number) -> Self:
        """A number in the dtype of this operand; an operand as it is."""
        raise NotImplementedError

    def where(self, yes: Self | Number, no: Self | Number) -> Self:
        """`yes` where this one, of bools, is true; one of both is no number."""
        typed = no if isinstance(yes, int | float) else yes
        assert not isinstance(typed, int | float)
        return self.of("where", typed.like(yes), typed.like(no))

    def __add__(self, other: Self | Number) -> Self:
        return self.of("add", other)

    def __radd__(self, other: Number) -> Self:
        return self.like(other) + self

    def __sub__(self, other: Self | Number) -> Self:
        return self.of("sub", other)

    def __rsub__(self, other: Number) -> Self:
        return self.like(other) - self

    def __mul__(self, other: Self | Number) -> Self:
        return self.of("mul", other)

    def __rmul__(self, other: Number) -> Self:
        return self.like(other) * self

    def __truediv__(self, other: Self | Number) -> Self:
        return self.of("div", other)

    def __rtruediv__(self, other: Number) -> Self:
        return self.like(other) / self

    def __neg__(self) -> Self:
        return self.of("neg")

    def __abs__(self) -> Self:
        return self.of("abs")

    def __lt__(self, other: Self | Number) -> Self:
        return self.of("compare", other, pred="lt")

    def __gt__(self, other: Self | Number) -> Self:
        return self.of("compare", other, pred="gt")

    def __ge__(self, other: Self | Number) -> Self:
        return self.of("compare", other, pred="ge")

    def __le__(self, other: Self | Number) -> Self:
        return self.of("compare", other, pred="le")

    def equals(self, other: Self | Number) -> Self:
        return self.of("compare", other, pred="eq")

    def differs(self, other: Self | Number) -> Self:
        return self.of("compare", other, pred="ne")

    def both(self, other: Self) -> Self:
        return self.of("logical_and", other)


class Term(Algebra):
    """A tensor value in a sketch."""

    def __init__(self, sketch: Sketch, value: SSAValue):
        self.sketch = sketch
        self.value = value

    @property
    def type(self) -> AnyTensor:
        assert isinstance(self.value.type, TensorType)
        return self.value.type

    @property
    def dims(self) -> tuple[Dim, ...]:
        return dims_of(self.type)

    @property
    def dtype(self) -> str:
        return dtype_name(self.type.element_type)

    def of(self, name: str, *others: Term | Number, **values: object) -> Term:
        """A graph op of this term, then others."""
        return self.sketch.make(name, self, *map(self.like, others), **values)

    def like(self, other: Term | Number) -> Term:
        """A number in the dtype of this term; a term as it is."""
        return other if isinstance(other, Term) else self.sketch.number(other, self.type.element_type)

    def cast(self, dtype: str) -> Term:
        return self if dtype == self.dtype else self.of("cast", dtype=dtype)

    def reshape(self, sizes: Sequence[DimLike]) -> Term:
        return self.of("reshape", shape=tuple(map(Dim.of, sizes)))
