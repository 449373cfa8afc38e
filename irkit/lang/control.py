"""Loops and choices: `for`, `while` and `if` as graph ops with regions.

What a body changes is carried: it stands after `with`, and is the op's operands and results. Values that a loop collects
are written into a tensor row by row, which is carried too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from xdsl.ir import Block, Operation, Region, SSAValue

from dialects import graph
from dialects.dims import ZERO, Dim
from dialects.errors import IrkitError
from dialects.types import DTYPES, Coded, dims_of, is_integer, stored, tensor
from irkit.lang import tree
from irkit.lang.builder import describe, type_of

if TYPE_CHECKING:
    from irkit.lang.emit import Emitter, Frame

Structure = tree.For | tree.While | tree.If

MAX_STRUCTURES = 50

NO_LIMIT = Dim.of(2**63 - 1)
"""The bound of a `while` loop that states none."""


def emit_structure(emitter: Emitter, node: Structure, frame: Frame) -> None:
    """Emits a loop or a choice and binds what it leaves behind. Raises IrkitError, or Skip for a fault told before."""
    from irkit.lang.emit import Skip

    names = [*node.carried, *(node.collected if isinstance(node, tree.For) else ())]
    emitter.structures += 1
    try:
        if emitter.structures > MAX_STRUCTURES:
            message = "loops and choices are nested too deeply"
            raise IrkitError(message, emitter.loc(node), expected=f"at most {MAX_STRUCTURES} levels")
        match node:
            case tree.For():
                values = _for(emitter, node, frame)
            case tree.While():
                values = _while(emitter, node, frame)
            case tree.If():
                values = _if(emitter, node, frame)
    except (IrkitError, Skip):
        emitter.mark_bad(names, frame)
        raise
    finally:
        emitter.structures -= 1
    for name, value in zip(names, values, strict=True):
        value.name_hint = name.id
        if name in node.carried:
            frame.names[name.id] = value
        else:
            emitter.bind(name, value, frame)


# -- loops --------------------------------------------------------------------------------------------------------


def _for(emitter: Emitter, node: tree.For, frame: Frame) -> Sequence[SSAValue]:
    start, stop = bound(emitter, node.start, frame), bound(emitter, node.stop, frame)
    initial = [carried(emitter, name, frame) for name in node.carried]
    emitter.program.check_new_name(node.var, in_op=bool(emitter.ops))
    _check_distinct(emitter, [node.var, *node.carried, *node.collected])
    count = None
    if node.collected:
        if isinstance(start, SSAValue) or isinstance(stop, SSAValue):
            place = node.start if isinstance(start, SSAValue) else node.stop
            raise IrkitError(
                "how often this loop runs must be known while compiling, since it collects values",
                emitter.loc(place),
                found=describe(start if isinstance(start, SSAValue) else stop),  # pyright: ignore
                expected="integers and dims as bounds",
            )
        count = stop - start
    block, inner = _body(
        emitter, [node.var, *node.carried], [tensor("i64", []), *(v.type for v in initial)], frame
    )
    final = _emit_body(emitter, node, block, inner, initial)
    kept = _collect(emitter, node, block, inner, start, count) if count is not None else []
    loc = emitter.loc(node)
    _finish(emitter, block, [*final, *(last for _, last in kept)], loc)
    operands = [*initial, *(first for first, _ in kept)]
    return emitter.builder.add(graph.ForOp(start, stop, operands, Region(block)), loc).results


def _collect(
    emitter: Emitter, node: tree.For, block: Block, inner: Frame, start: Dim | SSAValue, count: Dim
) -> list[tuple[SSAValue, SSAValue]]:
    """For each value that is kept, the tensor before the loop, and the tensor with the row of this round."""
    loc, out = emitter.loc(node), []
    outside = emitter.builder.block
    emitter.builder.block = block
    try:
        place = block.args[0]
        if start != ZERO:
            assert isinstance(start, Dim)
            number = start if start.value is None else start.value
            offset = emitter.builder.number(number, DTYPES["i64"], loc)
            place = emitter.builder.one("sub", [place, offset], loc)
        rows = [carried(emitter, name, inner) for name in node.collected]
        for row in rows:
            type_ = type_of(row)
            shape = (count, *dims_of(type_))
            emitter.builder.block = outside
            zero = emitter.builder.number(0, stored(type_.element_type), loc)
            first = emitter.builder.one("broadcast", [zero], loc, shape=shape)
            if isinstance(type_.element_type, Coded):
                first = emitter.builder.one("reinterpret", [first], loc, dtype=type_.element_type)
            emitter.builder.block = block
            whole = block.insert_arg(first.type, len(block.args))
            out.append((first, emitter.builder.one("scatter", [whole, place, row], loc)))
    finally:
        emitter.builder.block = outside
    return out


def _while(emitter: Emitter, node: tree.While, frame: Frame) -> Sequence[SSAValue]:
    limit = NO_LIMIT if node.limit is None else bound(emitter, node.limit, frame)
    initial = [carried(emitter, name, frame) for name in node.carried]
    _check_distinct(emitter, node.carried)
    first = condition(emitter, node.condition, frame)
    if not isinstance(first, SSAValue):
        raise IrkitError(
            "the condition of a loop is known while compiling",
            emitter.loc(node.condition),
            found=str(first).lower(),
            expected="a bool tensor of rank 0 that the loop changes",
        )
    types = [tensor("i64", []), tensor("bool", []), *(v.type for v in initial)]
    block, inner = _body(emitter, [None, None, *node.carried], types, frame)
    final = _emit_body(emitter, node, block, inner, initial)
    loc = emitter.loc(node)
    outside, emitter.builder.block = emitter.builder.block, block
    try:
        again = condition(emitter, node.condition, inner)
    finally:
        emitter.builder.block = outside
    assert isinstance(again, SSAValue)
    _finish(emitter, block, [again, *final], loc)
    op = graph.ForOp(ZERO, limit, [first, *initial], Region(block), conditional=True)
    return emitter.builder.add(op, loc).results[1:]


# -- choices ------------------------------------------------------------------------------------------------------


def _if(emitter: Emitter, node: tree.If, frame: Frame) -> Sequence[SSAValue]:
    initial = [carried(emitter, name, frame) for name in node.carried]
    _check_distinct(emitter, node.carried)
    chosen = condition(emitter, node.condition, frame)
    ways: list[tuple[Block, list[SSAValue]]] = []
    for statements in (node.body, node.otherwise):
        block, inner = _body(emitter, list(node.carried), [v.type for v in initial], frame)
        final = _emit_body(emitter, node, block, inner, initial, statements)
        ways.append((block, final))
    loc = emitter.loc(node)
    if not isinstance(chosen, SSAValue):  # known now: the way that is taken stands where the choice did
        block, final = ways[0 if chosen else 1]
        for op in reversed(list(ways[1 if chosen else 0][0].ops)):
            op.detach()
            op.erase()  # else what they read would seem to be needed
        for arg, value in zip(block.args, initial, strict=True):
            arg.replace_all_uses_with(value)
        final = [dict(zip(block.args, initial, strict=True)).get(v, v) for v in final]  # pyright: ignore
        for op in list(block.ops):
            op.detach()
            emitter.builder.block.add_op(op)
        return final
    for block, final in ways:
        _finish(emitter, block, final, loc)
    op = graph.IfOp(chosen, initial, *(Region(block) for block, _ in ways))
    return emitter.builder.add(op, loc).results


# -- bodies -------------------------------------------------------------------------------------------------------


def _body(
    emitter: Emitter, names: Sequence[tree.Name | None], types: Sequence[object], frame: Frame
) -> tuple[Block, Frame]:
    """A block whose arguments have names, and what its statements see."""
    block = Block(arg_types=types)  # pyright: ignore[reportArgumentType]
    own = {name.id for name in names if name is not None}
    locked = (frozenset(frame.names) | frame.locked) - own
    inner = replace(frame, names=dict(frame.names), locked=locked, in_loop=True)
    for name, arg in zip(names, block.args, strict=True):
        if name is not None:
            arg.name_hint = name.id
            inner.names[name.id] = arg
    return block, inner


def _emit_body(
    emitter: Emitter,
    node: Structure,
    block: Block,
    inner: Frame,
    initial: Sequence[SSAValue],
    statements: Sequence[tree.Statement] | None = None,
) -> list[SSAValue]:
    """Emits statements into a block; the carried values at its end, each of its type before."""
    from irkit.lang.emit import Skip, difference

    outside, emitter.builder.block = emitter.builder.block, block
    errors = len(emitter.program.errors)
    try:
        for statement in node.body if statements is None else statements:
            emitter.statement(statement, inner)
        if len(emitter.program.errors) > errors:
            raise Skip
        final = [carried(emitter, name, inner) for name in node.carried]
    finally:
        emitter.builder.block = outside
    for name, first, last in zip(node.carried, initial, final, strict=True):
        if first.type != last.type:
            what = "choice" if isinstance(node, tree.If) else "loop"
            raise IrkitError(
                f"'{name.id}' changes its type in the {what}",
                emitter.loc(name),
                found=f"{describe(last)} at the end of the body",
                expected=f"{describe(first)}, as before the {what}",
                hint=difference(type_of(last), type_of(first)),
            )
    return final


def _finish(emitter: Emitter, block: Block, values: Sequence[SSAValue], loc: object) -> None:
    last: Operation = graph.YieldOp(*values)
    last.location = loc.attr()  # pyright: ignore[reportAttributeAccessIssue]
    block.add_op(last)


def _check_distinct(emitter: Emitter, names: Sequence[tree.Name]) -> None:
    seen: set[str] = set()
    for name in names:
        if name.id in seen:
            raise IrkitError(f"'{name.id}' is named twice", emitter.loc(name), expected="each name once")
        seen.add(name.id)


# -- values -------------------------------------------------------------------------------------------------------


def carried(emitter: Emitter, name: tree.Name, frame: Frame) -> SSAValue:
    """The tensor that a name has, to be carried."""
    value = emitter.look_up(name, frame)
    if isinstance(value, SSAValue):
        return value
    raise IrkitError(
        f"a number without a dtype cannot be carried: '{name.id}'",
        emitter.loc(name),
        found=describe(value),
        hint=f"give it a dtype: {name.id} = cast({value}, f32)",
    )


def bound(emitter: Emitter, node: tree.Expr, frame: Frame) -> SSAValue | Dim:
    """A bound of a loop: an integer, a dim, or an integer scalar."""
    value = emitter.integer(node, frame)
    if isinstance(value, Dim):
        return value
    if isinstance(value, SSAValue) and not dims_of(value.type) and is_integer(type_of(value).element_type):
        return value
    expected = "an integer, a dim or an integer scalar"
    raise IrkitError("bad bound of a loop", emitter.loc(node), found=describe(value), expected=expected)


def condition(emitter: Emitter, node: tree.Expr, frame: Frame) -> SSAValue | bool:
    """A condition: a bool of rank 0, or a truth that is known while compiling."""
    value = emitter.expr(node, frame)
    if isinstance(value, bool):
        return value
    if (
        isinstance(value, SSAValue)
        and not dims_of(value.type)
        and type_of(value).element_type == DTYPES["bool"]
    ):
        return value
    raise IrkitError(
        "a condition is a bool of rank 0",
        emitter.loc(node),
        found=describe(value),
        hint="compare it with something, or reduce it: any(x), all(x)"
        if isinstance(value, SSAValue)
        else None,
    )
