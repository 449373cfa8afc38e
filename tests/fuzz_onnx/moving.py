"""Drawing ops that move elements: shapes, slices, looking up and writing at places."""

from __future__ import annotations

import numpy as np

from tests.fuzz_onnx.drawing import OPEN, Drawing, Value, draws


def least(d: Drawing, size: int) -> int:
    """The least that a size may be: of the open dim, its lower bound."""
    return 5 if d.dim and size == OPEN else size


def open_axes(d: Drawing, x: Value) -> list[int]:
    return [k for k, n in enumerate(x.shape) if d.dim and n == OPEN]


@draws(4)
def transpose(d: Drawing) -> None:
    x = d.pick("fffib", test=lambda v: v.rank > 0)
    d.add(
        "Transpose", [x], **({"perm": [int(n) for n in d.rng.permutation(x.rank)]} if d.chance(0.8) else {})
    )


@draws(5)
def reshape(d: Drawing) -> None:
    """To the same elements in other dims, of which -1 and 0 stand for some."""
    x = d.pick("fffib")
    held = open_axes(d, x)
    if not held:
        left, dims = x.array.size, []
        while left > 1 and len(dims) < 4:
            options = [n for n in range(2, left + 1) if left % n == 0]
            dims.append(d.one(options))
            left //= dims[-1]
        dims += [left] if left > 1 or not dims else []
        if d.chance(0.4):
            dims[d.integer(0, len(dims) - 1)] = -1
        if d.chance(0.2) and -1 not in dims:
            dims.insert(d.integer(0, len(dims)), 1)
    elif len(held) == 1:  # what stands beside the open dim becomes one, or more
        at = held[0]
        before, after = int(np.prod(x.shape[:at])), int(np.prod(x.shape[at + 1 :]))
        dims = d.one(([before, -1, after], [-1, after], [before, -1], [-1]))
    else:
        dims = [0] * x.rank
    d.add("Reshape", [x, d.ints(dims)])


@draws(2)
def reshape_by_shape(d: Drawing) -> None:
    """To a shape that the graph computes from that of a value, as exporters write it."""
    x = d.pick("ff", test=lambda v: v.rank >= 2)
    shape = d.add("Shape", [x])
    if d.chance(0.4):
        first = d.add("Gather", [shape, d.ints([0])], axis=0)
        d.add("Reshape", [x, d.add("Concat", [first, d.ints([-1])], axis=0)])
    elif d.chance(0.5):
        d.add("Reshape", [d.add("Flatten", [x], axis=d.integer(0, x.rank)), shape])
    else:
        one = d.keep(np.array(d.one((0.5, 2)), x.array.dtype))
        d.add("Mul", [x, d.add("Expand", [one, shape])])


@draws(1.5)
def flatten(d: Drawing) -> None:
    x = d.pick("fffi")
    d.add("Flatten", [x], axis=d.integer(-x.rank, x.rank))


@draws(2)
def unsqueeze(d: Drawing) -> None:
    x = d.pick("fffi", test=lambda v: v.rank < 4)
    d.add("Unsqueeze", [x, d.ints([d.integer(-x.rank - 1, x.rank)])])


@draws(2)
def squeeze(d: Drawing) -> None:
    x = d.pick("fffi", test=lambda v: 1 in v.shape)
    ones = [k for k, n in enumerate(x.shape) if n == 1]
    d.add("Squeeze", [x, d.ints([d.one(ones)]) if d.chance(0.7) else None])


@draws(4)
def concat(d: Drawing) -> None:
    x = d.pick("fffi", test=lambda v: v.rank > 0)
    axis = d.integer(0, x.rank - 1)
    parts = [x]
    for _ in range(d.integer(1, 2)):
        same = [
            v for v in d.pool if v.array.dtype == x.array.dtype and v.rank == x.rank and _beside(v, x, axis)
        ]
        parts.append(d.one(same) if same and d.chance(0.6) else d.other(x.shape, x.array.dtype.name))
    d.add("Concat", [parts[int(k)] for k in d.rng.permutation(len(parts))], axis=axis - d.one((0, x.rank)))


def _beside(v: Value, x: Value, axis: int) -> bool:
    return all(a == b for k, (a, b) in enumerate(zip(v.shape, x.shape, strict=True)) if k != axis)


@draws(2.5)
def split(d: Drawing) -> None:
    x = d.pick("fffi", test=lambda v: any(n > 1 and n != OPEN for n in v.shape))
    axis = d.one([k for k, n in enumerate(x.shape) if n > 1 and n != OPEN])
    first = d.integer(1, x.shape[axis] - 1)
    if d.opset >= 18 and d.chance(0.3):
        d.all("Split", [x], 2, axis=axis, num_outputs=2)
    else:
        d.all("Split", [x, d.ints([first, x.shape[axis] - first])], 2, axis=axis)


@draws(5)
def slices(d: Drawing) -> None:
    x = d.pick("fffib", test=lambda v: v.rank > 0)
    axes = d.axes(x.rank)
    starts, ends, steps = [], [], []
    for k in axes:
        n = least(d, x.shape[k])
        a, b = sorted((d.integer(0, n), d.integer(0, n)))
        b = max(b, a + 1)
        step = d.one((1, 1, 1, 2, 3))
        if a >= n:
            a, b = n - 1, n
        if d.chance(0.2):  # backwards
            a, b, step = b - 1, a - 1 - x.shape[k] if a == 0 else a - 1, -step
        elif x.shape[k] != OPEN and d.chance(0.3):
            a, b = a - x.shape[k], b - x.shape[k] if b < x.shape[k] else np.iinfo(np.int64).max
        starts.append(a), ends.append(b), steps.append(step)
    d.add("Slice", [x, d.ints(starts), d.ints(ends), d.ints(axes), d.ints(steps) if d.chance(0.7) else None])


@draws(3)
def pad(d: Drawing) -> None:
    x = d.pick("fff", test=lambda v: v.rank > 0)
    mode = d.one(("constant", "constant", "reflect", "edge", "wrap"))
    most = [least(d, n) - 1 if mode == "reflect" else 3 if mode != "wrap" else least(d, n) for n in x.shape]
    pads = [min(2, d.integer(0, max(m, 0))) for m in most * 2]
    if mode == "constant" and d.chance(0.2) and x.shape[0] > 2:
        pads[0] = -1
    value = d.keep(np.array(0.5, x.array.dtype)) if mode == "constant" and d.chance(0.5) else None
    d.add("Pad", [x, d.ints(pads), value], mode=mode)


@draws(1.5)
def tile(d: Drawing) -> None:
    x = d.pick("fffi", test=lambda v: v.rank > 0)
    d.add("Tile", [x, d.ints([d.one((1, 1, 2, 3)) for _ in x.shape])])


@draws(2.5)
def expand(d: Drawing) -> None:
    x = d.pick("fffi")
    shape = [
        d.integer(2, 4) if n == 1 and d.chance(0.6) else 1 if d.dim and n == OPEN else n for n in x.shape
    ]
    d.add("Expand", [x, d.ints([d.integer(1, 3), *shape] if d.chance(0.4) else shape)])


@draws(1.5)
def trilu(d: Drawing) -> None:
    x = d.pick("fffi", test=lambda v: v.rank >= 2)
    d.add("Trilu", [x, d.keep(np.array(d.integer(-2, 2))) if d.chance(0.6) else None], upper=d.integer(0, 1))


@draws(1)
def blocks(d: Drawing) -> None:
    n, c, h, w = d.integer(1, 2), 4 * d.integer(1, 3), 2 * d.integer(1, 3), 2 * d.integer(1, 3)
    x = d.other((n, c, h, w), "float32")
    if d.chance(0.5):
        d.add("DepthToSpace", [x], blocksize=2, mode=d.one(("DCR", "CRD")))
    else:
        d.add("SpaceToDepth", [x], blocksize=2)


# -- places -----------------------------------------------------------------------------------------------------------


def places(d: Drawing, shape: tuple[int, ...], size: int, negative: bool = True) -> Value:
    """Indices below a size, as an initialiser or as an input."""
    low = -size if negative and d.chance(0.5) and size != OPEN else 0
    array = np.asarray(d.rng.integers(low, size, shape)).astype(d.one(("int64", "int64", "int32")))
    return d.given(array) if d.chance(0.4) else d.keep(array, "i")


@draws(4)
def gather(d: Drawing) -> None:
    x = d.pick("fffib", test=lambda v: v.rank > 0)
    axis = d.axis(x)
    shape = d.one(((), (1,), (3,), (2, 2), (1, 4)))
    d.add("Gather", [x, places(d, shape, least(d, x.shape[axis]))], axis=axis)


@draws(1.5)
def gather_elements(d: Drawing) -> None:
    x = d.pick("fffi", test=lambda v: v.rank > 0 and not open_axes(d, v))
    axis = d.axis(x)
    shape = tuple(d.integer(1, n) for n in x.shape)
    d.add("GatherElements", [x, places(d, shape, x.shape[axis])], axis=axis)


@draws(1.5)
def gather_nd(d: Drawing) -> None:
    x = d.pick("fffi", test=lambda v: v.rank > 0 and not open_axes(d, v))
    depth = d.integer(1, x.rank)
    at = [d.rng.integers(0, n, 3) for n in x.shape[:depth]]
    d.add("GatherND", [x, d.keep(np.stack(at, -1).astype(np.int64), "i")])


def _reduction(d: Drawing) -> dict[str, str]:
    options = ("none", "none", "add", "mul") if d.opset < 18 else ("none", "add", "mul", "max", "min")
    return {"reduction": d.one(options)} if d.opset >= 16 else {}


@draws(1.5)
def scatter_elements(d: Drawing) -> None:
    x = d.pick("fffi", test=lambda v: v.rank > 0 and not open_axes(d, v))
    axis = d.integer(0, x.rank - 1)
    how = _reduction(d)
    shape = tuple(d.integer(1, n) for n in x.shape)
    if how.get("reduction", "none") == "none":  # places that differ
        order = np.argsort(d.rng.random((*shape[:axis], *shape[axis + 1 :], x.shape[axis])), axis=-1)
        at = d.keep(
            np.ascontiguousarray(np.moveaxis(order[..., : shape[axis]], -1, axis)).astype(np.int64), "i"
        )
    else:
        at = places(d, shape, x.shape[axis])
    d.add("ScatterElements", [x, at, d.other(shape, x.array.dtype.name)], axis=axis, **how)


@draws(1.5)
def scatter_nd(d: Drawing) -> None:
    x = d.pick("fffi", test=lambda v: v.rank > 0 and not open_axes(d, v))
    depth = d.integer(1, x.rank)
    how = _reduction(d)
    count = int(np.prod(x.shape[:depth]))
    flat = (
        d.rng.permutation(count)[: d.integer(1, count)]
        if how.get("reduction", "none") == "none"
        else d.rng.integers(0, count, 4)
    )
    at = np.stack(np.unravel_index(flat, x.shape[:depth]), -1).astype(np.int64)
    d.add(
        "ScatterND", [x, d.keep(at, "i"), d.other((len(flat), *x.shape[depth:]), x.array.dtype.name)], **how
    )


@draws(1)
def one_hot(d: Drawing) -> None:
    depth = d.integer(3, 5)
    at = places(d, d.one(((3,), (2, 4))), depth)
    d.add(
        "OneHot", [at, d.keep(np.array(depth)), d.keep(np.array([0, 1.5], np.float32))], axis=d.integer(-1, 1)
    )


@draws(0.7)
def eye(d: Drawing) -> None:
    d.add("EyeLike", [d.pick("fi", rank=2)], k=d.integer(-2, 2), dtype=1)


@draws(0.7)
def reversed_rows(d: Drawing) -> None:
    x = d.pick("f", test=lambda v: v.rank >= 2 and not open_axes(d, v))
    lengths = d.rng.integers(1, x.shape[0] + 1, x.shape[1])
    d.add("ReverseSequence", [x, d.ints(list(lengths))], time_axis=0, batch_axis=1)


@draws(0.7)
def crop(d: Drawing) -> None:
    x = d.pick("f", test=lambda v: v.rank >= 2 and not open_axes(d, v))
    d.add("CenterCropPad", [x, d.ints([d.integer(1, n + 3) for n in x.shape])])


@draws(1)
def filled(d: Drawing) -> None:
    """A constant, a range, or the size of a value."""
    x = d.pick("f")
    which = d.integer(0, 2)
    if which == 0:
        d.add(
            "Cast",
            [d.add("Range", [d.keep(np.array(v)) for v in (0, d.integer(2, 8), d.integer(1, 2))])],
            to=1,
        )
    elif which == 1:
        d.add("ConstantOfShape", [d.add("Shape", [x])])
    else:
        d.add(
            "Mul",
            [
                x,
                d.add(
                    "Cast",
                    [d.add("Size", [x])],
                    to={"float32": 1, "float16": 10, "float64": 11}[x.array.dtype.name],
                ),
            ],
        )


@draws(0.5)
def none_left_out(d: Drawing) -> None:
    """Dropout keeps all after training."""
    d.all("Dropout", [d.pick("f")], d.integer(1, 2))
