"""graph-cse: computes equal expressions once."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from struct import pack

from xdsl.context import Context
from xdsl.dialects import builtin
from xdsl.dialects.builtin import ArrayAttr, FloatAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.passes import ModulePass
from xdsl.traits import is_side_effect_free

from dialects.errors import union_location
from dialects.graph import AccessAttr, CustomOp, ForOp, GraphOp, IfOp, IndexOp

COMMUTATIVE = frozenset(
    {"graph.add", "graph.mul", "graph.min", "graph.max", "graph.logical_and", "graph.logical_or"}
)
"""Ops of which the order of operands does not matter, to the last bit."""


@dataclass(frozen=True)
class GraphCse(ModulePass):
    """Replaces an op by an earlier one that computes the same.

    Expects: functions at the graph level.
    Does: in one walk, with a table for each block and those around it, (1) replaces an op whose name, operands,
    parameters, result types and body are those of an op before it; operands of commutative ops may be swapped.
    The body of a custom op sees nothing from around it.
    Leaves: a function without two equal ops of which one sees the other; what is kept has the locations of both.
    """

    name = "graph-cse"

    stats: dict[str, int] = field(default_factory=dict, compare=False, repr=False)

    def apply(self, ctx: Context, op: builtin.ModuleOp) -> None:
        for function in op.ops:
            if isinstance(function, FuncOp):
                walk = _Walk()
                for block in function.body.blocks:
                    walk.block(block)
                walk.unite_locations()
                self.stats["ops replaced"] = self.stats.get("ops replaced", 0) + walk.count


class Keys:
    """Tells ops that compute the same from others."""

    def __init__(self) -> None:
        self.numbers: dict[Hashable, int] = {}
        self.known: dict[int, tuple[Attribute, int]] = {}

    def key(self, op: Operation, values: Sequence[SSAValue] | None = None) -> Hashable:
        """Equal for ops that compute the same; of other values than their operands where these are given."""
        operands = list(op.operands if values is None else values)
        if op.name in COMMUTATIVE:
            operands.sort(key=id)
        facts = [
            (name, self.number(attr))
            for part in (op.properties, op.attributes)
            for name, attr in part.items()
        ]
        facts.sort()
        types = tuple(self.number(r.type) for r in op.results)
        bodies = tuple(tuple(self.body(region)) for region in op.regions)
        return (op.name, tuple(operands), tuple(facts), types, bodies)

    def number(self, attr: Attribute) -> int:
        """A number for each attribute; looked up by identity first, since attributes are costly to hash."""
        found = self.known.get(id(attr))
        if found is None:
            number = self.numbers.setdefault(exact(attr), len(self.numbers))
            found = self.known[id(attr)] = (attr, number)  # holds the attribute, so that its id stays taken
        return found[1]

    def body(self, region: Region) -> Iterator[Hashable]:
        """A region as a sequence in which its own values are numbered in order."""
        local: dict[SSAValue, int] = {}
        for block in region.blocks:
            for value in block.args:
                local[value] = len(local)
                yield self.number(value.type)
            for op in block.ops:
                yield op.name
                for value in op.operands:
                    yield ("local", local[value]) if value in local else value
                yield tuple(sorted((n, self.number(a)) for n, a in (op.properties | op.attributes).items()))
                for value in op.results:
                    local[value] = len(local)
                    yield self.number(value.type)
                for nested in op.regions:
                    yield from self.body(nested)


class _Walk:
    """The state of a walk over one function."""

    def __init__(self) -> None:
        self.scopes: list[dict[Hashable, Operation]] = []
        self.keys = Keys()
        self.merged: dict[Operation, list[Operation]] = {}
        self.count = 0

    def block(self, block: Block) -> None:
        self.scopes.append({})
        for op in list(block.ops):
            if not op.results or not (
                isinstance(op, GraphOp | IndexOp | ForOp | IfOp) or is_side_effect_free(op)
            ):
                continue
            if isinstance(op, ForOp | IfOp):
                for region in op.regions:
                    self.block(region.block)
            elif isinstance(op, CustomOp):
                around, self.scopes = self.scopes, []
                self.block(op.body.block)
                self.scopes = around
            key = self.keys.key(op)
            first = next((scope[key] for scope in reversed(self.scopes) if key in scope), None)
            if first is None:
                self.scopes[-1][key] = op
            else:
                self.replace(op, first)
        self.scopes.pop()

    def replace(self, op: Operation, first: Operation) -> None:
        self.count += 1
        self.merged.setdefault(first, [first]).append(op)
        for old, new in zip(op.results, first.results, strict=True):
            if new.name_hint is None:
                new.name_hint = old.name_hint
            old.replace_all_uses_with(new)
        op.detach()

    def unite_locations(self) -> None:
        for first, ops in self.merged.items():
            first.location = union_location(ops)
            for op in ops[1:]:
                op.erase()


def exact(attr: Attribute) -> Hashable:
    """What tells attributes apart to the last bit: 0.0 and -0.0 compare equal, and NaN not even with itself."""
    if isinstance(attr, FloatAttr):
        return ("float", pack("<d", attr.value.data), attr.type)
    if isinstance(attr, AccessAttr):
        access = attr.data
        return ("access", access.operand, access.index, access.boundary, pack("<d", access.value))
    if isinstance(attr, ArrayAttr):
        return ("array", tuple(exact(a) for a in attr.data))
    return attr
