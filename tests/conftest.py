"""What holds for all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from irkit.runtime.compiler import USERS_FLAGS

QUICK = frozenset(
    {
        "bench",
        "buffer",
        "cuda",
        "debugging",
        "derivatives",
        "from_onnx",
        "fuzz_onnx",
        "graph",
        "levels",
        "ops",
        "random_graphs",
        "trace",
    }
)
"""Folders whose tests ask whether what was emitted is right, and not what a compiler makes of it: they build it with little
optimisation, as half of their time is the compiler's. `IRKIT_CFLAGS=-O3 pytest` builds all as users do."""


@pytest.fixture(autouse=True)
def quick_builds(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(request.path).relative_to(Path(__file__).parent).parts[0]
    if folder in QUICK and USERS_FLAGS not in os.environ:
        monkeypatch.setenv(USERS_FLAGS, "-O1")
