"""Products of matrices, Einstein's summation, determinants."""

from __future__ import annotations

from typing import Any

import numpy as np

from irkit.onnx.faults import Unsupported
from irkit.onnx.node import Node, Result, rule
from irkit.onnx.rules.elementwise import operand
from irkit.onnx.values import is_float, is_one
from irkit.tracing import ops
from irkit.tracing.sizes import Size
from irkit.tracing.tensor import Tensor

LARGEST_DETERMINANT = 16
"""Rows of a matrix whose determinant is taken: each adds a step of elimination to the graph."""


@rule("MatMul")
def matmul(n: Node) -> Result:
    return n[0] @ n[1]


@rule("Gemm")
def gemm(n: Node) -> Result:
    """alpha * a @ b + beta * c, each of a and b transposed where that is asked for."""
    a, b = n[0], n[1]
    y = (ops.transpose(a, perm=[1, 0]) if n.attr("transA", 0) else a) @ (
        ops.transpose(b, perm=[1, 0]) if n.attr("transB", 0) else b
    )
    y = _times(y, n.attr("alpha", 1.0))
    beta = n.attr("beta", 1.0)
    if not n.has(2) or beta == 0:
        return y
    c = operand(n, 2, 2)
    return y + (_times(c, beta) if isinstance(c, Tensor) else c * beta)


def _times(x: Tensor, factor: float) -> Tensor:
    if factor == 1:
        return x
    if is_float(x):
        return x * factor
    if factor != int(factor):
        raise Unsupported(f"integers times {factor}")
    return x * int(factor)


@rule("MatMulInteger")
def matmul_integer(n: Node) -> Result:
    return without_zero(n, 0, 2, "i32", rows=True) @ without_zero(n, 1, 3, "i32")


def without_zero(n: Node, index: int, zero: int, dtype: str, rows: bool = False) -> Tensor:
    """An input less its zero point, as numbers to compute with; several zero points are those of rows, or of columns."""
    x = ops.cast(n[index], dtype)
    point = facts(n, zero, rows)
    return x if point is None else x - (ops.cast(point, dtype) if isinstance(point, Tensor) else point)


def facts(n: Node, index: int, rows: bool = False) -> Any:
    """A scale or a zero point: a number where there is one that is known, a column for those of rows; None for zero."""
    value = n.value(index) if n.has(index) else None
    if value is None or (isinstance(value, np.ndarray) and not value.astype(np.float64).any()):
        return None
    if isinstance(value, np.ndarray) and value.size == 1:
        return value.item()
    x = n[index]
    if is_one(x):
        return ops.reshape(x, []) if x.ndim else x
    return ops.reshape(x, [*x.shape, 1]) if rows and x.ndim == 1 else x


# -- Einstein's summation ---------------------------------------------------------------------------------------------


@rule("Einsum")
def einsum(n: Node) -> Result:
    """Dots stand for leading dims, which get letters; a dim of one element that broadcasts is dropped."""
    inputs, arrow, output = n.needs("equation").replace(" ", "").partition("->")
    terms, x = inputs.split(","), n.tensors()
    if len(terms) != len(x):
        raise Unsupported(f"an equation of {len(terms)} tensors for {len(x)}")
    free = [c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" if c not in inputs]
    counts = [t.ndim - len(term.replace("...", "")) for t, term in zip(x, terms, strict=True)]
    most = max((c for c, term in zip(counts, terms, strict=True) if "..." in term), default=0)
    if min(counts) < 0 or most > len(free):
        raise Unsupported(f"the equation '{n.attr('equation')}' for such ranks")
    dots = "".join(free[:most])
    if not arrow:
        letters = inputs.replace("...", "").replace(",", "")
        output = "..." + "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
    named = [t.replace("...", dots[most - c :]) for t, c in zip(terms, counts, strict=True)]
    pairs = [_without_ones(t, term, named, x) for t, term in zip(x, named, strict=True)]
    spec = ",".join(term for _, term in pairs) + "->" + output.replace("...", dots)
    return ops.einsum(*(t for t, _ in pairs), spec=spec)


def _without_ones(x: Tensor, term: str, terms: list[str], tensors: list[Tensor]) -> tuple[Tensor, str]:
    """A tensor without dims of one element whose letter is that of a larger dim elsewhere."""
    larger = {
        c
        for t, other in zip(tensors, terms, strict=True)
        for c, d in zip(other, t.shape, strict=True)
        if isinstance(d, Size) or d != 1
    }
    kept = [i for i, d in enumerate(x.shape) if isinstance(d, Size) or d != 1 or term[i] not in larger]
    if len(kept) == x.ndim:
        return x, term
    return ops.reshape(x, [x.shape[i] for i in kept]), "".join(term[i] for i in kept)


# -- determinants -----------------------------------------------------------------------------------------------------


@rule("Det")
def det(n: Node) -> Result:
    """The product of the pivots of an elimination, each the greatest of its column; two rows are written out."""
    a = n[0]
    size = a.shape[-1]
    if not isinstance(size, int) or not 0 < size <= LARGEST_DETERMINANT:
        raise Unsupported(f"the determinant of a matrix of {size} rows")
    pivots: Tensor | None = None
    while size > 2:
        a, pivot = _eliminated(a, size)
        pivots = pivot if pivots is None else pivots * pivot
        size -= 1
    last = a[..., 0, 0] if size == 1 else a[..., 0, 0] * a[..., 1, 1] - a[..., 0, 1] * a[..., 1, 0]
    return last if pivots is None else pivots * last


def _eliminated(a: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """What one step of elimination leaves of square matrices, and its pivot with the sign of the exchange of rows."""
    lead = list(a.shape[:-2])
    place = ops.reshape(ops.argmax(ops.abs(a[..., 0]), axis=-1), [*lead, 1, 1])
    row = ops.take_along(a, ops.broadcast(place, [*lead, 1, size]), axis=-2)
    pivot = row[..., :1]
    is_there = ops.iota([size, 1], axis=0, dtype="i64") == place
    rest = ops.where(is_there, a[..., :1, :], a)[..., 1:, :]
    factors = rest[..., :1] / ops.where(pivot == 0, 1, pivot)
    signed = ops.where(place == 0, pivot, -pivot)
    return rest[..., 1:] - factors * row[..., 1:], ops.reshape(signed, lead)
