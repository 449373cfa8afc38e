"""Functions that are made of functions: `fn g = grad(loss, wrt=[w])`, and what such a declaration may say.

A transformation takes a function and settings and gives a function with a head of its own: inputs and results whose types
are written in the dims of the function that it is made of. So made functions are called, inlined and transformed like
others. A transformation is entered in TRANSFORMS by `transform`; the grammar knows none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, TypeAlias

from xdsl.ir import SSAValue

from dialects import graph
from dialects.errors import IrkitError
from irkit.diagnostics import nearest
from irkit.lang import tree

if TYPE_CHECKING:
    from irkit.lang.emit import Emitter
    from irkit.lang.program import Program

MAX_DEPTH = 16
"""Transformations inside each other are regions inside regions; derivatives of derivatives grow fast."""

Emit: TypeAlias = "Callable[[Emitter, Sequence[SSAValue]], list[SSAValue]]"


@dataclass(frozen=True)
class Made:
    """A function that a transformation gives: its head, the parameters that it reads, and what appends its ops."""

    name: tree.Name
    inputs: tuple[tree.Input, ...]
    results: tuple[tree.Result, ...]
    params: tuple[str, ...]
    emit: Emit
    node: tree.Call
    states: frozenset[str] = frozenset()
    """The inputs that a program keeps from one run to the next, and does not ask for."""
    updates: tuple[str | None, ...] = ()
    """For each result, the input or parameter that holds it after a run of a program."""


Function: TypeAlias = "tree.FnDecl | Made"


@dataclass(frozen=True)
class Site:
    """What stands in one place of the text: the function to transform, and the settings by name, as written."""

    program: Program
    name: tree.Name
    node: tree.Call
    base: Function
    settings: Mapping[str, tree.Expr]

    def error(self, message: str, node: tree.Node | tree.Span, **details: str | None) -> IrkitError:
        return IrkitError(message, self.program.module.loc(node), **details)

    def made(
        self,
        inputs: Sequence[tree.Input],
        results: Sequence[tree.Result],
        emit: Emit,
        params: Sequence[str] | None = None,
    ) -> Made:
        """The function of this place; it reads the parameters of the one that it is made of, unless told otherwise."""
        used = params_of(self.program, self.base) if params is None else tuple(params)
        return Made(self.name, tuple(inputs), tuple(results), used, emit, self.node)


@dataclass(frozen=True)
class Transform:
    """How a transformation is written, the names of its settings, and what makes the function."""

    usage: str
    settings: tuple[str, ...]
    make: Callable[[Site], Made]


TRANSFORMS: dict[str, Transform] = {}
"""What `transform` entered so far; `transformations` has all."""


def transform(usage: str, *settings: str) -> Callable[[Callable[[Site], Made]], Callable[[Site], Made]]:
    """Enters a transformation under the name that its usage begins with: `@transform("grad(f, wrt=...)", "wrt")`."""

    def enter(make: Callable[[Site], Made]) -> Callable[[Site], Made]:
        TRANSFORMS[usage.partition("(")[0]] = Transform(usage, settings, make)
        return make

    return enter


def transformations() -> dict[str, Transform]:
    """All transformations by name."""
    import irkit.lang.derivatives
    import irkit.lang.mapping
    import irkit.lang.minimize  # noqa: F401  # these enter their own

    return TRANSFORMS


def without_idle_states(
    made: Made, args: Sequence[SSAValue], results: Sequence[SSAValue]
) -> tuple[Made, list[SSAValue], set[str]]:
    """A made function without the states that it neither reads nor changes, its results, and the names of these states."""
    given = {item.name.id: arg for item, arg in zip(made.inputs, args, strict=False)}
    idle = {
        name
        for name, value in zip(made.updates, results, strict=False)
        if name in made.states and given[name] is value and value.first_use is None
    }
    keep = [n for n, name in enumerate(made.updates) if name not in idle]
    if not idle:
        return made, list(results), set()
    kept = replace(
        made,
        results=tuple(made.results[n] for n in keep),
        updates=tuple(made.updates[n] for n in keep),
    )
    return kept, [results[n] for n in keep], {name for name in idle if name is not None}


# -- names ------------------------------------------------------------------------------------------------------


def made_function(program: Program, node: tree.Call, name: tree.Name | None = None) -> Made:
    """The function that a call of a transformation stands for. Raises IrkitError."""
    loc, word, known = program.module.loc, node.callee.id, transformations()
    found = known.get(word)
    if found is None:
        raise IrkitError(
            f"unknown transformation '{word}'",
            loc(node.callee),
            expected=f"one of {', '.join(known)}",
            hint=nearest(word, known),
        )
    if not node.args:
        raise IrkitError(f"{word} takes a function", loc(node), expected=found.usage)
    base = _function_in(program, node.args[0], found.usage)
    settings = dict(zip(found.settings, node.args[1:], strict=False))
    if len(node.args) > 1 + len(found.settings):
        raise IrkitError(f"too many arguments for {word}", loc(node), expected=found.usage)
    for keyword in node.keywords:
        if keyword.name not in found.settings:
            hint = nearest(keyword.name, found.settings)
            message = f"{word} has no setting '{keyword.name}'"
            raise IrkitError(message, loc(keyword), expected=found.usage, hint=hint)
        if keyword.name in settings:
            raise IrkitError(f"'{keyword.name}' is given twice", loc(keyword), expected=found.usage)
        settings[keyword.name] = keyword.value
    shown = name or tree.Name(tree.text_of(node), node.callee.span)
    return found.make(Site(program, shown, node, base, settings))


def _function_in(program: Program, node: tree.Expr, usage: str) -> Function:
    """The function that a transformation is given: by name, or made in place. Raises IrkitError."""
    loc = program.module.loc(node)
    if isinstance(node, tree.Call):
        program.depth += 1
        try:
            if program.depth > MAX_DEPTH:
                raise IrkitError(
                    "functions are made of each other too deeply",
                    loc,
                    expected=f"at most {MAX_DEPTH} transformations inside each other",
                )
            return made_function(program, node)
        finally:
            program.depth -= 1
    if not isinstance(node, tree.Name):
        raise IrkitError("this is no function", loc, expected=usage)
    if node.id in program.functions:
        return program.function(node.id, node)
    hint = nearest(node.id, program.functions)
    if node.id in program.ops or node.id in graph.OPS:
        hint = f"'{node.id}' is an op: call it in a function, and name that"
    raise IrkitError(f"unknown function '{node.id}'", loc, hint=hint)


# -- parameters -------------------------------------------------------------------------------------------------


def params_of(program: Program, fn: Function) -> tuple[str, ...]:
    """The parameters that a function and those that it calls read, in the order of the file."""
    if isinstance(fn, Made):
        return fn.params
    found: set[str] = set()
    seen = {fn.name.id}
    work: list[tree.FnDecl] = [fn]
    while work:
        decl = work.pop()
        own = {i.name.id for i in decl.inputs}
        for name in _names(decl.body):
            if name in program.params and name not in own:
                found.add(name)
            elif name in program.functions and name not in seen:
                seen.add(name)
                other = program.functions[name]
                if isinstance(other, tree.FnMade):
                    work += _decls_of(program, other, seen)
                else:
                    work.append(other)
    return tuple(name for name in program.params if name in found)


def _decls_of(program: Program, made: tree.FnMade, seen: set[str]) -> Iterator[tree.FnDecl]:
    """The functions with a body that a made function is made of."""
    for name in _names((made.value,)):
        other = program.functions.get(name)
        if other is not None and name not in seen:
            seen.add(name)
            if isinstance(other, tree.FnDecl):
                yield other
            else:
                yield from _decls_of(program, other, seen)


def _names(nodes: Sequence[object]) -> Iterator[str]:
    """The names inside pieces of the tree."""
    work = list(nodes)
    while work:
        node = work.pop()
        if isinstance(node, tree.Name):
            yield node.id
        elif isinstance(node, tuple) and not isinstance(node, tree.Span):
            work += node
        elif hasattr(node, "__dataclass_fields__"):
            work += [getattr(node, f.name) for f in fields(node)]  # pyright: ignore[reportArgumentType]
