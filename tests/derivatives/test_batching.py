"""Functions mapped over a dim, of every op, of index notation and of control flow, against one part after another."""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

import numpy as np
import pytest
from xdsl.dialects.func import FuncOp

from dialects.dims import Dim
from irkit.gradients import mapped_function
from lowering.graph.interpret import argument_names, run_graph
from tests.derivatives.cases import CASES
from tests.derivatives.numeric import Array, function_of, inputs_of

PARTS = 3


def part_by_part(func: FuncOp, arrays: Sequence[Array], axes: dict[str, int]) -> list[Array]:
    """What mapping a function means."""
    names = argument_names(func)
    rounds = [
        run_graph(func, [a.take(i, axes[n]) if n in axes else a for n, a in zip(names, arrays, strict=True)])
        for i in range(PARTS)
    ]
    return [np.stack(parts) for parts in zip(*rounds, strict=True)]


def drawn(func: FuncOp, axes: dict[str, int], seed: int) -> list[Array]:
    """Arrays for a function, of which the mapped ones hold other numbers for each part."""
    rounds = [inputs_of(func, seed + i) for i in range(PARTS)]
    rows = zip(argument_names(func), zip(*rounds, strict=True), strict=True)
    return [np.stack(parts, axes[n]) if n in axes else parts[0] for n, parts in rows]


@pytest.mark.parametrize("name", CASES)
def test_parts(name: str):
    func = function_of(CASES[name])
    rng = np.random.default_rng(crc32(name.encode()))
    names = argument_names(func)
    ranks = dict(zip(names, (len(a.type.get_shape()) for a in func.body.block.args), strict=True))  # pyright: ignore
    one = rng.integers(len(names))
    choices = [names, [n for n in names if rng.random() < 0.5] or [names[one]], [names[one]]]
    for taken in choices[: 2 if len(names) > 1 else 1]:
        axes = {n: int(rng.integers(ranks[n] + 1)) for n in taken}
        arrays = drawn(func, axes, 0)
        found = run_graph(mapped_function(func, Dim.of(PARTS), axes), arrays)
        for a, b in zip(found, part_by_part(func, arrays, axes), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
