"""The tester is tested: compilers with a fault planted in them are found out by random graphs."""

from __future__ import annotations

import multiprocessing
import os
import re
import resource
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from xdsl.ir import Operation, SSAValue

from dialects.dims import Dim, dmin
from dialects.kernel import DefOp
from lowering.buffer import places
from lowering.buffer.barriers import BufferPlaceBarriers
from lowering.buffer.planner import Interval, Plan
from lowering.c import scalars
from lowering.graph import cse
from lowering.kernel import graph_to_kernel
from lowering.kernel.rules import movement, reduction
from lowering.loop import nest, pointwise
from lowering.loop.peeling import Interior
from tests.random_graphs import check as checking
from tests.random_graphs.generate import Batch

Patch = pytest.MonkeyPatch
LIMIT = 20.0
"""Seconds of a processor that a batch may take, beside those of compilers; it takes about three."""

SEEDS = range(1, 24)


def wrong_stride(patch: Patch) -> None:
    """A slice with a stride is read one element after another."""
    right = movement.SliceOp.ranges

    def ranges(type_: object, values: object) -> list:
        return [(start, size, 1) for start, size, _ in right(type_, values)]  # pyright: ignore

    patch.setattr(movement.SliceOp, "ranges", staticmethod(ranges))


def lost_tail(patch: Patch) -> None:
    """Of a vector that is not full the last lane is left out."""
    right = nest.Nest.valid

    def valid(self: nest.Nest, shape: nest.Shape) -> list[Dim] | None:
        found = right(self, shape)
        return None if found is None else [*found[:-1], found[-1] - 1]

    patch.setattr(nest.Nest, "valid", valid)


def in_place_hazard(patch: Patch) -> None:
    """A result takes the memory of an operand that is read elsewhere than where the result is written."""

    def alias(block: object, position: int, taken: set) -> int | None:
        target = block.args[position]  # pyright: ignore
        return next(
            (i for i, a in enumerate(block.args[:position]) if i not in taken and a.type == target.type), None
        )  # pyright: ignore

    patch.setattr(graph_to_kernel, "_alias", alias)


def lost_nan(patch: Patch) -> None:
    """max gives the number where one of two is NaN."""
    right = scalars.scalar

    def scalar(op: object, args: list[str]) -> str:
        return right(op, args).replace("irk_max_f32", "fmaxf")  # pyright: ignore

    patch.setattr("lowering.c.function.scalar", scalar)
    patch.setattr("lowering.c.function.FUNCTIONS", {k: v for k, v in scalars.FUNCTIONS.items() if v != "max"})


def wrong_neutral(patch: Patch) -> None:
    """A maximum starts from zero."""
    right = reduction.operator
    patch.setattr(
        reduction,
        "operator",
        lambda kind, element: (right(kind, element)[0], 0 if kind == "max" else right(kind, element)[1]),
    )


def overlapping_arrays(patch: Patch) -> None:
    """Every array of the arena begins at its first byte."""
    right = places.plan

    def plan(intervals: list[Interval]) -> Plan:
        placed = right(intervals)
        return Plan(tuple(0 for _ in placed.offsets), placed.peak_bytes, placed.lower_bound_bytes)

    patch.setattr(places, "plan", plan)


def too_equal(patch: Patch) -> None:
    """Ops with other parameters count as equal."""
    right = cse.Keys.key

    def key(self: cse.Keys, op: Operation, values: Sequence[SSAValue] | None = None) -> object:
        found = right(self, op, values)
        return (found[0], found[1], (), found[3], found[4])  # pyright: ignore

    patch.setattr(cse.Keys, "key", key)


def guard_forgotten(patch: Patch) -> None:
    """The part of a loop in which all reads are inside their arrays is one point too long."""
    right = pointwise.interior

    def interior(kernel: DefOp, axis: str, extent: Dim, around: nest.Nest) -> Interior | None:
        found = right(kernel, axis, extent, around)
        return None if found is None else replace(found, high=dmin(found.high + 1, extent))

    patch.setattr(pointwise, "interior", interior)


def _plain_cast(found: re.Match[str]) -> str:
    return f"({'u' if found[1] == 'u' else ''}int{found[2]}_t)(int64_t)"


def saturation_lost(patch: Patch) -> None:
    """A float is made an integer by C's own cast."""
    right = scalars._RULES[scalars.FloatToIntOp]

    def cast(op: object, args: list[str]) -> str:
        text = right(op, args)  # pyright: ignore
        return re.sub(r"irk_f(?:16|32|64)_to_([iu])(8|16|32)", _plain_cast, text)

    patch.setitem(scalars._RULES, scalars.FloatToIntOp, cast)


def operands_swapped(patch: Patch) -> None:
    """b - a for a - b, on vectors only."""
    patch.setitem(scalars.INFIX, next(op for op in scalars.INFIX if op.name == "arith.divf"), "*")


def late_update(patch: Patch) -> None:
    """An update at a place outside the array hits the nearest element."""
    right = nest.Nest._compare

    def compare(self: nest.Nest, predicate: str, a: SSAValue, b: SSAValue, shape: nest.Shape) -> SSAValue:
        return (
            right(self, predicate, b, b, shape) if predicate == "eq" else right(self, predicate, a, b, shape)
        )

    patch.setattr(nest.Nest, "_compare", compare)


def missing_barriers(patch: Patch) -> None:
    """No thread waits for another between kernels."""
    patch.setattr(BufferPlaceBarriers, "apply", lambda self, ctx, op: None)


BUGS: tuple[Callable[[Patch], None], ...] = (
    wrong_stride,
    lost_tail,
    in_place_hazard,
    lost_nan,
    wrong_neutral,
    overlapping_arrays,
    too_equal,
    guard_forgotten,
    saturation_lost,
    operands_swapped,
    late_update,
    missing_barriers,
)


def shows(seed: int) -> bool:
    """Whether a batch of graphs goes wrong: in a process of its own, since a fault may also crash it or run for ever."""
    child = multiprocessing.get_context("fork").Process(target=_check, args=(seed,))
    child.start()
    child.join(10 * LIMIT)  # others may be at work too
    if child.is_alive():
        child.kill()
        child.join()
    return child.exitcode != 0


def _check(seed: int) -> None:
    warnings.simplefilter("ignore")
    limit = int(time.process_time() + LIMIT)
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
    try:
        checking.check(Batch(seed).grow(20, 8), "gcc", "-O1", teams=[1])
    except AssertionError:
        os._exit(1)
    os._exit(0)


def test_without_a_bug_nothing_shows():
    assert not any(map(shows, SEEDS[:2]))


@pytest.mark.parametrize("bug", BUGS, ids=lambda b: b.__name__)
def test_a_planted_bug_is_found(bug: Callable[[Patch], None], monkeypatch: Patch):
    bug(monkeypatch)
    assert any(map(shows, SEEDS)), f"{bug.__doc__} No random graph shows it."
