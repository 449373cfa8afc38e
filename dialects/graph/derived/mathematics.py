"""Functions of real numbers: formulas that keep their precision near zero and at the ends of the range."""

from __future__ import annotations

import math

import numpy as np

from dialects.graph.derived.base import Test, elementwise, in_f64
from dialects.graph.sketch import Term

INF = math.inf


def _log1p(x: Term) -> Term:
    """W. Kahan's: log(u) * x / (u - 1) with u = 1 + x, where the errors of u cancel."""
    u = x + 1.0
    d = u - 1.0
    return d.equals(0.0).where(x, u.equals(INF).where(u, u.of("log") * (x / d)))


def _expm1(x: Term) -> Term:
    """W. Kahan's: (u - 1) * x / log(u) with u = exp(x)."""
    u = x.of("exp")
    d = u - 1.0
    curved = d * (x / u.of("log"))
    return u.equals(1.0).where(x, d.equals(-1.0).where(d, u.equals(INF).where(u, curved)))


def _round(x: Term) -> Term:
    low = x.of("floor")
    rest = x - low
    even = low + (low - 2.0 * (low * 0.5).of("floor"))
    up = low + 1.0
    near = low.equals(x).where(x, (rest > 0.5).where(up, (rest < 0.5).where(low, even)))
    return near.equals(0.0).where(x * 0.0, near)  # with the sign of x


def _sign(x: Term) -> Term:
    return (x > 0).where(1, (x < 0).where(-1, x) if not x.dtype.startswith("u") else x)


def _atan_small(x: Term) -> Term:
    """atan of 0 to tan(pi / 8), by the polynomials of S. Moshier's Cephes (atanf.c, atan.c)."""
    z = x * x
    if x.dtype == "f32":
        p = ((8.05374449538e-2 * z - 1.38776856032e-1) * z + 1.99777106478e-1) * z - 3.33329491539e-1
        return p * z * x + x
    p = _polynomial(
        z,
        -8.750608600031904122785e-1,
        -1.615753718733365076637e1,
        -7.500855792314704667340e1,
        -1.228866684490136173410e2,
        -6.485021904942025371773e1,
    )
    q = _polynomial(
        z,
        1.0,
        2.485846490142306297962e1,
        1.650270098316988542046e2,
        4.328810604912902668951e2,
        4.853903996359136964868e2,
        1.945506571482613964425e2,
    )
    return x * (z * (p / q)) + x


def _polynomial(z: Term, *factors: float) -> Term:
    """Horner's rule, the highest power first."""
    total = z.like(factors[0])
    for factor in factors[1:]:
        total = total * z + factor
    return total


def _atan_positive(x: Term) -> Term:
    """atan of x >= 0: by the reciprocal above tan(3 pi / 8), by the tangent's sum rule above tan(pi / 8)."""
    far, near = x > math.tan(3 * math.pi / 8), x > math.tan(math.pi / 8)
    reduced = far.where(-1.0 / x, near.where((x - 1.0) / (x + 1.0), x))
    start = far.where(x.like(math.pi / 2), near.where(x.like(math.pi / 4), 0.0))
    return start + _atan_small(reduced)


def _atan(x: Term) -> Term:
    angle = _atan_positive(abs(x))
    return (x < 0.0).where(-angle, angle)


def _is_negative(x: Term) -> Term:
    """The sign bit, which only a division tells of a zero."""
    return (x < 0.0).of("logical_or", x.equals(0.0).both(1.0 / x < 0.0))


def _atan2(y: Term, x: Term) -> Term:
    down, across = abs(y), abs(x)
    low, high = down.of("min", across), down.of("max", across)
    both = low.equals(high)
    ratio = high.equals(0.0).where(0.0, both.where(1.0, low / high))
    angle = _atan_positive(ratio)
    angle = (down > across).where(math.pi / 2 - angle, angle)
    angle = _is_negative(x).where(math.pi - angle, angle)
    return _is_negative(y).where(-angle, angle)


elementwise("log1p", np.log1p, _log1p, "log(1 + x), exact near zero.")
elementwise("expm1", np.expm1, _expm1, "exp(x) - 1, exact near zero.")
elementwise("tan", np.tan, lambda x: x.of("sin") / x.of("cos"), "The tangent.")
elementwise("atan", np.arctan, _atan, "The angle between -pi/2 and pi/2 whose tangent is x.")
elementwise(
    "atan2",
    np.arctan2,
    _atan2,
    "The angle of the point (x, y), between -pi and pi; the signs of zeros count.",
    operands=("y", "x"),
)
elementwise("round", np.rint, _round, "The nearest integer, the even one of two.")
elementwise("sign", lambda x: np.sign(x).astype(x.dtype), _sign, "-1, 0 or 1; NaN stays NaN.", takes="fi")
elementwise("square", lambda x: x * x, lambda x: x * x, "x * x; integers wrap.", takes="fi")
elementwise("reciprocal", lambda x: 1 / x, lambda x: 1.0 / x, "1 / x.")
elementwise("exp2", in_f64(np.exp2), lambda x: x.like(2.0).of("pow", x), "2 to the power x.")
elementwise(
    "log2", in_f64(np.log2), lambda x: x.of("log") * (1 / math.log(2)), "The logarithm to the base 2."
)
elementwise("is_nan", np.isnan, lambda x: x.differs(x), "Whether x is NaN.", base=Test)
elementwise("is_inf", np.isinf, lambda x: abs(x).equals(INF), "Whether x is an infinity.", base=Test)
elementwise(
    "is_finite", np.isfinite, lambda x: abs(x) < INF, "Whether x is neither NaN nor infinite.", base=Test
)

elementwise(
    "stop_gradient",
    lambda x: x,
    lambda x: x,
    "x itself, as a constant to derivatives.",
    takes="ficb",
)
