"""Scatter as writes that combine with what is there, over the axes of the updates."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import BlockArgument, SSAValue

from dialects.dims import ONE, ZERO, Dim, dmax, dmin
from dialects.graph.scatter import Scatter, ScatterAlongOp, ScatterNdOp, place_dims
from dialects.kernel import WriteOp
from dialects.types import is_unsigned
from lowering.kernel.builder import Builder


def updates_in_place(op: Scatter) -> bool:
    """Whether the result may begin in the memory of x: x is an argument of the kernel that nothing else reads."""
    x = op.operands[0]
    return isinstance(x, BlockArgument) and sum(1 for _ in x.uses) == 1


def write_scatter(b: Builder, op: Scatter, array: SSAValue) -> None:
    """The updates of `array`, which holds x."""
    x, index, updates = op.operands
    shape, index_shape = b.shape(x), b.shape(index)
    looked_up = place_dims(op, shape, index_shape)
    kept = {d: _axis(b, shape, d) for d in range(len(shape)) if d not in looked_up}
    if isinstance(op, ScatterAlongOp):
        (along,) = looked_up
        moved = _axes(b, "n", index_shape[along : along + 1])
        at = [kept.get(d, moved[0]) for d in range(len(shape))]
        places, value = [b.at(index, at)], b.at(updates, at)
    elif isinstance(op, ScatterNdOp):
        moved = _axes(b, "n", index_shape[:-1])
        places = [b.at(index, (*moved, Dim.of(k))) for k in range(len(looked_up))]
        value = b.at(updates, (*moved, *kept.values()))
    else:
        (along,) = looked_up
        moved = _axes(b, "n", index_shape)
        places = [b.at(index, moved)]
        before = [kept[d] for d in range(along)]
        value = b.at(updates, (*before, *moved, *(kept[d] for d in range(along + 1, len(shape)))))
    target: list[Dim] = []
    fields: list[SSAValue] = []
    for d, size in enumerate(shape):
        if d in looked_up:
            place = Dim.of(f"_{len(fields)}")
            target.append(place - dmin(0, dmax(-1, place)) * size)
            fields.append(places[looked_up.index(d)])
        else:
            target.append(kept[d])
    combiner = str(op.values()["mode"])
    if combiner in ("max", "min") and is_unsigned(b.element(x)):
        combiner = "u" + combiner
    write = WriteOp(value, array, target, fields, combiner)
    write.location = op.location
    b.block.add_op(write)


def _axis(b: Builder, shape: Sequence[Dim], d: int) -> Dim:
    """The axis of a dim of x: one for a first copy of x and for the updates."""
    if shape[d] == ONE:
        return ZERO
    name = "ij"[d - len(shape) + 2] if d >= len(shape) - 2 else "abcdefgh"[d % 8]
    return Dim.of(name) if name in b.axes else b.axis(name, shape[d])


def _axes(b: Builder, name: str, shape: Sequence[Dim]) -> list[Dim]:
    return [ZERO if size == ONE else b.axis(name, size) for size in shape]
