"""Emitted CUDA text on this machine: compiled by nvcc for a GPU, or by a C++ compiler for a CPU and run there."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp

from dialects import loop
from irkit import pipeline
from irkit.lang import parse, to_graph
from irkit.runtime.compiler import INCLUDE
from lowering.c.names import kernel_name
from lowering.cuda.emit import CudaText, emit_cuda
from lowering.graph.interpret import run_graph
from lowering.loop.interpret import GARBAGE
from lowering.loop.memory import kernel_memory
from lowering.target import get_target

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = [f"-I{INCLUDE}", f"-I{ROOT / 'lowering' / 'cuda' / 'include'}"]
ORDERS = {"forwards": 0, "backwards": 1, "mixed": 2}
HOST = ["g++", "-x", "c++", "-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas"]


SANITIZER = [
    "-g",
    "-fsanitize=address,undefined",
    "-fsanitize-sections=irk_shared",
    "-fno-sanitize-recover=all",
]


def mapped(text: str, target: str = "cuda") -> ModuleOp:
    """A program of the language with its kernels mapped to blocks and threads."""
    return mapped_module(to_graph(parse(text, "test.tg")), target)


def mapped_module(module: ModuleOp, target: str = "cuda") -> ModuleOp:
    level = pipeline.level_of(module)
    passes = pipeline.passes_to(level, "loop", target)
    if level == "loop":
        passes = [pipeline.make_pass(n, target) for n in pipeline.MAPPING["kernel-to-loop"]]
    pipeline.run_passes(module, passes, pipeline.context())
    return module


def text_of(module: ModuleOp, target: str = "cuda") -> CudaText:
    return emit_cuda(module, get_target(target))


def main_of(module: ModuleOp) -> FuncOp:
    (func,) = [op for op in module.ops if isinstance(op, FuncOp)]
    return func


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


@dataclass(frozen=True)
class Registers:
    """What a thread of a kernel needs: registers, bytes of stack, bytes that do not fit into registers; and its block's bytes of
    shared memory."""

    registers: int
    stack: int
    spills: int
    shared: int = 0

    def __str__(self) -> str:
        return f"{self.registers:3} registers  {self.stack:5} bytes of stack  {self.spills:5} bytes spilled"


def registers(report: str) -> dict[str, Registers]:
    """What ptxas says of each kernel."""
    found: dict[str, Registers] = {}
    for part in report.split("Compiling entry function '")[1:]:
        counts = [
            int(n) for n in re.findall(r"(\d+) bytes (?:stack|spill)", part)
        ]  # and those of what it calls
        stack, spills = sum(counts[::3]), sum(counts) - sum(counts[::3])
        used = re.search(r"Used (\d+) registers", part)
        assert used is not None, part
        shared = re.search(r"(\d+) bytes smem", part)
        found[part.split("'")[0]] = Registers(int(used[1]), stack, spills, int(shared[1]) if shared else 0)
    return found


class CpuKernels:
    """The kernels of a module, compiled for this CPU; `run` takes the place of the loop level's interpreter. With `shares` an
    output lies in the memory of the operand that its kernel lets it have."""

    def __init__(self, source: str, folder: Path, order: str = "forwards", shares: bool = False):
        (folder / "k.cu").write_text(source)
        words = [*HOST, "-shared", "-fPIC", *FOLDERS, "k.cu", "-o", "k.so"]
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        self.library = ctypes.CDLL(str(folder / "k.so"))
        self.order, self.shares = order, shares
        self.library.irk_cpu_fault.restype = ctypes.c_char_p

    def run(
        self, func: loop.FuncOp, arrays: Sequence[np.ndarray], symbols: Mapping[str, int], threads: int = 1
    ) -> None:
        ctypes.c_int.in_dll(self.library, "irk_cpu_order").value = ORDERS[self.order]
        facts = func.signature.data
        held: list[np.ndarray] = []
        for array, fact in zip(arrays, facts, strict=True):
            alias = fact.alias_of if self.shares else None
            held.append(aligned(array) if alias is None else held[alias].view(array.dtype))
        memory = kernel_memory(func)[1].evaluate(symbols)
        given = [*held, *([aligned(np.full(memory, GARBAGE, np.uint8))] if memory else [])]
        launch = getattr(self.library, f"{kernel_name(func.sym_name.data)}_launch")
        sizes = [ctypes.c_int64(symbols[n]) for n, _, _ in func.symbols.data]
        code = launch(*sizes, *(ctypes.c_void_p(a.ctypes.data) for a in given), None)
        if code:
            raise AssertionError(f"launch ends with {code}: {self.library.irk_cpu_fault().decode()}")
        for array, copy, fact in zip(arrays, held, facts, strict=True):
            if fact.is_output:
                array.reshape(-1)[:] = copy.reshape(-1)


def aligned(array: np.ndarray) -> np.ndarray:
    """A copy at a multiple of 64 bytes, as memory of a GPU is."""
    room = np.zeros(array.nbytes + 64, np.uint8)
    start = -room.ctypes.data % 64
    copy = room[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def run_on_cpu(
    monkeypatch, module: ModuleOp, kernels: CpuKernels, inputs: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """The results of a mapped module whose kernels run as emitted text."""
    monkeypatch.setattr("lowering.loop.interpret.run_function", kernels.run)
    return run_graph(main_of(module), list(inputs))


def planted_in(source: str, fault: tuple[str, str] | None) -> str:
    if fault is None:
        return source
    assert source.count(fault[0]) > 0, f"nowhere in the text: {fault[0]}"
    return source.replace(*fault)


def run_with_sanitizer(
    module: ModuleOp,
    folder: Path,
    sizes: Mapping[str, int] | None = None,
    planted: tuple[str, str] | None = None,
) -> None:
    """Launches all kernels of a mapped module on arrays of exactly the sizes that they should need, once in each order; raises
    AssertionError with what the sanitizer says. A fault may be planted, as a piece of text and what stands in its place."""
    calls: list[str] = []
    for func in [op for op in module.ops if isinstance(op, loop.FuncOp)]:
        symbols = {n: (sizes or {}).get(n, high) for n, _, high in func.symbols.data}
        needed = [arg.type.bytes().evaluate(symbols) for arg in func.block.args]  # pyright: ignore
        memory = kernel_memory(func)[1].evaluate(symbols)
        given = [f"(int64_t){symbols[n]}" for n, _, _ in func.symbols.data]
        given += [f"array({n})" for n in [*needed, *([memory] if memory else [])]]
        name = kernel_name(func.sym_name.data)
        calls.append(f"if (ended({name}_launch({', '.join(given)}, nullptr))) return 3;")
    main = f"""
#include <cstdlib>
#include <vector>
static std::vector<void *> arrays;
struct Any {{ void *p; template <class T> operator T *() const {{ return (T *)p; }} }};
static Any array(size_t bytes) {{
  void *p;
  if (posix_memalign(&p, 64, bytes)) exit(4);
  for (size_t i = 0; i < bytes; i++) ((char *)p)[i] = i % 4 ? 0 : (char)(i / 4 % 3);
  arrays.push_back(p);
  return {{p}};
}}
static int ended(int code) {{
  if (code) fprintf(stderr, "%s\\n", irk_cpu_fault());
  for (void *p : arrays) free(p);
  arrays.clear();
  return code;
}}
int main() {{
  for (irk_cpu_order = 0; irk_cpu_order < 3; irk_cpu_order++) {{
    {(chr(10) + "    ").join(calls)}
  }}
}}
"""
    (folder / "s.cu").write_text(planted_in(text_of(module).source, planted) + main)
    build = [*HOST, *SANITIZER, *FOLDERS, "s.cu", "-o", "s"]
    done = subprocess.run(build, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    done = subprocess.run(["./s"], cwd=folder, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
