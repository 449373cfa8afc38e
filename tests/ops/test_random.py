"""Random numbers: the same bits from NumPy, from C and across fusion, shapes, compilers and threads."""

from __future__ import annotations

import numpy as np
import pytest

import irkit
from tests.ops.harness import Call, check_all

KEY = np.array([0xDEADBEEF, 42], np.uint32)


@pytest.mark.parametrize(("cc", "threads"), [("gcc", 1), ("gcc", 3), ("clang", 1)])
def test_in_c(cc: str, threads: int):
    shapes = [(), (1,), (7,), (3, 5), (2, 0), (4, 33), (1, 1000)]
    check_all(
        [
            Call("random", [key], {"shape": shape, "dist": dist})
            for key in (KEY, np.zeros(2, np.uint32), np.full(2, 2**32 - 1, np.uint32))
            for dist in ("uniform", "normal", "bits")
            for shape in shapes
        ],
        cc,
        threads,
    )


def test_bits_do_not_depend_on_what_is_fused():
    text = """
dim B = 8 in 1..64
fn main(key: u32[2], x: f32[B, 20]) -> (f32[B, 20], u32[B, 20]) {
  keep = random(key, [B, 20]) < 0.5
  return where(keep, x * 2, 0), random(key, [B, 20], dist="bits")
}
"""
    program = irkit.compile(text)
    for b in (1, 8, 37):
        x = np.arange(b * 20, dtype=np.float32).reshape(b, 20)
        dropped, bits = program(KEY, x)
        words = Call("random", [KEY], {"shape": (b, 20), "dist": "bits"}).reference()
        np.testing.assert_array_equal(bits, words)
        kept = (words >> np.uint32(8)) * np.float32(2.0**-24) < 0.5
        np.testing.assert_array_equal(dropped, np.where(kept, x * 2, 0))


def test_moments():
    program = irkit.compile(
        "fn main(key: u32[2]) -> (f32[100000], f32[100000]) {\n"
        '  return random(key, [100000]), random(key, [100000], dist="normal")\n}\n'
    )
    uniform, normal = program(KEY)
    assert uniform.min() >= 0 and uniform.max() < 1
    assert abs(uniform.mean() - 0.5) < 0.005 and abs(uniform.var() - 1 / 12) < 0.002
    assert abs(normal.mean()) < 0.02 and abs(normal.std() - 1) < 0.02
