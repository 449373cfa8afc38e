"""Attention in one kernel: against NumPy, in every order of blocks and threads, and that faults in it are found."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from dialects import loop
from lowering.target import DECLARED, get_target
from tests.cuda.machine import (
    ORDERS,
    CpuKernels,
    has_nvcc,
    mapped,
    nvcc,
    planted_in,
    registers,
    run_on_cpu,
    text_of,
)


@dataclass(frozen=True)
class Case:
    """The dims of q and of k; v has those of k."""

    q: tuple[int, ...]
    k: tuple[int, ...]
    dtype: str
    causal: bool = False
    scale: float | None = None

    @property
    def options(self) -> str:
        return ", causal=true" * self.causal + (f", scale={self.scale}" if self.scale else "")


ONE = {
    "small": Case((64, 16), (64, 16), "f16"),
    "odd": Case((2, 70, 64), (2, 91, 64), "f16"),
    "causal": Case((130, 64), (130, 64), "bf16", True),
    "more-keys": Case((50, 128), (101, 128), "f16", True),
    "more-queries": Case((90, 16), (20, 16), "f16", True),
    "shared-heads": Case((2, 2, 40, 48), (2, 1, 40, 48), "bf16", scale=0.3),
}
"""With 16 queries for each warp, as where blocks are few."""

TWO = {
    "causal": Case((2, 140, 32), (1, 70, 32), "f16", True),
    "wide": Case((2, 40, 128), (2, 70, 128), "bf16"),
}
"""With 32 queries."""


def program(cases: dict[str, Case]) -> str:
    """All of them at once."""
    dims = [[f"{c.dtype}[{', '.join(map(str, d))}]" for d in (c.q, c.k, c.k, c.q)] for c in cases.values()]
    args = ", ".join(
        f"{n}{i}: {t}" for i, types in enumerate(dims) for n, t in zip("qkv", types, strict=False)
    )
    calls = ", ".join(f"attention(q{i}, k{i}, v{i}{c.options})" for i, c in enumerate(cases.values()))
    return f"fn main({args}) -> ({', '.join(types[3] for types in dims)}) {{ return {calls} }}"


def inputs(cases: dict[str, Case]) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    dtypes = {"f16": np.float16, "bf16": ml_dtypes.bfloat16}
    return [rng.standard_normal(d).astype(dtypes[c.dtype]) for c in cases.values() for d in (c.q, c.k, c.k)]


def expected(case: Case, q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    q, k, v = (a.astype(np.float64) for a in (q, k, v))
    scores = q @ np.swapaxes(k, -1, -2) * (case.scale or q.shape[-1] ** -0.5)
    s, t = scores.shape[-2:]
    if case.causal:
        scores = np.where(np.arange(t) <= np.arange(s)[:, None] + t - s, scores, -np.inf)
    top = scores.max(-1, keepdims=True)
    weights = np.exp(scores - np.where(np.isinf(top), 0, top))
    total = weights.sum(-1, keepdims=True)
    return weights / np.where(total == 0, 1, total) @ v


def differ(found: np.ndarray, wanted: np.ndarray, dtype: str) -> bool:
    limit = 2e-2 if dtype == "bf16" else 3e-3
    return not np.allclose(found.astype(np.float64), wanted, rtol=limit, atol=limit)


@pytest.mark.parametrize(("cases", "processors"), [(ONE, 132), (TWO, 1)], ids=["one-group", "two-groups"])
def test_numbers_in_every_order(
    cases: dict[str, Case], processors: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    target = get_target("cuda")
    assert target.gpu is not None
    small = replace(target, gpu=replace(target.gpu, processors=processors))
    monkeypatch.setitem(DECLARED, "cuda", small)
    module, arrays = mapped(program(cases)), inputs(cases)
    kernels = CpuKernels(text_of(module).source, tmp_path)
    for kernels.order in ORDERS:
        results = run_on_cpu(monkeypatch, module, kernels, arrays)
        for i, (name, case) in enumerate(cases.items()):
            wanted = expected(case, *arrays[3 * i : 3 * i + 3])
            assert not differ(results[i], wanted, case.dtype), (name, kernels.order)


@pytest.mark.parametrize(
    "fault",
    [
        ("irk_wait_copies<0>();", ""),
        ("irk_wait_copies<0>();\n    __syncthreads();", "irk_wait_copies<0>();"),
        ("distance > 0", "distance > 1"),
        ("<= v", "< v"),
    ],
    ids=["wait", "barrier", "fold", "edge"],
)
def test_faults_show(fault: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    cases = {"odd": Case((70, 16), (130, 16), "f16", True)}
    module, arrays = mapped(program(cases)), inputs(cases)
    kernels = CpuKernels(planted_in(text_of(module).source, fault), tmp_path)
    wanted = expected(cases["odd"], *arrays)
    found = []
    for kernels.order in ORDERS:
        found += run_on_cpu(monkeypatch, module, kernels, arrays)
    assert any(differ(f, wanted, "f16") for f in found)


def test_nothing_is_spilled(tmp_path: Path):
    if not has_nvcc():
        pytest.skip("there is no nvcc")
    cases = {str(d): Case((64, 8192, d), (64, 8192, d), "bf16", True) for d in (64, 128)}
    report = registers(nvcc(text_of(mapped(program(cases))).source, tmp_path))
    assert len(report) == 2 and not any(r.spills for r in report.values()), report


def test_what_does_not_fit_stays_as_it_was():
    """Other floats, features and masks; and no program of the same for a CPU has the marked op."""
    for dims, dtype, mask in (("70, 16", "f32", ""), ("70, 24", "f16", ""), ("70, 16", "f16", ", m")):
        args = f"q: {dtype}[{dims}], k: {dtype}[{dims}], v: {dtype}[{dims}], m: bool[70, 70]"
        text = f"fn main({args}) -> {dtype}[{dims}] {{ return attention(q, k, v{mask}) }}"
        ops = [op.name for f in mapped(text).ops if isinstance(f, loop.FuncOp) for op in f.walk()]
        assert "loop.for" in ops and "math.exp2" not in ops
