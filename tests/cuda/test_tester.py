"""The CPU meaning of CUDA finds what is wrong: barriers that are missing or divergent, places outside arrays."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import numpy as np
import pytest
from xdsl.dialects.func import FuncOp

from dialects.errors import IrkitError
from dialects.loop import BarrierOp, FoldThreadsOp, ForOp, IfOp
from irkit.checking import random_inputs
from lowering.graph.interpret import run_graph
from tests.c.driver import works
from tests.cuda.machine import FOLDERS, HOST, ORDERS, SANITIZER, CpuKernels, mapped, run_on_cpu, text_of
from tests.cuda.programs import SHAPES, gemm, softmax
from tests.cuda.test_text import check, reference

BARRIER = "__syncthreads();"


def wrong_in_some_order(text: str, source: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    module = mapped(text)
    kernels = CpuKernels(source, folder)
    for order in ORDERS:
        kernels.order = order
        try:
            check(text, {}, lambda inputs: run_on_cpu(monkeypatch, module, kernels, inputs))
        except (AssertionError, IrkitError):
            return True
    return False


@pytest.mark.parametrize(
    ("text", "barriers"),
    [(gemm(40, 40, 40), 2), (softmax(3, 1024), 2), (SHAPES["columns-odd"], 3)],
    ids=["tiles", "rows", "columns"],
)
def test_every_missing_barrier_shows(
    text: str, barriers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    source = text_of(mapped(text)).source
    parts = source.split(BARRIER)
    assert len(parts) == barriers + 1
    for missing in range(1, len(parts)):
        folder = tmp_path / str(missing)
        folder.mkdir()
        broken = BARRIER.join(parts[:missing]) + BARRIER.join(["", *parts[missing:]])[len(BARRIER) :]
        assert broken.count(BARRIER) == barriers - 1
        assert wrong_in_some_order(text, broken, folder, monkeypatch)


def launch_of_two_warps(body: str, folder: Path) -> str:
    """What a launch of 64 threads that share an array of 64 numbers says."""
    source = f"""#include "irk_cuda.h"
extern "C" __global__ void __launch_bounds__(64) k_f(float *x) {{
  __shared__ float s[64];
  const int t = threadIdx.x;
  (void)x;
  (void)s, (void)t;
  {body}
}}
extern "C" int k_f_launch(float *x, void *stream) {{ return IRK_LAUNCH(k_f, 2, 64, stream, x); }}
"""
    kernels = CpuKernels(source, folder)
    x = np.zeros(256, np.float32)
    code = kernels.library.k_f_launch(x.ctypes.data_as(ctypes.c_void_p), None)
    return kernels.library.irk_cpu_fault().decode() if code else f"ends well: {x.sum():g}"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("if (t < 32) __syncthreads();", "threads of the block do not meet"),
        ("if (t < 40) { __syncthreads(); } else {\n __syncthreads(); }", "threads of the block do not meet"),
        ("if (t % 2) irk_pair(1.0f, 1, x, x + 1);", "not where the others of its warp"),
        ("if (t < 8) return;\n __syncthreads();", "threads of the block do not meet"),
        ("irk_move<16>(x + 1, x);", "not aligned"),
        (
            "if (t < 32) { irk_pair(1.0f, 1, s, s + 1); } __syncthreads(); if (t == 63) x[0] = 5;",
            "ends well: 5",
        ),
        (
            "s[t] = 1; __syncthreads(); if (t == 0) for (int i = 0; i < 64; i++) x[0] += s[i];",
            "ends well: 128",
        ),
    ],
    ids=["warp-missing", "two-barriers", "half-a-warp", "early-return", "misaligned", "warp-alone", "good"],
)
def test_what_a_launch_says(body: str, said: str, tmp_path: Path):
    assert said in launch_of_two_warps(body, tmp_path)


def run_with_sanitizer(source: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A main that gives a product arrays of exactly the sizes that it should need."""
    main = """
#include <cstdlib>
static float *array(size_t n) { float *p = (float *)aligned_alloc(64, n * 4); for (size_t i = 0; i < n; i++) p[i] = 1; return p; }
int main() {
  float *x = array(48 * 32), *w = array(32 * 80), *b = array(80), *y = array(48 * 80);
  const int code = k_matmul_add_relu_launch(x, w, b, y, 0);
  const float last = y[48 * 80 - 1];
  free(x), free(w), free(b), free(y);
  return code ? 3 : last == 33 ? 0 : 4;
}
"""
    (folder / "k.cu").write_text(source + main)
    build = [*HOST, *SANITIZER, *FOLDERS, "k.cu", "-o", "k"]
    subprocess.run(build, cwd=folder, check=True, capture_output=True, text=True)
    return subprocess.run(["./k"], cwd=folder, check=False, capture_output=True, text=True)


def test_places_outside_arrays_show(tmp_path: Path):
    if not works("gcc", ["-fsanitize=address,undefined"], tmp_path):
        pytest.skip("gcc has no address sanitizer here")
    source = text_of(mapped(gemm(48, 32, 80))).source
    good = run_with_sanitizer(source, tmp_path)
    assert good.returncode == 0, good.stderr
    stores = [
        line for line in source.splitlines() if line.strip().startswith("IRK_UNROLL") and "(out +" in line
    ]
    assert len(stores) == 1
    outside = source.replace(stores[0], stores[0].replace("(out +", "(out + 16 +"))
    bad = run_with_sanitizer(outside, tmp_path)
    assert bad.returncode != 0 and "heap-buffer-overflow" in bad.stderr
    shared = source.replace("w_tile + 4 *", "w_tile + 8 + 4 *")
    assert shared != source
    bad = run_with_sanitizer(shared, tmp_path)
    assert bad.returncode != 0 and "global-buffer-overflow" in bad.stderr


# -- the interpreter of the loop level ----------------------------------------------------------------------------


def rows_in_numpy(change) -> None:  # pyright: ignore
    """Runs rows after a change to their nest."""
    text = softmax(2, 256)
    module = mapped(text)
    change(module)
    (func,) = [op for op in module.ops if isinstance(op, FuncOp)]
    check(text, {}, lambda inputs: run_graph(func, inputs))


def test_interpreter_sees_a_missing_barrier():
    def change(module):
        barrier = next(op for op in module.walk() if isinstance(op, BarrierOp))
        barrier.parent.erase_op(barrier)

    rows_in_numpy(lambda module: None)
    with pytest.raises(IrkitError, match="differs"):
        rows_in_numpy(change)


def test_interpreter_sees_threads_that_part():
    """Past the verifier, which refuses it."""
    from dialects.dims import Dim

    def change(module):
        fold = next(op for op in module.walk() if isinstance(op, FoldThreadsOp))
        threads = fold.parent_op()
        assert isinstance(threads, ForOp)
        barrier = next(op for op in module.walk() if isinstance(op, BarrierOp))
        branch = IfOp([Dim.of(20) - Dim.of(threads.variable)])
        barrier.parent.insert_op_before(branch, barrier)
        barrier.detach()
        branch.then.block.add_op(barrier)

    with pytest.raises(IrkitError, match="threads wait for one another at different places"):
        rows_in_numpy(change)


def test_reference_inputs_are_not_all_alike():
    """What is planted would not show in arrays of one number."""
    for array in random_inputs(reference(gemm(4, 4, 4)), {}).values():
        assert len(np.unique(array)) > 1
