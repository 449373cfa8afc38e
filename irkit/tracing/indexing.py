"""Square brackets on tensors, and `x.at[i].set(v)`: slices are slices, tensors of integers gather and scatter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dialects.dims import ZERO, Dim, ceildiv
from dialects.types import dims_of, is_integer, type_text
from irkit.lang.builder import type_of
from irkit.tracing.errors import TraceError, place
from irkit.tracing.operators import one
from irkit.tracing.sizes import Size, dim_of
from irkit.tracing.tensor import Tensor

MODES = {"set": "set", "add": "add", "mul": "mul", "multiply": "mul", "max": "max", "min": "min"}


@dataclass
class Part:
    """What one index says of one dim: a range, a place that drops the dim, or a tensor of places."""

    start: Dim
    stop: Dim
    stride: int = 1
    drops: bool = False
    flips: bool = False
    places: Tensor | np.ndarray | None = None

    def is_whole(self, size: Dim) -> bool:
        return (self.start, self.stop, self.stride) == (ZERO, size, 1)


@dataclass
class Key:
    """An index, dim by dim; `new` are the places of new dims among those of the result."""

    parts: list[Part]
    shape: list[Dim | None] = field(default_factory=list)


def subscript(x: Tensor, key: object) -> Tensor:
    """`x[1:3, ..., -1]`, `x[None]`, `x[rows]`. Raises TraceError."""
    items = _expanded(x, key)
    sizes = list(dims_of(x.value.type))
    parts = _parts(x, [i for i in items if i is not None], sizes)
    _check_order(parts)
    y = x
    if not all(p.is_whole(s) for p, s in zip(parts, sizes, strict=True)):
        strides = [p.stride for p in parts]
        y = one(
            "slice",
            y,
            starts=[p.start for p in parts],
            stops=[p.stop for p in parts],
            strides=strides if set(strides) != {1} else None,
        )
    if flipped := [i for i, p in enumerate(parts) if p.flips]:
        y = one("flip", y, axes=flipped)
    kept: list[list[Dim]] = [
        [] if p.drops else [d] for p, d in zip(parts, dims_of(y.value.type), strict=True)
    ]
    for axis, part in enumerate(parts):
        if part.places is not None:
            y = one("gather", y, part.places, axis=axis)
            kept[axis] = [dim_of(n) for n in part.places.shape]
    queue = iter(kept)
    shape = [d for item in items for d in ([Dim.of(1)] if item is None else next(queue))]
    return y if tuple(shape) == dims_of(y.value.type) else one("reshape", y, shape=shape)


def _expanded(x: Tensor, key: object) -> list[Any]:
    """The items of an index, one for each dim and None for a new one."""
    items = list(key) if isinstance(key, tuple) else [key]
    count = sum(1 for i in items if i is not None and i is not Ellipsis)
    if count > x.ndim:
        raise TraceError("too many indices", place(), found=f"{count} for {x}", expected=f"at most {x.ndim}")
    whole = [slice(None)] * (x.ndim - count)
    dots = [n for n, i in enumerate(items) if i is Ellipsis]
    if len(dots) > 1:
        raise TraceError("an index has one ...", place())
    at = dots[0] if dots else len(items)
    return [*items[:at], *whole, *items[at + 1 :]]


def _parts(x: Tensor, items: Sequence[Any], sizes: Sequence[Dim]) -> list[Part]:
    return [_part(x, item, size) for item, size in zip(items, sizes, strict=True)]


def _part(x: Tensor, item: Any, size: Dim) -> Part:
    if isinstance(item, slice):
        return _range(item, size)
    if isinstance(item, bool | np.bool_) or (
        isinstance(item, list | np.ndarray) and np.asarray(item).dtype == bool
    ):
        hint = "np.where(mask, x, 0) keeps the shape"
        raise TraceError("a mask has no shape while tracing", place(), hint=hint)
    if isinstance(item, int | np.integer | Size):
        return _position(x, dim_of(item), size)
    places = np.asarray(item) if isinstance(item, list) else item
    if isinstance(places, Tensor):
        element = type_of(places.value).element_type
        if not is_integer(element):
            mask = places.dtype_name == "bool"
            hint = "np.where(mask, x, 0) keeps the shape" if mask else 'i.astype("i32") converts'
            raise TraceError(
                "an index is an integer", place(), found=type_text(type_of(places.value)), hint=hint
            )
        return Part(ZERO, size, places=places)
    if isinstance(places, np.ndarray) and places.dtype.kind in "iu":
        return Part(ZERO, size, places=places)
    raise TraceError(
        "this is no index", place(), found=repr(item)[:60], expected="integers, slices, integer tensors"
    )


def _position(x: Tensor, at: Dim, size: Dim) -> Part:
    start = at + size if (at.value or 0) < 0 else at
    if size.value is not None and start.value is not None and not 0 <= start.value < size.value:
        raise TraceError(f"index {at} is out of range", place(), found=f"a dim of size {size} of {x}")
    return Part(start, start + 1, drops=True)


def _range(item: slice, size: Dim) -> Part:
    step = 1 if item.step is None else int(item.step)
    ends = [item.start, item.stop]
    if any(isinstance(e, Tensor) for e in ends):
        hint = "x[start + np.arange(n)] takes n elements from a place that is a tensor"
        raise TraceError("the ends of a slice are known while tracing", place(), hint=hint)
    if size.value is not None and not any(isinstance(e, Size) for e in ends):
        first, last = (None if e is None else int(e) for e in ends)
        start, stop, step = slice(first, last, step).indices(size.value)
        count = len(range(start, stop, step))
        if step > 0:
            return Part(Dim.of(start), Dim.of(max(start, stop)), step)
        lowest = start + (count - 1) * step if count else 0
        return Part(Dim.of(lowest), Dim.of(start + 1 if count else 0), -step, flips=True)
    if step < 0:
        if ends != [None, None] or step != -1:
            raise TraceError("a slice backwards of a dim with a range", place(), hint="slice, then x[::-1]")
        return Part(ZERO, size, flips=True)
    first, last = (e if e is None else dim_of(e) for e in ends)
    front = [d + size if d is not None and (d.value or 0) < 0 else d for d in (first, last)]
    return Part(front[0] or ZERO, size if front[1] is None else front[1], step)


def _check_order(parts: Sequence[Part]) -> None:
    """One tensor of places, and no integer apart from it: NumPy would move dims then."""
    tensors = [n for n, p in enumerate(parts) if p.places is not None]
    if len(tensors) > 1:
        hint = "irkit.ops.gather_nd(x, index) picks by several indices; x[i][:, j] takes rows, then columns"
        raise TraceError("two tensors as indices", place(), hint=hint)
    if tensors and any(p.drops for p in parts):
        raise TraceError("an integer beside a tensor as index", place(), hint="index in two steps: x[0][i]")


# -- new tensors from old ones ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class At:
    """`x.at[i]`, of which `.set(v)`, `.add(v)`, `.mul(v)`, `.max(v)` and `.min(v)` give a new tensor."""

    x: Tensor

    def __getitem__(self, key: object) -> Place:
        return Place(self.x, key)


@dataclass(frozen=True)
class Place:
    """The elements of a tensor at an index."""

    x: Tensor
    key: object

    def set(self, value: object) -> Tensor:
        return update(self.x, self.key, value, "set")

    def add(self, value: object) -> Tensor:
        return update(self.x, self.key, value, "add")

    def mul(self, value: object) -> Tensor:
        return update(self.x, self.key, value, "mul")

    def max(self, value: object) -> Tensor:
        return update(self.x, self.key, value, "max")

    def min(self, value: object) -> Tensor:
        return update(self.x, self.key, value, "min")


def update(x: Tensor, key: object, value: object, mode: str) -> Tensor:
    """x with the elements at an index combined with a value, which broadcasts. Raises TraceError."""
    items = _expanded(x, key)
    if any(i is None for i in items):
        raise TraceError("an index that writes makes no new dims", place())
    sizes = dims_of(x.value.type)
    parts = _parts(x, items, sizes)
    chosen = [n for n, p in enumerate(parts) if not p.is_whole(sizes[n]) or p.places is not None or p.flips]
    if not chosen:
        return _whole(x, value, mode)
    first, *rest = chosen
    if rest:  # one dim after the other: the rows that change, with their own elements changed
        own: list[Any] = [slice(None)] * len(items)
        own[first] = items[first]
        inner = [i for n, i in enumerate(items) if n != first or not parts[first].drops]
        if not parts[first].drops:
            inner[first] = slice(None)
        _check_order(parts)
        return update(x, tuple(own), update(x[tuple(own)], tuple(inner), value, mode), "set")
    part = parts[first]
    shape = [*sizes[:first], *_row(part), *sizes[first + 1 :]]
    updates = one("broadcast", _like(x, value), shape=shape)
    return one("scatter", x, _index(part), updates, axis=first, mode=mode)


def _row(part: Part) -> list[Dim]:
    """The dims that the places of a part have."""
    if part.places is not None:
        return [dim_of(n) for n in part.places.shape]
    return [] if part.drops else [ceildiv(part.stop - part.start, part.stride)]


def _index(part: Part) -> object:
    """The places that a part of an index names, as an integer tensor."""
    if part.places is not None:
        return part.places
    if part.drops:
        return _scalar(part.start)
    if part.start.value is None or part.stop.value is None:
        steps = one("iota", shape=_row(part))
        return steps if part.start == ZERO and part.stride == 1 else steps * part.stride + _number(part.start)
    places = np.arange(part.start.value, part.stop.value, part.stride, dtype=np.int64)
    return places[::-1].copy() if part.flips else places


def _scalar(at: Dim) -> np.ndarray:
    return np.asarray(_number(at), np.int64)


def _number(at: Dim) -> int:
    if at.value is None:
        raise TraceError(f"the place {at} has no value while tracing", place(), hint="give the dim a size")
    return at.value


def _like(x: Tensor, value: object) -> Tensor:
    """A value to write, a number in the dtype of x."""
    if isinstance(value, Tensor):
        return value
    trace = x.trace
    return Tensor(trace, trace.value(value, type_of(x.value).element_type, place()))


def _whole(x: Tensor, value: object, mode: str) -> Tensor:
    new = _like(x, value)
    if mode == "set":
        return one("broadcast", new, shape=list(dims_of(x.value.type)))
    return one(mode, x, new)
