"""Where a product with a fixed weight has a factor next to it, or seen through views: what graph-fold-scale goes by."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.dialects import builtin
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation, SSAValue

from dialects.graph import OPS, GraphOp
from dialects.graph.contraction import MatmulOp
from dialects.graph.derived.normalisation import BatchNormOp
from dialects.types import dims_of
from lowering.graph.fixed import Fixed
from lowering.graph.fold_scale.channels import Places, View, ahead, behind, is_vector, view_of
from lowering.graph.fold_scale.products import channel_dim, is_product, takes_shift
from lowering.rewriting import is_scheduled

AFFINE = (*(OPS[name] for name in ("mul", "div", "add", "sub")), BatchNormOp)
"""Ops that multiply by a factor and add a summand, where these are fixed."""

WIDE = (builtin.f32, builtin.f64)
"""In narrower floats a scaled weight would lose bits, or leave the range, that the sum of products has not lost."""

READERS = 8
"""So many products may read what is folded into all of them."""


@dataclass(frozen=True)
class Found:
    """A product with a fixed weight, and the bias of its result: its operand, or what the op `last` adds."""

    op: GraphOp
    weight: SSAValue
    bias: SSAValue | None
    last: Operation


@dataclass(frozen=True)
class Step:
    """An op that multiplies or adds, the operand that it does so to, and where that has the channels."""

    op: GraphOp
    at: int
    places: Places


class Finder:
    """What is known of a function."""

    def __init__(self, func: FuncOp):
        self.fixed = Fixed(func)

    def weighted(self, op: object) -> Found | None:
        """A product of wide floats by a fixed weight, and a fixed bias if it has one."""
        if not is_product(op):
            return None
        assert isinstance(op, GraphOp)
        if is_scheduled(op):
            return None
        _, weight, *bias = op.operands
        is_wide = op.results[0].type.element_type in WIDE  # pyright: ignore[reportAttributeAccessIssue]
        if not is_wide or not self.fixed.is_compact(weight) or not all(b in self.fixed for b in bias):
            return None
        return Found(op, weight, bias[0] if bias else None, op)

    def behind(self, value: SSAValue, reader: Operation) -> tuple[Found, list[View], Places] | None:
        """The product that an op alone reads, as it is or through views, the last of these first; and where the channels are
        that the op reads."""
        views: list[View] = []
        while (view := view_of(value)) is not None and value.has_one_use() and view.parent is reader.parent:
            views.append(view)
            value, reader = view.operands[0], view
        found = self.product_of(value, reader)
        if found is None:
            return None
        places: Places = (channel_dim(found.op, rank_of(value)),)
        for view in reversed(views):
            places = behind(view, places)
        return found, views, places

    def product_of(self, value: SSAValue, reader: Operation) -> Found | None:
        """The product that gives a value to one op alone, in the same block; that of a matmul with a bias added to it."""
        op = value.owner
        if not isinstance(op, GraphOp) or not value.has_one_use() or op.parent is not reader.parent:
            return None
        if not isinstance(op, OPS["add"]):
            return self.weighted(op)
        for at, inner in enumerate(op.operands):
            is_plain = isinstance(inner.owner, MatmulOp) and not is_scheduled(op)
            found = self.product_of(inner, op) if is_plain else None
            if found is not None and self.is_affine(op, at, (rank_of(value) - 1,)):
                return Found(found.op, found.weight, op.operands[1 - at], op)
        return None

    def is_affine(self, op: Operation, at: int, places: Places) -> bool:
        """Whether an op computes its operand `at` times a fixed vector plus a fixed vector."""
        x, others = op.operands[at], [v for i, v in enumerate(op.operands) if i != at]
        if x.type != op.results[0].type or not all(v in self.fixed for v in others):
            return False
        if isinstance(op, BatchNormOp):
            return at == 0 and places == (1,)
        if at == 1 and not isinstance(op, OPS["mul"] | OPS["add"]):
            return False
        return is_vector(dims_of(others[0].type), rank_of(x), places)  # pyright: ignore[reportArgumentType]

    def chain(self, product: GraphOp) -> tuple[list[Step], list[View]]:
        """The affine ops that a product reads through, from the product on, and the views between; none where none of them
        multiplies."""
        value, chain, shifts = product.operands[0], list[Step](), takes_shift(product)
        places: Places = (channel_dim(product, rank_of(value)),)
        views, between = list[View](), list[View]()
        while value.has_one_use() if chain or views else self._is_for_products(value, shifts):
            op = value.owner
            if (view := view_of(value)) is not None:
                views.append(view)
                places, value = ahead(view, places), view.operands[0]
                continue
            if not isinstance(op, AFFINE) or is_scheduled(op):
                break
            at = next((i for i, v in enumerate(op.operands) if v not in self.fixed), 0)
            may_shift = shifts or isinstance(op, OPS["mul"] | OPS["div"])
            if not may_shift or not self.is_affine(op, at, places):
                break
            chain.append(Step(op, at, places))  # pyright: ignore[reportArgumentType]
            between = list(views)
            value = op.operands[at]
        scales = any(not isinstance(step.op, OPS["add"] | OPS["sub"]) for step in chain)
        return (chain, between) if scales else ([], [])

    def _is_for_products(self, value: SSAValue, shifts: bool) -> bool:
        """Whether all that read a value are products into which the same can be folded."""
        uses = [use for _, use in zip(range(READERS + 1), value.uses, strict=False)]
        return len(uses) <= READERS and all(
            use.index == 0
            and self.weighted(use.operation) is not None
            and takes_shift(use.operation) == shifts  # pyright: ignore[reportArgumentType]
            and channel_dim(use.operation, 3) == channel_dim(uses[0].operation, 3)
            for use in uses
        )


def rank_of(value: SSAValue) -> int:
    return len(dims_of(value.type))  # pyright: ignore[reportArgumentType]
