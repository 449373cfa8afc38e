"""What every family computes, over NumPy or a namespace like it.

In f64 it is what results are compared with, in f32 what their error is compared with, and under jit a peer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from tools.bench import models, training
from tools.bench.data import Data
from tools.bench.rows import Row

MARGIN = 16
"""How many times the error of f32 in NumPy a result may err."""

Array = Any


class Formulas:
    """A function for each family: it takes the dims of the row, and arrays by the names of the `.tg` file."""

    def __init__(self, xp: ModuleType | Any = np, erf: Callable[[Array], Array] | None = None):
        self.xp = xp
        self.erf = erf or numpy_erf

    def of(self, row: Row) -> Callable[..., Array]:
        """The function of a row, on its arrays by name."""
        function = getattr(self, row.family)
        return lambda **arrays: function(row.dims, **arrays)

    def gemm(self, _: Mapping, a: Array, b: Array) -> Array:
        return a @ b

    weights = bmm = gemm

    def mlp(self, _: Mapping, x: Array, **p: Array) -> Array:
        h = self.xp.maximum(x @ p["w1"] + p["b1"], 0)
        h = self.xp.maximum(h @ p["w2"] + p["b2"], 0)
        return h @ p["w3"] + p["b3"]

    def ew(self, _: Mapping, x: Array, a: Array, b: Array) -> Array:
        return self.gelu(x * a + b) / (1 + self.xp.exp(-x)) + self.softmax(_, x)

    def softmax(self, _: Mapping, x: Array) -> Array:
        e = self.xp.exp(x - x.max(-1, keepdims=True))
        return e / e.sum(-1, keepdims=True)

    def layernorm(self, _: Mapping, x: Array, scale: Array, bias: Array) -> Array:
        d = x - x.mean(-1, keepdims=True)
        return d / self.xp.sqrt((d * d).mean(-1, keepdims=True) + 1e-5) * scale + bias

    def gelu(self, x: Array) -> Array:
        return 0.5 * x * (1 + self.erf(x * math.sqrt(0.5)))

    def attention(self, _: Mapping, q: Array, k: Array, v: Array) -> Array:
        scores = q @ self.xp.swapaxes(k, -1, -2) * (1 / math.sqrt(q.shape[-1]))
        return self.softmax(_, scores) @ v

    def encoder(self, dims: Mapping, x: Array, **p: Array) -> Array:
        layers, heads = dims["L"], dims["H"]
        _, length, width = x.shape

        def split(y: Array) -> Array:
            return y.reshape(1, length, heads, width // heads).transpose(0, 2, 1, 3)

        for n in range(layers):
            q, k, v = (split(x @ p[f"w{name}_{n}"] + p[f"b{name}_{n}"]) for name in "qkv")
            a = self.attention(dims, q, k, v).transpose(0, 2, 1, 3).reshape(x.shape)
            y = x + (a @ p[f"wo_{n}"] + p[f"bo_{n}"])
            x = self.layernorm(dims, y, p[f"g1_{n}"], p[f"c1_{n}"])
            y = x + (self.gelu(x @ p[f"w1_{n}"] + p[f"b1_{n}"]) @ p[f"w2_{n}"] + p[f"b2_{n}"])
            x = self.layernorm(dims, y, p[f"g2_{n}"], p[f"c2_{n}"])
        return x

    def conv(self, dims: Mapping, x: Array, w: Array, b: Array) -> Array:
        pad, groups = dims["P"], dims.get("G", 1)
        outputs, window = w.shape[0], w.shape[2]
        padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
        rows, columns = (size - window + 1 for size in padded.shape[2:])
        images = len(x)
        y = np.zeros((images, groups, outputs // groups, rows, columns), x.dtype)
        for i in range(window):
            for j in range(window):
                part = padded[:, :, i : i + rows, j : j + columns]
                part = part.reshape(images, groups, -1, rows, columns)
                taps = w[:, :, i, j].reshape(groups, outputs // groups, -1)
                y += np.einsum("goc,ngchw->ngohw", taps, part, optimize=True)
        return y.reshape(images, outputs, rows, columns) + b[:, None, None]

    def cnn(self, _: Mapping, x: Array, w: Array, b: Array, **p: Array) -> Array:
        def conv(x: Array, n: int, pad: int, step: int = 1) -> Array:
            return self.conv({"P": pad}, x, p[f"k{n}"], p[f"b{n}"])[:, :, ::step, ::step]

        h = self.xp.maximum(conv(x, 1, 1), 0)
        h = self.xp.maximum(conv(h, 2, 1, 2), 0)
        h = self.xp.maximum(h + conv(h, 3, 1), 0)
        h = self.xp.maximum(conv(h, 4, 0), 0)
        return h.mean((2, 3)) @ w + b

    def jacobi2d(self, dims: Mapping, u: Array) -> Array:
        return self.steps(dims.get("T", 100), u, lambda u: 0.25 * _neighbours(u))

    def heat3d(self, dims: Mapping, u: Array) -> Array:
        return self.steps(dims.get("T", 10), u, lambda u: _inner(u) + 0.1 * (_neighbours(u) - 6 * _inner(u)))

    def steps(self, count: int, u: Array, inner: Callable[[Array], Array]) -> Array:
        """Replaces the inner points so many times."""
        u = u.copy()
        for _ in range(count):
            _inner(u)[...] = inner(u)
        return u


def reference(row: Row, data: Data) -> tuple[Array, float]:
    """The result in f64, and how far from it one in f32 may be, as a fraction of its greatest number."""
    if models.is_model(row):
        return models.reference(row, data.inputs), models.TOLERANCE
    formula = training.reference(row) if training.is_step(row) else Formulas().of(row)
    exact = formula(**data.wide().all)
    plain = formula(**data.all)
    return exact, MARGIN * max(error(plain, exact), float(np.finfo(np.float32).eps) / 2)


def error(result: Array, exact: Array) -> float:
    """The greatest error, as a fraction of the greatest number; NaN where the result holds one."""
    if result.shape != exact.shape:
        raise ArithmeticError(f"a result of shape {list(result.shape)} instead of {list(exact.shape)}")
    return float(np.abs(result - exact).max() / np.abs(exact).max())


def numpy_erf(x: Array) -> Array:
    try:
        from scipy.special import erf
    except ImportError:
        from dialects.graph.numerics import erf
    return erf(x)


def _inner(u: Array) -> Array:
    return u[(slice(1, -1),) * u.ndim]


def _neighbours(u: Array) -> Array:
    """The sum of the neighbours of the inner points, along every axis."""
    total: Array = 0
    for axis in range(u.ndim):
        for cut in (slice(None, -2), slice(2, None)):
            total = total + u[_along(axis, cut, u.ndim)]
    return total


def _along(axis: int, cut: slice, rank: int) -> Sequence[slice]:
    return tuple(cut if n == axis else slice(1, -1) for n in range(rank))
