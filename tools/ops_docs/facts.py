"""What an op takes and gives, found by trying: each dtype for each group of operands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from xdsl.ir import Block

from dialects.errors import IrkitError
from dialects.graph import Derived, GraphOp, IndexOp, array_of, make
from dialects.graph.base import short_name
from dialects.quant import STORAGES, QuantType, quant
from dialects.types import DTYPES, AnyTensor, dims_of, dtype_name, np_dtype, tensor, type_text


@dataclass(frozen=True)
class Group:
    """Operands of one dtype, or a parameter that sets one: for each dtype that is taken, those of the results."""

    names: tuple[str, ...]
    places: tuple[int, ...]
    results: Mapping[str, tuple[str, ...]]
    dtype: str = ""

    @property
    def label(self) -> str:
        return ", ".join(f"`{name}`" for name in dict.fromkeys(self.names))


def groups(op: GraphOp) -> list[Group]:
    """The groups of an op in its example: operands first, then parameters that are a dtype or an array."""
    types: list[AnyTensor] = [v.type for v in op.operands]  # pyright: ignore[reportAssignmentType]
    values = op.values()
    names = type(op).OPERANDS
    found: list[Group] = []
    for dtype in dict.fromkeys(dtype_name(t.element_type) for t in types):
        places = tuple(i for i, t in enumerate(types) if dtype_name(t.element_type) == dtype)
        results = {
            d: r
            for d in DTYPES
            if (r := _results(op, in_dtype(types, places, d), stored_in(values, d))) is not None
        }
        found.append(Group(tuple(names[min(i, len(names) - 1)] for i in places), places, results, dtype))
    for key, param in type(op).PARAMS.items():
        if param.kind in ("dtype", "element", "dense"):
            tried = {
                d: {**values, key: _array(values[key], d) if param.kind == "dense" else d} for d in DTYPES
            }
            results = {d: r for d, v in tried.items() if (r := _results(op, types, v)) is not None}
            found.append(Group((key,), (), results))
    return found


def principal(found: list[Group]) -> Group:
    """The group that the columns of the table are about: the first that may have more than one dtype."""
    return next((g for g in found if len(g.results) > 1), found[0])


def in_dtype(types: list[AnyTensor], places: tuple[int, ...], dtype: str) -> list[AnyTensor]:
    """The types with some in another dtype."""
    return [tensor(dtype, dims_of(t)) if i in places else t for i, t in enumerate(types)]


def stored_in(values: Mapping[str, object], dtype: str) -> dict[str, object]:
    """The parameters with quantised types stored in a dtype, where it is one that stores them."""
    return {
        key: quant(DTYPES[dtype], v.expressed, v.scales, v.zeros)
        if isinstance(v, QuantType) and dtype in STORAGES
        else v
        for key, v in values.items()
    }


def _array(value: object, dtype: str) -> np.ndarray:
    return array_of(value).astype(np_dtype(dtype))  # pyright: ignore[reportArgumentType]


def _results(op: GraphOp, types: list[AnyTensor], values: Mapping[str, object]) -> tuple[str, ...] | None:
    """The dtypes of the results; None where the op refuses the operands."""
    block = Block(arg_types=types)
    given = {key: value for key, value in values.items() if value is not None}
    try:
        made = make(short_name(type(op)), list(block.args), given)
    except IrkitError:
        return None
    except Exception as fault:
        raise IrkitError(
            f"the op '{short_name(type(op))}' fails on operands that it should take or refuse",
            found=f"{type(fault).__name__} for {', '.join(map(type_text, types))}",
            expected="a result type, or Mismatch",
        ) from fault
    return tuple(dtype_name(r.type.element_type) for r in made.results)  # pyright: ignore


def chosen(op: GraphOp) -> list[tuple[str, ...]]:
    """The dtypes of the results for every word that a parameter may be, where that is more than one."""
    types: list[AnyTensor] = [v.type for v in op.operands]  # pyright: ignore[reportAssignmentType]
    values = op.values()
    tried = [_results(op, types, {**values, k: c}) for k, p in type(op).PARAMS.items() for c in p.choices]
    return [r for r in tried if r is not None]


def stated_by(op: GraphOp) -> list[str] | None:
    """The ops that a derived op is stated by, in order; `index` is index notation. None for a primitive one."""
    if not isinstance(op, Derived):
        return None
    return list(dict.fromkeys(_names(op.decomposed()[0])))


def _names(ops: list) -> Iterator[str]:
    for op in ops:
        if isinstance(op, GraphOp | IndexOp):
            if op.name != "graph.constant":
                yield short_name(op)
        elif op.regions:
            yield short_name(op)
        for region in op.regions if not isinstance(op, IndexOp) else ():
            yield from _names(list(region.block.ops))
