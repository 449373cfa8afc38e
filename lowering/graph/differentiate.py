"""graph-differentiate: derivatives become the ops that compute them."""

from __future__ import annotations

from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects import builtin
from xdsl.ir import Block, Operation, SSAValue
from xdsl.passes import ModulePass

from dialects.graph.custom import CustomOp
from dialects.graph.derivatives import JvpOp, VjpOp, VmapOp, has_tangent, yielded
from dialects.graph.sketch import Sketch
from dialects.graph.structure import YieldOp
from lowering.graph.derivatives.batching import Batching
from lowering.graph.derivatives.forward import filled_tangents, push_forward
from lowering.graph.derivatives.reverse import append, pull_back
from lowering.graph.derivatives.rules import filled
from lowering.rewriting import replace_by

TRANSFORMS = (VjpOp, JvpOp, VmapOp)


@dataclass(frozen=True)
class GraphDifferentiate(ModulePass):
    """Puts what computes a derivative in the place of `graph.vjp`, `graph.jvp` and `graph.vmap`.

    Expects: functions at the graph level.
    Does: the innermost first, so that derivatives of derivatives follow: (1) appends to the body of a derivative what
    computes it, op by op from the end (vjp) or from the start (jvp), or turns each op into one on all parts (vmap); ops
    without a rule count as their formulas; (2) puts the body in the place of the op; (3) drops the rules of custom ops.
    Leaves: no such ops. What nothing needs is left to `graph-dce`; ops have the location of what they are the derivative of.
    """

    name = "graph-differentiate"

    stats: dict[str, int] = field(default_factory=dict, compare=False, repr=False)

    def apply(self, ctx: Context, op: builtin.ModuleOp) -> None:
        for transform in [o for o in op.walk() if isinstance(o, TRANSFORMS)][::-1]:
            expand(transform)
            self.stats["expanded"] = self.stats.get("expanded", 0) + 1
        for custom in [o for o in op.walk() if isinstance(o, CustomOp)]:
            custom.drop_rule()


def expand(op: Operation) -> None:
    """Puts the ops that compute a derivative in its place; those inside its body come before. Raises IrkitError."""
    if isinstance(op, VjpOp):
        _inline(op, _reverse(op))
    elif isinstance(op, JvpOp):
        _inline(op, _forward(op))
    elif isinstance(op, VmapOp):
        _inline(op, _mapped(op))


def expanded(op: Operation) -> Block:
    """A block that ends with what a derivative gives, made of a copy; it uses values from around the op."""
    block = Block([copy := op.clone()])
    end = YieldOp(*copy.results)
    block.add_op(end)
    for inner in [o for o in copy.walk() if isinstance(o, TRANSFORMS)][::-1]:
        expand(inner)
    return block


def _reverse(op: VjpOp) -> list[SSAValue]:
    values = yielded(op.body)
    seeds = [(v, s) for v, s in zip(values, op.directions, strict=False)]
    found = pull_back(op.block, op.block.args, seeds)
    sketch = Sketch(op.location)  # pyright: ignore[reportArgumentType]
    whole = [
        filled(sketch, sketch.term(a)).value if v is None else v
        for a, v in zip(op.block.args, found, strict=True)
    ]
    append(op.block, sketch.ops)
    return [*yielded(op.body), *whole]


def _forward(op: JvpOp) -> list[SSAValue]:
    tangents: dict[SSAValue, SSAValue] = dict(zip(op.block.args, op.directions, strict=True))
    push_forward(op.block, tangents)
    sketch = Sketch(op.location)  # pyright: ignore[reportArgumentType]
    values = yielded(op.body)
    found = filled_tangents([v for v in values if has_tangent(v)], tangents, sketch)
    append(op.block, sketch.ops)
    return [*values, *found]


def _mapped(op: VmapOp) -> list[SSAValue]:
    before = Sketch(op.location)  # pyright: ignore[reportArgumentType]
    stacks: dict[SSAValue, SSAValue] = {}
    for arg, value, axis in zip(op.block.args, op.inputs, op.dims_apart(), strict=True):
        whole, rank = before.term(value), len(value.type.get_shape())  # pyright: ignore
        if axis:
            perm = (axis, *(i for i in range(rank) if i != axis))
            whole = whole.of("transpose", perm=perm)
        stacks[arg] = whole.value
    block = op.parent
    assert block is not None
    block.insert_ops_before(before.ops, op)
    batching = Batching(op.size.data, stacks)
    batching.walk(op.block)
    after = Sketch(op.location)  # pyright: ignore[reportArgumentType]
    values = [batching.whole(v, after).value for v in yielded(op.body)]
    append(op.block, after.ops)
    last = op.block.last_op
    assert isinstance(last, YieldOp)
    last.operands = values
    batching.finish()
    return values


def _inline(op: VjpOp | JvpOp | VmapOp, values: list[SSAValue]) -> None:
    """Moves the ops of a body before the op, which is replaced by these values."""
    block, parent = op.block, op.parent
    assert parent is not None
    given: dict[SSAValue, SSAValue] = dict(zip(block.args, op.inputs, strict=True))
    results = [given.get(v, v) for v in values]
    for arg, value in given.items():
        arg.replace_all_uses_with(value)
    last = block.last_op
    assert last is not None
    block.erase_op(last)
    for inner in list(block.ops):
        inner.detach()
        parent.insert_op_before(inner, op)
    replace_by(op, results)
