"""Random numbers: by the generator of the language, from a key that the seed gives, the same in every run."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from irkit.onnx.node import Node, Result, rule
from irkit.onnx.values import dtype_name
from irkit.tracing import ops
from irkit.tracing.tensor import Tensor


@rule("RandomUniform", "RandomUniformLike", "RandomNormal", "RandomNormalLike")
def numbers(n: Node) -> Result:
    like = n.op.endswith("Like")
    shape = n.shape() if like else n.needs("shape")
    code = n.attr("dtype", None if like else 1)
    dtype = dtype_name(code) if code is not None else n.dtype()
    if "Normal" in n.op:
        x = drawn(n, shape, "normal")
        scale, shift = n.attr("scale", 1.0), n.attr("mean", 0.0)
    else:
        x = drawn(n, shape, "uniform")
        shift = n.attr("low", 0.0)
        scale = n.attr("high", 1.0) - shift
    x = x if scale == 1 else x * scale
    x = x if shift == 0 else x + shift
    return x if dtype == "f32" else ops.cast(x, dtype)


@rule("Bernoulli")
def bernoulli(n: Node) -> Result:
    """1 with the probability that the input tells."""
    code = n.attr("dtype")
    chance = n[0] if n.dtype() == "f32" else ops.cast(n[0], "f32")
    found = ops.compare(drawn(n, n.shape(), "uniform"), chance, pred="lt")
    return ops.cast(found, n.dtype() if code is None else dtype_name(code))


@rule("Multinomial")
def multinomial(n: Node) -> Result:
    """Classes with the probabilities whose logarithms the input tells: how many running sums a random number exceeds."""
    batch, classes = n.shape()
    scores = n[0] if n.dtype() == "f32" else ops.cast(n[0], "f32")
    sums = ops.cumsum(ops.softmax(scores, axis=-1), axis=-1)
    draw = drawn(n, [batch, n.attr("sample_size", 1), 1], "uniform")
    below = ops.compare(ops.reshape(sums, [batch, 1, classes]), draw, pred="le")
    dtype = dtype_name(n.attr("dtype", 6))
    return ops.minimum(ops.sum(ops.cast(below, dtype), axis=-1), classes - 1)


def drawn(n: Node, shape: Sequence[Any], dist: str) -> Tensor:
    """Without a seed, the key is made of the name of the result, so that nodes draw different numbers."""
    seed = n.attr("seed")
    text = n.proto.output[0].encode() if seed is None else struct.pack("<f", seed)
    key = ops.constant(np.array([zlib.crc32(text), 0 if seed is None else 1], np.uint32))
    return ops.random(key, list(shape), dist=dist)
