"""graph-prune: what a program takes, passes on or gives for nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, FunctionType, ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, BlockArgument, SSAValue
from xdsl.passes import ModulePass

from dialects.graph import ConstantOp, CustomOp, IfOp, YieldOp
from dialects.types import dims_of, ref_of, type_text
from dialects.updates import updated_arguments
from lowering.remarks import counted, listener
from lowering.rewriting import is_scheduled, put_in_place


@dataclass(frozen=True)
class GraphPrune(ModulePass):
    """Reports, and on demand drops, what no result needs.

    Expects: functions at the graph level, best after graph-dce.
    Does: (1) drops operands of an op of the file that its formula does not read, and values that a choice carries for
    nobody; (2) counts, and tells as remarks (`prune`): parameters and inputs that no result needs, results that are a constant,
    an argument as it came, or another result; (3) with `params`, drops such parameters from the function, with `inputs`
    such inputs: they are then no fields of the C interface, and `set_params` does not take them. An argument that a run
    updates stays, and so does the last one that a named dim can be told from.
    Leaves: a function at the graph level; by default its arguments and results stay as they are.
    """

    name = "graph-prune"

    params: bool = False
    inputs: bool = False
    stats: dict[str, int] = field(default_factory=dict, compare=False, repr=False)

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        inner = [o for o in op.walk() if isinstance(o, CustomOp | IfOp)]
        for step in reversed(inner):
            if isinstance(step, CustomOp):
                self._count("operands dropped", without_idle_operands(step))
            else:
                self._count("carried values dropped", without_idle_values(step))
        for func in [o for o in op.ops if isinstance(o, FuncOp) and o.body.blocks]:
            self._arguments(func)
            self._results(func)

    def _count(self, what: str, number: int = 1) -> None:
        if number:
            self.stats[what] = self.stats.get(what, 0) + number

    def _arguments(self, func: FuncOp) -> None:
        dropped: list[BlockArgument] = []
        for arg in idle_arguments(func):
            facts = _facts(func, arg)
            kind = "parameter" if facts.get("graph.kind") == StringAttr("param") else "input"
            self._count(f"unused {kind}s")
            text = f"no result needs {kind} {_name(func, arg)}: {type_text(arg.type)}"  # pyright: ignore
            goes = (self.params if kind == "parameter" else self.inputs) and _can_go(func, arg, dropped)
            if goes:
                dropped.append(arg)
                self._count(f"{kind}s dropped")
            if (tell := listener("prune", self.name)) is not None:
                if goes:
                    tell.applied(func, text, "it is dropped", kind=kind, name=_name(func, arg))
                else:
                    size = ref_of(arg.type).bytes().value  # pyright: ignore[reportArgumentType]
                    why = "" if size is None else f"{counted(size, 'byte')} for nothing; "
                    option = "params" if kind == "parameter" else "inputs"
                    tell.analysis(
                        func,
                        text,
                        f"{why}graph-prune{{{option}=true}} drops what can go",
                        kind=kind,
                        name=_name(func, arg),
                    )
        drop_arguments(func, dropped)

    def _results(self, func: FuncOp) -> None:
        last = func.body.block.last_op
        if not isinstance(last, ReturnOp):
            return
        updated = updated_arguments(func)
        seen: dict[SSAValue, int] = {}
        for number, value in enumerate(last.operands):
            what = reason = ""
            if isinstance(value.owner, ConstantOp):
                what, reason = "constant results", "is a constant"
            elif isinstance(value, BlockArgument):
                if number not in updated or updated[number] is not value:
                    what, reason = "results that copy an argument", f"is {_name(func, value)} as it came"
            elif value in seen:
                what, reason = "results that copy another", f"is result {seen[value]} again"
            seen.setdefault(value, number)
            if what:
                self._count(what)
                if (tell := listener("prune", self.name)) is not None:
                    tell.analysis(func, f"result {number} {reason}", "it is copied in each run")


# -- arguments -----------------------------------------------------------------------------------------------------


def idle_arguments(func: FuncOp) -> list[BlockArgument]:
    """The arguments that nothing reads and no run updates."""
    updated = set(updated_arguments(func).values())
    return [a for a in func.body.block.args if a.first_use is None and a not in updated]


def _can_go(func: FuncOp, arg: BlockArgument, dropped: list[BlockArgument]) -> bool:
    """Whether the arguments that stay tell the size of each dim that an argument names."""
    rest = [a for a in func.body.block.args if a is not arg and a not in dropped]
    return _names(arg) <= set().union(*map(_names, rest))


def _names(value: SSAValue) -> set[str]:
    return {n for d in dims_of(value.type) for n in d.names()}


def drop_arguments(func: FuncOp, dropped: list[BlockArgument]) -> None:
    """Takes arguments out of a function."""
    if not dropped:
        return
    gone = {arg.index for arg in dropped}
    if func.arg_attrs is not None:
        func.arg_attrs = ArrayAttr([a for i, a in enumerate(func.arg_attrs.data) if i not in gone])
    for arg in dropped:
        func.body.block.erase_arg(arg)
    func.function_type = FunctionType.from_lists(
        [a.type for a in func.body.block.args], list(func.function_type.outputs)
    )


def _facts(func: FuncOp, arg: BlockArgument) -> dict[str, object]:
    facts: ArrayAttr[DictionaryAttr] | None = func.arg_attrs
    return {} if facts is None else dict(facts.data[arg.index].data)


def _name(func: FuncOp, arg: BlockArgument) -> str:
    name = _facts(func, arg).get("graph.name")
    return name.data if isinstance(name, StringAttr) else arg.name_hint or f"argument {arg.index}"


# -- inside --------------------------------------------------------------------------------------------------------


def without_idle_operands(op: CustomOp) -> int:
    """Drops the operands of which the formula reads nothing, where no rule of its own counts them; returns how many."""
    block = op.body.block
    idle = [arg for arg in block.args if arg.first_use is None]
    if op.backward is not None or not idle or is_scheduled(op):
        return 0
    gone = {arg.index for arg in idle}
    op.operands = [v for i, v in enumerate(op.operands) if i not in gone]
    for arg in idle:
        block.erase_arg(arg)
    return len(idle)


def without_idle_values(op: IfOp) -> int:
    """Drops the values of a choice of which no result, and neither way, needs anything; returns how many."""
    ways = (op.then.block, op.otherwise.block)
    ends = [way.last_op for way in ways]
    idle = [i for i, result in enumerate(op.results) if result.first_use is None and _is_idle(ways, i)]
    if not idle:
        return 0
    kept = [i for i in range(len(op.results)) if i not in idle]
    for way, end in zip(ways, ends, strict=True):
        assert isinstance(end, YieldOp)
        end.operands = [end.operands[i] for i in kept]
        for i in reversed(idle):
            way.erase_arg(way.args[i])
    regions = [op.detach_region(r) for r in list(op.regions)]
    new = IfOp(op.condition, [op.inits[i] for i in kept], regions[0], regions[1])
    put_in_place(new, op, kept)
    return len(idle)


def _is_idle(ways: tuple[Block, Block], number: int) -> bool:
    """Whether no way reads a carried value, but for its end, which hands it on."""
    return all(
        use.operation is way.last_op and use.index == number for way in ways for use in way.args[number].uses
    )
