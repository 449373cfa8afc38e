"""Ops that ONNX defines by other ops: the definition for the opset of the model and the types at the node."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx

from irkit.onnx import values
from irkit.tracing.sizes import Size

if TYPE_CHECKING:
    from irkit.onnx.node import Node
    from irkit.onnx.values import Value


def definition(node: Node) -> onnx.FunctionProto | None:
    """The definition of an op by others, or None."""
    try:
        schema = onnx.defs.get_schema(node.op, node.version, node.proto.domain)
    except onnx.defs.SchemaError:
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
    try:
        schema = onnx.defs.get_schema(node.op, node.version, node.proto.domain)
    except onnx.defs.SchemaError:
        return {}
    return {k: a.default_value for k, a in schema.attributes.items() if a.default_value.name}


def is_defined(op: str, domain: str, version: int) -> bool:
    """Whether ONNX defines an op by others."""
    try:
        schema = onnx.defs.get_schema(op, version, domain)
    except onnx.defs.SchemaError:
        return False
    return schema.has_function or schema.has_context_dependent_function


def _type(value: Value | None) -> onnx.TypeProto:
    if value is None:
        return onnx.TypeProto()
    shape = value.shape
    dims = [str(n) if isinstance(n, Size) else n for n in shape]
    return onnx.helper.make_tensor_type_proto(values.CODES[values.element(value)], dims)
