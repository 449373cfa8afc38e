"""Steps of training in jax: value_and_grad and the update under one jit, which may take the old parameters' memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax, nn

from tools.bench import training
from tools.bench.candidate import Candidate
from tools.bench.data import Data
from tools.bench.rows import Row

Array = Any
Params = dict[str, Array]


def perceptron(p: Params, x: Array, heads: int) -> Array:
    h = nn.relu(x @ p["w1"] + p["b1"])
    h = nn.relu(h @ p["w2"] + p["b2"])
    return h @ p["w3"] + p["b3"]


def convolutions(p: Params, x: Array, heads: int) -> Array:
    h = x
    for n in "12":
        h = nn.relu(lax.conv(h, p[f"k{n}"], (1, 1), "SAME") + p[f"c{n}"])
    h = lax.reduce_window(h, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
    return h.reshape(len(h), -1) @ p["w"] + p["b"]


def gpt(p: Params, x: Array, heads: int) -> Array:
    h = p["tokens"][x] + p["places"]
    batch, length, width = h.shape
    seen = jnp.tril(jnp.ones((length, length), bool))

    def norm(h: Array, scale: Array, shift: Array) -> Array:
        d = h - h.mean(-1, keepdims=True)
        return d * lax.rsqrt((d * d).mean(-1, keepdims=True) + 1e-5) * scale + shift

    def split(t: Array) -> Array:
        return t.reshape(batch, length, heads, width // heads).transpose(0, 2, 1, 3)

    for n in range(sum(name.startswith("wa_") for name in p)):
        a = norm(h, p[f"g1_{n}"], p[f"c1_{n}"]) @ p[f"wa_{n}"] + p[f"ba_{n}"]
        q, k, v = map(split, jnp.split(a, 3, -1))
        scores = jnp.where(seen, q @ k.swapaxes(-1, -2) / math.sqrt(width // heads), -1e30)
        a = (nn.softmax(scores, -1) @ v).transpose(0, 2, 1, 3).reshape(h.shape)
        h = h + a @ p[f"wo_{n}"] + p[f"bo_{n}"]
        f = nn.gelu(norm(h, p[f"g2_{n}"], p[f"c2_{n}"]) @ p[f"w1_{n}"] + p[f"b1_{n}"], approximate=False)
        h = h + f @ p[f"w2_{n}"] + p[f"b2_{n}"]
    return norm(h, p["scale"], p["shift"]) @ p["head"]


LOGITS: dict[str, Callable[[Params, Array, int], Array]] = {
    "train_mlp": perceptron,
    "train_cnn": convolutions,
    "train_gpt": gpt,
}


def prepare(row: Row, data: Data) -> Candidate:
    logits, watched = LOGITS[row.family], training.WATCHED[row.family]
    x, y = map(jnp.asarray, data.inputs.values())

    def loss(p: Params) -> Array:
        found = nn.log_softmax(logits(p, x, row.dims.get("H", 1)))
        return -jnp.take_along_axis(found, y[..., None], -1).mean()

    def sgd(state: Array) -> tuple[Array, Array]:
        found, g = jax.value_and_grad(loss)(state)
        return jax.tree.map(lambda p, g: p - watched.rate * g, state, g), found

    def adamw(state: Array) -> tuple[Array, Array]:
        p, m, v, t = state
        found, g = jax.value_and_grad(loss)(p)
        t = t + 1
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)

        def moved(p: Array, m: Array, v: Array) -> Array:
            size = jnp.sqrt(v / (1 - 0.999**t)) + 1e-8
            return p - watched.rate * (m / (1 - 0.9**t) / size + 0.01 * p)

        return (jax.tree.map(moved, p, m, v), m, v, t), found

    params = {name: jnp.array(array) for name, array in data.params.items()}
    zeros = [jax.tree.map(jnp.zeros_like, params) for _ in range(2)]
    held = [(params, *zeros, jnp.float32(0)) if watched.adamw else params]
    step = jax.jit(adamw if watched.adamw else sgd, donate_argnums=0).lower(held[0]).compile()

    def call() -> Array:
        held[0], found = step(held[0])
        return found.block_until_ready()

    def first() -> np.ndarray:
        found = float(call())
        after = held[0][0] if watched.adamw else held[0]
        return training.result(row, found, data.params[watched.param], np.asarray(after[watched.param]))

    return Candidate(call, first, allocates=True)
