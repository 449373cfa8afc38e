"""What the operators of the language stand for."""

from __future__ import annotations

from xdsl.dialects.builtin import i1
from xdsl.ir import Attribute

OPERATORS = {
    "+": "add",
    "-": "sub",
    "*": "mul",
    "/": "div",
    "%": "mod",
    "**": "pow",
    "@": "matmul",
    "&": "bitwise_and",
    "|": "bitwise_or",
    "^": "bitwise_xor",
    "<<": "shift_left",
    ">>": "shift_right",
}
PREFIXES = {"-": "neg", "~": "bitwise_not"}
LOGICAL = {"&": "logical_and", "|": "logical_or", "^": "logical_xor", "~": "logical_not"}
"""What operators mean between bools."""

COMPARISONS = {"==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}


def infix(op: str, element: Attribute) -> str:
    """The op of `a op b` for operands of a dtype."""
    return LOGICAL[op] if element == i1 and op in LOGICAL else OPERATORS[op]


def prefix(op: str, element: Attribute) -> str:
    """The op of `-x` or `~x` for an operand of a dtype."""
    return LOGICAL[op] if element == i1 and op in LOGICAL else PREFIXES[op]
