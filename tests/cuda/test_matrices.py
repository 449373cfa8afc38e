"""Products on tensor cores: their text on the CPU, where a warp's instructions have a model, equals the reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from xdsl.dialects.func import FuncOp

from dialects import loop
from dialects.loop_matrix import MmaOp
from irkit.checking import random_inputs
from lowering.graph.interpret import run_graph
from tests.cuda.machine import (
    CpuKernels,
    mapped,
    planted_in,
    run_on_cpu,
    text_of,
)
from tests.cuda.programs import gemm
from tests.cuda.test_tester import wrong_in_some_order
from tests.cuda.test_text import check, check_in_every_order, reference

PRODUCTS: dict[str, str] = {
    "bf16": gemm(130, 64, 136, "bf16"),
    "f16-odd": gemm(67, 45, 83, "f16"),
    "rows-of-w": "fn main(x: bf16[67, 72], w: bf16[83, 72]) -> bf16[67, 83] { return x @ transpose(w) }",
    "columns-of-x": "fn main(x: bf16[72, 64], w: bf16[72, 80]) -> f32[64, 80] { return cast(transpose(x), f32) @ cast(w, f32) }",
    "both": "fn main(x: f16[45, 37], w: f16[21, 45]) -> f16[37, 21] { return transpose(x) @ transpose(w) }",
    "short-sums": gemm(40, 24, 72, "f16"),
    "three-steps": gemm(40, 40, 30, "bf16"),
    "three-steps-of-columns": "fn main(x: f16[20, 40], w: f16[33, 40]) -> f16[20, 33] { return x @ transpose(w) }",
    "uneven-parts": gemm(20, 1000, 31, "f16"),
    "batch": "fn main(x: f16[3, 20, 45], w: f16[3, 45, 34]) -> f16[3, 20, 34] { return gelu(x @ w) }",
    "several-rows": "fn main(x: bf16[4, 5, 64], w: bf16[64, 48], y: bf16[4, 5, 48]) -> bf16[4, 5, 48] { return x @ w + y }",
    "few-rows": "fn main(x: bf16[9, 256], w: bf16[256, 200]) -> bf16[9, 200] { return x @ w }",
    "few-columns": "fn main(x: f16[300, 100], w: f16[100, 10]) -> f16[300, 10] { return x @ w }",
}

CONVOLUTIONS: dict[str, str] = {
    "padded": "fn main(x: bf16[2, 16, 9, 10], w: bf16[24, 16, 3, 3]) -> bf16[2, 24, 9, 10] { return relu(conv2d(x, w, padding=1)) }",
    "one-by-one": "fn main(x: f16[2, 24, 5, 7], w: f16[40, 24, 1, 1], b: f16[40]) -> f16[2, 40, 5, 7] { return conv2d(x, w, b) }",
    "colours": "fn main(x: bf16[2, 3, 11, 9], w: bf16[16, 3, 5, 5]) -> bf16[2, 16, 6, 5] { return conv2d(x, w, stride=2, padding=2) }",
    "strides": """fn main(x: bf16[2, 16, 15, 13], w: bf16[32, 16, 3, 2], b: bf16[32]) -> bf16[2, 32, 7, 5] {
      return conv2d(x, w, b, stride=2, padding=[1, 0, 0, 0], dilation=[1, 3])
    }""",
    "channels-last": """fn main(x: f16[2, 8, 8, 16], w: f16[16, 16, 3, 3]) -> f16[2, 8, 8, 16] {
      return transpose(relu(conv2d(transpose(x, perm=[0, 3, 1, 2]), w, padding=1)), perm=[0, 2, 3, 1])
    }""",
    "block": """fn main(x: bf16[2, 16, 6, 6], a: bf16[16, 16, 1, 1], b: bf16[16, 16, 3, 3]) -> bf16[2, 16, 6, 6] {
      return relu(conv2d(relu(conv2d(x, a)), b, padding="same") + x)
    }""",
}

SYMBOLIC = "dim N = 4 in 1..600\nfn main(x: bf16[N, 40], w: bf16[40, 48]) -> bf16[N, 48] { return x @ w }"


def on_tensor_cores(module) -> bool:  # pyright: ignore
    return any(isinstance(op, MmaOp) for op in module.walk())


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_equal_the_reference(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    module = mapped(PRODUCTS[name])
    assert on_tensor_cores(module)
    check_in_every_order(PRODUCTS[name], module, tmp_path, monkeypatch)


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions_are_products(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    module = mapped(CONVOLUTIONS[name])
    assert on_tensor_cores(module)
    kernels = CpuKernels(text_of(module).source, tmp_path)
    check(CONVOLUTIONS[name], {}, lambda inputs: run_on_cpu(monkeypatch, module, kernels, inputs))


def test_rows_of_any_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    module = mapped(SYMBOLIC)
    assert on_tensor_cores(module)
    kernels = CpuKernels(text_of(module).source, tmp_path)
    for size in (1, 64, 150):
        check(SYMBOLIC, {"N": size}, lambda inputs: run_on_cpu(monkeypatch, module, kernels, inputs))


def test_f32_goes_there_where_asked_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Factors that 19 bits hold: the products are those of f32."""
    for number, text in enumerate((gemm(70, 72, 48), gemm(33, 45, 21))):
        assert not on_tensor_cores(mapped(text))
        module = mapped(text, "cuda+tf32")
        assert on_tensor_cores(module)
        (folder := tmp_path / str(number)).mkdir()
        kernels = CpuKernels(text_of(module).source, folder)
        func = reference(text)
        inputs = [np.round(v * 8) for v in random_inputs(func, {}).values()]
        (found,) = run_on_cpu(monkeypatch, module, kernels, inputs)
        (wanted,) = run_graph(func, inputs)
        np.testing.assert_array_equal(found, wanted)


def test_factors_are_rounded_to_the_nearest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    text = "fn main(x: f32[16, 16], w: f32[16, 16]) -> f32[16, 16] { return x @ w }"
    module = mapped(text, "cuda+tf32")
    x = np.eye(16, dtype=np.float32)
    w = np.full((16, 16), 1 + 2**-11, np.float32)
    w[1], w[2] = 1 + 2**-12, np.inf
    kernels = CpuKernels(text_of(module).source, tmp_path)
    (found,) = run_on_cpu(monkeypatch, module, kernels, [x, w])
    assert np.isnan(found[0]).all()  # inf * 0
    w[2] = 3
    (found,) = run_on_cpu(monkeypatch, module, kernels, [x, w])
    assert (found[0] == 1 + 2**-10).all() and (found[1] == 1).all() and (found[2] == 3).all()


def test_the_interpreter_has_warps():
    text = "fn main(x: bf16[20, 24], w: bf16[24, 10]) -> bf16[20, 10] { return x @ w }"
    module = mapped(text)
    assert on_tensor_cores(module)
    (func,) = [op for op in module.ops if isinstance(op, FuncOp)]
    check(text, {}, lambda inputs: run_graph(func, inputs))


@pytest.mark.parametrize(
    "fault",
    [
        ("irk_wait_copies<2>();", "irk_wait_copies<3>();"),
        ("__syncthreads();", ""),
        ("irk_commit_copies();", ""),
        ("irk_load_matrix<1>", "irk_load_matrix<0>"),
        ("-step + 4 >= 0", "-step + 3 >= 0"),
    ],
    ids=["early", "alone", "no-group", "turned", "short"],
)
def test_planted_faults_show(fault: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    text = gemm(70, 500, 72, "bf16")
    source = planted_in(text_of(mapped(text)).source, fault)
    assert wrong_in_some_order(text, source, tmp_path, monkeypatch)


def test_copies_are_as_wide_as_they_are_aligned():
    wide, narrow = (text_of(mapped(gemm(64, k, 64, "f16"))).source for k in (64, 63))
    assert "irk_copy_async<16>(x_stages" in wide and "irk_copy_async<16>(x_stages" not in narrow
    in_parts = text_of(mapped(PRODUCTS["uneven-parts"])).source
    assert "_sums(" in in_parts and "irk_copy_async<16>(x_stages" in in_parts
    (func,) = [op for op in mapped(gemm(256, 256, 256, "f16")).ops if isinstance(op, loop.FuncOp)]
    assert {op.ref_type.rank for op in func.allocs("shared")} == {3}
