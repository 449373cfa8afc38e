"""`irkit.vmap`: a function on all parts of its arguments at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from xdsl.ir import Block, Region, SSAValue

from dialects import graph
from dialects.dims import Dim
from dialects.errors import Loc
from dialects.types import dims_of, tensor
from irkit.lang.builder import type_of
from irkit.tracing.bodies import wrap
from irkit.tracing.errors import TraceError, located, place
from irkit.tracing.operators import one
from irkit.tracing.state import current
from irkit.tracing.tensor import Tensor
from irkit.tracing.transformed import Transformed, is_tensor, results_in, transformed, yield_from
from irkit.tracing.tree import Structure, flatten, unflatten


def vmap(f: Callable[..., Any], in_axes: Any = 0, out_axes: int = 0) -> Transformed:
    """The function on all parts of its arguments at once, along `in_axes`; results have a new dim at `out_axes`.

    in_axes is a dim for all, or a tuple with one for each argument, nested as that is or not; None leaves it whole.
    """

    def emit(*args: Any, **named: Any) -> Any:
        with located():
            trace, loc = current("irkit.vmap"), place()
            leaves, nesting = flatten((args, named), is_tensor)
            axes = _axes_of(in_axes, args, named, loc)
            values = [trace.value(leaf, None, loc) for _, leaf in leaves]
            found = [(n, _axis(axis, values[n], loc)) for n, axis in enumerate(axes) if axis is not None]
            size = _size([dims_of(values[n].type)[axis] for n, axis in found], loc)
            block = Block()
            inner = wrap(trace, values)
            for n, axis in found:
                type_ = type_of(values[n])
                dims = dims_of(type_)
                part = tensor(type_.element_type, dims[:axis] + dims[axis + 1 :])
                inner[n] = Tensor(trace, block.insert_arg(part, len(block.args)))
            with trace.inside(block):
                parts, kept = unflatten(nesting, inner)
                results, gives = results_in(trace, f(*parts, **kept), loc)
            yield_from(block, results, loc)
            whole = [values[n] for n, _ in found]
            op = trace.builder.add(graph.VmapOp(size, whole, [a for _, a in found], Region(block)), loc)
            return unflatten(gives, [_moved(t, out_axes, loc) for t in wrap(trace, op.results)])

    return transformed(f, "vmap", emit)


# -- axes -------------------------------------------------------------------------------------------------------


def _axes_of(given: Any, args: Sequence[Any], named: dict[str, Any], loc: Loc) -> list[int | None]:
    """An axis, or none, for each tensor among the arguments; named ones are taken apart along the first dim."""
    if not isinstance(given, tuple | list):
        spread = [given] * len(args)
    else:
        spread = [*given, *[None] * (len(args) - len(given))]
        missing = [n for n, arg in enumerate(args) if n >= len(given) and flatten(arg, is_tensor)[0]]
        if len(given) > len(args) or missing:
            raise TraceError(
                "in_axes has one entry for each argument",
                loc,
                found=str(given),
                expected=f"{len(args)} entries",
            )
    axes: list[int | None] = []
    for axis, arg in zip(spread, args, strict=True):
        axes += _spread(axis, flatten(arg, is_tensor)[1], loc)
    return axes + [0] * len(flatten(named, is_tensor)[0])


def _spread(axis: Any, nesting: Structure, loc: Loc) -> list[int | None]:
    """The axis of each tensor of an argument; one axis is for all that is nested in its place."""
    count = len(_leaves(nesting))
    if axis is None or type(axis) is int:
        return [axis] * count
    keys = getattr(nesting, "keys", None)
    items = list(axis.values()) if isinstance(axis, dict) else axis
    if keys is None or not isinstance(items, tuple | list) or len(items) != len(keys):
        raise TraceError("in_axes is not nested as the argument is", loc, found=str(axis))
    parts = zip(items, nesting.parts, strict=True)  # pyright: ignore[reportAttributeAccessIssue]
    return [a for item, part in parts for a in _spread(item, part, loc)]


def _leaves(nesting: Structure) -> list[Structure]:
    parts = getattr(nesting, "parts", None)
    if parts is None:
        return [nesting] if hasattr(nesting, "number") else []
    return [leaf for part in parts for leaf in _leaves(part)]


def _axis(axis: int, value: SSAValue, loc: Loc) -> int:
    rank = len(dims_of(value.type))
    if not -rank <= axis < rank:
        raise TraceError("there is no such dim to take apart along", loc, found=f"{axis} of {rank} dims")
    return axis % rank


def _size(sizes: Sequence[Dim], loc: Loc) -> Dim:
    if not sizes:
        raise TraceError("irkit.vmap takes nothing apart", loc, expected="an axis for an argument in in_axes")
    if any(s != sizes[0] for s in sizes):
        found = ", ".join(map(str, sizes))
        raise TraceError("the arguments of irkit.vmap have different numbers of parts", loc, found=found)
    return sizes[0]


def _moved(t: Tensor, axis: int, loc: Loc) -> Tensor:
    """A result with its first dim in another place."""
    rank = t.ndim
    if type(axis) is not int or not -rank <= axis < rank:
        raise TraceError("out_axes is a dim of the results", loc, found=f"{axis} of {rank} dims")
    if axis % rank == 0:
        return t
    perm = list(range(1, rank))
    perm.insert(axis % rank, 0)
    return one("transpose", t, perm=perm)
