"""Heads of keys and values that are repeated for several heads of queries: attention reads each where it stands."""

from __future__ import annotations

from xdsl.ir import SSAValue

from dialects.dims import ONE, Dim
from dialects.graph import OPS, GraphOp
from dialects.graph.shapes import Shape
from dialects.graph.sketch import Sketch, Term
from dialects.types import dims_of
from lowering.graph.reshapes import matching, shaped
from lowering.graph.simplify.values import produced_by
from lowering.graph.sink.places import is_result
from lowering.rewriting import Pattern, Rewriter, pattern, unless_scheduled


@pattern(OPS["attention"])
def attention_of_repeated(op: GraphOp, rewriter: Rewriter) -> None:
    """attention(q, k for each of n heads, v for each of n heads) = attention(q as [..., n, s, d], k, v) in the shape of before;
    a result stays, since its shape would be one more kernel"""
    q, k, v, *mask = op.operands
    if is_result(op.results[0]):
        return
    keys, values = _repeated(k), _repeated(v)
    if keys is None or values is None or keys[1] != values[1]:
        return
    sketch, (_, front) = Sketch(), keys
    rows = dims_of(q.type)
    x = [shaped(sketch.term(q), [*front, *rows[-2:]]), *(_wide(sketch.term(t), s) for t, s in (keys, values))]
    for given in mask:
        known = _over(sketch.term(given), rows[:-2], front)
        if known is None:
            sketch.discard()
            return
        x.append(known)
    out = shaped(x[0].of("attention", *x[1:], **op.values()), dims_of(op.results[0].type))
    rewriter.replace(op, sketch.ops, [out.value])


def _repeated(value: SSAValue) -> tuple[SSAValue, Shape] | None:
    """What is broadcast and then joined to a tensor [..., t, d], and the dims before these two that it is broadcast to."""
    joined = produced_by(value, "reshape")
    wide = produced_by(value if joined is None else joined.operands[0], "broadcast")
    if wide is None:
        return None
    source, to, own = wide.operands[0], dims_of(wide.results[0].type), dims_of(value.type)
    if len(to) < 2 or to[-2:] != own[-2:] or dims_of(source.type)[-2:] != own[-2:]:
        return None
    return source, to[:-2]


def _wide(x: Term, front: Shape) -> Term:
    """A tensor with as many dims as `front` before its last two."""
    missing = len(front) + 2 - len(x.dims)
    return x.reshape([*[ONE] * missing, *x.dims]) if missing else x


def _over(mask: Term, old: Shape, front: Shape) -> Term | None:
    """A mask over the dims `front` where it was over the dims `old` of the same elements; None where it has some of those
    alone that are split."""
    own = mask.dims
    if len(own) <= 2:
        return mask
    lead = [*[ONE] * (len(old) + 2 - len(own)), *own[:-2]]
    shape: list[Dim] = []
    for before, after in matching(old, front):
        if all(lead[a] == ONE for a in before):
            shape += [ONE] * len(after)
        elif all(lead[a] == old[a] for a in before):
            shape += [front[a] for a in after]
        else:
            return None
    return shaped(mask, [*shape, *own[-2:]])


RULES: tuple[Pattern, ...] = unless_scheduled((attention_of_repeated,))
