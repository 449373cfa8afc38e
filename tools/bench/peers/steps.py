"""Steps of training in torch, as one writes them: autograd, and an optimiser of torch.optim."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch._dynamo
import torch.nn.functional as F
from torch import Tensor

from tools.bench import training
from tools.bench.candidate import Candidate
from tools.bench.data import Data
from tools.bench.rows import Row

Params = dict[str, Tensor]
LINEAR = ("w", "head")
"""How names of matrices begin; torch likes them laid out `[out, in]`."""


def perceptron(p: Params, x: Tensor, heads: int) -> Tensor:
    h = F.relu(F.linear(x, p["w1"], p["b1"]))
    h = F.relu(F.linear(h, p["w2"], p["b2"]))
    return F.linear(h, p["w3"], p["b3"])


def convolutions(p: Params, x: Tensor, heads: int) -> Tensor:
    h = F.relu(F.conv2d(x, p["k1"], p["c1"].flatten(), padding=1))
    h = F.relu(F.conv2d(h, p["k2"], p["c2"].flatten(), padding=1))
    return F.linear(F.max_pool2d(h, 2).flatten(1), p["w"], p["b"])


def gpt(p: Params, x: Tensor, heads: int) -> Tensor:
    h = F.embedding(x, p["tokens"]) + p["places"]
    width = h.shape[-1]

    def norm(h: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        return F.layer_norm(h, (width,), scale, shift)

    for n in range(sum(name.startswith("wa_") for name in p)):
        a = F.linear(norm(h, p[f"g1_{n}"], p[f"c1_{n}"]), p[f"wa_{n}"], p[f"ba_{n}"])
        parts = (t.unflatten(-1, (heads, -1)).transpose(1, 2) for t in a.split(width, -1))
        a = F.scaled_dot_product_attention(*parts, is_causal=True).transpose(1, 2).flatten(2)
        h = h + F.linear(a, p[f"wo_{n}"], p[f"bo_{n}"])
        f = F.gelu(F.linear(norm(h, p[f"g2_{n}"], p[f"c2_{n}"]), p[f"w1_{n}"], p[f"b1_{n}"]))
        h = h + F.linear(f, p[f"w2_{n}"], p[f"b2_{n}"])
    return F.linear(norm(h, p["scale"], p["shift"]), p["head"])


LOGITS: dict[str, Callable[[Params, Tensor, int], Tensor]] = {
    "train_mlp": perceptron,
    "train_cnn": convolutions,
    "train_gpt": gpt,
}


def prepare(row: Row, data: Data, threads: int, compiled: bool = False) -> Candidate:
    """Forward, backward and update; with `compiled`, both the loss and the update by torch.compile."""
    torch.set_num_threads(threads)
    logits, watched = LOGITS[row.family], training.WATCHED[row.family]
    params = {name: _parameter(name, array) for name, array in data.params.items()}
    x, y = (torch.from_numpy(a if a.dtype.kind == "f" else a.astype(np.int64)) for a in data.inputs.values())
    rate = torch.tensor(watched.rate) if compiled else watched.rate
    if watched.adamw:
        optimiser = torch.optim.AdamW(list(params.values()), lr=rate, fused=not compiled)
    else:
        optimiser = torch.optim.SGD(list(params.values()), lr=watched.rate)

    def loss() -> Tensor:
        found = logits(params, x, row.dims.get("H", 1))
        return F.cross_entropy(found.reshape(-1, found.shape[-1]), y.reshape(-1))

    update: Callable[[], object] = optimiser.step
    forward = loss
    if compiled:
        torch._dynamo.reset()
        forward = torch.compile(loss, dynamic=False)
        update = torch.compile(lambda: optimiser.step(), dynamic=False)

    def step() -> Tensor:
        optimiser.zero_grad(set_to_none=True)
        found = forward()
        found.backward()
        update()
        return found

    def first() -> np.ndarray:
        found = step().item()
        after = params[watched.param].detach().numpy()
        after = after.T if watched.param.startswith(LINEAR) else after
        return training.result(row, found, data.params[watched.param], after)

    return Candidate(step, first, allocates=True)


def _parameter(name: str, array: np.ndarray) -> Tensor:
    turned = array.T if array.ndim == 2 and name.startswith(LINEAR) else array
    return torch.from_numpy(turned.copy()).requires_grad_()
