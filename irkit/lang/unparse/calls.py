"""Graph ops as expressions: operators, calls with the parameters that are not the default, constants, slices."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from xdsl.ir import Attribute, SSAValue

from dialects import graph
from dialects.dims import ZERO, Dim
from dialects.errors import IrkitError
from dialects.graph.base import resolved, short_name
from dialects.quant import QuantType
from dialects.types import dims_of, dtype_name, is_complex
from irkit.lang.calls import RENAMED
from irkit.lang.operators import COMPARISONS, LOGICAL, OPERATORS, PREFIXES
from irkit.lang.parser import COMPARISON, PRECEDENCE, UNARY
from irkit.lang.unparse.text import PRIMARY, Expr, dim_text, dims_text, literal, number

ExprOf = Callable[[SSAValue], Expr]

INFIX = {op: sign for table in (OPERATORS, LOGICAL) for sign, op in table.items() if op != "logical_not"}
PREFIX = {op: sign for sign, op in (*PREFIXES.items(), ("~", LOGICAL["~"]))}
COMPARE = {pred: sign for sign, pred in COMPARISONS.items()}
SPELT = {op: name for name, op in RENAMED.items()}
"""Elementwise `max` is called `maximum`."""

FILL = 16
"""Elements from which on a constant of one number is written as `full`."""


def expression(op: graph.GraphOp, expr: ExprOf, named: Mapping[str, str]) -> Expr:
    """The text of an op whose operands have theirs; `named` are parameters that stand by a name.

    Raises IrkitError for what the language has no word for.
    """
    name = short_name(op)
    if graph.OPS.get(name) is not type(op):
        raise IrkitError(f"the language has no '{op.name}'", op, expected="an op that is registered")
    if isinstance(op, graph.ConstantOp):
        return constant(op)
    rule = _RULES.get(name)
    if rule is not None and (found := rule(op, expr)) is not None:
        return found
    if name in INFIX:
        return _infix(op, INFIX[name], expr)
    if name == "compare":
        return _infix(op, COMPARE[str(op.values()["pred"])], expr)
    if name in PREFIX:
        return Expr(PREFIX[name] + expr(op.operands[0]).within(UNARY + 1), UNARY)
    return _call(op, name, expr, named)


# -- operators and calls ----------------------------------------------------------------------------------------


def bare(values: Sequence[SSAValue], expr: ExprOf) -> list[Expr]:
    """Operands of one dtype: numbers stand without theirs where a tensor beside them tells it."""
    found = [expr(v) for v in values]
    if all(e.number is not None for e in found):
        return found
    return [e if e.number is None else number(e.number) for e in found]


def _infix(op: graph.GraphOp, sign: str, expr: ExprOf) -> Expr:
    operands = [expr(v) for v in op.operands] if sign == "@" else bare(op.operands, expr)
    level = PRECEDENCE[sign]
    low, high = level, level + 1
    if sign == "**":
        low = high = PRIMARY
    elif level == COMPARISON:
        low = high
    left, right = operands
    text = right.within(high)
    return Expr(f"{left.within(low)} {sign} {f'({text})' if text.startswith('-') else text}", level)


def _call(op: graph.GraphOp, name: str, expr: ExprOf, named: Mapping[str, str]) -> Expr:
    together = name in SPELT
    operands = [e.text for e in (bare(op.operands, expr) if together else map(expr, op.operands))]
    spelt = SPELT.get(name, name.removeprefix("reduce_"))
    return Expr(f"{spelt}({', '.join([*operands, *_parameters(op, name, named)])})")


def _parameters(op: graph.GraphOp, name: str, named: Mapping[str, str]) -> list[str]:
    """The parameters that have to be given: by place as far as the op must have them, else by name."""
    needs, words = needed(op), []
    given = {k: v for k, v in op.values().items() if k in needs or k in named}
    by_place = True
    for key, value in given.items():
        param = op.PARAMS[key]
        full = len(op.operands) == op.ARITY[1] or param.kind in ("ints", "dims", "dtype", "element")
        by_place = by_place and param.default is graph.Param.REQUIRED and full and param.kind != "str"
        text = named.get(key) or parameter_text(value, op)
        if name.startswith("reduce_") and key == "axes":
            key = "axis"
        words.append(text if by_place else f"{key}={text}")
    return words


def needed(op: graph.GraphOp) -> dict[str, object]:
    """The parameters of an op that differ from what they would be if they were not given."""
    cls, types = type(op), [v.type for v in op.operands]
    given: dict[str, object] = {k: v for k, v in op.values().items() if v is not None}
    for key in list(given):
        if cls.PARAMS[key].default is graph.Param.REQUIRED:
            continue
        rest = {k: v for k, v in given.items() if k != key}
        if _completed(cls, types, rest).get(key) == given[key]:
            given = rest
    return given


def _completed(
    cls: type[graph.GraphOp], types: Sequence[Attribute], given: Mapping[str, object]
) -> Mapping[str, object]:
    try:
        return resolved(cls, types, given)  # pyright: ignore[reportArgumentType]
    except IrkitError:
        return {}


def parameter_text(value: object, op: graph.GraphOp) -> str:
    """A parameter's value as the language writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return value if value in _dtype_words(op, value) else f'"{value}"'
    if isinstance(value, QuantType):
        return value.written
    if isinstance(value, float):
        return literal(value, graph.dense(np.zeros((), np.float64)).get_element_type())
    if isinstance(value, tuple):
        return dims_text([Dim.of(v) for v in value], op)
    return str(value)


def _dtype_words(op: graph.GraphOp, value: str) -> set[str]:
    kinds = {k: p.kind for k, p in op.PARAMS.items()}
    return (
        {value}
        if any(kinds[k] in ("dtype", "element") and v == value for k, v in op.values().items())
        else set()
    )


# -- constants --------------------------------------------------------------------------------------------------


def constant(op: graph.ConstantOp) -> Expr:
    """`cast(2, f32)`, `constant([1, 2], f32)`, `full([8, 8], 0.5, f32)`; complex numbers by their parts."""
    element, array = op.results[0].type.element_type, op.array()  # pyright: ignore[reportAttributeAccessIssue]
    name = dtype_name(element)
    if is_complex(element) and np.any(np.imag(array)):
        part = "f32" if name == "c64" else "f64"
        re, im = (_elements(graph.dense(np.ascontiguousarray(p))) for p in (np.real(array), np.imag(array)))
        assert part in re.text
        return Expr(f"complex({re.text}, {im.text})")
    return _elements(op.properties["value"])


def _elements(attr: Attribute) -> Expr:
    array = graph.array_of(attr)
    element = attr.get_element_type()  # pyright: ignore[reportAttributeAccessIssue]
    name = dtype_name(element)
    flat = [literal(v, element) for v in _numbers(array)]
    if not array.shape:
        return Expr(f"cast({flat[0]}, {name})", number=flat[0])
    shape = "[" + ", ".join(map(str, array.shape)) + "]"
    if not flat:
        return Expr(f"zeros({shape}, {name})")
    if len(set(flat)) == 1 and len(flat) >= FILL:
        return Expr(f"full({shape}, {flat[0]}, {name})")
    if array.ndim == 2:
        width = array.shape[1]
        rows = [", ".join(flat[i : i + width]) for i in range(0, len(flat), width)]
        return Expr(f"constant([{', '.join(f'[{r}]' for r in rows)}], {name})")
    line = f"constant([{', '.join(flat)}], {name})"
    return Expr(line if array.ndim == 1 else f"reshape({line}, {shape})")


def _numbers(array: np.ndarray) -> list[float | bool]:
    """The elements as Python numbers; those of complex arrays, which are real here, by their real parts."""
    if array.dtype.kind == "c":
        array = np.real(array)
    if array.dtype.kind not in "biuf":  # of ml_dtypes
        array = array.astype(np.int8 if "int" in array.dtype.name else np.float32)
    return array.reshape(-1).tolist()


# -- ops that the language words otherwise ----------------------------------------------------------------------


def _where(op: graph.GraphOp, expr: ExprOf) -> Expr:
    choice = expr(op.operands[0])
    a, b = bare(op.operands[1:], expr)
    return Expr(f"where({choice.text}, {a.text}, {b.text})")


def _broadcast(op: graph.GraphOp, expr: ExprOf) -> Expr | None:
    """`zeros([B, 4], f32)` for a number that is repeated."""
    value = expr(op.operands[0])
    if value.number is None:
        return None
    shape = dims_text(op.values()["shape"], op)  # pyright: ignore[reportArgumentType]
    dtype = dtype_name(op.results[0].type.element_type)  # pyright: ignore[reportAttributeAccessIssue]
    word = {"0": "zeros", "1": "ones"}.get(value.number)
    if word:
        return Expr(f"{word}({shape}, {dtype})")
    return Expr(f"full({shape}, {value.number}, {dtype})")


def _slice(op: graph.GraphOp, expr: ExprOf) -> Expr | None:
    """`x[1:3, ::2]`; a slice of everything stays a call, since square brackets would make nothing of it."""
    parts = [_range(*row) for row in _slice_rows(op)]
    if all(p == ":" for p in parts):
        return None
    return _subscript(op.operands[0], parts, expr)


def _gather(op: graph.GraphOp, expr: ExprOf) -> Expr | None:
    """`x[i]`, `x[:, i]` for an index that has a name."""
    index = expr(op.operands[1]).text
    if not index.isidentifier():
        return None
    axis = op.values()["axis"]
    assert isinstance(axis, int)
    return _subscript(op.operands[0], [":"] * axis + [index], expr)


def _subscript(value: SSAValue, parts: list[str], expr: ExprOf) -> Expr:
    """`x[1:3, i]`; dims that are taken whole are left out at the end."""
    while parts[-1] == ":":
        parts = parts[:-1]
    return Expr(f"{expr(value).within(PRIMARY)}[{', '.join(parts)}]")


def _slice_rows(op: graph.GraphOp) -> list[tuple[Dim, Dim, int, Dim]]:
    values = op.values()
    columns = (values["starts"], values["stops"], values["strides"], dims_of(op.operands[0].type))
    return list(zip(*columns, strict=True))  # pyright: ignore


def _range(start: Dim, stop: Dim, stride: int, size: Dim) -> str:
    first = "" if start == ZERO else dim_text(start)
    last = "" if stop == size else dim_text(stop)
    return f"{first}:{last}" + (f":{stride}" if stride != 1 else "")


def row_of(op: graph.GraphOp, sliced: graph.GraphOp, expr: ExprOf) -> Expr | None:
    """`x[1]` for a reshape that takes the dims of one place off a slice."""
    rows = _slice_rows(sliced)
    dropped = [stop - start == Dim.of(1) and size != Dim.of(1) for start, stop, _, size in rows]
    kept = [d for d, gone in zip(dims_of(sliced.results[0].type), dropped, strict=True) if not gone]
    if not any(dropped) or tuple(kept) != dims_of(op.results[0].type):
        return None
    parts = [dim_text(row[0]) if gone else _range(*row) for row, gone in zip(rows, dropped, strict=True)]
    return _subscript(sliced.operands[0], parts, expr)


_RULES: dict[str, Callable[[graph.GraphOp, ExprOf], Expr | None]] = {
    "where": _where,
    "broadcast": _broadcast,
    "slice": _slice,
    "gather": _gather,
}
