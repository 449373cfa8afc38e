"""A node as the rules see it: its inputs as tensors, as arrays that are known, or as sizes; its attributes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import onnx

from irkit.onnx import values
from irkit.onnx.faults import NeedsValue, Unsupported
from irkit.onnx.values import Held, Items, Value
from irkit.tracing.sizes import Size
from irkit.tracing.tensor import Tensor

if TYPE_CHECKING:
    from irkit.onnx.importer import Scope

Result: TypeAlias = "Held | Sequence[Held]"


class Node:
    """One node of a graph, with the values that reach it."""

    def __init__(self, proto: onnx.NodeProto, inputs: Sequence[Held], version: int, scope: Scope):
        self.proto = proto
        self.op = proto.op_type
        self.inputs = list(inputs)
        while self.inputs and self.inputs[-1] is None:
            self.inputs.pop()
        self.version = version
        """The opset that the model imports for the domain of this op."""
        self.scope = scope
        self.attributes = {a.name: a for a in proto.attribute}

    # -- inputs -------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.inputs)

    def has(self, index: int) -> bool:
        """Whether an optional input is there."""
        return index < len(self.inputs) and self.inputs[index] is not None

    def value(self, index: int) -> Value:
        """An input as it is. Raises Unsupported where it is missing, or a sequence."""
        found = self.inputs[index] if index < len(self.inputs) else None
        if found is None:
            raise Unsupported(f"input {index}, which is missing")
        if isinstance(found, Items):
            raise Unsupported(f"a sequence as input {index}")
        return found

    def held(self) -> list[Held]:
        """All inputs, of which some may be sequences, or optionals that are empty."""
        return list(self.inputs)

    def items(self, index: int) -> tuple[Value, ...]:
        """The elements of a sequence. Raises Unsupported for what is none."""
        found = self.inputs[index] if index < len(self.inputs) else None
        if not isinstance(found, Items):
            raise Unsupported(f"input {index} that is no sequence")
        return found.elements

    def __getitem__(self, index: int) -> Tensor:
        """An input as a tensor of the graph."""
        return self.scope.tensor(self.value(index))

    def tensors(self) -> list[Tensor]:
        """All inputs as tensors."""
        return [self[i] for i in range(len(self))]

    def get(self, index: int) -> Tensor | None:
        """An optional input as a tensor."""
        return self[index] if self.has(index) else None

    def table(self, name: str, array: np.ndarray) -> Tensor:
        """An array that a rule computes, as a tensor: a parameter of that name, or a constant where it is small."""
        return self.scope.importer.parameter(name, array)

    def known(self, index: int, what: str = "") -> np.ndarray:
        """An input whose elements are needed now; of objects where some are sizes. Raises NeedsValue."""
        found = self.value(index)
        if isinstance(found, Tensor):
            name = what or f"input {index}"
            raise NeedsValue(f"{name} while importing", self.scope.source(found))
        return found

    def sizes(self, index: int, what: str = "") -> list[Size | int]:
        """An input as a list of sizes."""
        return [n if isinstance(n, Size) else int(n) for n in self.known(index, what).reshape(-1)]

    def ints(self, index: int, what: str = "") -> list[int]:
        """An input as a list of integers. Raises Unsupported for a size that has no value."""
        found = self.sizes(index, what)
        for n in found:
            if isinstance(n, Size):
                raise Unsupported(f"{what or f'input {index}'} that depends on the dim {n}")
        return found  # pyright: ignore[reportReturnType]

    def dtype(self, index: int = 0) -> str:
        """The name of the dtype of an input."""
        return values.element(self.value(index))

    def rank(self, index: int = 0) -> int:
        found = self.value(index)
        return found.ndim

    def shape(self, index: int = 0) -> tuple[Size | int, ...]:
        return self.value(index).shape

    # -- attributes ---------------------------------------------------------------------------------------------

    def attr(self, name: str, default: Any = None) -> Any:
        """An attribute as a value of Python: numbers, text, lists, arrays for tensors, graphs as they are."""
        if name not in self.attributes:
            return default
        found = onnx.helper.get_attribute_value(self.attributes[name])
        if isinstance(found, bytes):
            return found.decode()
        if isinstance(found, onnx.TensorProto):
            return values.array_of(found, self.scope.folder)
        if isinstance(found, float):
            return float(str(np.float32(found)))  # 1e-05 and not what of it an f32 keeps
        if isinstance(found, onnx.GraphProto | int):
            return found
        return [x.decode() if isinstance(x, bytes) else x for x in found]

    def needs(self, name: str) -> Any:
        """An attribute that has to be there. Raises Unsupported."""
        found = self.attr(name)
        if found is None:
            raise Unsupported(f"the attribute '{name}', which is missing")
        return found

    def only(self, name: str, *allowed: Any, default: Any = None) -> Any:
        """An attribute that has one of some values. Raises Unsupported for others."""
        found = self.attr(name, allowed[0] if default is None else default)
        if found not in allowed:
            raise Unsupported(f"{name}={found!r}")
        return found

    def axis(self, default: int, rank: int | None = None, name: str = "axis") -> int:
        """An axis counted from the front. Raises Unsupported where there is none such."""
        return self.at(self.attr(name, default), self.rank() if rank is None else rank)

    def at(self, axis: int, rank: int) -> int:
        found = int(axis) + rank if axis < 0 else int(axis)
        if not 0 <= found < max(rank, 1):
            raise Unsupported(f"axis {axis} of a tensor of rank {rank}")
        return found

    def axes(self, index: int | None, rank: int, name: str = "axes") -> list[int] | None:
        """Axes from an input, or from an attribute, which they were in older opsets; None where none are given."""
        if index is not None and self.has(index):
            found: Any = self.ints(index, name)
        else:
            found = self.attr(name)
        return None if found is None else [self.at(a, rank) for a in found]

    @property
    def outputs(self) -> int:
        """How many outputs somebody may want."""
        return len(self.proto.output)

    def wants(self, index: int) -> bool:
        """Whether an optional output has a name."""
        return index < len(self.proto.output) and bool(self.proto.output[index])


def names_read(nodes: Iterable[onnx.NodeProto]) -> Iterator[str]:
    """The values that nodes read, their bodies included."""
    for node in nodes:
        yield from node.input
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from names_read(attribute.g.node)
                yield from (o.name for o in attribute.g.output)


def domain_of(name: str) -> str:
    """A domain by the one name that it has here: ONNX's own is called "" and "ai.onnx"."""
    return "" if name == "ai.onnx" else name


Rule: TypeAlias = "Callable[[Node], Result]"

RULES: dict[tuple[str, str], Rule] = {}
"""The rule of each op, by domain ("" for ONNX's own) and name."""


def rule(*names: str, domain: str = "") -> Callable[[Rule], Rule]:
    """Registers a function as the rule of ops: it adds to the graph what a node computes, and gives its outputs."""

    def register(function: Rule) -> Rule:
        for name in names:
            assert (domain, name) not in RULES, f"{name} has two rules"
            RULES[domain, name] = function
        return function

    return register
