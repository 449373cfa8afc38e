"""Shapes: what they are, and tensors with other ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from irkit.onnx.faults import Unsupported
from irkit.onnx.node import Node, Result, rule
from irkit.onnx.values import element, sizes
from irkit.tracing import ops
from irkit.tracing.sizes import Size, dim_of, dtype_of


@rule("Shape")
def shape(n: Node) -> Result:
    found = list(n.shape())
    return sizes(found[n.attr("start", 0) : n.attr("end", len(found))])


@rule("Size")
def size(n: Node) -> Result:
    return sizes([n.value(0).size]).reshape(())


@rule("Constant")
def constant(n: Node) -> Result:
    kinds = {
        "value_float": np.float32,
        "value_int": np.int64,
        "value_floats": np.float32,
        "value_ints": np.int64,
    }
    for name, dtype in kinds.items():
        if name in n.attributes:
            return np.asarray(n.attr(name), dtype)
    if "value" in n.attributes:
        return n.attr("value")
    raise Unsupported(f"constants of {', '.join(n.attributes) or 'nothing'}")


@rule("ConstantOfShape")
def constant_of_shape(n: Node) -> Result:
    value = n.attr("value", np.zeros(1, np.float32))
    return ops.full(n.sizes(0, "the shape"), value.reshape(-1)[0].item(), dtype_of(value.dtype))


@rule("Reshape")
def reshape(n: Node) -> Result:
    """0 stands for the size of the input there, unless allowzero says that it is 0; -1 for what is left."""
    x = n[0]
    wanted: list[Any] = n.attr("shape") if n.version < 5 else n.sizes(1, "the shape")
    if not n.attr("allowzero", 0):
        wanted = [x.shape[i] if isinstance(d, int) and d == 0 else d for i, d in enumerate(wanted)]
    return ops.reshape(x, wanted)


@rule("Flatten")
def flatten(n: Node) -> Result:
    x = n[0]
    axis = n.attr("axis", 1)
    axis = axis + x.ndim if axis < 0 else axis
    parts: list[Size | int] = [1, 1]
    for i, d in enumerate(x.shape):
        parts[i >= axis] = d * parts[i >= axis]
    return ops.reshape(x, parts)


@rule("Unsqueeze")
def unsqueeze(n: Node) -> Result:
    x = n[0]
    given = n.ints(1, "the axes") if n.has(1) else n.needs("axes")
    rank = x.ndim + len(given)
    places = {n.at(a, rank) for a in given}
    left = iter(x.shape)
    return ops.reshape(x, [1 if i in places else next(left) for i in range(rank)])


@rule("Squeeze")
def squeeze(n: Node) -> Result:
    x = n[0]
    axes = n.axes(1, x.ndim)
    drop = {i for i, d in enumerate(x.shape) if isinstance(d, int) and d == 1} if axes is None else set(axes)
    return ops.reshape(x, [d for i, d in enumerate(x.shape) if i not in drop])


@rule("Transpose")
def transpose(n: Node) -> Result:
    perm = n.attr("perm", list(reversed(range(n.rank()))))
    return n[0] if perm == sorted(perm) else ops.transpose(n[0], perm=perm)


@rule("Expand")
def expand(n: Node) -> Result:
    """Both shapes broadcast: a size of one in the wanted shape keeps that of the input."""
    x, wanted = n[0], n.sizes(1, "the shape")
    rank = max(x.ndim, len(wanted))
    own = [1] * (rank - x.ndim) + list(x.shape)
    wanted = [1] * (rank - len(wanted)) + wanted
    shape = [a if isinstance(b, int) and b == 1 else b for a, b in zip(own, wanted, strict=True)]
    return x if [*map(dim_of, shape)] == [*map(dim_of, x.shape)] else ops.broadcast(x, shape)


@rule("Concat")
def concat(n: Node) -> Result:
    parts = n.tensors()
    axis = n.axis(1 if n.version < 4 else 0)
    return parts[0] if len(parts) == 1 else ops.concat(parts, axis=axis)


@rule("Split")
def split(n: Node) -> Result:
    x, axis = n[0], n.axis(0)
    total = x.shape[axis]
    given = n.ints(1, "the sizes of the parts") if n.has(1) else n.attr("split")
    if given is None:
        if not isinstance(total, int):
            raise Unsupported(f"equal parts of the dim {total}")
        count = n.attr("num_outputs", n.outputs)
        part = -(-total // count)
        given = [max(0, min(part, total - part * i)) for i in range(count)]
    out, at = [], 0
    for part in given:
        key = [slice(None)] * x.ndim
        key[axis] = slice(at, at + part)
        out.append(x[tuple(key)])
        at += part
    return out


@rule("Tile")
def tile(n: Node) -> Result:
    return ops.tile(n[0], repeats=n.sizes(1, "the repeats"))


@rule("Range")
def arange(n: Node) -> Result:
    start, limit, delta = (n.known(i, w) for i, w in enumerate(("the start", "the limit", "the step")))
    first, last, step = (v.reshape(-1)[0] for v in (start, limit, delta))
    dtype = element(n.value(0))
    if isinstance(first, Size) or isinstance(last, Size):
        if not (isinstance(step, int | np.integer) and int(step) == 1):
            raise Unsupported("a range with a step up to a dim")
        return ops.iota([last - first], axis=0, dtype="i64") + (
            first if isinstance(first, int) else int(first)
        )
    count = max(0, int(np.ceil((float(last) - float(first)) / float(step))))
    return (np.arange(bounded(count)) * step + first).astype(np.dtype(start.dtype) if dtype else None)


LONGEST = 1 << 24
"""Numbers of a range, which are computed while importing."""


def bounded(count: int) -> int:
    """Raises Unsupported for a range that memory may not hold."""
    if count > LONGEST:
        raise Unsupported(f"a range of {count} numbers")
    return count
