"""One function: its statements in order, loops and choices, and the names of values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from xdsl.dialects.builtin import ArrayAttr, StringAttr
from xdsl.dialects.func import ReturnOp
from xdsl.ir import Block, Operation, SSAValue

from dialects import graph
from dialects.errors import IrkitError
from dialects.graph.base import short_name
from dialects.types import dims_of, dtype_name
from irkit.lang.unparse.calls import expression, row_of
from irkit.lang.unparse.control import choice, loop
from irkit.lang.unparse.index import index_statement
from irkit.lang.unparse.text import Expr, Names

if TYPE_CHECKING:
    from irkit.lang.unparse.custom import Customs

Named = Mapping[Operation, Mapping[str, str]]
"""The numbers that stand by a name: for each op its parameters that do; a constant itself is called ""."""

INDENT = "  "
WIDTH = 50
"""Characters up to which a value without a name stands inside the expression that uses it."""

DEEPEST = 12


class FunctionPrinter:
    """Writes the body of a function or of an op of the file. `declared` are the names of dims, parameters and settings,
    which nothing may hide; `customs` are the ops of the file, and `named` the numbers that are settings."""

    def __init__(
        self,
        func: Operation,
        names: Names,
        declared: frozenset[str],
        customs: Customs,
        named: Named | None = None,
    ):
        self.names = names
        self.declared = declared
        self.customs = customs
        self.named = named or {}
        self.lines: list[str] = []
        self.depth = 1
        self.exprs: dict[SSAValue, Expr] = {}
        self.nesting: dict[SSAValue, int] = {}
        self.wanted: dict[SSAValue, str] = {}
        self.redirect: tuple[str, str] | None = None
        self.axes = {n for op in func.walk() if isinstance(op, graph.IndexOp) for n, _ in op.extents()}
        names.taken |= self.axes

    # -- lines ----------------------------------------------------------------------------------------------------

    def write(self, text: str) -> None:
        self.lines.append(INDENT * self.depth + text)

    def fresh(self, hint: str | None) -> str:
        return self.names.fresh(hint)

    def line(self, hint: str, text: str) -> str:
        """A statement that gives a new name, and the name."""
        name = self.fresh(hint)
        self.write(f"{name} = {text}")
        return name

    def line_of(self, value: SSAValue, text: str) -> str:
        """A statement that gives a value its name."""
        name = self.wanted.get(value) or self.fresh(value.name_hint)
        self.exprs[value] = Expr(name)
        self.write(f"{name} = {text}{schedule(value.owner)}")
        return name

    def assign_index(self, value: SSAValue, axes: Sequence[str], text: str, ending: str) -> None:
        """A statement in index notation."""
        if self.redirect is not None:
            (name, axis), self.redirect = self.redirect, None
            self.write(f"{name}[{axis}] = {text}{ending}{schedule(value.owner)}")
        elif axes:
            name = self.wanted.get(value) or self.fresh(value.name_hint)
            self.exprs[value] = Expr(name)
            self.write(f"{name}[{', '.join(axes)}] = {text}{ending}{schedule(value.owner)}")
        else:
            self.line_of(value, text)

    # -- values ---------------------------------------------------------------------------------------------------

    def expr(self, value: SSAValue) -> Expr:
        """The text of a value that is known by now."""
        return self.exprs[value]

    def name_of(self, value: SSAValue) -> str:
        """A name for a value; one that has none gets a statement."""
        found = self.exprs[value]
        if found.text.isidentifier():
            return found.text
        return self.line(value.name_hint or "", found.text)

    def axis(self, name: str, taken: frozenset[str] | set[str]) -> str:
        """The name of an axis: its own, where nothing that matters has it."""
        if name in taken:
            return self.names.fresh(f"{name}_axis")
        return name

    # -- statements -----------------------------------------------------------------------------------------------

    def block(self, block: Block) -> None:
        """Writes the ops of a block, but for its terminator."""
        for op in block.ops:
            if op is block.last_op:
                return
            if isinstance(op, graph.IndexOp):
                index_statement(self, op)
            elif isinstance(op, graph.ForOp):
                loop(self, op)
            elif isinstance(op, graph.IfOp):
                choice(self, op)
            elif isinstance(op, graph.GraphOp | graph.CustomOp):
                self.graph_op(op)
            elif isinstance(op, graph.VjpOp | graph.JvpOp | graph.VmapOp):
                hint = "print what it becomes: irkit-opt -p graph-differentiate --emit=tg"
                message = f"a function inside '{op.name}' has no name in the language"
                raise IrkitError(message, op, expected="a graph without transformations", hint=hint)
            else:
                hint = "only graph ops and their loops are of the language"
                raise IrkitError(f"the language has no '{op.name}'", op, hint=hint)

    def graph_op(self, op: graph.GraphOp | graph.CustomOp) -> None:
        found = self.expression(op)
        deepest = 1 + max((self.nesting.get(v, 0) for v in op.operands), default=0)
        result = op.results[0]
        if self.inlines(op) and (_is_number(op) or (len(found.text) <= WIDTH and deepest <= DEEPEST)):
            self.exprs[result], self.nesting[result] = found, deepest
        elif len(op.results) == 1:
            self.line_of(result, found.text)
        else:
            names = [self.wanted.get(r) or self.fresh(r.name_hint) for r in op.results]
            self.exprs.update({r: Expr(n) for r, n in zip(op.results, names, strict=True)})
            self.write(f"{', '.join(names)} = {found.text}{schedule(op)}")

    def expression(self, op: graph.GraphOp | graph.CustomOp) -> Expr:
        """The text of an op; a slice that stands inside it may become a place of a tensor."""
        named = self.named.get(op, {})
        if isinstance(op, graph.CustomOp):
            return self.customs.call(op, self.expr, named)
        if "" in named:
            dtype = dtype_name(op.results[0].type.element_type)  # pyright: ignore[reportAttributeAccessIssue]
            return Expr(f"cast({named['']}, {dtype})", number=named[""])
        if short_name(op) == "reshape":
            source = op.operands[0].owner
            if (
                isinstance(source, graph.GraphOp)
                and short_name(source) == "slice"
                and self.inlines(source)
                and (found := row_of(op, source, self.expr)) is not None
            ):
                return found
        return expression(op, self.expr, named)

    def inlines(self, op: Operation) -> bool:
        """Whether an op may stand inside the expression that uses it."""
        if not isinstance(op, graph.GraphOp | graph.CustomOp) or len(op.results) != 1:
            return False
        if "graph.schedule" in op.attributes:
            return False
        if _is_number(op):
            return True
        uses = list(op.results[0].uses)
        if len(uses) != 1 or op.results[0].name_hint is not None or op.results[0] in self.wanted:
            return False
        user = uses[0].operation
        if isinstance(user, graph.IfOp):
            return user.condition is op.results[0] and user.parent is op.parent
        if isinstance(user, graph.YieldOp):
            return isinstance(user.parent_op(), graph.CustomOp)
        return isinstance(user, graph.GraphOp | graph.CustomOp | ReturnOp) and user.parent is op.parent

    def written_with(self, op: Operation) -> Operation:
        """The op in whose statement the text of an op stands."""
        while self.inlines(op) and not _is_number(op):
            op = next(iter(op.results[0].uses)).operation
        return op


def _is_number(op: Operation) -> bool:
    return isinstance(op, graph.ConstantOp) and not dims_of(op.results[0].type)


def schedule(op: object) -> str:
    """`, schedule="tile i 8"`, or nothing."""
    found = op.attributes.get("graph.schedule") if isinstance(op, Operation) else None
    if not isinstance(found, ArrayAttr):
        return ""
    words = [d.data for d in found.data if isinstance(d, StringAttr)]
    return f', schedule="{"; ".join(words)}"'
