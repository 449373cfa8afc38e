"""What the roles of loops demand of one another: blocks hold threads, threads meet at barriers.

A `block` loop is split between the blocks of a grid, each of which runs one iteration; a `thread` loop inside it is run by
the threads of the block, one iteration each and all at the same time. What their threads share is in `shared` arrays.
Threads that meet have to arrive together: whether one gets to a `loop.barrier` or a `loop.fold_threads` must not depend
on which one it is. Bounds and conditions are expressions over names, so that this is seen where they stand.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from xdsl.ir import Block, Operation
from xdsl.utils.exceptions import VerifyException

from dialects.dims import Dim
from dialects.loop_matrix import WARP

if TYPE_CHECKING:
    from dialects.loop import AllocOp, ForOp, FuncOp, IfOp

GPU_ROLES = frozenset({"block", "thread"})


@dataclass(frozen=True)
class _Place:
    """Where an op stands: inside which mapped loops, under which names that differ between threads, and what of that
    decides whether a thread gets there."""

    role: str | None = None
    varying: frozenset[str] = field(default_factory=frozenset)
    divides: Dim | None = None
    loops: bool = False
    threads: int = 0


def verify_roles(func: FuncOp) -> None:
    """Raises VerifyException where a loop, an array or a meeting of threads stands where it must not."""
    work: list[tuple[Block, _Place]] = [(func.block, _Place())]
    while work:
        block, place = work.pop()
        for op in block.ops:
            inner = _inside(op, place)
            work.extend((b, inner) for region in op.regions for b in region.blocks)


def _inside(op: Operation, place: _Place) -> _Place:
    match op.name:
        case "loop.for":
            return _for(op, place)  # pyright: ignore[reportArgumentType]
        case "loop.if":
            return _if(op, place)  # pyright: ignore[reportArgumentType]
        case "loop.alloc":
            _alloc(op, place)  # pyright: ignore[reportArgumentType]
        case "loop.barrier" if place.role is not None:
            _meeting(op, place)
        case "loop.fold_threads":
            _meeting(op, place)
            _group(op, place, op.threads)  # pyright: ignore[reportAttributeAccessIssue]
        case "loop.mma" | "loop.load_matrix":
            _meeting(op, place)
            _group(op, place, WARP)
        case "loop.copy_async" | "loop.commit_copies" | "loop.wait_copies" if place.role != "thread":
            raise VerifyException(f"'{op.name}' is of a thread of a block, and stands in no thread loop")
        case _:
            pass
    return place


def _for(op: ForOp, place: _Place) -> _Place:
    role, name = op.role.data, op.variable
    if role not in GPU_ROLES:
        bounds = (op.lower, op.upper, op.step)
        found = _first_varying(bounds, place)
        varying = place.varying | {name} if found is not None else place.varying
        return _Place(place.role, varying, place.divides or found, True, place.threads)
    if op.inits:
        raise VerifyException(
            f"{role} loop {name} carries values, and its iterations do not follow one another"
        )
    if role == "block":
        if place.loops:
            raise VerifyException(f"block loop {name} stands in another loop")
        return _Place("block", place.varying, place.divides, True)
    if place.role != "block":
        raise VerifyException(f"thread loop {name} stands in no block loop, or in another thread loop")
    if op.lower.value != 0 or op.step.value != 1 or not op.upper.value:
        raise VerifyException(
            f"thread loop {name} runs from {op.lower} to {op.upper} by {op.step}: expected from 0 to a constant by 1"
        )
    return _Place("thread", place.varying | {name}, place.divides, True, op.upper.value)


def _if(op: IfOp, place: _Place) -> _Place:
    found = _first_varying(op.conditions.data, place)
    return _Place(place.role, place.varying, place.divides or found, place.loops, place.threads)


def _alloc(op: AllocOp, place: _Place) -> None:
    if op.ref_type.space.data != "shared":
        return
    if place.role != "block":
        raise VerifyException(
            "a shared array belongs to a block: it stands in a block loop, around its threads"
        )
    if op.ref_type.bytes().value is None:
        raise VerifyException(f"a shared array has a constant size, found {op.ref_type.bytes()} bytes")


def _meeting(op: Operation, place: _Place) -> None:
    if place.role != "thread":
        raise VerifyException(f"'{op.name}' joins the threads of a block, and stands in no thread loop")
    if place.divides is not None:
        raise VerifyException(
            f"'{op.name}' is not reached by all threads of the block together: that depends on {place.divides}"
        )


def _group(op: Operation, place: _Place, threads: int) -> None:
    if place.threads % (threads or 1):
        raise VerifyException(f"groups of {threads} threads do not divide the {place.threads} of the block")


def _first_varying(exprs: Iterable[Dim], place: _Place) -> Dim | None:
    return next((e for e in exprs if e.names() & place.varying), None)
