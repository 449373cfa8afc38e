"""kernel-to-loop: a level change from fields over axes to explicit nests."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects import builtin
from xdsl.ir import Block, Region
from xdsl.passes import ModulePass

from dialects import loop
from dialects.errors import IrkitError
from dialects.kernel import DefOp, ExternOp, ReduceOp, WriteOp
from lowering.kernel.contraction import Contraction, contractions
from lowering.kernel.extern import lower_extern
from lowering.kernel.fields import field_axes
from lowering.loop.contraction import can_pack, lower_contraction
from lowering.loop.pointwise import lower_pointwise
from lowering.schedule import Schedule, parse_schedule


@dataclass(frozen=True)
class KernelToLoop(ModulePass):
    """Lowers each kernel to a loop nest by its schedule.

    Expects: kernels in axes form, each with a schedule (`kernel-schedule` writes one).
    Does: (1) a contraction whose schedule packs an operand, or tiles rows and columns, becomes a blocked nest around
    a register tile;
    (2) every other kernel becomes one nest for each group of writes, with its reductions where they are needed.
    Leaves: `loop.func` in place of every `kernel.def`; the host program is untouched.
    """

    name = "kernel-to-loop"

    def apply(self, ctx: Context, op: builtin.ModuleOp) -> None:
        for kernel in [o for o in op.ops if isinstance(o, DefOp)]:
            if not kernel.in_axes_form:
                raise IrkitError(
                    f"@{kernel.sym_name.data} still holds tensor ops",
                    kernel,
                    expected="a kernel in axes form",
                    hint="run graph-to-kernel first",
                )
            lowered = lower_kernel(kernel)
            parent = kernel.parent
            assert parent is not None
            parent.insert_op_before(lowered, kernel)
            parent.erase_op(kernel)


def _check_reductions(kernel: DefOp) -> None:
    """What a reduction makes depends on every axis that its elements have and that it does not remove."""
    axes = field_axes(kernel)
    for op in kernel.block.ops:
        if isinstance(op, ReduceOp):
            given = frozenset[str]().union(*(axes[v] for v in op.inputs)) - frozenset(op.axes)
            if lost := sorted(given - frozenset[str]().union(*(axes[r] for r in op.results))):
                raise IrkitError(
                    f"a reduction makes nothing of its elements along axis '{lost[0]}'",
                    op,
                    expected="states that its step computes from the elements",
                )


def _check_writes(kernel: DefOp) -> None:
    """A write names every axis that its value depends on."""
    axes = field_axes(kernel)
    for op in kernel.block.ops:
        if isinstance(op, WriteOp) and op.combiner is None:
            named = frozenset().union(*(expr.names() for expr in op.index.data))
            if lost := sorted(axes[op.value] - named):
                raise IrkitError(
                    f"a write to [{', '.join(map(str, op.index.data))}] does not name axis '{lost[0]}' of its value",
                    op,
                    expected="an index expression over each axis that the value depends on, or a reduction over it",
                )


def lower_kernel(kernel: DefOp) -> loop.FuncOp:
    """The nest of one kernel. Raises IrkitError."""
    if isinstance(first := kernel.block.first_op, ExternOp):
        return lower_extern(kernel, first)
    _check_reductions(kernel)
    _check_writes(kernel)
    schedule = parse_schedule(kernel, kernel.schedule.data if kernel.schedule is not None else ())
    body = Block(arg_types=[a.type for a in kernel.block.args])
    for new, old in zip(body.args, kernel.block.args, strict=True):
        new.name_hint = old.name_hint
    contraction = tiled_contraction(kernel, schedule)
    if schedule.pack and (contraction is None or not can_pack(kernel, contraction)):
        raise IrkitError(
            f"schedule of @{kernel.sym_name.data} packs an operand, but the kernel is no contraction over single axes",
            kernel,
            expected="sum over one axis of a product of two fields",
            hint="remove the pack directives",
        )
    if contraction is None:
        lower_pointwise(kernel, body, schedule)
    else:
        lower_contraction(kernel, body, schedule, contraction)
    _erase_dead(body)
    func = loop.FuncOp(kernel.sym_name.data, Region(body), kernel.signature.data, kernel.symbols.data)
    func.attributes.update(kernel.attributes)
    func.location = kernel.location
    return func


def _erase_dead(body: Block) -> None:
    """Erases values that nothing uses: regions that were built apart may each bring a constant."""
    for op in reversed(list(body.walk())):
        pure = not op.regions and not isinstance(op, loop.StoreOp | loop.YieldOp | loop.BarrierOp)
        if pure and op.results and not any(r.first_use is not None for r in op.results):
            assert op.parent is not None
            op.parent.erase_op(op)


def tiled_contraction(kernel: DefOp, schedule: Schedule) -> Contraction | None:
    """The contraction to be lowered around a register tile: what the schedule packs, or tiles in both directions."""
    found = next(contractions(kernel), None)
    if found is None or schedule.pack:
        return found
    tiled = {*found.m, *found.n} <= schedule.tile.keys() and can_pack(kernel, found)
    return found if tiled and not (schedule.vector or schedule.whole or schedule.order) else None
