"""OpenVINO, with inputs shared and its own tensor for the result."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import openvino

from tools.bench.candidate import Candidate
from tools.bench.data import Data
from tools.bench.peers.onnx_file import onnx_file
from tools.bench.rows import Row


def prepare(row: Row, data: Data, threads: int) -> Candidate | None:
    path = onnx_file(row, data)
    if path is None:
        return None
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,
    }
    start = time.perf_counter()
    model = openvino.Core().compile_model(path, "CPU", settings)
    seconds = time.perf_counter() - start
    request = model.create_infer_request()
    for number, array in enumerate(data.inputs.values()):
        request.set_input_tensor(number, openvino.Tensor(array, shared_memory=True))

    def result() -> np.ndarray:
        request.infer()
        return np.array(request.get_output_tensor(0).data)

    def save(folder: Path) -> None:
        openvino.save_model(openvino.convert_model(path), folder / "model.xml", compress_to_fp16=False)

    return Candidate(request.infer, result, load_seconds=seconds, save=save)
