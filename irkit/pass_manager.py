"""Runs a pipeline and looks at the IR between its passes: verification, timing, statistics, what changed."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import unified_diff
from io import StringIO
from typing import TYPE_CHECKING

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation
from xdsl.passes import ModulePass
from xdsl.printer import Printer
from xdsl.rewriter import InsertPoint, Rewriter
from xdsl.traits import SymbolOpInterface
from xdsl.utils.exceptions import DiagnosticException, ParseError, ShrinkException

from dialects.errors import ErrorList, IrkitError, beyond_limits
from irkit.collector import paused
from irkit.pipeline import check_level, level_of
from irkit.pipeline_text import Step
from lowering.remarks import Remarks, listening
from lowering.verify import verify_module

if TYPE_CHECKING:
    from irkit.checking import Checker

KNOWN_FAULTS = (IrkitError, ErrorList, DiagnosticException, ParseError, ShrinkException)
"""Exceptions that tell of the input; any other one that leaves a pass is a fault of the pass."""


@dataclass(frozen=True)
class Watch:
    """What to do between passes. Empty filters mean every pass and every function."""

    verify: bool = True
    verify_each: bool = False
    checker: Checker | None = None
    print_between: bool = False
    print_changes: bool = False
    filter_passes: frozenset[str] = frozenset()
    filter_functions: frozenset[str] = frozenset()
    generic: bool = False
    debug_info: bool = False
    remarks: Remarks | None = None
    reraise: bool = False
    before_step: Callable[[ModuleOp, Step], None] | None = None


@dataclass
class PassManager:
    """Runs passes on modules; `seconds` and `stats` are kept, by pass, over all of them."""

    ctx: Context
    watch: Watch = field(default_factory=Watch)
    seconds: dict[str, float] = field(default_factory=dict)
    stats: dict[str, dict[str, int]] = field(default_factory=dict)

    def run(self, module: ModuleOp, steps: Sequence[Step]) -> None:
        """Runs the steps in order. IR is verified first, last and at each change of level.

        Raises IrkitError or ErrorList; those name the pass that broke the IR.
        """
        watch = self.watch
        if watch.verify:
            self.verify(module)
        if watch.checker is not None and steps:
            watch.checker.start(module)
        for number, step in enumerate(steps):
            name, last = step.run.name, number == len(steps) - 1
            level = level_of(module)
            shown = watch.print_changes and (not watch.filter_passes or name in watch.filter_passes)
            before = self.text(module) if shown else ""
            if watch.before_step is not None:
                watch.before_step(module, step)
            self._run_step(module, step)
            if shown:
                self._print_change(name, before, self.text(module))
            if watch.verify and (watch.verify_each or last or level != level_of(module)):
                self.verify(module, name)
            if watch.verify and not step.path:
                check_level(module, name)
            if watch.checker is not None:
                with self.timed("check"):
                    watch.checker.after(module, name)
            if watch.print_between and not last and (not watch.filter_passes or name in watch.filter_passes):
                print(f"IR after {name}:\n{self.text(module)}\n\n\n")

    def verify(self, module: ModuleOp, after: str | None = None) -> None:
        """Checks the IR; a fault after a pass names the pass."""
        try:
            with self.timed("verify"):
                verify_module(module)
        except ErrorList as faults:
            if after is None:
                raise
            blame = f"the IR is not valid after '{after}' (and the passes since the last check)"
            raise ErrorList([_blamed(error, blame) for error in faults.errors]) from None

    def _run_step(self, module: ModuleOp, step: Step) -> None:
        for op in _targets(module, step.path):
            watched = listening(self.watch.remarks)
            with _as_module(op) as unit, self.timed(step.run.name), paused(), watched:
                try:
                    step.run.apply(self.ctx, unit)
                except KNOWN_FAULTS:
                    raise
                except Exception as fault:
                    if self.watch.reraise:
                        raise
                    raise crash(f"pass '{step.run.name}'", fault) from fault
            self._collect_stats(step.run)

    def _collect_stats(self, run: ModulePass) -> None:
        counts: dict[str, int] = getattr(run, "stats", {})
        total = self.stats.setdefault(run.name, {})
        for name, count in counts.items():
            total[name] = total.get(name, 0) + count

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Adds the time that a block takes to a row of the timing table."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    def text(self, module: ModuleOp) -> str:
        """The module as text, or of it only the functions that the filter names."""
        names = self.watch.filter_functions
        ops = [module] if not names else _functions(module, names)
        out = StringIO()
        for op in ops:
            printer = Printer(
                stream=out, print_generic_format=self.watch.generic, print_debuginfo=self.watch.debug_info
            )
            printer.print_op(op)
            out.write("\n")
        return out.getvalue()

    def _print_change(self, name: str, before: str, after: str) -> None:
        if before == after:
            print(f"// -- no change by {name} --", file=sys.stderr)
            return
        lines = unified_diff(
            before.splitlines(), after.splitlines(), f"before {name}", f"after {name}", lineterm="", n=3
        )
        print("\n".join(lines), file=sys.stderr)

    def timing_table(self) -> str:
        """Wall time of each pass in seconds, and its share."""
        total = sum(self.seconds.values())
        rows = [f"{s:10.4f} {100 * s / total if total else 0.0:6.1f}%  {n}" for n, s in self.seconds.items()]
        return "\n".join(
            [f"{'seconds':>10} {'share':>7}  pass", *rows, f"{total:10.4f} {100.0:6.1f}%  total"]
        )

    def stats_table(self) -> str:
        """What each pass counted."""
        rows = [f"{n:10d}  {run}: {stat}" for run, stats in self.stats.items() for stat, n in stats.items()]
        return "\n".join([f"{'count':>10}  pass: statistic", *rows])


def crash(where: str, fault: Exception) -> IrkitError:
    """An unforeseen exception as an error that asks for a report; a limit of the machine is the program's fault."""
    if (limit := beyond_limits(fault)) is not None:
        limit.message += f" in {where}"
        return limit
    return IrkitError(
        f"{where} failed: {type(fault).__name__}: {fault}",
        hint="this is a fault of irkit: please report it with the input; --debug shows the traceback",
    )


def _blamed(error: IrkitError, blame: str) -> IrkitError:
    return IrkitError(
        f"{error.message}; {blame}", error.loc, found=error.found, expected=error.expected, hint=error.hint
    )


def _functions(module: ModuleOp, names: Collection[str]) -> list[Operation]:
    found: list[Operation] = []
    for op in module.walk():
        trait = op.get_trait(SymbolOpInterface)
        if trait is not None and (name := trait.get_sym_attr_name(op)) is not None and name.data in names:
            found.append(op)
    return found


def _targets(module: ModuleOp, path: Sequence[str]) -> list[Operation]:
    ops: list[Operation] = [module]
    for anchor in path:
        ops = [
            child
            for op in ops
            for region in op.regions
            for block in region.blocks
            for child in block.ops
            if child.name == anchor
        ]
    return ops


@contextmanager
def _as_module(op: Operation) -> Iterator[ModuleOp]:
    """An op as the only content of a module, for as long as a pass runs on it; then all of it goes back."""
    if isinstance(op, ModuleOp):
        yield op
        return
    block, after = op.parent, op.next_op
    assert block is not None
    op.detach()
    unit = ModuleOp([op])
    try:
        yield unit
    finally:
        ops = list(unit.body.block.ops)
        for inner in ops:
            inner.detach()
        point = InsertPoint.before(after) if after is not None else InsertPoint.at_end(block)
        Rewriter.insert_op(ops, point)
