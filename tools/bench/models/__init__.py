"""Whole models as rows: an ONNX file, which ours imports and peers read as it is.

light     the networks for images that the onnx package bundles, given random weights
minilm    sentence embeddings, exported from PyTorch with the weights of a package

A family is a module with `write(name, path)`, `sizes(row)` of the dims that the file leaves open, and `inputs(row, shapes)`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tools.bench.rows import Row

FAMILIES = ("light", "minilm")
TOLERANCE = 1e-4
"""How far a result may be from that of ONNX Runtime without optimisation, as a fraction of its greatest number."""


def is_model(row: Row) -> bool:
    """Whether a row is a model that comes as an ONNX file."""
    return row.family in FAMILIES


def onnx_file(row: Row) -> Path:
    """The model of a row, made once and kept in the folder of the run."""
    path = folder() / f"{row.family}-{row.name}.onnx"
    if not path.is_file():
        new = path.with_name(f".{os.getpid()}-{path.name}")
        _family(row).write(row.name, new)
        os.replace(new, path)
    return path


def tg_file(row: Row) -> Path:
    """What `irkit import` makes of the model, with the open dims at the sizes of the row."""
    path = onnx_file(row).with_suffix(".tg")
    if not path.is_file():
        import irkit

        irkit.from_onnx(onnx_file(row), dims=dict(row.dims)).save_tg(path)
    return path


def inputs(row: Row, shapes: Mapping[str, tuple[tuple[int, ...], np.dtype]]) -> dict[str, np.ndarray]:
    """Random arrays for the inputs, by name, of given shapes and dtypes."""
    return _family(row).inputs(np.random.default_rng(0), shapes)


def reference(row: Row, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """The first result of ONNX Runtime without any optimisation, in f64."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(os.fspath(onnx_file(row)), options, ["CPUExecutionProvider"])
    names = (i.name for i in session.get_inputs())
    found = session.run(None, dict(zip(names, arrays.values(), strict=True)))
    return np.asarray(found[0], np.float64)


def folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or tempfile.gettempdir())


def _family(row: Row) -> Any:
    return import_module(f"tools.bench.models.{row.family}")
