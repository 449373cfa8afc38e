"""Makes a module smaller for as long as it stays interesting.

Each reduction is tried on all of its targets at once, then on ever fewer (`irkit.delta`); then sizes; and all over again
until nothing more goes. The order is fixed, so that the same module and test give the same result.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from io import StringIO

from xdsl.dialects.builtin import ModuleOp
from xdsl.printer import Printer

from irkit import pipeline
from irkit.delta import minimal
from irkit.mlir_parser import parse_mlir
from irkit.reductions import REDUCTIONS, Reduction, sweep
from irkit.sizes import smaller_sizes
from lowering.verify import verify_module

Interesting = Callable[[ModuleOp], bool]


class OutOfTime(Exception):
    """The time for reducing is up."""


@dataclass
class Reducer:
    """Reduces `module`, which is interesting; it always holds the smallest one so far.

    `on_progress` is told what is tried next, `on_success` each smaller module. `tried` counts the candidates that were
    tested; those that do not verify are not among them.
    """

    module: ModuleOp
    interesting: Interesting
    time_limit: float | None = None
    on_progress: Callable[[str], None] = lambda _: None
    on_success: Callable[[ModuleOp], None] = lambda _: None
    tried: int = 0
    seen: set[str] = field(default_factory=set)
    sweeps: bool = True

    def run(self) -> None:
        """Reduces until nothing more goes, or the time is up, which raises OutOfTime."""
        self.end = None if self.time_limit is None else time.monotonic() + self.time_limit
        self.seen.add(str(self.module))
        clean = self._cleaned(self.module.clone())
        self.sweeps = str(clean) in self.seen or self._accept(clean)
        again = True
        while again:
            before = str(self.module)
            for reduction in REDUCTIONS:
                self._reduce(reduction)
            self._shrink()
            again = str(self.module) != before

    def _reduce(self, reduction: Reduction) -> None:
        """Takes as many targets away as go."""
        base = self.module
        count = sum(1 for _ in reduction.targets(base))

        def without(kept: list[int]) -> bool:
            self.on_progress(f"{reduction.name}: {len(kept)} of {count} stay")
            return self._accept(self._candidate(base, reduction, set(kept)))

        if count and not without([]):
            minimal(range(count), without)

    def _candidate(self, base: ModuleOp, reduction: Reduction, kept: set[int]) -> ModuleOp | None:
        """A copy without the targets that are not kept; None where that makes no sense."""
        module = base.clone()
        taken = [take for n, take in enumerate(reduction.targets(module)) if n not in kept]
        try:
            for take in reversed(taken):
                take()
        except (
            Exception
        ):  # a reduction that another one has made senseless; what is left of the copy is dropped
            return None
        return self._cleaned(module)

    def _cleaned(self, module: ModuleOp) -> ModuleOp:
        """The module without what nobody uses, unless that is what is interesting."""
        if self.sweeps:
            sweep(module)
        return module

    def _shrink(self) -> None:
        """Makes sizes smaller, one change at a time."""
        again = True
        while again:
            again = False
            for text in smaller_sizes(module_text(self.module)):
                self.on_progress("sizes")
                if again := self._accept(_read(text)):
                    break

    def _accept(self, candidate: ModuleOp | None) -> bool:
        """Takes a candidate where it is new, valid and interesting. Raises OutOfTime."""
        if self.end is not None and time.monotonic() > self.end:
            raise OutOfTime
        if candidate is None:
            return False
        try:
            text = str(candidate)
            if text in self.seen:
                return False
            self.seen.add(text)
            verify_module(candidate)
        except Exception:  # uses of what is gone, or types that do not fit
            return False
        self.tried += 1
        if not self.interesting(candidate):
            return False
        self.module = candidate
        self.on_success(candidate)
        return True


def _read(text: str) -> ModuleOp | None:
    try:
        return parse_mlir(pipeline.context(), text, "<candidate>")
    except Exception:  # sizes that contradict each other
        return None


def module_text(module: ModuleOp) -> str:
    """The text of a module with the places of its ops, which reading it back keeps."""
    out = StringIO()
    Printer(stream=out, print_debuginfo=True).print_op(module)
    return out.getvalue() + "\n"
