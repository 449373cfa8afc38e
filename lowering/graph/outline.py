"""graph-outline: each distinct kernel.group becomes one kernel.def."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects import builtin, func
from xdsl.dialects.builtin import ArrayAttr, ModuleOp, StringAttr
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.passes import ModulePass

from dialects.errors import IrkitError, op_loc, union_location
from dialects.graph import dim_names
from dialects.kernel import DefOp, GroupOp, LaunchOp, arg
from dialects.names import unique
from dialects.syntax import SymbolsAttr
from dialects.types import dims_of
from lowering.remarks import counted, label_of, listener


@dataclass(frozen=True)
class GraphOutline(ModulePass):
    """Outlines groups and keeps one kernel of each structure.

    Expects: graph ops in `kernel.group`.
    Does: (1) computes a structural key of each group: ops, attributes, types and how values connect; (2) makes one
    `kernel.def` for each new key, with the values that the group reads as arguments; (3) puts a `kernel.launch` in
    place of the group.
    Leaves: kernels over tensors with graph ops in them, and a host program of launches.
    """

    name = "graph-outline"

    stats: dict[str, int] = field(default_factory=dict, compare=False, repr=False)

    def apply(self, ctx: Context, op: builtin.ModuleOp) -> None:
        kernels: dict[Hashable, DefOp] = {}
        taken: set[str] = {o.sym_name.data for o in op.ops if isinstance(o, DefOp)}
        for function in [o for o in op.ops if isinstance(o, func.FuncOp)]:
            symbols = function.attributes.get("graph.symbols")
            ranges = symbols.data if isinstance(symbols, SymbolsAttr) else ()
            for group in [o for o in function.body.walk() if isinstance(o, GroupOp)]:
                inputs = captured(group)
                key = structure(group, inputs)
                kernel = kernels.get(key)
                if (tell := listener("share", self.name)) is not None and kernel is not None:
                    message = f"{group.title.data} runs by the kernel {label_of(kernel)} of another place too"
                    tell.applied(
                        group, message, "it computes the same from inputs of the same types", [kernel]
                    )
                if kernel is None:
                    name = unique(group.title.data, taken)
                    kernel = kernels[key] = _make_kernel(name, group, inputs, ranges)
                    parent = function.parent
                    assert parent is not None
                    parent.insert_op_before(kernel, function)
                    if (tell := listener("fuse", self.name)) is not None:
                        count = sum(bool(o.results) for o in kernel.block.ops)
                        tell.analysis(kernel, f"holds {counted(count, 'op')}", ops=count)
                self._replace(group, kernel.sym_name.data, inputs)
                self.stats["launches"] = self.stats.get("launches", 0) + 1
        self.stats["kernels"] = len(kernels)

    def _replace(self, group: GroupOp, name: str, inputs: list[SSAValue]) -> None:
        launch = LaunchOp(name, inputs, [r.type for r in group.results])
        launch.location = group.location
        block = group.parent
        assert block is not None
        block.insert_op_before(launch, group)
        for old, new in zip(group.results, launch.results, strict=True):
            new.name_hint = old.name_hint
            old.replace_all_uses_with(new)
        block.erase_op(group)


def captured(group: GroupOp) -> list[SSAValue]:
    """The values that a group reads from around it, in order of first use."""
    found: dict[SSAValue, None] = {}
    inside: set[SSAValue] = set()
    for op in group.body.walk():
        inside.update(op.results)
        for region in op.regions:
            for block in region.blocks:
                inside.update(block.args)
        for operand in op.operands:
            if operand not in inside:
                found[operand] = None
    return [v for v in found if v not in inside]


def structure(group: GroupOp, inputs: list[SSAValue]) -> Hashable:
    """A key that is equal for groups that compute the same from their inputs."""
    number: dict[SSAValue, int] = {v: i for i, v in enumerate(inputs)}
    parts: list[Hashable] = [tuple(v.type for v in inputs)]
    for op in group.body.walk():
        for region in op.regions:
            for block in region.blocks:
                for value in block.args:
                    number[value] = len(number)
        for result in op.results:
            number[result] = len(number)
        parts.append(
            (
                op.name,
                tuple(number[o] for o in op.operands),
                tuple(sorted(op.properties.items(), key=lambda p: p[0])),
                tuple(sorted(op.attributes.items(), key=lambda p: p[0])),
                tuple(r.type for r in op.results),
            )
        )
    return tuple(parts)


def symbols_of(module: ModuleOp) -> set[str]:
    """The names that ops of a module have taken."""
    symbols = (op.properties.get("sym_name") for op in module.ops)
    return {symbol.data for symbol in symbols if isinstance(symbol, StringAttr)}


def _schedule_of(block: Block) -> list[str] | None:
    """The schedule that stands on one of a kernel's ops; taken off it. Raises IrkitError for two that differ."""
    found: dict[Attribute, Operation] = {}
    for op in block.ops:
        if (schedule := op.attributes.pop("graph.schedule", None)) is not None:
            found[schedule] = op
    if len(found) > 1:
        first, second = list(found.values())[:2]
        raise IrkitError(
            "two schedules meet in one kernel",
            second,
            found=f"one here, and one at {op_loc(first)}",
            expected="one schedule for ops that run as one kernel",
        )
    for schedule in found:
        assert isinstance(schedule, ArrayAttr)
        return [d.data for d in schedule if isinstance(d, StringAttr)]
    return None


def _make_kernel(
    name: str, group: GroupOp, inputs: list[SSAValue], symbols: tuple[tuple[str, int, int], ...]
) -> DefOp:
    block = Block(arg_types=[v.type for v in inputs])
    mapping: dict[SSAValue, SSAValue] = dict(zip(inputs, block.args, strict=True))
    for new, old in zip(block.args, inputs, strict=True):
        new.name_hint = old.name_hint
    for op in group.body.block.ops:
        block.add_op(op.clone(mapping))
    used: set[str] = set()
    for value in (*inputs, *(r for op in block.ops for r in op.results)):
        used |= {n for d in dims_of(value.type) for n in d.names()}
    for op in block.walk():
        for attr in (*op.properties.values(), *op.attributes.values()):
            used |= dim_names(attr)
    schedule = _schedule_of(block)
    kernel = DefOp(
        name, Region(block), [arg("in") for _ in inputs], (), [s for s in symbols if s[0] in used], schedule
    )
    operations: list[Operation] = [op for op in group.body.block.ops if op.results]
    kernel.location = union_location(operations)
    return kernel
