"""Resize: each axis by known places, or by sums with known weights."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from math import floor, isclose
from operator import add
from typing import Any

import numpy as np

from dialects.types import np_dtype
from irkit.onnx.faults import Unsupported
from irkit.onnx.node import Node, Result, rule
from irkit.onnx.rules.interpolation import Axis, cubic, linear, nearest, weights
from irkit.onnx.values import is_float
from irkit.tracing import ops
from irkit.tracing.sizes import Size, dim_of
from irkit.tracing.tensor import Tensor

HALF_PIXEL = ("half_pixel", "pytorch_half_pixel", "half_pixel_symmetric")
FACTORS = range(2, 65)
"""By which a dim without a value may grow."""

FEW = 4
"""So many terms of a sum are gathered one by one."""


@rule("Upsample")
def upsample(n: Node) -> Result:
    scales = n.needs("scales") if n.version < 9 else n.known(1, "the scales").reshape(-1)
    mode = n.only("mode", "nearest", "linear", "bilinear").removeprefix("bi")
    return resized(n, n[0], list(range(n.rank())), _scaled(n[0].shape, scales), mode, "asymmetric", "floor")


@rule("Resize")
def resize(n: Node) -> Result:
    x = n[0]
    mode = n.only("mode", "nearest", "linear", "cubic")
    if n.version < 11:
        scales = n.known(1, "the scales").reshape(-1)
        return resized(n, x, list(range(x.ndim)), _scaled(x.shape, scales), mode, "asymmetric", "floor")
    axes = n.axes(None, x.ndim) or list(range(x.ndim))
    sizes = [x.shape[a] for a in axes]
    if n.has(2) and n.known(2, "the scales").size:
        targets = _scaled(sizes, n.known(2).reshape(-1))
    else:
        policy = n.only("keep_aspect_ratio_policy", "stretch", "not_larger", "not_smaller")
        targets = _sized(sizes, n.sizes(3, "the sizes"), policy)
    places = n.attr("coordinate_transformation_mode", "half_pixel")
    return resized(n, x, axes, targets, mode, places, n.attr("nearest_mode", "round_prefer_floor"))


Target = tuple["Size | int", float | None]
"""A new size, and the scale, which is not known where the new size is an expression."""


def _scaled(sizes: Sequence[Size | int], scales: Iterable[float]) -> list[Target]:
    out: list[Target] = []
    for size, scale in zip(sizes, map(float, scales), strict=True):
        if isinstance(size, Size):
            if scale != floor(scale):
                raise Unsupported(f"the dim {size} scaled by {scale:g}")
            out.append((size * int(scale), scale))
        else:
            out.append((floor(scale * size), scale))
    return out


def _sized(sizes: Sequence[Size | int], wanted: Sequence[Size | int], policy: str) -> list[Target]:
    if policy == "stretch":
        return [(b, _ratio(a, b)) for a, b in zip(sizes, wanted, strict=True)]
    ratios = [_ratio(a, b) for a, b in zip(sizes, wanted, strict=True)]
    if any(r is None for r in ratios) or any(isinstance(s, Size) for s in sizes):
        raise Unsupported("a dim without a value whose aspect ratio is kept")
    scale = (min if policy == "not_larger" else max)(ratios)  # pyright: ignore[reportArgumentType]
    return [(int(scale * a + 0.5), scale) for a in sizes]  # pyright: ignore[reportOperatorIssue]


def _ratio(size: Size | int, wanted: Size | int) -> float | None:
    if isinstance(size, int) and isinstance(wanted, int):
        return wanted / size if size else 1.0
    return next((float(k) for k in (1, *FACTORS) if dim_of(size * k) == dim_of(wanted)), None)


def resized(
    n: Node, x: Tensor, axes: Sequence[int], targets: Sequence[Target], mode: str, places: str, rounding: str
) -> Tensor:
    """x with other sizes along some axes."""
    crops = _crops(n, len(axes)) if places == "tf_crop_and_resize" else [(0.0, 1.0)] * len(axes)
    changed = {
        axis: (target, crop)
        for axis, target, crop in zip(axes, targets, crops, strict=True)
        if crop != (0.0, 1.0)
        or dim_of(target[0]) != dim_of(x.shape[axis])
        or target[1] is None
        or not isclose(target[1], 1)
    }
    if any(isinstance(x.shape[a], Size) or isinstance(t, Size) for a, ((t, _), _) in changed.items()):
        return _open(n, x, {a: t for a, (t, _) in changed.items()}, mode, places, rounding)
    steps = {
        a: Axis(int(x.shape[a]), int(t[0]), float(t[1] or 1), *crop)  # pyright: ignore[reportArgumentType]
        for a, (t, crop) in changed.items()
    }
    if not steps:
        return x
    return (
        _nearest(n, x, steps, places, rounding) if mode == "nearest" else _smooth(n, x, steps, mode, places)
    )


def _crops(n: Node, count: int) -> list[tuple[float, float]]:
    roi = n.known(1, "the region").reshape(-1).astype(float)
    return [(float(roi[i]), float(roi[count + i])) for i in range(count)]


def _open(n: Node, x: Tensor, targets: dict[int, Target], mode: str, places: str, rounding: str) -> Tensor:
    """Dims without a value: what the ops of the language say, in the ways that are the same for every size."""
    whole = all(scale is not None and scale == floor(scale) for _, scale in targets.values())
    exact = (n.version >= 11 and not (n.has(2) and n.known(2).size)) or whole
    size = [targets[a][0] if a in targets else x.shape[a] for a in range(x.ndim)][-2:]
    if min(targets) >= x.ndim - 2 and not n.attr("antialias", 0) and x.ndim > 1:
        if mode == "nearest" and places == "asymmetric" and rounding == "floor" and exact:
            return ops.resize_nearest(x, size=size)
        if mode == "nearest" and places in HALF_PIXEL and rounding.startswith("round") and whole:
            return ops.resize_nearest(x, size=size)
        if mode == "linear" and places == "half_pixel" and exact and not n.attr("exclude_outside", 0):
            return ops.resize_bilinear(x, size=size)
    dims = ", ".join(str(x.shape[a]) for a in targets)
    raise Unsupported(f"mode={mode!r} with {places} coordinates for the dim {dims}, which has no value")


def _last_two(x: Tensor, steps: dict[int, Axis]) -> list[Any] | None:
    """The new sizes of the last two dims, where no other changes."""
    if x.ndim < 2 or min(steps) < x.ndim - 2:
        return None
    return [steps[a].out if a in steps else x.shape[a] for a in (x.ndim - 2, x.ndim - 1)]


def _nearest(n: Node, x: Tensor, steps: dict[int, Axis], places: str, rounding: str) -> Tensor:
    found = {a: nearest(s.places(places), s.size, rounding) for a, s in steps.items()}
    plain = all((found[a] == np.arange(s.out) * s.size // s.out).all() for a, s in steps.items())
    size = _last_two(x, steps)
    if plain and size and places != "tf_crop_and_resize":
        return ops.resize_nearest(x, size=size)
    for axis, step in steps.items():
        x = ops.gather(x, n.table("places", found[axis]), axis=axis)
        x = _extrapolated(n, x, axis, step, places)
    return x


def _smooth(n: Node, x: Tensor, steps: dict[int, Axis], mode: str, places: str) -> Tensor:
    """Sums of neighbours; integers are computed as f64, and truncated."""
    antialias, exclude = bool(n.attr("antialias", 0)), bool(n.attr("exclude_outside", 0))
    kernel, reach = (linear, 1) if mode == "linear" else (cubic(n.attr("cubic_coeff_a", -0.75)), 2)
    tables = {a: weights(s.places(places), s, kernel, reach, antialias, exclude) for a, s in steps.items()}
    dtype = x.dtype_name
    if not is_float(x):
        x = ops.cast(x, "f64")
    size = _last_two(x, steps)
    if (
        size
        and places != "tf_crop_and_resize"
        and all(np.allclose(_plain(s), tables[a]) for a, s in steps.items())
    ):
        x = ops.resize_bilinear(x, size=size)
    else:
        for axis, step in steps.items():
            x = _along(n, x, tables[axis], axis)
            x = _extrapolated(n, x, axis, step, places)
    return x if x.dtype_name == dtype else ops.cast(x, dtype)


def _plain(step: Axis) -> np.ndarray:
    """The weights of resize_bilinear."""
    own = Axis(step.size, step.out, step.out / step.size)
    return weights(own.places("half_pixel"), own, linear, 1, False, False)


def _along(n: Node, x: Tensor, table: np.ndarray, axis: int) -> Tensor:
    """The sums along an axis that the rows of a table tell: of gathers where each has a few terms, which also leaves alone
    what a row does not reach, be it NaN; else a product."""
    table = table.astype(np_dtype(x.dtype_name))
    terms = int((table != 0).sum(1).max(initial=1))
    if terms <= FEW:
        places = np.argsort(table == 0, axis=1, kind="stable")[:, :terms]
        factors = np.take_along_axis(table, places, 1)
        places = np.where(
            factors == 0, places[:, :1], places
        )  # a term that is not there counts another for nothing
        shape = [-1 if i == axis else 1 for i in range(x.ndim)]
        parts = [
            ops.gather(x, n.table("places", places[:, t]), axis=axis)
            * n.table("factors", factors[:, t].reshape(shape))
            for t in range(terms)
        ]
        return reduce(add, parts)
    if axis == x.ndim - 2:
        return n.table("rows", table) @ x
    columns = n.table("columns", np.ascontiguousarray(table.T))
    if axis == x.ndim - 1:
        return x @ columns
    order = list(range(x.ndim))
    order[axis], order[-1] = order[-1], order[axis]
    return ops.transpose(ops.transpose(x, perm=order) @ columns, perm=order)


def _extrapolated(n: Node, x: Tensor, axis: int, step: Axis, places: str) -> Tensor:
    """Beyond the ends of an axis a region has a value of its own."""
    if places != "tf_crop_and_resize":
        return x
    outside = step.outside(step.places(places))
    if not outside.any():
        return x
    mask = outside.reshape([-1 if i == axis else 1 for i in range(x.ndim)])
    return ops.where(n.table("outside", mask), n.attr("extrapolation_value", 0.0), x)
