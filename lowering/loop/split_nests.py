"""loop-split-nests: functions whose nests have to wait for one another become several functions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects import builtin
from xdsl.ir import Block, Region, SSAValue
from xdsl.passes import ModulePass

from dialects import loop
from dialects.kernel import ArgAttr, LaunchOp, arg
from dialects.names import unique
from lowering.graph.outline import symbols_of
from lowering.loop.gpu.matrices import product_of_matrices
from lowering.loop.gpu.parts import Part, chain_of_part, groups_of
from lowering.target import get_target


@dataclass(frozen=True)
class LoopSplitNests(ModulePass):
    """Makes of each nest that has to wait for others a function of its own, for machines whose blocks do not wait.

    Expects: functions at the loop level, and a host program that launches them.
    Does: (1) nests that have nothing to do with one another stay together; a function with a nest that reads or changes what one
    before it has written is split there, and a product for tensor cores from all others; (2) a launch of such a function
    becomes one launch for each of its parts, and what a part changes goes on from one to the next, as an argument in whose
    memory the result lies.
    Leaves: functions without barriers between their nests. A function with arrays of its own, with text written by hand or
    with barriers inside its nests is left alone.
    """

    name = "loop-split-nests"

    target: str = "cuda"
    stats: dict[str, int] = field(default_factory=dict, compare=False, repr=False)

    def apply(self, ctx: Context, op: builtin.ModuleOp) -> None:
        functions = [f for f in op.ops if isinstance(f, loop.FuncOp)]
        taken = symbols_of(op)
        launches = [inner for inner in op.walk() if isinstance(inner, LaunchOp)]
        for func in functions:
            groups = groups_of(func)
            if groups is None:
                continue
            groups = [piece for group in groups for piece in self._pieces(func, group)]
            if len(groups) < 2:
                _drop_barriers(func)
                continue
            pieces = list(_pieces(func, groups, taken))
            for piece in pieces:
                op.body.block.insert_op_before(piece.func, func)
            for launch in launches:
                if launch.callee.root_reference.data == func.sym_name.data:
                    _relaunch(launch, func, pieces)
            op.body.block.erase_op(func)
            self.stats["split"] = self.stats.get("split", 0) + 1

    def _pieces(self, func: loop.FuncOp, group: list[Part]) -> list[list[Part]]:
        """A group, with products for tensor cores on their own: their blocks have the warps that their tiles need."""
        gpu = get_target(self.target).gpu
        if gpu is None or len(group) == 1:
            return [group]
        alone = [p for p in group if product_of_matrices(chain_of_part(func, p), gpu) is not None]
        rest = [p for p in group if p not in alone]
        return [*([p] for p in alone), *([rest] if rest else [])]


@dataclass(frozen=True)
class _Piece:
    """A function made of a group, and which argument of the whole each of its inputs and outputs is."""

    func: loop.FuncOp
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def _drop_barriers(func: loop.FuncOp) -> None:
    """Between nests that may run at once."""
    for op in [op for op in func.block.ops if isinstance(op, loop.BarrierOp)]:
        func.block.erase_op(op)


def _pieces(func: loop.FuncOp, groups: Sequence[Sequence[Part]], taken: set[str]) -> Iterator[_Piece]:
    facts = func.signature.data
    changed = {
        a.array for group in groups for part in group for a in part.accesses if isinstance(a, loop.StoreOp)
    }
    idle = {n for n, f in enumerate(facts) if f.is_output and func.block.args[n] not in changed}
    written: set[int] = set()
    for number, group in enumerate(groups):
        name = unique(f"{func.sym_name.data}_part{number}", taken)
        piece = _piece(func, group, _Roles.of(func, group, written, idle if number == 0 else set()), name)
        written |= set(piece.outputs)
        yield piece


@dataclass(frozen=True)
class _Roles:
    """Which arguments of a function a group takes and makes; of the latter, those that hold something when it begins."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    begun: frozenset[int]

    @staticmethod
    def of(func: loop.FuncOp, group: Sequence[Part], written: set[int], idle: set[int]) -> _Roles:
        """`written` has results of the groups before, `idle` are outputs that no group writes to: without elements."""
        place: dict[SSAValue, int] = {value: n for n, value in enumerate(func.block.args)}
        accesses = [a for part in group for a in part.accesses]
        outputs = {place[a.array] for a in accesses if isinstance(a, loop.StoreOp)}
        begun = {n for n in outputs if n in written or func.signature.data[n].mode.data == "inout"}
        inputs = {place[a.array] for a in accesses} - outputs | begun
        return _Roles(tuple(sorted(inputs)), tuple(sorted(outputs | idle)), frozenset(begun))

    def signature(self, facts: Sequence[ArgAttr]) -> list[ArgAttr]:
        out = [arg("in")] * len(self.inputs)
        for n in self.outputs:
            source = n if n in self.begun else facts[n].alias_of
            alias = self.inputs.index(source) if source in self.inputs else None
            out.append(arg("inout" if n in self.begun else "out", alias=alias))
        return out


def _piece(func: loop.FuncOp, group: Sequence[Part], roles: _Roles, name: str) -> _Piece:
    """The function of one group."""
    args = [func.block.args[n] for n in (*roles.inputs, *roles.outputs)]
    block = Block(arg_types=[a.type for a in args])
    values: dict[SSAValue, SSAValue] = {}
    for new, old in zip(block.args, args, strict=True):
        new.name_hint = old.name_hint
        values[old] = new
    kept = {need for part in group for need in part.needs} | {part.op for part in group}
    for op in func.block.ops:
        if op in kept:
            block.add_op(op.clone(values))
    made = loop.FuncOp(name, Region(block), roles.signature(func.signature.data), func.symbols.data)
    made.attributes.update(func.attributes)
    made.location = group[0].op.location
    return _Piece(made, roles.inputs, roles.outputs)


def _relaunch(launch: LaunchOp, func: loop.FuncOp, pieces: Sequence[_Piece]) -> None:
    """A launch for each piece, in order."""
    block = launch.parent
    assert block is not None
    facts = func.signature.data
    given, made = iter(launch.inputs), iter(launch.results)
    results = {n: next(made) for n, f in enumerate(facts) if f.is_output}
    now = {n: next(given) for n, f in enumerate(facts) if not f.is_output}
    for n, fact in enumerate(facts):
        if fact.mode.data == "inout" and fact.alias_of is not None:
            now[n] = now[fact.alias_of]
    for piece in pieces:
        types = [results[n].type for n in piece.outputs]
        new = LaunchOp(
            piece.func.sym_name.data, [now[n] for n in piece.inputs], types, once=launch.once is not None
        )
        new.attributes.update(launch.attributes)
        new.location = launch.location
        block.insert_op_before(new, launch)
        for n, result in zip(piece.outputs, new.results, strict=True):
            result.name_hint = results[n].name_hint
            now[n] = result
    for n, result in results.items():
        result.replace_all_uses_with(now[n])
    block.erase_op(launch)
