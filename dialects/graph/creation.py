"""Ops that make tensors: constants and random numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from xdsl.irdl import irdl_op_definition

from dialects.graph.base import Array, GraphOp, Mismatch, Param, Values, register_op
from dialects.graph.elementwise import cast_array
from dialects.graph.movement import shape_of
from dialects.types import DTYPES, AnyTensor, dims_of, is_float, np_dtype, tensor, type_text


@register_op
@irdl_op_definition
class ConstantOp(GraphOp):
    """Values known at compile time: `graph.constant {value = "0.5", dtype = "f32"}` with `shape`, all elements in order.

    One value stands for all. Values are text as Python prints them, so that inf and NaN survive.
    """

    name = "graph.constant"
    PARAMS: ClassVar = {"value": Param("str"), "dtype": Param("str"), "shape": Param("dims", ())}
    ARITY: ClassVar = (0, 0)
    OPERANDS: ClassVar = ()

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        if values["dtype"] not in DTYPES:
            raise Mismatch("unknown dtype", found=str(values["dtype"]), expected=", ".join(DTYPES))
        return [tensor(str(values["dtype"]), shape_of(values))]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        return [constant_array(values, results[0])]

    def array(self) -> Array:
        """The constant's value."""
        return constant_array(self.values(), self.outputs[0].type)  # pyright: ignore


def constant_array(values: Values, type_: AnyTensor) -> Array:
    """The array of a constant's text."""
    element, shape = type_.element_type, [d.value for d in dims_of(type_)]
    words = str(values["value"]).replace(",", " ").split()
    kind = np_dtype(element)
    if kind.kind == "b":
        parsed = np.array([w in ("True", "true", "1") for w in words])
    elif kind.kind == "c":
        parsed = np.array([complex(w) for w in words])
    elif is_float(element):
        parsed = np.array([float(w) for w in words])
    else:
        parsed = np.array([int(w) for w in words], dtype=object)
    flat = cast_array(parsed, element) if is_float(element) else parsed.astype(kind)
    return np.broadcast_to(flat, shape) if flat.size == 1 else flat.reshape(shape)  # pyright: ignore


def constant_text(array: Array) -> str:
    """The text of a constant's elements, that `constant_array` reads back exactly."""
    flat = array.reshape(-1)
    if flat.size > 1 and (flat == flat[0]).all():
        flat = flat[:1]
    if array.dtype.kind not in "bciu" and array.dtype.kind != "f":
        flat = flat.astype(np.float32) if "float" in array.dtype.name else flat.astype(np.int64)
    return " ".join(repr(v.item()).strip("()") for v in flat)


# -- random numbers ---------------------------------------------------------------------------------------------

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
_LOW = np.uint64(0xFFFFFFFF)


def philox(key: tuple[int, int], counters: Array) -> Array:
    """Philox-4x32-10: for each 64-bit counter four 32-bit words, as uint32 [n, 4].

    J. Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", 2011. The counter fills words 0 and 1.
    """
    c = [counters & _LOW, counters >> np.uint64(32), np.zeros_like(counters), np.zeros_like(counters)]
    k0, k1 = key
    for _ in range(10):
        p0, p1 = c[0] * _M0, c[2] * _M1
        c = [
            (p1 >> np.uint64(32)) ^ c[1] ^ np.uint64(k0),
            p1 & _LOW,
            (p0 >> np.uint64(32)) ^ c[3] ^ np.uint64(k1),
            p0 & _LOW,
        ]
        k0, k1 = (k0 + _W0) & 0xFFFFFFFF, (k1 + _W1) & 0xFFFFFFFF
    return np.stack(c, axis=-1).astype(np.uint32)


@register_op
@irdl_op_definition
class RandomOp(GraphOp):
    """Random f32 numbers from a key u32[2], by Philox-4x32-10: element i takes word 0 (and 1) of counter i.

    uniform: (word >> 8) * 2^-24, in [0, 1). normal: Box-Muller of ((word 0 >> 8) + 0.5) * 2^-24 and word 1's uniform.
    """

    name = "graph.random"
    PARAMS: ClassVar = {"shape": Param("dims"), "dist": Param("str", "uniform")}
    OPERANDS: ClassVar = ("key",)

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        if types[0] != tensor("u32", [2]):
            raise Mismatch("the key of random is u32[2]", found=type_text(types[0]))
        if values["dist"] not in ("uniform", "normal"):
            raise Mismatch("unknown distribution", found=str(values["dist"]), expected="uniform or normal")
        return [tensor("f32", shape_of(values))]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        shape = [d.value for d in dims_of(results[0])]
        count = int(np.prod(shape, dtype=np.int64))  # pyright: ignore
        words = philox((int(arrays[0][0]), int(arrays[0][1])), np.arange(count, dtype=np.uint64))
        unit = (words >> 8).astype(np.float32) * np.float32(2.0**-24)
        if values["dist"] == "uniform":
            return [unit[:, 0].reshape(shape)]  # pyright: ignore
        radius = np.sqrt(-2 * np.log(((words[:, 0] >> 8).astype(np.float64) + 0.5) * 2.0**-24))
        return [(radius * np.cos(2 * np.pi * unit[:, 1].astype(np.float64))).astype(np.float32).reshape(shape)]  # pyright: ignore


