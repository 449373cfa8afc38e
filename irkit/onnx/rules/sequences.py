"""Sequences and optionals: how many elements there are is known, so that they are lists while importing, and no op of the graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from irkit.onnx.faults import Unsupported
from irkit.onnx.node import Node, Result, rule
from irkit.onnx.rules.control import body
from irkit.onnx.values import Held, Items, Value, joined
from irkit.tracing import ops


@rule("SequenceConstruct", "SequenceEmpty")
def construct(n: Node) -> Result:
    return Items(tuple(n.value(i) for i in range(len(n))))


@rule("SequenceInsert")
def insert(n: Node) -> Result:
    found = n.items(0)
    at = _place(n, 2, len(found), len(found)) if n.has(2) else len(found)
    return Items((*found[:at], n.value(1), *found[at:]))


@rule("SequenceErase")
def erase(n: Node) -> Result:
    found = n.items(0)
    at = _place(n, 1, len(found), len(found) - 1) if n.has(1) else len(found) - 1
    return Items((*found[:at], *found[at + 1 :]))


@rule("SequenceAt")
def element(n: Node) -> Result:
    found = n.items(0)
    return found[_place(n, 1, len(found), len(found) - 1)]


def _place(n: Node, index: int, length: int, most: int) -> int:
    """A place in a sequence, counted from the front. Raises Unsupported where there is none such."""
    at = n.ints(index, "the place")[0]
    if not -length <= at <= most:
        raise Unsupported(f"place {at} of a sequence of {length}")
    return at + length if at < 0 else at


@rule("SequenceLength")
def length(n: Node) -> Result:
    return np.array(len(n.items(0)), np.int64)


@rule("SplitToSequence")
def split(n: Node) -> Result:
    """Parts of the sizes given, of one size, or of one element each, whose dim may go."""
    x, axis = n[0], n.axis(0)
    total = x.shape[axis]
    sizes = n.known(1, "the sizes of the parts") if n.has(1) else np.array(1)
    if sizes.ndim == 0:
        size = n.ints(1, "the size of the parts")[0] if n.has(1) else 1
        if not isinstance(total, int) or size < 1:
            raise Unsupported(f"parts of {size} of the dim {total}")
        ends: list[Any] = [*range(size, total, size), total] if total else []
    else:
        ends = list(np.cumsum(n.ints(1, "the sizes of the parts")))
    parts: list[Value] = []
    for start, end in zip([0, *ends], ends, strict=False):
        part = x[(*[slice(None)] * axis, slice(start, int(end)))]
        goes = not n.has(1) and not n.attr("keepdims", 1)
        parts.append(ops.reshape(part, [*x.shape[:axis], *x.shape[axis + 1 :]]) if goes else part)
    return Items(tuple(parts))


@rule("ConcatFromSequence")
def concat(n: Node) -> Result:
    found = [n.scope.tensor(v) for v in n.items(0)]
    if not found:
        raise Unsupported("an empty sequence")
    if n.attr("new_axis", 0):
        return joined(found, n.at(n.needs("axis"), found[0].ndim + 1))
    return ops.concat(found, axis=n.at(n.needs("axis"), found[0].ndim))


@rule("SequenceMap")
def mapped(n: Node) -> Result:
    """A body on the elements of sequences, and on tensors that are the same for all."""
    graph, given = n.needs("body"), n.held()
    results: list[list[Held]] = [[] for _ in graph.output]
    for i in range(len(n.items(0))):
        found = body(n, graph, [v.elements[i] if isinstance(v, Items) else v for v in given])
        for made, one in zip(results, found, strict=True):
            made.append(one)
    return [Items(tuple(made)) for made in results]  # pyright: ignore[reportArgumentType]


@rule("Optional")
def optional(n: Node) -> Result:
    return n.held() or [None]


@rule("OptionalHasElement")
def has_element(n: Node) -> Result:
    return np.array(n.has(0))


@rule("OptionalGetElement")
def get_element(n: Node) -> Result:
    if not n.has(0):
        raise Unsupported("the element of an empty optional")
    return n.held()[:1]
