"""NumPy's other functions on tensors: reductions, what moves elements, what makes tensors like others."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from irkit.tracing.errors import TraceError, place
from irkit.tracing.operators import one
from irkit.tracing.state import current, is_number
from irkit.tracing.tensor import Tensor
from irkit.tracing.ufuncs import unsupported


def tensor(x: object) -> Tensor:
    """An argument as a tensor: arrays become constants or parameters."""
    if isinstance(x, Tensor):
        return x
    trace = current()
    return Tensor(trace, trace.value(x, None, place()))


def call_function(function: Callable[..., object], args: Sequence[Any], given: Mapping[str, Any]) -> object:
    """The result of a function of NumPy. Raises TraceError for one that has no op, or not with these arguments."""
    name = function.__name__
    home = getattr(function, "__module__", "numpy")
    if name not in FUNCTIONS or "random" in home or ("linalg" in home and name not in LINALG):
        raise unsupported(f"{home.removeprefix('numpy.')}.{name}" if "linalg" in home else name)
    used = {k: v for k, v in given.items() if (v is not None or k == "axis") and v is not np._NoValue}
    if used.pop("out", None) is not None:
        raise TraceError("a tensor cannot be changed in place", place(), found="out=...")
    try:
        return FUNCTIONS[name](*args, **used)
    except TraceError:
        raise
    except TypeError as fault:
        raise TraceError(
            f"np.{name} of tensors does not take these arguments", place(), found=str(fault)
        ) from None


# -- reductions -----------------------------------------------------------------------------------------------------


def _method(name: str) -> Callable[..., Tensor]:
    return lambda x, *args, **given: getattr(tensor(x), name)(*args, **given)


def _reduction(name: str) -> Callable[..., Tensor]:
    def function(
        x: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None, ddof: int = 0
    ) -> Tensor:
        if ddof:
            raise TraceError(f"np.{name} of tensors has no ddof", place(), hint="multiply by n / (n - 1)")
        found = tensor(x) if dtype is None else tensor(x).astype(dtype)
        return getattr(found, name)(axis=axis, keepdims=keepdims)

    return function


# -- what moves elements --------------------------------------------------------------------------------------------


def _stack(parts: Sequence[Any], axis: int = 0) -> Tensor:
    return _concatenate([_expand_dims(tensor(p), axis) for p in parts], axis)


def _concatenate(parts: Sequence[Any], axis: int | None = 0) -> Tensor:
    if axis is None:
        parts, axis = [tensor(p).ravel() for p in parts], 0
    return one("concat", *parts, axis=axis)


def _along(name: str) -> Callable[..., Tensor]:
    """An op along one dim; without one NumPy takes all elements in a row."""

    def function(x: Any, *others: Any, axis: int | None = -1) -> Tensor:
        x = tensor(x)
        return one(name, x.ravel(), *others, axis=0) if axis is None else one(name, x, *others, axis=axis)

    return function


def _expand_dims(x: Any, axis: Any) -> Tensor:
    x = tensor(x)
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    rank = x.ndim + len(axes)
    new = {a % rank for a in axes}
    old = iter(x.shape)
    return x.reshape([1 if i in new else next(old) for i in range(rank)])


def _moveaxis(x: Any, source: int, target: int) -> Tensor:
    x = tensor(x)
    order = [i for i in range(x.ndim) if i != source % x.ndim]
    order.insert(target % x.ndim, source % x.ndim)
    return x.transpose(order)


def _split(x: Any, parts: Any, axis: int = 0) -> list[Tensor]:
    x = tensor(x)
    size = x.shape[axis]
    if isinstance(parts, int):
        if parts < 1 or not isinstance(size, int) or size % parts:
            raise TraceError(f"a dim of size {size} does not split into {parts} equal parts", place())
        parts = [size // parts * n for n in range(1, parts)]
    edges = [0, *parts, size]
    key = [slice(None)] * (axis % x.ndim)
    return [x[(*key, slice(a, b))] for a, b in pairwise(edges)]


def _pad(x: Any, widths: Any, mode: str = "constant", constant_values: float = 0) -> Tensor:
    x = tensor(x)
    pads = np.broadcast_to(np.asarray(widths), (x.ndim, 2)).reshape(-1).tolist()
    return one("pad", x, pads=pads, mode=mode, value=constant_values)


def _tile(x: Any, repeats: Any) -> Tensor:
    x = tensor(x)
    counts = [repeats] if isinstance(repeats, int) else list(repeats)
    rank = max(len(counts), x.ndim)
    x = x.reshape([*[1] * (rank - x.ndim), *x.shape])
    return one("tile", x, repeats=[*[1] * (rank - len(counts)), *counts])


def _roll(x: Any, shift: Any, axis: Any = None) -> Tensor:
    x = tensor(x)
    if axis is None:
        return one("roll", x.ravel(), shift=shift, axis=0).reshape(x.shape)
    pairs = [(shift, axis)] if isinstance(axis, int) else list(zip(shift, axis, strict=True))
    for amount, along in pairs:
        x = one("roll", x, shift=amount, axis=along)
    return x


def _take(x: Any, index: Any, axis: int | None = None) -> Tensor:
    x = tensor(x)
    return one("gather", x.ravel() if axis is None else x, index, axis=axis or 0)


def _outer(a: Any, b: Any) -> Tensor:
    a, b = tensor(a).ravel(), tensor(b).ravel()
    return a.reshape(-1, 1) * b.reshape(1, -1)


def _dot(a: Any, b: Any) -> Tensor:
    a, b = tensor(a), tensor(b)
    if not a.ndim or not b.ndim:
        return a * b
    if a.ndim > 2 or b.ndim > 2:
        raise TraceError(
            "np.dot of more than two dims", place(), hint="np.matmul or np.einsum says which dims"
        )
    return one("matmul", a, b)


def _inner(a: Any, b: Any) -> Tensor:
    if tensor(b).ndim > 2:
        raise TraceError("np.inner of more than two dims", place(), hint="np.einsum says which dims")
    return one("matmul", a, tensor(b).T)


def _einsum(spec: str, *operands: Any) -> Tensor:
    spec = spec.replace(" ", "")
    if "->" not in spec:
        kept = sorted(c for c in set(spec) - {","} if spec.count(c) == 1)
        spec = f"{spec}->{''.join(kept)}"
    return one("einsum", *operands, spec=spec)


# -- what makes tensors ---------------------------------------------------------------------------------------------


def _full_like(x: Any, value: Any, dtype: Any = None, shape: Any = None) -> Tensor:
    x = tensor(x)
    trace = current()
    if is_number(value):
        from dialects.types import DTYPES
        from irkit.tracing.sizes import dtype_of

        element = DTYPES[x.dtype_name if dtype is None else dtype_of(dtype)]
        value = Tensor(trace, trace.number(value, element, place()))
    return one("broadcast", value, shape=list(x.shape if shape is None else shape))


def _broadcast_to(x: Any, shape: Any) -> Tensor:
    return one("broadcast", tensor(x), shape=[shape] if isinstance(shape, int) else list(shape))


def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Tensor:
    is_of_vectors = tensor(x).ndim == 1 if axis is None else isinstance(axis, int)
    if ord is not None and (ord != 2 or not is_of_vectors):
        raise TraceError("np.linalg.norm of tensors is the one of squares", place(), found=f"ord={ord}")
    return one("reduce_l2", x, axes=axis, keepdims=keepdims)


LINALG = frozenset({"cholesky", "norm", "outer", "matmul"})

FUNCTIONS: dict[str, Callable[..., object]] = {
    **{n: _reduction(n) for n in ("sum", "mean", "prod", "max", "min", "any", "all", "var", "std")},
    "amax": _reduction("max"),
    "amin": _reduction("min"),
    **{
        n: _method(n)
        for n in ("argmax", "argmin", "cumsum", "cumprod", "reshape", "ravel", "squeeze", "clip")
    },
    **{n: _method(n) for n in ("transpose", "swapaxes", "round", "astype", "copy")},
    "around": _method("round"),
    "permute_dims": _method("transpose"),
    "concatenate": _concatenate,
    "concat": _concatenate,
    "stack": _stack,
    "vstack": lambda parts: _concatenate([p if p.ndim > 1 else p.reshape(1, -1) for p in map(tensor, parts)]),
    "hstack": lambda parts: _concatenate(parts, 0 if tensor(parts[0]).ndim == 1 else 1),
    "split": _split,
    "where": lambda c, a, b: one("where", c, a, b),
    "expand_dims": _expand_dims,
    "moveaxis": _moveaxis,
    "broadcast_to": _broadcast_to,
    "flip": lambda x, axis=None: one("flip", x, axes=axis),
    "flipud": lambda x: one("flip", x, axes=0),
    "fliplr": lambda x: one("flip", x, axes=1),
    "roll": _roll,
    "pad": _pad,
    "tile": _tile,
    "tril": lambda x, k=0: one("tril", x, k=k),
    "triu": lambda x, k=0: one("triu", x, k=k),
    "take": _take,
    "take_along_axis": lambda x, index, axis=-1: _along("take_along")(x, index, axis=axis),
    "sort": lambda x, axis=-1: _along("sort")(x, axis=axis),
    "argsort": lambda x, axis=-1: _along("argsort")(x, axis=axis),
    "dot": _dot,
    "vdot": lambda a, b: one("matmul", tensor(a).conj().ravel(), tensor(b).ravel()),
    "inner": _inner,
    "outer": _outer,
    "einsum": _einsum,
    "zeros_like": lambda x, dtype=None, shape=None: _full_like(x, 0, dtype, shape),
    "ones_like": lambda x, dtype=None, shape=None: _full_like(x, 1, dtype, shape),
    "full_like": _full_like,
    "real": lambda x: tensor(x).real,
    "imag": lambda x: tensor(x).imag,
    "shape": lambda x: tensor(x).shape,
    "ndim": lambda x: tensor(x).ndim,
    "size": lambda x: math.prod(tensor(x).shape),  # pyright: ignore
    "cholesky": lambda x: one("cholesky", x),
    "norm": _norm,
}
"""Functions of NumPy by name."""
