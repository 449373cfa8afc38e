"""The rule of reverse mode that an op of a file may have: `op f(x) { ... } backward(y, dy) { ... }`.

The rule sees the operands and settings by their names, the results and their cotangents by the names that it gives. It
returns a cotangent for each operand of floats, or for each operand, of which those of integers are left out; a number
stands for a tensor of that number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from xdsl.ir import Block, Region, SSAValue

from dialects import graph
from dialects.errors import IrkitError
from dialects.graph.derivatives import has_tangent
from dialects.types import dims_of, type_text
from irkit.lang import tree
from irkit.lang.builder import type_of

if TYPE_CHECKING:
    from irkit.lang.emit import Emitter, Frame


def emit_rule(
    emitter: Emitter,
    decl: tree.OpDecl,
    rule: tree.Rule,
    operands: Sequence[SSAValue],
    results: Sequence[SSAValue],
    frame: Frame,
) -> Region:
    """The rule for the types of a call, in a frame that has the settings. Raises IrkitError, or Skip for a fault inside."""
    from irkit.lang.emit import Skip

    floats = [r for r in results if has_tangent(r)]
    names = [*(o.name for o in decl.operands), *rule.names]
    values = [*operands, *results, *floats]
    if len(names) != len(values):
        raise IrkitError(
            f"the rule of '{decl.name.id}' names its results and their cotangents",
            emitter.loc(tree.Span(rule.names[0].span.start, rule.names[-1].span.end)),
            found=", ".join(n.id for n in rule.names),
            expected=f"{len(results)} for the results, then {len(floats)} for the cotangents of those of floats",
        )
    block = Block(arg_types=[v.type for v in values])
    for name, arg in zip(names, block.args, strict=True):
        arg.name_hint = name.id
        frame.names[name.id] = arg
    outside, emitter.builder.block = emitter.builder.block, block
    try:
        body = tree.OpDecl(decl.name, (), (), (), rule.body, rule.end, rule.span)
        found = emitter.statements_of(body, frame)
        if found is None:
            raise Skip
        last = rule.body[-1]
        given = _cotangents(emitter, decl, last, block.args[: len(operands)], found)
        emitter.builder.add(graph.YieldOp(*given), emitter.loc(last))
    finally:
        emitter.builder.block = outside
    return Region(block)


def _cotangents(
    emitter: Emitter,
    decl: tree.OpDecl,
    last: tree.Statement,
    operands: Sequence[SSAValue],
    found: Sequence[SSAValue],
) -> list[SSAValue]:
    """What a rule returns, each of the type of its operand. Raises IrkitError."""
    wanted = [(o.name.id, v) for o, v in zip(decl.operands, operands, strict=True) if has_tangent(v)]
    nodes = last.values if isinstance(last, tree.Return) and len(last.values) == len(found) else ()
    if len(found) == len(operands):  # one for each operand: those of integers are left out
        kept = [n for n, v in enumerate(operands) if has_tangent(v)]
        found, nodes = [found[n] for n in kept], [nodes[n] for n in kept if nodes]
    if len(found) != len(wanted):
        raise IrkitError(
            f"the rule of '{decl.name.id}' gives the wrong number of cotangents",
            emitter.loc(last),
            found=str(len(found)),
            expected=f"{len(wanted)}, for {', '.join(n for n, _ in wanted) or 'no operand of floats'}",
        )
    out: list[SSAValue] = []
    for number, ((name, operand), value) in enumerate(zip(wanted, found, strict=True)):
        place = emitter.loc(nodes[number] if nodes else last)
        if isinstance(value.owner, graph.ConstantOp) and not dims_of(value.type) and dims_of(operand.type):
            value = emitter.builder.one("broadcast", [value], place, shape=list(dims_of(operand.type)))
        if value.type != operand.type:
            raise IrkitError(
                f"the cotangent of '{name}' has another type",
                place,
                found=type_text(type_of(value)),
                expected=f"{type_text(type_of(operand))}, as '{name}' has",
            )
        out.append(value)
    return out
