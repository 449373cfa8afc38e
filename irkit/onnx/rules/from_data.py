"""Ops whose results have a shape that their data decide: what decides it is known, and they are computed now."""

from __future__ import annotations

import numpy as np

from irkit.onnx.faults import Unsupported
from irkit.onnx.folding import evaluated
from irkit.onnx.node import Node, Result, rule
from irkit.tracing import ops


@rule("NonZero")
def non_zero(n: Node) -> Result:
    return np.array(np.nonzero(n.known(0, "the elements")), np.int64)


@rule("Compress")
def compress(n: Node) -> Result:
    """Slices that a condition chooses; the data need not be known."""
    x, places = n[0], np.flatnonzero(n.known(1, "the condition"))
    if n.attr("axis") is None:
        return ops.gather(ops.reshape(x, [-1]), n.table("places", places), axis=0)
    return ops.gather(x, n.table("places", places), axis=n.axis(0))


@rule("Unique")
def unique(n: Node) -> Result:
    """The different slices along an axis, or elements of all of it: sorted, or as they first stand."""
    x, axis = n.known(0, "the elements"), n.attr("axis")
    found, first, inverse, counts = np.unique(
        x, return_index=True, return_inverse=True, return_counts=True, axis=axis
    )
    if not n.attr("sorted", 1):
        order = np.argsort(first)
        found, first, counts = np.take(found, order, axis=axis or 0), first[order], counts[order]
        inverse = np.argsort(order)[inverse]
    return [found, *(a.reshape(-1).astype(np.int64) for a in (first, inverse, counts))]


@rule("NonMaxSuppression")
def non_max_suppression(n: Node) -> Result:
    return _now(n, "the boxes", "the scores", "how many boxes", "the threshold", "the least score").reshape(
        -1, 3
    )


@rule("MelWeightMatrix")
def mel_weight_matrix(n: Node) -> Result:
    return _now(n, "the bins", "the length", "the rate", "the lower edge", "the upper edge")


def _now(n: Node, *names: str) -> np.ndarray:
    """The result of an op by ONNX's reference, whose inputs are named for messages."""
    for i, name in enumerate(names[: len(n)]):
        if n.has(i):
            n.known(i, name)
    found = evaluated(n)
    if found is None or found[0] is None:
        raise Unsupported(f"the op {n.op} on such inputs")
    return np.asarray(found[0])
