"""ONNX Runtime, with inputs and the result bound to arrays."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import onnxruntime

from tools.bench.candidate import Candidate
from tools.bench.data import Data, aligned
from tools.bench.peers.onnx_file import onnx_file
from tools.bench.rows import Row


def prepare(row: Row, data: Data, threads: int) -> Candidate | None:
    path = onnx_file(row, data)
    if path is None:
        return None
    start = time.perf_counter()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(os.fspath(path), options, providers=["CPUExecutionProvider"])
    seconds = time.perf_counter() - start
    names = [i.name for i in session.get_inputs()]
    made = session.run(None, dict(zip(names, data.inputs.values(), strict=True)))[0]
    out = aligned(np.shape(made))
    binding = session.io_binding()
    for name, array in zip(names, data.inputs.values(), strict=True):
        binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(array))
    binding.bind_ortvalue_output(session.get_outputs()[0].name, onnxruntime.OrtValue.ortvalue_from_numpy(out))

    def result() -> np.ndarray:
        session.run_with_iobinding(binding)
        return out

    def save(folder: Path) -> None:
        options.optimized_model_filepath = os.fspath(folder / "model.onnx")
        onnxruntime.InferenceSession(os.fspath(path), options, providers=["CPUExecutionProvider"])

    return Candidate(lambda: session.run_with_iobinding(binding), result, load_seconds=seconds, save=save)
