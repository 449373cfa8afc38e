"""Recurrent layers: one loop over time for all directions, with the products of the input made before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from xdsl.ir import Operation

from irkit.onnx.faults import Unsupported
from irkit.onnx.node import Node, Result, rule
from irkit.onnx.rules.gates import Activation, chosen
from irkit.onnx.values import joined
from irkit.tracing import ops, scan
from irkit.tracing.tensor import Tensor

State: TypeAlias = "tuple[Tensor, ...]"
Step: TypeAlias = "Callable[[State, Tensor], State]"
"""The next state, whose first part is the output, for a state and what the input adds to the gates."""


@dataclass(frozen=True)
class Direction:
    """What one direction goes through: the products of the input, its first state, and its step."""

    rows: Tensor
    first: State
    step: Step
    backwards: bool


@dataclass(frozen=True)
class Weights:
    """The inputs of a node that one direction takes."""

    w: Tensor
    r: Tensor
    bias: Tensor | None
    peepholes: Tensor | None
    activations: Sequence[Activation]

    @property
    def hidden(self) -> Any:
        return self.r.shape[0]

    def gate(self, x: Tensor, first: int, last: int | None = None) -> Tensor:
        """The columns of a gate, or of several up to the last."""
        return x[..., first * self.hidden : (first + 1 if last is None else last) * self.hidden]


@rule("RNN")
def rnn(n: Node) -> Result:
    """H = f(x W + h R + b)."""

    def step(weights: Weights) -> Step:
        (f,) = weights.activations
        return lambda state, row: (f(row + state[0] @ weights.r),)

    return layer(n, 1, ["Tanh"], lambda weights: (_summed(weights), step(weights)))


@rule("GRU")
def gru(n: Node) -> Result:
    """Gates z, r and h; the reset is put on the state, or on its product where linear_before_reset says so."""
    linear = bool(n.attr("linear_before_reset", 0))

    def step(weights: Weights) -> Step:
        f, g = weights.activations
        gates, candidate = weights.gate(weights.r, 0, 2), weights.gate(weights.r, 2)
        bias = weights.bias if linear else None
        own = None if bias is None else weights.gate(bias, 5)

        def next_state(state: State, row: Tensor) -> State:
            (h,) = state
            zr = f(weights.gate(row, 0, 2) + h @ gates)
            z, r = called("z", weights.gate(zr, 0)), weights.gate(zr, 1)
            if linear:
                product = h @ candidate
                new = r * (product if own is None else product + own)
            else:
                new = (r * h) @ candidate
            return ((1 - z) * g(weights.gate(row, 2) + new) + z * h,)

        return next_state

    def bias(weights: Weights) -> Tensor | None:
        if not linear or (b := weights.bias) is None:
            return _summed(weights)
        both = weights.gate(b, 0, 2) + weights.gate(b, 3, 5)
        return ops.concat([both, weights.gate(b, 2)], axis=0)

    return layer(n, 3, ["Sigmoid", "Tanh"], lambda weights: (bias(weights), step(weights)))


@rule("LSTM")
def lstm(n: Node) -> Result:
    """Gates i, o, f and c, of which the first three may look at the cell (peepholes)."""
    coupled = bool(n.attr("input_forget", 0))

    def step(weights: Weights) -> Step:
        f, g, act = weights.activations
        p = weights.peepholes

        def looking(x: Tensor, gate: int, cell: Tensor) -> Tensor:
            return x if p is None else x + weights.gate(p, gate) * cell

        def next_state(state: State, row: Tensor) -> State:
            h, c = state
            gates = called("gates", row + h @ weights.r)
            i, o, forget, new = (weights.gate(gates, k) for k in range(4))
            i = f(looking(i, 0, c))
            forget = 1 - i if coupled else f(looking(forget, 2, c))
            c = forget * c + i * g(new)
            return f(looking(o, 1, c)) * act(c), c

        return next_state

    return layer(
        n, 4, ["Sigmoid", "Tanh", "Tanh"], lambda weights: (_summed(weights), step(weights)), cells=1
    )


def called(name: str, x: Tensor) -> Tensor:
    """A value with the name that it has in the text."""
    if isinstance(x.value.owner, Operation):
        x.value.name_hint = x.value.name_hint or name
    return x


# -- what all of them share -------------------------------------------------------------------------------------------


def _summed(weights: Weights) -> Tensor | None:
    """The two biases, of the input and of the state, as one."""
    if (bias := weights.bias) is None:
        return None
    half = bias.shape[0] // 2
    return bias[:half] + bias[half:]


def layer(
    n: Node,
    gates: int,
    default: Sequence[str],
    make: Callable[[Weights], tuple[Tensor | None, Step]],
    cells: int = 0,
) -> Result:
    """All outputs: every h, the last h, and the last cell where there are cells. make gives bias and step."""
    direction = n.only("direction", "forward", "reverse", "bidirectional")
    count = 2 if direction == "bidirectional" else 1
    batch_first = n.only("layout", 0, 1) == 1
    activations = chosen(n, default, count)
    x, r = n[0], n[2]
    if x.ndim != 3 or n.rank(1) != 3 or r.ndim != 3 or r.shape[0] != count:
        raise Unsupported(f"an input of rank {x.ndim} with weights of the dims {list(r.shape)}, {direction}")
    if r.shape[1] != gates * r.shape[2]:
        raise Unsupported(f"weights of the dims {list(r.shape)}, which are no {gates} gates")
    if batch_first:
        x = ops.transpose(x, perm=[1, 0, 2])
    valid = _mask(n, x)
    ways: list[Direction] = []
    for d in range(count):
        weights = Weights(
            ops.transpose(n[1][d]),
            called("recurrent", ops.transpose(r[d])),
            n[3][d] if n.has(3) else None,
            n[7][d] if cells and n.has(7) else None,
            activations[d],
        )
        bias, step = make(weights)
        rows = x @ weights.w
        rows = called("steps", rows if bias is None else rows + bias)
        first = tuple(
            called(name, _first(n, 5 + k, d, x, weights, batch_first))
            for k, name in enumerate(("h", "c")[: 1 + cells])
        )
        backwards = direction == "reverse" or d == 1
        ways.append(Direction(rows, first, step, backwards))
    last, every = _run(ways, valid, n.wants(0))
    return _outputs(n, last, every, batch_first)


def _first(n: Node, index: int, d: int, x: Tensor, weights: Weights, batch_first: bool) -> Tensor:
    """The state that one direction begins with."""
    if not n.has(index):
        return ops.zeros([x.shape[1], weights.hidden], x.dtype_name)
    return n[index][:, d] if batch_first else n[index][d]


def _mask(n: Node, x: Tensor) -> Tensor | None:
    """For each time and sequence whether it has begun and not ended; None where all are whole."""
    time, batch, _ = x.shape
    if not n.has(4):
        return None
    lengths = n.value(4)
    if isinstance(lengths, np.ndarray) and isinstance(time, int) and (lengths == time).all():
        return None
    times = ops.iota([time, 1, 1], axis=0, dtype=n.dtype(4))
    return ops.compare(times, ops.reshape(n[4], [1, batch, 1]), pred="lt")


def _run(ways: Sequence[Direction], valid: Tensor | None, wanted: bool) -> tuple[Any, Any]:
    """The last states of all directions, and their outputs at every time, in the order of time."""

    def turned(x: Tensor, way: Direction) -> Tensor:
        return ops.flip(x, axes=[0]) if way.backwards else x

    def step(states: Sequence[State], rows: Sequence[tuple[Tensor, Tensor | None]]) -> tuple[Any, Any]:
        news, outs = [], []
        for way, old, (row, mask) in zip(ways, states, rows, strict=True):
            new = way.step(old, row)
            out = new[0]
            if mask is not None:
                out = ops.where(mask, out, 0.0)
                new = tuple(ops.where(mask, b, a) for a, b in zip(old, new, strict=True))
            news.append(new)
            outs.append(out)
        return tuple(news), tuple(outs) if wanted else None

    masks = [None if valid is None else turned(valid, way) for way in ways]
    rows = tuple((turned(way.rows, way), mask) for way, mask in zip(ways, masks, strict=True))
    last, every = scan(step, tuple(way.first for way in ways), rows)
    return last, [turned(y, way) for y, way in zip(every, ways, strict=True)] if wanted else None


def _outputs(n: Node, last: Sequence[State], every: Sequence[Tensor] | None, batch_first: bool) -> Result:
    """With a dim for the directions: [time, directions, batch, hidden], or with the batch in front."""
    whole = None
    if every is not None:
        whole = joined(every, 2 if batch_first else 1)
        if batch_first:
            whole = ops.transpose(whole, perm=[1, 0, 2, 3])
    states = zip(*last, strict=True)
    ends = [
        joined(parts, 1 if batch_first else 0) if n.wants(k) else None for k, parts in enumerate(states, 1)
    ]
    return [whole, *ends]
