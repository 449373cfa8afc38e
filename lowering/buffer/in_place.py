"""What may share an array, as far as lifetimes and signatures tell; `storage` decides with the arrays in hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from xdsl.dialects.func import FuncOp
from xdsl.ir import Block, BlockArgument, Operation, SSAValue

from dialects.graph import ConstantOp
from dialects.kernel import LaunchOp
from dialects.loop import FuncOp as LoopFunc
from dialects.types import RefType
from dialects.updates import updated_arguments
from lowering.buffer import remarks
from lowering.buffer.arrays import Array, ArrayTypes
from lowering.buffer.liveness import HostLoop, Liveness
from lowering.buffer.updates import chain, may_be_made_in
from lowering.kernel.once import runs_once


@dataclass
class Reuse:
    """Which value takes the array of which, which should be made in an array that is already there, and which carried
    values are kept in two arrays that change places (the second, or None for an update in place)."""

    takes: dict[SSAValue, SSAValue] = field(default_factory=dict)
    wanted: dict[SSAValue, Array] = field(default_factory=dict)
    swaps: dict[BlockArgument, Array | None] = field(default_factory=dict)
    outputs: list[Array] = field(default_factory=list)
    kept: dict[SSAValue, set[SSAValue]] = field(default_factory=dict)
    """The arguments that a run updates, each with the values that may take its array: those that become its new one."""

    def may_take(self, value: SSAValue, operand: SSAValue) -> bool:
        return operand not in self.kept or value in self.kept[operand]


def find_reuse(
    func: FuncOp,
    kernels: Mapping[str, LoopFunc],
    live: Liveness,
    type_of: ArrayTypes,
    arguments: Mapping[SSAValue, Array],
) -> Reuse:
    """Finds, in this order,

    1. outputs that take an operand's array: the kernel's signature grants the alias, and the operand dies there;
    2. carried values whose next value comes to lie in their own array so, innermost loops first; the other ones, whose
       next value is wanted in a second array;
    3. results of the function, which are wanted in its output arguments, or in the argument that they update.
    """
    reuse = Reuse()
    for op in live.begin:
        if isinstance(op, LaunchOp):
            _grant_aliases(op, kernels[op.callee.root_reference.data], live, type_of, reuse)
    for loop in reversed(live.loops.values()):
        _choose_carried(loop, live, type_of, reuse)
    last = func.body.block.last_op
    assert last is not None
    updated = updated_arguments(func)
    for number, operand in enumerate(last.operands):
        value, arg = live.root(operand), updated.get(number)
        made = _is_made_in(value, func.body.block)
        if arg is None:
            reuse.outputs.append(Array("argument", type_of(operand)))
        else:
            reuse.outputs.append(arguments[arg])
            takers = chain(value, reuse.takes)
            reuse.kept[arg] = set(takers) if arg in takers else set()
            made = made and may_be_made_in(arg, value, reuse.takes, live)
        if made:
            reuse.wanted.setdefault(value, reuse.outputs[-1])
    reuse.takes = {v: o for v, o in reuse.takes.items() if reuse.may_take(v, o)}
    return reuse


def taken_init(loop: HostLoop, number: int, live: Liveness) -> SSAValue | None:
    """The initial value of a carried one if the loop may have its array, since nothing else needs it."""
    init = live.root(loop.inits[number])
    return init if live.dies_at(init, loop.op) else None


def _grant_aliases(
    launch: LaunchOp, kernel: LoopFunc, live: Liveness, type_of: ArrayTypes, reuse: Reuse
) -> None:
    taken: set[SSAValue] = set()
    count = len(launch.inputs)
    for result, entry in zip(launch.results, kernel.signature.data[count:], strict=True):
        if entry.alias_of is None or entry.alias_of >= count:
            continue
        operand = live.root(launch.inputs[entry.alias_of])
        refused = None
        if operand in taken:
            refused = "another result takes it"
        elif not live.dies_at(operand, launch):
            refused = remarks.LIVES
        elif not _same_size(type_of(operand), type_of(result)):
            refused = "it has another size"
        if refused is None:
            taken.add(operand)
            reuse.takes[result] = operand
        else:
            remarks.refused(launch, result, operand, refused, live, copies=entry.mode.data == "inout")


def _same_size(old: RefType, new: RefType) -> bool:
    return old is new or (old.element_type == new.element_type and old.bytes() == new.bytes())


def _choose_carried(loop: HostLoop, live: Liveness, type_of: ArrayTypes, reuse: Reuse) -> None:
    yielded = [live.root(v) for v in loop.yielded]
    in_place = {v for inner, v in zip(loop.carried, yielded, strict=True) if comes_from(v, inner, reuse)}
    for number, (inner, value) in enumerate(zip(loop.carried, yielded, strict=True)):
        if inner in live.roots:
            continue
        made = _is_made_in(value, loop.body)
        following = None
        if not comes_from(value, inner, reuse) and (made or inner in yielded):
            following = Array("loop", type_of(inner))
            if made and value not in in_place:
                reuse.wanted.setdefault(value, following)
        reuse.swaps[inner] = following  # None also for what a copy overwrites when the body ends
        stays = following is None or (loop.trips is not None and loop.trips % 2 == 0)
        if stays and (init := taken_init(loop, number, live)) is not None:
            reuse.takes[loop.op.results[number]] = init


def comes_from(value: SSAValue, origin: SSAValue, reuse: Reuse) -> bool:
    """Whether a value lies in the array of another one that it was made from."""
    while value in reuse.takes:
        value = reuse.takes[value]
        if value is origin:
            return True
    return False


def _is_made_in(value: SSAValue, block: Block) -> bool:
    """Whether an op of the block could make the value in any array that it is given."""
    owner = value.owner
    if not isinstance(owner, Operation) or owner.parent is not block:
        return False
    return not isinstance(owner, ConstantOp) and not runs_once(owner)
