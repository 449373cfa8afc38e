"""Which values change with the inputs of a derivative, and which ops carry that change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from xdsl.dialects.builtin import TensorType
from xdsl.dialects.func import ReturnOp
from xdsl.ir import Block, Operation, SSAValue

from dialects.errors import IrkitError
from dialects.graph.base import operation_name
from dialects.graph.contraction import AttentionOp
from dialects.graph.custom import CustomOp
from dialects.graph.derivatives import has_tangent
from dialects.graph.sketch import Sketch, Term
from dialects.graph.structure import ForOp, IfOp, IndexOp, YieldOp
from dialects.types import is_complex
from lowering.graph.derivatives.explode import is_plain
from lowering.graph.derivatives.formulas import formula_of
from lowering.graph.derivatives.rules import CONSTANT, has_forward_rule, has_rule


class Activity:
    """Walks a block once; `steps` holds its active ops in order, among them those that stand for ops without a rule.

    The rules are those of reverse mode where it walks back, else those of forward mode."""

    def __init__(self, block: Block, inputs: Sequence[SSAValue], walks_back: bool = True):
        self.active: set[SSAValue] = set(inputs)
        self.steps: list[Operation] = []
        self.stands_for: dict[Operation, list[Term]] = {}
        """For an op without a rule, the values of its formula, which stands before it."""
        self.walks_back = walks_back
        for op in list(block.ops):
            self._visit(op)

    def _visit(self, op: Operation) -> None:
        if isinstance(op, YieldOp | ReturnOp) or not any(v in self.active for v in used_by(op)):
            return
        if operation_name(op) in CONSTANT:
            return
        if isinstance(op, ForOp):
            self.active.update(r for r, moves in zip(op.results, self.carried(op), strict=True) if moves)
        elif isinstance(op, IfOp):
            self.active.update(r for r, moves in zip(op.results, self.chosen(op), strict=True) if moves)
        else:
            if any(
                _is_complex(v) for v in (*op.operands, *op.results) if v in self.active or v in op.results
            ):
                raise IrkitError(
                    "there is no derivative through complex numbers",
                    op,
                    hint="compute with the real and the imaginary part",
                )
            if not self.has_rule(op):
                self._expand(op)
            self.active.update(r for r in op.results if has_tangent(r))
        self.steps.append(op)

    def has_rule(self, op: Operation) -> bool:
        """Whether an op is differentiated as it is."""
        if isinstance(op, IndexOp):
            return is_plain(op)
        if isinstance(op, CustomOp):
            return self.walks_back and op.backward is not None
        return has_rule(op) if self.walks_back else has_forward_rule(op)

    def _expand(self, op: Operation) -> None:
        """Puts the formula of an op before it, and walks that."""
        sketch = Sketch(op.location)  # pyright: ignore[reportArgumentType]
        block = op.parent
        assert block is not None
        self.stands_for[op] = formula_of(op, sketch)
        block.insert_ops_before(sketch.ops, op)
        for inner in sketch.ops:
            self._visit(inner)
        if self.walks_back and isinstance(op, AttentionOp):
            # The way back needs its weights anyway: kept whole, it would compute them twice.
            op.results[0].replace_all_uses_with(self.stands_for[op][0].value)

    # -- control flow -------------------------------------------------------------------------------------------

    def carried(self, op: ForOp) -> list[bool]:
        """Which carried values of a loop are active, in one round or another."""
        last = op.block.last_op
        assert last is not None
        moves = [v in self.active for v in op.inits]
        while True:
            inner = self.active | {a for a, m in zip(op.block.args[1:], moves, strict=True) if m}
            reached = reached_in(op.block, inner)
            found = [
                m or (v in reached and has_tangent(v)) for m, v in zip(moves, last.operands, strict=True)
            ]
            if found == moves:
                return moves
            moves = found

    def chosen(self, op: IfOp) -> list[bool]:
        """Which results of a choice are active, by one way or the other."""
        found = [False] * len(op.results)
        for region in (op.then, op.otherwise):
            args = {a for a, v in zip(region.block.args, op.inits, strict=True) if v in self.active}
            reached = reached_in(region.block, self.active | args)
            last = region.block.last_op
            assert last is not None
            found = [
                f or (v in reached and has_tangent(v)) for f, v in zip(found, last.operands, strict=True)
            ]
        return found


def reached_in(block: Block, active: set[SSAValue]) -> set[SSAValue]:
    """The active values and those of a block that depend on them, as far as floats carry it."""
    reached = set(active)
    for op in block.ops:
        if operation_name(op) not in CONSTANT and any(v in reached for v in used_by(op)):
            reached.update(r for r in op.results if has_tangent(r))
    return reached


def used_by(op: Operation) -> Iterator[SSAValue]:
    """The operands of an op and of the ops in its regions."""
    for inner in op.walk():
        yield from inner.operands


def captured(op: Operation, active: set[SSAValue]) -> list[SSAValue]:
    """The active values from around that the regions of an op use, in order."""
    found = dict.fromkeys(v for r in op.regions for inner in r.walk() for v in inner.operands)
    return [v for v in found if v in active]


def _is_complex(value: SSAValue) -> bool:
    return isinstance(value.type, TensorType) and is_complex(value.type.element_type)
