"""A row as an ONNX file, made once and kept in the folder of the run."""

from __future__ import annotations

import os
from pathlib import Path

from irkit.runtime.cache import digest
from tools.bench import models
from tools.bench.data import Data
from tools.bench.rows import Row


def onnx_file(row: Row, data: Data) -> Path | None:
    """The file of a row, or None where the row has no torch module. Its inputs are the program's, in order."""
    if models.is_model(row):
        return models.onnx_file(row)
    path = models.folder() / f"{row.name}-{digest([row.text(), repr(row.sizes())])[:12]}.onnx"
    if path.is_file():
        return path
    import torch

    from tools.bench.peers import modules

    built = modules.build(row, data, fused=False)
    if built is None:
        return None
    module, inputs = built
    program = torch.onnx.export(
        module,
        inputs,
        dynamo=True,
        opset_version=18,
        external_data=False,
        optimize=True,
        input_names=list(data.inputs),
        output_names=["y"],
        verbose=False,
    )
    assert program is not None
    new = path.with_name(f".{path.name}.{os.getpid()}")
    program.save(os.fspath(new), external_data=False)
    os.replace(new, path)
    return path
