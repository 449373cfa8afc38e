"""Complex numbers through compiled C: arithmetic, moves, loops, the interface."""

from __future__ import annotations

import numpy as np
import pytest

import irkit
from dialects.errors import ErrorList, IrkitError

RNG = np.random.default_rng(0)


def numbers(dtype: str, *shape: int) -> np.ndarray:
    return (RNG.standard_normal(shape) + 1j * RNG.standard_normal(shape)).astype(dtype)


TEXT = """
dim B = 4 in 1..9
fn main(x: DTYPE[B, 6], y: DTYPE[6], m: DTYPE[6, 3], n: i32, a: PART[B, 6]) -> (
  product: DTYPE[B, 6], DTYPE[B, 3], PART[B, 6], DTYPE[4, B], DTYPE[B, 6], bool[B, 6], DTYPE, DTYPE[2, 6], PART[B, 6]
) {
  z = x * y + x / y - conj(x)
  for t in 0..n with z {
    z = z * x
  }
  if n > 1 with z {
    z = -z
  }
  p = pad(x[:, 0:2], [0, 0, 1, 1])
  w = where(a > 0, x, complex(imag(x), a))
  s = scatter(zeros([2, 6], DTYPE), cast(1, i32), y)
  return z, x @ m, magnitude(x) + real(x) * imag(x), transpose(p, [1, 0]), w, x == w, sum(x), s, magnitude(cast(a, DTYPE))
}
"""


@pytest.mark.parametrize(("whole", "part"), [("c64", "f32"), ("c128", "f64")])
@pytest.mark.parametrize("threads", [1, 3])
def test_programs(whole: str, part: str, threads: int):
    model = irkit.compile(TEXT.replace("DTYPE", whole).replace("PART", part), threads=threads)
    dtype = {"c64": "complex64", "c128": "complex128"}[whole]
    tolerance = 1e-5 if whole == "c64" else 1e-12
    for b in (1, 4, 9):
        x, y, m = numbers(dtype, b, 6), numbers(dtype, 6), numbers(dtype, 6, 3)
        a = RNG.standard_normal((b, 6)).astype(x.real.dtype)
        for n in (0, 2):
            z = x * y + x / y - np.conj(x)
            z = -z * x * x if n == 2 else z
            w = np.where(a > 0, x, x.imag + 1j * a)
            s = np.zeros((2, 6), dtype)
            s[1] = y
            moved = np.pad(x[:, :2], [(0, 0), (1, 1)]).T
            wanted = (z, x @ m, np.abs(x) + x.real * x.imag, moved, w, x == w, x.sum(), s, np.abs(a))
            for found, want in zip(model(x, y, m, np.int32(n), a), wanted, strict=True):
                assert found.dtype == (want.dtype if want.dtype == bool else found.dtype)
                np.testing.assert_allclose(found, want, rtol=tolerance, atol=tolerance)


def test_extremes():
    text = "fn main(x: c64[4], y: c64[4]) -> (c64[4], f32[4]) { return x / y, magnitude(x) }"
    x = np.array([3e30 + 4e30j, 1, 0, complex(np.inf, 1)], np.complex64)
    y = np.array([1e30 - 2e30j, 2j, 1e-30 + 1e-30j, 1], np.complex64)
    quotient, size = irkit.compile(text)(x, y)
    np.testing.assert_allclose(quotient[:3], (x.astype("c16") / y)[:3], rtol=1e-6)
    np.testing.assert_allclose(size, np.abs(x.astype("c16")), rtol=1e-6)


def test_what_has_no_form():
    with pytest.raises((IrkitError, ErrorList)) as caught:
        irkit.compile("fn main(x: c64[4]) -> c64[4] {\n  return cumsum(x)\n}\n")
    assert "has no c64 form" in str(caught.value)
    with pytest.raises((IrkitError, ErrorList)) as caught:
        irkit.compile('fn main(x: c64[4], y: c64[4]) -> c64 {\n  return einsum(x, y, spec="i,i->")\n}\n')
    assert "has no c64 form" in str(caught.value)
