"""`irkit.cond`: a choice between two functions by a tensor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from xdsl.ir import Attribute, Block, Region, SSAValue

from dialects import graph
from dialects.errors import Loc
from dialects.types import type_text
from irkit.lang.builder import type_of
from irkit.lang.emit import difference
from irkit.tracing.bodies import body_of, call, end, results_of, tensors_of, truth, wrap, zeros
from irkit.tracing.errors import TraceError, located, place
from irkit.tracing.state import Trace, current
from irkit.tracing.tree import Structure, unflatten


@dataclass
class _Way:
    """One way of a choice: its body, and what it gives."""

    block: Block
    results: list[SSAValue]
    nesting: Structure

    def reads_from_around(self, operands: list[SSAValue], types: list[Attribute]) -> None:
        """Takes the operands as they stand outside; the body's arguments have the types of the results."""
        outside = dict(zip(self.block.args, operands, strict=True))
        self.results = [outside.get(r, r) for r in self.results]  # pyright: ignore
        for arg, value in outside.items():
            arg.replace_all_uses_with(value)
            self.block.erase_arg(arg)
        for type_ in types:
            self.block.insert_arg(type_, len(self.block.args))


def cond(p: Any, yes: Callable[..., Any], no: Callable[..., Any], *operands: Any) -> Any:
    """`yes(*operands)` where p holds, else `no(*operands)`; p is a bool of rank 0. Both give tensors of the same types.

    A truth that is known while tracing leaves one way and no choice.
    """
    if isinstance(p, bool):
        return (yes if p else no)(*operands)
    with located():
        trace, loc = current("irkit.cond"), place()
        chosen = truth(trace, p, loc)
        inits, nesting = tensors_of(trace, operands, "operand", loc)
        ways = [_way(trace, f, name, inits, nesting, loc) for f, name in ((yes, "yes"), (no, "no"))]
        types = _types(ways, loc)
        if [v.type for v in inits] != types:
            for way in ways:
                way.reads_from_around(inits, types)
            inits = [zeros(trace, t, loc) for t in types]
        for way in ways:
            end(way.block, way.results, loc)
        op = graph.IfOp(chosen, inits, *(Region(way.block) for way in ways))
        return unflatten(ways[0].nesting, wrap(trace, trace.builder.add(op, loc).results))


def _way(
    trace: Trace, f: Callable[..., Any], name: str, inits: list[SSAValue], nesting: Structure, loc: Loc
) -> _Way:
    block = body_of([v.type for v in inits])
    with trace.inside(block):
        made = call(f, name, loc, *unflatten(nesting, wrap(trace, block.args)))
        return _Way(block, *results_of(trace, made, "result", loc))


def _types(ways: list[_Way], loc: Loc) -> list[Attribute]:
    """The types of the results, which are those of both ways. Raises TraceError."""
    first, second = ways
    if first.nesting != second.nesting:
        raise TraceError("the two ways of a choice give different structures", loc)
    for a, b in zip(first.results, second.results, strict=True):
        if a.type != b.type:
            raise TraceError(
                "the two ways of a choice give different types",
                loc,
                found=f"{type_text(type_of(a))} and {type_text(type_of(b))}",
                hint=difference(type_of(b), type_of(a)),
            )
    return [v.type for v in first.results]
