"""Random graphs over all ops, loops and choices, symbolic dims and random schedules, twenty to a C file."""

from __future__ import annotations

import datetime
import warnings
from collections import Counter

import pytest

from dialects.graph import OPS
from tests.random_graphs.check import check, coverage
from tests.random_graphs.generate import Batch

GRAPHS = 20
FIXED = range(4)
TODAY = range(1000 * (day := datetime.date.today().toordinal()), 1000 * day + 6)
"""Ten batches in each run: four that stay, and six that are others every day."""

MANY = range(250)


def run(seed: int) -> Counter[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        batch = Batch(seed, dynamic=seed % 5 == 4).grow(GRAPHS, 8)
        return check(batch, "gcc" if seed % 2 else "clang", f"-O{seed % 4}")


@pytest.mark.parametrize("seed", [*FIXED, *TODAY])
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
            used += Batch(seed, dynamic=seed % 2 == 1).grow(GRAPHS, 8).used
    print(coverage(used))
    assert set(OPS) <= used.keys(), f"never drawn: {sorted(set(OPS) - used.keys())}"
    assert {"for", "while", "if"} <= used.keys()
