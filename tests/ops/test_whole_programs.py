"""Whole programs: names, symbolic dims in one artefact, and random graphs through C against the reference."""

from __future__ import annotations

import numpy as np
import pytest

import irkit
from dialects.errors import IrkitError
from tests.lang.numpy_graph import run
from tests.ops.test_contractions import normal

AWKWARD = (
    "first",
    "last",
    "swap",
    "args",
    "c",
    "context",
    "memcpy",
    "lanes",
    "v1",
    "acc",
    "linux",
    "tid",
    "y0",
    "index",
)


def test_any_name_may_be_used():
    inputs = ", ".join(f"{name}: f32[3, 4]" for name in AWKWARD)
    results = ", ".join(f"r_{name}: f32[3, 4]" for name in AWKWARD)
    text = f"fn main({inputs}) -> ({results}, first_1: f32[3, 4]) {{\n  s = first @ transpose(last) @ swap\n"
    text += f"  return {', '.join(AWKWARD)}, s\n}}\n"
    arrays = {name: normal(3, 4) for name in AWKWARD}
    *copies, s = irkit.compile(text).prepare(**arrays).run()
    for name, copy in zip(AWKWARD, copies, strict=True):
        np.testing.assert_array_equal(copy, arrays[name])
    np.testing.assert_allclose(s, arrays["first"] @ arrays["last"].T @ arrays["swap"], rtol=1e-4, atol=1e-5)


SYMBOLIC = """
dim B = 4 in 1..64
dim S = 5 in 2..40
param w: f32[6, 7] = glorot(seed=1)
param k: f32[3, 2, 3, 3] = he(seed=2)

fn main(x: f32[B, 6], y: f32[B, S], image: f32[B, 2, S + 1, 8]) -> (
  f32[B, 7], f32[B, S], f32[S], f32[2 * B, 6], f32[B * 6], f32[B, S - 1], f32[B, 3, S - 1, 6], f32[B, B], f32[B, 2, S + 1, 8], f32
) {
  h = relu(x @ w)
  return h, softmax(y), sum(y, axis=0), concat(x, x * 2), reshape(x, [-1]), y[:, 1:], conv2d(image, k), x @ transpose(x), transpose(reshape(transpose(image), [8, S + 1, 2, B])), mean(y)
}
"""


@pytest.mark.parametrize("threads", [1, 2])
def test_one_artefact_for_every_size(threads: int):
    program = irkit.compile(SYMBOLIC, threads=threads)
    values = {name: program.values[name] for name in ("w", "k")}
    for b, s in ((1, 2), (3, 5), (4, 17), (17, 33), (64, 40)):
        x, y, image = normal(b, 6), normal(b, s), normal(b, 2, s + 1, 8)
        found = program(x, y, image)
        expected = run(SYMBOLIC, x, y, image, values["w"], values["k"])
        for a, wide in zip(found, expected, strict=True):
            assert a.shape == wide.shape
            np.testing.assert_allclose(a, wide, rtol=1e-4, atol=1e-5)


def test_sizes_that_do_not_fit():
    program = irkit.compile(SYMBOLIC)
    for b, s, other, message in ((65, 5, 65, "64"), (3, 41, 3, "40"), (3, 1, 3, "2"), (3, 5, 4, "B")):
        with pytest.raises(IrkitError) as caught:
            program(normal(b, 6), normal(other, s), normal(b, 2, s + 1, 8))
        assert message in str(caught.value)
