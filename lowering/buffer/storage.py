"""The array of every value: in-place reuse, direct writes into results, and the arrays that loops carry.

Everything here is decided before anything is placed, and nothing is placed here.
"""

from __future__ import annotations

from collections.abc import Mapping

from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, StringAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, Block, Operation, SSAValue

from dialects.errors import IrkitError
from dialects.graph import ConstantOp
from dialects.kernel import LaunchOp
from dialects.loop import FuncOp as LoopFunc
from dialects.updates import updated_arguments
from lowering.buffer import remarks
from lowering.buffer.arrays import Array, ArrayTypes, Carried, Storage
from lowering.buffer.in_place import Reuse, comes_from, find_reuse, taken_init
from lowering.buffer.liveness import HostLoop, Liveness, home, is_prepared
from lowering.buffer.updates import swapped_arguments


def assign_storage(
    func: FuncOp, kernels: Mapping[str, LoopFunc], live: Liveness, type_of: ArrayTypes
) -> Storage:
    """Gives every value an array, in program order, and every array the times at which it is needed."""
    arguments: dict[SSAValue, Array] = {}
    for number, arg in enumerate(func.body.block.args):
        donated = "graph.donated" in argument_facts(func, number)
        arguments[arg] = Array("argument", type_of(arg), writable=donated)
    reuse = find_reuse(func, kernels, live, type_of, arguments)
    storage = Storage(arrays=arguments, outputs=reuse.outputs)
    assigner = _Assigner(live, type_of, reuse, storage)
    for op in live.begin:
        assigner.assign(op)
    _set_aside(func, storage, live)
    _touch_uses(storage, live)
    storage.arena = [a for a in storage.arena if a.merged is None]
    return storage


def argument_facts(func: FuncOp, number: int) -> Mapping[str, Attribute]:
    """The attributes of a function's argument."""
    return _facts(func, func.arg_attrs, number)


def result_facts(func: FuncOp, number: int) -> Mapping[str, Attribute]:
    """The attributes of a function's result."""
    return _facts(func, func.res_attrs, number)


def _facts(func: FuncOp, attrs: ArrayAttr[DictionaryAttr] | None, number: int) -> Mapping[str, Attribute]:
    if attrs is None:
        return {}
    facts = attrs.data[number].data
    name = facts.get("graph.name")
    if name is not None and not (isinstance(name, StringAttr) and name.data.isidentifier()):
        raise IrkitError("bad graph.name", func, found=str(name), expected='a name, as in graph.name = "x"')
    return facts


class _Assigner:
    """Fills the storage, given what may be reused."""

    def __init__(self, live: Liveness, type_of: ArrayTypes, reuse: Reuse, storage: Storage):
        self.live, self.type_of, self.reuse, self.storage = live, type_of, reuse, storage

    def assign(self, op: Operation) -> None:
        """Arrays for the results of an op, and for the arguments of a loop's body."""
        if isinstance(op, LaunchOp):
            for result in op.results:
                self.storage.arrays[result] = self._array_for(result)
        elif op in self.live.loops:
            self._assign_loop(self.live.loops[op])
        elif isinstance(op, ConstantOp):
            result = op.results[0]
            self.storage.arrays[result] = Array("constant", self.type_of(result), writable=False)

    def _array_for(self, result: SSAValue) -> Array:
        """Where runs find the result of what runs once; else where the result is wanted, else the operand that it may take,
        else an array of its own."""
        if is_prepared(result):
            array = Array("prepared", self.type_of(result), writable=False)
            self.storage.prepared.append(array)
            return array
        wanted = self.reuse.wanted.get(result)
        operand = self.reuse.takes.get(result)
        old = self.storage.arrays[operand].find() if operand is not None else None
        if wanted is not None:
            if old is not None:
                old.become(wanted, home(result))
            array = wanted
        elif old is not None and old.writable:
            old.written = True
            array = old
        else:
            array = self._new(result, home(result))
        remarks.placed(result, array, operand, old)
        return array

    def _new(self, value: SSAValue, block: Block | None) -> Array:
        array = Array("arena", self.type_of(value), block)
        self.storage.arena.append(array)
        return array

    def _assign_loop(self, loop: HostLoop) -> None:
        begin, end = self.live.begin[loop.op], self.live.end[loop.op]
        self.storage.arrays[loop.induction] = Array("loop", self.type_of(loop.induction), writable=False)
        plans = self.storage.loops[loop.op] = []
        for number, (inner, result) in enumerate(zip(loop.carried, loop.op.results, strict=True)):
            if inner in self.live.roots:
                continue
            plan = self._carry(loop, number)
            plans.append(plan)
            self.storage.arrays[inner], self.storage.arrays[result] = plan.current, plan.result
            for array in (plan.array, plan.spare):
                if array is not None:
                    array.touch(begin)
                    array.touch(end)

    def _carry(self, loop: HostLoop, number: int) -> Carried:
        """One carried value; its result is where the last iteration left it, where that is known."""
        result, block, trips = loop.op.results[number], loop.op.parent, loop.trips
        init = taken_init(loop, number, self.live)
        array = self.storage.arrays[init].find() if init is not None else None
        if init is not None and not self.reuse.may_take(result, init):
            array = None
        copies = array is None or not array.writable
        if array is None or copies:
            array = self._new(result, block)
        array.written = True
        following = self.reuse.swaps[loop.carried[number]]
        if remarks.heard():
            inner, value = loop.carried[number], self.live.root(loop.yielded[number])
            in_place = comes_from(value, inner, self.reuse)
            remarks.carried(loop, number, self.live, swaps=following is not None, in_place=in_place)
            if copies:
                remarks.copied_init(loop, number, self.live, is_free=init is not None)
        spare = None if following is None else self._new(result, block)
        odd = spare is not None and trips is not None and trips % 2 == 1
        if (wanted := self.reuse.wanted.get(result)) is not None:
            (spare if spare is not None and odd else array).become(wanted, block)
        array, type_ = array.find(), self.type_of(result)
        if spare is None:
            return Carried(number, type_, array, copies, array, None, None, array)
        spare, current = spare.find(), Array("loop", type_)
        left = spare if odd else array if trips is not None else Array("either", type_, parts=(array, spare))
        return Carried(number, type_, array, copies, current, spare, following, left)


def _set_aside(func: FuncOp, storage: Storage, live: Liveness) -> None:
    """Marks what a run updates as written, and gives values memory of their own that would be overwritten too early."""
    last = func.body.block.last_op
    assert last is not None
    storage.updated = updated_arguments(func)
    for arg in storage.updated.values():
        storage.arrays[arg].written = True
    for number in swapped_arguments(func, storage.updated, live):
        array = Array("arena", storage.outputs[number].type, func.body.block)
        array.touch(live.begin[last])
        storage.aside[number] = array
        storage.arena.append(array)


def _touch_uses(storage: Storage, live: Liveness) -> None:
    """Keeps each array from where its values are made to where they are used last."""
    for value, array in storage.arrays.items():
        if isinstance(value.owner, Operation):
            times = live.end if value.owner in live.loops else live.begin
            array.touch(times[value.owner])
        if (last := live.last.get(value)) is not None:
            array.touch(live.end[last.op])
