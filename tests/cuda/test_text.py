"""Emitted CUDA text: nvcc takes it and keeps it in registers, and on the CPU it computes what the reference does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from xdsl.dialects.func import FuncOp

from irkit.checking import compare, random_inputs, slacks
from irkit.lang import parse, to_graph
from lowering.graph.interpret import run_graph
from tests.cuda.machine import ORDERS, CpuKernels, has_nvcc, mapped, nvcc, registers, run_on_cpu, text_of
from tests.cuda.programs import SHAPES, SYMBOLIC, gemm, softmax


def reference(text: str) -> FuncOp:
    (func,) = [op for op in to_graph(parse(text, "test.tg")).ops if isinstance(op, FuncOp)]
    return func


def check(text: str, sizes: dict[str, int], run) -> None:  # pyright: ignore
    """Compares what a function gives with the reference, as `--check` does."""
    func = reference(text)
    inputs = random_inputs(func, sizes)
    expected = run_graph(func, inputs, sizes)
    slack = slacks(func, inputs, sizes, expected)
    for found, wanted, bound in zip(run(list(inputs.values())), expected, slack, strict=True):
        compare("differs", func, found, wanted, bound)


@pytest.mark.parametrize("name", SHAPES)
def test_text_on_the_cpu_equals_the_reference(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    module = mapped(SHAPES[name])
    kernels = CpuKernels(text_of(module).source, tmp_path)
    for order in ORDERS:
        kernels.order = order
        check(SHAPES[name], {}, lambda inputs: run_on_cpu(monkeypatch, module, kernels, inputs))


@pytest.mark.parametrize("name", SYMBOLIC)
def test_one_text_for_every_size(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    module = mapped(SYMBOLIC[name])
    kernels = CpuKernels(text_of(module).source, tmp_path)
    for size in (1, 3, 130, 500):
        check(SYMBOLIC[name], {"N": size}, lambda inputs: run_on_cpu(monkeypatch, module, kernels, inputs))


@pytest.mark.parametrize(
    "text",
    [SHAPES["points-odd"], SHAPES["rows-warp"], SHAPES["bools"], SHAPES["row"], gemm(20, 17, 9)],
    ids=["points", "warps", "bools", "row", "tiles"],
)
def test_mapped_nests_run_in_numpy(text: str):
    """The loop level's own meaning of blocks and threads; blocks are split between the threads of a CPU."""
    (func,) = [op for op in mapped(text).ops if isinstance(op, FuncOp)]
    check(text, {}, lambda inputs: run_graph(func, inputs, threads=2))


@pytest.mark.skipif(not has_nvcc(), reason="there is no nvcc")
@pytest.mark.parametrize("arch", ["sm_80", "sm_90"])
def test_nvcc_takes_the_text_and_nothing_spills(arch: str, tmp_path: Path):
    texts = [gemm(4096, 4096, 4096), softmax(8192, 8192)]
    if arch == "sm_90":
        texts += [gemm(4095, 1023, 2049), SYMBOLIC["tiles"]]
        texts += [SHAPES[n] for n in ("points", "points-f16", "rows-f16", "layer-norm", "tiles-f64", "bools")]
    for number, text in enumerate(texts):
        folder = tmp_path / str(number)
        folder.mkdir()
        emitted = text_of(mapped(text, f"cuda:{arch}"), f"cuda:{arch}")
        said = nvcc(emitted.source, folder, arch)
        found = registers(said)
        assert found.keys() == {launch.kernel for launch in emitted.launches}
        for launch in emitted.launches:
            assert (found[launch.kernel].stack, found[launch.kernel].spills) == (0, 0), text
            assert launch.shared == 0 or f"{launch.shared} bytes smem" in said


def test_launches_are_told():
    emitted = text_of(mapped(gemm(4096, 4096, 4096)))
    (launch,) = emitted.launches
    assert (launch.blocks.value, launch.threads, launch.shared) == (32 * 32, 256, 16864)
    (launch,) = text_of(mapped(SYMBOLIC["rows"])).launches
    assert launch.symbols == ("N",) and launch.blocks.value == 3


def test_large_arrays_are_counted_by_64_bits():
    text = "fn main(x: f32[40000, 40000]) -> f32[40000, 40000] { return x + 1 }"
    source = text_of(mapped(text)).source
    assert "const int64_t b = blockIdx.x;" in source and "const int b" not in source


def test_names_that_cpp_keeps_for_itself():
    text = "fn main(new: f32[8], stream: f32[8], threadIdx: f32[8]) -> f32[8] { return new + stream * threadIdx }"
    source = text_of(mapped(text)).source
    params = source.partition(" k_mul_add(")[2].partition(")")[0].split()
    assert {"new_,", "stream_,", "threadIdx_,"} <= {p.lstrip("*") for p in params}


def test_arrays_that_are_not_aligned_are_refused(tmp_path: Path):
    import ctypes

    kernels = CpuKernels(text_of(mapped(SHAPES["points"])).source, tmp_path)
    place = ctypes.c_void_p(np.zeros(1 << 16, np.uint8).ctypes.data // 64 * 64 + 68)
    (name,) = [launch.kernel for launch in text_of(mapped(SHAPES["points"])).launches]
    assert getattr(kernels.library, f"{name}_launch")(place, place, place, None) == 716
