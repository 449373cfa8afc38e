"""What kernel-to-loop says of the nests that it builds: threads, lanes of reductions, edges that are peeled."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from dialects.dims import Dim, Opaque
from dialects.kernel import DefOp, ReadOp, ReduceOp
from lowering.kernel.fields import reduced_axes
from lowering.remarks import listener
from lowering.schedule import Schedule

PASS = "kernel-to-loop"


def threads(
    kernel: DefOp, schedule: Schedule, axis: str | None, left_out: Mapping[str, Collection[str]]
) -> None:
    """The axis that threads split, if there is one; `left_out` are the axes that they cannot split, by what is wrong."""
    if (tell := listener("parallel", PASS)) is None:
        return
    extent = None if axis is None else kernel.extents()[axis]
    if extent is None:
        reasons = [f"axis {a} {why}" for why, axes in left_out.items() for a in sorted(axes)]
        reason = "; ".join(reasons) or "its result is one number"
        tell.missed(kernel, "every thread computes all of it, and one writes", reason)
    elif extent.value == 1:
        tell.missed(kernel, "one thread computes it", "no axis of its results has more than one point")
    else:
        reason = (
            "the schedule says so"
            if schedule.parallel == axis
            else "the outermost one with more than one point"
        )
        tell.applied(
            kernel, f"threads split axis {axis} of {extent}", reason, axis=str(axis), extent=str(extent)
        )


def split_blocks(kernel: DefOp, axis: str, size: int) -> None:
    """Threads split an axis of a packed contraction in whole blocks."""
    if (tell := listener("parallel", PASS)) is None:
        return
    extent = kernel.extents()[axis]
    if extent.value is not None and extent.value <= size:
        message = f"one thread computes all points of {axis}"
        tell.missed(kernel, message, f"its {extent} are one block of {size}", axis=axis, block=size)
    else:
        message = f"threads split axis {axis} of {extent} in blocks of {size}"
        tell.applied(kernel, message, "panels are packed by block", axis=axis, block=size)


def lanes(kernel: DefOp, schedule: Schedule, axes: Sequence[str], chosen: str | None) -> None:
    """A nest runs point by point, though the schedule has a vector axis for results: it is not among the nest's."""
    if chosen is not None or (tell := listener("vectorise", PASS)) is None:
        return
    reduced = reduced_axes(kernel)
    extents = kernel.extents()
    named = [a for a in schedule.vector if a not in reduced]
    if named and any(extents[a].value != 1 for a in axes):
        message = f"the nest over {', '.join(axes)} runs point by point"
        tell.missed(kernel, message, f"the vector axis {', '.join(named)} is not one of its axes of results")


def reduction(
    kernel: DefOp, op: ReduceOp, schedule: Schedule, lanes: str | None, vectors: Sequence[str]
) -> None:
    """How a reduction runs whose axes the schedule wants in lanes."""
    named = [a for a in op.axes if a in schedule.vector]
    if not named or (tell := listener("vectorise", PASS)) is None:
        return
    extent = kernel.extents()[lanes or named[-1]]
    if lanes is not None and extent.value is not None and extent.value < schedule.vector[lanes]:
        message = f"reduces axis {lanes} point by point"
        tell.missed(op, message, f"its {extent} points do not fill {schedule.vector[lanes]} lanes")
    elif lanes is not None:
        message = f"reduces axis {lanes} in {schedule.vector[lanes]} lanes, which are folded at the end"
        reason = "accesses are contiguous along it, and a result is one number there"
        tell.applied(op, message, reason, axis=lanes, lanes=schedule.vector[lanes])
    else:
        message = f"reduces axis {named[-1]} point by point"
        tell.analysis(op, message, f"its results are vectors along {', '.join(vectors)} already")


def peeled(kernel: DefOp, axis: str, low: Dim, high: Dim, extent: Dim) -> None:
    """The vector loop covers the points of an axis that need no guard and no clamp."""
    if (tell := listener("peel", PASS)) is None:
        return
    if low == high:
        tell.missed(
            kernel, f"axis {axis} runs point by point", "no point of it is inside of the array at every read"
        )
        return
    message = (
        f"{axis} from {low} to before {high} of {extent} runs in lanes without guards and clamps along it"
    )
    reason = "all reads are inside of their arrays there; the points before and behind run one by one"
    tell.applied(kernel, message, reason, axis=axis, low=str(low), high=str(high))


def unpeeled(op: ReadOp, index: Sequence[Dim], guard: Sequence[Dim], vectors: Sequence[str]) -> None:
    """A read keeps a guard, or an index that is held inside of its array at each point."""
    if (tell := listener("peel", PASS)) is None:
        return
    held = [e for e in index if _is_held(e)]
    name = op.array.name_hint or "an array"
    for kept, text in (
        (guard, f"a read of {name} tests {' and '.join(f'{c} >= 0' for c in guard)}"),
        (held, f"a read of {name} computes {', '.join(map(str, held))} at each point"),
    ):
        if not kept:
            continue
        if not vectors:
            reason = "no axis of the nest runs in lanes"
        elif any(vectors[-1] in e.names() for e in kept):
            reason = f"axis {vectors[-1]} is not peeled for it"
        else:
            reason = f"axis {vectors[-1]} alone runs in lanes and is peeled"
        tell.missed(op, text, reason)


def _is_held(expr: Dim) -> bool:
    """Whether an index is a minimum or maximum, or wraps around."""
    atoms = [a for monomial, _ in expr.terms for a in monomial if isinstance(a, Opaque)]
    return any(a.kind in ("min", "max", "mod") or any(map(_is_held, a.args)) for a in atoms)
