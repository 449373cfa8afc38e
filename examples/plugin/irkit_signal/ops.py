"""The ops: what they take, what they give, and a NumPy reference that judges every kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from dialects.graph.base import Array, GraphOp, Mismatch, Param, Values, register_op
from dialects.graph.elementwise import Elementwise, check_kind
from dialects.types import AnyTensor, dims_of, type_text


@register_op
class SoftclipOp(Elementwise):
    """x / (1 + |x|): `signal.softclip %x : (tensor<8xf32>) -> tensor<8xf32>`."""

    name = "signal.softclip"
    TAKES: ClassVar = "f"
    FUNCTION: ClassVar = staticmethod(lambda x: x / (1 + np.abs(x)))


@register_op
class MedianOp(GraphOp):
    """The median of `width` samples around each, along the last dim; at the ends the first and last sample stand in.

    `signal.median %x {width = 3}`
    """

    name = "signal.median"
    PARAMS: ClassVar = {"width": Param("int", 3)}

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        check_kind("median", "f", types, types[0].element_type)
        width = values["width"]
        if not dims_of(types[0]):
            raise Mismatch("median takes a tensor of rank 1 or more", found=type_text(types[0]))
        if not isinstance(width, int) or width < 1 or width % 2 == 0 or width > 99:
            raise Mismatch("bad width of median", found=str(width), expected="an odd number from 1 to 99")
        return [types[0]]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        (x,), width = arrays, values["width"]
        assert isinstance(width, int)
        if not x.size:
            return [x]
        ends = [(0, 0)] * (x.ndim - 1) + [(width // 2, width // 2)]
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, ends, "edge"), width, -1)
        return [np.sort(windows, axis=-1)[..., width // 2]]
