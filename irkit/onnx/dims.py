"""Named dims of a model as dims of the language, each with a range."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx

from dialects.errors import IrkitError
from irkit.diagnostics import nearest
from irkit.lang.program import MAX_DIM
from irkit.lang.unparse.text import MEANINGS
from irkit.tracing.sizes import Size, dim

GREATEST = 512
"""What a dim is at most, unless told otherwise; one declaration of the `.tg` file says it, and may be changed there."""


class Dims:
    """The dims that a model leaves open, by its names for them."""

    def __init__(self, given: Mapping[str, int | tuple[int, int]], model: onnx.ModelProto):
        self.given = dict(given)
        self.names: dict[str, str] = {}
        self.made: dict[str, Size | int] = {}
        self.unnamed = 0
        open_ = [d.dim_param for i in model.graph.input for d in i.type.tensor_type.shape.dim if d.dim_param]
        unnamed = sum(_is_open(d) for i in model.graph.input for d in i.type.tensor_type.shape.dim)
        known = {*open_, *(_own_name(n) for n in open_), *(f"dim{n}" for n in range(1, unnamed + 1))}
        for name in self.given:
            if name not in known:
                hint = nearest(name, sorted(known)) or (
                    "all dims of the model have sizes" if not known else None
                )
                raise IrkitError(f"the model has no dim '{name}'", hint=hint)
            if not _is_range(self.given[name]):
                raise IrkitError(
                    f"bad size of dim '{name}'",
                    found=str(self.given[name]),
                    expected=f"a size, or a range (least, greatest), from 0 to {MAX_DIM}",
                )

    def shape(self, info: onnx.ValueInfoProto) -> list[Size | int]:
        """The sizes of an input."""
        return [self._size(d) for d in info.type.tensor_type.shape.dim]

    def _size(self, proto: onnx.TensorShapeProto.Dimension) -> Size | int:
        if proto.HasField("dim_value") and proto.dim_value >= 0:
            return proto.dim_value
        if not proto.dim_param:
            self.unnamed += 1
            return self._named(f"dim{self.unnamed}", f"{self.unnamed} without a name")
        return self._named(proto.dim_param, proto.dim_param)

    def _named(self, name: str, key: str) -> Size | int:
        if key not in self.made:
            own = _own_name(name)
            while own in self.names.values():
                own += "_"
            self.names[key] = own
            told = self.given.get(name, self.given.get(own, (1, GREATEST)))
            self.made[key] = int(told) if not isinstance(told, tuple) else dim(own, told[0], told[0], told[1])
        return self.made[key]


def _is_range(told: Any) -> bool:
    """Whether a dim can have a size, or all sizes from one to another."""
    ends: Any = told if isinstance(told, tuple) and len(told) == 2 else (told, told)
    whole = all(isinstance(n, int | np.integer) and not isinstance(n, bool) for n in ends)
    return whole and 0 <= ends[0] <= ends[1] <= MAX_DIM


def _is_open(proto: onnx.TensorShapeProto.Dimension) -> bool:
    return not proto.dim_param and not (proto.HasField("dim_value") and proto.dim_value >= 0)


def _own_name(name: str) -> str:
    """A name of the model as one of the language."""
    own = re.sub(r"\W", "_", name, flags=re.ASCII)
    if not own or not own[0].isalpha():
        own = f"dim_{own}"
    return f"{own}_" if own in MEANINGS else own
