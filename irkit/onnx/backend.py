"""irkit as a backend of the `onnx` package: `prepare(model).run(inputs)`, which its test suites call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx.backend.base import Backend, BackendRep

from dialects.errors import ErrorList, IrkitError
from irkit.onnx.faults import NeedsValue
from irkit.onnx.importer import from_onnx
from irkit.onnx.nested import taken_apart, without_nested
from irkit.runtime.module import Program
from irkit.tracing.graph import Graph
from irkit.tracing.tree import Structure, unflatten


class IrkitBackend(Backend):
    """Models through irkit, each compiled when it is first run, since types may depend on what inputs hold."""

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **_: Any) -> Prepared:
        return Prepared(model)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        return device == "CPU"


class Prepared(BackendRep):
    """A model that runs on arrays of any shapes that it takes."""

    def __init__(self, model: onnx.ModelProto):
        self.model = model
        self.programs: dict[object, tuple[list[str], Program, Structure]] = {}

    def run(self, inputs: Sequence[Any], **_: Any) -> tuple[Any, ...]:
        """The outputs for the inputs in their order, or by name; sequences are lists. Raises IrkitError or ErrorList."""
        given = named(self.model, inputs)
        arrays = taken_apart(given)
        key = tuple((n, a.shape, a.dtype) for n, a in arrays.items())
        names, program, gives = self.programs.get(key) or self._made(key, given)
        results = program(*(arrays[n] for n in names))
        return unflatten(gives, results if isinstance(results, tuple) else (results,))

    def _made(self, key: object, given: dict[str, Any]) -> tuple[list[str], Program, Structure]:
        """A program for such inputs, and those that it takes. With values in it, it serves one call and is not kept."""
        graph, known = specialised(self.model, given)
        made = [n for n in taken_apart(given) if n not in known], graph.compile(threads=1), graph.gives
        if not known:
            self.programs[key] = made
        return made


def named(model: onnx.ModelProto, inputs: Sequence[Any]) -> dict[str, Any]:
    """Inputs by the names that the model has for them."""
    held = {i.name for i in model.graph.initializer}
    names = [i.name for i in model.graph.input if i.name not in held]
    given = zip(names, inputs, strict=False)
    return {n: a if a is None or isinstance(a, list) else np.asarray(a) for n, a in given}


def specialised(model: onnx.ModelProto, given: dict[str, Any]) -> tuple[Graph, frozenset[str]]:
    """The graph for inputs of such shapes, with the values of those on which types depend; and which these are.

    Of a sequence, each element is an input. Raises IrkitError or ErrorList.
    """
    fixed, inputs = without_nested(model, given), taken_apart(given)
    for info in fixed.graph.input:
        if info.name in inputs and info.type.WhichOneof("value") == "tensor_type":
            shape = inputs[info.name].shape
            code = info.type.tensor_type.elem_type
            info.type.CopyFrom(onnx.helper.make_tensor_type_proto(code, shape))
    known: dict[str, np.ndarray] = {}
    while True:
        try:
            return from_onnx(fixed, known=known), frozenset(known)
        except (NeedsValue, ErrorList) as fault:
            sources = {s for s in map(source_of, getattr(fault, "errors", [fault])) if s is not None}
            if not sources - known.keys():
                raise
            known |= {s: inputs[s] for s in sources}


def source_of(fault: IrkitError) -> str | None:
    """The input whose value is needed."""
    return fault.source if isinstance(fault, NeedsValue) else None
