"""Functions whose nests are not alone: the same numbers as at the loop level, in all orders, in place, with sanitizers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp

from dialects import loop
from dialects.dims import DimsAttr
from irkit import pipeline
from irkit.mlir_parser import parse_mlir
from lowering.graph.interpret import run_graph
from tests.c.driver import works
from tests.cuda.loops import FUNCTIONS, program
from tests.cuda.machine import (
    ORDERS,
    CpuKernels,
    main_of,
    mapped_module,
    run_on_cpu,
    run_with_sanitizer,
    text_of,
)


def module() -> ModuleOp:
    return parse_mlir(pipeline.context(), program(), "loops.mlir")


def inputs() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = [d for _, taken, _ in FUNCTIONS.values() for d in taken]
    return [rng.integers(-50, 50, [int(n) for n in d.split("x")]).astype(np.float32) for d in shapes]


@pytest.fixture(scope="module")
def expected() -> list[np.ndarray]:
    """What the functions compute before they are mapped."""
    return run_graph(main_of(module()), inputs())


def test_numbers_in_every_order(expected: list[np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    whole = mapped_module(module())
    kernels = CpuKernels(text_of(whole).source, tmp_path)
    for kernels.order in ORDERS:
        for kernels.shares in (False, True):
            for found, wanted in zip(
                run_on_cpu(monkeypatch, whole, kernels, inputs()), expected, strict=True
            ):
                np.testing.assert_array_equal(found, wanted)


def test_numbers_of_the_interpreter(expected: list[np.ndarray]):
    func = main_of(mapped_module(module()))
    for found, wanted in zip(run_graph(func, inputs(), threads=2), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_every_form_is_taken():
    whole = mapped_module(module())
    threads = {
        f.sym_name.data: next(
            o.upper.value for o in f.walk() if isinstance(o, loop.ForOp) and o.role.data == "thread"
        )
        for f in whole.ops
        if isinstance(f, loop.FuncOp)
    }
    assert threads.keys() == {
        "several",
        "follows_part0",
        "follows_part1",
        "follows_part2",
        "team",
        "one",
        "in_place",
        "sorts",
    }
    assert (threads["team"], threads["sorts"]) == (256, 32)


def test_sanitizers_are_content(tmp_path: Path):
    if not works("gcc", ["-fsanitize=address,undefined"], tmp_path):
        pytest.skip("gcc has no address sanitizer here")
    run_with_sanitizer(mapped_module(module()), tmp_path)
    outside = module()
    first, *_ = outside.ops
    *_, store = [op for op in first.walk() if isinstance(op, loop.StoreOp)]
    store.properties["index"] = DimsAttr(tuple(e + 1 for e in store.index.data))
    with pytest.raises(AssertionError, match="heap-buffer-overflow"):
        run_with_sanitizer(mapped_module(outside), tmp_path)
