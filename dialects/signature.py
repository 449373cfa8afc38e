"""What the signatures of `kernel.def`, `loop.func` and `buffer.program` have in common to verify."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from xdsl.dialects.builtin import StringAttr
from xdsl.ir import Block, SSAValue
from xdsl.utils.exceptions import VerifyException

from dialects.types import RefType

READS = frozenset({"kernel.read", "loop.load"})
"""Ops that leave the array that they name as it is."""


class Argument(Protocol):
    """What a signature says of an argument."""

    @property
    def mode(self) -> StringAttr: ...


def verify_names(block: Block, symbols: Iterable[str]) -> None:
    """The types of the arguments name symbols alone. Raises VerifyException."""
    known = frozenset(symbols)
    for arg in block.args:
        if not isinstance(arg.type, RefType):
            raise VerifyException(f"argument {_name(arg)} is a {arg.type} and no array")
        for dim in (*arg.type.shape.data, *arg.type.strides.data):
            if unknown := dim.names() - known:
                raise VerifyException(
                    f"argument {_name(arg)} has a dim {dim}, which names {sorted(unknown)}: no symbol"
                )


def verify_outputs(block: Block, signature: Sequence[Argument]) -> None:
    """Each output is written by some op. An empty one needs none; a body that touches no argument at all stands for one
    that is not shown. Raises VerifyException."""
    if not any(arg.uses for arg in block.args):
        return
    for arg, facts in zip(block.args, signature, strict=True):
        if facts.mode.data != "out" or _is_empty(arg):
            continue
        if all(use.operation.name in READS for use in arg.uses):
            raise VerifyException(f"output {_name(arg)} is never written")


def _is_empty(array: SSAValue) -> bool:
    return isinstance(array.type, RefType) and any(d.value == 0 for d in array.type.shape.data)


def _name(value: SSAValue) -> str:
    return f"%{value.name_hint}" if value.name_hint else "without a name"
