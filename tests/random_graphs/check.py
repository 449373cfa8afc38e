"""Random graphs through compiled C: the numbers, with several compilers, flags, schedules and teams."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence

import ml_dtypes
import numpy as np
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation

from dialects.buffer import ProgramOp
from dialects.kernel import DefOp, ExternOp, WriteOp
from dialects.loop import FuncOp as LoopFunc
from irkit import pipeline
from irkit.runtime import cache
from irkit.runtime.compiler import find_compiler
from irkit.runtime.module import Program
from lowering.buffer.accesses import Footprint
from lowering.buffer.barriers import Sweep
from lowering.c.emit import emit_program
from lowering.target import get_target
from tests.ops.harness import is_float
from tests.ops.test_schedules import give_schedule
from tests.random_graphs.generate import Batch, as_floats, distance, scale

ULPS = 16
GRAPHS = 20
"""In one batch, and so in one C file."""


def library(batch: Batch, module: ModuleOp, cc: str, level: str) -> tuple[object, object]:
    """The compiled program of a batch, for some seeds in portable C, for some its kernels with random legal schedules."""
    compiler = find_compiler(cc)
    target = "c99" if batch.seed % 5 == 4 else "native"
    machine = get_target(target, compiler.name)
    pipeline.run_passes(module, pipeline.passes_to("graph", "kernel", target, cc), pipeline.context())
    if batch.seed % 3 == 0:
        for kernel in [op for op in module.ops if isinstance(op, DefOp)]:
            if _may_be_scheduled(kernel):
                give_schedule(kernel, batch.rng)
                batch.used["own schedule"] += 1
    passes = pipeline.passes_to("kernel", "buffer", target, cc)
    pipeline.run_passes(module, passes, pipeline.context())
    assert not _races(module), "a call touches what another one may not have finished with"
    spec = emit_program(module, machine, "random")
    return spec, cache.library(spec, compiler, (*machine.cflags, level))


def _races(module: ModuleOp) -> list[Operation]:
    """The calls that must wait for what came before and do not."""
    kernels = {f.sym_name.data: f for f in module.ops if isinstance(f, LoopFunc)}
    (program,) = [op for op in module.ops if isinstance(op, ProgramOp)]
    return Sweep(program, kernels).block(program.block, Footprint()).waits


def _may_be_scheduled(kernel: DefOp) -> bool:
    """Whether the drawing of schedules knows all that the kernel holds."""
    ops = list(kernel.block.ops)
    plain = all(isinstance(op, WriteOp) is False or op.combiner is None for op in ops)
    return plain and not any(isinstance(op, ExternOp) or op.name == "kernel.scan" for op in ops)


def check(batch: Batch, cc: str = "gcc", level: str = "-O1", teams: Sequence[int] = (1, 3)) -> Counter[str]:
    """Raises AssertionError for a result that is not what the references give; returns the ops that were used."""
    module = batch.module()
    module.verify()
    text = str(module)
    origins = [v.ssa.owner.name if isinstance(v.ssa.owner, Operation) else "an input" for v in batch.results]
    spec, path = library(batch, module, cc, level)
    runs = []
    for threads in teams:
        program = Program(spec, path, None, threads)  # pyright: ignore[reportArgumentType]
        copies = {
            id(array): array.copy() for array in batch.inputs
        }  # inputs that share an array go on to do so
        given = [copies[id(array)] for array in batch.inputs]
        call = program.prepare(*given)
        call.run()
        runs.append(call.all_results())
        for number, (array, kept) in enumerate(zip(given, batch.inputs, strict=True)):
            same = number in batch.donated or array.tobytes() == kept.tobytes()
            assert same, f"input {number} of seed {batch.seed} was overwritten, {cc} {level}\n{text}"
    for number, value in enumerate(batch.results):
        one, *others = (run[number] for run in runs)
        where = f"result {number} ({origins[number]}) of seed {batch.seed}, {cc} {level}"
        equal = all(_equal(one, other) for other in others)
        assert equal, f"threads disagree on {where}\n{text}"
        fault = difference(one, value.arrays)
        assert fault is None, f"{fault} in {where}\n{text}"
    return batch.used


def run(seed: int) -> Counter[str]:
    """Checks the batch of a seed, with the compiler, flags and kinds of dims that are the seed's turn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        batch = Batch(seed, dynamic=seed % 5 == 4).grow(GRAPHS, 8)
        return check(batch, "gcc" if seed % 2 else "clang", f"-O{seed % 4}")


def _equal(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two results have equal elements, NaN at the same places among them."""
    a, b = as_floats(a), as_floats(b)
    return np.array_equal(a, b, equal_nan=is_float(a.dtype))


def difference(found: np.ndarray, arrays: list[np.ndarray]) -> str | None:
    """What is wrong with a result, given what the references say and how far noise moves it."""
    expected = arrays[0]
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return f"{found.dtype}{list(found.shape)} for {expected.dtype}{list(expected.shape)}"
    found, expected = as_floats(found), as_floats(expected)
    if not is_float(expected.dtype):
        wrong = found != expected
        bound = 0.0
    else:
        a, b = found.astype(np.float64), expected.astype(np.float64)
        finite = np.isfinite(b)
        bound = 8 * distance(arrays) + ULPS * float(ml_dtypes.finfo(expected.dtype).eps) * scale(expected)
        with np.errstate(invalid="ignore"):
            near = np.abs(a - b) <= bound
        wrong = ~np.where(finite, near, (a == b) | (np.isnan(a) & np.isnan(b)))
    if not np.any(wrong):
        return None
    at = tuple(int(i) for i in np.argwhere(wrong)[0])
    return f"{found[at]} for {expected[at]} (give or take {bound:.2g}) at {list(at)}, {int(wrong.sum())} of {wrong.size} wrong"


def coverage(used: Counter[str]) -> str:
    """How often each op was used, as a table."""
    names = sorted(used)
    return "\n".join(
        "  ".join(f"{n:24}{used[n]:4}" for n in names[i : i + 3]) for i in range(0, len(names), 3)
    )
