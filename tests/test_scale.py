"""Large programs: depth meets no recursion limit, and repetition costs one kernel. Times are in tools/bench."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from tools.bench import programs
from tools.bench.compiling import compile_to_c


def test_repeated_blocks_share_their_kernels():
    """250 equal blocks, 3,000 ops, give the kernels of three."""
    few = compile_to_c(programs.repeated_blocks(3))
    many = compile_to_c(programs.repeated_blocks(250))
    assert many.graph_ops == 250 * programs.OPS_PER_BLOCK
    assert many.kernels == few.kernels
    assert many.kernels < programs.OPS_PER_BLOCK


def test_different_shapes_are_different_kernels():
    """Each block of a shape of its own adds as many kernels as the one before."""
    counts = [compile_to_c(programs.distinct_blocks(n)).kernels for n in (1, 2, 3)]
    assert counts == [counts[0] * n for n in (1, 2, 3)]


@pytest.mark.parametrize("program", [programs.chain, programs.long_expression])
def test_long_chain_meets_no_recursion_limit(program: Callable[[int], str]):
    """20,000 elementwise ops, in statements and in one expression, reach C text as a few kernels."""
    limit = sys.getrecursionlimit()
    done = compile_to_c(program(20_000))
    assert done.graph_ops >= 20_000
    assert done.kernels <= 8
    assert sys.getrecursionlimit() == limit
