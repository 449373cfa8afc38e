"""Dim expressions: ring laws, division, bounds and text agree with plain integers."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from dialects.dims import Dim, ceildiv, dmax, dmin, row_major

NAMES = ("a", "b", "i")
RANGES = {"a": (0, 9), "b": (1, 7), "i": (-5, 5)}


@st.composite
def exprs(draw: st.DrawFn, depth: int = 3) -> Dim:
    if depth == 0:
        return draw(st.one_of(st.sampled_from(NAMES).map(Dim.of), st.integers(-20, 20).map(Dim.of)))
    left, right = draw(exprs(depth=depth - 1)), draw(exprs(depth=depth - 1))
    match draw(st.integers(0, 9)):
        case 0:
            return left + right
        case 1:
            return left - right
        case 2:
            return left * right
        case 3:
            return left // draw(st.integers(1, 9))
        case 4:
            return left % draw(st.integers(1, 9))
        case 5:
            return left // (draw(st.integers(1, 3)) * Dim.of("b"))
        case 6:
            return left % (draw(st.integers(1, 3)) * Dim.of("b"))
        case 7:
            return dmin(left, right)
        case 8:
            return left ^ right
        case _:
            return dmax(left, right)


values = st.fixed_dictionaries({name: st.integers(*bounds) for name, bounds in RANGES.items()})


@given(exprs(), exprs(), values)
def test_arithmetic_agrees_with_integers(x: Dim, y: Dim, at: dict[str, int]) -> None:
    a, b = x.evaluate(at), y.evaluate(at)
    assert (x + y).evaluate(at) == a + b
    assert (x - y).evaluate(at) == a - b
    assert (x * y).evaluate(at) == a * b
    assert dmin(x, y).evaluate(at) == min(a, b)
    assert dmax(x, y).evaluate(at) == max(a, b)
    assert (x ^ y).evaluate(at) == a ^ b
    for divisor in (1, 2, 7):
        assert (x // divisor).evaluate(at) == a // divisor
        assert (x % divisor).evaluate(at) == a % divisor
        assert ceildiv(x, divisor).evaluate(at) == -(-a // divisor)


@given(exprs(), values)
def test_bounds_hold(x: Dim, at: dict[str, int]) -> None:
    low, high = x.bounds(RANGES)
    assert low <= x.evaluate(at) <= high


@given(exprs())
def test_text_round_trips(x: Dim) -> None:
    assert Dim.parse(str(x)) == x


@given(exprs(), exprs(), exprs())
def test_equal_by_ring_laws(x: Dim, y: Dim, z: Dim) -> None:
    assert x * (y + z) == x * y + x * z
    assert x + y == y + x
    assert x - x == Dim.of(0)


@given(exprs(), exprs(), values)
def test_substitution(x: Dim, y: Dim, at: dict[str, int]) -> None:
    assert x.subst({"a": y}).evaluate(at) == x.evaluate({**at, "a": y.evaluate(at)})


def test_division_leaves_whole_terms_outside() -> None:
    assert str(Dim.parse("(4*x + y + 5) // 4")) == "((y + 5) floordiv 4) + x" or Dim.parse(
        "(4*x + y + 5) // 4"
    ) == Dim.parse("x + (y + 5) // 4")
    assert Dim.parse("(B*4 + 3) // 4") == Dim.of("B")


def test_coefficient() -> None:
    assert Dim.parse("3*i + a").coefficient("i") == Dim.of(3)
    assert Dim.parse("i*i").coefficient("i") is None
    assert Dim.parse("i // 2").coefficient("i") is None
    assert row_major((Dim.of(2), Dim.of("B"), Dim.of(3))) == (Dim.parse("3*B"), Dim.of(3), Dim.of(1))


@pytest.mark.parametrize("text", ["", "1 +", "(a", "a b", "min(a", "2 ^ 3"])
def test_bad_text(text: str) -> None:
    with pytest.raises(ValueError, match="dim expression"):
        Dim.parse(text)


def test_division_by_zero() -> None:
    with pytest.raises(ZeroDivisionError):
        _ = Dim.of("a") // 0
