"""Linear algebra of small matrices: factorisation and substitution, one column in each round of a loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from xdsl.dialects import arith, math
from xdsl.dialects.builtin import FloatAttr
from xdsl.ir import Block, Operation, SSAValue

from dialects.dims import Dim
from dialects.graph.base import Array, Mismatch, Param, Value, Values, register_op, same_dtype
from dialects.graph.derived.base import SMALL, Derived, computed
from dialects.graph.elementwise import check_kind
from dialects.graph.sketch import Term, axis
from dialects.graph.structure import Access
from dialects.types import AnyTensor, dims_of, type_text

K = Dim.of("_0")
"""The round of the loop, as the first read of index notation."""


class _Scalars:
    """Scalar arithmetic in a body."""

    def __init__(self, block: Block):
        self.block = block

    def add(self, op: Operation) -> SSAValue:
        self.block.add_op(op)
        return op.results[0]

    def less_product(self, a: SSAValue, b: SSAValue, c: SSAValue) -> SSAValue:
        """a - b * c"""
        return self.add(arith.SubfOp(a, self.add(arith.MulfOp(b, c))))

    def pick(self, predicate: str, a: SSAValue, b: SSAValue, yes: SSAValue, no: SSAValue) -> SSAValue:
        """yes where a stands so to b, else no."""
        return self.add(arith.SelectOp(self.add(arith.CmpiOp(a, b, predicate)), yes, no))


def _square(name: str, types: Sequence[AnyTensor]) -> None:
    check_kind(name, "f", types, same_dtype(types, name))
    dims = dims_of(types[0])
    if len(dims) < 2 or dims[-1] != dims[-2]:
        raise Mismatch(f"{name} takes square matrices", found=type_text(types[0]), expected="[..., N, N]")


@register_op
class CholeskyOp(Derived):
    """The lower triangle L with L L^T = x, of positive definite matrices x [..., N, N]: `graph.cholesky %x`.

    Only the lower triangle of x is read. What is not positive definite gives NaN.
    """

    name = "graph.cholesky"

    @classmethod
    def complete(cls, types: Sequence[AnyTensor], values: dict[str, Value]) -> None:
        _square("cholesky", types)

    @classmethod
    def formula(cls, x: Sequence[Term], values: Values) -> Sequence[Term]:
        (a,) = x
        start = a.cast("f32") if a.dtype in SMALL else a
        lead = len(a.dims) - 2
        front = [axis(d) for d in range(lead)]
        i, j = axis(lead), axis(lead + 1)
        axes = [(str(axis(d)), size) for d, size in enumerate(a.dims)]
        reads = [
            Access(1, ()),
            *(Access(0, (*front, r, c)) for r, c in ((i, j), (i, K), (j, K), (K, K))),
        ]

        def body(block: Block) -> SSAValue:
            k, here, row, column, pivot = block.args[:5]
            at_i, at_j = block.args[-2:]
            s = _Scalars(block)
            zero = s.add(arith.ConstantOp(FloatAttr(0.0, pivot.type)))  # pyright: ignore
            root = s.add(math.SqrtOp(pivot))
            scaled = s.add(arith.DivfOp(row, root))
            factor = s.pick("sge", at_i, k, scaled, zero)
            rest = s.less_product(here, scaled, s.add(arith.DivfOp(column, root)))
            return s.pick("slt", at_j, k, here, s.pick("eq", at_j, k, factor, rest))

        def step(counter: Term, carried: Sequence[Term]) -> Sequence[Term]:
            (matrix,) = carried
            return [matrix.sketch.points([matrix, counter], axes, reads, matrix.type.element_type, body)]

        (out,) = a.sketch.loop(a.dims[-1], [start], step)
        return [out.cast(a.dtype)]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        return computed(arrays, results[0], _cholesky)


def _cholesky(x: Array) -> Array:
    out = np.zeros_like(x)
    with np.errstate(all="ignore"):
        for k in range(x.shape[-1]):
            rest = x[..., k:, k] - np.einsum("...ij,...j->...i", out[..., k:, :k], out[..., k, :k])
            out[..., k:, k] = rest / np.sqrt(rest[..., :1])
    return out


@register_op
class TriangularSolveOp(Derived):
    """x with a x = b for triangular a [..., N, N] and b [..., N, M]: `graph.triangular_solve %a, %b {lower = true}`.

    Only the lower triangle of a is read, or the upper one with lower = false; leading dims are equal.
    """

    name = "graph.triangular_solve"
    PARAMS: ClassVar = {"lower": Param("bool", True)}
    ARITY: ClassVar = (2, 2)
    OPERANDS: ClassVar = ("a", "b")

    @classmethod
    def complete(cls, types: Sequence[AnyTensor], values: dict[str, Value]) -> None:
        _square("triangular_solve", types)
        a, b = map(dims_of, types)
        if len(b) != len(a) or b[:-1] != a[:-1]:
            raise Mismatch(
                "b of triangular_solve does not fit",
                found=f"{type_text(types[0])} and {type_text(types[1])}",
                expected="a [..., N, N] and b [..., N, M]",
            )

    @classmethod
    def formula(cls, x: Sequence[Term], values: Values) -> Sequence[Term]:
        a, b = x
        rank = len(b.dims)
        if not values["lower"]:
            turned = a.of("flip", axes=(rank - 2, rank - 1))
            solved = turned.of("triangular_solve", b.of("flip", axes=(rank - 2,)), lower=True)
            return [solved.of("flip", axes=(rank - 2,))]
        matrix, start = (t.cast("f32") if t.dtype in SMALL else t for t in x)
        front = [axis(d) for d in range(rank - 2)]
        i, j = axis(rank - 2), axis(rank - 1)
        axes = [(str(axis(d)), size) for d, size in enumerate(b.dims)]
        reads = [
            Access(2, ()),
            Access(0, (*front, i, j)),
            Access(0, (*front, K, j)),
            Access(1, (*front, i, K)),
            Access(1, (*front, K, K)),
        ]

        def body(block: Block) -> SSAValue:
            k, here, known, factor, pivot = block.args[:5]
            at_i = block.args[-2]
            s = _Scalars(block)
            solved = s.add(arith.DivfOp(known, pivot))
            behind = s.pick("sgt", at_i, k, s.less_product(here, factor, solved), here)
            return s.pick("eq", at_i, k, solved, behind)

        def step(counter: Term, carried: Sequence[Term]) -> Sequence[Term]:
            (rows,) = carried
            operands = [rows, counter.sketch.term(matrix.value), counter]
            return [rows.sketch.points(operands, axes, reads, rows.type.element_type, body)]

        (out,) = b.sketch.loop(b.dims[-2], [start], step)
        return [out.cast(b.dtype)]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        def solve(a: Array, b: Array) -> Array:
            out = b.copy()
            n = a.shape[-1]
            with np.errstate(all="ignore"):
                for k in range(n) if values["lower"] else reversed(range(n)):
                    known = slice(0, k) if values["lower"] else slice(k + 1, n)
                    total = np.einsum("...j,...jm->...m", a[..., k, known], out[..., known, :])
                    out[..., k, :] = (b[..., k, :] - total) / a[..., k, k, None]
            return out

        return computed(arrays, results[0], solve)
