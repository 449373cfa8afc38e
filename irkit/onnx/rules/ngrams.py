"""TfIdfVectorizer: how often each n-gram of a list stands in a row of integers."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from irkit.onnx.faults import Unsupported
from irkit.onnx.node import Node, Result, rule
from irkit.onnx.rules.sampling import known_sizes
from irkit.tracing import ops
from irkit.tracing.tensor import Tensor


@rule("TfIdfVectorizer")
def tf_idf(n: Node) -> Result:
    """x [C] or [N, C] gives [M] or [N, M]. Between the items of an n-gram as many are left out as the node allows."""
    if n.attr("pool_int64s") is None:
        raise Unsupported("n-grams of strings")
    mode, indexes = n.only("mode", "TF", "IDF", "TFIDF", default="TF"), np.array(n.needs("ngram_indexes"))
    weights = n.attr("weights")
    if weights is not None and mode != "TF" and list(indexes) != list(range(len(indexes))):
        raise Unsupported("weights of n-grams in another order than their indexes")
    x = ops.cast(n[0], "i64")
    rows = x if x.ndim == 2 else ops.reshape(x, [1, *x.shape])
    width = int(indexes.max()) + 1
    total: Tensor | None = None
    for grams, places in _pools(n, indexes):
        if (found := _counts(n, rows, grams)) is not None:
            table = np.zeros((len(grams), width), np.float32)
            table[np.arange(len(grams)), places] = 1
            spread = found @ n.table("columns", table)
            total = spread if total is None else total + spread
    if total is None:
        total = ops.zeros([rows.shape[0], width], "f32")
    if mode == "IDF":
        total = ops.minimum(total, 1.0)
    if mode != "TF" and weights is not None:
        total = total * ops.constant(np.array(weights, np.float32))
    return total if x.ndim == 2 else ops.reshape(total, [width])


def _pools(n: Node, indexes: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """The n-grams of each length that counts, as rows, and where in the result each is counted."""
    pool, starts = n.needs("pool_int64s"), [*n.needs("ngram_counts"), len(n.needs("pool_int64s"))]
    found, done = [], 0
    for size, (start, end) in enumerate(pairwise(starts), 1):
        if (end - start) % size or end < start:
            raise Unsupported(f"a list of {end - start} items for n-grams of {size}")
        grams = np.array(pool[start:end], np.int64).reshape(-1, size)
        if n.needs("min_gram_length") <= size <= n.needs("max_gram_length") and len(grams):
            found.append((grams, indexes[done : done + len(grams)]))
        done += len(grams)
    return found


def _counts(n: Node, rows: Tensor, grams: np.ndarray) -> Tensor | None:
    """How often n-grams of one length stand in each row, [N, grams]; None for rows that are too short."""
    (columns,) = known_sizes(n, rows.shape[1:])
    size = grams.shape[1]
    total: Tensor | None = None
    for step in range(1, n.needs("max_skip_count") + 2 if size > 1 else 2):
        starts = columns - step * (size - 1)
        if starts <= 0:
            break
        same: Tensor | None = None
        for k in range(size):
            items = ops.reshape(rows[:, k * step : k * step + starts], [rows.shape[0], starts, 1])
            equal = ops.compare(items, ops.constant(grams[:, k]), pred="eq")
            same = equal if same is None else ops.logical_and(same, equal)
        assert same is not None
        found = ops.sum(ops.cast(same, "f32"), axis=1)
        total = found if total is None else total + found
    return total
