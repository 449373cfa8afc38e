"""Arguments that a run updates: a result that says `graph.updates = "w"` is what argument `w` holds after the run.

    func.func @step(%w: tensor<8xf32> {graph.name = "w", graph.donated}, ...) -> (tensor<8xf32> {graph.updates = "w"})

Such a result has no array of its own in the program's interface. It is made in the argument's memory where nothing reads
the old value any more; else it is made elsewhere and copied when all is read.
"""

from __future__ import annotations

from collections.abc import Mapping

from xdsl.dialects.builtin import StringAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import BlockArgument, Operation, SSAValue

from dialects.errors import IrkitError
from lowering.buffer.liveness import Liveness


def updated_arguments(func: FuncOp) -> dict[int, BlockArgument]:
    """The argument that each result updates, by the number of the result. Raises IrkitError for one that cannot be."""
    facts = func.res_attrs.data if func.res_attrs is not None else ()
    args = {name: arg for arg in func.body.block.args if (name := _name(func, arg))}
    found: dict[int, BlockArgument] = {}
    for number, (fact, type_) in enumerate(zip(facts, func.function_type.outputs, strict=False)):
        wanted = fact.data.get("graph.updates")
        if wanted is None:
            continue
        arg = args.get(wanted.data) if isinstance(wanted, StringAttr) else None
        fault = None
        if arg is None:
            fault = f"no argument is named {wanted}"
        elif arg.type != type_:
            fault = f"the argument has type {arg.type}, and the result {type_}"
        elif arg in found.values():
            fault = "another result updates it"
        elif "graph.donated" not in _facts(func, arg):
            fault = "the argument is not graph.donated"
        if arg is None or fault is not None:
            raise IrkitError(
                f"result {number} of @{func.sym_name.data} cannot update {wanted}",
                func,
                found=fault,
                expected="the graph.name of a graph.donated argument of the same type, once",
            )
        found[number] = arg
    return found


def _facts(func: FuncOp, arg: BlockArgument) -> Mapping[str, object]:
    return func.arg_attrs.data[arg.index].data if func.arg_attrs is not None else {}


def _name(func: FuncOp, arg: BlockArgument) -> str | None:
    name = _facts(func, arg).get("graph.name")
    return name.data if isinstance(name, StringAttr) else arg.name_hint


def chain(value: SSAValue, takes: Mapping[SSAValue, SSAValue]) -> list[SSAValue]:
    """A value, then the one whose array it takes, then the one whose array that takes, and so on."""
    found = [value]
    while found[-1] in takes:
        found.append(takes[found[-1]])
    return found


def may_be_made_in(
    arg: BlockArgument, value: SSAValue, takes: Mapping[SSAValue, SSAValue], live: Liveness
) -> bool:
    """Whether a new value may be made in the argument's memory: it takes the old one's place, or the old one is read for
    the last time before the first value is made that comes to lie there."""
    made = chain(value, takes)
    if arg in made:
        return True
    first = [v.owner for v in made if isinstance(v.owner, Operation)][-1]
    last = live.last.get(arg)
    return last is None or live.end[last.op] < live.begin[first]


def swapped_arguments(func: FuncOp, updated: Mapping[int, BlockArgument], live: Liveness) -> set[int]:
    """The results that give one updated argument what another one held: their values are set aside before any is copied."""
    last = func.body.block.last_op
    assert last is not None
    values = {number: live.root(last.operands[number]) for number in updated}
    changed = {arg for number, arg in updated.items() if values[number] is not arg}
    return {n for n, arg in updated.items() if values[n] in changed and values[n] is not arg}
