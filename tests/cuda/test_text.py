"""Emitted CUDA text: nvcc takes it and keeps it in registers, and on the CPU it computes what the reference does."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp

from irkit.checking import compare, random_inputs, slacks
from irkit.lang import parse, to_graph
from lowering.cuda.function import Launch
from lowering.graph.interpret import run_graph
from tests.cuda.machine import ORDERS, CpuKernels, has_nvcc, mapped, nvcc, registers, run_on_cpu, text_of
from tests.cuda.programs import SHAPES, SYMBOLIC, gemm
from tools.gpu.cases import CASES


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


def check_in_every_order(text: str, module: ModuleOp, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compares what the emitted text of a mapped function gives with the reference, in each order of blocks and threads."""
    kernels = CpuKernels(text_of(module).source, folder)
    for order in ORDERS:
        kernels.order = order
        check(text, {}, lambda inputs: run_on_cpu(monkeypatch, module, kernels, inputs))


@pytest.mark.parametrize("name", SHAPES)
def test_text_on_the_cpu_equals_the_reference(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    check_in_every_order(SHAPES[name], mapped(SHAPES[name]), tmp_path, monkeypatch)


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


OTHERS = {
    "tiles-symbolic": SYMBOLIC["tiles"],
    **{n: SHAPES[n] for n in ("points-f16", "rows-f16", "tiles-f64", "bools")},
}
"""Texts beside those of the bench."""


@pytest.mark.skipif(not has_nvcc(), reason="there is no nvcc")
@pytest.mark.parametrize("arch", ["sm_80", "sm_90"])
def test_nvcc_takes_the_text_and_nothing_spills(
    arch: str, tmp_path: Path, record_property: Callable[[str, object], None]
):
    """The kernels of the bench and some others, as one text; what each takes of the GPU is told at the end of the run."""
    large = {(case.kind, case.dtype): case for case in CASES if not case.small}  # the last of each kind
    texts = [(case.name, case.text, case.suffix) for case in large.values()]
    texts += [(name, text, "") for name, text in OTHERS.items()]
    whole: list[str] = []
    launches: dict[str, tuple[str, Launch]] = {}
    for number, (name, text, suffix) in enumerate(texts):
        emitted = text_of(mapped(text, f"cuda:{arch}{suffix}"), f"cuda:{arch}{suffix}")
        source = emitted.source
        for launch in emitted.launches:
            source = re.sub(rf"\b{launch.kernel}(?=_launch\b|\b)", f"{launch.kernel}_{number}", source)
            launches[f"{launch.kernel}_{number}"] = name, launch
        whole.append(source)
    found = registers(nvcc("\n".join(whole), tmp_path, arch))
    assert found.keys() == launches.keys()
    rows = [f"{arch:<34} {'kernel':<28} registers  spills   stack  shared"]
    for kernel, (name, launch) in launches.items():
        used = found[kernel]
        rows.append(
            f"{name:<34} {launch.kernel:<28} {used.registers:>9} {used.spills:>7} {used.stack:>7} {used.shared:>7}"
        )
        # Some is asked for at the launch, at a multiple of 128 bytes: where one text has such a kernel, others are rounded up.
        assert used.shared <= -(-launch.shared // 128) * 128, kernel
    table = "\n".join(rows)
    record_property("table", table)
    assert all((used.stack, used.spills) == (0, 0) for used in found.values()), table


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
