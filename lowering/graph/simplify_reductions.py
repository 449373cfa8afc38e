"""graph-simplify-reductions: reductions of fewer elements, by fewer ops; poolings of whole images are reductions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects import builtin
from xdsl.dialects.func import FuncOp
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass

from dialects.dims import ONE, product
from dialects.graph import OPS, GraphOp
from dialects.graph.carrying import has_quantised
from dialects.graph.contraction import MatmulOp, Pool
from dialects.graph.derived.window import AdaptivePool, GlobalPool
from dialects.graph.movement import BroadcastOp, ReshapeOp, TransposeOp
from dialects.graph.reduction import Reduce
from dialects.graph.shapes import ints
from dialects.graph.sketch import Sketch, Term
from dialects.types import dims_of, dtype_name, integer_range, is_float, is_integer
from lowering.graph.pools import PATTERNS as POOLS
from lowering.graph.reshapes import matching, shaped
from lowering.graph.simplify.values import make_as, splat_of, type_of
from lowering.rewriting import Pattern, Rewriter, is_scheduled, pattern, rewrite_greedily, unless_scheduled

SUM, MEAN, PROD = (OPS[f"reduce_{kind}"] for kind in ("sum", "mean", "prod"))


@dataclass(frozen=True)
class GraphSimplifyReductions(ModulePass):
    """Simplifies reductions and poolings.

    Expects: functions at the graph level.
    Does: (1) a reduction of a reduction of the same kind is one; (2) a reduction of a transpose, of a reshape that splits or
    joins reduced dims, or of a broadcast is one of what these read; (3) a sum or mean of products by one number is the
    product of the sum, and that of rows or columns of a matmul a matmul of sums; (4) a pooling of the whole image, global
    or adaptive ones among them, is a reduction that keeps dims; an adaptive one of equal windows is a plain one, and a
    maximum of maxima of neighbours is one of larger windows. What others read is not computed twice for
    that, and what the program schedules stays.
    Leaves: a function at the graph level. Sums are taken in another order, which is rounding, and may overflow elsewhere; in
    f32, f64 and integers alone where (3) takes a factor out.
    """

    name = "graph-simplify-reductions"

    stats: dict[str, int] = field(default_factory=dict, compare=False, repr=False)

    def apply(self, ctx: Context, op: builtin.ModuleOp) -> None:
        roots = (Reduce, Pool, GlobalPool, AdaptivePool)
        for function in op.ops:
            if isinstance(function, FuncOp) and any(isinstance(o, roots) for o in function.walk()):
                for name, count in rewrite_greedily(function, PATTERNS).items():
                    self.stats[name] = self.stats.get(name, 0) + count


# -- helpers --------------------------------------------------------------------------------------------------------


def source_of(
    op: GraphOp, kinds: type[GraphOp] | tuple[type[GraphOp], ...], alone: bool = True
) -> GraphOp | None:
    """The op of some kinds that gives an op's first operand, to it alone; none that the program gives a schedule."""
    inner = op.operands[0].owner
    if not isinstance(inner, kinds) or is_scheduled(inner):
        return None
    return inner if not alone or op.operands[0].has_one_use() else None


def kind_of(op: GraphOp) -> str:
    return op.name.removeprefix("graph.")


def reduced_to(result: GraphOp, x: SSAValue, axes: Sequence[int]) -> GraphOp | None:
    """The reduction of the kind of another over dims of x that has its dims, whether it keeps those of size 1 or not."""
    for keepdims in (False, True):
        values = {"axes": tuple(axes), "keepdims": keepdims}
        new = make_as(result.results[0].type, kind_of(result), [x], values)
        if new is not None:
            return new
    return None


def in_wide_arithmetic(op: GraphOp) -> bool:
    """Whether sums of a dtype have room: in small floats a factor may be there to keep a sum in range."""
    element = type_of(op.operands[0]).element_type
    return element in (builtin.f32, builtin.f64) or is_integer(element)


def rest_of(op: GraphOp, x: Term) -> Term:
    """The same reduction of another tensor, of which it may reduce dims of size 1 alone: then it is a reshape."""
    if all(x.dims[a] == ONE for a in ints(op.values(), "axes")):
        return x.reshape(dims_of(type_of(op.results[0])))
    return x.of(kind_of(op), **op.values())


# -- reductions of what only moves elements ------------------------------------------------------------------------


@pattern(Reduce)
def reduce_of_reduce(op: GraphOp, rewriter: Rewriter) -> None:
    """sum(sum(x, a), b) = sum(x, a b); so for mean, max, min and prod"""
    inner = source_of(op, type(op))
    if inner is None or has_quantised([type_of(op.operands[0])]):
        return
    first, values = ints(inner.values(), "axes"), inner.values()
    rank = len(dims_of(type_of(inner.operands[0])))
    left = [a for a in range(rank) if values["keepdims"] or a not in first]
    axes = sorted({*first, *(left[a] for a in ints(op.values(), "axes"))})
    new = reduced_to(op, inner.operands[0], axes)
    if new is not None:
        rewriter.replace(op, new, absorbed=(inner,))


@pattern(Reduce)
def reduce_of_transpose(op: GraphOp, rewriter: Rewriter) -> None:
    """sum(transpose(x, p), a) = sum(x, p[a]), where the dims that are left stay in order"""
    inner = source_of(op, TransposeOp, alone=False)
    if inner is None:
        return
    perm, gone = ints(inner.values(), "perm"), ints(op.values(), "axes")
    left = [p for a, p in enumerate(perm) if a not in gone]
    if left != sorted(left):
        return
    new = reduced_to(op, inner.operands[0], sorted(perm[a] for a in gone))
    if new is not None:
        rewriter.replace(op, new, absorbed=(inner,))


@pattern(Reduce)
def reduce_of_reshape(op: GraphOp, rewriter: Rewriter) -> None:
    """sum(reshape(x), a) = sum(x, b), where the dims a are the dims b, split or joined"""
    inner = source_of(op, ReshapeOp, alone=False)
    if inner is None:
        return
    gone = set(ints(op.values(), "axes"))
    old, new_ = dims_of(type_of(inner.operands[0])), dims_of(type_of(op.operands[0]))
    axes: list[int] = []
    for before, after in matching(old, new_):
        whole = [a in gone for a in after if new_[a] != ONE]
        if any(whole) and not all(whole):
            return
        axes += before if any(whole) else []
    new = reduced_to(op, inner.operands[0], axes)
    if new is not None:
        rewriter.replace(op, new, absorbed=(inner,))


@pattern(Reduce)
def reduce_of_broadcast(op: GraphOp, rewriter: Rewriter) -> None:
    """mean(broadcast(x), a) = broadcast(mean(x, those of a that x has)); so for max and min, and n times for sum"""
    inner = source_of(op, BroadcastOp, alone=False)
    if inner is None or isinstance(op, PROD) or has_quantised([type_of(op.operands[0])]):
        return
    own, wide = dims_of(type_of(inner.operands[0])), dims_of(type_of(op.operands[0]))
    lead, gone = len(wide) - len(own), ints(op.values(), "axes")
    reduced = [a - lead for a in gone if a >= lead and own[a - lead] == wide[a]]
    count = product(wide[a] for a in gone if a - lead not in reduced).value
    if not count or (isinstance(op, SUM) and not is_exact(count, op)):
        return
    sketch = Sketch()
    out = sketch.term(inner.operands[0])
    if reduced:
        out = out.of(kind_of(op), axes=tuple(reduced), keepdims=True)
    if isinstance(op, SUM) and count > 1:
        out = out * count
    if not op.values()["keepdims"]:
        out = shaped(out, [d for a, d in enumerate(out.dims, lead) if a not in gone])
    result = dims_of(type_of(op.results[0]))
    out = out if out.dims == result else out.of("broadcast", shape=result)
    rewriter.replace(op, sketch.ops, [out.value], absorbed=(inner,))


def is_exact(count: int, op: GraphOp) -> bool:
    """Whether the dtype of an op holds a number, and has room for so many times others."""
    element = type_of(op.operands[0]).element_type
    most = 1 << 24 if is_float(element) else integer_range(dtype_name(element))[1]
    return in_wide_arithmetic(op) and count <= most


# -- sums of products -----------------------------------------------------------------------------------------------


@pattern(SUM, MEAN)
def sum_of_scaled(op: GraphOp, rewriter: Rewriter) -> None:
    """sum(x * c) = sum(x) * c for one finite number c; so x / c of floats, and -x"""
    inner = source_of(op, (OPS["mul"], OPS["div"], OPS["neg"]))
    gone = product(dims_of(type_of(op.operands[0]))[a] for a in ints(op.values(), "axes"))
    if inner is None or gone == ONE or not in_wide_arithmetic(op):
        return
    sketch = Sketch()
    if isinstance(inner, OPS["neg"]):
        out = -sketch.term(inner.operands[0]).of(kind_of(op), **op.values())
        rewriter.replace(op, sketch.ops, [out.value], absorbed=(inner,))
        return
    at = next((i for i, v in enumerate(inner.operands) if is_finite_number(v)), None)
    is_division = isinstance(inner, OPS["div"])
    if at is None or (is_division and (at == 0 or not is_float(type_of(op.operands[0]).element_type))):
        return
    x = sketch.term(inner.operands[1 - at])
    if x.type == op.operands[0].type:
        number = shaped(sketch.term(inner.operands[at]), ())
        out = x.of(kind_of(op), **op.values()).of(kind_of(inner), number)
        rewriter.replace(op, sketch.ops, [out.value], absorbed=(inner,))


def is_finite_number(value: SSAValue) -> bool:
    number = splat_of(value)
    one = all(d == ONE for d in dims_of(type_of(value)))
    return one and isinstance(number, int | float) and math.isfinite(number)


@pattern(SUM, MEAN)
def sum_of_matmul(op: GraphOp, rewriter: Rewriter) -> None:
    """sum over rows of a @ b = sum over rows of a, @ b; sum over columns of a @ b = a @ sum over columns of b"""
    inner = source_of(op, MatmulOp)
    if inner is None or not in_wide_arithmetic(op):
        return
    operands, rank = list(inner.operands), len(dims_of(type_of(op.operands[0])))
    if any(len(dims_of(type_of(v))) < 2 for v in operands):
        return
    for side, axis in ((0, rank - 2), (1, rank - 1)):
        own = dims_of(type_of(operands[side]))
        along = len(own) - 2 + side
        if axis in ints(op.values(), "axes") and own[along] != ONE:
            sketch = Sketch()
            terms = [sketch.term(v) for v in operands]
            terms[side] = terms[side].of(kind_of(op), axes=(along,), keepdims=True)
            out = rest_of(op, terms[0].of("matmul", terms[1]))
            rewriter.replace(op, sketch.ops, [out.value], absorbed=(inner,))
            return


PATTERNS: tuple[Pattern, ...] = (
    *POOLS,
    *unless_scheduled(
        (
            reduce_of_reduce,
            reduce_of_transpose,
            reduce_of_reshape,
            reduce_of_broadcast,
            sum_of_scaled,
            sum_of_matmul,
        )
    ),
)
"""The rules, in the order in which they are tried at an op."""
