"""Loops and choices from graph.for and graph.if.

What a body carries has one name inside and after: that of the value before, where the loop alone uses it, else a new
one that is given the value first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from xdsl.ir import Block, Operation, SSAValue

from dialects import graph
from dialects.dims import ZERO, Dim
from dialects.types import tensor
from irkit.lang.control import NO_LIMIT
from irkit.lang.unparse.text import Expr, dim_text, spelt

if TYPE_CHECKING:
    from irkit.lang.unparse.function import FunctionPrinter


def loop(printer: FunctionPrinter, op: graph.ForOp) -> None:
    """`for t in 0..n with u { ... }`, or `while go max n with u { ... }`; a loop that carries nothing does nothing."""
    if not op.inits:
        return
    if op.conditional is not None:
        _while(printer, op)
        return
    lower, upper = (_bound(printer, b) for b in op.bounds())
    counter, *args = op.block.args
    names = _carried(printer, op, args)
    name = printer.fresh(counter.name_hint or "i")
    printer.exprs[counter] = Expr(name)
    printer.write(f"for {name} in {lower}..{upper} with {', '.join(names)} {{")
    _body(printer, op.block, args, names)
    printer.write("}")


def choice(printer: FunctionPrinter, op: graph.IfOp) -> None:
    """`if c with u { ... } else { ... }`."""
    if not op.inits:
        return
    condition = printer.expr(op.condition).text
    names = _carried(printer, op, op.then.block.args)
    printer.write(f"if {condition} with {', '.join(names)} {{")
    _body(printer, op.then.block, op.then.block.args, names)
    args = op.otherwise.block.args
    last = op.otherwise.block.last_op
    assert last is not None
    if list(last.operands) != list(args):
        for arg, name in zip(args, names, strict=True):
            printer.exprs[arg] = Expr(name)
        printer.write("} else {")
        _body(printer, op.otherwise.block, args, names)
    printer.write("}")


def _while(printer: FunctionPrinter, op: graph.ForOp) -> None:
    """The condition is a value that is carried; so is the number of the round, where the body reads it."""
    lower, upper = op.bounds()
    counter, first, *args = op.block.args
    last = op.block.last_op
    assert last is not None
    again, *finals = last.operands
    same = next(
        (
            n
            for n, (i, f) in enumerate(zip(op.inits[1:], finals, strict=True))
            if i is op.inits[0] and f is again
        ),
        None,
    )
    if same is None:
        args = [first, *args]
    names = _carried(printer, op, args)
    condition = names[0 if same is None else same]
    if same is not None:  # the condition is carried as a value as well: one name is enough
        printer.exprs[first] = printer.exprs[op.results[0]] = Expr(condition)
    kept = list(names)
    limit = ""
    if not (isinstance(upper, Dim) and isinstance(lower, Dim) and upper == NO_LIMIT):
        limit = f" max {_count(printer, lower, upper)}"
    if counter.first_use is not None:
        start = _bound(printer, lower)
        text = (
            start
            if isinstance(lower, SSAValue) and lower.type == tensor("i64", [])
            else f"cast({start}, i64)"
        )
        round_ = printer.line(counter.name_hint or "round", text)
        printer.exprs[counter] = Expr(round_)
        kept = [*kept, round_]
    printer.write(f"while {condition}{limit} with {', '.join(kept)} {{")
    _body(printer, op.block, args, names)
    if counter.first_use is not None:
        printer.depth += 1
        printer.write(f"{kept[-1]} = {kept[-1]} + 1")
        printer.depth -= 1
    printer.write("}")


def _count(printer: FunctionPrinter, lower: Dim | SSAValue, upper: Dim | SSAValue) -> str:
    """How many rounds there are at most."""
    if isinstance(lower, Dim) and isinstance(upper, Dim):
        return _bound(printer, upper - lower)
    if lower == ZERO:
        return _bound(printer, upper)
    sides = [
        f"cast({printer.expr(b).text}, i64)" if isinstance(b, SSAValue) else f"({_bound(printer, b)})"
        for b in (upper, lower)
    ]
    return " - ".join(sides)


def _bound(printer: FunctionPrinter, bound: Dim | SSAValue) -> str:
    if isinstance(bound, SSAValue):
        return printer.expr(bound).text
    text = str(bound)
    return spelt(text) if "min(" in text or "max(" in text else dim_text(bound)


# -- what is carried --------------------------------------------------------------------------------------------


def _carried(printer: FunctionPrinter, op: graph.ForOp | graph.IfOp, args: Sequence[SSAValue]) -> list[str]:
    """The name of each carried value; those that need a name of their own are given it before the loop."""
    names: list[str] = []
    skipped = len(op.inits) - len(args)
    for init, arg, result in zip(op.inits[skipped:], args, op.results[skipped:], strict=True):
        text = printer.expr(init).text
        count = sum(v is init for v in op.inits)
        once = count == 1 or (count == 2 and skipped and init is op.inits[0])
        if once and text not in names and _is_taken_over(printer, init, op, text):
            name = text
        else:
            name = printer.line(arg.name_hint or result.name_hint or init.name_hint or "c", text)
        names.append(name)
        printer.exprs[arg] = Expr(name)
        printer.exprs[result] = Expr(name)
    return names


def _is_taken_over(printer: FunctionPrinter, init: SSAValue, op: Operation, text: str) -> bool:
    """Whether nothing but the loop uses a value, so that its name may go on to what the loop makes of it."""
    home = init.owner if isinstance(init.owner, Block) else init.owner.parent
    uses = {use.operation for use in init.uses}
    return text.isidentifier() and text not in printer.declared and home is op.parent and uses == {op}


def _body(printer: FunctionPrinter, block: Block, args: Sequence[SSAValue], names: Sequence[str]) -> None:
    """Writes a body, then gives the carried names their values for the next round, all at once."""
    last = block.last_op
    assert last is not None
    finals = list(last.operands)[len(last.operands) - len(args) :]
    for arg, final, name in zip(args, finals, names, strict=True):
        if _may_take_over(printer, block, arg, final, last):
            printer.wanted[final] = name
    printer.depth += 1
    printer.block(block)
    moves: dict[str, str] = {}
    for final, name in zip(finals, names, strict=True):
        text = printer.expr(final).text
        if text != name:
            moves[name] = text
    targets = set(names)
    for name, text in moves.items():
        if text in targets:  # another name that is about to change
            moves[name] = printer.line(f"{text}_before", text)
    for name, text in moves.items():
        printer.write(f"{name} = {text}")
    printer.depth -= 1


def _may_take_over(
    printer: FunctionPrinter, block: Block, arg: SSAValue, final: SSAValue, last: Operation
) -> bool:
    """Whether the op that makes a value for the next round may give it the name at once: nobody reads the old one later."""
    owner = final.owner
    if not isinstance(owner, Operation) or owner.parent is not block or final in printer.wanted:
        return False
    if not isinstance(owner, graph.GraphOp | graph.IndexOp | graph.CustomOp) or printer.inlines(owner):
        return False
    if any(use.operation is last for use in arg.uses):
        return False
    position = {op: n for n, op in enumerate(block.ops)}
    for use in arg.uses:
        user: Operation | None = use.operation
        while user is not None and user.parent is not block:
            user = user.parent_op()
        if user is None or position[printer.written_with(user)] > position[owner]:
            return False
    return True
