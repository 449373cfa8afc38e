"""Writes the data of examples/training, from what scikit-learn carries: `python -m tools.training_data [FOLDER]`.

Handwritten digits (1,437 images of 8x8 pixels to train on; the other 360 are examples/digits_test.npz), the iris flowers,
and the progression of diabetes; the last two are split, four fifths to train on. Floats have mean 0 and deviation 1 over
the examples to train on, but for pixels, which are 0 to 1.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from tools.train_digits import EXAMPLES, SEED, split_digits, write


def main(folder: Path) -> None:
    """Writes the files."""
    from sklearn.datasets import load_diabetes, load_iris

    (x, y), _ = split_digits()
    write(folder / "digits_train.npz", x, y.astype(np.int32))
    flowers: Any = load_iris()
    write_split(folder, "iris", flowers.data, flowers.target.astype(np.int32))
    patients: Any = load_diabetes()
    target = patients.target
    write_split(
        folder, "diabetes", patients.data, ((target - target.mean()) / target.std()).astype(np.float32)
    )


def write_split(folder: Path, name: str, x: np.ndarray, y: np.ndarray) -> None:
    order = np.random.default_rng(SEED).permutation(len(x))
    count = len(x) * 4 // 5
    x = (x - x[order[:count]].mean(axis=0)) / x[order[:count]].std(axis=0)
    write(folder / f"{name}_train.npz", x[order[:count]], y[order[:count]])
    write(folder / f"{name}_test.npz", x[order[count:]], y[order[count:]])


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else EXAMPLES / "training")
