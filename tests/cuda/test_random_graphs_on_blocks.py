"""Random graphs over all ops, loops and choices as CUDA text on this CPU: their numbers, in one of the orders, in place."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from xdsl.ir import Operation

from tests.cuda.every_op import run_module
from tests.cuda.machine import ORDERS
from tests.random_graphs.check import difference
from tests.random_graphs.generate import SIZES, Batch
from tests.rotating import change

GRAPHS = 8
ROTATING = 1000 * change()
MANY = range(60)


def run(seed: int, folder: Path) -> None:
    """Raises AssertionError for a result that is not what the references give."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        batch = Batch(seed, dynamic=seed % 4 == 3).grow(GRAPHS, 8)
        module = batch.module()
        text = str(module)
        origins = [
            v.ssa.owner.name if isinstance(v.ssa.owner, Operation) else "an input" for v in batch.results
        ]
        sizes = SIZES if batch.dynamic else None
        order = list(ORDERS)[seed % 3]
        found = run_module(module, batch.inputs, folder, sizes, order, shares=seed % 2 == 1)
        for number, (one, value) in enumerate(zip(found, batch.results, strict=True)):
            fault = difference(one, value.arrays)
            assert fault is None, f"{fault} in result {number} ({origins[number]}) of seed {seed}\n{text}"


@pytest.mark.parametrize("seed", [1, ROTATING])
def test_random_graphs(seed: int, tmp_path: Path):
    run(seed, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", MANY)
def test_many_random_graphs(seed: int, tmp_path: Path):
    run(seed, tmp_path)
