"""Rows that a reduction leaves for its results, and results that bypass the caches: the same numbers on every path."""

from __future__ import annotations

import numpy as np
import pytest

from dialects.kernel import DefOp, ScheduleAttr
from dialects.loop import FuncOp, StoreOp
from irkit import pipeline
from irkit.runtime import cache
from irkit.runtime.compiler import find_compiler
from irkit.runtime.module import Program
from lowering.c.emit import emit_program
from lowering.kernel.keep import kept_of
from lowering.kernel.schedule import KernelSchedule
from lowering.target import get_target
from tests.ops.harness import Call, built, check, module_of
from tests.ops.test_contractions import normal

SIZES = [(3, 1), (3, 7), (2, 64), (5, 133), (2, 3, 40), (4, 260)]


def calls() -> list[Call]:
    arrays = [normal(*s).astype(t) for s in SIZES for t in (np.float32, np.float64)]
    return [
        *(Call("softmax", [x], {"axis": -1}) for x in arrays),
        Call("softmax", [normal(3, 70, 5)], {"axis": 1}),
        Call("log_softmax", [normal(3, 70)], {"axis": 1}),
        Call("exp", [normal(70, 33)]),
    ]


@pytest.mark.parametrize("cc", ["gcc", "clang"])
def test_kept_and_streamed(cc: str):
    done = calls()
    module = module_of(done)
    pipeline.run_passes(module, pipeline.passes_to("graph", "kernel", "native", cc), pipeline.context())
    kept = 0
    for kernel in (op for op in module.ops if isinstance(op, DefOp)):
        assert kernel.schedule is not None
        kept += any(d.startswith("keep") for d in kernel.schedule.data)
        kernel.properties["schedule"] = ScheduleAttr((*kernel.schedule.data, "stream"))
    assert kept >= len(SIZES)
    spec, library = built(module, cc, start="kernel")
    found = [
        Program(spec, library, None, threads)(*(a for c in done for a in c.arrays)) for threads in (1, 3)
    ]
    for call, one, three in zip(done, *found, strict=True):
        np.testing.assert_array_equal(one, three)
        check(call, one)


def test_square_arrays_and_their_transposes_are_told_apart():
    """exp(x[i, k] - m[i]) for a sum, and exp(x[j, i] - m[i]) for the result: other elements of an array of equal dims."""
    text = """
    fn main(x: f32[16, 16]) -> f32[16, 16] {
      m = max(x, axis=1)
      s[i] = sum(k) exp(x[i, k] - m[i])
      y[i, j] = exp(x[j, i] - m[i]) / s[i]
      return y
    }"""
    from irkit.api import lower

    module = lower(text, "kernel", target="avx2")
    kernels = [op for op in module.ops if isinstance(op, DefOp)]
    assert not any(kept_of(k, axis) for k in kernels for axis in k.extents())


@pytest.mark.parametrize(("size", "streams"), [(4096, True), (512, False)])
def test_only_what_no_cache_holds_is_streamed(size: int, streams: bool):
    module = module_of([Call("exp", [np.zeros((size, size), np.float32)])])
    passes = pipeline.passes_to("graph", "loop", "avx2")
    pipeline.run_passes(module, passes, pipeline.context())
    assert any(isinstance(p, KernelSchedule) for p in passes)
    stores = [s for f in module.ops if isinstance(f, FuncOp) for s in f.walk() if isinstance(s, StoreOp)]
    assert [s.stream is not None for s in stores] == [streams]


def test_another_reduction_of_the_same_kernel_has_lanes_of_its_own():
    import irkit

    x = normal(3, 70)
    found, places = irkit.compile(
        "fn main(x: f32[3, 70]) -> (f32[3, 70], i64[3]) { y = softmax(x)\n return y, argmax(y) }"
    )(x)
    e = np.exp(x.astype(np.float64) - x.max(axis=1, keepdims=True))
    np.testing.assert_allclose(found, e / e.sum(axis=1, keepdims=True), rtol=1e-5)
    np.testing.assert_array_equal(places, x.argmax(axis=1))


@pytest.mark.parametrize("target", ["c99", "scalar"])
def test_a_target_without_such_stores_takes_plain_ones(target: str):
    import irkit

    x = normal(40, 50)
    text = 'fn main(x: f32[40, 50]) -> f32[40, 50] { y = exp(x), schedule="vector i 8; stream"\n return y }'
    np.testing.assert_allclose(irkit.compile(text, target=target)(x), np.exp(x), rtol=1e-6)


@pytest.mark.parametrize("lanes", [2, 8])
def test_vectors_that_fill_no_register_are_not_streamed(lanes: int):
    """clang refuses the instruction for them, whether it is reached or not."""
    from irkit.api import lower

    text = f'fn main(x: f32[40, 48]) -> f32[40, 48] {{ y = exp(x), schedule="vector j {lanes}; stream"\n return y }}'
    machine, compiler = get_target("avx2", "clang"), find_compiler("clang")
    spec = emit_program(lower(text, "buffer", target="avx2"), machine, "stream")
    assert ("IRK_STREAM" in spec.source) == (lanes == 8)
    assert cache.library(spec, compiler, (*machine.cflags, "-O0")).exists()
