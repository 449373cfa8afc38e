"""Recurrent layers with what the test cases of the `onnx` package leave out, against loops in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from onnx import helper

from irkit.onnx import from_onnx
from irkit.onnx.faults import Unsupported
from tests.from_onnx import batches
from tests.from_onnx.models import info, model, node_model

T, B, X, H = 5, 3, 2, 4
rng = np.random.default_rng(7)


def numbers(*shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


FUNCTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "Sigmoid": sigmoid,
    "Tanh": np.tanh,
    "Relu": lambda x: np.maximum(x, 0),
    "Affine": lambda x: 0.5 * x + 0.25,
    "ScaledTanh": lambda x: 1.5 * np.tanh(0.75 * x),
    "LeakyRelu": lambda x: np.where(x > 0, x, 0.1 * x),
    "HardSigmoid": lambda x: np.clip(0.2 * x + 0.5, 0, 1),
    "Softsign": lambda x: x / (1 + np.abs(x)),
}


class Layer:
    """A recurrent layer, time step by time step and sequence by sequence."""

    def __init__(self, op: str, given: dict[str, np.ndarray | None], names: Sequence[str], **settings):
        self.op, self.given, self.names, self.settings = op, given, names, settings

    def act(self, name: str, x: np.ndarray) -> np.ndarray:
        clip = self.settings.get("clip")
        return FUNCTIONS[name](x if clip is None else np.clip(x, -clip, clip))

    def cell(self, d: int, x, h, c, names):
        w, r = self.given["W"][d], self.given["R"][d]
        gates = len(w) // H
        b = self.given["B"][d] if self.given.get("B") is not None else np.zeros(2 * gates * H, np.float32)
        wx, wb, rb = w @ x, b[: gates * H], b[gates * H :]
        part = lambda v, k: v[k * H : (k + 1) * H]  # noqa: E731
        if self.op == "RNN":
            return self.act(names[0], wx + wb + r @ h + rb), c
        if self.op == "GRU":
            rh = r @ h
            z, reset = (self.act(names[0], part(wx + wb + rh + rb, k)) for k in (0, 1))
            if self.settings.get("linear_before_reset"):
                new = reset * (part(rh, 2) + part(rb, 2))
            else:
                new = r[2 * H :] @ (reset * h) + part(rb, 2)
            return (1 - z) * self.act(names[1], part(wx + wb, 2) + new) + z * h, c
        p = self.given["P"][d] if self.given.get("P") is not None else np.zeros(3 * H, np.float32)
        i, o, f, g = (part(wx + wb + r @ h + rb, k) for k in range(4))
        i = self.act(names[0], i + part(p, 0) * c)
        f = 1 - i if self.settings.get("input_forget") else self.act(names[0], f + part(p, 2) * c)
        c = f * c + i * self.act(names[1], g)
        return self.act(names[0], o + part(p, 1) * c) * self.act(names[2], c), c

    def run(self, directions: int) -> list[np.ndarray]:
        x, lens = self.given["X"], self.given.get("sequence_lens")
        batch_first = self.settings.get("layout", 0)
        if batch_first:
            x = x.swapaxes(0, 1)
        every, last = np.zeros((T, directions, B, H), np.float32), np.zeros((directions, B, H), np.float32)
        cells = last.copy()
        first = {k: self.given.get(k) for k in ("initial_h", "initial_c")}
        each = len(self.names) // directions
        for d in range(directions):
            names = self.names[d * each : (d + 1) * each]
            for k in range(B):
                start = [
                    np.zeros(H, np.float32) if v is None else (v[k, d] if batch_first else v[d, k])
                    for v in first.values()
                ]
                h, c = start
                count = T if lens is None else int(lens[k])
                times = range(count)
                if d == 1 or self.settings.get("direction") == "reverse":
                    times = reversed(times)
                for t in times:
                    h, c = self.cell(d, x[t, k], h, c, names)
                    every[t, d, k] = h
                last[d, k], cells[d, k] = h, c
        if batch_first:
            every, last, cells = every.transpose(2, 0, 1, 3), last.swapaxes(0, 1), cells.swapaxes(0, 1)
        return [every, last, cells] if self.op == "LSTM" else [every, last]


GATES = {"RNN": (1, ["Tanh"]), "GRU": (3, ["Sigmoid", "Tanh"]), "LSTM": (4, ["Sigmoid", "Tanh", "Tanh"])}


def case(name: str, op: str, wanted=(), activations=None, **settings) -> batches.Case:
    gates, default = GATES[op]
    directions = 2 if settings.get("direction") == "bidirectional" else 1
    batch_first = settings.get("layout", 0)
    state = (B, directions, H) if batch_first else (directions, B, H)
    whole = {
        "X": numbers(*((B, T) if batch_first else (T, B)), X),
        "W": numbers(directions, gates * H, X),
        "R": numbers(directions, gates * H, H),
        "B": numbers(directions, 2 * gates * H),
        "sequence_lens": np.array([3, 5, 1], np.int32),
        "initial_h": numbers(*state),
        "initial_c": numbers(*state),
        "P": numbers(directions, 3 * H),
    }
    if op != "LSTM":
        del whole["initial_c"], whole["P"]
    given: dict = {k: v if k in ("X", "W", "R") or k in wanted else None for k, v in whole.items()}
    names = activations or default * directions
    attributes = dict(settings)
    if activations:
        attributes["activations"] = activations
        if "Affine" in activations:
            attributes |= {"activation_alpha": [0.5, 1.5, 0.1], "activation_beta": [0.25, 0.75]}
    outputs = ["Y", "Y_h", "Y_c"][: 3 if op == "LSTM" else 2]
    proto = node_model(op, given, outputs, hidden_size=H, **attributes)
    expected = Layer(op, given, names, **settings).run(directions)
    return batches.Case(name, proto, [v for v in given.values() if v is not None], expected, 1e-4, 1e-5)


ALL = ("B", "sequence_lens", "initial_h", "initial_c", "P")


def test_layers():
    cases = [
        case("rnn, lengths in reverse", "RNN", ("B", "sequence_lens", "initial_h"), direction="reverse"),
        case("rnn, both ways", "RNN", ("B", "sequence_lens"), direction="bidirectional", clip=0.5),
        case("rnn, activations", "RNN", ("B",), ["Relu", "Softsign"], direction="bidirectional", layout=1),
        case("gru, all", "GRU", ALL, direction="bidirectional", layout=1),
        case("gru, linear", "GRU", ALL, direction="reverse", linear_before_reset=1),
        case("gru, linear without bias", "GRU", ("initial_h",), linear_before_reset=1),
        case("lstm, all", "LSTM", ALL, direction="bidirectional"),
        case("lstm, coupled", "LSTM", ("B", "P"), input_forget=1, clip=1.0),
        case("lstm, activations", "LSTM", ("B",), ["Affine", "ScaledTanh", "LeakyRelu"]),
    ]
    faults = [f"{o.name}: {o.kind} {o.reason}" for o in batches.run(cases, "-O0") if o.kind != "passed"]
    assert not faults, "\n".join(faults)


def test_named_dims_and_one_output():
    """One program for every length and batch; what nobody asks for is not computed."""
    w, r = numbers(1, 4 * H, X), numbers(1, 4 * H, H)
    node = helper.make_node("LSTM", ["x", "w", "r"], ["", "last"], hidden_size=H)
    graph = from_onnx(
        model([node], [info("x", ["time", "batch", X])], ["last"], {"w": w, "r": r}),
        dims={"time": (1, 9), "batch": (1, 9)},
    )
    assert "scatter" not in graph.tg()
    program = graph.compile(threads=1)
    for time, batch in ((1, 1), (6, 3)):
        x = numbers(time, batch, X)
        h = c = np.zeros((batch, H), np.float32)
        for row in x:
            i, o, f, g = np.split(row @ w[0].T + h @ r[0].T, 4, axis=1)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
        np.testing.assert_allclose(program(x), h[None], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"direction": "sideways"}, "direction='sideways'"),
        ({"activations": ["Swish"]}, "the activation Swish"),
        ({"activations": ["ScaledTanh"]}, "the activation ScaledTanh without its numbers"),
        ({"activations": ["Tanh", "Tanh"]}, "2 activations of 1"),
        ({"direction": "bidirectional"}, "bidirectional"),
    ],
)
def test_refused(attributes: dict, message: str):
    arrays = {"X": numbers(T, B, X), "W": numbers(1, H, X), "R": numbers(1, H, H)}
    with pytest.raises(Unsupported) as caught:
        from_onnx(node_model("RNN", arrays, ["Y"], **attributes))
    assert message in caught.value.message
    assert "node 1 (RNN)" in caught.value.message
