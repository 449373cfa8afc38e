"""Narrows a fault to a step and to the smallest part of the program that still shows it.

First the program as it is: the first step after which it errs (`irkit.faults`). Then the same steps on parts of it, with
the reference's values for inputs (`irkit.parts`): every op by itself, all of them in one program; inside a loop or a choice
that errs by itself, its body; and where no op errs by itself, the smallest group that errs together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Block, Operation

from dialects.errors import IrkitError, op_loc
from dialects.kernel import LaunchOp
from irkit import pipeline
from irkit.checking import default_sizes
from irkit.delta import minimal, shortest_prefix
from irkit.faults import AFTER_PASSES, COMPILER, Fault, Setup, find_fault
from irkit.isolation import Died, isolated
from irkit.parts import Env, Part, bodies, cut, ops_of, values_of

Say = Callable[[str], None]


@dataclass(frozen=True)
class Culprit:
    """A fault with the smallest part of the program that shows it, and the kernels that its ops are in.

    `whole` is the fault of the whole program, `fault` that of the part; `tries` counts the parts that were compiled.
    """

    whole: Fault
    fault: Fault
    part: Part
    kernels: tuple[str, ...]
    tries: int

    @property
    def error(self) -> IrkitError:
        """What a user reads."""
        ops, culprit = list(self.part.ops), self.whole.culprit
        verb = {"numbers": "changes the numbers of", "error": "fails on", "crash": "crashes on"}[
            self.fault.kind
        ]
        names = [op.name for op in ops]
        text = names[0] if len(ops) == 1 else f"{len(ops)} ops that run together: {', '.join(names[:5])}"
        text += ", ..." if len(ops) > 5 else ""
        found = self.fault.error.found or ""
        if self.fault.kind != "numbers":
            found = "\n".join(filter(None, [self.fault.error.message, found]))
        places = list(dict.fromkeys(str(place) for op in ops if (place := op_loc(op))))
        if len(ops) > 1:
            found += f"\n{places[0] if len(places) == 1 else ', '.join(places[:8])}; none of them alone"
        if self.kernels:
            found += f"\nin {'kernel' if len(self.kernels) == 1 else 'kernels'} {', '.join(self.kernels)}"
        return IrkitError(
            f"{culprit} {verb} {text}",
            ops[-1],
            found=found or None,
            expected=self.fault.error.expected,
            hint=HINT,
        )


HINT = "-o PART.mlir writes this part; irkit-opt PART.mlir --emit=c --print-ir-after-change shows what becomes of it"


def bisect(
    module: ModuleOp, setup: Setup, on_step: Say = lambda _: None, say: Say = lambda _: None
) -> Culprit | None:
    """What goes wrong with a module on given inputs, and where; None where nothing does.

    `on_step` is told the steps that went well, `say` what is tried then. Raises IrkitError where the module cannot be
    run.
    """
    whole = find_fault(module, setup, on_step)
    if whole is None:
        return None
    func = next(op for op in module.ops if isinstance(op, FuncOp))
    return _Search(module, func, setup, whole, say).run()


class _Search:
    """Looks for the smallest part; `tries` counts."""

    def __init__(self, module: ModuleOp, func: FuncOp, setup: Setup, whole: Fault, say: Say):
        self.module, self.func, self.whole, self.say = module, func, whole, say
        self.tries = 0
        self.sizes = {**default_sizes(func), **setup.sizes}
        ends_early = whole.step not in AFTER_PASSES and whole.step != "buffer-place-barriers"
        number = len(whole.passed)
        first = number if whole.kind == "numbers" else 0
        self.setup = replace(setup, first=first, last=number if ends_early else None, sizes=self.sizes)
        self.env: Env = {}

    def run(self) -> Culprit:
        inputs = self.setup.inputs
        assert inputs is not None
        self.env = dict(zip(self.func.body.block.args, inputs.values(), strict=True))
        if self.whole.step in AFTER_PASSES:
            self.without_optimiser()
        found = self.block(self.func.body.block, self.env)
        if found is None:  # parts of it do not show the fault: all of it does
            part = cut(self.func, ops_of(self.func.body.block))
            found = part, self.whole
        part, fault = found
        return Culprit(self.whole, fault, part, self.kernels(part.ops), self.tries)

    def without_optimiser(self) -> None:
        """Goes on with -O0 where that shows the fault: it compiles faster, and clears the C compiler of suspicion."""
        setup = replace(self.setup, cflags=("-O0",))
        if self.whole.resembles(find_fault(self.module, setup)):
            self.setup = setup
        elif self.whole.step != COMPILER:
            self.say(
                "with -O0 the program is right: the C compiler errs, or the C text asks for what C leaves open"
            )

    def block(self, block: Block, known: Env) -> tuple[Part, Fault] | None:
        """The smallest part of a block that errs."""
        ops = ops_of(block)
        if not ops:
            return None
        try:
            env = isolated(lambda: self.values(block, known), self.setup.seconds)
        except (Died, IrkitError):
            return None
        everything = {**known, **dict(zip((r for op in ops for r in op.results), env, strict=True))}
        self.say(f"looking at {len(ops)} ops by themselves")
        return self.alone(ops, everything) or self.together(ops, everything)

    def values(self, block: Block, known: Env) -> list[np.ndarray]:
        """The reference's values of what the ops of a block make, in order."""
        found = values_of(self.func, block, known, self.sizes)
        return [found[r] for op in ops_of(block) for r in op.results]

    def test(self, part: Part, env: Env) -> Fault | None:
        """The fault of a part, where it is the one that is looked for."""
        self.tries += 1
        try:
            fault = find_fault(part.module, replace(self.setup, inputs=part.arrays(env)))
        except IrkitError:  # the part does not run by itself
            return None
        return fault if self.whole.resembles(fault) else None

    def alone(self, ops: Sequence[Operation], env: Env) -> tuple[Part, Fault] | None:
        """The first op that errs by itself, or what errs inside of it."""
        whole = cut(self.func, ops, apart=True)
        fault = self.test(whole, env)
        if fault is None:
            return None
        if fault.kind == "numbers":
            owners = {whole.results[n].owner: None for n in fault.results}
            candidates = [op for op in ops if op in owners]
        else:
            candidates = shortest_prefix(
                ops, lambda some: self.test(cut(self.func, some, True), env) is not None
            )[-1:]
        for op in candidates:
            part = cut(self.func, [op])
            if (found := self.test(part, env)) is not None:
                return self.inside(op, env) or (part, found)
        return None

    def inside(self, op: Operation, env: Env) -> tuple[Part, Fault] | None:
        """What errs inside a loop or a choice."""
        for block, known in bodies(op, self.func, env, self.sizes):
            if (found := self.block(block, known)) is not None:
                return found
        return None

    def together(self, ops: Sequence[Operation], env: Env) -> tuple[Part, Fault] | None:
        """The smallest group that errs."""

        def shows(some: Sequence[Operation]) -> bool:
            return bool(some) and self.test(cut(self.func, some), env) is not None

        if not shows(ops):
            return None
        self.say("no op errs by itself: looking for the smallest group that does")
        some = shortest_prefix(ops, shows)
        some = list(reversed(shortest_prefix(some[::-1], lambda tail: shows(tail[::-1]))))
        some = minimal(some, shows)
        part = cut(self.func, some)
        fault = self.test(part, env)
        return None if fault is None else (part, fault)

    def kernels(self, ops: Sequence[Operation]) -> tuple[str, ...]:
        """The kernels of the whole program that hold some ops; none where it does not come as far."""
        if any(isinstance(op, LaunchOp) for op in ops):
            return tuple(dict.fromkeys(o.callee.root_reference.data for o in ops if isinstance(o, LaunchOp)))
        try:
            return isolated(lambda: _kernels(self.module, ops, self.setup), self.setup.seconds)
        except Exception:
            return ()


def _kernels(module: ModuleOp, ops: Sequence[Operation], setup: Setup) -> tuple[str, ...]:
    """Follows numbered ops into the kernels that they become part of; changes the module."""
    from irkit.page.marks import Marks, number_ops

    number_ops(module)
    marks = Marks()
    numbers = {n for op in ops for inner in op.walk() for n in marks.read(inner.location).ops}
    passes = pipeline.passes_to("graph", "kernel", setup.target, setup.cc)
    stop = [p.name for p in passes].index("graph-outline") + 1
    pipeline.run_passes(module, passes[:stop], pipeline.context())
    marks.see_kernels(module)
    return tuple(dict.fromkeys(k for n in sorted(numbers) for k in marks.kernels_of_op.get(n, ())))
