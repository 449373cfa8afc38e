"""The settings of a file's ops: their text, and the numbers of a formula that they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from operator import eq

import numpy as np
from xdsl.dialects import arith
from xdsl.dialects.builtin import ArrayAttr, FloatAttr, IntegerAttr, IntegerType, StringAttr, f64
from xdsl.ir import Attribute, Operation

from dialects import graph
from dialects.dims import DimAttr, DimsAttr
from dialects.errors import IrkitError
from dialects.types import DTYPES, dims_of, np_dtype
from irkit.lang.unparse.function import Named
from irkit.lang.unparse.text import dim_text, dims_text, literal


def setting_text(value: Attribute, op: Operation) -> str:
    """`1.5`, `true`, `f16`, `"mean"`, `[0, 1]`. Raises IrkitError for what no setting can be."""
    match value:
        case IntegerAttr():
            found = value.value.data
            return str(bool(found)).lower() if value.type == IntegerType(1) else str(found)
        case FloatAttr():
            text = literal(value.value.data, f64)
            return f"{text}.0" if text.lstrip("-").isdigit() else text
        case DimAttr():
            return dim_text(value.data, op)
        case DimsAttr():
            return dims_text(value.data, op)
        case ArrayAttr():
            items = [setting_text(item, op) for item in value.data]
            if not any('"' in item for item in items):
                return f"[{', '.join(items)}]"
        case StringAttr() if value.data in DTYPES:
            return value.data
        case StringAttr() if not {'"', "\n"} & set(value.data):
            return f'"{value.data}"'
    expected = "a number, true or false, a word, or a list of numbers"
    raise IrkitError("the language has no such setting", op, found=str(value), expected=expected)


def kind_of(value: Attribute) -> str:
    """What a setting stays in every call: numbers of any type are one kind, as in the language."""
    return "number" if _value(value) is not None or isinstance(value, DimAttr) else type(value).__name__


# -- numbers that are settings ------------------------------------------------------------------------------------


def formula_ops(op: graph.CustomOp) -> Iterator[Operation]:
    """The ops of a formula and of its rule; another custom op inside it counts as one."""
    for region in op.regions:
        for inner in region.block.ops:
            yield from graph.outside_customs(inner)


def named_numbers(calls: Sequence[graph.CustomOp], settings: Iterable[str]) -> dict[graph.CustomOp, Named]:
    """For each call, the numbers of its formula that are settings: those that no call gives another value."""
    found: dict[graph.CustomOp, dict[Operation, dict[str, str]]] = {op: {} for op in calls}
    keys = sorted(settings)
    numbers = [_numbers(op) for op in calls]
    for place in numbers[0]:
        tests = [(op, each.get(place)) for op, each in zip(calls, numbers, strict=True)]
        fits = [k for k in keys if all(n is not None and n.is_value(op.settings.data[k]) for op, n in tests)]
        if len(fits) == 1:
            for op, known in tests:
                assert known is not None
                found[op].setdefault(known.op, {})[place[1]] = fits[0]
    return dict(found)


@dataclass(frozen=True)
class _Number:
    """A number of a formula, and whether a setting has its value."""

    op: Operation
    is_value: Callable[[Attribute], bool]


def _numbers(op: graph.CustomOp) -> dict[tuple[int, str], _Number]:
    """The numbers of a formula by the place of their op and the parameter that they are; a constant's is ""."""
    found: dict[tuple[int, str], _Number] = {}
    for place, inner in enumerate(formula_ops(op)):
        if isinstance(inner, graph.ConstantOp):
            if not dims_of(inner.results[0].type):
                found[place, ""] = _Number(inner, _equals(inner.array()[()], inner.array().dtype))
        elif isinstance(inner, arith.ConstantOp):
            type_ = inner.results[0].type
            dtype = np.dtype(np.int64) if isinstance(type_, IntegerType) else np_dtype(type_)
            if isinstance(inner.value, FloatAttr | IntegerAttr) and type_ != IntegerType(1):
                found[place, ""] = _Number(inner, _equals(inner.value.value.data, dtype))
        elif isinstance(inner, graph.GraphOp):
            for key, value in inner.values().items():
                if isinstance(value, float) or type(value) is int:
                    found[place, key] = _Number(inner, _equals(value, np.dtype(type(value))))
        elif isinstance(inner, graph.CustomOp):
            for key, value in inner.settings.data.items():
                if _value(value) is not None:
                    found[place, key] = _Number(inner, partial(eq, value))
    return found


def _value(setting: Attribute) -> float | int | None:
    """The value of a setting that is a number."""
    if isinstance(setting, FloatAttr) or (
        isinstance(setting, IntegerAttr) and setting.type != IntegerType(1)
    ):
        return setting.value.data
    return None


def _equals(value: object, dtype: np.dtype) -> Callable[[Attribute], bool]:
    """Whether a setting becomes the same bits in a dtype."""

    def test(setting: Attribute) -> bool:
        known = _value(setting)
        if known is None or (isinstance(known, float) and dtype.kind in "iub") or dtype.kind == "b":
            return False
        try:
            with np.errstate(all="ignore"):
                return np.array(known, dtype).tobytes() == np.array(value, dtype).tobytes()
        except (OverflowError, ValueError):
            return False

    return test
