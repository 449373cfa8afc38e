"""Ops on quantised elements: which move or compare what is stored, and what becomes of the scales.

Each rule gives the element types of the results. Where scales go along a dim, they follow it: through a transpose, a
slice, a concat. What would mix elements of several scales is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from xdsl.ir import Attribute

from dialects.dims import product
from dialects.graph.base import OPS, Array, Mismatch, Values
from dialects.graph.carrying import QUANTISED, QuantRule, check_fits
from dialects.graph.numerics import along_dim, dequantised_array, quantised_array
from dialects.graph.shapes import dims, extents, integer, ints, number
from dialects.quant import QuantType, quant
from dialects.types import AnyTensor, dims_of, dtype_name, np_dtype, type_text

Types = Sequence[AnyTensor]
Results = list[AnyTensor]
Elements = list[Attribute]


def element_of(type_: AnyTensor) -> QuantType:
    """The quantised element type of a tensor."""
    assert isinstance(type_.element_type, QuantType)
    return type_.element_type


def refused(name: str, type_: AnyTensor, why: str) -> Mismatch:
    """The error for an op that would mix elements of several scales."""
    return Mismatch(
        f"{name} does not keep the scales of a quantised tensor apart",
        found=type_text(type_),
        expected=why,
        hint=f"dequantise with cast(x, {dtype_name(element_of(type_).expressed)})",
    )


def picked(q: QuantType, places: Iterable[int], along: int) -> QuantType:
    """The type whose scales along a dim are those of these elements of the dim that q has its scales along."""
    blocks = [p // q.each for p in places] or [0]
    if len(set(blocks)) == 1:
        return quant(q.storage, q.expressed, [q.scales[blocks[0]]], [q.zeros[blocks[0]]])
    runs = np.reshape(blocks, (-1, q.each)) if len(blocks) % q.each == 0 else np.empty((0, 0))
    if q.each > 1 and runs.size and (runs == runs[:, :1]).all():
        kept, block = runs[:, 0].tolist(), q.each
    else:
        kept, block = blocks, 1
    return quant(
        q.storage, q.expressed, [q.scales[b] for b in kept], [q.zeros[b] for b in kept], along, block
    )


def moved(q: QuantType, along: int) -> QuantType:
    """The type with its scales along another dim."""
    return quant(q.storage, q.expressed, q.scales, q.zeros, along, q.block.data)


# -- ops that move elements -----------------------------------------------------------------------------------------


def _same(types: Types, values: Values, results: Results) -> Elements:
    """The scales stay where they are."""
    return [element_of(types[0])] * len(results)


def _whole(name: str) -> Callable[[Types, Values, Results], Elements]:
    """One scale for all, or none of it."""

    def rule(types: Types, values: Values, results: Results) -> Elements:
        for type_ in types:
            if isinstance(type_.element_type, QuantType) and type_.element_type.along is not None:
                raise refused(name, type_, "one scale for the whole tensor")
        _check_equal(name, [t for t in types if isinstance(t.element_type, QuantType)])
        return _same(types, values, results)

    return rule


def _check_equal(name: str, types: Types) -> None:
    for type_ in types[1:]:
        if type_.element_type != types[0].element_type:
            raise Mismatch(
                f"{name} needs operands of one quantised type",
                found=" and ".join(map(type_text, (types[0], type_))),
                hint=f"cast one to the other's type: cast(x, {dtype_name(types[0].element_type)})",
            )


def _reshape(types: Types, values: Values, results: Results) -> Elements:
    q, old, new = element_of(types[0]), dims_of(types[0]), dims_of(results[0])
    if q.along is None:
        return [q]
    before = product(old[: q.along])
    for place, size in enumerate(new):
        if size == old[q.along] and product(new[:place]) == before:
            return [moved(q, place)]
    raise refused("reshape", types[0], f"dim {q.along}, along which the scales go, to stay a dim")


def _transpose(types: Types, values: Values, results: Results) -> Elements:
    q = element_of(types[0])
    return [q if q.along is None else moved(q, ints(values, "perm").index(q.along))]


def _broadcast(types: Types, values: Values, results: Results) -> Elements:
    q = element_of(types[0])
    added = len(dims_of(results[0])) - len(dims_of(types[0]))
    return [q if q.along is None else moved(q, q.along + added)]


def _concat(types: Types, values: Values, results: Results) -> Elements:
    q, axis = element_of(types[0]), integer(values, "axis")
    parts = [element_of(t) for t in types]
    if q.along != axis:
        _check_equal("concat", types)
        return [q]
    if any(
        (p.storage, p.expressed, p.along, p.each) != (q.storage, q.expressed, axis, q.each) for p in parts
    ):
        _check_equal("concat", types)
    scales, zeros = [s for p in parts for s in p.scales], [z for p in parts for z in p.zeros]
    return [quant(q.storage, q.expressed, scales, zeros, axis, q.block.data)]


def _along(
    name: str, places: Callable[[Values, Array, int], Array | None]
) -> Callable[[Types, Values, Results], Elements]:
    """An op that keeps the dims in order; `places` gives from (parameters, the places along a dim, the dim) those
    that remain, and None where that is not known."""

    def rule(types: Types, values: Values, results: Results) -> Elements:
        q = element_of(types[0])
        if q.along is None:
            return _same(types, values, results)
        kept = places(values, np.arange(len(q.scales) * q.each), q.along)
        if kept is None:
            raise refused(name, types[0], f"a dim that is not {q.along}, along which the scales go")
        return [picked(q, kept.tolist(), q.along)]

    return rule


def _split(types: Types, values: Values, results: Results) -> Elements:
    q = element_of(types[0])
    if q.along is None or q.along != values["axis"]:
        return _same(types, values, results)
    parts = np.split(np.arange(len(q.scales) * q.each), len(results))
    return [picked(q, part.tolist(), q.along) for part in parts]


def _sliced(values: Values, row: Array, along: int) -> Array | None:
    start, stop = (dims(values, k)[along].value for k in ("starts", "stops"))
    if start is None or stop is None:
        return None
    return row[start : stop : ints(values, "strides")[along]]


def _padded(values: Values, row: Array, along: int) -> Array | None:
    before, after = (d.value for d in extents(values, "pads")[2 * along : 2 * along + 2])
    if before is None or after is None:
        return None
    mode = str(values["mode"])
    return np.pad(row, (before, after), "edge" if mode == "constant" else mode)  # pyright: ignore


def _tiled(values: Values, row: Array, along: int) -> Array | None:
    count = extents(values, "repeats")[along].value
    return None if count is None else np.tile(row, count)


def _pad(types: Types, values: Values, results: Results) -> Elements:
    elements = _along("pad", _padded)(types, values, results)
    if values["mode"] == "constant":
        stored_value(types[0], values)
    return elements


def stored_value(type_: AnyTensor, values: Values) -> float:
    """The number that stands in memory for the value that pad puts around; raises Mismatch where there are several."""
    q = element_of(type_)
    value = np.full(len(q.scales), number(values, "value"))
    row = quant(q.storage, q.expressed, q.scales, q.zeros, 0 if len(q.scales) > 1 else -1)
    found = {float(v) for v in quantised_array(value, row).astype(np.float64)}
    if len(found) > 1:
        raise refused("pad", type_, f"one number that is stored for {number(values, 'value'):g}")
    return found.pop()


def _run_pad(types: Types, arrays: Sequence[Array], values: Values, results: Types) -> list[Array]:
    if values["mode"] == "constant":
        values = {**values, "value": stored_value(types[0], values)}
    if arrays[0].dtype in (np_dtype("i4"), np_dtype("u4")):  # which NumPy does not pad
        wide = OPS["pad"].reference([arrays[0].astype(np.int8)], values, results)
        return [wide[0].astype(arrays[0].dtype)]
    return OPS["pad"].reference(arrays, values, results)


def _gather(types: Types, values: Values, results: Results) -> Elements:
    q, axis = element_of(types[0]), integer(values, "axis")
    if q.along is None or q.along < axis:
        return [q]
    if q.along == axis:
        raise refused("gather", types[0], f"another dim than {axis}, along which the scales go")
    return [moved(q, q.along + len(dims_of(types[1])) - 1)]


def _gather_nd(types: Types, values: Values, results: Results) -> Elements:
    q, index = element_of(types[0]), dims_of(types[1])
    if q.along is None:
        return [q]
    depth = index[-1].value or 0
    if q.along < depth:
        raise refused("gather_nd", types[0], f"scales along a dim from {depth} on")
    return [moved(q, q.along - depth + len(index) - 1)]


def _resize(types: Types, values: Values, results: Results) -> Elements:
    q = element_of(types[0])
    if q.along is not None and q.along >= len(dims_of(types[0])) - 2:
        raise refused("resize_nearest", types[0], "scales along another dim than the last two")
    return [q]


def _triangle(name: str) -> Callable[[Types, Values, Results], Elements]:
    def rule(types: Types, values: Values, results: Results) -> Elements:
        if any(element_of(types[0]).zeros):
            raise refused(name, types[0], "zero points that are 0, since 0 is put in")
        return _same(types, values, results)

    return rule


def _scatter(name: str) -> Callable[[Types, Values, Results], Elements]:
    def rule(types: Types, values: Values, results: Results) -> Elements:
        if values["mode"] in ("add", "mul"):
            raise refused(name, types[0], 'the mode "set", "max" or "min"')
        return _whole(name)(types, values, results)

    return rule


# -- ops that compare ----------------------------------------------------------------------------------------------


def _pairs(name: str, first: int = 0) -> Callable[[Types, Values, Results], Elements]:
    """Operands of one type; with scales along a dim they have the dims of the result."""

    def rule(types: Types, values: Values, results: Results) -> Elements:
        _check_equal(name, types[first:])
        q = element_of(types[first])
        for type_ in types[first:]:
            if q.along is not None and dims_of(type_) != dims_of(results[0]):
                raise refused(name, type_, "operands of one shape")
        return [q]

    return rule


def _reduced(name: str) -> Callable[[Types, Values, Results], Elements]:
    def rule(types: Types, values: Values, results: Results) -> Elements:
        q, gone = element_of(types[0]), ints(values, "axes")
        if q.along is None:
            return [q]
        if q.along in gone:
            raise refused(name, types[0], f"other dims than {q.along}, along which the scales go")
        return [q if values["keepdims"] else moved(q, q.along - sum(a < q.along for a in gone))]

    return rule


def _pooled(name: str) -> Callable[[Types, Values, Results], Elements]:
    def rule(types: Types, values: Values, results: Results) -> Elements:
        q = element_of(types[0])
        if q.along is not None and q.along >= 2:
            raise refused(name, types[0], "scales along dim 0 or 1")
        return [q]

    return rule


def _run_relu(types: Types, arrays: Sequence[Array], values: Values, results: Types) -> list[Array]:
    """What stands for zero is the zero point."""
    q, (x,) = element_of(types[0]), arrays
    floor = along_dim(q.zeros, q, x.ndim, np.int64).astype(x.dtype)
    return [np.where(x > floor, x, np.broadcast_to(floor, x.shape)) if x.dtype.kind in "iu" else _relu(x)]


def _relu(x: Array) -> Array:
    return np.maximum(x.astype(np.float32), 0).astype(x.dtype)


# -- conversions ---------------------------------------------------------------------------------------------------


def _converted(types: Types, values: Values, results: Results) -> Elements:
    """What the op itself infers."""
    check_fits(results[0].element_type, dims_of(types[0]))
    return [results[0].element_type]


def _cast(types: Types, values: Values, results: Results) -> Elements:
    target = values["dtype"]
    if isinstance(target, str) and target[0] == "c":
        raise Mismatch(f"no cast from a quantised type to {target}", found=type_text(types[0]))
    return _converted(types, values, results)


def _run_cast(types: Types, arrays: Sequence[Array], values: Values, results: Types) -> list[Array]:
    if values["dtype"] == types[0].element_type:
        return [arrays[0]]
    return OPS["cast"].reference([dequantised_array(arrays[0], element_of(types[0]))], values, results)


SCATTERS = ("scatter", "scatter_nd", "scatter_along")

QUANTISED.update(
    {
        "cast": QuantRule(_cast, _run_cast, expressed=True),
        "reinterpret": QuantRule(_converted),
        "reshape": QuantRule(_reshape),
        "transpose": QuantRule(_transpose),
        "broadcast": QuantRule(_broadcast),
        "concat": QuantRule(_concat, places=None),
        "slice": QuantRule(_along("slice", _sliced)),
        "flip": QuantRule(_along("flip", lambda v, row, i: row[::-1] if i in ints(v, "axes") else row)),
        "roll": QuantRule(
            _along("roll", lambda v, row, i: np.roll(row, integer(v, "shift")) if i == v["axis"] else row)
        ),
        "tile": QuantRule(_along("tile", _tiled)),
        "split": QuantRule(_split),
        "pad": QuantRule(_pad, _run_pad),
        "take_along": QuantRule(_along("take_along", lambda v, row, i: None if i == v["axis"] else row)),
        "gather": QuantRule(_gather),
        "gather_nd": QuantRule(_gather_nd),
        "pixel_shuffle": QuantRule(_whole("pixel_shuffle")),
        "resize_nearest": QuantRule(_resize),
        **{name: QuantRule(_triangle(name)) for name in ("tril", "triu")},
        **{name: QuantRule(_scatter(name), places=(0, 2)) for name in SCATTERS},
        "where": QuantRule(_pairs("where", 1), places=(1, 2)),
        **{name: QuantRule(_pairs(name), places=None, compares=True) for name in ("min", "max")},
        **{name: QuantRule(_reduced(name), compares=True) for name in ("reduce_min", "reduce_max")},
        **{name: QuantRule(_pooled(name), compares=True) for name in ("max_pool2d", "global_max_pool")},
        "relu": QuantRule(_same, _run_relu, compares=True),
    }
)
