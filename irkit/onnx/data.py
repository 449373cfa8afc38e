"""The data of a model's tensors: as much of it as their shapes claim, in the model's folder or below and nowhere else."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

import onnx

from dialects.errors import IrkitError

P = onnx.TensorProto
BITS: dict[int, int] = {
    **dict.fromkeys((P.INT2, P.UINT2), 2),
    **dict.fromkeys((P.INT4, P.UINT4, P.FLOAT4E2M1), 4),
    **dict.fromkeys((P.BOOL, P.INT8, P.UINT8, P.FLOAT8E4M3FN, P.FLOAT8E4M3FNUZ), 8),
    **dict.fromkeys((P.FLOAT8E5M2, P.FLOAT8E5M2FNUZ, P.FLOAT8E8M0), 8),
    **dict.fromkeys((P.INT16, P.UINT16, P.FLOAT16, P.BFLOAT16), 16),
    **dict.fromkeys((P.INT32, P.UINT32, P.FLOAT), 32),
    **dict.fromkeys((P.INT64, P.UINT64, P.DOUBLE, P.COMPLEX64), 64),
    P.COMPLEX128: 128,
}
"""Of an element as it is stored, for each type that has data as bytes."""
FIELDS = {
    "float_data": (P.FLOAT, P.COMPLEX64),
    "double_data": (P.DOUBLE, P.COMPLEX128),
    "int64_data": (P.INT64,),
    "uint64_data": (P.UINT32, P.UINT64),
}
"""Where a type has its numbers that are no bytes; all others have them in int32_data."""


def tensors_of(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """All tensors that a model holds: of its graph, of bodies, of its functions."""
    for graph in _graphs(model):
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield sparse.values
            yield sparse.indices
    for attribute in _attributes(model):
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors


def texts_of(model: onnx.ModelProto) -> Iterator[str]:
    """What a model calls its graphs, values, dims and nodes, and what it calls by name."""
    for one in (*model.opset_import, *model.functions):
        yield one.domain
    for graph in _graphs(model):
        yield graph.name
        for info in (*graph.input, *graph.output):
            yield info.name
            yield from (dim.dim_param for dim in info.type.tensor_type.shape.dim)
    for function in model.functions:
        yield function.name
        yield from (*function.input, *function.output)
        yield from (one.domain for one in function.opset_import)
    for node in _nodes(model):
        yield from (node.op_type, node.domain, node.name, *node.input, *node.output)
    for attribute in _attributes(model):
        yield from (attribute.name, attribute.ref_attr_name)
    for tensor in tensors_of(model):
        yield tensor.name
        yield from (text for entry in tensor.external_data for text in (entry.key, entry.value))


def _graphs(model: onnx.ModelProto) -> Iterator[onnx.GraphProto]:
    """The graph and all bodies."""
    yield model.graph
    for attribute in _attributes(model):
        yield from bodies(attribute)


def bodies(attribute: onnx.AttributeProto) -> Iterator[onnx.GraphProto]:
    """The graphs that an attribute holds."""
    if attribute.HasField("g"):
        yield attribute.g
    yield from attribute.graphs


def _attributes(model: onnx.ModelProto) -> Iterator[onnx.AttributeProto]:
    for function in model.functions:
        yield from function.attribute_proto
    for node in _nodes(model):
        yield from node.attribute


def _nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """All nodes, those of bodies after the one that they belong to."""
    waiting = [*model.graph.node, *(n for f in model.functions for n in f.node)][::-1]
    while waiting:
        node = waiting.pop()
        yield node
        for attribute in node.attribute:
            for body in bodies(attribute):
                waiting.extend(reversed(body.node))


def check_tensor(tensor: onnx.TensorProto, folder: str) -> None:
    """Raises IrkitError for a tensor that has other data than its shape says."""
    if any(n < 0 for n in tensor.dims):
        raise IrkitError(f"tensor '{tensor.name}' has a negative size", found=str(list(tensor.dims)))
    bits = BITS.get(tensor.data_type)
    if bits is None:  # of strings, or unknown: an error where it is used
        return
    count = math.prod(tensor.dims)
    size = -(-count * bits // 8)
    if tensor.data_location == P.EXTERNAL:
        _check_external(tensor, folder, size)
    elif tensor.HasField("raw_data"):
        if len(tensor.raw_data) != size:
            _refuse(tensor, f"{len(tensor.raw_data)} bytes", str(size))
    else:
        field = next((name for name, types in FIELDS.items() if tensor.data_type in types), "int32_data")
        found = len(getattr(tensor, field))
        halves = 2 if tensor.data_type in (P.COMPLEX64, P.COMPLEX128) else 1
        wanted = size if bits < 8 else count * halves
        if found != wanted:
            _refuse(tensor, f"{found} numbers", str(wanted))


def _refuse(tensor: onnx.TensorProto, found: str, expected: str) -> None:
    raise IrkitError(
        f"tensor '{tensor.name}' of the shape {list(tensor.dims)} has other data",
        found=found,
        expected=expected,
    )


def _check_external(tensor: onnx.TensorProto, folder: str, size: int) -> None:
    """Raises IrkitError for data outside of the model's folder, or of another size."""
    facts = {e.key: e.value for e in tensor.external_data}
    where = facts.get("location", "")
    home = Path(folder or ".").resolve()
    try:
        path = (home / where).resolve()
        inside = bool(where) and not os.path.isabs(where) and path.is_relative_to(home)
        found = inside and path.is_file()
    except (ValueError, OSError, RuntimeError):  # a zero byte, a name too long, links in a circle
        raise IrkitError(
            f"the data of tensor '{tensor.name}' has no place", found=ascii(where)[:100]
        ) from None
    if not inside:
        raise IrkitError(
            f"the data of tensor '{tensor.name}' lies outside of the model's folder", found=ascii(where)
        )
    if not found:
        raise IrkitError(f"the data of tensor '{tensor.name}' is missing", expected=f"a file '{path.name}'")
    try:
        offset = int(facts.get("offset", 0))
        length = int(facts["length"]) if "length" in facts else path.stat().st_size - offset
    except ValueError:
        raise IrkitError(f"the data of tensor '{tensor.name}' has no place", found=str(facts)[:200]) from None
    if offset < 0 or length != size:
        _refuse(tensor, f"{length} bytes from byte {offset} on", str(size))
    if offset + length > path.stat().st_size:
        raise IrkitError(
            f"the data of tensor '{tensor.name}' ends before it should",
            found=f"{path.stat().st_size} bytes in '{path.name}'",
            expected=str(offset + length),
        )
