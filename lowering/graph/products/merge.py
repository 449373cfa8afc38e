"""graph-merge-products: products of one tensor with several weights are one product."""

from __future__ import annotations

from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from dialects.dims import ZERO, Dim, DimLike
from dialects.errors import union_location
from dialects.graph import ConstantOp, ForOp, GraphOp, IfOp, make, operation_name
from dialects.graph.elementwise import Elementwise
from dialects.types import dims_of
from lowering.graph.cse import exact
from lowering.graph.products.parallel import Parallel, parallel_products, per_column
from lowering.graph.products.weights import Weights
from lowering.rewriting import is_scheduled, locate
from lowering.target import get_target


@dataclass(frozen=True)
class GraphMergeProducts(ModulePass):
    """Makes one product of several that read the same tensor: queries, keys and values, gates, parallel branches.

    Expects: functions at the graph level.
    Does: (1) matmuls of one left operand with weights of two dims, and convolutions of one image with filters of one size,
    stride, padding and dilation, become one with the weights one after another, and slices of its result; (2) where the
    only reader of each is the same elementwise op, alone or with one number for each column (a bias) or the same constant,
    that op stays ahead of the slices. Weights are parameters that no run writes and constants, also transposed, reshaped or
    cast. `kernel-prepack` joins them once; they then take their memory again, and targets that prepack nothing are left
    alone, as are products with a schedule of their own.
    It pays, as measured on AVX2, where fewer register tiles are needed, since columns that do not fill a tile cost as much
    as a full one (3 x 20, 40 or 100 columns: 0.4 to 0.9 of the time; convolutions with 8 or 20 filters: 0.7 to 0.9), and
    for products of at most 16 rows (0.6 to 1.0: they wait for weights). Products that fill their tiles take as long
    either way (128 x 384 @ 384 x 384: 0.98 to 1.02), and lose what they would compute as their epilogue: they stay, and so do
    those of under a tile of columns whose sums have under 128 terms.
    Leaves: a function at the graph level. A sum may be split elsewhere by another schedule: the last bits may differ.
    """

    name = "graph-merge-products"

    target: str = "native"
    cc: str = "gcc"
    stats: dict[str, int] = field(default_factory=dict, compare=False, repr=False)

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        target = get_target(self.target, self.cc)
        if not target.packs:
            return
        for func in [o for o in op.ops if isinstance(o, FuncOp) and o.body.blocks]:
            weights = Weights(func)
            bodies = [r.block for o in func.body.walk() if isinstance(o, ForOp | IfOp) for r in o.regions]
            for block in (func.body.block, *bodies):
                for found in parallel_products(block, weights):
                    if found.pays(target):
                        self._count("products merged", len(found.ops))
                        self._count("ops merged behind them", _Merging(found, weights).run())

    def _count(self, what: str, number: int) -> None:
        self.stats[what] = self.stats.get(what, 0) + number


class _Merging:
    """One product in the place of several."""

    def __init__(self, found: Parallel, weights: Weights):
        self.axis = found.axis
        self.widths = found.widths
        self.weights = weights
        self.weight_axis = found.weight_axis
        self.parts: list[GraphOp] = list(found.ops)
        """The ops whose results will be slices; all of one kind."""
        self.done: list[GraphOp] = []
        self.last: Operation = found.ops[0]
        """Behind it the next op goes."""
        self.top = weights.ahead_of(found.ops[0])

    def run(self) -> int:
        """Puts the product, what follows it, and slices in place; returns how many kinds of op follow it."""
        first, count = self.parts[0], 0
        columns = [self.weight_axis, *[0] * (len(first.operands) - 2)]
        joined = [
            self._joined([op.operands[i] for op in self.parts], axis) for i, axis in enumerate(columns, 1)
        ]
        merged = self._put(make(operation_name(first), [first.operands[0], *joined], first.values()))
        while (operands := self._followers(merged)) is not None:
            follower = self.parts[0]
            merged = self._put(make(operation_name(follower), operands, follower.values()))
            count += 1
        self._slice(merged)
        for op in reversed(self.done):
            op.detach()
            op.erase()
        return count

    def _put(self, op: GraphOp) -> SSAValue:
        locate(op, union_location(self.parts))
        self._insert_behind(op)
        self.done += self.parts
        return op.results[0]

    def _insert_behind(self, op: Operation) -> None:
        block = self.last.parent
        assert block is not None
        block.insert_op_after(op, self.last)
        self.last = op

    def _joined(self, values: list[SSAValue], axis: int) -> SSAValue:
        ops: list[Operation] = []
        joined = self.weights.joined(values, axis, ops)
        self._made_ahead(ops)
        return joined

    def _made_ahead(self, ops: list[Operation]) -> None:
        for op in ops:
            locate(op, union_location(self.parts))
        block = self.top.parent
        assert block is not None
        block.insert_ops_before(ops, self.top)

    def _followers(self, merged: SSAValue) -> list[SSAValue] | None:
        """The operands of the op that reads each part alone, with `merged` in its place; those ops are then the parts."""
        readers: list[GraphOp] = []
        places: set[int] = set()
        for part in self.parts:
            use = part.results[0].get_user_of_unique_use()
            if not isinstance(use, Elementwise) or is_scheduled(use):
                return None
            if use.parent is not part.parent or dims_of(use.results[0].type) != dims_of(part.results[0].type):
                return None
            places.add(list(use.operands).index(part.results[0]))
            readers.append(use)
        kinds = {(type(r), tuple((k, exact(v)) for k, v in sorted(r.properties.items()))) for r in readers}
        if len(kinds) != 1 or len(places) != 1 or len(set(readers)) != len(readers):
            return None
        place, operands = places.pop(), list[SSAValue]()
        for number in range(len(readers[0].operands)):
            others = [r.operands[number] for r in readers]
            other = merged if number == place else self._other(others)
            if other is None:
                return None
            operands.append(other)
        self.parts = readers
        return operands

    def _other(self, values: list[SSAValue]) -> SSAValue | None:
        """What stands for an operand of the ops that follow: the same constant of all, or one element for each column."""
        if not all(self.weights.includes(v) for v in values):
            return None
        first = values[0].owner
        if all(v is values[0] for v in values) and isinstance(first, ConstantOp) and first.splat is not None:
            if dims_of(values[0].type):
                return None
            ops: list[Operation] = []
            copy = self.weights.copied(values[0], ops)
            self._made_ahead(ops)
            return copy
        axis = per_column(values, self.widths, self.axis)
        return None if axis is None else self._joined(values, axis)

    def _slice(self, merged: SSAValue) -> None:
        sizes: list[DimLike] = list(dims_of(merged.type))
        start = 0
        for part, width in zip(self.parts, self.widths, strict=True):
            starts: list[DimLike] = [ZERO] * len(sizes)
            stops = list(sizes)
            starts[self.axis], stops[self.axis] = Dim.of(start), Dim.of(start + width)
            part_of = make("slice", [merged], {"starts": tuple(starts), "stops": tuple(stops)}, part.location)  # pyright: ignore
            self._insert_behind(part_of)
            part_of.results[0].name_hint = part.results[0].name_hint
            part.results[0].replace_all_uses_with(part_of.results[0])
            start += width
