"""Faults that are planted in emitted text, or in what maps nests, and that have to be found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.c.driver import works
from tests.cuda.machine import (
    ORDERS,
    CpuKernels,
    mapped,
    mapped_module,
    planted_in,
    run_on_cpu,
    run_with_sanitizer,
    text_of,
)
from tests.cuda.programs import SHAPES
from tests.cuda.test_forms import inputs, module
from tests.cuda.test_tester import wrong_in_some_order

WRONG: dict[str, tuple[str, tuple[str, str]]] = {
    "too-few-blocks": (SHAPES["points-odd"], ("const int64_t blocks = 2;", "const int64_t blocks = 1;")),
    "half-a-fold": (SHAPES["sum"], ("distance > 0", "distance > 1")),
    "groups-left-out": (SHAPES["columns-odd"], ("-(t / 32) + 1 >= 0", "-(t / 32) >= 0")),
    "shifted-tile": (SHAPES["tiles-odd"], ("ko < 45", "ko < 32")),
}
"""Numbers that differ: (program, what is changed into what)."""


@pytest.mark.parametrize("name", WRONG)
def test_wrong_numbers_show(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    text, fault = WRONG[name]
    source = planted_in(text_of(mapped(text)).source, fault)
    assert wrong_in_some_order(text, source, tmp_path, monkeypatch)


def test_blocks_that_should_wait_for_others_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Nests that follow one another, in one grid as if they had nothing to do with one another."""
    apart = "lowering.loop.gpu.parts.are_apart"
    monkeypatch.setattr(apart, lambda *_: True)
    whole = mapped_module(module())
    kernels = CpuKernels(text_of(whole).source, tmp_path)
    found: dict[str, list[np.ndarray]] = {}
    for order in ORDERS:
        kernels.order = order
        found[order] = run_on_cpu(monkeypatch, whole, kernels, inputs())
    differ = [
        n
        for n, (a, b) in enumerate(zip(found["forwards"], found["backwards"], strict=True))
        if (a != b).any()
    ]
    assert differ


@pytest.mark.parametrize(
    ("text", "fault", "said"),
    [
        (SHAPES["points-odd"], ("if (-256 * b - t + 258 >= 0)", "if (1)"), "heap-buffer-overflow"),
        (
            "fn main(x: f32[3, 50]) -> i64[3, 50] { return argsort(x) }",
            ("row * (16 * n", "row * (32 * n"),
            "heap-buffer-overflow",
        ),
    ],
    ids=["no-guard", "memory"],
)
def test_places_outside_show(text: str, fault: tuple[str, str], said: str, tmp_path: Path):
    if not works("gcc", ["-fsanitize=address,undefined"], tmp_path):
        pytest.skip("gcc has no address sanitizer here")
    with pytest.raises(AssertionError, match=said):
        run_with_sanitizer(mapped(text), tmp_path, planted=fault)
