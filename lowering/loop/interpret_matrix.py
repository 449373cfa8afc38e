"""Fragments of matrices and copies to shared memory in the interpreter of the loop level.

What a warp does together runs when all of its threads have arrived; a copy runs when its thread waits for it, and leaves
garbage in its place before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from xdsl.ir import SSAValue

from dialects.errors import IrkitError
from dialects.loop_matrix import FRAGMENT, WARP, CopyAsyncOp, LoadMatrixOp, MmaOp

Array = np.ndarray


class Thread(Protocol):
    """What of a thread is needed here."""

    names: dict[str, int]
    env: dict[SSAValue, Array]


@dataclass(frozen=True)
class Pending:
    """A copy that has begun: elements, where they go, and the group that it belongs to."""

    source: Array
    target: Array
    place: tuple[slice | int, ...]
    group: int


class Copies:
    """The copies of one thread."""

    def __init__(self) -> None:
        self.begun: list[Pending] = []
        self.group = 0

    def begin(self, op: CopyAsyncOp, env: Mapping[SSAValue, Array], names: Mapping[str, int]) -> None:
        """Spoils the destination and takes down the copy."""
        source, target, count = env[op.array], env[op.shared], op.elements
        inside = op.guard is None or all(g.evaluate(names) >= 0 for g in op.guard.data)
        valid = min(count, op.valid.data[0].evaluate(names)) if op.valid is not None else count
        index = [e.evaluate(names) for e in op.index.data]
        place = [e.evaluate(names) for e in op.place.data]
        taken = max(0, valid) if inside else 0
        elements = np.zeros(count, source.dtype)
        if taken:
            _need_inside(op, index, source.shape, taken)
            elements[:taken] = source[(*index[:-1], slice(index[-1], index[-1] + taken))]
        _need_inside(op, place, target.shape, count)
        where = (*place[:-1], slice(place[-1], place[-1] + count))
        target[where] = np.full(count * target.itemsize, 0xA5, np.uint8).view(target.dtype)
        self.begun.append(Pending(elements, target, where, self.group))

    def commit(self) -> None:
        self.group += 1

    def wait(self, groups: int) -> None:
        """Does all but the last groups."""
        left: list[Pending] = []
        for copy in self.begun:
            if copy.group >= self.group - groups:
                left.append(copy)
            else:
                copy.target[copy.place] = copy.source
        self.begun = left


def _need_inside(op: CopyAsyncOp, index: Sequence[int], shape: Sequence[int], count: int) -> None:
    """Raises IrkitError where a copy leaves an array."""
    ends = [1] * (len(index) - 1) + [count]
    for dim, (place, size, end) in enumerate(zip(index, shape, ends, strict=True)):
        if place < 0 or place + end > size:
            raise IrkitError(
                f"'{op.name}' leaves dim {dim} of an array",
                op,
                found=f"{place} to {place + end - 1}",
                expected=f"an index from 0 to {size - 1}",
            )


def meet(op: MmaOp | LoadMatrixOp, threads: Sequence[Thread]) -> None:
    """What the threads of a block do together at an op, warp by warp."""
    for first in range(0, len(threads), WARP):
        warp = threads[first : first + WARP]
        if isinstance(op, MmaOp):
            _multiply(op, warp)
        else:
            _load(op, warp)


def _places(threads: int, elements: int, kind: str) -> tuple[Array, Array]:
    """Row and column (of a factor: its own axis and k) of each thread's elements in a 16 x 16 or 16 x 8 matrix."""
    lane, e = np.arange(threads)[:, None], np.arange(elements)[None, :]
    own, pair = lane // 4, lane % 4
    if kind == "sum":
        return own + e // 2 % 2 * 8, pair * 2 + e // 4 * 8 + e % 2
    if elements == 4:
        return (own + e % 2 * 8, pair + e // 2 * 4) if kind == "lhs" else (own + e // 2 * 8, pair + e % 2 * 4)
    high, low = e // 4, e // 2 % 2
    return (
        (own + low * 8, pair * 2 + high * 8 + e % 2)
        if kind == "lhs"
        else (own + high * 8, pair * 2 + low * 8 + e % 2)
    )


def _matrix(warp: Sequence[Thread], value: SSAValue, kind: str) -> Array:
    """The matrices [fragments, own axis, k] that a warp holds of a factor, in f32."""
    held = np.stack([thread.env[value] for thread in warp])
    elements = held.shape[2]
    rows, columns = _places(len(warp), elements, kind)
    out = np.zeros((held.shape[1], 16, elements * 2), np.float32)
    for fragment in range(held.shape[1]):
        out[fragment, rows, columns] = (
            _tf32(held[:, fragment].astype(np.float32)) if elements == 4 else held[:, fragment]
        )
    return out


def _tf32(x: Array) -> Array:
    """To the nearest number of 19 bits, halves away from zero."""
    bits = x.view(np.uint32)
    rounded = np.where(np.isfinite(x), bits + np.uint32(0x1000), bits) & np.uint32(0xFFFFE000)
    return rounded.view(np.float32)


def _multiply(op: MmaOp, warp: Sequence[Thread]) -> None:
    lhs, rhs = _matrix(warp, op.lhs, "lhs"), _matrix(warp, op.rhs, "rhs")
    products = np.einsum("imk,jnk->ijmn", lhs, rhs)
    rows, columns = _places(len(warp), 8, "sum")
    for lane, thread in enumerate(warp):
        own = products[:, :, rows[lane], columns[lane]]
        thread.env[op.result] = (thread.env[op.acc] + own.reshape(*own.shape[:2], 4, 2)).astype(np.float32)


def _load(op: LoadMatrixOp, warp: Sequence[Thread]) -> None:
    array = warp[0].env[op.array]
    count, elements = op.result.type.get_shape()
    length = 16 // array.itemsize
    read = np.zeros((count, len(warp), length), array.dtype)
    for lane, thread in enumerate(warp):
        for fragment in range(count):
            names = {**thread.names, FRAGMENT: fragment}
            index = [e.evaluate(names) for e in op.index.data]
            if (
                any(p < 0 or p >= n for p, n in zip(index, array.shape, strict=True))
                or index[-1] + length > array.shape[-1]
            ):
                raise IrkitError(
                    f"'{op.name}' reads a row outside its array", op, found=f"index {index} in {array.shape}"
                )
            read[fragment, lane] = array[(*index[:-1], slice(index[-1], index[-1] + length))]
    matrices = read.reshape(count, 4, 8, length)
    if op.transposed is not None:
        matrices = matrices.transpose(0, 1, 3, 2)
    each = elements // 4
    for lane, thread in enumerate(warp):
        column = lane % 4 * each
        found = matrices[:, :, lane // 4, column : column + each]
        thread.env[op.result] = found.reshape(count, elements)
