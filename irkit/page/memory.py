"""The memory plan of a program as facts: which piece of the arena holds which values, and for how long."""

from __future__ import annotations

from bisect import bisect_left

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Operation, SSAValue

from dialects import loop
from dialects.dims import dims_text
from dialects.graph import ForOp
from dialects.kernel import LaunchOp
from dialects.types import RefType, dtype_name
from irkit.page.facts import Mark, MemoryPlan, Piece, Task
from irkit.page.marks import Marks, merged
from irkit.page.text import host_mark
from lowering.buffer.arrays import Array
from lowering.buffer.kernel_to_buffer import HostPlan, plan_function


def memory_plan(module: ModuleOp, marks: Marks) -> MemoryPlan:
    """The plan that kernel-to-buffer makes of a module at loop level. Changes nothing."""
    func = next(op for op in module.ops if isinstance(op, FuncOp))
    kernels = {f.sym_name.data: f for f in module.ops if isinstance(f, loop.FuncOp)}
    plan = plan_function(func, kernels)
    times = _task_times(plan)
    tasks = tuple(_task(op, ends, marks) for op, ends in times.values())
    order = sorted(times)
    holders = _holders(plan)
    pieces: list[Piece] = []
    for key, interval in plan.places.intervals.items():
        begin, end = bisect_left(order, interval.begin), bisect_left(order, interval.end)
        if isinstance(key, Array):
            values = holders.get(key, [])
            mark = merged(_value_mark(v, marks) for v in values)
            name, offset, type_ = _value_names(values), plan.places.arrays[key], _type_text(key.type)
        else:
            name, offset, type_ = f"panels of {_callee(key)}", plan.places.team[key], "packed operands"
            mark = host_mark(key, marks)
        pieces.append(Piece(name, type_, interval.size, offset, begin, end, mark))
    places = plan.places
    return MemoryPlan(
        tasks,
        tuple(pieces),
        places.peak_bytes,
        places.lower_bound_bytes,
        places.scratch_bytes,
        places.prepared_bytes,
    )


def _task_times(plan: HostPlan) -> dict[int, tuple[Operation, bool]]:
    """The times at which something runs or a live range starts or ends: the op, and whether a loop ends there."""
    live = plan.live
    edges = {t for i in plan.places.intervals.values() for t in (i.begin, i.end - 1)}
    found: dict[int, tuple[Operation, bool]] = {}
    for op, begin in live.begin.items():
        if isinstance(op, LaunchOp | ForOp | ReturnOp) or begin in edges:
            found[begin] = op, False
        if (end := live.end[op]) != begin:
            found[end] = op, True
    return dict(sorted(found.items()))


def _task(op: Operation, ends: bool, marks: Marks) -> Task:
    name = op.name.partition(".")[2]
    if isinstance(op, LaunchOp):
        name = _callee(op)
    elif isinstance(op, ForOp):
        name = "end of loop" if ends else "loop"
    return Task(name, host_mark(op, marks))


def _callee(op: Operation) -> str:
    assert isinstance(op, LaunchOp)
    return op.callee.root_reference.data


def _holders(plan: HostPlan) -> dict[Array, list[SSAValue]]:
    """The values that each array holds, in program order."""
    holders: dict[Array, list[SSAValue]] = {}
    for value, array in plan.storage.arrays.items():
        for part in (array.find(), *(p.find() for p in array.find().parts)):
            holders.setdefault(part, []).append(value)
    for op, carried in plan.storage.loops.items():
        for one in carried:
            for array in (one.array, one.spare):
                if array is not None:
                    holders.setdefault(array.find(), []).append(op.results[one.number])
    return holders


def _value_mark(value: SSAValue, marks: Marks) -> Mark:
    owner = value.owner
    op = owner if isinstance(owner, Operation) else owner.parent_op()
    assert op is not None
    return host_mark(op, marks)


def _value_names(values: list[SSAValue]) -> str:
    """The names of values, each once; a value without one is called after the kernel that computes it."""
    names: dict[str, None] = {}
    for value in values:
        if value.name_hint:
            names[value.name_hint] = None
        elif isinstance(value.owner, LaunchOp):
            names[f"result of {_callee(value.owner)}"] = None
    return ", ".join(names) or "unnamed"


def _type_text(type_: RefType) -> str:
    return f"{dtype_name(type_.element_type)}{dims_text(type_.shape.data)}"
