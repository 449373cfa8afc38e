"""How products take factors: a number for each channel of a result, or of what they read, multiplied onto their weights.

A vector here is a term of one dim, a number for each channel, or of none: one number for all.
"""

from __future__ import annotations

from xdsl.ir import Operation, SSAValue

from dialects.dims import ONE, Dim
from dialects.graph import GraphOp
from dialects.graph.contraction import Conv2dOp, MatmulOp
from dialects.graph.derived.convolution import Convolution, Transposed
from dialects.graph.shapes import Shape, edges, integer
from dialects.graph.sketch import Term
from dialects.types import dims_of

Convolving = (Conv2dOp, Convolution, Transposed)
WEIGHTED = (MatmulOp, *Convolving)
"""Ops that multiply what they read by weights."""


def is_product(op: object) -> bool:
    """Whether an op multiplies what it reads by a weight: a matmul by a matrix on its right, or a convolution."""
    if not isinstance(op, WEIGHTED):
        return False
    return not isinstance(op, MatmulOp) or min(len(dims_of(v.type)) for v in op.operands) > 1  # pyright: ignore


def channel_dim(op: Operation, rank: int) -> int:
    """Which dim of what a product reads, or gives, has a weight of its own for each place."""
    return rank - 1 if isinstance(op, MatmulOp) else 1


def out_scaled(op: GraphOp, w: Term, s: Term) -> Term:
    """The weight with which a product gives its result times a vector."""
    if not s.dims or isinstance(op, MatmulOp):
        return w * s
    return _scaled(op, w, s, 1 if isinstance(op, Transposed) else 0)


def in_scaled(op: GraphOp, w: Term, s: Term) -> Term:
    """The weight with which a product gives the same of x as without of x times a vector."""
    if not s.dims:
        return w * s
    if isinstance(op, MatmulOp):
        return w * s.reshape([*s.dims, ONE])
    return _scaled(op, w, s, 0 if isinstance(op, Transposed) else 1)


def _scaled(op: GraphOp, w: Term, s: Term, dim: int) -> Term:
    """A filter times a vector along one of its two dims of channels; the second one has those of one group."""
    groups, (first, second, *window) = integer(op.values(), "groups"), w.dims
    ones = [ONE] * len(window)
    if dim == 0:
        return w * s.reshape([first, ONE, *ones])
    if groups == 1:
        return w * s.reshape([ONE, second, *ones])
    apart = w.reshape([Dim.of(groups), first // groups, second, *window])
    return (apart * s.reshape([Dim.of(groups), ONE, second, *ones])).reshape(w.dims)


def takes_shift(op: GraphOp) -> bool:
    """Whether a vector added to all that a product reads adds a vector to its result: no edge lies outside of that."""
    if isinstance(op, MatmulOp):
        return len(dims_of(op.operands[1].type)) == 2  # pyright: ignore[reportArgumentType]
    values, rank = op.values(), len(dims_of(op.operands[0].type)) - 2  # pyright: ignore[reportArgumentType]
    return not isinstance(op, Transposed) and not any(map(any, edges(values, rank)))


def shifted(op: GraphOp, w: Term, c: Term) -> Term:
    """What a product gives for a vector that is added to all that it reads, as a vector."""
    along = (0,) if isinstance(op, MatmulOp) else tuple(range(1, len(w.dims)))
    return in_scaled(op, w, c).of("reduce_sum", axes=along)


def remade(op: GraphOp, x: SSAValue, w: Term, bias: Term | None) -> Term:
    """The product of the same settings with another weight and bias; that of a matmul is added to it."""
    of, matmul = w.sketch, isinstance(op, MatmulOp)
    operands = [of.term(x), w]
    if bias is not None and not matmul:
        operands.append(bias if bias.dims else bias.of("broadcast", shape=channels_out(op)))
    out = of.make(op.name.removeprefix("graph."), *operands, **op.values())
    assert isinstance(out.value.owner, Operation)
    out.value.owner.attributes.update(op.attributes)
    return out + bias if bias is not None and matmul else out


def channels_out(op: GraphOp) -> Shape:
    """The dims of a vector with a number for each channel of a convolution's result."""
    return dims_of(op.results[0].type)[1:2]
