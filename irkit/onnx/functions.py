"""Ops that ONNX defines by other ops: the definition for the opset of the model and the types at the node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import onnx

from irkit.onnx import values
from irkit.tracing.sizes import Size

if TYPE_CHECKING:
    from irkit.onnx.node import Node
    from irkit.onnx.values import Held


def definition(node: Node) -> onnx.FunctionProto | None:
    """The definition of an op by others, or None."""
    schema = _schema(node.op, node.proto.domain, node.version)
    if schema is None:
        return None
    if schema.has_function:
        return schema.function_body
    if not schema.has_context_dependent_function:
        return None
    types = [_type(v).SerializeToString() for v in node.inputs]
    body = onnx.FunctionProto()
    versions = [v for v in schema.context_dependent_function_opset_versions if v <= node.version]
    if not versions:
        return None
    try:
        text = schema.get_context_dependent_function_with_opset_version(
            max(versions), node.proto.SerializeToString(), types
        )
    except Exception:  # the library's own: it gives no definition for such types
        return None
    body.ParseFromString(text)
    return body if body.node else None


def defaults(node: Node) -> dict[str, onnx.AttributeProto]:
    """The attributes that an op has where a node does not give them."""
    schema = _schema(node.op, node.proto.domain, node.version)
    return (
        {}
        if schema is None
        else {k: a.default_value for k, a in schema.attributes.items() if a.default_value.name}
    )


def is_defined(op: str, domain: str, version: int) -> bool:
    """Whether ONNX defines an op by others."""
    schema = _schema(op, domain, version)
    return schema is not None and (schema.has_function or schema.has_context_dependent_function)


def _schema(op: str, domain: str, version: int) -> Any:
    """What ONNX says of an op; None where it knows none."""
    try:
        return onnx.defs.get_schema(op, version, domain)
    except onnx.defs.SchemaError:
        return None


def _type(value: Held) -> onnx.TypeProto:
    if value is None or isinstance(value, values.Items):
        return onnx.TypeProto()
    shape = value.shape
    dims = [str(n) if isinstance(n, Size) else n for n in shape]
    return onnx.helper.make_tensor_type_proto(values.CODES[values.element(value)], dims)


def with_attributes(proto: onnx.NodeProto, given: Mapping[str, onnx.AttributeProto]) -> onnx.NodeProto:
    """A node of a definition with the attributes that it takes from the call; deep, for its bodies too."""

    def refers(graph: onnx.GraphProto) -> bool:
        return any(
            a.ref_attr_name or (a.HasField("g") and refers(a.g)) for n in graph.node for a in n.attribute
        )

    if not any(a.ref_attr_name or (a.HasField("g") and refers(a.g)) for a in proto.attribute):
        return proto
    made = onnx.NodeProto()
    made.CopyFrom(proto)
    del made.attribute[:]
    for attribute in proto.attribute:
        if attribute.ref_attr_name:
            if attribute.ref_attr_name in given:
                new = made.attribute.add()
                new.CopyFrom(given[attribute.ref_attr_name])
                new.name = attribute.name
                new.ref_attr_name = ""
            continue
        new = made.attribute.add()
        new.CopyFrom(attribute)
        if attribute.HasField("g"):
            inner = [with_attributes(n, given) for n in attribute.g.node]
            del new.g.node[:]
            new.g.node.extend(inner)
    return made
