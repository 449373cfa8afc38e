"""Typed access to an op's parameters."""

from __future__ import annotations

from xdsl.ir import Operation

from dialects.graph import GraphOp


def ints(op: Operation, name: str) -> tuple[int, ...]:
    """A parameter that is a list of integers."""
    assert isinstance(op, GraphOp)
    value = op.values()[name]
    assert isinstance(value, tuple)
    return value  # pyright: ignore[reportReturnType]


def number(op: Operation, name: str) -> float:
    """A parameter that is a number."""
    assert isinstance(op, GraphOp)
    value = op.values()[name]
    assert isinstance(value, int | float)
    return value


def flag(op: Operation, name: str) -> bool:
    """A parameter that is true or false."""
    assert isinstance(op, GraphOp)
    return bool(op.values()[name])


def axis_of(op: Operation, rank: int) -> int:
    """The `axis` parameter, counted from the front."""
    return int(number(op, "axis")) % rank if rank else 0
