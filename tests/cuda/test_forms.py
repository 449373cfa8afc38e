"""Functions whose nests are not alone: the same numbers as at the loop level, in all orders, in place, with sanitizers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp

from dialects import loop
from dialects.dims import DimsAttr
from dialects.graph.kernels import KERNELS
from irkit import pipeline
from irkit.mlir_parser import parse_mlir
from lowering.graph.interpret import run_graph
from tests.c.driver import works
from tests.cuda.loops import FUNCTIONS, program
from tests.cuda.machine import (
    ORDERS,
    ROOT,
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
    assert (threads["team"], threads["sorts"]) == (256, 512)


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


def test_c_text_runs_as_a_team(expected: list[np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Where no text is written for a GPU: each thread with memory of its own."""
    monkeypatch.setitem(KERNELS, "argsort", [k for k in KERNELS["argsort"] if k.target == "c"])
    whole = mapped_module(module())
    source = text_of(whole).source
    assert "k_argsort" not in source and "__launch_bounds__(32) k_sorts(" in source
    found = run_on_cpu(monkeypatch, whole, CpuKernels(source, tmp_path, "mixed"), inputs())
    np.testing.assert_array_equal(found[-1], expected[-1])


PLUGIN = """
import sys
from pathlib import Path
import numpy as np
import irkit
from irkit.lang import parse, to_graph
folder = Path(sys.argv[1])
irkit.load_plugin(str(folder / "irkit_signal"))
from lowering.graph.interpret import run_graph
from tests.cuda.every_op import run_module
from tests.cuda.machine import has_nvcc, main_of, mapped_module, nvcc, text_of
graph = lambda: to_graph(parse((folder / "smooth.tg").read_text(), "smooth.tg"))
x = np.random.default_rng(0).standard_normal((4, 1000)).astype(np.float32)
(wanted,), (found,) = run_graph(main_of(graph()), [x]), run_module(graph(), [x], Path(sys.argv[2]))
np.testing.assert_allclose(found, wanted, rtol=1e-6)
text = text_of(mapped_module(graph())).source
assert "const int tid" in text
if has_nvcc():
    nvcc(text, Path(sys.argv[2]))
print("equal")
"""


def test_kernels_of_plugins_run(tmp_path: Path):
    """C text that is written for the threads of a team takes those of a grid."""
    words = [sys.executable, "-c", PLUGIN, str(ROOT / "examples" / "plugin"), str(tmp_path)]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=env)
    assert (done.stdout, done.stderr) == ("equal\n", "")
