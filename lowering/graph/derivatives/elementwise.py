"""Partial derivatives of elementwise ops.

Where an op has a corner, the derivative is that of torch: 0 for abs and relu at 0, a half each for max and min of equals.
What a formula leaves to `where` has a rule of its own, as a branch that is not taken may be infinite, and 0 * inf is NaN.
"""

from __future__ import annotations

from math import log, pi, sqrt

from dialects.graph.sketch import Term
from lowering.graph.derivatives.rules import CONSTANT, PARTIALS


def _greater(t: Term, a: Term, b: Term) -> Term:
    """t where a is the greater of two, half of it where they are equal; all of it for NaN, which wins."""
    return (a < b).where(0.0, a.equals(b).where(t * 0.5, t))


def _gelu(t: Term, y: Term, x: Term, approximate: str) -> Term:
    if approximate == "none":
        normal = (x * sqrt(0.5)).of("erf") * 0.5 + 0.5
        return t * (normal + x * ((x * x * -0.5).of("exp") * (1 / sqrt(2 * pi))))
    bent = ((x + x * x * x * 0.044715) * sqrt(2 / pi)).of("tanh")
    slope = (x * x * (3 * 0.044715) + 1.0) * sqrt(2 / pi)
    return t * (bent * 0.5 + 0.5 + x * 0.5 * (1.0 - bent * bent) * slope)


def _power_base(t: Term, y: Term, a: Term, b: Term) -> Term:
    return t * b.equals(0.0).where(0.0, b * a.of("pow", b - 1.0))


def _power_exponent(t: Term, y: Term, a: Term, b: Term) -> Term:
    flat = a.equals(0.0).both(b >= 0.0)
    return flat.where(0.0, t * y * flat.where(1.0, a).of("log"))


def _silu(t: Term, y: Term, x: Term) -> Term:
    s = x.of("sigmoid")
    return t * (s + y * (1.0 - s))


def _mish(t: Term, y: Term, x: Term) -> Term:
    bent = x.of("softplus").of("tanh")
    return t * (bent + x * (x.of("sigmoid") * (1.0 - bent * bent)))


def _hardswish(t: Term, y: Term, x: Term) -> Term:
    return (x <= -3.0).where(0.0, (x >= 3.0).where(t, t * (x / 3.0 + 0.5)))


def _within(t: Term, x: Term, low: float, high: float) -> Term:
    """t between two bounds, none at them."""
    return (x > low).both(x < high).where(t, 0.0)


def _huber(t: Term, a: Term, b: Term, delta: float) -> Term:
    return t * (a - b).of("clamp", low=-delta, high=delta)


def _atan2(t: Term, y: Term, b: Term, a: Term, turned: bool) -> Term:
    """b / r / r or -a / r / r with r the length, scaled so that no square overflows."""
    big = abs(a).of("max", abs(b))
    p, q = a / big, b / big
    return t * ((-q if turned else p) / (p * p + q * q)) / big


def _kl_target(t: Term, y: Term, q: Term, p: Term) -> Term:
    none = p.equals(0.0)
    return none.where(0.0, t * (none.where(1.0, p).of("log") + 1.0 - q))


PARTIALS.update(
    {
        # arithmetic
        "neg": (lambda t, y, x: -t,),
        "add": (lambda t, y, a, b: t, lambda t, y, a, b: t),
        "sub": (lambda t, y, a, b: t, lambda t, y, a, b: -t),
        "mul": (lambda t, y, a, b: t * b, lambda t, y, a, b: t * a),
        "div": (lambda t, y, a, b: t / b, lambda t, y, a, b: -t * (y / b)),
        "mod": (lambda t, y, a, b: t, lambda t, y, a, b: -t * (a / b).of("floor")),
        "pow": (_power_base, _power_exponent),
        "square": (lambda t, y, x: t * (x * 2.0),),
        "reciprocal": (lambda t, y, x: -t * (y * y),),
        "abs": (lambda t, y, x: t * x.of("sign"),),
        "max": (lambda t, y, a, b: _greater(t, a, b), lambda t, y, a, b: _greater(t, b, a)),
        "min": (lambda t, y, a, b: _greater(t, b, a), lambda t, y, a, b: _greater(t, a, b)),
        "clamp": (lambda t, y, x, low, high: (x < low).of("logical_or", x > high).where(0.0, t),),
        "where": (
            None,
            lambda t, y, c, a, b: c.where(t, 0.0),
            lambda t, y, c, a, b: c.where(0.0, t),
        ),
        # functions
        "exp": (lambda t, y, x: t * y,),
        "exp2": (lambda t, y, x: t * y * log(2),),
        "expm1": (lambda t, y, x: t * (y + 1.0),),
        "log": (lambda t, y, x: t / x,),
        "log2": (lambda t, y, x: t / (x * log(2)),),
        "log1p": (lambda t, y, x: t / (x + 1.0),),
        "sqrt": (lambda t, y, x: t * 0.5 / y,),
        "rsqrt": (lambda t, y, x: t * (y / x) * -0.5,),
        "sin": (lambda t, y, x: t * x.of("cos"),),
        "cos": (lambda t, y, x: -t * x.of("sin"),),
        "tan": (lambda t, y, x: t * (y * y + 1.0),),
        "atan": (lambda t, y, x: t / (x * x + 1.0),),
        "atan2": (
            lambda t, y, b, a: _atan2(t, y, b, a, False),
            lambda t, y, b, a: _atan2(t, y, b, a, True),
        ),
        "tanh": (lambda t, y, x: t * (1.0 - y * y),),
        "erf": (lambda t, y, x: t * ((-x * x).of("exp") * (2 / sqrt(pi))),),
        # activations
        "relu": (lambda t, y, x: (x <= 0.0).where(0.0, t),),
        "relu6": (lambda t, y, x: _within(t, x, 0.0, 6.0),),
        "leaky_relu": (lambda t, y, x, alpha: (x > 0.0).where(t, t * alpha),),
        "elu": (lambda t, y, x, alpha: (x > 0.0).where(t, t * (y + alpha)),),
        "sigmoid": (lambda t, y, x: t * (y * (1.0 - y)),),
        "log_sigmoid": (lambda t, y, x: t * (-x).of("sigmoid"),),
        "silu": (_silu,),
        "mish": (_mish,),
        "softplus": (lambda t, y, x: t * x.of("sigmoid"),),
        "hardsigmoid": (lambda t, y, x: _within(t, x, -3.0, 3.0) * (1 / 6),),
        "hardswish": (_hardswish,),
        "gelu": (_gelu,),
        # losses of elements
        "squared_error": (
            lambda t, y, a, b: t * ((a - b) * 2.0),
            lambda t, y, a, b: t * ((b - a) * 2.0),
        ),
        "absolute_error": (
            lambda t, y, a, b: t * (a - b).of("sign"),
            lambda t, y, a, b: t * (b - a).of("sign"),
        ),
        "huber": (
            lambda t, y, a, b, delta: _huber(t, a, b, delta),
            lambda t, y, a, b, delta: _huber(t, b, a, delta),
        ),
        "binary_cross_entropy": (
            lambda t, y, x, p: t * (x.of("sigmoid") - p),
            lambda t, y, x, p: -t * x,
        ),
        "kl_divergence": (lambda t, y, q, p: -t * p, _kl_target),
    }
)

CONSTANT |= {
    "floor",
    "ceil",
    "round",
    "sign",
    "is_nan",
    "is_inf",
    "is_finite",
    "compare",
    "logical_not",
    "logical_and",
    "logical_or",
    "logical_xor",
    "bitwise_not",
    "bitwise_and",
    "bitwise_or",
    "bitwise_xor",
    "shift_left",
    "shift_right",
    "constant",
    "iota",
    "one_hot",
    "random",
    "argmax",
    "argmin",
    "argsort",
    "reduce_any",
    "reduce_all",
    "stop_gradient",
}
