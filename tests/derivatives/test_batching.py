"""Functions mapped over a dim, of every op, of index notation and of control flow, against one part after another."""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

import numpy as np
import pytest
from xdsl.dialects.func import FuncOp

from dialects.dims import Dim
from irkit.gradients import forward_function, mapped_function, reverse_function
from lowering.graph.interpret import argument_names, run_graph
from tests.derivatives.cases import CASES, function
from tests.derivatives.numeric import Array, differentiated, float_names, floats_of, function_of, inputs_of

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
        found = run_graph(differentiated(mapped_function(func, Dim.of(PARTS), axes)), arrays)
        for a, b in zip(found, part_by_part(func, arrays, axes), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


FEW = [
    n
    for i, n in enumerate(CASES)
    if i % 5 == 0 or n.startswith(("for", "while", "if", "ix g", "conv", "mat"))
]


@pytest.mark.parametrize("name", FEW)
def test_parts_and_derivatives(name: str):
    """Gradients of each part; and the gradient of all parts, which for what they share is the sum."""
    func = function_of(CASES[name])
    names, wrt = argument_names(func), float_names(func)
    rng = np.random.default_rng(crc32(name.encode()))
    shared = names[rng.integers(len(names))] if len(names) > 1 else None
    axes = {n: 0 for n in names if n != shared}
    arrays = drawn(func, axes, 0)
    mapped = mapped_function(func, Dim.of(PARTS), axes)
    plain = run_graph(mapped, arrays)
    seeds = [rng.standard_normal(y.shape) for y in floats_of(plain)]
    each = reverse_function(func, wrt)
    axes |= {n: 0 for n in argument_names(each)[len(names) :]}
    expected = part_by_part(each, [*arrays, *seeds], axes)

    found = run_graph(mapped_function(each, Dim.of(PARTS), axes), [*arrays, *seeds])
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)

    found = run_graph(reverse_function(mapped, wrt), [*arrays, *seeds])
    for n, a, b in zip(wrt, found[len(plain) :], expected[len(plain) :], strict=True):
        np.testing.assert_allclose(a, b if n in axes else b.sum(axis=0), rtol=1e-9, atol=1e-9)

    along = forward_function(mapped, wrt)
    directions = [rng.standard_normal(arrays[names.index(n)].shape) for n in wrt]
    tangents = run_graph(along, [*arrays, *directions])[len(plain) :]
    by_forward = sum(float((s * t).sum()) for s, t in zip(seeds, tangents, strict=True))
    by_reverse = sum(float((c * d).sum()) for c, d in zip(found[len(plain) :], directions, strict=True))
    np.testing.assert_allclose(by_forward, by_reverse, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", FEW)
def test_parts_of_parts(name: str):
    """Mapped twice, along dims of different operands."""
    func = function_of(CASES[name])
    names = argument_names(func)
    inner = {n: 0 for n in names[::2]}
    once = mapped_function(func, Dim.of(PARTS), inner)
    outer = {n: 0 for n in names[-2:]}
    rounds = [drawn(func, inner, PARTS * i) for i in range(PARTS)]
    rows = zip(names, zip(*rounds, strict=True), strict=True)
    arrays = [np.stack(a) if n in outer else a[0] for n, a in rows]
    found = run_graph(mapped_function(once, Dim.of(PARTS), outer), arrays)
    for a, b in zip(found, part_by_part(once, arrays, outer), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


OTHERS = {
    "ends": function(
        "a: f64",
        "f64",
        "y",
        "y = a",
        "if a > 0 with y {",
        "while y < 10 with y {",  # goes on for ever where a is not above zero
        "y = y * 2",
        "}",
        "}",
    ),
    "nested ends": function(
        "a: f64",
        "f64",
        "y",
        "y = abs(a)",
        "while y < 10 with y {",
        "while y % 4 > 2 with y {",
        "y = y * 2",
        "}",
        "y = y + 1",
        "}",
    ),
    "bounds": function(
        "n: i32, m: i32, u: f64[2]", "f64[2]", "u", "for t in n..m+2 with u {", "u = u*2 + cast(t, f64)", "}"
    ),
    "custom": "op swish(x, b) {\n  return x * sigmoid(b * x)\n}\n"
    + function("a: f64[2], b: f64", "f64[2]", "swish(a, b) + swish(b * a, b)"),
    "uniform": function("k: u32[2]", "f32[2,3]", "random(k, [2,3])"),
    "normal": function("k: u32[2]", "f32[5]", 'random(k, [5], dist="normal")'),
    "bits": function("k: u32[2]", "u32[5]", 'random(k, [5], dist="bits")'),
}
"""Programs that have no derivative, or none of interest."""


@pytest.mark.parametrize("name", OTHERS)
def test_other_parts(name: str):
    func = function_of(OTHERS[name])
    names = argument_names(func)
    for axes in ({n: 0 for n in names}, {names[0]: 0}):
        arrays = drawn(func, axes, 0)
        found = run_graph(differentiated(mapped_function(func, Dim.of(PARTS), axes)), arrays)
        for a, b in zip(found, part_by_part(func, arrays, axes), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6 if a.dtype == np.float32 else 1e-12)


def test_loop_over_parts():
    """Filters of a number of parts that is no constant: the convolution has no groups for them."""
    func = function_of(CASES["convg"])
    arrays = drawn(func, {"x": 0, "w": 0}, 0)
    mapped = mapped_function(func, Dim.of("B"), {"x": 0, "w": 0})
    (found,), (expected,) = run_graph(mapped, arrays), part_by_part(func, arrays, {"x": 0, "w": 0})
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_bounds_of_parts():
    """Reverse mode through a loop whose bound differs between parts has the tape of the greatest."""
    func = function_of(CASES["fordyn"])
    arrays = drawn(func, {"u": 0, "n": 0}, 0)
    seeds = np.ones((PARTS, 5))
    mapped = mapped_function(func, Dim.of(PARTS), {"u": 0, "n": 0})
    _, found = run_graph(reverse_function(mapped, ["u"]), [*arrays, seeds])
    axes = {"u": 0, "n": 0, "along0": 0}
    _, expected = part_by_part(reverse_function(func, ["u"]), [*arrays, seeds], axes)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
