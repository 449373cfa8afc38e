"""Calls of graph ops through CUDA text on this CPU. As a plugin of pytest it runs the tests of `tests/ops` so:

    pytest tests/ops -p tests.cuda.every_op

Tests that compare calls with their references are left, and what they compile is text for a GPU.
"""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Mapping, Sequence
from math import sqrt
from pathlib import Path

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp

import lowering.loop.interpret as interpreter
from lowering.graph.interpret import run_graph
from tests.cuda.machine import ORDERS, CpuKernels, main_of, mapped_module, text_of
from tests.ops import harness
from tests.ops.harness import Call, module_of

LONG = 4096
"""A sum of more terms, one after another, errs by more than the reference, which adds up blocks."""

PLAIN = harness.run_all, harness.check


def run_module(
    module: ModuleOp,
    arrays: Sequence[np.ndarray],
    folder: Path,
    sizes: Mapping[str, int] | None = None,
    order: str = "mixed",
    shares: bool = False,
) -> list[np.ndarray]:
    """The results of a module of graph level, whose kernels run as text. The module is consumed."""
    mapped_module(module)
    if not any(op.name == "loop.func" for op in module.ops):
        return run_graph(main_of(module), list(arrays), sizes)
    kernels = CpuKernels(text_of(module).source, folder, order, shares)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(interpreter, "run_function", kernels.run)
        return run_graph(main_of(module), list(arrays), sizes)


def run_all(calls: Sequence[Call], cc: str | None = None, threads: int = 1) -> list[np.ndarray]:
    """The results of calls; in the order of blocks, and in memory, that is the turn of their number."""
    order = list(ORDERS)[len(calls) % 3]
    with tempfile.TemporaryDirectory() as folder:
        arrays = [a for call in calls for a in call.arrays]
        return run_module(module_of(calls), arrays, Path(folder), order=order, shares=len(calls) % 2 == 1)


def check(call: Call, found: np.ndarray, ulps: float = 4) -> None:
    terms = max((n for a in call.arrays for n in a.shape), default=0)
    PLAIN[1](call, found, max(ulps, sqrt(terms)) if terms > LONG else ulps)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests of calls, with the one compiler that there is, not once for each."""
    kept = [
        item
        for item in items
        if isinstance(item, pytest.Function)
        and "check_all(" in inspect.getsource(item.function)
        and "clang" not in item.name
    ]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept
    harness.run_all, harness.check = run_all, check
