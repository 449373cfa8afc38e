"""`irkit.grad`, `value_and_grad`, `vjp`, `jvp` and `stop_gradient`: derivatives of Python functions.

Each traces the function once into the body of one op, `graph.vjp` or `graph.jvp`. What the function uses from around is a
constant of the derivative. They are applied to each other, inside traced functions and outside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from xdsl.ir import Block, Region, SSAValue

from dialects import graph
from dialects.errors import Loc
from dialects.graph.derivatives import has_tangent
from dialects.types import dims_of, type_text
from irkit.lang.builder import type_of
from irkit.tracing.bodies import wrap
from irkit.tracing.errors import TraceError, located, place
from irkit.tracing.operators import one
from irkit.tracing.state import Trace, current, is_tracing
from irkit.tracing.tensor import Tensor
from irkit.tracing.transformed import (
    Moving,
    Transformed,
    is_tensor,
    moving,
    names_of,
    results_in,
    seeds_for,
    transformed,
    yield_from,
)
from irkit.tracing.tree import flatten, unflatten

Argnums = int | Sequence[int]


def grad(f: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Transformed:
    """The function that gives the gradient of f, a float scalar, with respect to some of its arguments.

    The gradient is nested as the argument is; several argnums give a tuple. With has_aux, f gives (scalar, aux) and the
    new function (gradient, aux).
    """

    def emit(*args: Any, **named: Any) -> Any:
        (_, aux), gradient = _gradient(f, "grad", argnums, has_aux, args, named)
        return (gradient, aux) if has_aux else gradient

    return transformed(f, "grad", emit)


def value_and_grad(f: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Transformed:
    """The function that gives what f gives and its gradient: `loss, g = irkit.value_and_grad(f)(w)`; see `grad`."""

    def emit(*args: Any, **named: Any) -> Any:
        (value, aux), gradient = _gradient(f, "value_and_grad", argnums, has_aux, args, named)
        return ((value, aux) if has_aux else value), gradient

    return transformed(f, "value_and_grad", emit)


def vjp(f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """What f gives, and a function from the cotangents of that to those of the arguments, a tuple.

    Cotangents are nested as results are; those of integers are left out, and given as None.
    """
    out = f(*primals) if is_tracing() else transformed(f, "vjp", f)(*primals)

    def pull(*both: Any) -> tuple[Any, ...]:
        args, cotangents = both[:-1], both[-1]
        with located():
            trace, loc = current("irkit.vjp"), place()
            with _traced_in(trace, f, args, {}, range(len(args)), False, loc) as (moved, block, made):
                values, _ = results_in(trace, made, loc)
            seeded = [v for v in values if has_tangent(v)]
            seeds = seeds_for(trace, cotangents, seeded, "cotangents", loc)
            yield_from(block, seeded, loc)
            op = trace.builder.add(graph.VjpOp(moved.values, seeds, Region(block)), loc)
            return tuple(moved.put(wrap(trace, op.results[len(seeded) :]), lambda _: None).values())

    def pulled(cotangents: Any) -> tuple[Any, ...]:
        if is_tracing():
            return pull(*primals, cotangents)
        return transformed(pull, "vjp", pull)(*primals, cotangents)

    return out, pulled


def jvp(f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """What f gives, and its derivative along tangents, which are nested as the arguments are: None for integers.

    The derivative is nested as the result; that of integers is None.
    """

    def emit(primals: Any, tangents: Any) -> tuple[Any, Any]:
        with located():
            trace, loc = current("irkit.jvp"), place()
            with _traced_in(trace, f, primals, {}, range(len(primals)), False, loc) as (moved, block, made):
                values, nesting = results_in(trace, made, loc)
            along = seeds_for(trace, tangents, moved.values, "tangents", loc)
            yield_from(block, values, loc)
            op = trace.builder.add(graph.JvpOp(moved.values, along, Region(block)), loc)
            results = wrap(trace, op.results)
            rest = iter(results[len(values) :])
            moves = [next(rest) if has_tangent(v) else None for v in values]
            return unflatten(nesting, results[: len(values)]), unflatten(nesting, moves)

    return transformed(emit, "jvp", emit)(tuple(primals), tuple(tangents))


def stop_gradient(x: Any) -> Any:
    """x, nested or not, as a constant of every derivative."""
    leaves, nesting = flatten(x, lambda v: isinstance(v, Tensor))
    return unflatten(nesting, [one("stop_gradient", leaf) for _, leaf in leaves])


# -- bodies -----------------------------------------------------------------------------------------------------


@contextmanager
def _traced_in(
    trace: Trace,
    f: Callable[..., Any],
    args: Sequence[Any],
    named: dict[str, Any],
    argnums: Sequence[int],
    all_of_them: bool,
    loc: Loc,
) -> Iterator[tuple[Moving, Block, Any]]:
    """The arguments that move, a block with f on its own arguments in their place, and what f gave, inside the block."""
    names = names_of(f, len(args))
    moved = moving(trace, {names[n]: args[n] for n in argnums}, loc, all_of_them)
    block = Block(arg_types=[v.type for v in moved.values])
    for arg, where in zip(block.args, moved.places, strict=True):
        arg.name_hint = moved.names[where]
    with trace.inside(block):
        given = moved.put(wrap(trace, block.args))
        inner = list(args)
        for n in argnums:
            inner[n] = given[names[n]]
        made = f(*inner, **named)
        yield moved, block, made


def _gradient(
    f: Callable[..., Any], what: str, argnums: Argnums, has_aux: bool, args: Sequence[Any], named: dict
) -> tuple[tuple[Any, Any], Any]:
    """The value of f and what it gives beside it, and the gradients as they are nested."""
    with located():
        trace, loc = current(f"irkit.{what}"), place()
        numbers = [_number(n, len(args), loc) for n in ([argnums] if isinstance(argnums, int) else argnums)]
        with _traced_in(trace, f, args, named, numbers, True, loc) as (moved, block, made):
            if has_aux and not (isinstance(made, tuple) and len(made) == 2):
                raise TraceError("with has_aux the function gives two values", loc, expected="loss, aux")
            loss, rest = made if has_aux else (made, None)
            value = _loss(trace, loss, what, loc)
            aux, nesting = results_in(trace, rest, loc) if has_aux else ([], flatten(None, is_tensor)[1])
        yield_from(block, [value, *aux], loc)
        seed = trace.number(1.0, type_of(value).element_type, loc)
        op = trace.builder.add(graph.VjpOp(moved.values, [seed], Region(block)), loc)
        results = wrap(trace, op.results)
        others = unflatten(nesting, results[1 : 1 + len(aux)])
        gradients = list(moved.put(results[1 + len(aux) :]).values())
        return (results[0], others), (gradients[0] if isinstance(argnums, int) else tuple(gradients))


def _number(n: int, count: int, loc: Loc) -> int:
    if not -count <= n < count:
        raise TraceError("there is no such argument", loc, found=f"argnums {n}", expected=f"0 to {count - 1}")
    return n % count


def _loss(trace: Trace, made: object, what: str, loc: Loc) -> SSAValue:
    """The scalar to differentiate. Raises TraceError."""
    value = trace.value(made, None, loc) if is_tensor(made) else None
    if value is None or dims_of(value.type) or not has_tangent(value):
        raise TraceError(
            f"irkit.{what} takes a function that gives a float scalar",
            loc,
            found=f"an object of type '{type(made).__name__}'"
            if value is None
            else type_text(type_of(value)),
            expected="f32[], or another dtype of floats",
            hint="has_aux=True is for what it gives beside the scalar"
            if value is None
            else "reduce it: x.mean()",
        )
    return value
