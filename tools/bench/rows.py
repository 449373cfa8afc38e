"""The races as data: each states its program, its inputs, its work, its goal, and the same thing in every peer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import TypeAlias

import numpy as np

from tools.bench import programs

Arrays: TypeAlias = "Mapping[str, np.ndarray]"
Call: TypeAlias = "Callable[[], object]"
Peer: TypeAlias = "Callable[[Arrays, np.ndarray], Call]"
"""Takes the inputs and the array for the result, and gives what is to be timed."""

PEERS = ("numpy", "torch")


@dataclass(frozen=True)
class Row:
    """A race: `goal` is the least speed, in multiples of the best peer's, that it has to reach, or None yet."""

    name: str
    program: str
    inputs: Mapping[str, tuple[int, ...]]
    flops: float
    goal: float | None
    peers: Mapping[str, Peer]


def in_torch(compute: Callable[..., object]) -> Peer:
    """A peer whose function takes torch tensors over the same memory by name, and the result as `out`."""

    def prepare(x: Arrays, out: np.ndarray) -> Call:
        import torch

        tensors = {name: torch.from_numpy(value) for name, value in x.items()}
        result = torch.from_numpy(out)

        def call() -> None:
            with torch.inference_mode():
                compute(torch, out=result, **tensors)

        return call

    return prepare


def in_numpy(compute: Callable[..., object]) -> Peer:
    """A peer whose function takes arrays by name, and the result as `out`."""
    return lambda x, out: lambda: compute(out=out, **x)


def gemm(n: int, goal: float) -> Row:
    """One square product."""
    peers = {
        "numpy": in_numpy(lambda a, b, out: np.matmul(a, b, out=out)),
        "torch": in_torch(lambda torch, a, b, out: torch.mm(a, b, out=out)),
    }
    return Row(f"gemm{n}", programs.matmul(n, n, n), {"a": (n, n), "b": (n, n)}, 2.0 * n**3, goal, peers)


def mlp(batch: int) -> Row:
    """The perceptron of examples/mlp.tg; each layer is one call in torch."""
    sizes = (784, 512, 512, 10)
    inputs: dict[str, tuple[int, ...]] = {"x": (batch, sizes[0])}
    for i, (m, n) in enumerate(pairwise(sizes), 1):
        inputs |= {f"w{i}": (m, n), f"b{i}": (n,)}
    text = f"fn main({declared(inputs)}) -> (y: f32[{batch}, 10])"
    text += " { return relu(relu(x @ w1 + b1) @ w2 + b2) @ w3 + b3 }\n"

    def numpy(x, w1, b1, w2, b2, w3, b3, out):
        h = np.maximum(x @ w1 + b1, 0)
        np.add(np.maximum(h @ w2 + b2, 0) @ w3, b3, out=out)

    def torch(torch, x, w1, b1, w2, b2, w3, b3, out):
        h = torch.addmm(b1, x, w1).relu_()
        torch.addmm(b3, torch.addmm(b2, h, w2).relu_(), w3, out=out)

    work = sum(2.0 * batch * m * n for m, n in pairwise(sizes))
    return Row(f"mlp{batch}", text, inputs, work, None, {"numpy": in_numpy(numpy), "torch": in_torch(torch)})


def pointwise(name: str, inputs: Mapping[str, tuple[int, ...]], body: str, flops: int, torch: Peer) -> Row:
    """A function of x, of x's shape, which only torch has as one call or a few."""
    shape = inputs["x"]
    text = f"fn main({declared(inputs)}) -> (y: f32{list(shape)}) {{ return {body} }}\n"
    return Row(name, text, inputs, float(flops * prod(shape)), None, {"torch": torch})


def conv3x3() -> Row:
    """A 3x3 convolution, 64 to 64 channels at 56x56, with a bias."""
    inputs = {"x": (1, 64, 56, 56), "w": (64, 64, 3, 3), "b": (64,)}
    text = f"fn main({declared(inputs)}) -> (y: f32[1, 64, 56, 56]) {{ return conv2d(x, w, b, padding=1) }}\n"
    peer = in_torch(lambda torch, x, w, b, out: out.copy_(torch.nn.functional.conv2d(x, w, b, padding=1)))
    return Row("conv3x3", text, inputs, 2.0 * 64 * 64 * 9 * 56 * 56, None, {"torch": peer})


def declared(inputs: Mapping[str, tuple[int, ...]]) -> str:
    """Inputs as a function declares them."""
    return ", ".join(f"{name}: f32{list(shape)}" for name, shape in inputs.items())


ROWS = [
    gemm(512, 0.85),
    gemm(1024, 0.85),
    gemm(2048, 0.85),
    gemm(1021, 0.8 * 0.85),
    gemm(1025, 0.8 * 0.85),
    mlp(32),
    conv3x3(),
    pointwise(
        "softmax",
        {"x": (4096, 4096)},
        "softmax(x, axis=-1)",
        4,
        in_torch(lambda torch, x, out: torch.softmax(x, -1, out=out)),
    ),
    pointwise(
        "layernorm",
        {"x": (4096, 1024), "g": (1024,), "b": (1024,)},
        "layer_norm(x, g, b)",
        7,
        in_torch(lambda torch, x, g, b, out: out.copy_(torch.nn.functional.layer_norm(x, (1024,), g, b))),
    ),
    pointwise(
        "ew",
        {"x": (4096, 4096), "a": (4096,), "b": (4096,)},
        "gelu(x * a + b) * sigmoid(x) + softmax(x, axis=-1)",
        12,
        in_torch(
            lambda torch, x, a, b, out: torch.add(
                torch.nn.functional.gelu(x * a + b) * torch.sigmoid(x), torch.softmax(x, -1), out=out
            )
        ),
    ),
]
