"""Ops that a file declares, called on elements in index notation: the formula stands among the scalars.

Only statements that give names to values work there; a choice does where its condition is known while compiling.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dialects.errors import IrkitError
from dialects.types import DTYPES, dtype_name
from irkit.lang import tree
from irkit.lang.builder import Number
from irkit.lang.custom import formula_of
from irkit.lang.heads import arguments, bind_dtypes, bind_settings
from irkit.lang.scalars import Scalar

if TYPE_CHECKING:
    from irkit.lang.emit import Frame
    from irkit.lang.indexing import IndexStatement, Op, Scope

HINT = "call the op in a line before, and index its result"


def call_on_elements(
    statement: IndexStatement, decl: tree.OpDecl, node: tree.Call, op: Op, scope: Scope
) -> Scalar | Number:
    """The value of a call at one point. Raises IrkitError."""
    emitter, loc = statement.emitter, statement.loc
    given = arguments(emitter, decl, node)
    places = [given[o.name.id] for o in decl.operands]
    values = [statement.scalar(place, op, scope) for place in places]
    inner, _ = bind_settings(emitter, decl, given, statement.frame)
    if any(o.type is not None and set(o.type.dims) - {tree.REST} for o in decl.operands):
        raise IrkitError(f"'{decl.name.id}' does not work on elements", loc(node.callee), hint=HINT)
    inner.words["..."] = []
    known = [v.element if isinstance(v, Scalar) and not v.weak else None for v in values]
    elements = bind_dtypes(emitter, decl, known, places, inner)
    for item, value, element, place in zip(decl.operands, values, elements, places, strict=True):
        if not isinstance(value, Scalar) and element is not None:
            value = op.scalars.number(value, element, loc(place))
        inner.names[item.name.id] = value  # pyright: ignore[reportArgumentType]  # a scalar stands for its tensor
    shown = [dtype_name(v.element) if isinstance(v, Scalar) else str(v) for v in values]
    around, statement.frame = statement.frame, inner
    try:
        with formula_of(emitter, decl, shown, node):
            emitter.calls.append(decl.name.id)
            try:
                return _formula(statement, decl, op)
            finally:
                emitter.calls.pop()
    finally:
        statement.frame = around


def _formula(statement: IndexStatement, decl: tree.OpDecl, op: Op) -> Scalar | Number:
    last = decl.body[-1]
    if not isinstance(last, tree.Return) or len(last.values) != 1 or len(decl.results) > 1:
        raise IrkitError(f"'{decl.name.id}' does not give one value", statement.loc(last), hint=HINT)
    _run(statement, decl.body[:-1], op)
    value = statement.scalar(last.values[0], op, {})
    if decl.results:
        declared = decl.results[0].type.dtype
        wanted = str(statement.frame.words.get(declared, declared))
        if not isinstance(value, Scalar):
            return op.scalars.number(value, DTYPES[wanted], statement.loc(last))
        if dtype_name(value.element) != wanted:
            raise IrkitError(
                f"'{decl.name.id}' returns another dtype than it declares",
                statement.loc(last.values[0]),
                found=dtype_name(value.element),
                expected=wanted,
            )
    return value


def _run(statement: IndexStatement, body: Sequence[tree.Statement], op: Op) -> None:
    frame: Frame = statement.frame
    for item in body:
        match item:
            case tree.Assign() if len(item.targets) == 1:
                value = statement.scalar(item.value, op, {})
                frame.names[item.targets[0].id] = value  # pyright: ignore[reportArgumentType]
            case tree.If() if isinstance(known := statement.scalar(item.condition, op, {}), bool):
                _run(statement, item.body if known else item.otherwise, op)
            case _:
                raise IrkitError("this does not work on elements", statement.loc(item), hint=HINT)
