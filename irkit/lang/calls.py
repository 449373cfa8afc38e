"""Calls of ops: `softmax(x, axis=-1)`, and slicing `x[1:3, :]`.

Any registered graph op can be called: positional arguments are operands as far as the op takes them, then parameters in
their order; keywords name either. SPECIAL holds what the language words otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from xdsl.ir import Attribute, SSAValue

from dialects import graph
from dialects.dims import Dim
from dialects.errors import IrkitError
from dialects.types import DTYPES, dims_of, dtype_name, is_integer, np_dtype
from irkit.diagnostics import nearest
from irkit.lang import folding, quantised, tree
from irkit.lang.builder import Value, describe, fitting, type_of
from irkit.lang.transforms import transformations
from irkit.lang.words import dtype_of, word

if TYPE_CHECKING:
    from irkit.lang.emit import Emitter, Frame

Handler = Callable[["Emitter", tree.Call, "Frame"], "list[Value]"]


def emit_call(emitter: Emitter, node: tree.Call, frame: Frame) -> list[Value]:
    """The results of a call of an op. Raises IrkitError."""
    name = node.callee.id
    if name in SPECIAL:
        return SPECIAL[name](emitter, node, frame)
    if name in graph.OPS:
        return call_op(emitter, name, node, frame)
    known = [*emitter.program.functions, *emitter.program.ops, *SPECIAL, *graph.OPS]
    hint = nearest(name, known)
    if name == quantised.NAME:
        raise IrkitError(
            "a quantised type is no value", emitter.loc(node), expected="cast(x, quant(i8, scale=0.05))"
        )
    if name in frame.names:
        hint = f"'{name}' is a value; x[i] takes elements"
    if name in transformations():
        hint = f"{name} makes a function, which is called: {name}(f)(x)"
    raise IrkitError(f"unknown function '{name}'", emitter.loc(node.callee), hint=hint)


def call_op(
    emitter: Emitter, name: str, node: tree.Call, frame: Frame, fixed: Mapping[str, object] | None = None
) -> list[Value]:
    """A call of a registered op; `fixed` are parameters that the language sets."""
    cls = graph.OPS[name]
    operands, values = arguments(emitter, name, node, frame)
    given: list[Value] = [emitter.expr(n, frame) for n in operands]
    if given and not any(isinstance(v, SSAValue) for v in given) and name in folding.FUNCTIONS and not values:
        numbers = [v for v in given if not isinstance(v, SSAValue)]
        return [folding.call(name, numbers, emitter.loc(node))]
    tensors = _operands(emitter, cls, given, operands)
    return list(emitter.builder.make(name, tensors, {**values, **(fixed or {})}, emitter.loc(node)))


def _operands(
    emitter: Emitter, cls: type[graph.GraphOp], given: list[Value], nodes: list[tree.Expr]
) -> list[SSAValue]:
    """Gives numbers among the operands a dtype: that of the others, i64 for indices."""
    if not given:
        return []
    if cls.name == "graph.where" and len(given) == 3:
        return [*emitter.agree(given[:1], nodes[:1]), *emitter.agree(given[1:], nodes[1:])]
    if cls.name == "graph.gather" and len(given) == 2 and type(given[1]) is int:
        return [
            *emitter.agree(given[:1], nodes[:1]),
            emitter.builder.number(given[1], DTYPES["i64"], emitter.loc(nodes[1])),
        ]
    return emitter.agree(given, nodes)


def arguments(
    emitter: Emitter, name: str, node: tree.Call, frame: Frame
) -> tuple[list[tree.Expr], dict[str, object]]:
    """Sorts the arguments of a call into operands and parameters."""
    cls = graph.OPS[name]
    params = list(cls.PARAMS)
    usage = signature(name)
    positional = list(node.args)
    operands: list[tree.Expr] = []
    while positional and len(operands) < cls.ARITY[1] and not _is_setting(positional[0], frame):
        operands.append(positional.pop(0))
    if len(positional) > len(params):
        place = positional[len(params)]
        raise IrkitError(f"too many arguments for {name}", emitter.loc(place), expected=usage)
    settings: dict[str, tree.Expr] = dict(zip(params, positional, strict=False))
    named: dict[str, tree.Expr] = {}
    for keyword in node.keywords:
        place = emitter.loc(keyword)
        if keyword.name in settings or keyword.name in named:
            raise IrkitError(f"'{keyword.name}' is given twice", place, expected=usage)
        if keyword.name in params:
            settings[keyword.name] = keyword.value
        elif keyword.name in cls.OPERANDS:
            named[keyword.name] = keyword.value
        else:
            hint = nearest(
                keyword.name,
                [*params, *cls.OPERANDS],
                {"dim": "axis", "axes": "axis"} if "axis" in params else None,
            )
            raise IrkitError(f"{name} has no argument '{keyword.name}'", place, expected=usage, hint=hint)
    for operand in cls.OPERANDS[len(operands) :]:
        if operand in named:
            operands.append(named.pop(operand))
    low = cls.ARITY[0]
    if named or len(operands) < low:
        found = (
            f"{len(operands)} of {low} operands"
            if not named
            else f"'{next(iter(named))}' is given twice or comes too early"
        )
        raise IrkitError(f"wrong arguments for {name}", emitter.loc(node), found=found, expected=usage)
    values = {k: setting(emitter, cls.PARAMS[k], v, frame) for k, v in settings.items()}
    if missing := [
        k
        for k, p in cls.PARAMS.items()
        if p.default is graph.Param.REQUIRED and k not in values and k not in FIXED.get(name, ())
    ]:
        raise IrkitError(f"{name} needs '{missing[0]}'", emitter.loc(node), expected=usage)
    return operands, values


FIXED: dict[str, tuple[str, ...]] = {"compare": ("pred",)}
"""Parameters that the language sets itself."""


def signature(name: str) -> str:
    """How an op is called: `softmax(x, axis=-1)`."""
    cls = graph.OPS[name]
    words: list[str] = []
    for i, operand in enumerate(cls.OPERANDS):
        words.append(operand if i < cls.ARITY[0] else f"[{operand}]")
    if cls.ARITY[1] > len(cls.OPERANDS):
        words.append("...")
    for key, param in cls.PARAMS.items():
        words.append(key if param.default is graph.Param.REQUIRED else f"{key}={_spell(param.default)}")
    return f"{name}({', '.join(words)})"


def _spell(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]" if len(value) != 1 else str(value[0])
    return f'"{value}"' if isinstance(value, str) else "none" if value is None else str(value)


def _is_setting(node: tree.Expr, frame: Frame) -> bool:
    """Whether an argument can be no operand: a list, a string, a dtype, or a name for one of them."""
    if isinstance(node, tree.Name):
        return node.id in DTYPES or (node.id in frame.words and node.id not in frame.names)
    return isinstance(node, tree.ListOf | tree.Text)


# -- parameters -------------------------------------------------------------------------------------------------


def setting(emitter: Emitter, param: graph.Param, node: tree.Expr, frame: Frame) -> object:
    """The Python value of a parameter. Raises IrkitError."""
    value = known_value(emitter, node, frame)
    try:
        return param.check(value)
    except TypeError:
        found = (
            f'"{value}"'
            if isinstance(value, str)
            else dtype_name(value)
            if isinstance(value, Attribute)
            else str(value)
        )
        hint = nearest(value, param.choices) if isinstance(value, str) else None
        raise IrkitError(
            "bad argument", emitter.loc(node), found=found, expected=param.text, hint=hint
        ) from None


def known_value(emitter: Emitter, node: tree.Expr, frame: Frame, hint: str | None = None) -> object:
    """A number, a dim, a list of them, a word, or a quantised type. Raises IrkitError for a tensor."""
    if (found := word(node, frame)) is not None:
        return found
    if isinstance(node, tree.Name) and node.id in frame.words and node.id not in frame.names:
        return frame.words[node.id]
    if isinstance(node, tree.Call) and node.callee.id == quantised.NAME:
        return quantised.quant_type(node, lambda n: known_value(emitter, n, frame), emitter.loc)
    if isinstance(node, tree.ListOf):
        return _list(emitter, node.items, node, frame)
    value = emitter.expr(node, frame)
    if isinstance(value, SSAValue):
        message = "this must be known while compiling"
        raise IrkitError(message, emitter.loc(node), found=describe(value), hint=hint)
    return value


def _list(emitter: Emitter, items: Sequence[tree.Item], node: tree.ListOf, frame: Frame) -> list[object]:
    """The items of a list; those of leading dims in the place of `...`."""
    found: list[object] = []
    for item in items:
        found += (
            emitter.leading(frame, node) if item == tree.REST else [list_item(emitter, item, node, frame)]
        )
    return found


def list_item(emitter: Emitter, item: tree.Item, node: tree.ListOf, frame: Frame) -> object:
    """One item of a list, with the names in it replaced by their values."""
    if isinstance(item, tuple):
        return _list(emitter, item, node, frame)
    if not isinstance(item, Dim):
        return item
    values: dict[str, Dim] = {}
    for name in sorted(item.names()):
        value = emitter.look_up(tree.Name(name, node.span), frame)
        if not (isinstance(value, Dim) or type(value) is int):
            found = f"'{name}', {describe(value)}"
            raise IrkitError("a list holds what is known while compiling", emitter.loc(node), found=found)
        values[name] = Dim.of(value)
    return folding.simplified(item.subst(values))


# -- what the language words otherwise --------------------------------------------------------------------------


def reduction_usage(name: str) -> str:
    """How a reduction is called."""
    return f"{name}(x, axis=none, keepdims=false)"


def _reduce(emitter: Emitter, node: tree.Call, frame: Frame) -> list[Value]:
    """`sum(x, axis=1, keepdims=true)`; `max(a, b)` of two tensors is elementwise."""
    name = node.callee.id
    if name in ("min", "max") and len(node.args) == 2 and not node.keywords:
        return call_op(emitter, name, node, frame)
    usage = reduction_usage(name)
    names = ("x", "axis", "keepdims")
    if not 1 <= len(node.args) <= 3:
        raise IrkitError(f"wrong arguments for {name}", emitter.loc(node), expected=usage)
    given = dict(zip(names, node.args, strict=False))
    for keyword in node.keywords:
        if keyword.name not in names or keyword.name in given:
            hint = nearest(keyword.name, names, {"dim": "axis", "axes": "axis"})
            fault = (
                f"{name} has no argument '{keyword.name}'"
                if keyword.name not in given
                else f"'{keyword.name}' is given twice"
            )
            raise IrkitError(fault, emitter.loc(keyword), expected=usage, hint=hint)
        given[keyword.name] = keyword.value
    x = emitter.expr(given["x"], frame)
    if not isinstance(x, SSAValue):
        raise IrkitError(
            f"{name} takes a tensor", emitter.loc(node.args[0]), found=describe(x), expected=usage
        )
    params = graph.OPS[f"reduce_{name}"].PARAMS
    values: dict[str, object] = {}
    if "axis" in given:
        values["axes"] = setting(emitter, params["axes"], given["axis"], frame)
    if "keepdims" in given:
        values["keepdims"] = setting(emitter, params["keepdims"], given["keepdims"], frame)
    return list(emitter.builder.make(f"reduce_{name}", [x], values, emitter.loc(node)))


def _renamed(op: str) -> Handler:
    return lambda emitter, node, frame: call_op(emitter, op, node, frame)


def _cast(emitter: Emitter, node: tree.Call, frame: Frame) -> list[Value]:
    """`cast(x, f16)`; a number becomes a scalar."""
    if len(node.args) == 2 and not node.keywords and (dtype := dtype_of(node.args[1], frame)):
        value = emitter.expr(node.args[0], frame)
        if not isinstance(value, SSAValue):
            return [emitter.builder.number(value, DTYPES[dtype], emitter.loc(node))]
        return list(emitter.builder.make("cast", [value], {"dtype": dtype}, emitter.loc(node)))
    return call_op(emitter, "cast", node, frame)


FILLED = {
    name: f"{name}([2, 3], {number}f32)" for name, number in (("zeros", ""), ("ones", ""), ("full", "0.5, "))
}
"""How tensors of one number are made."""

CONSTANT = "constant([1, 2, 3], f32)"
RENAMED = {"maximum": "max", "minimum": "min"}


def _filled(value: int | None) -> Handler:
    """`zeros([B, 4], f32)`, `ones(...)`, `full([B, 4], 0.5, f32)`."""

    def handler(emitter: Emitter, node: tree.Call, frame: Frame) -> list[Value]:
        name = node.callee.id
        usage = FILLED[name]
        count = 3 if value is None else 2
        dtype = dtype_of(node.args[-1], frame) if len(node.args) == count and not node.keywords else None
        if dtype is None:
            raise IrkitError(f"wrong arguments for {name}", emitter.loc(node), expected=usage)
        element = DTYPES[dtype]
        shape = setting(emitter, graph.Param("dims"), node.args[0], frame)
        number = value if value is not None else emitter.expr(node.args[1], frame)
        scalar = (
            number
            if isinstance(number, SSAValue)
            else emitter.builder.number(number, element, emitter.loc(node))
        )
        return list(emitter.builder.make("broadcast", [scalar], {"shape": shape}, emitter.loc(node)))

    return handler


def _constant_tensor(emitter: Emitter, node: tree.Call, frame: Frame) -> list[Value]:
    """`constant([[1.0, 2.0], [3.0, 4.0]], f32)`."""
    dtype = dtype_of(node.args[1], frame) if len(node.args) == 2 and not node.keywords else None
    if dtype is None:
        raise IrkitError("wrong arguments for constant", emitter.loc(node), expected=CONSTANT)
    element = DTYPES[dtype]
    loc = emitter.loc(node)
    value = known_value(emitter, node.args[0], frame)
    if not isinstance(value, list):
        return list[Value]([emitter.builder.number(value, element, loc)])  # pyright: ignore[reportArgumentType]
    try:
        shape = np.array(value, dtype=object).shape if _is_regular(value) else None
        if shape is None:
            raise ValueError
        flat = [fitting(v, element, loc) for v in np.array(value, dtype=object).reshape(-1)]
    except ValueError:
        raise IrkitError(
            "rows of different lengths", loc, expected="a list of numbers, or of lists of one length"
        ) from None
    array = np.array(flat, dtype=np_dtype(element)).reshape(shape)
    return [emitter.builder.dense(array, element, loc)]


def _is_regular(value: list) -> bool:
    rows = [v for v in value if isinstance(v, list)]
    return not rows or (
        len(rows) == len(value) and len({len(r) for r in rows}) == 1 and all(map(_is_regular, rows))
    )


SPECIAL: dict[str, Handler] = {
    **{name.removeprefix("reduce_"): _reduce for name in graph.OPS if name.startswith("reduce_")},
    **{name: _renamed(op) for name, op in RENAMED.items()},
    "cast": _cast,
    "zeros": _filled(0),
    "ones": _filled(1),
    "full": _filled(None),
    "constant": _constant_tensor,
}
"""Functions that are called otherwise than the op of their name."""


# -- slicing ----------------------------------------------------------------------------------------------------


def emit_subscript(emitter: Emitter, node: tree.Subscript, frame: Frame) -> SSAValue:
    """`x[1:3, :, -1]`: ranges keep a dim, integers drop it, an integer tensor gathers along it."""
    x = emitter.expr(node.base, frame)
    loc = emitter.loc(node)
    if not isinstance(x, SSAValue):
        raise IrkitError("only tensors have indices", emitter.loc(node.base), found=describe(x))
    dims = dims_of(x.type)
    if len(node.index) > len(dims):
        found = f"{len(node.index)} indices for {describe(x)}"
        raise IrkitError("too many indices", loc, found=found, expected=f"at most {len(dims)}")
    starts, stops, strides = [], [], []
    dropped: list[int] = []
    gathered: dict[int, SSAValue] = {}
    for axis, (part, size) in enumerate(zip(node.index, dims, strict=False)):
        start, stop, stride = Dim.of(0), size, 1
        if isinstance(part, tree.Range):
            start = start if part.start is None else _position(emitter, part.start, size, frame)
            stop = stop if part.stop is None else _position(emitter, part.stop, size, frame)
            stride = 1 if part.step is None else _stride(emitter, part.step, frame)
        else:
            value = emitter.integer(part, frame)
            if isinstance(value, SSAValue):
                if not is_integer(type_of(value).element_type):
                    raise IrkitError(
                        "an index is an integer",
                        emitter.loc(part),
                        found=describe(value),
                        hint="cast it: cast(x, i32)",
                    )
                gathered[axis] = value
            else:
                start = _within(value, part, size, emitter)
                stop = start + 1
                dropped.append(axis)
        starts.append(start)
        stops.append(stop)
        strides.append(stride)
    if (
        any(s != Dim.of(0) for s in starts)
        or any(a != b for a, b in zip(stops, dims, strict=False))
        or any(s != 1 for s in strides)
    ):
        given = None if all(s == 1 for s in strides) else strides
        x = emitter.builder.one("slice", [x], loc, starts=starts, stops=stops, strides=given)
    for axis in sorted(gathered, reverse=True):
        x = emitter.builder.one("gather", [x, gathered[axis]], loc, axis=axis)
        rank = len(dims_of(gathered[axis].type))
        dropped = [d + rank - 1 if d > axis else d for d in dropped]
    if dropped:
        shape = [d for i, d in enumerate(dims_of(x.type)) if i not in dropped]
        x = emitter.builder.one("reshape", [x], loc, shape=shape)
    return x


def _within(value: object, node: tree.Expr, size: Dim, emitter: Emitter) -> Dim:
    """A position; a negative one counts from the end."""
    if not isinstance(value, Dim):
        raise IrkitError("a position is an integer or a dim", emitter.loc(node), found=str(value))
    return value + size if (value.value or 0) < 0 else value


def _position(emitter: Emitter, node: tree.Expr, size: Dim, frame: Frame) -> Dim:
    value = emitter.integer(node, frame)
    if isinstance(value, SSAValue):
        raise IrkitError(
            "the ends of a slice are known while compiling", emitter.loc(node), found=describe(value)
        )
    return _within(value, node, size, emitter)


def _stride(emitter: Emitter, node: tree.Expr, frame: Frame) -> int:
    value = emitter.expr(node, frame)
    if type(value) is not int or value < 1:
        raise IrkitError(
            "the step of a slice is a positive integer", emitter.loc(node), found=describe(value)
        )
    return value
