"""Reading a model: a file of ONNX, of which nothing is believed before it is checked."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import onnx

from dialects.errors import IrkitError
from irkit.files import check_name
from irkit.onnx.data import check_tensor, tensors_of, texts_of
from irkit.onnx.node import domain_of

MAX_FILE = (1 << 31) - 1
"""Bytes of a file of protobuf, which has no more; larger weights are external data."""


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
        path = os.fspath(model)
        source = Source(_read(path), os.path.basename(path), str(Path(path).parent))
    _check(source)
    return source


def _read(path: str) -> onnx.ModelProto:
    check_name(path)
    file = Path(path)
    try:
        if file.exists() and not file.is_file():
            raise IrkitError(
                f"cannot read '{path}'", found="a folder" if file.is_dir() else "no regular file"
            )
        if file.stat().st_size > MAX_FILE:
            raise IrkitError(f"'{path}' is no ONNX model", found=f"{file.stat().st_size} bytes")
        content = file.read_bytes()
    except FileNotFoundError:
        raise IrkitError(f"there is no file '{path}'") from None
    except OSError as fault:
        raise IrkitError(f"cannot read '{path}': {fault.strerror}") from None
    except ValueError:  # of a name with a zero byte
        raise IrkitError("bad name of a file", found=ascii(path)) from None
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except Exception as fault:  # the library has several, depending on how it was built
        raise IrkitError(f"'{path}' is no ONNX model", found=str(fault).splitlines()[0][:100]) from None
    if not model.HasField("graph") or not model.ir_version:
        raise IrkitError(f"'{path}' is no ONNX model", expected="a file that onnx.save wrote")
    return model


def _check(source: Source) -> None:
    """Raises IrkitError for a model that says what cannot be, or is newer than what is known of ONNX here."""
    for text in texts_of(source.model):
        if not isinstance(text, str):  # what protobuf gives for bytes that are none
            raise IrkitError(
                f"'{source.name}' is damaged", found=f"the name {ascii(text)[:100]}, which is not UTF-8"
            )
    _check_opsets(source)
    for tensor in tensors_of(source.model):
        check_tensor(tensor, source.folder)


def _check_opsets(source: Source) -> None:
    if not source.model.opset_import:
        raise IrkitError(f"'{source.name}' does not say which opset it is written in")
    for functions in ([], *source.model.functions):
        for one in getattr(functions, "opset_import", source.model.opset_import):
            own = domain_of(one.domain) == ""
            newest = onnx.defs.onnx_opset_version() if own else (1 << 31) - 1
            if not 1 <= one.version <= newest:
                raise IrkitError(
                    f"'{source.name}' is written in an opset that is not known here",
                    found=f"{one.domain or 'ai.onnx'} {one.version}",
                    expected=f"1 to {newest}",
                    hint="pip install --upgrade onnx" if one.version > newest else None,
                )
