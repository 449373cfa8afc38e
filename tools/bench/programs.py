"""Programs for benchmarks and scale tests, as `.tg` text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

OPS_PER_BLOCK = 12

_BLOCK = """\
  h = gelu(layer_norm(x, g_{i}, c_{i}) @ u_{i} + d_{i})
  x = x + (h @ v_{i} + e_{i})
  y = layer_norm(x, g_{i}, c_{i}) @ w_{i} + f_{i}
  x = y * sigmoid(y)
"""

_PARAMS = """\
param g_{i}: f32[{m}] = ones()
param c_{i}: f32[{m}] = zeros()
param u_{i}: f32[{m}, {k}] = glorot(seed={i})
param d_{i}: f32[{k}] = zeros()
param v_{i}: f32[{k}, {m}] = glorot(seed={i})
param e_{i}: f32[{m}] = zeros()
param w_{i}: f32[{m}, {n}] = glorot(seed={i})
param f_{i}: f32[{n}] = zeros()
"""


def blocks(widths: Sequence[int], batch: int = 32) -> str:
    """A chain of blocks of 12 ops, each with its own weights; block i takes widths[i] features to widths[i + 1].

    A block is a normalised perceptron with a residual and a gated projection: layer_norm, matmul, add, gelu, matmul,
    add, add, layer_norm, matmul, add, sigmoid, mul.
    """
    pairs = list(pairwise(widths))
    params = "".join(_PARAMS.format(i=i, m=m, n=n, k=2 * m) for i, (m, n) in enumerate(pairs))
    body = "".join(_BLOCK.format(i=i) for i in range(len(pairs)))
    head = f"fn main(x: f32[{batch}, {widths[0]}]) -> (y: f32[{batch}, {widths[-1]}]) {{\n"
    return f"{params}\n{head}{body}  return x\n}}\n"


def repeated_blocks(count: int, width: int = 64) -> str:
    """Blocks of one shape."""
    return blocks([width] * (count + 1))


def distinct_blocks(count: int, width: int = 64) -> str:
    """Blocks of pairwise different shapes."""
    return blocks(range(width, width + count + 1))


def chain(ops: int, size: int = 1024) -> str:
    """Elementwise ops one after the other, in statements of two: h = 0.5 * h + x."""
    body = "  h = 0.5 * h + x\n" * (ops // 2)
    return f"fn main(x: f32[{size}]) -> (y: f32[{size}]) {{\n  h = x\n{body}  return h\n}}\n"


def long_expression(ops: int, size: int = 1024) -> str:
    """One expression of many ops: x + x * x + x * x + ..."""
    terms = " + x * x" * (ops // 2)
    return f"fn main(x: f32[{size}]) -> (y: f32[{size}]) {{ return x{terms} }}\n"


_LAYER = (
    ("wq", "D, D"),
    ("bq", "D"),
    ("wk", "D, D"),
    ("bk", "D"),
    ("wv", "D, D"),
    ("bv", "D"),
    ("wo", "D, D"),
    ("bo", "D"),
    ("g1", "D"),
    ("c1", "D"),
    ("w1", "D, 4*D"),
    ("b1", "4*D"),
    ("w2", "4*D, D"),
    ("b2", "D"),
    ("g2", "D"),
    ("c2", "D"),
)
"""The parameters of a layer of encoder.tg, in the order in which it takes them."""


def encoder_main(layers: int) -> str:
    """What completes tools/bench/tg/encoder.tg: the parameters of so many layers, and a main function over them."""
    params = "".join(
        f"param {name}_{n}: f32[{dims}] = normal(seed={n}, mean={int(name[0] == 'g')}, std=0.02)\n"
        for n in range(layers)
        for name, dims in _LAYER
    )
    calls = "".join(
        f"  x = layer(x, {', '.join(f'{name}_{n}' for name, _ in _LAYER)})\n" for n in range(layers)
    )
    head = "fn main(x: f32[1, S, D] = normal(seed=99)) -> (y: f32[1, S, D]) {\n"
    return f"\n{params}\n{head}{calls}  return x\n}}\n"
