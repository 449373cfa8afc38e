"""Ops that are stated by other ops: each has a NumPy reference of its own, and a formula that `graph-decompose` puts in
its place before fusion. They stay whole until then, so that the passes on the graph see what was meant."""

from dialects.graph.derived import (
    activation,
    arrangement,
    convolution,
    linear,
    loss,
    mathematics,
    normalisation,
    quantised,
    reduction,
    resizing,
    rotary,
    window,
)
from dialects.graph.derived.base import Derived

__all__ = [
    "Derived",
    "activation",
    "arrangement",
    "convolution",
    "linear",
    "loss",
    "mathematics",
    "normalisation",
    "quantised",
    "reduction",
    "resizing",
    "rotary",
    "window",
]
