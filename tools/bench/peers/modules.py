"""The families as torch modules, with the weights of the row.

Where torch has a call that writes into a given tensor, the module has a method `into(out, *inputs)`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tools.bench.data import Data
from tools.bench.rows import Row


class Product(nn.Module):
    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.matmul(a, b)

    def into(self, out: Tensor, a: Tensor, b: Tensor) -> None:
        torch.matmul(a, b, out=out)


class ByWeights(nn.Module):
    def __init__(self, b: np.ndarray):
        super().__init__()
        self.b = constant(b)

    def forward(self, a: Tensor) -> Tensor:
        return torch.matmul(a, self.b)

    def into(self, out: Tensor, a: Tensor) -> None:
        torch.matmul(a, self.b, out=out)


class Perceptron(nn.Module):
    def __init__(self, **p: np.ndarray):
        super().__init__()
        self.first, self.second, self.third = (linear(p[f"w{n}"], p[f"b{n}"]) for n in (1, 2, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.third(F.relu(self.second(F.relu(self.first(x)))))

    def into(self, out: Tensor, x: Tensor) -> None:
        h = self.second(self.first(x).relu_()).relu_()
        torch.addmm(self.third.bias, h, self.third.weight.t(), out=out)


class Chain(nn.Module):
    def __init__(self, a: np.ndarray, b: np.ndarray):
        super().__init__()
        self.a, self.b = constant(a), constant(b)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(x * self.a + self.b) * torch.sigmoid(x) + torch.softmax(x, -1)

    def into(self, out: Tensor, x: Tensor) -> None:
        torch.add(F.gelu(x * self.a + self.b) * torch.sigmoid(x), torch.softmax(x, -1), out=out)


class Softmax(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.softmax(x, -1)

    def into(self, out: Tensor, x: Tensor) -> None:
        torch.softmax(x, -1, out=out)


class Attention(nn.Module):
    """Fused where torch runs it; in steps where another peer reads the file."""

    def __init__(self, fused: bool):
        super().__init__()
        self.fused = fused

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if self.fused:
            return F.scaled_dot_product_attention(q, k, v)
        scores = torch.matmul(q, k.transpose(-1, -2)) * (1 / math.sqrt(q.shape[-1]))
        return torch.matmul(torch.softmax(scores, -1), v)


class Layer(nn.Module):
    """A transformer encoder's layer, normalised after each part."""

    def __init__(self, heads: int, fused: bool, **p: np.ndarray):
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.o, self.one, self.two = (
            linear(p[f"w{name}"], p[f"b{name}"]) for name in ("q", "k", "v", "o", "1", "2")
        )
        self.norm1, self.norm2 = norm(p["g1"], p["c1"]), norm(p["g2"], p["c2"])
        self.attention = Attention(fused)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape

        def split(y: Tensor) -> Tensor:
            return y.view(batch, length, self.heads, width // self.heads).transpose(1, 2)

        a = self.attention(split(self.q(x)), split(self.k(x)), split(self.v(x)))
        x = self.norm1(x + self.o(a.transpose(1, 2).reshape(batch, length, width)))
        return self.norm2(x + self.two(F.gelu(self.one(x))))


def constant(array: np.ndarray) -> nn.Parameter:
    return nn.Parameter(torch.from_numpy(array), requires_grad=False)


def linear(w: np.ndarray, b: np.ndarray) -> nn.Linear:
    """A layer with the weights laid out as torch likes them, `[out, in]`."""
    layer = nn.Linear(*w.shape, device="meta")
    layer.weight, layer.bias = constant(np.ascontiguousarray(w.T)), constant(b)
    return layer


def norm(scale: np.ndarray, bias: np.ndarray) -> nn.LayerNorm:
    layer = nn.LayerNorm(len(scale), device="meta")
    layer.weight, layer.bias = constant(scale), constant(bias)
    return layer


def _encoder(row: Row, data: Data, fused: bool) -> nn.Module:
    layers: list[nn.Module] = []
    for n in range(row.dims["L"]):
        own = {k.removesuffix(f"_{n}"): v for k, v in data.params.items() if k.endswith(f"_{n}")}
        layers.append(Layer(row.dims["H"], fused, **own))
    return nn.Sequential(*layers)


def _conv(row: Row, data: Data) -> nn.Module:
    w, b = data.params["w"], data.params["b"]
    groups = row.dims.get("G", 1)
    layer = nn.Conv2d(
        w.shape[1] * groups, len(w), w.shape[2], padding=row.dims["P"], groups=groups, device="meta"
    )
    layer.weight, layer.bias = constant(w), constant(b)
    return layer


BUILDERS: dict[str, Callable[[Row, Data, bool], nn.Module]] = {
    "gemm": lambda row, data, fused: Product(),
    "bmm": lambda row, data, fused: Product(),
    "weights": lambda row, data, fused: ByWeights(**data.params),
    "mlp": lambda row, data, fused: Perceptron(**data.params),
    "ew": lambda row, data, fused: Chain(**data.params),
    "softmax": lambda row, data, fused: Softmax(),
    "layernorm": lambda row, data, fused: norm(**data.params),
    "attention": lambda row, data, fused: Attention(fused),
    "encoder": _encoder,
    "conv": lambda row, data, fused: _conv(row, data),
}


def build(row: Row, data: Data, fused: bool = True) -> tuple[nn.Module, tuple[Tensor, ...]] | None:
    """A module and its inputs, or None for a family that has none. Convolutions get channels last, as torch likes them,
    unless they go to a file."""
    if row.family not in BUILDERS:
        return None
    module = BUILDERS[row.family](row, data, fused).eval()
    inputs = tuple(torch.from_numpy(a) for a in data.inputs.values())
    if row.family == "conv" and fused:
        module = module.to(memory_format=torch.channels_last)
        inputs = tuple(x.contiguous(memory_format=torch.channels_last) for x in inputs)
    return module, inputs
