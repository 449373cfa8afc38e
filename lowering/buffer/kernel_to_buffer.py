"""kernel-to-buffer: the host function becomes a program on arrays, and every array gets its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.passes import ModulePass

from dialects.buffer import ProgramOp
from dialects.dims import product
from dialects.errors import IrkitError
from dialects.kernel import DefOp, LaunchOp
from dialects.loop import FuncOp as LoopFunc
from dialects.syntax import SymbolsAttr
from dialects.types import dims_of
from lowering.buffer import remarks
from lowering.buffer.arrays import ArrayTypes, Storage
from lowering.buffer.liveness import Liveness, analyse_liveness
from lowering.buffer.places import Places, find_places
from lowering.buffer.program import write_program
from lowering.buffer.storage import assign_storage
from lowering.kernel.once import is_constant

HOST_OPS = ("graph.for", "graph.constant", "graph.reshape", "graph.yield", "func.return", "kernel.launch")


class KernelToBuffer(ModulePass):
    """Turns each host function into a `buffer.program` with a memory plan.

    *Expects* `loop.func` kernels, and a `func.func` of one block that holds kernel.launch, graph.constant,
    graph.reshape and graph.for on tensors.

    *Does*, for each function:
    1. finds when each value is used last (`liveness`);
    2. decides which values share an array, and where a copy is needed (`in_place`, `storage`);
    3. gives every array of the arena an offset, at the greatest size that the symbols allow (`places`, `planner`), and
       those an offset in memory of their own that launches leave which run once;
    4. writes the program: `buffer.once` with these launches; then views, calls, loops and copies in the order of the
       function (`program`).

    *Leaves* no `func.func` and no tensor; the program states arena, peak and bound. Barriers are still missing.
    """

    name = "kernel-to-buffer"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        kernels = {f.sym_name.data: f for f in op.ops if isinstance(f, LoopFunc)}
        for func in [f for f in op.ops if isinstance(f, FuncOp)]:
            check_host(func, op, kernels)
            program = lower_function(func, kernels)
            op.body.block.insert_op_before(program, func)
            func.detach()
            func.erase()


def lower_function(func: FuncOp, kernels: Mapping[str, LoopFunc]) -> ProgramOp:
    """The program of one host function."""
    plan = plan_function(func, kernels)
    remarks.arena(func, plan.storage, plan.places)
    return write_program(func, kernels, plan.live, plan.storage, plan.places, plan.symbols, plan.type_of)


@dataclass(frozen=True)
class HostPlan:
    """What is decided of a host function before its program is written."""

    symbols: SymbolsAttr
    type_of: ArrayTypes
    live: Liveness
    storage: Storage
    places: Places


def plan_function(func: FuncOp, kernels: Mapping[str, LoopFunc]) -> HostPlan:
    """Decides arrays and places; changes nothing."""
    symbols = func.attributes.get("graph.symbols")
    symbols = symbols if isinstance(symbols, SymbolsAttr) else SymbolsAttr(())
    type_of = ArrayTypes()
    live = analyse_liveness(func)
    storage = assign_storage(func, kernels, live, type_of)
    return HostPlan(symbols, type_of, live, storage, find_places(func, kernels, live, storage, symbols))


def check_host(func: FuncOp, module: ModuleOp, kernels: Mapping[str, LoopFunc]) -> None:
    """Raises IrkitError for an op that a program cannot hold, or a launch that does not fit its kernel."""
    pending = {k.sym_name.data for k in module.ops if isinstance(k, DefOp)}
    for op in func.body.walk():
        if op.name not in HOST_OPS:
            raise IrkitError(
                f"'{op.name}' op in host function @{func.sym_name.data} is not part of a kernel",
                op,
                expected=f"one of {', '.join(HOST_OPS)}",
                hint="run graph-fuse and graph-outline first",
            )
        if not isinstance(op, LaunchOp):
            continue
        name = op.callee.root_reference.data
        if name not in kernels:
            hint = "run kernel-to-loop first" if name in pending else None
            raise IrkitError(
                f"kernel @{name} is not a loop.func", op, expected="a lowered kernel in the module", hint=hint
            )
        modes = [f.mode.data for f in kernels[name].signature.data]
        are_inputs = [True] * len(op.inputs) + [False] * len(op.results)
        if [mode == "in" for mode in modes] != are_inputs:
            raise IrkitError(
                f"the launch does not fit the signature of kernel @{name}",
                op,
                found=f"{len(op.inputs)} operands and {len(op.results)} results",
                expected=f"arguments ({', '.join(modes)})",
            )
        for value, argument in zip([*op.inputs, *op.results], kernels[name].block.args, strict=True):
            given, taken = product(dims_of(value.type)).value, product(dims_of(argument.type)).value
            if given != taken and None not in (given, taken):
                raise IrkitError(
                    f"an array of kernel @{name} is launched with another size",
                    op,
                    found=f"{given} elements",
                    expected=f"{taken}, as its signature says",
                )
        if op.once is not None and not all(is_constant(v, func) for v in op.inputs):
            raise IrkitError(
                f"the launch of @{name} runs once, but not all that it reads is known then",
                op,
                found="an input, or what is made of one",
                expected="parameters, constants and results of launches that run once",
                hint="remove 'once'",
            )
        if op.once is not None and op.parent is not func.body.block:
            raise IrkitError(
                f"the launch of @{name} runs once, but stands in a loop",
                op,
                found="a launch in the body of graph.for",
                expected="one in the body of the function",
                hint="put it before the loop",
            )
