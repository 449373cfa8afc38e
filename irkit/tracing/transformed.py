"""What the transformations of functions share: how they are called, and the bodies of their ops."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import update_wrapper
from typing import Any

import numpy as np
from xdsl.ir import Block, SSAValue

from dialects import graph
from dialects.errors import Loc
from dialects.graph.derivatives import has_tangent
from dialects.types import type_text
from irkit.lang.builder import type_of
from irkit.tracing.bodies import wrap
from irkit.tracing.errors import TraceError, place
from irkit.tracing.state import Trace, is_number, is_tracing
from irkit.tracing.tensor import Tensor
from irkit.tracing.traced import Traced
from irkit.tracing.tree import Structure, flatten, unflatten


class Transformed(Traced):
    """A function made of another one. On arrays it is traced, compiled and run; where a trace is under way it is a part
    of that, so that the function may use tensors from around it."""

    def __call__(self, *args: Any, **named: Any) -> Any:
        return self.fn(*args, **named) if is_tracing() else super().__call__(*args, **named)


def transformed(f: Callable[..., Any], what: str, emit: Callable[..., Any]) -> Transformed:
    """`emit` with the signature of f; it is called with the arguments of f by place, and those that are named alone."""
    if not callable(f):
        raise TraceError(
            f"irkit.{what} takes a function", place(), found=f"an object of type '{type(f).__name__}'"
        )
    signature = inspect.signature(f)

    def call(*args: Any, **named: Any) -> Any:
        try:
            bound = signature.bind(*args, **named)
        except TypeError as fault:
            raise TraceError(str(fault), place(), expected=f"{_name(f)}{signature}") from None
        bound.apply_defaults()
        return emit(*bound.args, **bound.kwargs)

    update_wrapper(call, f, updated=())
    call.__name__ = f"{what}_{_name(f)}" if _name(f).isidentifier() else what
    options = f.options if isinstance(f, Traced) else {"target": "native", "threads": None, "cc": None}
    return Transformed(call, options["target"], options["threads"], options["cc"])


def _name(f: Callable[..., Any]) -> str:
    return getattr(f, "__name__", type(f).__name__)


def names_of(f: Callable[..., Any], count: int) -> list[str]:
    """The names of the first arguments of a function, for messages."""
    names: list[str] = []
    for parameter in inspect.signature(f).parameters.values():
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            names += [f"{parameter.name}_{n}" for n in range(count - len(names))]
        else:
            names.append(parameter.name)
    return names[:count] + [f"argument_{n}" for n in range(len(names), count)]


# -- tensors ----------------------------------------------------------------------------------------------------


def is_tensor(value: object) -> bool:
    return isinstance(value, np.ndarray | np.generic | Tensor)


@dataclass
class Moving:
    """Tensors among nested values: those of floats move, the rest are as they are."""

    nesting: Structure
    leaves: list[Any]
    names: list[str]
    places: list[int]
    """Which leaves move."""
    values: list[SSAValue]
    """Their values."""

    def put(self, moved: Sequence[object], rest: Callable[[object], object] = lambda leaf: leaf) -> Any:
        """The nested values with others in the places that move."""
        found = [rest(leaf) for leaf in self.leaves]
        for where, leaf in zip(self.places, moved, strict=True):
            found[where] = leaf
        return unflatten(self.nesting, found)


def moving(trace: Trace, values: object, loc: Loc, all_of_them: bool) -> Moving:
    """The tensors of floats among nested values. Raises TraceError for others, where all have to be, and for no tensor."""
    leaves, nesting = flatten(values, lambda v: is_tensor(v) or (all_of_them and is_number(v)))
    found = Moving(nesting, [leaf for _, leaf in leaves], [name for name, _ in leaves], [], [])
    for number, (name, leaf) in enumerate(leaves):
        if is_number(leaf) and not isinstance(leaf, np.generic):
            hint = f"give it a dtype: np.float32({leaf})"
            raise TraceError(f"'{name}' is a number without a dtype", loc, found=str(leaf), hint=hint)
        value = trace.value(leaf, None, loc)
        found.leaves[number] = wrap(trace, [value])[0]
        if has_tangent(value):
            found.places.append(number)
            found.values.append(value)
        elif all_of_them:
            raise TraceError(
                f"'{name}' has no derivative",
                loc,
                found=type_text(type_of(value)),
                expected="a tensor of floats",
                hint="argnums says which arguments count",
            )
    if not found.values:
        raise TraceError(
            "there is nothing to differentiate with respect to", loc, expected="an argument of floats"
        )
    return found


def seeds_for(trace: Trace, given: object, wanted: Sequence[SSAValue], what: str, loc: Loc) -> list[SSAValue]:
    """Tensors like others, one for each: what a derivative is taken along. Raises TraceError."""
    leaves, _ = flatten(given, lambda v: is_tensor(v) or is_number(v), what)
    types = ", ".join(type_text(type_of(v)) for v in wanted)
    if len(leaves) != len(wanted):
        raise TraceError(f"wrong number of {what}", loc, found=str(len(leaves)), expected=types)
    found: list[SSAValue] = []
    for (_, leaf), like in zip(leaves, wanted, strict=True):
        value = trace.value(leaf, type_of(like).element_type, loc)
        if value.type != like.type:
            shown = type_text(type_of(value))
            raise TraceError(f"{what} of another type", loc, found=shown, expected=type_text(type_of(like)))
        found.append(value)
    return found


def results_in(trace: Trace, made: object, loc: Loc) -> tuple[list[SSAValue], Structure]:
    """The tensors that a function gave. Raises TraceError for numbers, which have no dtype, and for nothing."""
    leaves, nesting = flatten(made, lambda v: is_tensor(v) or is_number(v), "result")
    if not leaves:
        raise TraceError("the function gives no tensor", loc, found=f"{type(made).__name__}")
    return [trace.value(leaf, None, loc) for _, leaf in leaves], nesting


def yield_from(block: Block, values: Sequence[SSAValue], loc: Loc) -> None:
    """Ends a body."""
    last = graph.YieldOp(*values)
    last.location = loc.attr()
    block.add_op(last)
