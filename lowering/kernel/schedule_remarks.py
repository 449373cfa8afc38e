"""What kernel-schedule says of the directives that it chooses, and of those that it does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from dialects.kernel import DefOp, ReduceOp
from lowering.kernel.contraction import Contraction
from lowering.remarks import counted, listener
from lowering.target import Target

PASS = "kernel-schedule"


class Unpacked(Enum):
    """Why a contraction is not packed."""

    TARGET = "the target {target} does not copy operands"
    FORM = "{form}"
    FLOPS = "{flops} FLOPs are too few for the copies to pay"
    ROWS = "{m} along {i} are too few rows for a register tile"
    COLUMNS = "{n} along {j} are too few columns for a register tile"
    DEPTH = "a sum of {depth} along {k} is too short for the copies to pay"


@dataclass(frozen=True)
class Facts:
    """What the choice of a vector axis is made from: extents, and contiguous accesses less others along each axis."""

    kernel: DefOp
    target: Target
    sizes: Mapping[str, int]
    scores: Mapping[str, int]


def given(kernel: DefOp) -> None:
    """A kernel has a schedule already."""
    if (tell := listener("vectorise", PASS)) is not None and kernel.schedule is not None:
        text = ", ".join(kernel.schedule.data)
        tell.analysis(kernel, f"keeps the schedule that it came with: {text or 'no directive'}")


def by_tuner(kernel: DefOp, directives: Sequence[str]) -> None:
    """A kernel runs by a schedule that was measured."""
    if (tell := listener("vectorise", PASS)) is not None:
        text = ", ".join(directives) or "no directive"
        tell.applied(
            kernel, f"runs by the schedule that irkit tune found: {text}", "it was faster when measured"
        )


def by_hand(kernel: DefOp) -> None:
    """A kernel has no axes to schedule."""
    if (tell := listener("vectorise", PASS)) is not None:
        tell.missed(kernel, "has no schedule", "it is C text written by hand, which runs as it stands")


def tiled(kernel: DefOp, directives: Sequence[str], target: Target) -> None:
    """A contraction is computed in register tiles, by directives that were chosen."""
    words = [d.split() for d in directives]
    copied = [side for verb, side, *_ in words if verb == "pack"]
    tile = {axis: int(size[0]) for verb, axis, *size in words if verb == "tile"}
    blocks = [f"{size[0]} points of {axis}" for verb, axis, *size in words if verb == "split"]
    columns = [*tile][-1]
    if (tell := listener("pack", PASS)) is not None:
        if copied:
            sides = (
                "both operands"
                if len(copied) > 1
                else f"its {'left' if copied == ['lhs'] else 'right'} operand"
            )
            tell.applied(
                kernel, f"copies {sides} into panels", "each element is read often, and then in order"
            )
        else:
            reason = "they are small enough to stay in the caches, or read once"
            tell.missed(kernel, "reads the operands where they lie, unpacked", reason)
    if (tell := listener("tile", PASS)) is not None:
        message = f"keeps {' by '.join(f'{n} points of {a}' for a, n in tile.items())} in registers"
        tell.applied(kernel, message, f"the register tile of the target {target.name}")
        if blocks:
            message = f"works in blocks of {' and '.join(blocks)}"
            tell.applied(kernel, message, "panels of that size stay in the caches")
    if (tell := listener("vectorise", PASS)) is not None:
        reason = f"the right operand, or its panels, are contiguous along {columns}"
        tell.applied(kernel, f"computes {tile[columns]} points of {columns} at once", reason)


def not_packed(
    kernel: DefOp, c: Contraction, why: Unpacked, sizes: Mapping[str, int], target: Target
) -> None:
    """A contraction is computed where its operands lie."""
    if (tell := listener("pack", PASS)) is None:
        return
    facts: dict[str, str | int] = {"target": target.name, "form": _form(kernel, c)}
    if why not in (Unpacked.TARGET, Unpacked.FORM):
        i, j, k = c.m[0], c.n[0], c.k[0]
        m, n, depth = sizes[i], sizes[j], sizes[k]
        facts.update(i=i, j=j, k=k, m=m, n=n, depth=depth, flops=2 * m * n * depth)
    tell.missed(kernel, "reads the operands where they lie, unpacked", why.value.format(**facts))


def _form(kernel: DefOp, c: Contraction) -> str:
    """What the packed nest does not cover (`can_pack`)."""
    for what, axes in (("rows", c.m), ("columns", c.n), ("the sum", c.k)):
        if len(axes) != 1:
            runs = "runs" if what == "the sum" else "run"
            return f"{what} {runs} over {' and '.join(axes) or 'no axis'}, and panels are over one axis"
    count = sum(isinstance(op, ReduceOp) for op in kernel.block.ops)
    return (
        f"it holds {count} reductions"
        if count > 1
        else "a result is written over other axes than the product has"
    )


def vector_axis(facts: Facts, axis: str, size: int) -> None:
    """An axis of results runs in lanes."""
    if (tell := listener("vectorise", PASS)) is not None:
        message = f"computes {size} points of {axis} at once"
        reason = f"contiguous accesses along {axis} outweigh others"
        if facts.sizes[axis] < size:
            reason += f"; it has {facts.sizes[axis]}, and the lanes behind them are masked"
        tell.applied(facts.kernel, message, reason, axis=axis, lanes=size, extent=facts.sizes[axis])


def no_vector_axis(facts: Facts, free: Sequence[str], scanned: Sequence[str], whole: Sequence[str]) -> None:
    """No axis of results runs in lanes, but for one that is taken whole."""
    if (tell := listener("vectorise", PASS)) is None:
        return
    if whole:
        names = " and ".join(dict.fromkeys(whole))
        reason = "some states of its reduction lie along it, others do not"
        tell.applied(facts.kernel, f"takes axis {names} whole, as a vector", reason, axis=names)
    else:
        tell.missed(facts.kernel, "no axis of its results runs in lanes", _no_axis(facts, free, scanned))


def _no_axis(facts: Facts, free: Sequence[str], scanned: Sequence[str]) -> str:
    if facts.target.portable:
        return f"the target {facts.target.name} has no vectors"
    short = [a for a in free if facts.sizes[a] <= 1]
    strided = [a for a in free if a not in short]
    reasons = [f"along {', '.join(scanned)} a scan carries a state from point to point"] if scanned else []
    reasons += [f"contiguous accesses along {', '.join(strided)} do not outweigh others"] if strided else []
    reasons += [f"one point lies along {', '.join(short)}"] if short else []
    return "; ".join(reasons) or "its result is one number"


def reduced_axis(facts: Facts, op: ReduceOp, axis: str | None, vector: str | None) -> None:
    """A reduction that gets no lanes where its results have none either; how one runs in lanes is said by its nest."""
    if vector is not None or (tell := listener("vectorise", PASS)) is None:
        return
    names = ", ".join(op.axes)
    if axis is not None and facts.sizes[axis] >= 4:
        return
    if facts.target.portable:
        reason = f"the target {facts.target.name} has no vectors"
    elif axis is not None:
        reason = f"axis {axis} has {counted(facts.sizes[axis], 'point')}, and lanes take at least 4"
    else:
        reason = f"contiguous accesses along {names} do not outweigh others, or it has one point"
    tell.missed(op, f"the reduction over {names} runs point by point", reason)


def blocks_of_sum(facts: Facts, op: ReduceOp, directives: Sequence[str]) -> None:
    """A long sum is split."""
    if directives and (tell := listener("tile", PASS)) is not None:
        _, axis, size = directives[0].split()
        message = f"sums axis {axis} in blocks of {size}"
        tell.applied(op, message, "a long chain of additions rounds more", axis=axis, block=int(size))


def register_tile(facts: Facts, c: Contraction, vector: str | None, axis: str | None, rows: int) -> None:
    """A contraction that is not packed computes several rows at once, or not."""
    if (tell := listener("tile", PASS)) is None:
        return
    if axis is not None and facts.sizes[axis] > 1:
        size = min(rows, facts.sizes[axis])
        reason = f"each vector along {vector} that was loaded serves them all"
        tell.applied(facts.kernel, f"computes {size} points of {axis} at once", reason, axis=axis, rows=size)
    elif vector is None:
        tell.missed(facts.kernel, "has no register tile", "no axis of its results runs in lanes")
    else:
        reason = "no axis of the other operand has more than one point of results"
        tell.missed(facts.kernel, "has no register tile", reason)


def threads(facts: Facts, axis: str, outer: str) -> None:
    """Threads do not split the outermost axis."""
    if (tell := listener("parallel", PASS)) is not None:
        few = f"{counted(facts.sizes[outer], 'point')} of {outer}, outside of it,"
        reason = f"{few} are few for {counted(facts.target.cores, 'core')}"
        tell.analysis(facts.kernel, f"asks threads to split axis {axis}", reason, axis=axis)
