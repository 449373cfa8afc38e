"""Loops whose course depends on data, or that are not to be unrolled: `scan`, `fori` and `while_loop`.

Each traces its functions once and gives one `graph.for`, as `for` and `while` of the language do. A Python loop unrolls.
What is carried may be nested in tuples, lists and dicts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from xdsl.ir import Region

from dialects import graph
from dialects.dims import ZERO
from dialects.types import dims_of, tensor
from irkit.lang.control import NO_LIMIT
from irkit.tracing.bodies import (
    INDEX,
    TRUTH,
    body_of,
    bound_of,
    call,
    element,
    end,
    finals,
    gathered,
    length_of,
    results_of,
    tensors_of,
    truth,
    wrap,
    zeros,
)
from irkit.tracing.errors import TraceError, located, place
from irkit.tracing.operators import one
from irkit.tracing.state import current
from irkit.tracing.tensor import Tensor
from irkit.tracing.tree import unflatten


def scan(f: Callable[..., Any], init: Any, xs: Any = None, length: object = None) -> tuple[Any, Any]:
    """Carries a value over the rows of xs: `carry, y = f(carry, x)` for each; gives the last carry and all y, stacked.

    xs may be nested; without it, `length` says how many rounds there are, and x is None. y may be None.
    """
    with located():
        trace, loc = current("irkit.scan"), place()
        carry, nesting = tensors_of(trace, init, "init", loc)
        rows, row_nesting = tensors_of(trace, xs, "xs", loc)
        count = length_of(rows, length, loc)
        block = body_of([INDEX, *(v.type for v in carry)])
        with trace.inside(block):
            index = block.args[0]
            row = [gathered(trace, r, index) for r in rows]
            made = call(
                f, "f", loc, unflatten(nesting, wrap(trace, block.args[1:])), unflatten(row_nesting, row)
            )
            if not isinstance(made, tuple) or len(made) != 2:
                raise TraceError("the function of a scan gives two values", loc, expected="carry, y")
            final = finals(trace, made[0], nesting, carry, "scan", loc)
            ys, y_nesting = results_of(trace, made[1], "y", loc)
            wholes = [
                block.insert_arg(tensor(element(y), (count, *dims_of(y.type))), len(block.args)) for y in ys
            ]
            place_ = Tensor(trace, index)
            pairs = zip(wrap(trace, wholes), wrap(trace, ys), strict=True)
            kept = [one("scatter", whole, place_, y) for whole, y in pairs]
        first = [zeros(trace, w.type, loc) for w in wholes]
        end(block, [*final, *(k.value for k in kept)], loc)
        results = trace.builder.add(graph.ForOp(ZERO, count, [*carry, *first], Region(block)), loc).results
        tensors = wrap(trace, results)
        return unflatten(nesting, tensors[: len(carry)]), unflatten(y_nesting, tensors[len(carry) :])


def fori(low: object, high: object, f: Callable[..., Any], init: Any) -> Any:
    """`carry = f(i, carry)` for i from low up to, and without, high: integers, dims, or integer tensors of rank 0."""
    with located():
        trace, loc = current("irkit.fori"), place()
        bounds = [bound_of(trace, b, loc) for b in (low, high)]
        carry, nesting = tensors_of(trace, init, "init", loc)
        block = body_of([INDEX, *(v.type for v in carry)])
        with trace.inside(block):
            index, *args = wrap(trace, block.args)
            made = call(f, "f", loc, index, unflatten(nesting, args))
            final = finals(trace, made, nesting, carry, "loop", loc)
        end(block, final, loc)
        op = trace.builder.add(graph.ForOp(bounds[0], bounds[1], carry, Region(block)), loc)
        return unflatten(nesting, wrap(trace, op.results))


def while_loop(go: Callable[..., Any], f: Callable[..., Any], init: Any, limit: object = None) -> Any:
    """`carry = f(carry)` as long as `go(carry)`, a bool of rank 0, holds; limit bounds the number of rounds."""
    with located():
        trace, loc = current("irkit.while_loop"), place()
        most = NO_LIMIT if limit is None else bound_of(trace, limit, loc)
        carry, nesting = tensors_of(trace, init, "init", loc)
        first = truth(trace, call(go, "go", loc, unflatten(nesting, wrap(trace, carry))), loc)
        block = body_of([INDEX, TRUTH, *(v.type for v in carry)])
        with trace.inside(block):
            args = wrap(trace, block.args[2:])
            made = call(f, "f", loc, unflatten(nesting, args))
            final = finals(trace, made, nesting, carry, "loop", loc)
            again = truth(trace, call(go, "go", loc, unflatten(nesting, wrap(trace, final))), loc)
        end(block, [again, *final], loc)
        loop = graph.ForOp(ZERO, most, [first, *carry], Region(block), conditional=True)
        return unflatten(nesting, wrap(trace, trace.builder.add(loop, loc).results[1:]))
