"""Random graphs over all ops, loops and choices, symbolic dims and random schedules, twenty to a C file."""

from __future__ import annotations

import warnings
from collections import Counter

import pytest

from dialects.graph import OPS
from tests.random_graphs.check import GRAPHS, coverage, run
from tests.random_graphs.generate import Batch
from tests.rotating import change

FIXED = range(4)


ROTATING = range(1000 * (start := change()), 1000 * start + 6)
"""Ten batches in each run: four that stay, and six that are others with every change."""

MANY = range(250)


@pytest.mark.parametrize("seed", [*FIXED, *ROTATING])
def test_random_graphs(seed: int):
    run(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", MANY)
def test_many_random_graphs(seed: int):
    run(seed)


def test_every_op_is_drawn():
    used: Counter[str] = Counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in range(16):
            batch = Batch(seed, dynamic=seed % 2 == 1).grow(GRAPHS, 8)
            batch.module()
            used += batch.used
    print(coverage(used))
    assert set(OPS) <= used.keys(), f"never drawn: {sorted(set(OPS) - used.keys())}"
    assert {"for", "while", "if", "NaN or infinity", "no elements"} <= used.keys()
    assert {
        "donated input",
        "shared input",
        "input as result",
        "result twice",
        "updated input",
    } <= used.keys()
