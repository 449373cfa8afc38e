"""buffer-tile-time: steps of a stencil taken in groups give the same numbers to the last bit, in any order of the threads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from xdsl.dialects.builtin import ModuleOp

import irkit
from dialects.errors import IrkitError
from dialects.loop import ForOp, FuncOp
from irkit import api, pipeline
from irkit.lang import parse, to_graph
from lowering.buffer.interpret import run_program
from lowering.buffer.tile_time import BufferTileTime
from lowering.graph.interpret import run_graph
from lowering.loop.interpret import run_function
from lowering.loop.wavefront import Group, Stencil, stencil_of, wavefront

PLANE = """
fn main(u: f32[{n}, {m}]) -> f32[{n}, {m}] {{
  next[i, j] = where(i == {n} - 1, u[i, j], 0.5 * u[i{a:+}, j{b:+}] - 0.25 * u[i{c:+}, j]), boundary={boundary}
  return next
}}
"""

HEAT = """
dim N = {n}
dim T = {steps}
fn main(u: f32[N, N]) -> f32[N, N] {{
  for t in 0..T with u {{
    lap[i, j] = u[i-1, j] + u[i+1, j] + u[i, j-1] + u[i, j+1] - 4 * u[i, j], boundary=clamp
    u = u + 0.1 * lap
  }}
  return u
}}
"""


def kernel_of(text: str) -> FuncOp:
    module = api.lower(text, "loop", target="avx2")
    (func,) = [op for op in module.ops if isinstance(op, FuncOp)]
    return func


def stencil(text: str) -> Stencil:
    found = stencil_of(kernel_of(text), 0, 1)
    assert isinstance(found, Stencil), found
    return found


def state(n: int, m: int) -> list[np.ndarray]:
    return [
        np.random.default_rng(n * 100 + m).standard_normal((n, m)).astype(np.float32),
        np.zeros((n, m), np.float32),
    ]


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.tuples(st.integers(1, 13), st.integers(1, 19)),
    offsets=st.tuples(*[st.integers(-2, 2)] * 3),
    boundary=st.sampled_from(["clamp", "zero"]),
    pairs=st.integers(1, 4),
    rows=st.integers(1, 4),
    strip=st.integers(0, 12),
    threads=st.integers(1, 4),
)
def test_a_group_of_steps_is_the_steps_one_by_one(sizes, offsets, boundary, pairs, rows, strip, threads):
    (n, m), (a, b, c) = sizes, offsets
    try:
        found = stencil(PLANE.format(n=n, m=m, a=a, b=b, c=c, boundary=boundary))
    except AssertionError:  # a dim of one point has no loop
        return
    one_by_one, grouped = state(n, m), state(n, m)
    for step in range(2 * pairs):
        run_function(found.func, one_by_one if step % 2 == 0 else one_by_one[::-1], {})
    made = wavefront(found, Group(2 * pairs, rows, strip), "group")
    run_function(made, grouped, {}, threads, backwards=True)
    np.testing.assert_array_equal(grouped[0], one_by_one[0])
    np.testing.assert_array_equal(grouped[1], one_by_one[1])


def test_strips_are_taken_where_rows_are_nests():
    found = stencil(
        """
        fn main(u: f32[6, 7, 16]) -> f32[6, 7, 16] {
          next[i, j, k] = u[i-1, j, k] + u[i, j+2, k] + u[i, j, k-1], boundary=zero
          return next
        }"""
    )
    assert found.inner is not None and (found.rows.reach, found.inner.reach) == (1, 2)
    one, group = (
        [np.random.default_rng(0).random((6, 7, 16), np.float32), np.zeros((6, 7, 16), np.float32)]
        for _ in "ab"
    )
    for step in range(4):
        run_function(found.func, one if step % 2 == 0 else one[::-1], {})
    made = wavefront(found, Group(4, 2, 3), "group")
    assert [op.variable for op in made.walk() if isinstance(op, ForOp)][:3] == ["strip", "front", "pair"]
    run_function(made, group, {}, 2, backwards=True)
    np.testing.assert_array_equal(group[0], one[0])


def test_steps_too_close_to_one_another_are_caught():
    found = stencil(PLANE.format(n=12, m=8, a=-1, b=0, c=1, boundary="clamp"))
    one, group = state(12, 8), state(12, 8)
    for step in range(8):
        run_function(found.func, one if step % 2 == 0 else one[::-1], {})
    near = replace(found, rows=replace(found.rows, reach=0))
    run_function(wavefront(near, Group(8, 1), "group"), group, {}, 2, backwards=True)
    assert not np.array_equal(group[0], one[0])


@pytest.mark.parametrize(
    "body, why",
    [
        ("next[i, j] = u[i-1, j] + u[i, j]", "it reads i = "),
        ("next[i, j] = u[{n} - 1 - i, j]", "it reads i = "),
        ("next[i, j] = u[0, j] + u[i, j]", "it reads i = 0 for i"),
        ("next = softmax(u, axis=0)", "it reads i = k for i"),
        ("next = u @ u", ""),
    ],
)
def test_rows_that_depend_on_far_rows_are_left_alone(body: str, why: str):
    boundary = ", boundary=wrap" if "i-1" in body else ""
    text = f"fn main(u: f32[24, 24]) -> f32[24, 24] {{ {body.replace('{n}', '24')}{boundary}\n return next }}"
    found = stencil_of(kernel_of(text), 0, 1)
    assert isinstance(found, str) and found.startswith(why)


def at_buffer(text: str, steps: int | None) -> ModuleOp:
    module = to_graph(parse(text, "test.tg"))
    passes = pipeline.passes_to("graph", "buffer", "avx2")
    passes = [BufferTileTime("avx2", "gcc", steps) if p.name == "buffer-tile-time" else p for p in passes]
    pipeline.run_passes(module, passes, pipeline.context())
    return module


@pytest.mark.parametrize("trips", [2, 4, 5, 9])
@pytest.mark.parametrize("steps", [2, 4])
def test_what_is_left_of_the_steps_runs_one_by_one(trips: int, steps: int):
    text = HEAT.format(n=10, steps=trips)
    u = np.random.default_rng(1).random((10, 10), np.float32)
    plain, grouped = (at_buffer(text, s) for s in (0, steps))
    names = [op.sym_name.data for op in grouped.ops if isinstance(op, FuncOp)]
    assert any(n.endswith(f"_steps{steps}") for n in names) == (trips >= steps)
    assert len(names) == (2 if trips > steps and trips % steps else 1)
    np.testing.assert_array_equal(run_program(grouped, {"u": u}, {})[0], run_program(plain, {"u": u}, {})[0])


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_large_arrays_in_c(threads: int):
    text = HEAT.format(n=811, steps=13)
    u = np.random.default_rng(2).random((811, 811), np.float32)
    found = irkit.compile(text, threads=threads)(u)
    (wanted,) = run_graph(next(iter(to_graph(parse(text, "test.tg")).ops)), [u])
    np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-6)


def test_an_odd_number_of_steps_is_an_error():
    with pytest.raises(IrkitError, match="cannot take 3 steps at once"):
        at_buffer(HEAT.format(n=10, steps=6), 3)
