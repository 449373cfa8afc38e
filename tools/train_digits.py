"""Trains the weights of examples/digits.tg in NumPy: `python -m tools.train_digits [FOLDER]`.

Reads the 1,797 handwritten digits of 8x8 pixels that scikit-learn carries, splits off a fifth for the test, trains a
perceptron with one hidden layer of 128 by Adam (Kingma and Ba 2015) with decoupled weight decay, and writes
`digits.safetensors` (w1 [64, 128], b1 [128], w2 [128, 10], b2 [10]; f32) and `digits_test.npz` (x [360, 64] f32 in
0 to 1, y [360] i32). Seeded, and computed in f64, so that it gives the same weights again.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

HIDDEN = 128
TEST_SIZE = 360
EPOCHS = 60
BATCH = 32
RATE = 2e-3
DECAY = 1e-2
SEED = 7
EXAMPLES = Path(__file__).resolve().parent.parent / "examples"

Array = NDArray[np.float64]
Weights = dict[str, Array]


def split_digits() -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """(x, y) for training and for the test: pixels scaled to 0 to 1, shuffled with a fixed seed."""
    from sklearn.datasets import load_digits

    digits: Any = load_digits()
    order = np.random.default_rng(SEED).permutation(len(digits.target))
    x, y = digits.data[order] / 16.0, digits.target[order]
    return (x[TEST_SIZE:], y[TEST_SIZE:]), (x[:TEST_SIZE], y[:TEST_SIZE])


def start(rng: np.random.Generator) -> Weights:
    """Normal weights of variance 2 / fan-in (He et al. 2015), and zero biases."""
    return {
        "w1": rng.normal(0, np.sqrt(2 / 64), (64, HIDDEN)),
        "b1": np.zeros(HIDDEN),
        "w2": rng.normal(0, np.sqrt(2 / HIDDEN), (HIDDEN, 10)),
        "b2": np.zeros(10),
    }


def logits(w: Weights, x: Array) -> Array:
    """The scores of the ten classes, [n, 10]."""
    return np.maximum(x @ w["w1"] + w["b1"], 0) @ w["w2"] + w["b2"]


def gradients(w: Weights, x: Array, y: Array) -> Weights:
    """Of the mean cross entropy over a batch, by the chain rule."""
    h = np.maximum(x @ w["w1"] + w["b1"], 0)
    z = h @ w["w2"] + w["b2"]
    p = np.exp(z - z.max(axis=1, keepdims=True))
    dz = p / p.sum(axis=1, keepdims=True)
    dz[np.arange(len(y)), y] -= 1
    dz /= len(y)
    dh = np.where(h > 0, dz @ w["w2"].T, 0)
    return {"w1": x.T @ dh, "b1": dh.sum(axis=0), "w2": h.T @ dz, "b2": dz.sum(axis=0)}


def train(x: Array, y: Array) -> Weights:
    """Adam over shuffled batches, its rate falling to zero along a cosine."""
    rng = np.random.default_rng(SEED)
    w = start(rng)
    mean, square = ({k: np.zeros_like(v) for k, v in w.items()} for _ in range(2))
    steps = EPOCHS * (len(x) // BATCH)
    step = 0
    for _ in range(EPOCHS):
        order = rng.permutation(len(x))
        for first in range(0, len(x) - BATCH + 1, BATCH):
            rows = order[first : first + BATCH]
            step += 1
            rate = RATE * (1 + np.cos(np.pi * step / steps)) / 2
            for name, g in gradients(w, x[rows], y[rows]).items():
                mean[name] = 0.9 * mean[name] + 0.1 * g
                square[name] = 0.999 * square[name] + 0.001 * g * g
                ahead = mean[name] / (1 - 0.9**step) / (np.sqrt(square[name] / (1 - 0.999**step)) + 1e-8)
                w[name] = w[name] - rate * (ahead + (DECAY * w[name] if w[name].ndim == 2 else 0))
    return w


def main(folder: Path = EXAMPLES) -> float:
    """Trains, writes both files, returns the accuracy on the test split."""
    (x, y), (test_x, test_y) = split_digits()
    weights = {name: value.astype(np.float32) for name, value in train(x, y).items()}
    test_x = test_x.astype(np.float32)
    accuracy = float((logits(weights, test_x).argmax(axis=1) == test_y).mean())  # pyright: ignore[reportArgumentType]
    (folder / "digits.safetensors").write_bytes(save(weights))
    np.savez_compressed(folder / "digits_test.npz", x=test_x, y=test_y.astype(np.int32))
    return accuracy


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else EXAMPLES
    print(f"accuracy on the test split: {main(target):.4f}; weights and test data are in {target}")
