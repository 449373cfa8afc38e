"""What remarks claim is what the IR shows: groups, lanes, guards and copies are counted in both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from xdsl.dialects.builtin import ModuleOp, VectorType
from xdsl.ir import Operation

from dialects import buffer, kernel, loop
from irkit import pipeline
from irkit.api import read_module
from lowering.remarks import Remark, Remarks, listening
from tests.levels.programs import SMALL

PROGRAMS = {
    **SMALL,
    "prologues": "fn main(x: f32[8, 8], w: f32[8, 8]) -> (f32[8, 8], f32[8, 8]) { return relu(x) @ w, exp(x) @ -w }",
    "merged": "fn main(x: f32[8, 8], y: f32[8, 8]) -> f32[8] { return sum(exp(x) * 2 + tanh(y) * 3, axis=1) }",
    "views": """fn main(x: f32[8, 4]) -> (f32[4, 8], f32[8, 4]) {
  e = exp(transpose(tanh(x), [1, 0]))
  return e, transpose(e, [1, 0])
}""",
    "twice": "fn main(x: f32[8]) -> (f32[8], f32[8]) { y = exp(x) return y, y }".replace(
        " return", "\n return"
    ),
    "copies": """fn main(m: f32[9, 9], a: f32[9], b: f32[9], i: i32[3], u: f32[3], n: i32) -> (f32[9], f32[9], f32[9], f32[9]) {
  x = a
  for t in 0..n with x { x = m @ x }
  z = b
  for t in 0..n with z { z = z * 0.5 + 1 }
  h = exp(b)
  return x, z, scatter(h, i, u), tanh(m @ h)
}""",
}


@dataclass
class Heard(Remarks):
    """Keeps each remark as often as it is told."""

    every: list[Remark] = field(default_factory=list)

    def add(self, remark: Remark) -> None:
        self.every.append(remark)

    def count(self, text: str, kind: str) -> int:
        return sum(text in r.message and r.kind == kind for r in self.every)


def groups(module: ModuleOp, heard: Heard) -> None:
    """Kernels that start, less those that merge, are the groups."""
    started = heard.count("starts a kernel", "missed") + heard.count("starts a kernel", "analysis")
    gone = heard.count("become one", "applied") + heard.count("becomes the prologue", "applied")
    views = heard.count("is a kernel of its own, which copies", "missed")
    assert count(module, kernel.GroupOp) == started - gone + views


def launches(module: ModuleOp, heard: Heard) -> None:
    """A launch has a kernel of its own, or shares one."""
    kernels = count(module, kernel.DefOp)
    assert heard.count("of another place too", "applied") == count(module, kernel.LaunchOp) - kernels
    assert heard.count("holds ", "analysis") == kernels


def schedules(module: ModuleOp, heard: Heard) -> None:
    """Lanes are told of just the kernels whose schedule has them for results."""
    told = {r.op for r in heard.every if r.category == "vectorise" and r.kind == "applied"}
    for op in module.ops:
        if isinstance(op, kernel.DefOp) and op.schedule is not None:
            reduced = {a for r in op.block.ops if isinstance(r, kernel.ReduceOp) for a in r.axes}
            words = [d.split() for d in op.schedule.data]
            lanes = any(w[0] in ("vector", "whole") and w[1] not in reduced for w in words)
            assert (f"@{op.sym_name.data}" in told) == (lanes or any(w[0] == "tile" for w in words)), (
                op.schedule
            )


def nests(module: ModuleOp, heard: Heard) -> None:
    """Lanes are folded where that is told, and guards of vectors that stay are told of."""
    kept = [o for o in module.walk() if isinstance(o, loop.LoadOp) and o.guard]
    assert not any(isinstance(o.result.type, VectorType) for o in kept) or heard.count(" tests ", "missed")
    assert bool(count(module, loop.FoldOp)) == bool(heard.count("which are folded at the end", "applied"))


def copies(module: ModuleOp, heard: Heard) -> None:
    """Each copy is told of, and nothing else is called one."""
    told = sum(
        heard.count(text, "missed")
        for text in (
            "is copied first",
            "is copied before the loop",
            "is copied at the end of each round",
            "is copied to where the caller wants it",
        )
    )
    assert count(module, buffer.CopyOp) == told


CLAIMS: dict[str, Callable[[ModuleOp, Heard], None]] = {
    "graph-fuse": groups,
    "graph-outline": launches,
    "kernel-schedule": schedules,
    "kernel-to-loop": nests,
    "kernel-to-buffer": copies,
}


def count(module: ModuleOp, op_type: type[Operation]) -> int:
    return sum(isinstance(op, op_type) for op in module.walk())


@pytest.mark.parametrize("program", PROGRAMS)
def test_remarks_agree_with_the_ir(program: str):
    module = read_module(PROGRAMS[program] + "\n")[0]
    for step in pipeline.passes_to("graph", "buffer", "avx2"):
        heard = Heard()
        with listening(heard):
            pipeline.run_passes(module, [step])
        if step.name in CLAIMS:
            CLAIMS[step.name](module, heard)
