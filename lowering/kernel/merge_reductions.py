"""kernel-merge-reductions: chains of reductions over the same axes become one with a tuple state."""

from __future__ import annotations

from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects import arith, builtin, math
from xdsl.dialects.builtin import FloatAttr, IntegerAttr, i1
from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.passes import ModulePass

from dialects.kernel import DefOp, ReduceOp, YieldOp


@dataclass(frozen=True)
class KernelMergeReductions(ModulePass):
    """The tuple-state rule.

    Expects: kernels in axes form.
    Does: (1) where m = max x and l = sum exp(x - m) over the same axes, makes one reduction with state (m, l): a new
    element x moves m to m' = max(m, x) and l to l exp(m - m') + exp(x - m'). Two states combine in the same way. A state
    that has seen only -inf stays (-inf, 0), as a difference of infinities would be NaN.
    Leaves: no reduction that waits for another over the same axes, where the rule applies.

    M. Milakov and N. Gimelshein, "Online normalizer calculation for softmax", 2018.
    """

    name = "kernel-merge-reductions"

    stats: dict[str, int] = field(default_factory=dict, compare=False, repr=False)

    def apply(self, ctx: Context, op: builtin.ModuleOp) -> None:
        for kernel in op.ops:
            if isinstance(kernel, DefOp) and kernel.in_axes_form:
                for reduce in [o for o in kernel.block.ops if isinstance(o, ReduceOp)]:
                    pair = match_exp_sum(reduce)
                    if pair is not None:
                        merge_exp_sum(pair[0], reduce, pair[1])
                        self.stats["online sums"] = self.stats.get("online sums", 0) + 1


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


def match_exp_sum(total: ReduceOp) -> tuple[ReduceOp, SSAValue] | None:
    """(the maximum's reduction, x) where `total` is sum exp(x - max x) over the same axes, and the maximum is used
    by nothing before it."""
    if simple_op(total) is not arith.AddfOp:
        return None
    exp = total.inputs[0].owner
    if not isinstance(exp, math.ExpOp) or not isinstance(difference := exp.operand.owner, arith.SubfOp):
        return None
    top, x = difference.rhs.owner, difference.lhs
    if not isinstance(top, ReduceOp) or simple_op(top) is not arith.MaximumfOp:
        return None
    return (top, x) if top.inputs[0] is x and top.over == total.over else None


def merge_exp_sum(top: ReduceOp, total: ReduceOp, x: SSAValue) -> None:
    """Replaces both reductions by one, where the maximum's stands."""
    element = x.type

    def region(count: int, parts: int) -> Region:
        block = Block(arg_types=[element] * count)
        rule = _Rule(block)
        if parts == 1:
            state, new = list(block.args[:2]), (block.args[2], None)
        else:
            state, new = list(block.args[:2]), (block.args[2], block.args[3])
        block.add_op(YieldOp(*rule.join(state[0], state[1], new[0], new[1])))
        return Region(block)

    init = Block()
    low, zero = (arith.ConstantOp(FloatAttr(v, element)) for v in (float("-inf"), 0.0))  # pyright: ignore
    init.add_ops([low, zero, YieldOp(low.result, zero.result)])
    finish = Block(arg_types=[element] * 2)
    finish.add_op(YieldOp(*finish.args))
    merged = ReduceOp(
        top.axes, [x], [element, element], [Region(init), region(3, 1), region(4, 2), Region(finish)]
    )
    merged.location = total.location
    block = top.parent
    assert block is not None
    block.insert_op_before(merged, top)
    top.results[0].replace_all_uses_with(merged.results[0])
    total.results[0].replace_all_uses_with(merged.results[1])
    block.erase_op(total)
    block.erase_op(top)


class _Rule:
    """Builds the rescaling arithmetic in a region."""

    def __init__(self, block: Block):
        self.block = block

    def add(self, op: Operation) -> SSAValue:
        self.block.add_op(op)
        return op.results[0]

    def join(self, m: SSAValue, s: SSAValue, other: SSAValue, other_sum: SSAValue | None) -> list[SSAValue]:
        """The state after an element (no sum of its own: one) or another state."""
        top = self.add(arith.MaximumfOp(m, other))
        low = self.add(arith.ConstantOp(FloatAttr(float("-inf"), m.type)))  # pyright: ignore
        zero = self.add(arith.ConstantOp(FloatAttr(0.0, m.type)))  # pyright: ignore
        empty = arith.CmpfOp.create(
            operands=[top, low],
            result_types=[i1],
            properties={"predicate": IntegerAttr(1, 64), "fastmath": arith.FastMathFlagsAttr("none")},
        )
        safe = self.add(arith.SelectOp(self.add(empty), zero, top))
        kept = self.add(arith.MulfOp(s, self.add(math.ExpOp(self.add(arith.SubfOp(m, safe))))))
        weight = self.add(math.ExpOp(self.add(arith.SubfOp(other, safe))))
        if other_sum is not None:
            weight = self.add(arith.MulfOp(other_sum, weight))
        return [top, self.add(arith.AddfOp(kept, weight))]
