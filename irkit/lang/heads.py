"""What a call binds in the head of an op: operands by name, settings, dtype variables, dims and leading dims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from xdsl.ir import Attribute, SSAValue

from dialects.dims import Dim
from dialects.errors import IrkitError
from dialects.types import DTYPES, dims_of, dtype_name, type_text
from irkit.diagnostics import nearest
from irkit.lang import tree
from irkit.lang.builder import Value, describe, type_of
from irkit.lang.calls import known_value

if TYPE_CHECKING:
    from irkit.lang.emit import Emitter, Frame

# -- arguments ----------------------------------------------------------------------------------------------------


def usage(emitter: Emitter, decl: tree.OpDecl) -> str:
    """How an op is called: `rotate(x: T[..., N], angle: T, turns=1)`."""
    text = emitter.program.module.text
    return f"{decl.name.id}({', '.join(text[i.span.start : i.span.end] for i in (*decl.operands, *decl.settings))})"


def arguments(emitter: Emitter, decl: tree.OpDecl, node: tree.Call) -> dict[str, tree.Expr]:
    """What a call gives, by name: operands, then settings, in order or by keyword. Raises IrkitError."""
    name, expected = decl.name.id, usage(emitter, decl)
    operands = [o.name.id for o in decl.operands]
    names = [*operands, *(s.name.id for s in decl.settings)]
    if len(node.args) > len(names):
        place, found = emitter.loc(node.args[len(names)]), f"{len(node.args)} arguments"
        raise IrkitError(f"too many arguments for '{name}'", place, found=found, expected=expected)
    given = dict(zip(names, node.args, strict=False))
    for keyword in node.keywords:
        if keyword.name not in names:
            message, hint = f"'{name}' has no argument '{keyword.name}'", nearest(keyword.name, names)
            raise IrkitError(message, emitter.loc(keyword), expected=expected, hint=hint)
        if keyword.name in given:
            raise IrkitError(f"'{keyword.name}' is given twice", emitter.loc(keyword), expected=expected)
        given[keyword.name] = keyword.value
    if missing := [n for n in operands if n not in given]:
        message = f"'{name}' needs {', '.join(repr(m) for m in missing)}"
        raise IrkitError(message, emitter.loc(node), expected=expected)
    return given


def bind_settings(
    emitter: Emitter, decl: tree.OpDecl, given: Mapping[str, tree.Expr], frame: Frame
) -> tuple[Frame, dict[str, object]]:
    """The names that the settings of a call make, and the settings themselves. Raises IrkitError."""
    from irkit.lang.emit import Frame

    settings: dict[str, object] = {}
    inner = Frame(dict(emitter.program.dims))
    for item in decl.settings:
        name = item.name.id
        default = value = _setting(emitter, item, item.default, Frame(emitter.program.dims))
        if (place := given.get(name)) is not None:
            value = _setting(emitter, item, place, frame)
            if _kind(value) != _kind(default):
                found = str(value).lower() if isinstance(value, bool) else str(value)
                raise IrkitError(
                    f"bad setting '{name}' of '{decl.name.id}'",
                    emitter.loc(place),
                    found=found,
                    expected=_kind(default),
                )
        settings[name] = value
        if isinstance(value, int | float | Dim):
            inner.names[name] = value
        else:
            inner.words[name] = value
        if isinstance(value, Dim) or type(value) is int:
            inner.dims[name] = Dim.of(value)
    for name in _bound_dims(decl) - settings.keys():
        inner.dims.pop(name, None)
    return inner, settings


def _setting(emitter: Emitter, item: tree.Setting, node: tree.Expr, frame: Frame) -> object:
    hint = f"'{item.name.id}' is a setting; what runs with the program is an operand"
    return known_value(emitter, node, frame, hint)


def _kind(value: object) -> str:
    if isinstance(value, str):
        return "a dtype" if value in DTYPES else "a word"
    if isinstance(value, bool):
        return "true or false"
    return "a list" if isinstance(value, list) else "a number"


# -- types --------------------------------------------------------------------------------------------------------


def _bound_dims(decl: tree.OpDecl) -> set[str]:
    """The dims that a call gives a size: those that stand alone in the type of an operand."""
    dims = [d for o in decl.operands if o.type is not None for d in o.type.dims]
    return {str(d) for d in dims if d.names() == {str(d)} and d != tree.REST}


def bind_operands(
    emitter: Emitter, decl: tree.OpDecl, values: Sequence[Value], places: Sequence[tree.Expr], inner: Frame
) -> list[SSAValue]:
    """The operands of a call, each of the type that the head states. Raises IrkitError."""
    known = [type_of(v).element_type if isinstance(v, SSAValue) else None for v in values]
    elements = bind_dtypes(emitter, decl, known, places, inner)
    operands: list[SSAValue] = []
    for item, value, place, element in zip(decl.operands, values, places, elements, strict=True):
        if not isinstance(value, SSAValue):
            if element is None:
                hint = "give one a dtype: cast(2, f32)"
                raise IrkitError("numbers alone have no dtype", emitter.loc(place), hint=hint)
            value = emitter.builder.number(value, element, emitter.loc(place))
        operands.append(value)
        if item.type is not None:
            _bind_dims(emitter, decl, item, value, place, inner)
    for item, value, place in zip(decl.operands, operands, places, strict=True):
        if item.type is not None and value.type != (want := emitter.type(item.type, inner)):
            raise _misfit(
                emitter, decl, item, value, place, "type", f"{type_text(want)}, declared as {item.type}"
            )
    return operands


def bind_dtypes(
    emitter: Emitter,
    decl: tree.OpDecl,
    known: Sequence[Attribute | None],
    places: Sequence[tree.Expr],
    inner: Frame,
) -> list[Attribute | None]:
    """Gives dtype variables what the operands have; the dtype of each operand, that of numbers from the others."""
    owner: dict[str, str] = {}
    for item, element, place in zip(decl.operands, known, places, strict=True):
        if item.type is None or element is None:
            continue
        declared, found = item.type.dtype, dtype_name(element)
        if declared not in DTYPES and declared not in owner:
            owner[declared] = item.name.id
            inner.words[declared] = found
        wanted = str(inner.words.get(declared, declared))
        if found != wanted:
            raise IrkitError(
                f"'{item.name.id}' of '{decl.name.id}' has another dtype",
                emitter.loc(place),
                found=found,
                expected=wanted + (f", the {declared} of '{owner[declared]}'" if declared in owner else ""),
                hint=f"cast(x, {wanted}) converts",
            )
    first = next((e for e in known if e is not None), None)
    stated = [
        None if o.type is None else str(inner.words.get(o.type.dtype, o.type.dtype)) for o in decl.operands
    ]
    return [DTYPES.get(dtype, first) if dtype else first for dtype in stated]


def _bind_dims(
    emitter: Emitter, decl: tree.OpDecl, item: tree.Operand, value: SSAValue, place: tree.Expr, inner: Frame
) -> None:
    assert item.type is not None
    declared, sizes = item.type.dims, dims_of(value.type)
    is_open = declared[:1] == (tree.REST,)
    named = declared[1:] if is_open else declared
    rest = len(sizes) - len(named)
    if rest < 0 or (rest and not is_open):
        raise _misfit(emitter, decl, item, value, place, "rank", str(item.type))
    if is_open:
        inner.words.setdefault("...", list(sizes[:rest]))
    for dim, size in zip(named, sizes[rest:], strict=True):
        if dim.names() == {str(dim)}:
            inner.dims.setdefault(str(dim), size)


def _misfit(
    emitter: Emitter,
    decl: tree.OpDecl,
    item: tree.Operand,
    value: SSAValue,
    place: tree.Expr,
    what: str,
    expected: str,
) -> IrkitError:
    message = f"'{item.name.id}' of '{decl.name.id}' has another {what}"
    return IrkitError(message, emitter.loc(place), found=describe(value), expected=expected)
