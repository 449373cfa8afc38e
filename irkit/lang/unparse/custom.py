"""Declarations for the ops of a file, from the formulas that their calls hold.

The IR has the formula of each call, for its types and settings, and not the declaration. Calls of one op whose formulas
are the same text share a declaration. A number that in all calls is the value of one setting is that setting, and where
the calls differ in the dtype of an operand, its dtype in the formula is `T`. What is different still is declared by itself:
`rotate`, `rotate_2`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, Block

from dialects import graph
from dialects.errors import IrkitError
from dialects.types import DTYPE_NAMES
from irkit.lang.unparse.calls import ExprOf
from irkit.lang.unparse.function import FunctionPrinter, Named
from irkit.lang.unparse.settings import formula_ops, kind_of, named_numbers, setting_text
from irkit.lang.unparse.text import MEANINGS, RESERVED, Expr, Names


@dataclass(frozen=True)
class Declaration:
    """How calls are written: the name, the operand whose type is stated, what settings are when they are not given."""

    name: str
    typed: int | None
    defaults: Mapping[str, Attribute]


class Customs:
    """The ops that the functions of a module call, declared one after another, inner ones first."""

    def __init__(self, funcs: Sequence[FuncOp], dims: Iterable[str], taken: Iterable[str]):
        self.dims = frozenset(dims)
        self.names = Names({*dims, *taken})
        self.lines: list[str] = []
        self.declared: dict[graph.CustomOp, Declaration] = {}
        for calls in _alike(funcs):
            self._declare(calls)

    def call(self, op: graph.CustomOp, expr: ExprOf, named: Mapping[str, str]) -> Expr:
        """`swish(x, beta=1.5)`: the settings that differ from the declared ones by name."""
        found = self.declared[op]
        words = _operands(op, found.typed, expr)
        for key, value in op.settings.data.items():
            text = named.get(key) or setting_text(value, op)
            if text != setting_text(found.defaults[key], op):
                words.append(f"{key}={text}")
        return Expr(f"{found.name}({', '.join(words)})")

    # -- declarations -----------------------------------------------------------------------------------------------

    def _declare(self, calls: Sequence[graph.CustomOp]) -> None:
        """Declares calls of one op whose formulas are the same ops: once, where one text says all."""
        for key in calls[0].settings.data:
            if not key.isidentifier() or key in MEANINGS:
                expected = "an identifier that the language has no meaning for"
                raise IrkitError(f"'{key}' cannot be the name of a setting", calls[0], expected=expected)
        named = named_numbers(calls, calls[0].settings.data.keys() - self.dims)
        formulas = {op: self._formula(op, named[op]) for op in calls}
        shared = formulas
        place = _varying_dtype(calls) if len(set(formulas.values())) > 1 else None
        if place is not None:
            word = Names({*self.dims, *calls[0].settings.data}).fresh("T")
            shared = {op: f.over(_dtype(op, place), word) for op, f in formulas.items()}
        for formula in dict.fromkeys(shared.values()):
            members = [op for op in calls if shared[op] == formula]
            if place is None or len({formulas[op] for op in members}) == 1:
                self._write(members, formulas[members[0]], None)
            else:
                self._write(members, formula, place)

    def _write(self, calls: Sequence[graph.CustomOp], formula: _Formula, typed: int | None) -> None:
        first = calls[0]
        found = Declaration(self.names.fresh(first.title.data, "op", RESERVED), typed, first.settings.data)
        self.declared.update(dict.fromkeys(calls, found))
        head = [n if i != typed else f"{n}: {formula.word}[...]" for i, n in enumerate(formula.operands)]
        head += [f"{key}={setting_text(value, first)}" for key, value in found.defaults.items()]
        ending = "}" if not formula.rule else f"}} backward({', '.join(formula.names)}) {{"
        rule = [*formula.rule, "}"] if formula.rule else []
        self.lines += [f"op {found.name}({', '.join(head)}) {{", *formula.lines, ending, *rule, ""]

    def _formula(self, op: graph.CustomOp, named: Named) -> _Formula:
        settings = op.settings.data.keys()
        names = Names({*self.dims, *settings})
        operands = [names.fresh(a.name_hint, "x", MEANINGS) for a in op.body.block.args]
        shown: list[str] = []
        if op.backward is not None:
            own = Names({*names.taken})
            shown = [own.fresh(a.name_hint, "g", MEANINGS) for a in op.backward.block.args[len(operands) :]]
        lines = self._lines(op, op.body.block, operands, names, named)
        rule: tuple[str, ...] = ()
        if op.backward is not None:
            inside = Names({*self.dims, *settings, *operands, *shown})
            rule = self._lines(op, op.backward.block, [*operands, *shown], inside, named)
        for key in settings & self.dims:
            if re.search(rf"\b{key}\b(?!=)", "\n".join([*lines, *rule])):
                message = f"'{key}' is a setting of '{op.title.data}' and a dim of its formula"
                raise IrkitError(message, op, hint="give one of the two another name")
        return _Formula(tuple(operands), lines, "", tuple(shown), rule)

    def _lines(
        self, op: graph.CustomOp, block: Block, args: Sequence[str], names: Names, named: Named
    ) -> tuple[str, ...]:
        """The statements of a formula or of a rule, whose arguments have these names."""
        printer = FunctionPrinter(op, names, self.dims | op.settings.data.keys(), self, named)
        printer.exprs.update(zip(block.args, map(Expr, args), strict=True))
        printer.block(block)
        last = block.last_op
        if last is None or not last.operands:
            raise IrkitError("an op returns something", op)
        values = ", ".join(printer.expr(v).text for v in last.operands)
        return (*printer.lines, f"  return {values}")


@dataclass(frozen=True)
class _Formula:
    """The text of an op: the names of its operands, and the lines of its body; `word` stands in it for a dtype. Then those
    of its rule, if it has one: names for results and cotangents, and lines."""

    operands: tuple[str, ...]
    lines: tuple[str, ...]
    word: str = ""
    names: tuple[str, ...] = ()
    rule: tuple[str, ...] = ()

    def over(self, dtype: str, word: str) -> _Formula:
        """The same for any dtype in the place of one, but inside of strings."""
        pattern = re.compile(rf'"[^"]*"|\b{dtype}\b')

        def put(lines: Sequence[str]) -> tuple[str, ...]:
            return tuple(pattern.sub(lambda m: word if m[0] == dtype else m[0], line) for line in lines)

        return _Formula(self.operands, put(self.lines), word, self.names, put(self.rule))


def _operands(op: graph.CustomOp, typed: int | None, expr: ExprOf) -> list[str]:
    """Operands as text; a number stands without its dtype where the first tensor tells it."""
    found = [expr(v) for v in op.operands]
    elements = [v.type.element_type for v in op.operands]  # pyright: ignore[reportAttributeAccessIssue]
    first = next((t for t, e in zip(elements, found, strict=True) if e.number is None), None)
    return [
        e.text if e.number is None or i == typed or element != first else e.number
        for i, (element, e) in enumerate(zip(elements, found, strict=True))
    ]


# -- calls of one op ------------------------------------------------------------------------------------------------


def _alike(funcs: Iterable[FuncOp]) -> list[list[graph.CustomOp]]:
    """The calls of all functions, inner ones first, those together that may have one declaration."""
    calls = [op for func in funcs for op in func.walk() if isinstance(op, graph.CustomOp)]
    height = dict.fromkeys(calls, 0)
    for op in reversed(calls):
        around = op.parent_op()
        while around is not None and not isinstance(around, graph.CustomOp):
            around = around.parent_op()
        if around is not None:
            height[around] = max(height[around], height[op] + 1)
    groups: dict[object, list[graph.CustomOp]] = {}
    for op in sorted(calls, key=lambda c: height[c]):
        ops = tuple(inner.name for inner in formula_ops(op))
        kinds = tuple((key, kind_of(value)) for key, value in op.settings.data.items())
        groups.setdefault((height[op], op.title.data, kinds, len(op.operands), ops), []).append(op)
    return list(groups.values())


def _dtype(op: graph.CustomOp, place: int) -> str:
    return DTYPE_NAMES.get(op.operands[place].type.element_type, "")  # pyright: ignore


def _varying_dtype(calls: Sequence[graph.CustomOp]) -> int | None:
    """The first operand that has several dtypes, each a plain one."""
    for place in range(len(calls[0].operands)):
        dtypes = {_dtype(op, place) for op in calls}
        if len(dtypes) > 1:
            return None if "" in dtypes else place
    return None
