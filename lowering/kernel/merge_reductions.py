"""kernel-merge-reductions: chains of reductions over the same axes become one with a tuple state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects import arith, builtin, math
from xdsl.dialects.builtin import FloatAttr, IntegerAttr, LocationAttr, i1
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.passes import ModulePass

from dialects.dims import product
from dialects.errors import union_location
from dialects.kernel import DefOp, ReduceOp, YieldOp
from dialects.types import RefType
from lowering.kernel.cost import CACHED_ROW
from lowering.kernel.merge_remarks import merged, waiting
from lowering.remarks import listener


@dataclass(frozen=True)
class KernelMergeReductions(ModulePass):
    """Merges a maximum and the sums of exp(x - maximum) into one reduction with a tuple state.

    Expects: kernels in axes form.
    Does: where m = max x and sums of exp(x - m), or of exp(x - m) * v, run over the same axes, makes one reduction with
    state (m, sums...): a new element x moves m to m' = max(m, x) and a sum s to s exp(m - m') + exp(x - m') v. Two states
    combine in the same way. A state that has seen only -inf stays (-inf, 0, ...), as a difference of infinities would be
    NaN. So softmax gets (m, l) and attention (m, l, acc), whatever the scores are: masks, windows and biases follow.
    Rows that are read from memory and stay in a cache are left alone: reading them twice is cheaper than exp(m - m').
    Leaves: no reduction that waits for another over the same axes, where the rule applies.

    M. Milakov and N. Gimelshein, "Online normalizer calculation for softmax", 2018.
    """

    name = "kernel-merge-reductions"

    stats: dict[str, int] = field(default_factory=dict, compare=False, repr=False)

    def apply(self, ctx: Context, op: builtin.ModuleOp) -> None:
        for kernel in op.ops:
            if isinstance(kernel, DefOp) and kernel.in_axes_form:
                for reduce in [o for o in kernel.block.ops if isinstance(o, ReduceOp)]:
                    if (
                        reduce.parent is not None
                        and is_worth(kernel, reduce)
                        and (sums := match_chain(reduce))
                    ):
                        if (tell := listener("reduce-merge", self.name)) is not None:
                            merged(tell, reduce, [s.op for s in sums], kernel)
                        merge_chain(reduce, sums)
                        self.stats["online sums"] = self.stats.get("online sums", 0) + len(sums)
                if (tell := listener("reduce-merge", self.name)) is not None:
                    waiting(tell, kernel, is_maximum, why_not)


def is_worth(kernel: DefOp, top: ReduceOp) -> bool:
    """Whether the elements of a maximum are dear to come by again: sums of their own, or rows that leave the caches."""
    extents = kernel.extents()
    row = product(extents[axis] for axis in top.axes)
    if row.bounds(kernel.symbols.ranges())[1] > CACHED_ROW:
        return True
    work, seen = list(top.inputs), set[Operation]()
    while work:
        op = work.pop().owner
        if isinstance(op, ReduceOp):
            return True
        if isinstance(op, Operation) and op not in seen:
            seen.add(op)
            work += [v for v in op.operands if not isinstance(v.type, RefType)]
    return False


def simple_op(op: ReduceOp) -> type[Operation] | None:
    """The op of a reduction whose step and combine are that op on state and element."""
    if len(op.inputs) != 1 or len(op.state_types) != 1:
        return None
    for region in (op.step, op.combine):
        ops = list(region.block.ops)
        if (
            len(ops) != 2
            or set(ops[0].operands) != set(region.block.args)
            or ops[1].operands[0] is not ops[0].results[0]
        ):
            return None
    finish = op.finish.block.last_op
    assert finish is not None
    same = (
        type(op.step.block.first_op) is type(op.combine.block.first_op)
        and finish.operands[0] is op.finish.block.args[0]
    )
    return type(op.step.block.first_op) if same and op.step.block.first_op is not None else None


@dataclass(frozen=True)
class Sum:
    """A reduction that sums exp(x - m), or exp(x - m) * factor."""

    op: ReduceOp
    factor: SSAValue | None


def match_chain(top: ReduceOp) -> list[Sum]:
    """The sums over the axes of a maximum m of x whose elements are exp(x - m), weighted or not."""
    if not is_maximum(top):
        return []
    block = top.parent
    assert block is not None
    found: list[Sum] = []
    for op in block.ops:
        if isinstance(op, ReduceOp) and op.over == top.over and op is not top:
            parts = factors_of(op)
            for position, part in enumerate(parts):
                if is_shifted_exp(part, top):
                    found.append(Sum(op, parts[1 - position] if len(parts) == 2 else None))
                    break
    return found


def is_maximum(op: ReduceOp) -> bool:
    """Whether a reduction gives the greatest of its elements."""
    return simple_op(op) is arith.MaximumfOp


def why_not(first: ReduceOp, second: ReduceOp) -> str:
    """Which guard of the rule keeps a reduction from joining the one whose result it needs."""
    if not is_maximum(first):
        return "the first is no maximum, and the rule is for a maximum and sums of exp(x - maximum)"
    if first.over != second.over:
        return f"one runs over {', '.join(first.axes)}, the other over {', '.join(second.axes)}"
    parts = factors_of(second)
    if not parts:
        return "the second is no sum"
    if not any(isinstance(part.owner, math.ExpOp) for part in parts):
        return "what is summed is no exp(x - maximum)"
    if any(s.op is second for s in match_chain(first)):
        return "the row stays in a cache: reading it twice costs less than rescaling a sum whenever the maximum grows"
    return "what is summed is an exp, but not of the same x less its maximum"


def factors_of(op: ReduceOp) -> list[SSAValue]:
    """What a sum adds up: an element, or the two factors of a product; nothing for another reduction."""
    if simple_op(op) is arith.AddfOp:
        element = op.inputs[0]
        owner = element.owner
        return [owner.lhs, owner.rhs] if isinstance(owner, arith.MulfOp) else [element]
    return list(op.inputs) if is_sum_of_products(op) else []


def is_sum_of_products(op: ReduceOp) -> bool:
    """Whether a reduction's step is state + a * b."""
    step, combine, finish = (list(region.block.ops) for region in (op.step, op.combine, op.finish))
    if len(op.inputs) != 2 or len(step) != 3 or len(combine) != 2 or len(finish) != 1:
        return False
    product, total, last = step
    state, *elements = op.step.block.args
    return (
        isinstance(product, arith.MulfOp)
        and isinstance(total, arith.AddfOp)
        and isinstance(combine[0], arith.AddfOp)
        and set(product.operands) == set(elements)
        and set(total.operands) == {state, product.result}
        and last.operands[0] is total.result
        and finish[0].operands[0] is op.finish.block.args[0]
    )


def is_shifted_exp(value: SSAValue, top: ReduceOp) -> bool:
    """Whether a field is exp(x - m), where m may be replaced by zero in rows where it is -inf."""
    exp = value.owner
    if not isinstance(exp, math.ExpOp) or not isinstance(difference := exp.operand.owner, arith.SubfOp):
        return False
    base = difference.rhs
    if isinstance(select := base.owner, arith.SelectOp) and _is_row_test(select, top):
        base = select.rhs
    return difference.lhs is top.inputs[0] and base is top.results[0]


def _is_row_test(select: arith.SelectOp, top: ReduceOp) -> bool:
    """select(m == -inf, 0, m)"""
    test = select.cond.owner
    return (
        isinstance(test, arith.CmpfOp)
        and test.predicate.value.data == 1
        and test.lhs is top.results[0]
        and _number(test.rhs) == float("-inf")
        and _number(select.lhs) == 0
    )


def _number(value: SSAValue) -> float | None:
    owner = value.owner
    return (
        owner.value.value.data
        if isinstance(owner, arith.ConstantOp) and isinstance(owner.value, FloatAttr)
        else None
    )


def merge_chain(top: ReduceOp, sums: list[Sum]) -> None:
    """Replaces the maximum and its sums by one reduction, before the last of them."""
    x, *weights = [top.inputs[0], *(s.factor for s in sums if s.factor is not None)]
    states = [top.results[0].type, *(s.op.results[0].type for s in sums)]
    location = union_location([top, *(s.op for s in sums)])
    rule = _Rule(location, [s.factor is not None for s in sums])
    count = len(states)
    elements = [x.type, *(w.type for w in weights)]

    def region(
        arguments: Sequence[Attribute], fill: Callable[[list[SSAValue]], Sequence[SSAValue]]
    ) -> Region:
        rule.block = Block(arg_types=arguments)
        rule.append(YieldOp(*fill(list(rule.block.args))))
        return Region(rule.block)

    regions = [
        region(
            [], lambda _: [rule.number(float("-inf"), x.type), *(rule.number(0.0, t) for t in states[1:])]
        ),
        region([*states, *elements], lambda a: rule.step(a[:count], a[count], a[count + 1 :])),
        region([*states, *states], lambda a: rule.combine(a[:count], a[count:])),
        region(states, lambda a: a),
    ]
    merged = ReduceOp(top.axes, [x, *weights], states, regions)
    merged.location = location
    _replace([top, *(s.op for s in sums)], merged)


def _replace(old: list[ReduceOp], merged: ReduceOp) -> None:
    """Puts the merged reduction before the last of the old ones; what waits for any of them moves behind it."""
    block = old[0].parent
    assert block is not None
    last = max(old, key=lambda op: _position(op))
    block.insert_op_before(merged, last)
    for op, result in zip(old, merged.results, strict=True):
        result.name_hint = op.results[0].name_hint
        op.results[0].replace_all_uses_with(result)
    waiting: set[SSAValue] = set(merged.results)
    anchor: Operation = merged
    for op in list(block.ops):
        if op is merged:
            break
        if op not in old and any(v in waiting for v in op.operands):
            waiting.update(op.results)
            op.detach()
            block.insert_op_after(op, anchor)
            anchor = op
    for op in old:
        block.erase_op(op)


def _position(op: Operation) -> int:
    block = op.parent
    assert block is not None
    return next(i for i, other in enumerate(block.ops) if other is op)


class _Rule:
    """Builds the rescaling arithmetic of a state (m, sums...) in the current block."""

    def __init__(self, location: LocationAttr, weighted: Sequence[bool]):
        self.block = Block()
        self.location = location
        self.weighted = weighted

    def append(self, op: Operation) -> None:
        op.location = self.location
        self.block.add_op(op)

    def add(self, op: Operation) -> SSAValue:
        self.append(op)
        return op.results[0]

    def number(self, value: float, type_: Attribute) -> SSAValue:
        return self.add(arith.ConstantOp(FloatAttr(value, type_)))  # pyright: ignore

    def base(self, top: SSAValue) -> SSAValue:
        """m, or zero where it is -inf."""
        properties = {"predicate": IntegerAttr(1, 64), "fastmath": arith.FastMathFlagsAttr("none")}
        low = self.number(float("-inf"), top.type)
        empty = self.add(arith.CmpfOp.create(operands=[top, low], result_types=[i1], properties=properties))
        return self.add(arith.SelectOp(empty, self.number(0.0, top.type), top))

    def exp(self, value: SSAValue, base: SSAValue) -> SSAValue:
        return self.add(math.ExpOp(self.add(arith.SubfOp(value, base))))

    def times(self, a: SSAValue, b: SSAValue) -> SSAValue:
        return self.add(arith.MulfOp(a, b))

    def step(self, state: list[SSAValue], x: SSAValue, factors: list[SSAValue]) -> list[SSAValue]:
        """The state after an element."""
        top = self.add(arith.MaximumfOp(state[0], x))
        base = self.base(top)
        shrink, weight = self.exp(state[0], base), self.exp(x, base)
        rest = iter(factors)
        new = [self.times(weight, next(rest)) if weighted else weight for weighted in self.weighted]
        old = [self.times(s, shrink) for s in state[1:]]
        return [top, *(self.add(arith.AddfOp(a, b)) for a, b in zip(old, new, strict=True))]

    def combine(self, left: list[SSAValue], right: list[SSAValue]) -> list[SSAValue]:
        """The state of both halves."""
        top = self.add(arith.MaximumfOp(left[0], right[0]))
        base = self.base(top)
        shrink, other = self.exp(left[0], base), self.exp(right[0], base)
        sums = [
            self.add(arith.AddfOp(self.times(a, shrink), self.times(b, other)))
            for a, b in zip(left[1:], right[1:], strict=True)
        ]
        return [top, *sums]
