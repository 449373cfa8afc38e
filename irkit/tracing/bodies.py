"""What loops and choices of traced functions share: bodies, what they carry, and the checks of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from xdsl.ir import Attribute, Block, SSAValue

from dialects import graph
from dialects.dims import Dim
from dialects.errors import Loc
from dialects.types import DTYPES, dims_of, is_integer, tensor, type_text
from irkit.lang.builder import type_of
from irkit.lang.emit import difference
from irkit.tracing.errors import TraceError
from irkit.tracing.operators import one
from irkit.tracing.sizes import Size, dim_of
from irkit.tracing.state import Trace, is_number
from irkit.tracing.tensor import Tensor
from irkit.tracing.tree import Structure, flatten, unflatten

INDEX = tensor("i64", [])
TRUTH = tensor("bool", [])


def wrap(trace: Trace, values: Sequence[SSAValue]) -> list[Tensor]:
    return [Tensor(trace, v) for v in values]


def body_of(types: Sequence[Attribute]) -> Block:
    """The block of a body; the last arguments are the tensors that it carries."""
    return Block(arg_types=types)


def end(block: Block, values: Sequence[SSAValue], loc: Loc) -> None:
    """Ends a body with the values of the next round."""
    last = graph.YieldOp(*values)
    last.location = loc.attr()
    block.add_op(last)


def call(f: Callable[..., Any], name: str, loc: Loc, *args: Any) -> Any:
    if not callable(f):
        raise TraceError(f"'{name}' is a function", loc, found=f"an object of type '{type(f).__name__}'")
    return f(*args)


def _is_leaf(value: object) -> bool:
    return type(value) not in (tuple, list, dict) and value is not None


def tensors_of(trace: Trace, value: object, what: str, loc: Loc) -> tuple[list[SSAValue], Structure]:
    """The tensors in a nested value. Raises TraceError for a number, which has no dtype."""
    leaves, nesting = flatten(value, _is_leaf, what)
    for name, leaf in leaves:
        if is_number(leaf):
            hint = f"give it a dtype: np.float32({leaf})"
            raise TraceError(
                f"a number without a dtype cannot be carried: '{name}'", loc, found=str(leaf), hint=hint
            )
    return [trace.value(leaf, None, loc) for _, leaf in leaves], nesting


def results_of(trace: Trace, value: object, what: str, loc: Loc) -> tuple[list[SSAValue], Structure]:
    """The tensors that a body gives."""
    return tensors_of(trace, value, what, loc)


def finals(
    trace: Trace, value: object, nesting: Structure, initial: Sequence[SSAValue], what: str, loc: Loc
) -> list[SSAValue]:
    """What a body gives for the next round, each of its type before; numbers take the dtype of what they follow."""
    leaves, found = flatten(value, _is_leaf, "carry")
    if found != nesting:
        raise TraceError(
            f"the function of a {what} gives another structure than it takes",
            loc,
            found=_shape(found, [type(leaf).__name__ for _, leaf in leaves]),
            expected=_shape(nesting, [type_text(type_of(v)) for v in initial]),
        )
    out: list[SSAValue] = []
    for (name, leaf), before in zip(leaves, initial, strict=True):
        after = trace.value(leaf, type_of(before).element_type, loc)
        if after.type != before.type:
            raise TraceError(
                f"'{name}' changes its type in the {what}",
                loc,
                found=f"{type_text(type_of(after))} at the end of the body",
                expected=f"{type_text(type_of(before))}, as before the {what}",
                hint=difference(type_of(after), type_of(before)),
            )
        out.append(after)
    return out


def _shape(nesting: Structure, words: Sequence[str]) -> str:
    return str(unflatten(nesting, list(words)))


def truth(trace: Trace, value: object, loc: Loc) -> SSAValue:
    """A bool of rank 0. Raises TraceError."""
    found = trace.value(value, DTYPES["bool"], loc)
    if found.type != TRUTH:
        hint = "compare it with something, or reduce it: x.any(), x.all()"
        raise TraceError("a condition is a bool of rank 0", loc, found=type_text(type_of(found)), hint=hint)
    return found


def bound_of(trace: Trace, value: object, loc: Loc) -> Dim | SSAValue:
    """A bound of a loop: an integer, a dim, or an integer tensor of rank 0. Raises TraceError."""
    if isinstance(value, Size) or (
        is_number(value) and isinstance(value, int) and not isinstance(value, bool)
    ):
        return dim_of(value)  # pyright: ignore[reportArgumentType]
    if not is_number(value) and value is not None:
        found = trace.value(value, None, loc)
        if not dims_of(found.type) and is_integer(type_of(found).element_type):
            return found
        value = type_text(type_of(found))
    raise TraceError(
        "bad bound of a loop", loc, found=str(value), expected="an integer, a dim or an integer tensor"
    )


def length_of(rows: Sequence[SSAValue], length: object, loc: Loc) -> Dim:
    """How many rounds a scan has. Raises TraceError."""
    sizes = [dims_of(r.type)[:1] for r in rows]
    if () in sizes:
        raise TraceError("a scan goes over rows, and a tensor of rank 0 has none", loc)
    found = [s[0] for s in sizes]
    if length is not None:
        if not isinstance(length, int | Size):
            raise TraceError("the length of a scan is known while tracing", loc, found=str(length))
        found.append(dim_of(length))
    if not found:
        raise TraceError("a scan needs xs or a length", loc, hint="irkit.scan(f, init, length=10)")
    if any(n != found[0] for n in found):
        raise TraceError(
            "the tensors of a scan have different lengths", loc, found=", ".join(map(str, found))
        )
    return found[0]


def gathered(trace: Trace, rows: SSAValue, index: SSAValue) -> Tensor:
    """The row of a round."""
    return one("gather", Tensor(trace, rows), Tensor(trace, index), axis=0)


def element(value: SSAValue) -> Attribute:
    return type_of(value).element_type


def zeros(trace: Trace, type_: Attribute, loc: Loc) -> SSAValue:
    """A tensor of zeros, which a loop fills or a choice replaces."""
    zero = Tensor(trace, trace.builder.number(False if _is_bool(type_) else 0, type_.element_type, loc))  # pyright: ignore
    return one("broadcast", zero, shape=list(dims_of(type_))).value


def _is_bool(type_: Attribute) -> bool:
    return type_.element_type == DTYPES["bool"]  # pyright: ignore[reportAttributeAccessIssue]
