"""Emitted CUDA text on this machine: compiled by nvcc for a GPU, or by a C++ compiler for a CPU and run there."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp

from dialects import loop
from irkit import pipeline
from irkit.lang import parse, to_graph
from irkit.runtime.compiler import INCLUDE
from lowering.cuda.emit import CudaText, emit_cuda
from lowering.graph.interpret import run_graph
from lowering.target import get_target

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = [f"-I{INCLUDE}", f"-I{ROOT / 'lowering' / 'cuda' / 'include'}"]
ORDERS = {"forwards": 0, "backwards": 1, "mixed": 2}
HOST = ["g++", "-x", "c++", "-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas"]


def mapped(text: str, target: str = "cuda") -> ModuleOp:
    """A program of the language with its kernels mapped to blocks and threads."""
    return mapped_module(to_graph(parse(text, "test.tg")), target)


def mapped_module(module: ModuleOp, target: str = "cuda") -> ModuleOp:
    passes = pipeline.passes_to(pipeline.level_of(module), "loop", target)
    pipeline.run_passes(module, passes, pipeline.context())
    return module


def text_of(module: ModuleOp, target: str = "cuda") -> CudaText:
    return emit_cuda(module, get_target(target))


def has_nvcc() -> bool:
    return shutil.which("nvcc") is not None


def nvcc(source: str, folder: Path, arch: str = "sm_90") -> str:
    """Compiles text for a GPU; what ptxas says of registers."""
    (folder / "k.cu").write_text(source)
    words = [
        "nvcc",
        f"-arch={arch}",
        "-cubin",
        "-Xptxas",
        "-v",
        "-Werror",
        "all-warnings",
        *FOLDERS,
        "k.cu",
        "-o",
        "k.cubin",
    ]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


class CpuKernels:
    """The kernels of a module, compiled for this CPU; `run` takes the place of the loop level's interpreter."""

    def __init__(self, source: str, folder: Path, order: str = "forwards"):
        (folder / "k.cu").write_text(source)
        words = [*HOST, "-shared", "-fPIC", *FOLDERS, "k.cu", "-o", "k.so"]
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        self.library = ctypes.CDLL(str(folder / "k.so"))
        self.order = order
        self.library.irk_cpu_fault.restype = ctypes.c_char_p

    def run(
        self, func: loop.FuncOp, arrays: Sequence[np.ndarray], symbols: Mapping[str, int], threads: int = 1
    ) -> None:
        ctypes.c_int.in_dll(self.library, "irk_cpu_order").value = ORDERS[self.order]
        held = [_aligned(a) for a in arrays]
        launch = getattr(self.library, f"k_{func.sym_name.data}_launch")
        sizes = [ctypes.c_int64(symbols[n]) for n, _, _ in func.symbols.data]
        code = launch(*sizes, *(ctypes.c_void_p(a.ctypes.data) for a in held), None)
        if code:
            raise AssertionError(f"launch ends with {code}: {self.library.irk_cpu_fault().decode()}")
        for array, copy, facts in zip(arrays, held, func.signature.data, strict=True):
            if facts.is_output:
                array.reshape(-1)[:] = copy.reshape(-1)


def _aligned(array: np.ndarray) -> np.ndarray:
    """A copy at a multiple of 64 bytes, as memory of a GPU is."""
    room = np.zeros(array.nbytes + 64, np.uint8)
    start = -room.ctypes.data % 64
    copy = room[start : start + array.nbytes].view(array.dtype)
    copy[:] = array.reshape(-1)
    return copy


def run_on_cpu(
    monkeypatch, module: ModuleOp, kernels: CpuKernels, inputs: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """The results of a mapped module whose kernels run as emitted text."""
    monkeypatch.setattr("lowering.loop.interpret.run_function", kernels.run)
    (func,) = [op for op in module.ops if isinstance(op, FuncOp)]
    return run_graph(func, list(inputs))
