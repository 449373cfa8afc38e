"""What is written without care for overflow, as `fast-math` allows: the op gives finite numbers where these give none."""

from __future__ import annotations

from dialects.graph.sketch import Term
from lowering.graph.recognise.forms import NUMBER, Form, either
from lowering.graph.recognise.rules import recognised
from lowering.rewriting import Pattern


def _softmax(x: Form, axes: Form) -> Form:
    """exp(x) / sum(exp(x))"""
    return x.of("exp") / x.of("exp").of("reduce_sum", axes=axes, keepdims=True)


def _along_one(x: Term, axes: tuple[int, ...]) -> Term | None:
    return x.of("softmax", axis=axes[0]) if len(axes) == 1 else None


FAST: tuple[Pattern, ...] = (
    recognised("naive_softmax", lambda x, axes=NUMBER: _softmax(x, axes), _along_one),
    recognised(
        "naive_logsumexp",
        lambda x, axes=NUMBER, keepdims=NUMBER: (
            x.of("exp").of("reduce_sum", axes=axes, keepdims=keepdims).of("log")
        ),
        lambda x, axes, keepdims: x.of("reduce_logsumexp", axes=axes, keepdims=keepdims),
    ),
    recognised(
        "log_of_softmax",
        lambda x, axis=NUMBER: x.of("softmax", axis=axis).of("log"),
        lambda x, axis: x.of("log_softmax", axis=axis),
    ),
    recognised(
        "naive_softplus",
        lambda x: either((x.of("exp") + 1.0).of("log"), x.of("exp").of("log1p")),
        lambda x: x.of("softplus"),
    ),
    recognised("log_of_sigmoid", lambda x: x.of("sigmoid").of("log"), lambda x: x.of("log_sigmoid")),
    recognised("naive_sigmoid", lambda x: x.of("exp") / (x.of("exp") + 1.0), lambda x: x.of("sigmoid")),
)
"""The rules, in the order in which they are tried at an op."""
