"""Arguments that a run updates: a result that says `graph.updates = "w"` is what argument `w` holds after the run.

    func.func @step(%w: tensor<8xf32> {graph.name = "w", graph.donated}, ...) -> (tensor<8xf32> {graph.updates = "w"})

Such a result has no array of its own in the program's interface.
"""

from __future__ import annotations

from collections.abc import Mapping

from xdsl.dialects.builtin import StringAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import BlockArgument

from dialects.errors import IrkitError


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
