"""What neural networks are made of: activations, normalisations, losses, convolutions, pooling, attention.

These are the functions of `irkit.ops` whose ops are defined as such; which they are follows from the registry.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dialects import graph
from irkit.diagnostics import nearest
from irkit.tracing.apply import public_names
from irkit.tracing.ops import function

HOMES = frozenset({"activation", "normalisation", "loss", "window", "contraction"})
"""Files of ops that belong here as a whole."""

BASIC = frozenset({"relu", "gelu", "silu", "sigmoid", "tanh", "softmax", "layer_norm", "one_hot", "einsum"})
"""Ops that belong here and are defined among others."""


def names() -> list[str]:
    """The functions that are here."""
    return sorted(
        name
        for name, op in public_names().items()
        if name in BASIC or graph.OPS[op].__module__.rpartition(".")[2] in HOMES
    )


def __getattr__(name: str) -> Callable[..., Any]:
    if name.startswith("__"):
        raise AttributeError(name)
    if name not in names():
        hint = nearest(name, names())
        raise AttributeError(
            f"irkit.nn has no '{name}'" + (f": {hint}" if hint else "; irkit.ops has every op")
        )
    return function(name)


def __dir__() -> list[str]:
    return names()
