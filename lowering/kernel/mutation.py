"""Other legal schedules of a kernel: drawn at random, or one directive away from a given one.

Every legal schedule gives the same numbers, but for the rounding of sums. `refusal` is the judge of what is legal: it
lowers the kernel, so that what it accepts compiles. `Bounds` keeps a search away from what is legal and of no use: tiles
that fit into no registers, and sums that round more than those of the schedule it began with.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod

import numpy as np

from dialects.errors import IrkitError
from dialects.kernel import DefOp, ExternOp, ReduceOp, ScheduleAttr
from lowering.kernel.contraction import Contraction, contractions
from lowering.kernel.cost import LONG_SUM, extent_sizes
from lowering.kernel.fields import reduced_axes
from lowering.loop.contraction import can_pack
from lowering.loop.kernel_to_loop import lower_kernel
from lowering.schedule import Schedule, parse_schedule
from lowering.target import Target

Directives = tuple[str, ...]

SPILLS = 4
"""How many times more points than registers hold are worth a try: not all that is taken at once is live at once."""

START_SIZES = {"tile": 4, "vector": 8, "split": 64}
"""Of directives that a schedule has not had."""


def schedulable(kernel: DefOp) -> bool:
    """Whether a schedule decides how a kernel runs: it is not C text written by hand."""
    return kernel.in_axes_form and not any(isinstance(op, ExternOp) for op in kernel.block.ops)


def packable(kernel: DefOp) -> Contraction | None:
    """The contraction of a kernel that the tiled and packed nest covers."""
    return next((c for c in contractions(kernel) if can_pack(kernel, c)), None)


def refusal(kernel: DefOp, directives: Sequence[str]) -> IrkitError | None:
    """Why a kernel cannot run by a schedule; None where it can. The kernel stays as it is."""
    other = kernel.clone()
    other.properties["schedule"] = ScheduleAttr(tuple(directives))
    try:
        lower_kernel(other)
    except IrkitError as fault:
        return fault
    return None


# -- drawn at random ----------------------------------------------------------------------------------------------


def random_schedule(kernel: DefOp, rng: np.random.Generator) -> Directives:
    """Directives that mean something for a kernel, good or not; a few of them are refused when it is lowered."""

    def pick(*choices: int | str) -> str:
        return str(rng.choice(np.array(choices, object)))

    c = packable(kernel)
    if c is not None and rng.random() < 0.6:
        (j,), (k,) = c.n, c.k
        packs = (("lhs", "rhs"), ("lhs",), ("rhs",)) if c.m else (("rhs",), ())
        out = [f"pack {side}" for side in packs[rng.integers(len(packs))]]
        out += [f"tile {i} {pick(1, 3, 6, 14, 20)}" for i in c.m]
        out += [f"tile {j} {pick(1, 3, 8, 32, 64)}"]
        least = len(out)
        out += [f"parallel {pick(*c.m, j, *c.batch)}", f"split {k} {pick(1, 5, 16, 100)}"]
        out += [f"split {i} {pick(1, 5, 16, 100)}" for i in c.m]
        return tuple(out[: rng.integers(least, len(out) + 1)])
    reduced = reduced_axes(kernel)
    axes = list(kernel.extents())
    free = [a for a in axes if a not in reduced]
    out = [f"order {' '.join(rng.permutation(axes))}"] if axes and rng.random() < 0.5 else []
    out += [f"parallel {pick(*free)}"] if free and rng.random() < 0.5 else []
    out += ["stream"] if rng.random() < 0.2 else []
    for axis in axes:
        if axis in reduced:
            out += [f"vector {axis} {pick(1, 2, 4, 16, 64)}"] if rng.random() < 0.5 else []
            out += [f"split {axis} {pick(1, 3, 16, 100)}"] if rng.random() < 0.5 else []
        elif rng.random() < 0.5:
            whole = "whole " + axis if (kernel.extents()[axis].value or 8) < 8 else f"tile {axis} 4"
            out.append(pick(f"tile {axis} {pick(1, 2, 3)}", f"vector {axis} {pick(1, 3, 16)}", whole))
    tiled = {d.split()[1] for d in out if d.startswith("tile")}
    if c is not None and {*c.m, *c.n} <= tiled:  # a register tile, of its rows and columns alone
        out = [d for d in out if not d.startswith("tile") or d.split()[1] in (*c.m, *c.n)]
    return tuple(out)


# -- one directive away -------------------------------------------------------------------------------------------


def neighbours(kernel: DefOp, directives: Directives, lanes: int = 8) -> list[Directives]:
    """The schedules that differ from one in a directive: left out, added, or of another size, axis or kind. Not all of
    them are legal."""
    found: dict[Directives, None] = {}
    for place, text in enumerate(directives):
        before, after = directives[:place], directives[place + 1 :]
        found[(*before, *after)] = None
        for other in _others(kernel, text, lanes):
            found[(*before, other, *after)] = None
    for more in _additions(kernel, directives):
        found[(*directives, more)] = None
    found.pop(directives, None)
    return list(found)


def _others(kernel: DefOp, text: str, lanes: int) -> Iterator[str]:
    """What may stand in the place of a directive."""
    verb, *words = text.split()
    if verb == "order":
        for first, second in pairwise(range(len(words))):
            swapped = list(words)
            swapped[first], swapped[second] = words[second], words[first]
            yield f"order {' '.join(swapped)}"
    elif verb in ("parallel", "whole"):
        yield from (f"{verb} {axis}" for axis in kernel.extents() if axis != words[0])
    elif verb in START_SIZES:
        axis, size = words[0], int(words[1])
        extent = extent_sizes(kernel)[axis]
        yield from (f"{verb} {axis} {other}" for other in _sizes(size, extent, lanes))
        if verb == "vector":
            yield from (f"vector {other} {size}" for other in kernel.extents() if other != axis)
        if verb != "split":
            yield f"{'tile' if verb == 'vector' else 'vector'} {axis} {size}"


def _sizes(size: int, extent: int, lanes: int) -> list[int]:
    """Sizes near one: half and double, a point or some lanes more or less, and those that cut the extent evenly."""
    parts = max(1, round(extent / size))
    even = {-(-extent // n) for n in (1, 2, parts - 1, parts, parts + 1) if n > 0}
    near = {size // 2, size * 2, size - 1, size + 1, size - lanes, size + lanes}
    return sorted(n for n in near | even if 1 <= n <= 2 * extent and n != size)


def _additions(kernel: DefOp, directives: Directives) -> Iterator[str]:
    """Directives that a schedule lacks."""
    held = {tuple(text.split()[:2]) for text in directives}
    verbs = {verb for verb, *_ in held}
    axes, reduced = kernel.extents(), reduced_axes(kernel)
    free = [a for a in axes if a not in reduced]
    if packable(kernel) is not None:
        yield from (f"pack {side}" for side in ("lhs", "rhs") if ("pack", side) not in held)
    for axis in axes:
        shaped = any((verb, axis) in held for verb in ("tile", "vector", "whole"))
        if not shaped:
            yield f"vector {axis} {START_SIZES['vector']}"
            yield from (f"tile {axis} {START_SIZES['tile']}", f"whole {axis}") if axis in free else ()
        if ("split", axis) not in held:
            yield f"split {axis} {START_SIZES['split']}"
    if "parallel" not in verbs:
        yield from (f"parallel {axis}" for axis in free)
    if "order" not in verbs and len(free) > 1:
        yield f"order {' '.join(reversed(free))}"
        yield f"order {' '.join((*free[1:], free[0]))}"


# -- what is worth a try ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bounds:
    """What a search keeps to: `points` taken at once, and a `chain` of additions one after another."""

    points: int
    chain: int

    @staticmethod
    def around(kernel: DefOp, start: Sequence[str], target: Target) -> Bounds:
        """The bounds of a search that begins with a schedule."""
        schedule = parse_schedule(kernel, start)
        fits = SPILLS * target.registers * max(1, target.vector_bytes // 4)
        return Bounds(
            max(fits, _points(kernel, schedule)), max(LONG_SUM, 2 * longest_chain(kernel, schedule))
        )

    def admit(self, kernel: DefOp, directives: Sequence[str]) -> bool:
        """Whether a schedule is legal and within the bounds."""
        try:
            schedule = parse_schedule(kernel, directives)
        except IrkitError:
            return False
        within = _points(kernel, schedule) <= self.points and longest_chain(kernel, schedule) <= self.chain
        return within and refusal(kernel, directives) is None


def _points(kernel: DefOp, schedule: Schedule) -> int:
    sizes = extent_sizes(kernel)
    taken = (*schedule.tile.values(), *schedule.vector.values(), *(sizes[a] for a in schedule.whole))
    return prod(taken)


def longest_chain(kernel: DefOp, schedule: Schedule) -> int:
    """The most additions of a reduction that follow one another, on which the error of a sum depends."""
    sizes = extent_sizes(kernel)
    reduced = reduced_axes(kernel)
    in_lanes = not any(a not in reduced for a in schedule.vector)
    longest = 1
    for op in kernel.block.ops:
        if not isinstance(op, ReduceOp):
            continue
        inside = blocks = 1
        for axis in op.axes:
            lanes = schedule.vector.get(axis, 1) if in_lanes else 1
            terms = -(-sizes[axis] // lanes)
            block = min(terms, -(-schedule.split.get(axis, sizes[axis]) // lanes))
            inside *= block
            blocks *= -(-terms // block)
        longest = max(longest, inside + blocks)
    return longest
