"""graph-fold-scale: factors and summands for each channel become part of weights and biases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects import builtin
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from dialects.graph import OPS, GraphOp
from dialects.graph.contraction import MatmulOp
from dialects.graph.derived.normalisation import BatchNormOp
from dialects.graph.shapes import number
from dialects.graph.sketch import Sketch, Term
from dialects.types import dims_of
from lowering.graph.fixed import Fixed, tensor_bytes
from lowering.graph.scaled_products import (
    PRODUCTS,
    channel_dim,
    in_scaled,
    is_product,
    is_vector,
    out_scaled,
    remade,
    shifted,
    takes_shift,
    vector,
)
from lowering.rewriting import Pattern, Rewriter, is_scheduled, rewrite_greedily, unless_scheduled
from lowering.target import get_target

AFFINE = (*(OPS[name] for name in ("mul", "div", "add", "sub")), BatchNormOp)
"""Ops that multiply by a factor and add a summand, where these are fixed."""

WIDE = (builtin.f32, builtin.f64)
"""In narrower floats a scaled weight would lose bits, or leave the range, that the sum of products has not lost."""

READERS = 8
"""So many products may read what is folded into all of them."""


@dataclass(frozen=True)
class GraphFoldScale(ModulePass):
    """Folds what is multiplied and added for each channel into the weights and biases of products.

    Expects: functions at the graph level.
    Does: where a convolution, a transposed one, or a matmul by a matrix on its right has a weight that is the same in every
    run, (1) a multiplication, division, addition, subtraction or batch normalisation of its result, by fixed numbers for
    each channel or one for all, becomes part of weight and bias, if nothing else reads that result; (2) so does a chain
    of them in what it reads, for as many products as read it: additions only where no padding stands beside them. Scaled
    weights take no more than `limit` bytes together. What a run writes is not fixed; f32 and f64 alone are folded, and
    nothing that the program schedules. Targets on which nothing runs once are left alone.
    It looks through no view between a product and a factor; it runs again behind what moves views away.
    Leaves: a function at the graph level, with arithmetic on parameters that `kernel-prepack` runs once. Results differ by
    rounding, and by where a sum of products overflows; a factor that is itself infinite (or a divisor that is zero) gives
    NaN where it gave infinities of either sign.
    """

    name = "graph-fold-scale"

    target: str = "native"
    cc: str = "gcc"
    limit: int = 1 << 28
    stats: dict[str, int] = field(default_factory=dict, compare=False, repr=False)

    def apply(self, ctx: Context, op: builtin.ModuleOp) -> None:
        if not get_target(self.target, self.cc).packs:
            return
        for function in op.ops:
            if isinstance(function, FuncOp) and any(isinstance(o, PRODUCTS) for o in function.walk()):
                for name, count in rewrite_greedily(
                    function, _Folding(function, self.limit).patterns
                ).items():
                    self.stats[name] = self.stats.get(name, 0) + count


@dataclass(frozen=True)
class _Found:
    """A product with a fixed weight, and the bias of its result: its operand, or what the op `last` adds."""

    op: GraphOp
    weight: SSAValue
    bias: SSAValue | None
    last: Operation


class _Folding:
    """The two rules, and what is known of a function."""

    def __init__(self, func: FuncOp, limit: int):
        self.func, self.limit = func, limit
        self.fixed = Fixed(func)
        self.made: set[SSAValue] = set()
        self.patterns = unless_scheduled(
            (
                Pattern("scale_behind_product", AFFINE, self.behind),
                Pattern("scale_ahead_of_product", PRODUCTS, self.ahead),
            )
        )

    # -- rules --------------------------------------------------------------------------------------------------

    def behind(self, op: Operation, rewriter: Rewriter) -> None:
        """(x * w + b) * s + c = x * (w * s) + (b * s + c)"""
        for at, value in enumerate(op.operands):
            found = self._product_of(value, op)
            if found is None or not self._is_affine(op, at, channel_dim(found.op, _rank(value))):
                continue
            scales = not isinstance(op, OPS["add"] | OPS["sub"])
            if isinstance(found.op, MatmulOp) and not scales and found.bias is None:
                continue  # x @ w + c is the form that fuses
            if scales and not self._may_scale(found.weight):
                continue
            sketch = Sketch()
            channel = channel_dim(found.op, _rank(value))
            scale, shift = _affine(sketch, op, at, channel)  # pyright: ignore[reportArgumentType]
            w = sketch.term(found.weight)
            bias = None if found.bias is None else _bias(sketch.term(found.bias))
            if scale is not None:
                w, bias = out_scaled(found.op, w, scale), None if bias is None else bias * scale
                self.made.add(w.value)
            self._put(op, found.op, found.op.operands[0], w, _sum(bias, shift), rewriter)
            return

    def ahead(self, op: Operation, rewriter: Rewriter) -> None:
        """(x * s + c) * w + b = x * (s * w) + (c * w + b), if there is an s"""
        assert isinstance(op, GraphOp)
        found = self.weighted(op)
        if found is None:
            return
        chain = self._chain(op)
        if not chain or not self._may_scale(found.weight):
            return
        sketch = Sketch()
        scale = shift = None
        for step, at in reversed(chain):
            s, c = _affine(sketch, step, at, channel_dim(op, _rank(op.operands[0])))
            if s is not None:
                scale, shift = s if scale is None else scale * s, None if shift is None else shift * s
            shift = _sum(shift, c)
        w = sketch.term(found.weight)
        bias = None if found.bias is None else sketch.term(found.bias)
        if shift is not None:
            bias = _sum(bias, shifted(op, w, shift))
        assert scale is not None
        source, at = chain[-1]
        w = in_scaled(op, w, scale)
        self.made.add(w.value)
        self._put(op, op, source.operands[at], w, bias, rewriter)

    # -- guards -------------------------------------------------------------------------------------------------

    def weighted(self, op: object) -> _Found | None:
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
        return _Found(op, weight, bias[0] if bias else None, op)

    def _product_of(self, value: SSAValue, reader: Operation) -> _Found | None:
        """The product that gives a value to one op alone, in the same block; that of a matmul with a bias added to it."""
        op = value.owner
        if not isinstance(op, GraphOp) or not value.has_one_use() or op.parent is not reader.parent:
            return None
        if not isinstance(op, OPS["add"]):
            return self.weighted(op)
        for at, inner in enumerate(op.operands):
            is_plain = isinstance(inner.owner, MatmulOp) and not is_scheduled(op)
            found = self._product_of(inner, op) if is_plain else None
            if found is not None and self._is_affine(op, at, _rank(value) - 1):
                return _Found(found.op, found.weight, op.operands[1 - at], op)
        return None

    def _is_affine(self, op: Operation, at: int, channel: int) -> bool:
        """Whether an op computes its operand `at` times a fixed vector plus a fixed vector."""
        x, others = op.operands[at], [v for i, v in enumerate(op.operands) if i != at]
        if x.type != op.results[0].type or not all(v in self.fixed for v in others):
            return False
        if isinstance(op, BatchNormOp):
            return at == 0 and channel == 1
        if at == 1 and not isinstance(op, OPS["mul"] | OPS["add"]):
            return False
        return is_vector(dims_of(others[0].type), _rank(x), channel)  # pyright: ignore[reportArgumentType]

    def _chain(self, product: GraphOp) -> list[tuple[GraphOp, int]]:
        """The affine ops that a product reads through, each with the operand that it is of, from the product on; none
        where none of them multiplies."""
        value, chain = product.operands[0], list[tuple[GraphOp, int]]()
        channel, shifts = channel_dim(product, _rank(value)), takes_shift(product)
        while isinstance(op := value.owner, AFFINE) and not is_scheduled(op):
            at = next((i for i, v in enumerate(op.operands) if v not in self.fixed), 0)
            is_alone = value.has_one_use() if chain else self._is_for_products(value, shifts)
            may_shift = shifts or isinstance(op, OPS["mul"] | OPS["div"])
            if not is_alone or not may_shift or not self._is_affine(op, at, channel):
                break
            chain.append((op, at))  # pyright: ignore[reportArgumentType]
            value = op.operands[at]
        return chain if any(not isinstance(o, OPS["add"] | OPS["sub"]) for o, _ in chain) else []

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

    def _may_scale(self, weight: SSAValue) -> bool:
        """Whether there is room for one more scaled weight; one that is scaled already is replaced."""
        if weight in self.made:
            return True
        size = tensor_bytes(weight) or 0
        if size > self.limit:
            return False
        self.limit -= size
        return True

    # -- rewriting ----------------------------------------------------------------------------------------------

    def _put(
        self, op: Operation, product: GraphOp, x: SSAValue, w: Term, bias: Term | None, rewriter: Rewriter
    ) -> None:
        """Puts a product of another weight and bias in the place of an op. What is fixed comes before all loops."""
        sketch = w.sketch
        fixed = list(sketch.ops)
        remade(product, x, w, bias)
        rest = sketch.ops[len(fixed) :]
        rewriter.insert_before(self._place(op, fixed), fixed, origins=(op, product))
        rewriter.replace(op, rest, absorbed=(product,))

    def _place(self, op: Operation, fixed: Sequence[Operation]) -> Operation:
        """The op of the function's own block that holds an op, if what fixed ops read is defined outside of it."""
        outer, block = op, self.func.body.block
        while outer.parent is not block:
            parent = outer.parent_op()
            assert parent is not None
            outer = parent
        inside = set(fixed)
        owners = {v.owner for o in fixed for v in o.operands} - inside
        return outer if all(not isinstance(o, Operation) or o.parent is block for o in owners) else op


def _rank(value: SSAValue) -> int:
    return len(dims_of(value.type))  # pyright: ignore[reportArgumentType]


def _bias(bias: Term) -> Term:
    """A bias, with dims of size 1 before its own or without, as a vector."""
    return vector(bias, len(bias.dims), len(bias.dims) - 1)


def _sum(a: Term | None, b: Term | None) -> Term | None:
    return b if a is None else a if b is None else a + b


def _affine(sketch: Sketch, op: GraphOp, at: int, channel: int) -> tuple[Term | None, Term | None]:
    """The vectors that an op multiplies its operand `at` by, and adds."""
    rank = _rank(op.operands[at])
    others = [sketch.term(v) for i, v in enumerate(op.operands) if i != at]
    if isinstance(op, BatchNormOp):
        scale, bias, mean, var = others
        factor = (var + number(op.values(), "eps")).of("rsqrt") * scale
        return factor, bias - mean * factor
    other = vector(others[0], rank, channel)
    match op.name.removeprefix("graph."):
        case "mul":
            return other, None
        case "div":
            return 1 / other, None
        case "add":
            return None, other
        case _:
            return None, -other
