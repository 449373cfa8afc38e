"""From a model to a graph: nodes in order, each by its rule, by its definition, or folded where all of it is known."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from xdsl.ir import Operation

from dialects.errors import ErrorList, IrkitError, Loc, beyond_limits
from irkit.collector import paused
from irkit.onnx import values
from irkit.onnx.check import check_support
from irkit.onnx.dims import Dims
from irkit.onnx.faults import Unsupported, told
from irkit.onnx.folding import fold
from irkit.onnx.functions import defaults, definition, with_attributes
from irkit.onnx.inputs import check_names, check_size, given_value
from irkit.onnx.load import Source, load
from irkit.onnx.masks import causal_mask
from irkit.onnx.names import parameter_name, value_name
from irkit.onnx.node import RULES, Node, domain_of, names_read
from irkit.onnx.values import Held, Items
from irkit.tracing import ops
from irkit.tracing.build import build
from irkit.tracing.errors import at_place
from irkit.tracing.graph import Graph
from irkit.tracing.params import param
from irkit.tracing.sizes import Size, dim_of
from irkit.tracing.state import CONSTANT_ELEMENTS, Trace
from irkit.tracing.tensor import Tensor
from irkit.tracing.tree import flatten

MAX_NODES = 1 << 17
"""Of a model whose functions are expanded; ten lines of functions that call each other can mean any number."""


def from_onnx(
    model: str | os.PathLike[str] | onnx.ModelProto,
    dims: Mapping[str, int | tuple[int, int]] | None = None,
    known: Mapping[str, np.ndarray] | None = None,
) -> Graph:
    """The graph of an ONNX file or model; `.save_tg(path)` writes it, `.compile()` gives the program.

    dims gives named dims a size, or a range (least, greatest); those not told have a range (`irkit.onnx.dims`). known
    gives inputs a value: they are no inputs of the graph then, which may have other shapes for other values.
    Raises ErrorList with everything that is not supported, and IrkitError for a file that is no model.
    """
    import irkit.onnx.rules  # noqa: F401

    source = load(model)
    with paused():
        return Importer(source, dims or {}, known or {}).graph()


class Importer:
    """One import: the trace that it fills, and what is known of its values."""

    def __init__(self, source: Source, dims: Mapping[str, Any], known: Mapping[str, np.ndarray]):
        self.model = source.model
        self.file = source.name
        self.folder = source.folder
        self.given = known
        self.versions = {domain_of(o.domain): o.version for o in self.model.opset_import}
        self.functions = {(f.domain, f.name): f for f in self.model.functions}
        self.dims = Dims(dims, self.model)
        self.trace = Trace()
        self.sources: dict[int, tuple[Tensor, str]] = {}
        self.made: dict[int, tuple[np.ndarray, Tensor]] = {}
        self.count = 0
        self.node: onnx.NodeProto | None = None
        """The node that is imported now."""

    def graph(self) -> Graph:
        graph = self.model.graph
        check_support(self)
        name = "main"
        scope = Scope(self, {}, names={})
        loc = Loc(self.file, 1, 1)
        with self.trace.active(), at_place(loc):
            scope.initialisers(graph)
            self._inputs(graph, scope)
            scope.run(graph.node)
            found = [self._result(o, scope) for o in graph.output]
            results, gives = flatten(tuple(found), lambda v: isinstance(v, Tensor))
            if not results:
                raise IrkitError("the model gives no tensor", loc)
            names = _names_of(graph.output, found)
            module = build(
                self.trace, name, [(n, t.value) for n, (_, t) in zip(names, results, strict=True)], loc
            )
        arrays = {n: p.array for n, p in self.trace.params.items() if p.array is not None}
        defaults = {n: default for n, (default, _, _) in self.trace.ranges.items()}
        inputs = {n: Tensor(self.trace, v) for n, v in self.trace.inputs.items()}
        _, takes = flatten(inputs, lambda v: isinstance(v, Tensor))
        return Graph(name, module, arrays, defaults, takes, gives)

    def _inputs(self, graph: onnx.GraphProto, scope: Scope) -> None:
        faults: list[IrkitError] = []
        check_names([info.name for info in graph.input], self.given)
        for info in graph.input:
            if info.name in scope.values:  # an initialiser that may be overridden: it is not
                continue
            if info.name in self.given:
                scope.values[info.name] = given_value(info, np.asarray(self.given[info.name]))
                continue
            try:
                tensor = self._input(info)
            except Unsupported as fault:
                faults.append(
                    IrkitError(f"input '{info.name}' cannot be imported: {fault.message}", hint=fault.hint)
                )
                continue
            scope.values[info.name] = tensor
            self.sources[id(tensor.value)] = tensor, info.name
        if faults:
            raise ErrorList(faults)

    def _input(self, info: onnx.ValueInfoProto) -> Tensor:
        kind = info.type.WhichOneof("value")
        if kind is None:
            raise Unsupported("it has no type")
        if kind != "tensor_type":
            what = str(kind).removesuffix("_type").replace("_", " ")
            raise Unsupported(f"it is {'an' if what[0] in 'aeiou' else 'a'} {what}, and no tensor")
        dtype = values.dtype_name(info.type.tensor_type.elem_type)
        if not info.type.tensor_type.HasField("shape"):
            raise Unsupported("it has no rank")
        shape = self.dims.shape(info)
        check_size(shape)
        for size in (n for n in shape if isinstance(n, Size)):
            self.trace.ranges |= size.ranges
        name = self.trace.free_name(parameter_name(info.name, "x"))
        return Tensor(self.trace, self.trace.input(name, dtype, tuple(map(dim_of, shape))))

    def _result(self, info: onnx.ValueInfoProto, scope: Scope) -> Tensor | list[Tensor] | None:
        """A result: a tensor, those of a sequence, or none for an optional that is empty."""
        if info.name not in scope.values:
            raise IrkitError(f"the model gives '{info.name}', which nothing computes", Loc(self.file, 1, 1))
        value = scope.values[info.name]
        if isinstance(value, Items):
            return [scope.tensor(v) for v in value.elements]
        return None if value is None else scope.tensor(value)

    def parameter(self, name: str, array: np.ndarray) -> Tensor:
        """An array as a parameter, the same one each time; one number, or a few integers, as a constant, a causal mask
        by its places."""
        if id(array) not in self.made:
            if array.size <= (CONSTANT_ELEMENTS if array.dtype.kind in "iub" else 1):
                return ops.constant(array)
            if (mask := causal_mask(array)) is not None:
                return mask
            free = self.trace.free_name(parameter_name(name, "w", self.node))
            self.made[id(array)] = array, param(free, array)
        return self.made[id(array)][1]


@dataclass
class Scope:
    """The values of a graph, of the body of a loop or a choice, or of the definition of an op."""

    importer: Importer
    values: dict[str, Held]
    names: dict[int, str] = field(default_factory=dict)
    """The names of arrays that are known, by their identity."""
    within: str = ""
    """The node whose definition or body this is."""
    nodes: Sequence[onnx.NodeProto] = ()
    done: int = 0
    """How many of the nodes are imported."""
    failed: set[str] = field(default_factory=set)
    """What nodes would have computed that could not be imported."""

    @property
    def folder(self) -> str:
        return self.importer.folder

    def child(self, within: str, captures: bool) -> Scope:
        """The scope of a body, which sees what is around it, or of a definition, which does not."""
        return Scope(self.importer, dict(self.values) if captures else {}, self.names, within)

    def initialisers(self, graph: onnx.GraphProto) -> None:
        for proto in graph.initializer:
            self.keep(proto.name, self._held(proto, values.array_of))
        for sparse in graph.sparse_initializer:
            self.keep(sparse.values.name, self._held(sparse, values.dense))

    def _held(self, proto: Any, reader: Callable[[Any, str], np.ndarray]) -> np.ndarray:
        try:
            return reader(proto, self.folder)
        except Unsupported as fault:
            name = proto.name if isinstance(proto, onnx.TensorProto) else proto.values.name
            raise IrkitError(f"initialiser '{name}' cannot be imported: {fault.message}") from None

    def keep(self, name: str, value: Held) -> None:
        if isinstance(value, np.ndarray):
            value = values.tightened(value)
            self.names.setdefault(id(value), name)
        self.values[name] = value

    def source(self, tensor: Tensor) -> str | None:
        """The input of the model that a tensor is, or from which it is computed: one of integers before others."""
        found: list[tuple[Tensor, str]] = []
        queue, seen = [tensor.value], {tensor.value}
        while queue:
            value = queue.pop()
            if id(value) in self.importer.sources:
                found.append(self.importer.sources[id(value)])
            operands = value.owner.operands if isinstance(value.owner, Operation) else ()
            queue += [v for v in dict.fromkeys(operands) if v not in seen]
            seen.update(operands)
        found.sort(key=lambda f: f[0].dtype.kind not in "iub")
        return found[0][1] if found else None

    def tensor(self, value: Held) -> Tensor:
        """A value as a tensor of the graph. Raises Unsupported for what is none."""
        if isinstance(value, Tensor):
            return value
        if not isinstance(value, np.ndarray):
            what = "an optional that is empty" if value is None else "a sequence"
            raise Unsupported(f"{what} where a tensor is expected")
        if value.dtype == object:
            return values.size_tensor(value)
        return self.importer.parameter(self.names.get(id(value), "w"), value)

    # -- nodes --------------------------------------------------------------------------------------------------

    def run(self, nodes: Sequence[onnx.NodeProto]) -> None:
        """Adds nodes, which stand in an order in which they can be computed.

        Raises IrkitError, or ErrorList with all that is not supported in the nodes of the model itself.
        """
        self.nodes = nodes
        self._check_names()
        faults: list[Unsupported] = []
        for number, proto in enumerate(nodes, 1):
            if self.failed and not self.failed.isdisjoint(names_read([proto])):
                self.failed.update(proto.output)
                continue
            with at_place(Loc(self.importer.file, number, 1)) if not self.within else nullcontext():
                try:
                    self.node(proto, number)
                except Unsupported as fault:
                    if self.within:
                        raise
                    faults.append(fault)
                    self.failed.update(proto.output)
            self.done = number
        if faults:
            raise faults[0] if len(faults) == 1 else ErrorList(faults)

    def _check_names(self) -> None:
        """Raises IrkitError where two nodes compute values of one name."""
        known: set[str] = set()
        for proto in self.nodes:
            for name in filter(None, proto.output):
                if name in known:
                    raise IrkitError(
                        f"two nodes{f' of {self.within}' if self.within else ''} compute '{name}'"
                    )
                known.add(name)

    def node(self, proto: onnx.NodeProto, number: int) -> None:
        self.importer.count += 1
        if self.importer.count > MAX_NODES:
            raise IrkitError(
                f"the model has more than {MAX_NODES} nodes, those of its functions counted each time"
            )
        self.importer.node = proto
        where = described(proto, number, self.within)
        try:
            outputs = self._outputs(proto, where)
        except Unsupported as fault:
            raise fault.told_of(where) from None
        except IrkitError as fault:
            fault.inside = fault.inside or where
            raise
        except ErrorList:
            raise
        except Exception as fault:
            raise beyond_limits(fault) or told(fault, proto, where) from fault
        for name, value in zip(proto.output, outputs, strict=False):
            if not name:
                continue
            if isinstance(value, Tensor) and not value.value.name_hint:
                value.value.name_hint = value_name(name, proto)
            self.keep(name, value)

    def _outputs(self, proto: onnx.NodeProto, where: str) -> Sequence[Held]:
        inputs = [self.values[name] if name else None for name in self._present(proto, where)]
        node = Node(proto, inputs, self.importer.versions.get(domain_of(proto.domain), 1), self)
        found = fold(node)
        if found is None:
            found = self._computed(node, where)
        return found if isinstance(found, list | tuple) else [found]

    def _present(self, proto: onnx.NodeProto, where: str) -> Sequence[str]:
        for name in proto.input:
            if name and name not in self.values:
                later = next((n for n in enumerate(self.nodes, 1) if name in n[1].output), None)
                raise IrkitError(
                    f"{where} reads '{name}', which nothing before it computes",
                    found=later and f"{described(later[1], later[0])} computes it",
                    expected=later and "nodes in an order in which they can be computed, as ONNX says",
                )
        return proto.input

    def _computed(self, node: Node, where: str) -> Any:
        key = domain_of(node.proto.domain), node.op
        local = self.importer.functions.get((node.proto.domain, node.op))
        if local is None and key in RULES and (found := RULES[key](node)) is not NotImplemented:
            return found
        body = local or definition(node)
        if body is None:
            raise Unsupported(f"the op {node.op}")
        return self._expanded(node, body, where)

    def _expanded(self, node: Node, body: onnx.FunctionProto, where: str) -> list[Held]:
        """What the definition of an op by other ops gives."""
        inner = self.child(where, captures=False)
        given = [*node.inputs, *[None] * len(body.input)]
        for name, value in zip(body.input, given, strict=False):
            inner.values[name] = value
        attributes = defaults(node) | {a.name: a for a in body.attribute_proto} | node.attributes
        versions = self.importer.versions
        self.importer.versions = versions | {domain_of(o.domain): o.version for o in body.opset_import}
        try:
            inner.run([with_attributes(n, attributes) for n in body.node])
        finally:
            self.importer.versions = versions
        return [inner.values.get(name) for name in body.output]


def _names_of(infos: Sequence[onnx.ValueInfoProto], found: Sequence[object]) -> list[str]:
    """The names of results; those of a sequence are numbered."""
    names: list[str] = []
    for info, value in zip(infos, found, strict=True):
        name = parameter_name(info.name, "out")
        if value is not None:
            names += [f"{name}_{i}" for i in range(len(value))] if isinstance(value, list) else [name]
    return names


def described(proto: onnx.NodeProto, number: int, within: str = "") -> str:
    """A node as messages name it."""
    own = f"node '{proto.name}' ({proto.op_type})" if proto.name else f"node {number} ({proto.op_type})"
    return f"{own} of {within}" if within else own
