"""The gradients of ops are those of torch, by the references and by compiled C. Skipped where torch is not installed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp

from irkit.gradients import reverse_function
from lowering.graph.interpret import argument_names, run_graph
from tests.derivatives.torch_calls import all_calls
from tests.ops.harness import Call, is_float, module_of, program_of
from tests.ops.torch_calls import TorchCall
from tools.ops_docs.torch_table import has_torch

needs_torch = pytest.mark.skipif(
    not has_torch(), reason="torch is not installed: pip install -e '.[test-torch]'"
)
ULPS = 16
ROUGH = ("hardsigmoid",)
"""Where torch computes in f32 also for f64: a sixth."""


@needs_torch
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", ["f64", "f32"])
@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_gradients_are_torchs(dtype: str, compiled: bool) -> None:
    calls = all_calls()
    arrays = [call.in_dtype(dtype) for call in calls]
    rng = np.random.default_rng(2)
    wide = [[a.astype(np.float64) if is_float(a.dtype) else a for a in own] for own in arrays]
    seeds = [rng.standard_normal(_value(c, own).shape) for c, own in zip(calls, wide, strict=True)]
    found = iter(_gradients(calls, arrays, seeds, dtype, compiled))
    faults: list[str] = []
    for call, own, large, seed in zip(calls, arrays, wide, seeds, strict=True):
        exact, rounded = _torchs(call, large, seed), _torchs(call, own, seed)
        for number, (right, near) in enumerate(zip(exact, rounded, strict=True)):
            if fault := differs(next(found), near, right, call.name in ROUGH):
                faults.append(f"{call}, floats {number}: {fault}")
    assert not faults, "\n".join(faults)


def _gradients(
    calls: Sequence[TorchCall],
    arrays: Sequence[Sequence[np.ndarray]],
    seeds: Sequence[np.ndarray],
    dtype: str,
    compiled: bool,
) -> list[np.ndarray]:
    """The cotangents of all float operands of all calls: by one program in C, or by the references of its ops."""
    ours = [Call(c.name, a, dict(c.values), result=c.result) for c, a in zip(calls, arrays, strict=True)]
    func = next(op for op in module_of(ours).ops if isinstance(op, FuncOp))
    flat = [a for own in arrays for a in own]
    wrt = [n for n, a in zip(argument_names(func), flat, strict=True) if is_float(a.dtype)]
    func.detach()
    back = reverse_function(func, wrt)
    kind = np.float64 if dtype == "f64" else np.float32
    given = [*flat, *(s.astype(kind) for s in seeds)]
    results = program_of(ModuleOp([back]))(*given) if compiled else run_graph(back, given)
    return list(results)[len(calls) :]


def _value(call: TorchCall, arrays: Sequence[np.ndarray]) -> Any:
    import torch  # pyright: ignore[reportMissingImports]

    return call.function(*(torch.from_numpy(np.ascontiguousarray(a)) for a in arrays))


def _torchs(call: TorchCall, arrays: Sequence[np.ndarray], seed: np.ndarray) -> list[np.ndarray]:
    """What torch gives for each operand of floats."""
    import torch  # pyright: ignore[reportMissingImports]

    tensors = [torch.from_numpy(np.array(a, order="C")) for a in arrays]
    floats = [t.requires_grad_() for t in tensors if t.is_floating_point()]
    value = call.function(*tensors)
    if value.requires_grad:
        value.backward(torch.from_numpy(seed).to(value.dtype))
    return [(torch.zeros_like(t) if t.grad is None else t.grad).numpy() for t in floats]


def differs(found: np.ndarray, near: np.ndarray, right: np.ndarray, rough: bool = False) -> str:
    """Why a gradient is not that of torch, which is `near` in the dtype and `right` in f64; nothing where it is."""
    eps = float(ml_dtypes.finfo(np.float32 if rough else found.dtype).eps)
    finite = np.isfinite(near) & np.isfinite(right)
    error = np.max(np.abs(near - right)[finite], initial=0.0)
    scale = np.max(np.abs(right)[finite], initial=0.0)
    try:
        np.testing.assert_allclose(
            found.astype(np.float64),
            np.where(finite | np.isnan(right), right, near),
            rtol=ULPS * eps,
            atol=4 * error + ULPS * eps * scale,
        )
    except AssertionError as fault:
        return " ".join(str(fault).split())[:600]
    return ""
