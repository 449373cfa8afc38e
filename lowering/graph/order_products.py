"""graph-order-products: products of several tensors in the order of the fewest multiply-adds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import and_

from xdsl.context import Context
from xdsl.dialects import builtin
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from dialects.dims import Dim, dims_text
from dialects.graph import GraphOp
from dialects.graph.contraction import MatmulOp
from dialects.graph.derived.window import EinsumOp
from dialects.graph.ranges import least, symbol_ranges
from dialects.graph.sketch import Sketch, Term
from dialects.types import dims_of, element_bytes, is_integer
from lowering.graph.contraction_order import Factor, Sum, Tree, best_in_a_row, best_of_all, chain
from lowering.graph.fixed import Fixed
from lowering.graph.simplify.values import type_of
from lowering.remarks import counted, listener
from lowering.rewriting import Pattern, Rewriter, is_scheduled, rewrite_greedily
from lowering.target import get_target

LONGEST = 24
"""Chains of more matrices stay as they are: choosing takes the third power of their number."""

GAIN = 0.9
"""Another order has to need no more than this part of the multiply-adds."""


@dataclass(frozen=True)
class GraphOrderProducts(ModulePass):
    """Computes products of three or more tensors in the order that needs the fewest multiply-adds.

    Expects: functions at the graph level.
    Does: (1) takes matmuls of matmuls that nothing else reads as one product of a row of matrices, with dims of a batch, and
    brackets it anew; (2) makes of an einsum of three or more tensors einsums of two, each letter summed as soon as nothing
    else has it. What is made of parameters alone counts nothing where it runs once and takes no more memory than they do.
    Sizes that a run decides are compared at their greatest, and the order stays where another is not seen to need less for
    all sizes. f32, f64 and integers alone; what the program schedules stays.
    Leaves: a function at the graph level. Products in another order are rounded elsewhere, and overflow elsewhere: where
    partial products leave the range of their dtype in the new order, floats become infinite or NaN whose result in the
    order of the program was finite, and the other way round. Where a factor is infinite, infinities that would meet may
    not, and the other way round.
    """

    name = "graph-order-products"

    target: str = "native"
    cc: str = "gcc"
    stats: dict[str, int] = field(default_factory=dict, compare=False, repr=False)

    def apply(self, ctx: Context, op: builtin.ModuleOp) -> None:
        runs_once = get_target(self.target, self.cc).packs
        for function in op.ops:
            if isinstance(function, FuncOp) and any(map(_is_of_several, function.walk())):
                ordering = _Ordering(function, runs_once, self.stats)
                for name, count in rewrite_greedily(function, ordering.patterns).items():
                    self.stats[name] = self.stats.get(name, 0) + count


class _Ordering:
    """The two rules, and what is known of a function."""

    def __init__(self, func: FuncOp, runs_once: bool, stats: dict[str, int]):
        self.fixed, self.runs_once, self.stats = Fixed(func), runs_once, stats
        self.ranges = symbol_ranges(func)
        self.patterns = (
            Pattern("matmuls_in_order", (MatmulOp,), self.matmuls),
            Pattern("einsum_by_pairs", (EinsumOp,), self.einsum),
        )

    # -- rules --------------------------------------------------------------------------------------------------

    def matmuls(self, op: Operation, rewriter: Rewriter) -> None:
        """(a @ b) @ c = a @ (b @ c)"""
        assert isinstance(op, MatmulOp)
        if not _may_reorder(op) or _is_inside(op):
            return
        leaves, inner, now = _row_of(op)
        shapes = [dims_of(type_of(v)) for v in leaves]
        is_flat = min(map(len, shapes)) > 1 or max(map(len, shapes)) < 3
        if not 3 <= len(leaves) <= LONGEST or not is_flat:
            return
        total = chain(shapes, [self._sources(v) for v in leaves], _bytes(op))
        best = best_in_a_row(total, self._size)
        if not self._is_better(op, total.cost(now), total.cost(best), _bracketed(best, shapes)):
            return
        sketch = Sketch()
        terms = [sketch.term(v) for v in leaves]
        out = _multiplied(terms, best)
        rewriter.replace(op, sketch.ops, [out.value], absorbed=inner)

    def einsum(self, op: Operation, rewriter: Rewriter) -> None:
        """einsum(a, b, c) = einsum(einsum(a, b), c)"""
        assert isinstance(op, EinsumOp)
        count = len(op.operands)
        if count < 3 or not _may_reorder(op):
            return
        inputs, _, result = str(op.values()["spec"]).partition("->")
        letters = inputs.split(",")
        shapes = [dims_of(type_of(v)) for v in op.operands]
        sizes = {c: d for term, s in zip(letters, shapes, strict=True) for c, d in zip(term, s, strict=True)}
        factors = tuple(Factor(t, self._sources(v)) for t, v in zip(letters, op.operands, strict=True))
        total = Sum(factors, result, sizes, _bytes(op))
        own = [total.left(frozenset((i,))) for i in range(count)]
        slim = Sum(
            tuple(Factor(t, f.sources) for t, f in zip(own, factors, strict=True)), result, sizes, _bytes(op)
        )
        best = best_of_all(slim, self._size)
        now = total.count("".join(letters)) * (count - 1)
        if not self._is_better(op, now, slim.cost(best), _bracketed(best, own)):
            return
        sketch = Sketch()
        terms = [sketch.term(v) for v in op.operands]
        for i, (before, after) in enumerate(zip(letters, own, strict=True)):
            if before != after:
                terms[i] = terms[i].of("einsum", spec=f"{before}->{after}")
        out = _contracted(slim, terms, best)[0]
        rewriter.replace(op, sketch.ops, [out.value])

    # -- what an order costs --------------------------------------------------------------------------------------

    def _sources(self, value: SSAValue) -> int | None:
        return self.fixed.bytes_of_sources(value) if self.runs_once else None

    def _size(self, cost: Dim) -> float:
        """A number of multiply-adds where sizes are greatest."""
        return cost.value if cost.value is not None else cost.bounds(self.ranges)[1]

    def _is_better(self, op: GraphOp, now: Dim, best: Dim, order: str) -> bool:
        """Whether an order needs less for all sizes; tells so."""
        before, after = self._size(now), self._size(best)
        if after > GAIN * before or now == best:
            return False
        tell = listener("products", GraphOrderProducts.name)
        if least(_without_common_sizes(now - best), self.ranges) < 0:
            if tell is not None:
                reason = f"it needs {best} multiply-adds instead of {now}, which is more for some sizes"
                tell.missed(op, f"the order {order} is not taken", reason)
            return False
        saved = int(before - after)
        self.stats["multiply-adds saved"] = self.stats.get("multiply-adds saved", 0) + saved
        if tell is not None:
            reason = f"{best} multiply-adds in each run instead of {now}"
            tell.applied(
                op, f"{counted(order.count('@') + 1, 'factor')} in the order {order}", reason, saved=saved
            )
        return True


def _without_common_sizes(cost: Dim) -> Dim:
    """What is left of a sum when the sizes that all its terms have are taken out: its sign is the same."""
    counts = [Counter(monomial) for monomial, _ in cost.terms]
    common = reduce(and_, counts) if counts else Counter()
    return Dim(
        tuple((tuple((n - common).elements()), c) for n, (_, c) in zip(counts, cost.terms, strict=True))
    )


# -- rows of matmuls ------------------------------------------------------------------------------------------------


def _bytes(op: GraphOp) -> int:
    return element_bytes(type_of(op.results[0]).element_type)


def _may_reorder(op: GraphOp) -> bool:
    element = type_of(op.results[0]).element_type
    return (element in (builtin.f32, builtin.f64) or is_integer(element)) and not is_scheduled(op)


def _is_part(value: SSAValue, reader: Operation, side: int) -> bool:
    """Whether a value is a matmul that only one other reads, as a matrix on its left or right side."""
    op = value.owner
    if not isinstance(op, MatmulOp) or not _may_reorder(op) or not value.has_one_use():
        return False
    return op.parent is reader.parent and len(dims_of(type_of(op.operands[1 - side]))) > 1


def _is_of_several(op: Operation) -> bool:
    """Whether an op is part of a product of three tensors or more."""
    if isinstance(op, MatmulOp):
        return any(isinstance(v.owner, MatmulOp) for v in op.operands)
    return isinstance(op, EinsumOp) and len(op.operands) > 2


def _is_inside(op: MatmulOp) -> bool:
    """Whether a matmul is part of the row of another."""
    use = op.results[0].get_user_of_unique_use()
    if not isinstance(use, MatmulOp) or not _may_reorder(use):
        return False
    return any(_is_part(v, use, side) for side, v in enumerate(use.operands) if v is op.results[0])


def _row_of(op: MatmulOp) -> tuple[list[SSAValue], list[Operation], Tree]:
    """The matrices that a matmul multiplies through others, these, and the present order."""
    leaves: list[SSAValue] = []
    inner: list[Operation] = []

    def walk(part: Operation, depth: int) -> Tree:
        sides: list[Tree] = []
        for side, value in enumerate(part.operands):
            if depth < LONGEST and _is_part(value, part, side):
                assert isinstance(value.owner, Operation)
                inner.append(value.owner)
                sides.append(walk(value.owner, depth + 1))
            else:
                sides.append(len(leaves))
                leaves.append(value)
        return sides[0], sides[1]

    now = walk(op, 0)
    return leaves, inner, now


def _multiplied(terms: Sequence[Term], tree: Tree) -> Term:
    if isinstance(tree, int):
        return terms[tree]
    return _multiplied(terms, tree[0]).of("matmul", _multiplied(terms, tree[1]))


def _contracted(total: Sum, terms: Sequence[Term], tree: Tree) -> tuple[Term, str, frozenset[int]]:
    """The term of an order, its letters, and the factors that it holds."""
    if isinstance(tree, int):
        return terms[tree], total.factors[tree].letters, frozenset((tree,))
    (a, first, left), (b, second, right) = (_contracted(total, terms, t) for t in tree)
    inside = left | right
    letters = total.result if len(inside) == len(terms) else total.left(inside)
    return a.of("einsum", b, spec=f"{first},{second}->{letters}"), letters, inside


def _bracketed(tree: Tree, factors: Sequence[object], outer: bool = True) -> str:
    """An order as text."""
    if isinstance(tree, int):
        factor = factors[tree]
        return factor if isinstance(factor, str) else dims_text(factor)  # pyright: ignore[reportArgumentType]
    text = " @ ".join(_bracketed(t, factors, False) for t in tree)
    return text if outer else f"({text})"
