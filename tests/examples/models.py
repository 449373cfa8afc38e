"""The example models written out in NumPy, apart from irkit: `model(inputs, weights)`, computed in the dtype given."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

Arrays = Mapping[str, np.ndarray]
Model = Callable[[Arrays, Arrays], np.ndarray]


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def gelu(x: np.ndarray) -> np.ndarray:
    """x times the normal distribution function of x."""
    return x * np.vectorize(lambda v: (1 + math.erf(v / math.sqrt(2))) / 2, otypes=[x.dtype])(x)


def layer_norm(x: np.ndarray, scale: np.ndarray, bias: np.ndarray) -> np.ndarray:
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5) * scale + bias


def convolve(x: np.ndarray, k: np.ndarray, stride: int = 1, padding: int = 0, groups: int = 1) -> np.ndarray:
    """x [n, c, h, w] with filters [o, c / groups, r, s], one shift of the image for each tap."""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    n, c, height, width = x.shape
    filters, depth, rows, columns = k.shape
    out_h, out_w = (height - rows) // stride + 1, (width - columns) // stride + 1
    out = np.zeros((n, filters, out_h, out_w), x.dtype)
    for o in range(filters):
        first = o // (filters // groups) * depth
        for i in range(depth):
            for r in range(rows):
                for s in range(columns):
                    window = x[
                        :,
                        first + i,
                        r : r + stride * (out_h - 1) + 1 : stride,
                        s : s + stride * (out_w - 1) + 1 : stride,
                    ]
                    out[:, o] += k[o, i, r, s] * window
    assert depth * groups == c
    return out


def halve(x: np.ndarray) -> np.ndarray:
    """The greatest of each 2x2 block."""
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 2, 2, w // 2, 2).max(axis=(3, 5))


def digits(inputs: Arrays, w: Arrays) -> np.ndarray:
    """The scores of the ten digits."""
    return relu(inputs["x"] @ w["w1"] + w["b1"]) @ w["w2"] + w["b2"]


def mlp(inputs: Arrays, w: Arrays) -> np.ndarray:
    h = relu(inputs["x"] @ w["w1"] + w["b1"])
    return relu(h @ w["w2"] + w["b2"]) @ w["w3"] + w["b3"]


def cnn(inputs: Arrays, w: Arrays) -> np.ndarray:
    h = halve(relu(convolve(inputs["x"], w["k1"], padding=1) + w["c1"][:, None, None]))
    h = convolve(h, w["k2"], stride=2, padding=1, groups=16)
    h = relu(convolve(h, w["k3"]) + w["c3"][:, None, None])
    return softmax(h.mean(axis=(2, 3)) @ w["w"] + w["b"])


def encoder(inputs: Arrays, w: Arrays, heads: int = 4) -> np.ndarray:
    x = inputs["x"]
    h = layer_norm(x, w["scale1"], w["bias1"])
    q, k, v = (h @ w[name] for name in ("wq", "wk", "wv"))
    width = x.shape[-1] // heads
    attended = np.empty_like(x)
    for head in range(heads):
        part = slice(head * width, (head + 1) * width)
        scores = q[..., part] @ k[..., part].swapaxes(-1, -2) / x.dtype.type(math.sqrt(width))
        attended[..., part] = softmax(scores) @ v[..., part]
    h = x + attended @ w["wo"] + w["bo"]
    wide = gelu(layer_norm(h, w["scale2"], w["bias2"]) @ w["w1"] + w["b1"])
    return h + wide @ w["w2"] + w["b2"]
