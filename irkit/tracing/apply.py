"""Calls of graph ops on tensors, arrays and numbers: operands first, then parameters, as in the language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

import numpy as np
from xdsl.ir import Attribute, SSAValue

from dialects import graph
from dialects.dims import Dim
from dialects.quant import QuantType
from dialects.types import DTYPES
from irkit.lang.builder import type_of
from irkit.lang.calls import RENAMED, signature
from irkit.tracing.errors import TraceError, located, place
from irkit.tracing.sizes import Size, dtype_of
from irkit.tracing.state import current, is_number
from irkit.tracing.tensor import Tensor

Result = Tensor | tuple[Tensor, ...]


def public_names() -> dict[str, str]:
    """Every function by the name that the language gives it, with its op; it follows what is registered."""
    names = {name: name for name in graph.OPS if name not in ("min", "max", "constant")}
    for name in graph.OPS:
        if name.startswith("reduce_"):
            del names[name]
            names[name.removeprefix("reduce_")] = name
    return names | RENAMED


def call(name: str, args: Sequence[object], given: Mapping[str, object]) -> Result:
    """The result of an op by its name here, or a tuple of several. Raises TraceError."""
    op = public_names()[name]
    operands, values = _sorted(name, op, args, given)
    return emit(op, operands, values)


def one(op: str, *operands: object, **values: object) -> Tensor:
    """The one result of an op by its own name."""
    found = emit(op, operands, values)
    assert isinstance(found, Tensor)
    return found


def emit(op: str, operands: Sequence[object], values: Mapping[str, object]) -> Result:
    """Adds an op to the trace. Raises TraceError."""
    trace = current(op.removeprefix("reduce_"))
    with located():
        tensors = _agreed(op, operands)
        checked = {k: _parameter(graph.OPS[op].PARAMS[k], v) for k, v in values.items() if v is not None}
        results = trace.builder.make(op, tensors, checked, place())
    made = tuple(Tensor(trace, r) for r in results)
    return made[0] if len(made) == 1 else made


def _agreed(op: str, operands: Sequence[object]) -> list[SSAValue]:
    """Operands as values; numbers take the dtype of the tensors beside them, a number as a place is an i64."""
    trace, loc = current(), place()
    groups: list[tuple[Sequence[object], Attribute | None]] = [(operands, None)]
    if op == "where" and len(operands) == 3:
        groups = [(operands[:1], DTYPES["bool"]), (operands[1:], None)]
    elif op == "gather" and len(operands) == 2:
        groups = [(operands[:1], None), (operands[1:], DTYPES["i64"])]
    values: list[SSAValue] = []
    for group, element in groups:
        made = {n: trace.value(x, None, loc) for n, x in enumerate(group) if not is_number(x)}
        if element is None and made:
            element = type_of(made[min(made)]).element_type
        values += [made[n] if n in made else trace.value(x, element, loc) for n, x in enumerate(group)]
    return values


def _parameter(param: graph.Param, value: object) -> object:
    """A parameter as the op takes it."""
    if param.kind == "element":  # a dtype, or a quantised type
        return value if isinstance(value, QuantType) else dtype_of(value)
    if param.kind == "dtype":
        return dtype_of(value)
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, Size):
        return value.dim
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [v.dim if isinstance(v, Size) else v if isinstance(v, Dim) else _integer(v) for v in value]
    return value


def _integer(value: object) -> object:
    return int(value) if isinstance(value, np.integer) else value


def _sorted(
    name: str, op: str, args: Sequence[object], given: Mapping[str, object]
) -> tuple[list[object], dict[str, object]]:
    """Operands and parameters of a call. Raises TraceError."""
    cls = graph.OPS[op]
    renamed = {"axes": "axis"} if op.startswith("reduce_") else {}
    params = [renamed.get(p, p) for p in cls.PARAMS]
    queue = list(args)
    if queue and cls.ARITY[1] > len(cls.OPERANDS) and isinstance(queue[0], list | tuple):
        queue[0:1] = queue[0]  # concat([a, b], axis=0)
    operands: list[object] = []
    while queue and len(operands) < cls.ARITY[1] and not _is_setting(queue[0]):
        operands.append(queue.pop(0))
    settings = dict(zip(params, queue, strict=False))
    named = dict(given)
    for operand in cls.OPERANDS[len(operands) :]:
        if operand in named and operand not in params:
            operands.append(named.pop(operand))
    usage = signature(op).replace(op, name, 1).replace("axes", "axis") if renamed else signature(op)
    if len(queue) > len(params):
        raise TraceError(f"too many arguments for {name}", place(), expected=usage)
    for key in named:
        if key not in params or key in settings:
            close = get_close_matches(key, [*params, *cls.OPERANDS], n=1)
            hint = f"did you mean '{close[0]}'?" if close and key not in settings else None
            fault = f"{name} has no argument '{key}'" if key not in params else f"'{key}' is given twice"
            raise TraceError(fault, place(), expected=usage, hint=hint)
    settings |= named
    if len(operands) < cls.ARITY[0]:
        found = f"{len(operands)} of {cls.ARITY[0]} operands"
        raise TraceError(f"wrong arguments for {name}", place(), found=found, expected=usage)
    back = {shown: own for own, shown in renamed.items()}
    return operands, {back.get(k, k): v for k, v in settings.items()}


def _is_setting(x: object) -> bool:
    """Whether an argument can be no operand: a list, a word, a dtype, nothing."""
    return x is None or isinstance(x, str | list | tuple | type | np.dtype | Dim)
