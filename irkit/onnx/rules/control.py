"""Choices and loops, whose bodies are graphs that see what is around them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx

from irkit.onnx.faults import NeedsValue, Unsupported
from irkit.onnx.node import Node, Result, names_read, rule
from irkit.onnx.values import Held, Items, Value, joined
from irkit.tracing import cond, fori, ops, scan, while_loop
from irkit.tracing.errors import TraceError
from irkit.tracing.tensor import Tensor

UNROLLED = 64
"""Rounds of a loop that is written out."""


class _Depends(Exception):
    """Whether a loop goes on depends on what its body computes."""


def body(n: Node, graph: onnx.GraphProto, inputs: Sequence[Held]) -> list[Held]:
    """The results of a body for some inputs. Raises Unsupported for one that lacks some."""
    inner = n.scope.child(n.proto.name or n.op, captures=True)
    inner.initialisers(graph)
    for info, value in zip(graph.input, inputs, strict=True):
        inner.keep(info.name, value)
    inner.run(graph.node)
    if any(o.name not in inner.values for o in graph.output):
        raise Unsupported("a body that gives nothing for an output")
    return [inner.values[o.name] for o in graph.output]


def scalar(x: Tensor) -> Tensor:
    """A condition or a number of rounds, which may have a dim."""
    return ops.reshape(x, []) if x.ndim else x


def tensors(n: Node, found: Sequence[Held]) -> tuple[Tensor, ...]:
    return tuple(n.scope.tensor(v) for v in found)


def is_nested(value: Held) -> bool:
    """Whether a value is a sequence, or an optional that is empty: there is no tensor of it."""
    return value is None or isinstance(value, Items)


def _truth(value: Held) -> bool | None:
    """A condition that is known."""
    return bool(value.reshape(-1)[0]) if isinstance(value, np.ndarray) else None


@rule("If")
def if_(n: Node) -> Result:
    """A condition that is known leaves one way."""
    ways = n.needs("then_branch"), n.needs("else_branch")
    p = n.value(0)
    known = _truth(p)
    if known is not None:
        return body(n, ways[0 if known else 1], [])

    def chosen(way: onnx.GraphProto) -> tuple[Tensor, ...]:
        found = body(n, way, [])
        if any(map(is_nested, found)):
            n.known(0, "the condition")
        return tensors(n, found)

    yes, no = (lambda way=way: chosen(way) for way in ways)
    try:
        return cond(scalar(n[0]), yes, no)
    except TraceError as fault:
        if not isinstance(p, Tensor) or not fault.message.startswith("the two ways"):
            raise
        types = f", since its two ways give {fault.found}" if fault.found else ""
        raise NeedsValue(f"the condition while importing{types}", n.scope.source(p)) from None


@rule("Loop")
def loop(n: Node) -> Result:
    """Counted where the body leaves its condition alone; what it gives in each round is stacked. One that carries a
    sequence is written out."""
    graph = n.needs("body")
    if any(map(is_nested, n.held()[2:])):
        if n.has(1) and not n.known(1, "the condition").any():
            return n.held()[2:]
        return _unrolled(n, graph, len(graph.output) - 1 - len(n.held()[2:]))
    carried = [n[i] for i in range(2, len(n))]
    stacked = len(graph.output) - 1 - len(carried)
    go_on = _truth(n.value(1)) if n.has(1) else True
    if go_on is None and stacked:
        n.known(1, "the condition of a loop that gives something in each round")
    try:
        if go_on is False:
            return _never(n, graph, carried, stacked)
        if go_on is None:
            raise _Depends
        return _counted(n, graph, carried, stacked)
    except _Depends:
        if stacked:
            raise Unsupported(
                "a loop that gives something in each round of a number that it finds itself"
            ) from None
    except NeedsValue as fault:
        if fault.source is not None or not n.has(0):
            raise
        n.known(0, "the number of rounds")
        return _unrolled(n, graph, stacked, fault)
    return _conditional(n, graph, carried)


def _unrolled(n: Node, graph: onnx.GraphProto, stacked: int, fault: NeedsValue | None = None) -> Result:
    """Round by round, for bodies whose types depend on the number of the round. Raises what kept it from being a loop."""
    rounds = n.ints(0, "the number of rounds")[0]
    if not (0 if fault is None else 1) <= rounds <= UNROLLED:
        raise fault or Unsupported(f"{rounds} rounds of a loop that carries a sequence")
    if stacked and not rounds:
        raise Unsupported("a loop without rounds that gives something in each of them")
    state = n.held()[2:]
    rows: list[list[Held]] = [[] for _ in range(stacked)]
    for i in range(rounds):
        going, *found = body(n, graph, [np.asarray(i), np.asarray(True), *state])
        state = found[: len(state)]
        for made, row in zip(rows, found[len(state) :], strict=True):
            made.append(row)
        if (on := _truth(going)) is None:
            raise fault or Unsupported("a loop that carries a sequence and finds its number of rounds")
        if not on:
            break
    return [*state, *(_stacked(n, made) for made in rows)]


def _stacked(n: Node, rows: Sequence[Held]) -> Value:
    if all(isinstance(row, np.ndarray) and row.dtype != object for row in rows):
        return np.stack(rows)  # pyright: ignore[reportCallIssue, reportArgumentType]
    return joined(tensors(n, rows), 0)


def _rounds(n: Node, stacked: int) -> Any:
    """The number of rounds: a size where it is known, a tensor, or None."""
    if not n.has(0):
        return None
    if stacked or isinstance(n.value(0), np.ndarray):
        return n.sizes(0, "the number of rounds")[0]
    return scalar(n[0])


def _counted(n: Node, graph: onnx.GraphProto, carried: list[Tensor], stacked: int) -> Result:
    rounds = _rounds(n, stacked)
    if rounds is None:
        raise _Depends

    def step(i: Value, state: Sequence[Tensor]) -> tuple[Tensor, ...]:
        going, *rest = body(n, graph, [i, np.asarray(True), *state])
        if _truth(going) is not True:
            raise _Depends
        return tensors(n, rest)

    if not stacked:
        found = fori(0, rounds, lambda i, state: step(i, state), tuple(carried))
        return list(found)

    def row(state: Sequence[Tensor], i: Any) -> tuple[Any, Any]:
        found = step(np.asarray(0) if i is None else i, state)
        return found[: len(carried)], found[len(carried) :]

    used = {*names_read(graph.node), *(o.name for o in graph.output)}
    last, rows = scan(
        row, tuple(carried), ops.iota([rounds]) if graph.input[0].name in used else None, rounds
    )
    return [*last, *rows]


def _conditional(n: Node, graph: onnx.GraphProto, carried: list[Tensor]) -> Result:
    rounds = _rounds(n, 0)
    first = scalar(n[1]) if n.has(1) else ops.full([], True, "bool")

    def step(state: Sequence[Tensor]) -> tuple[Tensor, ...]:
        i, _, *values = state
        going, *rest = tensors(n, body(n, graph, [i, np.asarray(True), *values]))
        return (i + 1, scalar(going), *rest)

    start = (ops.full([], 0, "i64"), first, *carried)
    return list(while_loop(lambda s: s[1], step, start, limit=rounds)[2:])


def _never(n: Node, graph: onnx.GraphProto, carried: list[Tensor], stacked: int) -> Result:
    if stacked:
        raise Unsupported("a loop without rounds that gives something in each of them")
    return list(carried)


# -- scan -------------------------------------------------------------------------------------------------------------


@rule("Scan")
def scan_(n: Node) -> Result:
    return _batches(n) if n.version < 9 else _scan(n, n.tensors())


def _scan(n: Node, inputs: Sequence[Tensor]) -> list[Tensor]:
    """One sequence: states, then what is gone through along an axis each, forwards or backwards."""
    graph, count = n.needs("body"), n.needs("num_scan_inputs")
    states, rows = inputs[: len(inputs) - count], inputs[len(inputs) - count :]
    axes = n.attr("scan_input_axes", [0] * count)
    backwards = n.attr("scan_input_directions", n.attr("directions", [0] * count))
    given = len(graph.output) - len(states)
    out_axes = n.attr("scan_output_axes", [0] * given)
    out_backwards = n.attr("scan_output_directions", [0] * given)
    turned = [
        _flipped(_to_front(x, n.at(a, x.ndim)), back)
        for x, a, back in zip(rows, axes, backwards, strict=True)
    ]

    def step(state: Sequence[Tensor], row: Sequence[Tensor]) -> tuple[Any, Any]:
        found = tensors(n, body(n, graph, [*state, *row]))
        return found[: len(states)], found[len(states) :]

    last, made = scan(step, tuple(states), tuple(turned))
    placed = [
        _from_front(_flipped(y, back), n.at(a, y.ndim))
        for y, a, back in zip(made, out_axes, out_backwards, strict=True)
    ]
    return [*last, *placed]


def _batches(n: Node) -> list[Value]:
    """Before opset 9 all inputs had batches, in the first dim, and lengths of their own."""
    if n.has(0):
        raise Unsupported("sequences of different lengths")
    inputs = [n[i] for i in range(1, len(n))]
    batches = inputs[0].shape[0]
    if not isinstance(batches, int) or batches > UNROLLED:
        raise Unsupported(f"a number of batches {batches} in a scan of opset 8")
    each = [_scan(n, [x[b] for x in inputs]) for b in range(batches)]
    return [_stacked(n, ys) for ys in zip(*each, strict=True)]


def _to_front(x: Tensor, axis: int) -> Tensor:
    if axis == 0:
        return x
    return ops.transpose(x, perm=[axis, *(i for i in range(x.ndim) if i != axis)])


def _from_front(x: Tensor, axis: int) -> Tensor:
    if axis == 0:
        return x
    others = list(range(1, x.ndim))
    return ops.transpose(x, perm=[*others[:axis], 0, *others[axis:]])


def _flipped(x: Tensor, backwards: int) -> Tensor:
    return ops.flip(x, axes=[0]) if backwards else x
