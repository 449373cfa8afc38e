"""Every graph op as CUDA text: its numbers on this CPU, with dims that are known and that are not; and what nvcc says of it.

A part runs with each change, another one with every change; `-m slow` runs all of it, and the tests of `tests/ops`.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp

from dialects.dims import Dim
from dialects.syntax import SymbolsAttr
from dialects.types import dims_of, tensor
from lowering.graph.interpret import run_graph
from tests.cuda.every_op import run_all, run_module
from tests.cuda.machine import ORDERS, has_nvcc, main_of, mapped_module, nvcc, registers, text_of
from tests.graph.samples import SAMPLES, Sample, random_array
from tests.levels.test_interpreters import STATIC, call_of
from tests.ops.harness import Call, check, module_of
from tests.rotating import change

PLAIN = [s for s in STATIC if "B" not in str(s.values)]
SYMBOLIC = [s for s in SAMPLES if s not in PLAIN]
SYMBOLS, SIZES = (("B", 1, 64), ("N", 8, 64)), {"B": 3, "N": 9}
ARCHS = ("sm_80", "sm_90")
BATCH = 40
BATCHES = range(0, len(PLAIN), BATCH)
ROTATING = change() % len(BATCHES)
FILES = sorted(Path(__file__).parents[1].glob("ops/test_*.py"))


def module_with_symbols(samples: Sequence[Sample]) -> ModuleOp:
    module = module_of([Call(s.name, (), dict(s.values), s.types()) for s in samples])
    main_of(module).attributes["graph.symbols"] = SymbolsAttr(SYMBOLS)
    return module


def arrays_of(samples: Sequence[Sample]) -> list[np.ndarray]:
    types = [t for s in samples for t in s.types()]
    known = [tensor(t.element_type, [Dim.of(d.evaluate(SIZES)) for d in dims_of(t)]) for t in types]  # pyright: ignore
    return [random_array(t, seed) for seed, t in enumerate(known)]


@pytest.mark.parametrize(
    "start", [pytest.param(n, marks=[pytest.mark.slow] * (n != BATCHES[ROTATING])) for n in BATCHES]
)
def test_every_op_has_its_numbers(start: int):
    calls = [call_of(s) for s in PLAIN[start : start + BATCH]]
    for call, found in zip(calls, run_all(calls), strict=True):
        check(call, found)


@pytest.mark.parametrize(
    "order", ["mixed", *(pytest.param(o, marks=pytest.mark.slow) for o in ORDERS if o != "mixed")]
)
def test_one_text_for_every_size(order: str, tmp_path: Path):
    arrays = arrays_of(SYMBOLIC)
    expected = run_graph(main_of(module_with_symbols(SYMBOLIC)), arrays, SIZES)
    found = run_module(module_with_symbols(SYMBOLIC), arrays, tmp_path, SIZES, order)
    for sample, one, wanted in zip(SYMBOLIC, found, expected, strict=True):
        assert (one.shape, one.dtype) == (wanted.shape, wanted.dtype), sample
        rtol = 4e-3 if wanted.dtype.itemsize < 4 and wanted.dtype.kind not in "iub" else 1e-5
        np.testing.assert_allclose(
            one.astype(np.float64), wanted.astype(np.float64), rtol, 1e-5, err_msg=str(sample)
        )


@pytest.mark.skipif(not has_nvcc(), reason="there is no nvcc")
@pytest.mark.parametrize(
    ("start", "arch"),
    [
        pytest.param(
            n, arch, marks=[pytest.mark.slow] * ((n, arch) != (BATCHES[ROTATING], ARCHS[ROTATING % 2]))
        )
        for n in BATCHES
        for arch in ARCHS
    ],
)
def test_nvcc_takes_every_op(start: int, arch: str, tmp_path: Path):
    calls = [call_of(s) for s in PLAIN[start : start + BATCH]]
    emitted = text_of(mapped_module(module_of(calls), f"cuda:{arch}"), f"cuda:{arch}")
    found = registers(nvcc(emitted.source, tmp_path, arch))
    assert found.keys() == {launch.kernel for launch in emitted.launches}
    for kernel, report in found.items():
        print(f"{arch}  {kernel:40} {report}")
        assert report.spills == 0, kernel


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES, ids=[f.stem for f in FILES])
def test_cases_of_ops(file: Path):
    """Each call of the tests of `tests/ops`, run as CUDA text."""
    words = [
        sys.executable,
        "-m",
        "pytest",
        str(file),
        "-p",
        "tests.cuda.every_op",
        "-q",
        "-p",
        "no:cacheprovider",
    ]
    done = subprocess.run(words, cwd=file.parents[2], capture_output=True, text=True, check=False)
    assert done.returncode in (0, 5), done.stdout[-4000:]
