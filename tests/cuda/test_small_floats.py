"""Half, bfloat16 and f8 as CUDA text on this CPU: every number there is, and every float between two of them that rounds."""

from __future__ import annotations

import numpy as np

from dialects.types import np_dtype
from tests.cuda.every_op import run_all
from tests.ops.harness import Call

SMALL = {"f16": 16, "bf16": 16, "f8e4m3": 8, "f8e5m2": 8}


def every(name: str, bits: int) -> np.ndarray:
    return np.arange(1 << bits, dtype=f"u{bits // 8}").view(np_dtype(name))


def between(numbers: np.ndarray) -> np.ndarray:
    """The middle of each two neighbours, a float to either side of it, and what lies beyond the ends."""
    with np.errstate(all="ignore"):
        wide = np.unique(numbers.astype(np.float32))
        wide = wide[np.isfinite(wide)]
        ends = np.array([np.abs(wide).max() * (1 + n / 64) for n in range(9)], np.float32)
        middle = (wide[1:].astype(np.float64) + wide[:-1]) / 2
        near = [np.nextafter(middle.astype(np.float32), np.float32(to)) for to in (-np.inf, np.inf)]
        odd = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0], np.float32)
        return np.concatenate([middle.astype(np.float32), *near, ends, -ends, odd])


def same_bits(found: np.ndarray, wanted: np.ndarray) -> None:
    nan = np.isnan(wanted.astype(np.float32))
    np.testing.assert_array_equal(np.isnan(found.astype(np.float32)), nan)
    whole = f"u{wanted.itemsize}"
    np.testing.assert_array_equal(found.view(whole)[~nan], wanted.view(whole)[~nan])


def calls_of(name: str) -> tuple[list[Call], list[np.ndarray]]:
    """Casts and arithmetic, and what NumPy makes of them in f32."""
    numbers = every(name, SMALL[name])
    floats, dtype = between(numbers), numbers.dtype
    third = np.full(numbers.shape, 1 / 3).astype(dtype)
    calls = [
        Call("cast", [numbers], {"dtype": "f32"}),
        Call("cast", [floats], {"dtype": name}),
        Call("mul", [numbers, numbers[::-1].copy()]),
        Call("add", [numbers, third]),
    ]
    wide = numbers.astype(np.float32)
    product, total = wide * wide[::-1], wide + third.astype(np.float32)
    return calls, [wide, floats.astype(dtype), product.astype(dtype), total.astype(dtype)]


def test_every_number_and_every_rounding():
    with np.errstate(all="ignore"):
        cases = [calls_of(name) for name in SMALL]
    found = run_all([call for calls, _ in cases for call in calls])
    for one, expected in zip(found, [array for _, wanted in cases for array in wanted], strict=True):
        same_bits(one, expected)
