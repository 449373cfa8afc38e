"""The two rules of graph-fold-scale: what stands behind a product, and what stands ahead of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation, SSAValue

from dialects.graph import OPS, GraphOp
from dialects.graph.contraction import MatmulOp
from dialects.graph.derived.normalisation import BatchNormOp
from dialects.graph.shapes import number
from dialects.graph.sketch import Sketch, Term
from dialects.types import dims_of
from lowering.graph.fixed import tensor_bytes
from lowering.graph.fold_scale.channels import View, through, vector
from lowering.graph.fold_scale.finding import AFFINE, Finder, Step
from lowering.graph.fold_scale.products import WEIGHTED, in_scaled, out_scaled, remade, shifted
from lowering.rewriting import Pattern, Rewriter, unless_scheduled


@dataclass(frozen=True)
class _Put:
    """A product of another weight and bias, and the views that what it reads is seen through, and its result."""

    op: GraphOp
    x: SSAValue
    w: Term
    bias: Term | None
    ahead: list[View] = field(default_factory=list)
    behind: list[View] = field(default_factory=list)


class Folding:
    """The two rules, and what is known of a function."""

    def __init__(self, func: FuncOp, limit: int):
        self.func, self.limit = func, limit
        self.find = Finder(func)
        self.made: set[SSAValue] = set()
        self.patterns = unless_scheduled(
            (
                Pattern("scale_behind_product", AFFINE, self.behind),
                Pattern("scale_ahead_of_product", WEIGHTED, self.ahead),
            )
        )

    # -- rules --------------------------------------------------------------------------------------------------

    def behind(self, op: Operation, rewriter: Rewriter) -> None:
        """view(x * w + b) * s + c = view(x * (w * s) + (b * s + c))"""
        for at, value in enumerate(op.operands):
            known = self.find.behind(value, op)
            if known is None or not self.find.is_affine(op, at, known[2]):
                continue
            found, views, places = known
            scales = not isinstance(op, OPS["add"] | OPS["sub"])
            if isinstance(found.op, MatmulOp) and not scales and found.bias is None:
                continue  # x @ w + c is the form that fuses
            if scales and not self._may_scale(found.weight):
                continue
            sketch = Sketch()
            scale, shift = _affine(sketch, Step(op, at, places))  # pyright: ignore[reportArgumentType]
            w = sketch.term(found.weight)
            bias = None if found.bias is None else _bias(sketch.term(found.bias))
            if scale is not None:
                w, bias = out_scaled(found.op, w, scale), None if bias is None else bias * scale
                self.made.add(w.value)
            put = _Put(found.op, found.op.operands[0], w, _sum(bias, shift), behind=views)
            self._replace(op, put, rewriter)
            return

    def ahead(self, op: Operation, rewriter: Rewriter) -> None:
        """view(x * s + c) * w + b = view(x) * (s * w) + (c * w + b), if there is an s"""
        assert isinstance(op, GraphOp)
        found = self.find.weighted(op)
        if found is None:
            return
        chain, views = self.find.chain(op)
        if not chain or not self._may_scale(found.weight):
            return
        sketch = Sketch()
        scale = shift = None
        for step in reversed(chain):
            s, c = _affine(sketch, step)
            if s is not None:
                scale, shift = s if scale is None else scale * s, None if shift is None else shift * s
            shift = _sum(shift, c)
        w = sketch.term(found.weight)
        bias = None if found.bias is None else sketch.term(found.bias)
        if shift is not None:
            bias = _sum(bias, shifted(op, w, shift))
        assert scale is not None
        w = in_scaled(op, w, scale)
        self.made.add(w.value)
        self._replace(op, _Put(op, chain[-1].op.operands[chain[-1].at], w, bias, ahead=views), rewriter)

    # -- rewriting ----------------------------------------------------------------------------------------------

    def _may_scale(self, weight: SSAValue) -> bool:
        """Whether there is room for one more scaled weight; one that is scaled already is replaced."""
        if weight in self.made:
            return True
        size = tensor_bytes(weight) or 0
        if size > self.limit:
            return False
        self.limit -= size
        return True

    def _replace(self, op: Operation, put: _Put, rewriter: Rewriter) -> None:
        """Puts a product of another weight and bias in the place of an op. What is fixed comes before all loops."""
        sketch = put.w.sketch
        fixed = list(sketch.ops)
        x = through(put.ahead, sketch.term(put.x))
        through(put.behind, remade(put.op, x.value, put.w, put.bias))
        rest = sketch.ops[len(fixed) :]
        absorbed = (put.op, *put.ahead, *put.behind)
        rewriter.insert_before(self._place(op, fixed), fixed, origins=(op, put.op))
        rewriter.replace(op, rest, absorbed=absorbed)

    def _place(self, op: Operation, fixed: Sequence[Operation]) -> Operation:
        """The op of the function's own block that holds an op, if what fixed ops read is defined outside of it."""
        block = self.func.body.block
        outer = block.find_ancestor_op_in_block(op)
        assert outer is not None
        inside = set(fixed)
        owners = {v.owner for o in fixed for v in o.operands} - inside
        return outer if all(not isinstance(o, Operation) or o.parent is block for o in owners) else op


def _bias(bias: Term) -> Term:
    """A bias, with dims of size 1 before its own or without, as a vector."""
    return vector(bias, bias.dims, (len(bias.dims) - 1,))


def _sum(a: Term | None, b: Term | None) -> Term | None:
    return b if a is None else a if b is None else a + b


def _affine(sketch: Sketch, step: Step) -> tuple[Term | None, Term | None]:
    """The vectors that an op multiplies an operand by, and adds."""
    op, shape = step.op, dims_of(step.op.results[0].type)
    others = [sketch.term(v) for i, v in enumerate(op.operands) if i != step.at]
    if isinstance(op, BatchNormOp):
        scale, bias, mean, var = others
        factor = (var + number(op.values(), "eps")).of("rsqrt") * scale
        return factor, bias - mean * factor
    other = vector(others[0], shape, step.places)
    match op.name.removeprefix("graph."):
        case "mul":
            return other, None
        case "div":
            return 1 / other, None
        case "add":
            return None, other
        case _:
            return None, -other
