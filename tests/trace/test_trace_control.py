"""Loops and choices of traced functions, against Python's own, at graph level and compiled."""

from __future__ import annotations

import numpy as np
import pytest

import irkit
from irkit import ops

XS = np.linspace(-1, 1, 20, dtype=np.float32).reshape(5, 4)
W = np.linspace(-0.3, 0.4, 16, dtype=np.float32).reshape(4, 4)


def ops_in(graph: irkit.Graph) -> list[str]:
    return [op.name.removeprefix("graph.") for op in graph.module.walk() if op.name.startswith("graph.")]


def test_scan_carries_and_stacks():
    @irkit.trace
    def rnn(xs, w):
        def step(state, x):
            h = np.tanh(state["h"] @ w + x)
            return {"h": h, "n": state["n"] + 1}, (h * 2, x.sum())

        return irkit.scan(step, {"h": ops.zeros([4]), "n": np.int32(0)}, xs)

    h, wanted = np.zeros(4, np.float32), []
    for x in XS:
        h = np.tanh(h @ W + x)
        wanted.append(h * 2)
    state, (ys, sums) = rnn(XS, W)
    np.testing.assert_allclose(state["h"], h, rtol=1e-5)
    assert state["n"] == 5
    np.testing.assert_allclose(ys, wanted, rtol=1e-5)
    np.testing.assert_allclose(sums, XS.sum(1), atol=1e-6)
    assert ops_in(rnn.graph(XS, W)).count("for") == 1


def test_scan_without_rows_and_without_results():
    traced = irkit.trace(lambda x: irkit.scan(lambda c, _: (c * 2, None), x, length=3)[0])
    np.testing.assert_array_equal(traced(XS), XS * 8)


def test_scan_over_a_dim_with_a_range():
    steps = irkit.dim("T", 3, 1, 8)

    @irkit.trace
    def total(xs):
        return irkit.scan(lambda c, x: (c + x, c), ops.zeros([4]), xs)

    program = total.compile(irkit.spec([steps, 4]))
    last, before = program(XS)
    np.testing.assert_allclose(last, XS.sum(0), rtol=1e-5)
    np.testing.assert_allclose(before, np.cumsum(XS, 0) - XS, atol=1e-6)


def test_fori_counts_to_a_tensor():
    @irkit.trace
    def power(x, n):
        return irkit.fori(0, n, lambda i, y: y * x + i.astype("f32"), x)

    wanted = XS
    for i in range(3):
        wanted = wanted * XS + np.float32(i)
    np.testing.assert_allclose(power(XS, np.int32(3)), wanted, rtol=1e-5)


def test_while_loop_ends_by_its_condition_or_its_limit():
    @irkit.trace
    def root(a, limit=None):
        first = np.maximum(a, 1), np.int32(0)
        return irkit.while_loop(
            lambda c: abs(c[0] * c[0] - a) > 1e-6 * a,
            lambda c: ((c[0] + a / c[0]) / 2, c[1] + 1),
            first,
            limit,
        )

    value, rounds = root(np.float32(9))
    assert abs(value - 3) < 1e-5 and 3 < rounds < 8
    assert root(np.float32(9), 2)[1] == 2


@pytest.mark.parametrize("positive", (True, False))
def test_cond_takes_one_way(positive: bool):
    @irkit.trace
    def f(x, p):
        same = irkit.cond(p, lambda v: v * 2, lambda v: v, x)
        other = irkit.cond(p, lambda v: (v.sum(), v[0]), lambda v: (v.max(), v[1] + 1), x)
        return same, *other

    a, b, c = f(XS, np.bool_(positive))
    np.testing.assert_allclose(a, XS * 2 if positive else XS, rtol=1e-6)
    np.testing.assert_allclose(b, XS.sum() if positive else XS.max(), atol=1e-6)
    np.testing.assert_allclose(c, XS[0] if positive else XS[1] + 1, rtol=1e-6)


def test_a_known_truth_leaves_no_choice():
    graph = irkit.trace(lambda x: irkit.cond(True, np.exp, np.log, x)).graph(XS)
    assert ops_in(graph) == ["exp"]


def test_python_loops_unroll():
    def f(x):
        for _ in range(3):
            x = np.tanh(x)
        return x

    assert ops_in(irkit.trace(f).graph(XS)) == ["tanh"] * 3
