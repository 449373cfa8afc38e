"""What is known while compiling and is no number: words, dtypes, and the names that stand for them in an op."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dialects.types import DTYPES
from irkit.lang import tree

if TYPE_CHECKING:
    from irkit.lang.emit import Frame


def word(node: tree.Expr, frame: Frame) -> str | None:
    """The word or dtype that an expression is: `"tanh"`, `f32`, or a name that stands for one."""
    if isinstance(node, tree.Text):
        return node.value
    if not isinstance(node, tree.Name) or node.id in frame.names:
        return None
    value = frame.words.get(node.id, node.id if node.id in DTYPES else None)
    return value if isinstance(value, str) else None


def dtype_of(node: tree.Expr, frame: Frame) -> str | None:
    """The dtype that a name stands for: `f32`, or a variable of an op."""
    found = word(node, frame) if isinstance(node, tree.Name) else None
    return found if found in DTYPES else None


def compared(node: tree.Expr, frame: Frame) -> bool | None:
    """Whether `mode == "tanh"` or `T != f16` holds; None for what compares no words."""
    if not isinstance(node, tree.Binary) or node.op not in ("==", "!="):
        return None
    left, right = word(node.left, frame), word(node.right, frame)
    if left is None or right is None:
        return None
    return (left == right) == (node.op == "==")
