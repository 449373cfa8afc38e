"""The first thing that goes wrong on the way of a module to numbers: which step, and how.

The steps are the standard passes, the C text, the C compiler, and the compiled program. All of it runs in a child
process, so that a step that crashes or does not end is an answer like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from mmap import mmap

import numpy as np
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass
from xdsl.utils.exceptions import DiagnosticException, ParseError

from dialects.errors import ErrorList, IrkitError
from irkit import pipeline
from irkit.checking import Checker
from irkit.isolation import Died, isolated
from irkit.mlir_parser import errors_of
from irkit.pass_manager import PassManager, Watch, crash
from irkit.pipeline_text import Step
from lowering.c.abi import ProgramSpec

TEXT, COMPILER, PROGRAM = "the C text", "the C compiler", "the compiled program"
AFTER_PASSES = (TEXT, COMPILER, PROGRAM)

SECONDS = 300.0
"""What all steps together may take."""


@dataclass(frozen=True)
class Fault:
    """What went wrong first. `kind` is numbers, error or crash; `results` are the places of the results that differ.

    `step` is the name of a pass, or one of `AFTER_PASSES`. `passed` are the steps before it.
    """

    step: str
    kind: str
    error: IrkitError
    results: tuple[int, ...] = ()
    passed: tuple[str, ...] = ()

    def resembles(self, other: Fault | None) -> bool:
        """Whether another fault is of the same kind, in the same step."""
        return other is not None and (self.step, self.kind) == (other.step, other.kind)

    @property
    def culprit(self) -> str:
        """The step as a message names it."""
        return self.step if self.step in AFTER_PASSES else f"pass '{self.step}'"


@dataclass(frozen=True)
class Setup:
    """How a module is compiled and judged.

    Numbers are compared from the step numbered `first` on, and `last` is the step to end after, None for all. `cflags` go
    to the C compiler after all others.
    """

    target: str = "native"
    cc: str = "gcc"
    seed: int = 0
    cflags: tuple[str, ...] = ()
    first: int = 0
    last: int | None = None
    seconds: float = SECONDS
    inputs: Mapping[str, np.ndarray] | None = field(default=None, repr=False)
    sizes: Mapping[str, int] = field(default_factory=dict)


def steps_of(module: ModuleOp, setup: Setup) -> list[ModulePass]:
    """The passes from the level of a module down."""
    return pipeline.passes_to(pipeline.level_of(module), "buffer", setup.target, setup.cc)


def find_fault(module: ModuleOp, setup: Setup, on_step: Callable[[str], None] | None = None) -> Fault | None:
    """What goes wrong first; None where nothing does. The module stays as it is. Raises IrkitError where the module
    itself cannot be run."""
    # The child counts in shared memory, each step and then its check: when it dies, the count tells where it was.
    at = mmap(-1, 2)
    passes = steps_of(module, setup)
    names = [p.name for p in passes] + list(AFTER_PASSES)

    def count(number: int) -> None:
        at[:] = (number + 1).to_bytes(2, "little")

    def work() -> Fault | None:
        return _Run(module, setup, passes, names, count).run()

    try:
        found = isolated(work, setup.seconds)
    except Died as end:
        number, checks = divmod(int.from_bytes(at[:], "little") - 1, 2)
        if number < 0 or (checks and end.late):
            raise IrkitError(
                "the reference takes too long" if end.late else "the reference does not end well",
                module,
                found=end.reason,
                hint="give dims smaller sizes (--dim), and loops fewer rounds (--input)",
            ) from None
        hint = "this is a fault of irkit" if number < len(passes) else None
        error = IrkitError(f"{names[number]} does not end well", module, found=end.reason, hint=hint)
        found = Fault(names[number], "crash", error, (), tuple(names[:number]))
    for name in (names if found is None else found.passed) if on_step else ():
        assert on_step is not None
        on_step(name)
    return found


class _Run:
    """One way through the steps, in the child."""

    def __init__(
        self,
        module: ModuleOp,
        setup: Setup,
        passes: Sequence[ModulePass],
        names: Sequence[str],
        count: Callable[[int], None],
    ):
        self.module, self.setup, self.passes, self.names, self.count = module, setup, passes, names, count
        self.checker = Checker(setup.seed, setup.cc, setup.target, setup.cflags)
        self.spec: ProgramSpec | None = None
        self.number = 0

    def run(self) -> Fault | None:
        inputs = None if self.setup.inputs is None else dict(self.setup.inputs)
        self.checker.start(self.module, inputs, self.setup.sizes)
        steps: list[Callable[[], Fault | None]] = [lambda p=p: self._pass(p) for p in self.passes]
        for number, step in enumerate([*steps, self._emit, self._compile, self._execute]):
            self.number = number
            self.count(2 * number)
            if (fault := step()) is not None:
                return Fault(fault.step, fault.kind, fault.error, fault.results, tuple(self.names[:number]))
            if number == self.setup.last:
                break
        return None

    def _pass(self, run: ModulePass) -> Fault | None:
        manager = PassManager(pipeline.context(), Watch(verify=False))

        def work() -> None:
            manager.run(self.module, [Step(run)])
            manager.verify(self.module, run.name)
            pipeline.check_level(self.module, run.name)

        if (fault := self._guarded(run.name, work)) is not None or self.number < self.setup.first:
            return fault
        return self._compared(run.name, run.name)

    def _compared(
        self, step: str, blame: str, compiled: bool = False, threads: int | None = None
    ) -> Fault | None:
        """The fault where numbers are not what they should be, or cannot be computed."""
        if not compiled:
            self.count(2 * self.number + 1)
        culprit = blame if blame in AFTER_PASSES else f"pass '{blame}'"
        try:
            wrong = self.checker.differences(self.module, culprit, compiled, threads)
        except Exception as fault:
            error = fault if isinstance(fault, IrkitError) else crash(f"what {culprit} leaves", fault)
            return Fault(step, "crash" if compiled else "error", error)
        if not wrong:
            return None
        return Fault(blame, "numbers", wrong[0].error, tuple(w.number for w in wrong))

    def _emit(self) -> Fault | None:
        from lowering.c.emit import emit_program
        from lowering.target import get_target

        def emit() -> None:
            self.spec = emit_program(self.module, get_target(self.setup.target, self.setup.cc), "checked")

        return self._guarded(TEXT, emit)

    def _compile(self) -> Fault | None:
        from irkit.runtime import cache
        from irkit.runtime.compiler import find_compiler
        from lowering.target import get_target

        flags = (*get_target(self.setup.target, self.setup.cc).cflags, *self.setup.cflags)
        assert self.spec is not None
        spec = self.spec
        return self._guarded(COMPILER, lambda: cache.library(spec, find_compiler(self.setup.cc), flags))

    def _execute(self) -> Fault | None:
        """The numbers of the compiled program; by one thread where several give others, which barriers are for."""
        fault = self._compared(PROGRAM, TEXT, True)
        if fault is None or not any(op.name == "buffer.barrier" for op in self.module.walk()):
            return fault
        barriers = "buffer-place-barriers"
        return self._compared(PROGRAM, TEXT, True, 1) or Fault(
            barriers, fault.kind, fault.error, fault.results
        )

    def _guarded(self, step: str, work: Callable[[], object]) -> Fault | None:
        try:
            work()
        except (IrkitError, ErrorList, ParseError, DiagnosticException) as fault:
            return Fault(step, "error", errors_of(fault, "<input>")[0])
        except Exception as fault:
            return Fault(step, "error", crash(step, fault))
        return None
