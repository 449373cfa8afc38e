"""Any legal schedule gives the same numbers, whoever wrote it; what is not legal is refused with its text."""

from __future__ import annotations

import re

import numpy as np
import pytest

from dialects.errors import IrkitError
from dialects.kernel import DefOp, ScheduleAttr
from irkit import pipeline
from irkit.runtime.module import Program
from lowering.kernel.mutation import random_schedule, refusal
from lowering.loop.kernel_to_loop import lower_kernel
from lowering.schedule import parse_schedule
from tests.ops.harness import Call, built, check, module_of
from tests.ops.test_contractions import attention, conv, matmul, normal


def give_schedule(kernel: DefOp, rng: np.random.Generator) -> None:
    """A schedule under which the kernel can be lowered: stores are contiguous along their vector axes."""
    for _ in range(40):
        directives = random_schedule(kernel, rng)
        fault = refusal(kernel, directives)
        if fault is None:
            kernel.properties["schedule"] = ScheduleAttr(directives)
            return
        assert re.search("cannot vectorise|points are too many at once", fault.message), fault
    raise AssertionError(f"no schedule was found for {kernel}")


@pytest.mark.parametrize(
    ("seed", "cc"),
    [pytest.param(n, "gcc" if n % 2 else "clang", marks=[pytest.mark.slow] * (n > 1)) for n in range(6)],
)
def test_any_schedule_gives_the_same_numbers(seed: int, cc: str):
    rng = np.random.default_rng(seed)
    x = normal(7, 33, 18)
    calls = [
        matmul((17, 40), (40, 33)),
        matmul((2, 14, 9), (2, 9, 35)),
        *(Call("reduce_sum", [x], {"axes": axes}) for axes in ((1,), (0, 2))),
        *(Call(name, [x], {"axis": axis}) for name in ("softmax", "argmax") for axis in (1, 2)),
        Call("layer_norm", [x, normal(18), normal(18)]),
        attention((9, 8), (21, 8), (21, 19)),
        conv((2, 3, 9, 18), (4, 3, 3, 3), padding=1),
        Call("max_pool2d", [x], {"kernel": 3, "padding": 1}),
        Call("transpose", [x], {"perm": [2, 0, 1]}),
        Call("pad", [x], {"pads": [0, 0, 1, 2, 2, 1], "mode": "wrap"}),
    ]
    module = module_of(calls)
    pipeline.run_passes(module, pipeline.passes_to("graph", "kernel"), pipeline.context())
    definitions = [op for op in module.ops if isinstance(op, DefOp)]
    for kernel in definitions:
        give_schedule(kernel, rng)
    chosen = "\n".join(f"{k.sym_name.data}: {k.schedule}" for k in definitions)
    spec, library = built(module, cc, start="kernel")
    arrays = [a for call in calls for a in call.arrays]
    found = [Program(spec, library, None, threads)(*arrays) for threads in (1, 3)]
    for call, one, three in zip(calls, *found, strict=True):
        np.testing.assert_array_equal(one, three, f"{call} differs between threads\n{chosen}")
        try:
            check(call, one, 64)
        except AssertionError as fault:
            raise AssertionError(f"{call}: {fault}\n{chosen}") from None


def test_scalar_sums_do_not_depend_on_threads():
    """A compiler may round a sum otherwise where it unrolls the loop around it than in what remains of that loop."""
    call = matmul((1, 64), (64, 64))
    module = module_of([call])
    pipeline.run_passes(module, pipeline.passes_to("graph", "kernel"), pipeline.context())
    for op in module.ops:
        if isinstance(op, DefOp):
            op.properties["schedule"] = ScheduleAttr(())
    spec, library = built(module, "gcc", start="kernel")
    one, *others = [Program(spec, library, None, threads)(*call.arrays) for threads in (1, 2, 3, 5)]
    for other in others:
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("schedule", "quoted", "message"),
    [
        (["tile i 2", "whole i"], "whole i", "what another one does"),
        (["vector j 4", "vector j 8"], "vector j 8", "what another one does"),
        (["parallel i", "parallel j"], "parallel j", "what another one does"),
        (["tile k 4"], "tile k 4", "'k' is reduced"),
        (["whole k"], "whole k", "'k' is reduced"),
        (["vector k 3"], "vector k 3", "folded in halves"),
        (["split i 8"], "split i 8", "'i' is not reduced"),
        (["pack lhs", "pack rhs", "tile i 4", "vector j 16"], "vector j 16", "no place"),
        (["vector i 0"], "vector i 0", "no positive size"),
        (["order"], "order", "malformed"),
    ],
)
def test_a_schedule_that_means_nothing_is_refused(schedule: list[str], quoted: str, message: str):
    module = module_of([matmul((8, 9), (9, 10))])
    pipeline.run_passes(module, pipeline.passes_to("graph", "kernel"), pipeline.context())
    kernel = next(op for op in module.ops if isinstance(op, DefOp))
    with pytest.raises(IrkitError) as caught:
        parse_schedule(kernel, schedule)
    assert message in caught.value.message
    assert caught.value.found == f'"{quoted}"'
    assert caught.value.expected and caught.value.hint


@pytest.mark.parametrize("schedule", [["split j 8"], ["tile a 2"], ["split a 1"]])
def test_a_packed_contraction_has_two_tiled_axes(schedule: list[str]):
    module = module_of([matmul((2, 8, 9), (2, 9, 10))])
    pipeline.run_passes(module, pipeline.passes_to("graph", "kernel"), pipeline.context())
    kernel = next(op for op in module.ops if isinstance(op, DefOp))
    packed = ["pack rhs", "pack lhs", "tile i 4", "tile j 16"]
    kernel.properties["schedule"] = ScheduleAttr((*packed, *schedule))
    with pytest.raises(IrkitError, match="packed contraction"):
        lower_kernel(kernel)
