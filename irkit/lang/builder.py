"""Makes located graph ops, and turns numbers into constants of the dtype that they meet."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from xdsl.dialects.builtin import TensorType
from xdsl.ir import Attribute, Block, Operation, SSAValue

from dialects import graph
from dialects.dims import Dim
from dialects.errors import IrkitError, Loc
from dialects.graph.ranges import Ranges, check_ranges
from dialects.types import (
    AnyTensor,
    Coded,
    dtype_name,
    integer_range,
    is_complex,
    is_float,
    is_integer,
    np_dtype,
    type_text,
)
from lowering.verify import size_errors

Number: TypeAlias = "int | float | bool | Dim"
Value: TypeAlias = "SSAValue | Number"


def type_of(value: SSAValue) -> AnyTensor:
    """The tensor type of a value."""
    assert isinstance(value.type, TensorType)
    return value.type


def describe(value: Value) -> str:
    """A value as a message names it: its type, or the number."""
    return type_text(type_of(value)) if isinstance(value, SSAValue) else f"the number {value}"


class Builder:
    """Appends ops to a block; the block changes while the bodies of loops are made."""

    def __init__(self, block: Block, ranges: Ranges | None = None):
        self.block = block
        self.ranges = ranges or {}

    def add(self, op: Operation, loc: Loc) -> Operation:
        """Appends an op. Raises IrkitError for one of index notation that may have less than no points."""
        op.location = loc.attr()
        if self.ranges and isinstance(op, graph.IndexOp):
            self._check("index notation", [], {}, op, loc)
        self.block.add_op(op)
        return op

    def make(
        self, name: str, operands: Sequence[SSAValue], values: Mapping[str, object], loc: Loc
    ) -> list[SSAValue]:
        """Appends a graph op by its short name; its types are inferred. Raises IrkitError."""
        op = graph.make(name, operands, values, loc)
        for fault in size_errors(op):
            raise fault
        if self.ranges and op.has_symbols():
            self._check(name, operands, op.values(), op, loc)
        self.block.add_op(op)
        return list(op.results)

    def _check(
        self, name: str, operands: Sequence[SSAValue], values: Mapping[str, object], op: Operation, loc: Loc
    ) -> None:
        try:
            results = [type_of(r) for r in op.results]
            check_ranges(name, [type_of(v) for v in operands], values, results, self.ranges)
        except graph.Mismatch as error:
            error.loc = loc
            raise

    def one(self, name: str, operands: Sequence[SSAValue], loc: Loc, **values: object) -> SSAValue:
        """Appends a graph op that has one result."""
        return self.make(name, operands, values, loc)[0]

    def number(self, value: Number, element: Attribute, loc: Loc) -> SSAValue:
        """A scalar constant of a dtype. Raises IrkitError where the dtype cannot hold the number."""
        return self.dense(np.asarray(fitting(value, element, loc)), element, loc)

    def dense(self, array: np.ndarray, element: Attribute, loc: Loc) -> SSAValue:
        """A constant tensor."""
        return self.one("constant", [], loc, value=graph.dense(array, element))


def fitting(value: Number, element: Attribute, loc: Loc) -> int | float | bool:
    """The number, checked to be one of a dtype; no conversion is silent. Raises IrkitError."""
    name = dtype_name(element)
    if isinstance(element, Coded):
        raise IrkitError(
            "a number beside quantised elements has no form",
            loc,
            found=f"{value} and {name}",
            hint="dequantise the tensor: cast(x, f32)",
        )
    if isinstance(value, Dim):
        raise IrkitError(
            "a dim with a range has no value to compute with",
            loc,
            found=str(value),
            hint="pass it to the function as an integer input, or give the dim no range",
        )
    if name == "bool" or isinstance(value, bool):
        if name == "bool" and isinstance(value, bool):
            return value
        raise IrkitError(f"{str(value).lower()} is no {name}", loc, hint=f"cast(x, {name}) converts")
    if is_float(element) or is_complex(element):
        if not _is_kept_finite(value, element):
            text = str(value) if len(str(value)) < 24 else f"a number of {len(str(value))} digits"
            raise IrkitError(f"{text} does not fit into {name}", loc, hint="write inf where it is meant")
        return value
    if isinstance(value, float) and not value.is_integer():
        hint = "convert the tensor: cast(x, f32)" if math.isfinite(value) else None
        raise IrkitError(f"{value} is no {name}", loc, expected="an integer", hint=hint)
    if not is_integer(element):
        return value
    low, high = integer_range(name)
    if not low <= value <= high:
        raise IrkitError(f"{value} does not fit into {name}", loc, expected=f"{low} to {high}")
    if isinstance(value, float):
        raise IrkitError(f"{value} is no {name}", loc, expected="an integer", hint=f"write {int(value)}")
    return value


def _is_kept_finite(value: float, element: Attribute) -> bool:
    """Whether a number that is finite is finite in a dtype too."""
    try:
        with np.errstate(over="ignore"):
            return not math.isfinite(value) or bool(np.isfinite(np_dtype(element).type(float(value))))
    except OverflowError:
        return False
