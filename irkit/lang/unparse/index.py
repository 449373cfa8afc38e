"""Index notation from graph.index ops.

The language finds the range of each axis from the accesses. Where it would find the ranges of the op, the op is one
statement. Where it would not (an axis that nothing indexes, a tensor that grows at its edges, two boundaries), each axis
gets a tensor of its places, `i_at = iota([8])`, and stands in indices as `i_at[i]`, which tells the range and is
clamped into the tensor or taken by the boundary as it comes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from xdsl.ir import SSAValue

from dialects import graph
from dialects.dims import ZERO, Atom, Dim
from dialects.errors import IrkitError, Loc
from dialects.types import STORAGE, dims_of, dtype_name, is_integer
from irkit.lang.parser import PRODUCT
from irkit.lang.ranges import Component, Unsolvable, solve, stays_inside
from irkit.lang.unparse.scalars import Body, Scalar, finished
from irkit.lang.unparse.text import MEANINGS, Expr, dim_text, literal, spelt

if TYPE_CHECKING:
    from irkit.lang.unparse.function import FunctionPrinter

LONG = 30
"""Characters from which on an element that is used twice gets a tensor of its own."""

NOWHERE = Loc("", 0, 0)


def index_statement(printer: FunctionPrinter, op: graph.IndexOp) -> None:
    """Writes the statements of an op. Raises IrkitError for what has no such form."""
    for access in op.accesses():
        type_ = op.operands[access.operand].type
        if (name := dtype_name(type_.element_type))[0] == "c" or name in STORAGE:  # pyright: ignore
            raise IrkitError(f"index notation has no {name} form", op, hint="write it before graph-decompose")
    (_Plain if _is_plain(op) else _Placed)(printer, op).write()


def _boundary(op: graph.IndexOp) -> graph.Access | None:
    """An access that tells the one boundary of a statement; None where no access has one."""
    return next((a for a in op.accesses() if a.boundary != "none"), None)


def _gathers(access: graph.Access) -> bool:
    return any(n.startswith("_") and n[1:].isdigit() for d in access.index for n in d.names())


def _agrees(access: graph.Access, main: graph.Access | None) -> bool:
    """Whether a statement with the boundary of `main` reads an access as it is. Clamping is what a gather does alone."""
    if main is None:
        return True
    if access.boundary == "none":
        return not _gathers(access) or main.boundary == "clamp"
    return (access.boundary, access.value) == (main.boundary, main.value)


def _has_extreme(expr: Dim) -> bool:
    return "min(" in (text := str(expr)) or "max(" in text


def _is_plain(op: graph.IndexOp) -> bool:
    """Whether the language would find the op's own ranges, and take each access as it is."""
    accesses, main = op.accesses(), _boundary(op)
    if not op.axes.data and (main is not None or not op.reduced.data):
        return False
    if not all(_agrees(a, main) for a in accesses) or any(_has_extreme(d) for a in accesses for d in a.index):
        return False
    symbols = graph.symbol_ranges(op)
    components = [
        Component(expr, size, "", NOWHERE)
        for access in accesses
        for expr, size in zip(access.index, dims_of(op.operands[access.operand].type), strict=True)
        if not any(n.startswith("_") and n[1:].isdigit() for n in expr.names())
    ]
    names = [n for n, _ in op.axes.data], [n for n, _ in op.reduced.data]
    try:
        ranges = solve([*names[1], *names[0]], components, symbols, main is not None)
    except (IrkitError, Unsolvable):
        return False
    if any(ranges[name] != (ZERO, extent) for name, extent in op.extents()):
        return False
    mirrored = main is not None and main.boundary == "reflect"
    return (main is not None and not mirrored) or all(
        stays_inside(c, ranges, symbols, mirrored) for c in components
    )


class _Plain:
    """An op whose ranges the language finds."""

    def __init__(self, printer: FunctionPrinter, op: graph.IndexOp):
        self.printer = printer
        self.op = op
        self.values = [printer.name_of(v) for v in op.operands]
        taken = (
            MEANINGS
            | printer.declared
            | {n for n, v in zip(self.values, op.operands, strict=True) if not dims_of(v.type)}
        )
        self.axis = {name: printer.axis(name, taken) for name, _ in op.extents()}
        self.prepare()
        self.reads: list[str] = []
        for access in op.accesses():
            self.reads.append(self.read(access))

    def prepare(self) -> None:
        """What stands before the statement."""

    def place(self, axis: str) -> str:
        """How an axis stands in an index, or as a number."""
        return self.axis[axis]

    def read(self, access: graph.Access) -> str:
        """The text of an access."""
        tensor = self.values[access.operand]
        return f"{tensor}[{', '.join(map(self.index, access.index))}]" if access.index else tensor

    def index(self, expr: Dim) -> str:
        """An index expression with its axes and the reads that it names."""
        return re.sub(r"[A-Za-z_]\w*", lambda found: self.named(found[0]), spelt(str(expr)))

    def named(self, name: str) -> str:
        """What a name in an index stands for: a read, an axis, or a dim."""
        if name.startswith("_") and name[1:].isdigit():
            return self.reads[int(name[1:])]
        return self.place(name) if name in self.axis else name

    def keep(self, x: Scalar) -> Scalar:
        """A value that is used more than once."""
        return x

    def write(self) -> None:
        op, printer = self.op, self.printer
        elements = [op.operands[a.operand].type.element_type for a in op.accesses()]  # pyright: ignore
        texts = [Scalar(Expr(r), dtype_name(e)) for r, e in zip(self.reads, elements, strict=True)]
        texts += [Scalar(Expr(self.place(name)), "i64") for name, _ in op.extents()]
        result: SSAValue = op.results[0]
        whole = Body(op.body.block, texts, self.keep, lambda inner: printer.named.get(inner, {}).get(""))
        body = finished(whole.result, result.type.element_type)  # pyright: ignore
        text = self.whole(body).text
        if op.combiner is not None:
            text = self.reduction(text, [self.axis[n] for n, _ in op.reduced.data], body.expr)
        axes = [self.axis[n] for n, _ in op.axes.data]
        printer.assign_index(result, axes, text, self.ending(_boundary(op)))

    def whole(self, body: Scalar) -> Expr:
        return body.expr

    def reduction(self, text: str, axes: Sequence[str], expr: Expr) -> str:
        assert self.op.combiner is not None
        if expr.level < PRODUCT or not (text[0].isalnum() or text[0] == "_"):
            text = f"({text})"
        return f"{self.op.combiner.data}({', '.join(axes)}) {text}"

    def ending(self, access: graph.Access | None) -> str:
        """`, boundary=clamp`, or nothing."""
        if access is None:
            return ""
        if access.boundary != "value":
            return f", boundary={access.boundary}"
        element = self.op.operands[access.operand].type.element_type  # pyright: ignore
        if is_integer(element) and access.value:
            raise IrkitError(
                "a boundary value of index notation is a float", self.op, found=str(access.value)
            )
        return (
            ", boundary=zero" if not access.value else f", boundary=value({literal(access.value, element)})"
        )


class _Placed(_Plain):
    """An op whose axes run over tensors of places."""

    def prepare(self) -> None:
        self.main = _boundary(self.op)
        self.places: dict[str, str] = {}
        for name, extent in self.op.extents():
            self.places[name] = self.printer.line(
                f"{self.axis[name]}_at", f"iota([{dim_text(extent, self.op)}])"
            )
        self.dummy = None
        if not self.op.axes.data:
            self.dummy = self.printer.axis("z", MEANINGS | self.printer.declared | set(self.axis.values()))
            self.places[""] = self.printer.line(f"{self.dummy}_at", "iota([1])")
            self.axis[""] = self.dummy

    def place(self, axis: str) -> str:
        return f"{self.places[axis]}[{self.axis[axis]}]"

    def read(self, access: graph.Access) -> str:
        text = super().read(access)
        plain = access.boundary == "none" and not _gathers(access)
        if not access.index or plain or _agrees(access, self.main):
            return text
        return self.apart(text, self.ending(access if access.boundary != "none" else None))

    def index(self, expr: Dim) -> str:
        """An index that holds a least or greatest becomes the element of a tensor of indices."""
        if not _has_extreme(expr):
            return super().index(expr)
        return self.apart(self.element(expr), "")

    def element(self, expr: Dim) -> str:
        """An index expression as arithmetic on elements. Raises IrkitError for dims with a range, which are no numbers."""
        if unknown := expr.names() & graph.symbol_ranges(self.op).keys():
            found = f"'{sorted(unknown)[0]}' beside a least or greatest"
            raise IrkitError("an index of index notation cannot be told", self.op, found=found)
        terms = [
            " * ".join(
                [*(self.atom(a) for a in atoms), *([f"({factor})"] if factor != 1 or not atoms else [])]
            )
            for atoms, factor in expr.terms
        ]
        return f"({' + '.join(terms) or '0'})"

    def atom(self, atom: Atom) -> str:
        if isinstance(atom, str):
            return self.place(atom) if atom in self.axis else f"cast({self.named(atom)}, i64)"
        first, *rest = map(self.element, atom.args)
        if atom.kind == "xor":
            raise IrkitError("an index of index notation cannot be told", self.op, found=f"'{atom}'")
        if atom.kind in ("floordiv", "mod"):
            return f"({first} {'/' if atom.kind == 'floordiv' else '%'} {rest[0]})"
        for other in rest:
            first = f"{atom.kind}imum({first}, {other})"
        return first

    def apart(self, text: str, ending: str) -> str:
        """An element of a tensor of its own over all axes."""
        axes = [self.axis[n] for n in self.places]
        name = self.printer.fresh("part")
        self.printer.write(f"{name}[{', '.join(axes)}] = {self.over_all(text)}{ending}")
        return f"{name}[{', '.join(axes)}]"

    def over_all(self, text: str) -> str:
        """The text with every axis in it, so that each has a range."""
        for name in self.places:
            if self.place(name) not in text:
                text = f"where({self.place(name)} < 0, {text}, {text})"
        return text

    def keep(self, x: Scalar) -> Scalar:
        if len(x.expr.text) < LONG or x.value is not None:
            return x
        return Scalar(Expr(self.apart(x.expr.text, self.ending(self.main))), x.dtype)

    def whole(self, body: Scalar) -> Expr:
        """The body with every axis in it."""
        text = body.expr.text
        for name in self.places:
            if self.place(name) not in text and name:
                text = f"where({self.place(name)} < 0, cast(0, {body.dtype}), {text})"
        if self.dummy is not None:
            text = f"where({self.place('')} < 0, cast(0, {body.dtype}), {text})"
        return body.expr if text == body.expr.text else Expr(text)

    def write(self) -> None:
        if self.dummy is None:
            super().write()
            return
        printer, result = self.printer, self.op.results[0]
        name = printer.fresh("part")
        printer.redirect = (name, self.dummy)
        super().write()
        printer.line_of(result, f"reshape({name}, [])")
