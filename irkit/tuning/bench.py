"""Times schedules of one kernel against each other: a program that calls the kernel once by each of them, in one C file.

Before anything is timed, each schedule runs in a child process, and its results are compared with those of the schedule
that the search began with. The inputs are small whole numbers, on which sums and products are exact in any
order, so that a point left out shows. One thread is timed by its CPU time, which leaves out what others do on the
machine; several threads by the wall clock, the slowest of them, with a barrier before each call.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from xdsl.dialects import func
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, ModuleOp, StringAttr, TensorType
from xdsl.ir import Block, Region, SSAValue

from dialects import buffer
from dialects.errors import IrkitError
from dialects.kernel import DefOp, LaunchOp, ScheduleAttr
from irkit import pipeline
from irkit.checking import compare, random_array
from irkit.isolation import Died, isolated
from irkit.profiling import Recording
from irkit.runtime.compiler import Compiler
from irkit.runtime.module import Program
from lowering.c.emit import emit_program
from lowering.c.record import Recorder
from lowering.kernel.cost import extent_sizes
from lowering.kernel.fields import reduced_axes
from lowering.kernel.mutation import Directives
from lowering.target import Target

NAME = "tuned"
ROUND_SECONDS = 1.0
ROUNDS = (5, 100)
"""The fewest and the most rounds; between, as many as fit into ROUND_SECONDS."""

SLOW = 3.0
"""A schedule that takes so many times as long as the incumbent, when it runs first, is not timed."""

PATIENCE, LEAST_SECONDS = 100.0, 1.0
"""Nor is one that takes so many times as long as the start, and so many seconds."""


@dataclass
class Bench:
    """Measures schedules of the kernel that a launch calls. `start` is the schedule whose results are right."""

    kernel: DefOp
    launch: LaunchOp
    start: Directives
    target: Target
    compiler: Compiler
    threads: int = 1
    seed: int = 0
    inputs: dict[str, np.ndarray] = field(default_factory=dict)
    expected: list[np.ndarray] = field(default_factory=list)
    once: float = 0.0

    def __post_init__(self) -> None:
        rng, sizes = np.random.default_rng(self.seed), self.kernel.symbols.maxima()
        for number, value in enumerate(self.launch.operands):
            assert isinstance(value.type, TensorType)
            self.inputs[f"x{number}"] = whole_numbers(value.type, rng, sizes)

    def __call__(self, schedules: Sequence[Directives]) -> list[np.ndarray]:
        """The seconds of each schedule, round by round; infinite for one that is not worth timing. Raises IrkitError for one
        that gives other numbers, or crashes."""
        if not self.expected and schedules[0] != self.start:
            self([self.start])
        with tempfile.TemporaryDirectory(prefix="irkit-tune-") as folder:
            program, recorder = self._built(schedules, Path(folder))
            recording = Recording(program, program.prepare(**self.inputs), recorder.tasks)
            numbers = {t.name: n for n, t in enumerate(recorder.tasks) if t.kind == "kernel"}
            tasks = [numbers[_kernel_name(i)] for i in range(len(schedules))]
            once = [self._checked(recording, tasks, i, d) for i, d in enumerate(schedules)]
            kept = [i for i, seconds in enumerate(once) if seconds <= SLOW * once[0] < np.inf]
            recording.skipped[:] = [t.kind == "kernel" for t in recorder.tasks]
            recording.skipped[[tasks[i] for i in kept]] = 0
            least, most = ROUNDS
            whole = max(1e-9, sum(once[i] for i in kept))
            runs = recording.run(max(least, min(most, int(ROUND_SECONDS / whole))))[0]
        times = [np.full(len(runs), np.inf) for _ in schedules]
        for i in kept:
            # A clock that stands still would divide by zero.
            times[i] = np.array([max(1e-9, float(r.calls[tasks[i]].sum())) for r in runs])
        return times

    # -- building ---------------------------------------------------------------------------------------------

    def module(self, schedules: Sequence[Directives]) -> ModuleOp:
        """A module at kernel level: the kernel by each schedule, and a function that launches them in turn."""
        block = Block(arg_types=[v.type for v in self.launch.operands])
        kernels: list[DefOp] = []
        results: list[SSAValue] = []
        for number, directives in enumerate(schedules):
            kernel = self.kernel.clone()
            kernel.properties["sym_name"] = StringAttr(_kernel_name(number))
            kernel.properties["schedule"] = ScheduleAttr(directives)
            kernels.append(kernel)
            launch = LaunchOp(_kernel_name(number), block.args, [r.type for r in self.launch.results])
            launch.location = self.launch.location
            block.add_op(launch)
            results += launch.results
        block.add_op(func.ReturnOp(*results))
        host = func.FuncOp(NAME, ([a.type for a in block.args], [r.type for r in results]), Region(block))
        host.properties["arg_attrs"] = ArrayAttr(
            DictionaryAttr({"graph.name": StringAttr(name), "graph.kind": StringAttr("input")})
            for name in self.inputs
        )
        host.properties["res_attrs"] = ArrayAttr(
            DictionaryAttr({"graph.name": StringAttr(f"y{n}")}) for n in range(len(results))
        )
        if self.kernel.symbols.data:
            host.attributes["graph.symbols"] = self.kernel.symbols
        return ModuleOp([*kernels, host])

    def _built(self, schedules: Sequence[Directives], folder: Path) -> tuple[Program, Recorder]:
        module = self.module(schedules)
        passes = pipeline.passes_to("kernel", "buffer", self.target.name, self.compiler.name)
        pipeline.run_passes(module, passes, pipeline.context())
        if self.threads > 1:
            _separate_calls(module)
        recorder = Recorder("CLOCK_THREAD_CPUTIME_ID" if self.threads == 1 else "CLOCK_MONOTONIC")
        spec = emit_program(module, self.target, NAME, recorder)
        source = folder / f"{NAME}.c"
        source.write_text(spec.source, encoding="utf-8")
        (folder / f"{NAME}.h").write_text(spec.header, encoding="utf-8")
        self.compiler.shared_library(source, folder / f"{NAME}.so", self.target.cflags)
        return Program(spec, folder / f"{NAME}.so", None, self.threads), recorder

    # -- checking ---------------------------------------------------------------------------------------------

    def _checked(
        self, recording: Recording, tasks: Sequence[int], number: int, directives: Directives
    ) -> float:
        """Runs one schedule of a program in a child process and compares; its seconds, infinite where they are too many.

        Raises IrkitError that names the schedule."""
        limit = max(LEAST_SECONDS, PATIENCE * self.once) if self.expected else None
        try:
            seconds, results, wrong = isolated(lambda: self._run(recording, tasks, number), limit)
        except Died as end:
            if end.late:
                return float("inf")
            raise self._fault(directives, "does not end well", end.reason, "results") from None
        if wrong is not None:
            raise self._fault(directives, "gives other numbers", *wrong)
        if not self.expected:
            self.expected, self.once = results, seconds
        return seconds

    def _run(
        self, recording: Recording, tasks: Sequence[int], number: int
    ) -> tuple[float, list[np.ndarray], tuple[str, str] | None]:
        """The seconds of one schedule, its results where none are known yet, and what is wrong with them."""
        recording.skipped[list(tasks)] = 1
        recording.skipped[tasks[number]] = 0
        runs = recording.run(1)[0]
        count = len(self.launch.results)
        arrays = list(recording.call.results[number * count : (number + 1) * count])
        seconds = float(runs[0].calls[tasks[number]].sum())
        return seconds, [] if self.expected else arrays, self._wrong(arrays)

    def _wrong(self, arrays: Sequence[np.ndarray]) -> tuple[str, str] | None:
        """What results are and what they should be, where that is not the same."""
        sizes = extent_sizes(self.kernel)
        terms = float(np.prod([float(sizes[a]) for a in reduced_axes(self.kernel)] or [1.0]))
        for found, expected in zip(arrays, self.expected, strict=bool(self.expected)):
            try:
                compare("", self.kernel, found, expected, _slack(expected, terms))  # pyright: ignore
            except IrkitError as fault:
                return fault.found or "", fault.expected or ""
        return None

    def _fault(self, directives: Directives, what: str, found: str, expected: str) -> IrkitError:
        return IrkitError(
            f'@{self.kernel.sym_name.data} {what} by the schedule "{"; ".join(directives)}"',
            self.launch,
            found=found,
            expected=expected + f', as by "{"; ".join(self.start)}"',
            hint="this is a fault of irkit, not of the program: please report it with both schedules",
        )


def whole_numbers(type_: TensorType, rng: np.random.Generator, sizes: dict[str, int]) -> np.ndarray:
    """Random data whose floats are whole numbers from -3 to 3."""
    array = random_array(type_, rng, sizes)
    if array.dtype.kind in "iubc":
        return array
    return np.asarray(rng.integers(-3, 4, array.shape)).astype(array.dtype)


def _kernel_name(number: int) -> str:
    return f"by_{number}"


def _slack(expected: np.ndarray, terms: float) -> float:
    """What the order of a sum of so many terms may change: its error grows like the root of their number."""
    eps = float(np.finfo(np.float64 if expected.dtype == np.float64 else np.float32).eps)
    values = expected.astype(np.float64)
    return 4 * terms**0.5 * eps * float(np.max(np.abs(values[np.isfinite(values)]), initial=0.0))


def _separate_calls(module: ModuleOp) -> None:
    """Puts a barrier before each call, so that no thread begins one while another is still in the one before."""
    for call in [op for op in module.walk() if isinstance(op, buffer.CallOp)]:
        block, before = call.parent, call.prev_op
        assert block is not None
        if before is not None and not isinstance(before, buffer.BarrierOp):
            block.insert_op_before(buffer.BarrierOp(), call)
