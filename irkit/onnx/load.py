"""Reading a model: a file of ONNX with its external data, which lies in the same folder or below, and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx

from dialects.errors import IrkitError
from irkit.files import check_name

MAX_ELEMENTS = 1 << 33
"""Of one tensor; a damaged file may claim any number."""


@dataclass(frozen=True)
class Source:
    """A model, the name that messages have for it, and the folder of its external data."""

    model: onnx.ModelProto
    name: str
    folder: str


def load(model: str | os.PathLike[str] | onnx.ModelProto) -> Source:
    """Reads and checks a model. Raises IrkitError."""
    if isinstance(model, onnx.ModelProto):
        source = Source(model, f"{model.graph.name or 'model'}.onnx", "")
    else:
        source = Source(_read(os.fspath(model)), os.path.basename(os.fspath(model)), str(Path(model).parent))
    _check(source)
    return source


def _read(path: str) -> onnx.ModelProto:
    check_name(path)
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise IrkitError(f"there is no file '{path}'") from None
    except OSError as fault:
        raise IrkitError(f"cannot read '{path}': {fault.strerror}") from None
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except Exception as fault:  # the library has several, depending on how it was built
        raise IrkitError(f"'{path}' is no ONNX model", found=str(fault).splitlines()[0][:100]) from None
    if not model.HasField("graph") or not model.ir_version:
        raise IrkitError(f"'{path}' is no ONNX model", expected="a file that onnx.save wrote")
    return model


def _check(source: Source) -> None:
    """Raises IrkitError for a model whose tensors claim what they do not have."""
    if not source.model.opset_import:
        raise IrkitError(f"'{source.name}' does not say which opset it is written in")
    for tensor in tensors_of(source.model.graph):
        total = 1
        for n in tensor.dims:
            if n < 0:
                raise IrkitError(f"tensor '{tensor.name}' has a negative size", found=str(list(tensor.dims)))
            total *= n
        if total > MAX_ELEMENTS:
            raise IrkitError(f"tensor '{tensor.name}' is too large", found=f"{total} elements")
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            _check_external(tensor, source)


def _check_external(tensor: onnx.TensorProto, source: Source) -> None:
    """Raises IrkitError for data outside of the model's folder, or beyond the end of its file."""
    facts = {e.key: e.value for e in tensor.external_data}
    where = facts.get("location", "")
    folder = Path(source.folder or ".").resolve()
    path = (folder / where).resolve()
    if not where or os.path.isabs(where) or not path.is_relative_to(folder):
        raise IrkitError(
            f"the data of tensor '{tensor.name}' lies outside of the model's folder", found=repr(where)
        )
    if not path.is_file():
        raise IrkitError(f"the data of tensor '{tensor.name}' is missing", expected=f"a file '{path.name}'")
    try:
        offset, length = int(facts.get("offset", 0)), int(facts.get("length", 0))
    except ValueError:
        raise IrkitError(f"the data of tensor '{tensor.name}' has no place", found=str(facts)) from None
    if offset < 0 or length < 0 or offset + length > path.stat().st_size:
        raise IrkitError(
            f"the data of tensor '{tensor.name}' ends before it should",
            found=f"{path.stat().st_size} bytes in '{path.name}'",
            expected=f"{offset + length}",
        )


def tensors_of(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """All tensors that a graph and its bodies hold."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield sparse.values
        yield sparse.indices
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from tensors_of(inner)
