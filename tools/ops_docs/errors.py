"""The errors that an op raises, read from its source: the messages of `Mismatch` in what checks operands."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator

from dialects.graph import GraphOp
from dialects.graph.base import short_name

_NAMES = ("short_name(cls)", "cls.name.partition('.')[2]")
_WORDS = ("what", "name")
"""How a message writes the name of its op; words may also stand for an operand, where the name is there besides."""

GAP = "…"


def messages(cls: type[GraphOp]) -> list[str]:
    """The messages that an op has of its own, with `…` for what is filled in."""
    found: list[str] = []
    for base in cls.__mro__:
        if base is GraphOp:
            break
        for function in vars(base).values():
            function = getattr(function, "__func__", function)
            if inspect.isfunction(function):
                found += _raised(function, short_name(cls))
    return list(dict.fromkeys(found))


def _raised(function: object, op: str) -> Iterator[str]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))  # pyright: ignore[reportArgumentType]
    except (OSError, SyntaxError):  # a lambda inside a call, or made while running
        return
    values = {
        node.targets[0].id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "Mismatch"
            and node.args
        ):
            message = node.args[0]
            if isinstance(message, ast.Name):
                message = values.get(message.id, message)
            plain = _text(message, op, _NAMES)
            text = plain if op in plain else _text(message, op, _NAMES + _WORDS)
            if text:
                yield text


def _text(node: ast.expr, op: str, names: tuple[str, ...]) -> str:
    """A string as far as the source says it; `names` are expressions for the name of the op."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_text(part, op, names) for part in parts)
        case ast.FormattedValue(value=value):
            return op if ast.unparse(value) in names else GAP
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _text(left, op, names) + (_text(right, op, names) or GAP)
    return ""
