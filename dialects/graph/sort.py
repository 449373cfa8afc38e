"""Sorting: one primitive that gives the order; what is sorted by it is stated over it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from dialects.graph.base import Array, GraphOp, Mismatch, Param, Value, Values, register_op
from dialects.graph.derived.base import Derived
from dialects.graph.elementwise import check_kind
from dialects.graph.kernels import Call, Code, register_kernel
from dialects.graph.numerics import widened
from dialects.graph.shapes import axis_of, extent, integer
from dialects.graph.sketch import Term
from dialects.types import AnyTensor, dims_of, tensor, type_text


def order(x: Array, axis: int, descending: bool) -> Array:
    """The places of the elements in order; equal ones keep theirs. NaN is greater than all numbers."""
    (x,) = widened([x])
    if not descending:
        return np.argsort(x, axis=axis, kind="stable")
    # The order from the end, of the tensor from the end: equal elements keep their places.
    backwards = np.argsort(np.flip(x, axis), axis=axis, kind="stable")
    return np.flip(x.shape[axis] - 1 - backwards, axis)


@register_op
class ArgsortOp(GraphOp):
    """The places of the elements along a dim in ascending order: `graph.argsort %x {axis = 1, descending = false}`.

    Equal elements keep their order; NaN is greater than all numbers. The result is i64.
    """

    name = "graph.argsort"
    PARAMS: ClassVar = {"axis": Param("int", -1), "descending": Param("bool", False)}

    @classmethod
    def complete(cls, types: Sequence[AnyTensor], values: dict[str, Value]) -> None:
        values["axis"] = axis_of(values["axis"], len(dims_of(types[0])), "argsort")

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        check_kind("argsort", "fib", types, types[0].element_type)
        return [tensor("i64", dims_of(types[0]))]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        return [order(arrays[0], integer(values, "axis"), bool(values["descending"]))]


@register_op
class SortOp(Derived):
    """The elements along a dim in ascending order: `graph.sort %x {axis = 1, descending = false}`; NaN is the greatest."""

    name = "graph.sort"
    PARAMS: ClassVar = {"axis": Param("int", -1), "descending": Param("bool", False)}

    @classmethod
    def complete(cls, types: Sequence[AnyTensor], values: dict[str, Value]) -> None:
        values["axis"] = axis_of(values["axis"], len(dims_of(types[0])), "sort")

    @classmethod
    def formula(cls, x: Sequence[Term], values: Values) -> Sequence[Term]:
        places = x[0].of("argsort", **values)
        return [x[0].of("take_along", places, axis=values["axis"])]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        axis = integer(values, "axis")
        return [np.take_along_axis(arrays[0], order(arrays[0], axis, bool(values["descending"])), axis)]


@register_op
class TopKOp(Derived):
    """The k greatest elements along a dim, and their places: `%v, %i = graph.top_k %x {k = 3, axis = 1, largest = true}`.

    In descending order, or ascending from the least with largest = false; of equal elements the first come first,
    while torch's topk promises no order of their places.
    """

    name = "graph.top_k"
    PARAMS: ClassVar = {"k": Param("size"), "axis": Param("int", -1), "largest": Param("bool", True)}

    @classmethod
    def complete(cls, types: Sequence[AnyTensor], values: dict[str, Value]) -> None:
        values["axis"] = axis_of(values["axis"], len(dims_of(types[0])), "top_k")
        whole, k = dims_of(types[0])[integer(values, "axis")], extent(values, "k")
        if (k.value or 0) < 0 or ((whole - k).value or 0) < 0:
            message = f"there are no {k} elements in a dim of size {whole}"
            raise Mismatch(message, found=type_text(types[0]), expected=f"k from 0 to {whole}")

    @classmethod
    def formula(cls, x: Sequence[Term], values: Values) -> Sequence[Term]:
        (a,), axis = x, integer(values, "axis")
        places = a.of("argsort", axis=axis, descending=values["largest"])
        stops = [values["k"] if i == axis else d for i, d in enumerate(a.dims)]
        first = places.of("slice", starts=[0] * len(stops), stops=stops)
        return [a.of("take_along", first, axis=axis), first]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        axis, k = integer(values, "axis"), integer(values, "k")
        places = order(arrays[0], axis, bool(values["largest"]))
        places = places.take(range(k), axis)
        return [np.take_along_axis(arrays[0], places, axis), places]


SMALL = {
    "f16": "irk_f16_to_f32",
    "bf16": "irk_bf16_to_f32",
    "f8e4m3": "irk_f8e4m3_to_f32",
    "f8e5m2": "irk_f8e5m2_to_f32",
}
"""How small floats are widened before they are compared."""

KEYS = {"f64": "double", "bool": "uint8_t"} | {
    f"{s}{b}": f"{'u' * (s == 'u')}int{b}_t" for s in "iu" for b in (8, 16, 32, 64)
}
"""The C type in which elements are compared; floats up to 32 bits in float."""


def keys_of(code: Code) -> tuple[str, str, str]:
    """The C type of what is compared, the element at `at` as one, and whether key `a` comes before key `b`."""
    x = code.inputs[0]
    key = KEYS.get(x.dtype, "float")
    read = f"{SMALL[x.dtype]}({x.name}[at])" if x.dtype in SMALL else f"({key}){x.name}[at]"
    sign = ">" if code.call.values["descending"] else "<"
    nan = "(a == a && b != b)" if sign == "<" else "(a != a && b == b)"
    return key, read, f"(a {sign} b{f' || {nan}' if key in ('float', 'double') else ''})"


def _rows_scratch(call: Call) -> object:
    """Keys, and two lists of places."""
    n = call.operands[0].dims[integer(call.values, "axis")]
    return 24 * n + 64


@register_kernel("argsort", scratch=_rows_scratch)  # pyright: ignore[reportArgumentType]
def merge_sort(code: Code) -> str:
    """A stable merge sort of each row, from runs of 16 that are sorted by insertion; rows are split between the threads."""
    x, out, axis = code.inputs[0], code.outputs[0], integer(code.call.values, "axis")
    key, read, before = keys_of(code)
    return f"""
const int64_t n = {x.dims[axis]}, inner = {x.size(axis + 1)}, rows = {x.size(0, axis)} * inner;
{key} *const keys = ({key} *){code.scratch};
int64_t *from = (int64_t *)({code.scratch} + (8 * n + 63) / 64 * 64), *to = from + n;
int64_t row, last;
irk_chunk(0, rows, 1, tid, nthreads, &row, &last);
for (; row < last; row++) {{
  const int64_t base = row / inner * n * inner + row % inner;
  for (int64_t i = 0; i < n; i++) {{
    const int64_t at = base + i * inner;
    keys[i] = {read};
  }}
  for (int64_t low = 0; low < n; low += 16) {{
    const int64_t high = low + 16 < n ? low + 16 : n;
    for (int64_t i = low; i < high; i++) {{
      const {key} a = keys[i];
      int64_t k = i;
      for (; k > low; k--) {{
        const {key} b = keys[from[k - 1]];
        if (!{before}) break;
        from[k] = from[k - 1];
      }}
      from[k] = i;
    }}
  }}
  for (int64_t width = 16; width < n; width *= 2) {{
    for (int64_t low = 0; low < n; low += 2 * width) {{
      const int64_t middle = low + width < n ? low + width : n, high = middle + width < n ? middle + width : n;
      int64_t i = low, j = middle, k = low;
      while (i < middle && j < high) {{
        const {key} a = keys[from[j]], b = keys[from[i]];
        to[k++] = {before} ? from[j++] : from[i++];
      }}
      while (i < middle) to[k++] = from[i++];
      while (j < high) to[k++] = from[j++];
    }}
    int64_t *const other = from;
    from = to;
    to = other;
  }}
  for (int64_t i = 0; i < n; i++) {out.name}[base + i * inner] = from[i];
}}"""
