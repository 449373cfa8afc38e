"""Calls of ops that a file declares: each becomes a `graph.custom` that holds the op's formula for these operands.

The head of an op is bound at the call: dtype variables, the dims that stand alone in an operand's type, and `...` take
what the operands have; settings take their values or defaults (`irkit.lang.heads`). Then the body is emitted as that of a
function is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from xdsl.ir import Block, Region, SSAValue

from dialects import graph
from dialects.errors import IrkitError
from irkit.lang import tree
from irkit.lang.builder import Value, describe
from irkit.lang.heads import arguments, bind_operands, bind_settings
from irkit.lang.rules import emit_rule

if TYPE_CHECKING:
    from irkit.lang.emit import Emitter, Frame

MAX_DEPTH = 32
"""Ops inside ops are regions inside regions, which passes and printers walk by recursion."""


def emit_custom(emitter: Emitter, decl: tree.OpDecl, node: tree.Call, frame: Frame) -> list[Value]:
    """The results of a call of an op of the file. Raises IrkitError, or Skip for a fault of the body."""
    from irkit.lang.emit import Skip

    given = arguments(emitter, decl, node)
    places = [given[o.name.id] for o in decl.operands]
    values = [emitter.expr(place, frame) for place in places]
    inner, settings = bind_settings(emitter, decl, given, frame)
    operands = bind_operands(emitter, decl, values, places, inner)
    fresh = replace(inner, names=dict(inner.names))
    block = Block(arg_types=[v.type for v in operands])
    for item, arg in zip(decl.operands, block.args, strict=True):
        arg.name_hint = item.name.id
        inner.names[item.name.id] = arg
    outside, emitter.builder.block = emitter.builder.block, block
    count = len(emitter.program.errors)
    try:
        with formula_of(emitter, decl, operands, node):
            results = emitter.body(decl, inner)
            if results is None or len(emitter.program.errors) > count:
                raise Skip
            emitter.builder.add(graph.YieldOp(*results), emitter.loc(decl.body[-1]))
            backward = decl.rule and emit_rule(emitter, decl, decl.rule, operands, results, fresh)
            if len(emitter.program.errors) > count:
                raise Skip
    finally:
        emitter.builder.block = outside
    shown = {name: graph.setting_attr(value) for name, value in settings.items()}
    op = graph.CustomOp(decl.name.id, operands, shown, Region(block), backward)
    return list(emitter.builder.add(op, emitter.loc(node)).results)


@contextmanager
def formula_of(
    emitter: Emitter, decl: tree.OpDecl, operands: Sequence[object], node: tree.Call
) -> Iterator[None]:
    """Around the formula of an op: what goes wrong in it says from which call."""
    name = decl.name.id
    if name in emitter.calls:
        way = " -> ".join([*emitter.calls[emitter.calls.index(name) :], name])
        hint = "the formula stands where the op is called; a for loop repeats"
        raise IrkitError(f"'{name}' calls itself", emitter.loc(node), found=way, hint=hint)
    if len(emitter.ops) >= MAX_DEPTH:
        message = "ops call each other too deeply"
        raise IrkitError(message, emitter.loc(node), expected=f"at most {MAX_DEPTH} levels")
    shown = ", ".join(describe(v) if isinstance(v, SSAValue) else str(v) for v in operands)
    note = f"{name}({shown}), called at {emitter.loc(node)}"
    count = len(emitter.program.errors)
    emitter.ops.append(name)
    try:
        yield
    except IrkitError as error:
        error.inside = f"{error.inside}\n{note}" if error.inside else note
        raise
    finally:
        emitter.ops.pop()
        for error in emitter.program.errors[count:]:
            error.inside = f"{error.inside}\n{note}" if error.inside else note
