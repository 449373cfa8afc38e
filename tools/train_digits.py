"""Writes what examples/digits.tg needs: `python -m tools.train_digits [FOLDER]`.

Reads the 1,797 handwritten digits of 8x8 pixels that scikit-learn carries, splits off a fifth for the test, and has
`irkit train` train the weights by examples/training/digits_mlp.tg. It writes `digits_test.npz` (x [360, 64] f32 in 0 to 1,
y [360] i32) and `digits.safetensors` (w1 [64, 128], b1 [128], w2 [128, 10], b2 [10]; f32). Seeded, so that one machine gives
the same weights again.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irkit.cli import main as irkit

TEST_SIZE = 360
EPOCHS = 60
SEED = 7
EXAMPLES = Path(__file__).resolve().parent.parent / "examples"

Array = NDArray[np.float64]


def split_digits() -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """(x, y) for training and for the test: pixels scaled to 0 to 1, shuffled with a fixed seed."""
    from sklearn.datasets import load_digits

    digits: Any = load_digits()
    order = np.random.default_rng(SEED).permutation(len(digits.target))
    x, y = digits.data[order] / 16.0, digits.target[order]
    return (x[TEST_SIZE:], y[TEST_SIZE:]), (x[:TEST_SIZE], y[:TEST_SIZE])


def write(path: Path, x: Array, y: NDArray[Any]) -> None:
    """Examples as `irkit train` reads them."""
    np.savez_compressed(path, x=x.astype(np.float32), y=y)


def main(folder: Path = EXAMPLES) -> int:
    """Writes both files, and tells the accuracy on the test split."""
    (x, y), (test_x, test_y) = split_digits()
    write(folder / "digits_test.npz", test_x, test_y.astype(np.int32))
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch) / "digits_train.npz"
        write(data, x, y.astype(np.int32))
        words = ["train", EXAMPLES / "training" / "digits_mlp.tg", "--data", data]
        words += ["--val", folder / "digits_test.npz", "--metric", "accuracy", "--epochs", EPOCHS]
        words += ["--threads", 1, "--quiet", "--save", folder / "digits.safetensors"]
        return irkit([*map(str, words)])


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else EXAMPLES))
