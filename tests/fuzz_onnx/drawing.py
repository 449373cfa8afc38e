"""A model that grows by random nodes, each of which is computed at once, so that types fit and numbers stay finite.

What draws a node is registered by `@draws(weight)`; it takes a Drawing, picks values that are there or makes new ones, and
adds nodes. A node whose results are infinite, NaN, huge or many is refused, and something else is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tests.fuzz_onnx.runners import reference

OPEN = 11
"""The size of the dim that a model leaves open; hardly any other dim has it."""
RANGE = (5, 13)
"""What that dim may be; so indices below five, and windows of five, fit."""
SIZES = (1, 2, 3, 4, 5, 6, 8)
MOST = 2048
"""Elements of a value."""
GREATEST = {"float16": 500.0, "float32": 1e4, "float64": 1e4}
FLOATS = ("float32",) * 12 + ("float16", "float64")
INTEGERS = ("int64", "int64", "int32", "int8", "uint8", "int16")


class RefusedError(Exception):
    """What was drawn is not used."""


@dataclass(frozen=True)
class Value:
    name: str
    array: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def rank(self) -> int:
        return self.array.ndim

    @property
    def kind(self) -> str:
        """f for floats, i for integers, b for bools."""
        return {"u": "i"}.get(self.array.dtype.kind, self.array.dtype.kind)


Draw = Callable[["Drawing"], None]
DRAWS: list[tuple[float, Draw]] = []
"""What may be drawn, each with how often."""


def draws(weight: float = 1.0) -> Callable[[Draw], Draw]:
    def register(function: Draw) -> Draw:
        DRAWS.append((weight, function))
        return function

    return register


@dataclass
class Drawing:
    """The nodes so far and the values that they give."""

    rng: np.random.Generator
    opset: int
    dim: str | None = None
    """The name of the dim that is left open, if one is."""
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    inputs: dict[str, np.ndarray] = field(default_factory=dict)
    held: dict[str, np.ndarray] = field(default_factory=dict)
    pool: list[Value] = field(default_factory=list)
    read: set[str] = field(default_factory=set)
    count: int = 0

    # -- chances ------------------------------------------------------------------------------------------------

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def one(self, options: Sequence[Any]) -> Any:
        """One of some options, or of the words of a text."""
        options = options.split() if isinstance(options, str) else options
        if not len(options):
            raise RefusedError
        return options[int(self.rng.integers(len(options)))]

    def integer(self, low: int, high: int) -> int:
        """Between two integers, both included."""
        if high < low:
            raise RefusedError
        return int(self.rng.integers(low, high + 1))

    def axis(self, value: Value) -> int:
        """One of the axes, counted from either end."""
        if not value.rank:
            raise RefusedError
        found = self.integer(0, value.rank - 1)
        return found - value.rank if self.chance(0.4) else found

    def axes(self, rank: int) -> list[int]:
        """Some axes, at least one."""
        if not rank:
            raise RefusedError
        return sorted(map(int, self.rng.choice(rank, self.integer(1, rank), replace=False)))

    # -- values -------------------------------------------------------------------------------------------------

    def fresh(self, stem: str) -> str:
        self.count += 1
        return f"{stem}{self.count}"

    def shape(self, rank: int | None = None) -> tuple[int, ...]:
        rank = self.integer(0, 4) if rank is None else rank
        sizes = (*SIZES, OPEN, OPEN) if self.dim else SIZES
        found = tuple(self.one(sizes) for _ in range(rank))
        return found if np.prod(found) <= 600 else tuple(min(n, 4) if n != OPEN else n for n in found)

    def numbers(
        self, shape: Sequence[int], dtype: str = "float32", low: float | None = None, high: float = 4
    ) -> np.ndarray:
        """Random numbers; floats are normal, or uniform where bounds are given."""
        kind = np.dtype(dtype)
        if kind.kind == "b":
            return np.asarray(self.rng.random(shape) < 0.5)
        if kind.kind in "iu":
            least = 0 if kind.kind == "u" else -5
            return np.asarray(
                self.rng.integers(least if low is None else int(low), int(high) + 2, shape)
            ).astype(kind)
        if low is not None:
            return np.asarray(self.rng.uniform(low, high, shape)).astype(kind)
        found = self.rng.standard_normal(shape) * self.one((0.5, 1, 1, 3))
        return np.asarray(np.round(found * 2) / 2 if self.chance(0.1) else found).astype(kind)

    def given(self, array: np.ndarray) -> Value:
        """An input of the model."""
        value = Value(self.fresh("x"), array)
        self.inputs[value.name] = array
        self.pool.append(value)
        return value

    def keep(self, array: np.ndarray, stem: str = "w") -> Value:
        """An initialiser."""
        value = Value(self.fresh(stem), array)
        self.held[value.name] = array
        return value

    def ints(self, items: Sequence[int]) -> Value:
        return self.keep(np.array(items, np.int64), "i")

    def other(self, shape: Sequence[int], dtype: str, low: float | None = None, high: float = 4) -> Value:
        """Another operand of a shape: a value that is there, an input, or an initialiser, for which a dim is not open."""
        shape = tuple(shape)
        if self.dim and any(n > OPEN and n % OPEN == 0 for n in shape):  # twice the open dim, or so
            raise RefusedError
        if low is None and self.chance(0.5):
            same = [v for v in self.pool if v.shape == shape and v.array.dtype == dtype]
            if same:
                return self.one(same)
        if OPEN in shape and self.dim:
            return self.given(self.numbers(shape, dtype, low, high))
        array = self.numbers(shape, dtype, low, high)
        return self.given(array) if self.chance(0.2) else self.keep(array)

    def pick(
        self, kind: str = "f", rank: int | None = None, test: Callable[[Value], bool] | None = None
    ) -> Value:
        """A value of a kind, rather one that nothing reads yet; a new input where there is none."""
        good = [
            v
            for v in self.pool
            if v.kind in kind and rank in (None, v.rank) and (test is None or test(v)) and v.array.size
        ]
        if good and self.chance(0.93):
            unread = [v for v in good if v.name not in self.read]
            return self.one(unread if unread and self.chance(0.7) else good)
        dtype = {"f": self.one(FLOATS), "i": self.one(INTEGERS), "b": "bool"}[self.one(list(kind))]
        shape = self.shape(rank)
        value = Value("", np.empty(shape, dtype))
        if test is not None and not test(value):
            raise RefusedError
        return self.given(self.numbers(shape, dtype))

    def broadcast(self, shape: Sequence[int]) -> tuple[int, ...]:
        """A shape that broadcasts to another: some sizes are one, some leading ones are missing."""
        found = tuple(1 if self.chance(0.25) else n for n in shape)
        return found[self.integer(0, len(found)) :] if self.chance(0.3) else found

    # -- nodes --------------------------------------------------------------------------------------------------

    def add(self, op: str, inputs: Sequence[Value | None], outputs: int = 1, **attributes: Any) -> Value:
        """A node, and its first result. Raises RefusedError where its results are of no use."""
        return self.all(op, inputs, outputs, **attributes)[0]

    def all(
        self, op: str, inputs: Sequence[Value | None], outputs: int = 1, **attributes: Any
    ) -> list[Value]:
        """A node, and its results."""
        names = [v.name if v else "" for v in inputs]
        while names and not names[-1]:
            names.pop()
        node = helper.make_node(op, names, [self.fresh("v") for _ in range(outputs)], **attributes)
        node.name = node.output[0]
        found = self._computed(node, {v.name: v.array for v in inputs if v})
        values = [Value(n, a) for n, a in zip(node.output, found, strict=True)]
        self.nodes.append(node)
        self.read.update(names)
        self.pool += values
        return values

    def _computed(self, node: onnx.NodeProto, known: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        known = {**known, **{v.name: v.array for v in self.pool if v.name in _captured(node)}}
        known |= {n: a for n, a in self.held.items() if n in _captured(node)}
        infos = [_info(n, a) for n, a in known.items()]
        ends = [helper.make_value_info(n, onnx.TypeProto()) for n in node.output]
        graph = helper.make_graph([node], "node", infos, ends)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=10)
        try:
            found = reference(model, known)
            del model.graph.output[:]
            model.graph.output.extend(_info(n, a) for n, a in found.items())
            onnx.checker.check_model(model, full_check=True)
        except Exception as fault:  # it has no such op in this opset, or no such types
            raise RefusedError(str(fault)) from None
        for array in found.values():
            limit = GREATEST.get(array.dtype.name, 1 << 20)
            if (
                array.size > MOST
                or not array.size
                or not np.all(np.isfinite(array))
                or np.any(np.abs(array.astype(float)) > limit)
            ):
                raise RefusedError("large, infinite or NaN")
        return [found[n] for n in node.output]

    # -- the whole ----------------------------------------------------------------------------------------------

    def model(self) -> onnx.ModelProto:
        """The model, whose results are what nothing reads, and some of the rest."""
        made = {n for node in self.nodes for n in node.output}
        ends = [v for v in self.pool if v.name in made and (v.name not in self.read or self.chance(0.1))]
        graph = helper.make_graph(
            self.nodes,
            "drawn",
            [self._input(n, a) for n, a in self.inputs.items() if n in self.read],
            [
                helper.make_tensor_value_info(v.name, helper.np_dtype_to_tensor_dtype(v.array.dtype), None)
                for v in ends
            ],
            [numpy_helper.from_array(a, n) for n, a in self.held.items()],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=10)

    def _input(self, name: str, array: np.ndarray) -> onnx.ValueInfoProto:
        sizes = [self.dim if self.dim and n == OPEN else n for n in array.shape]
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), sizes)


def _info(name: str, array: np.ndarray) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)


def _captured(node: onnx.NodeProto) -> set[str]:
    """What the bodies of a node read."""
    return {n for a in node.attribute if a.HasField("g") for inner in a.g.node for n in inner.input}
