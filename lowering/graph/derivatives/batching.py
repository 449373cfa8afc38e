"""Mapping over a dim: one walk over a block, which puts the op on all parts in the place of each op on one.

What differs between the parts has one more dim, the first; all else stays as it is. An op takes its rule, else its formula,
else a loop over the parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from xdsl.ir import Block, Operation, SSAValue

from dialects.dims import Dim
from dialects.errors import IrkitError
from dialects.graph.base import GraphOp, operation_name
from dialects.graph.custom import CustomOp
from dialects.graph.derived import Derived
from dialects.graph.sketch import Sketch, Term
from dialects.graph.structure import ForOp, IfOp, IndexOp, YieldOp
from dialects.quant import QuantType
from dialects.types import dims_of, tensor, type_text
from lowering.graph.derivatives import batch_places, batch_products, batch_rules
from lowering.graph.derivatives.activity import used_by
from lowering.graph.derivatives.batch_choices import choice, custom
from lowering.graph.derivatives.batch_loops import loop
from lowering.graph.derivatives.batch_rules import BATCHED, Parts
from lowering.graph.derivatives.formulas import formula_of
from lowering.graph.derivatives.rules import spread_to

TABLES = (batch_places, batch_products, batch_rules)
"""The modules that fill the table."""


class Batching:
    """The walk over a block: for values of one part, by the value, those of all parts."""

    def __init__(self, size: Dim, stacks: Mapping[SSAValue, SSAValue], live: SSAValue | None = None):
        self.size = size
        self.stacks = dict(stacks)
        self.live = live
        """Which parts take the way that the block is on, where not all do: loops do not go on for others."""
        self.replaced: list[Operation] = []
        """Ops on parts, which have no use any more."""

    def walk(self, block: Block) -> None:
        """Goes through a block, but for what ends it."""
        for op in list(block.ops):
            if not isinstance(op, YieldOp):
                self.visit(op)

    def visit(self, op: Operation) -> None:
        """Puts the op on all parts before one that differs between parts. Raises IrkitError for what cannot be mapped."""
        if not any(v in self.stacks for v in used_by(op)):
            return
        self.replaced.append(op)
        if isinstance(op, ForOp):
            loop(op, self)
        elif isinstance(op, IfOp):
            choice(op, self)
        elif isinstance(op, CustomOp):
            custom(op, self)
        else:
            _check_elements(op)
            sketch = Sketch(op.location)  # pyright: ignore[reportArgumentType]
            found = self._by_rule(op, sketch)
            if found is None:
                sketch.ops.clear()
                found = self._by_formula(op, sketch)
            self.put(op, sketch, found)

    def put(self, op: Operation, sketch: Sketch, found: Sequence[Term]) -> None:
        """Puts new ops before one that they replace, and enters its results for all parts."""
        block = op.parent
        assert block is not None
        block.insert_ops_before([o for o in sketch.ops if o.parent is None], op)
        for old, new in zip(op.results, found, strict=True):
            wanted = tensor(old.type.element_type, (self.size, *dims_of(old.type)))  # pyright: ignore
            assert new.type == wanted, f"{op.name} on all parts gives {new.type}, not {wanted}"
            if new.value.name_hint is None:
                new.value.name_hint = old.name_hint
            self.stacks[old] = new.value

    def known(self, value: SSAValue, sketch: Sketch) -> Term:
        """A value for all parts, or the one that they share."""
        return sketch.term(self.stacks.get(value, value))

    def whole(self, value: SSAValue, sketch: Sketch) -> Term:
        """A value for all parts, repeated where they share it."""
        if value in self.stacks:
            return sketch.term(self.stacks[value])
        one = sketch.term(value)
        return spread_to(one, (self.size, *one.dims))

    def varying(self, block: Block, args: Iterable[SSAValue]) -> set[SSAValue]:
        """The values that differ between parts inside a block, where these arguments do."""
        found = {*self.stacks, *args}
        for op in block.ops:
            if any(v in found for v in used_by(op)):
                found.update(op.results)
        return found

    def inside(self) -> Batching:
        """The walk over a block inside an op of this one."""
        return Batching(self.size, self.stacks, self.live)

    def apart(self) -> Batching:
        """The walk over a formula, which uses nothing from around."""
        return Batching(self.size, {})

    def finish(self) -> None:
        """Takes the ops on parts out."""
        for op in reversed(self.replaced):
            op.detach()
            op.erase(safe_erase=False)

    def _by_rule(self, op: Operation, sketch: Sketch) -> Sequence[Term] | None:
        rule = BATCHED.get(operation_name(op))
        if rule is None and isinstance(op, batch_rules.ALIGNED):
            rule = batch_rules.aligned
        x = [self.known(v, sketch) for v in op.operands]
        differs = [v in self.stacks for v in op.operands]
        return None if rule is None else rule(Parts(op, sketch, self.size, x, differs))

    def _by_formula(self, op: Operation, sketch: Sketch) -> list[Term]:
        if not isinstance(op, Derived):
            return self._by_loop(op, sketch)
        terms = formula_of(op, sketch)
        block = op.parent
        assert block is not None
        block.insert_ops_before(sketch.ops, op)
        for inner in list(sketch.ops):
            self.visit(inner)
        return [self.whole(t.value, sketch) for t in terms]

    def _by_loop(self, op: Operation, sketch: Sketch) -> list[Term]:
        """Part after part, each written to its place."""
        if not isinstance(op, GraphOp | IndexOp):
            raise IrkitError(f"{operation_name(op)} cannot be mapped over", op)
        starts = [sketch.term(r) for r in op.results]
        starts = [
            sketch.number(0, t.type.element_type).of("broadcast", shape=(self.size, *t.dims)) for t in starts
        ]

        def step(counter: Term, carried: Sequence[Term]) -> Sequence[Term]:
            inner = counter.sketch
            part = {v: self._part(v, inner, counter) for v in op.operands if v in self.stacks}
            one = inner.add(op.clone(part))
            return [
                y.of("scatter", counter, inner.term(r)) for y, r in zip(carried, one.results, strict=True)
            ]

        return sketch.loop(self.size, starts, step)

    def _part(self, value: SSAValue, sketch: Sketch, counter: Term) -> SSAValue:
        return sketch.term(self.stacks[value]).of("gather", counter, axis=0).value


def _check_elements(op: Operation) -> None:
    for value in (*op.operands, *op.results):
        element = value.type.element_type  # pyright: ignore[reportAttributeAccessIssue]
        if isinstance(element, QuantType) and element.along is not None:
            raise IrkitError(
                f"{operation_name(op)} on scales along a dim cannot be mapped over",
                op,
                found=type_text(value.type),  # pyright: ignore[reportArgumentType]
                expected="one scale for the whole tensor",
                hint="dequantise the tensor before: cast(x, f32)",
            )
