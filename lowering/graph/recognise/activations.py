"""Activations. What a derived op states as its formula is recognised as that op; other ways to write it are told here."""

from __future__ import annotations

import math

from dialects.graph import OPS
from dialects.graph.sketch import Term
from lowering.graph.recognise.forms import NUMBER, Form, either
from lowering.graph.recognise.rules import recognised
from lowering.rewriting import Pattern

HALF_ROOT = math.sqrt(0.5)
TANH_ROOT = math.sqrt(2 / math.pi)
TANH_CUBE = 0.044715


def _log1p(x: Form) -> Form:
    return either(x.of("log1p"), (x + 1.0).of("log"))


def _expm1(x: Form) -> Form:
    return either(x.of("expm1"), x.of("exp") + -1.0)


def _formula(name: str, x: Form, **values: Form) -> Form:
    """What a derived op says that it is."""
    return OPS[name].FORMULA(x, **values)  # pyright: ignore[reportAttributeAccessIssue]


def _gelu_tanh(x: Form) -> Form:
    inner = either(
        (x + x * x * x * TANH_CUBE) * TANH_ROOT,
        x * TANH_ROOT * (x * x * TANH_CUBE + 1.0),
    )
    return x * 0.5 * (inner.of("tanh") + 1.0)


def _leaky(x: Term, alpha: float) -> Term | None:
    """max(x, alpha x) is x above zero where alpha is less than one; with one of zero, zeros would change their sign."""
    return x.of("leaky_relu", alpha=alpha) if 0 < alpha < 1 else None


RULES: tuple[Pattern, ...] = (
    recognised("relu_of_max", lambda x: x.of("max", 0.0), lambda x: x.of("relu")),
    recognised("relu6_of_clamp", lambda x: x.of("clamp", low=0.0, high=6.0), lambda x: x.of("relu6")),
    recognised("relu6_of_relu", lambda x: x.of("relu").of("min", 6.0), lambda x: x.of("relu6")),
    recognised(
        "clamp",
        lambda x, low=NUMBER, high=NUMBER: x.of("max", low).of("min", high),
        lambda x, low, high: x.of("clamp", low=low, high=high),
    ),
    recognised("sigmoid", lambda x: 1.0 / ((-x).of("exp") + 1.0), lambda x: x.of("sigmoid")),
    recognised("silu", lambda x: x * x.of("sigmoid"), lambda x: x.of("silu")),
    recognised("silu_of_exp", lambda x: x / ((-x).of("exp") + 1.0), lambda x: x.of("silu")),
    recognised(
        "gelu",
        lambda x: x * 0.5 * ((x * HALF_ROOT).of("erf") + 1.0),
        lambda x: x.of("gelu", approximate="none"),
    ),
    recognised("gelu_tanh", _gelu_tanh, lambda x: x.of("gelu", approximate="tanh")),
    recognised("hardsigmoid", lambda x: (x + 3.0).of("relu6") * (1 / 6), lambda x: x.of("hardsigmoid")),
    recognised(
        "hardswish",
        lambda x: either(x * ((x + 3.0).of("relu6") * (1 / 6)), x * x.of("hardsigmoid")),
        lambda x: x.of("hardswish"),
    ),
    recognised(
        "softplus",
        lambda x: either(_formula("softplus", x), x.of("relu") + _log1p((-abs(x)).of("exp"))),
        lambda x: x.of("softplus"),
    ),
    recognised("log_sigmoid", lambda x: _formula("log_sigmoid", x), lambda x: x.of("log_sigmoid")),
    recognised("mish", lambda x: _formula("mish", x), lambda x: x.of("mish")),
    recognised(
        "leaky_relu",
        lambda x, alpha=NUMBER: either(
            _formula("leaky_relu", x, alpha=alpha),
            *((test).where(x, x * alpha) for test in (x > 0.0, x >= 0.0)),
            (x * alpha).of("max", x),
        ),
        _leaky,
    ),
    recognised(
        "elu",
        lambda x, alpha=NUMBER: either(
            *(test.where(x, y) for test in (x > 0.0, x >= 0.0) for y in (_expm1(x) * alpha, _expm1(x)))
        ),
        lambda x, alpha=1.0: x.of("elu", alpha=alpha),
    ),
)
