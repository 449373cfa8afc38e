"""`irkit show`: the kernels of a program with their operations, FLOPs and bytes, and the memory of the whole."""

from __future__ import annotations

import argparse
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from xdsl.dialects import arith
from xdsl.dialects.builtin import ModuleOp, VectorType
from xdsl.ir import Attribute, Operation

from dialects import buffer, kernel
from dialects.graph import ForOp
from dialects.types import RefType, is_float
from irkit.api import lower
from irkit.commands.arguments import bytes_text, count_text, read_dims
from irkit.runtime.compiler import find_compiler
from lowering.kernel.fields import field_axes

FREE = (arith.ConstantOp, arith.SelectOp, arith.CmpfOp, arith.CmpiOp, arith.ExtFOp, arith.TruncFOp)
"""Ops on floats that are no floating-point arithmetic."""


@dataclass(frozen=True)
class KernelCost:
    """What one run of a kernel takes, symbolic dims at their greatest: FLOPs, and bytes of all its arrays.

    A multiply and an add count as two FLOPs, a transcendental function as one. `ops` counts the
    scalar operations in the kernel's text.
    """

    name: str
    axes: str
    ops: int
    flops: int
    bytes: int


def execute(args: argparse.Namespace) -> None:
    """Prints the tables; raises IrkitError."""
    cc = find_compiler(args.cc).name
    module = lower(args.file, "graph", args.fn, read_dims(args.dim), args.target, cc)
    ops = graph_ops(module)
    lower(module, "kernel", target=args.target, cc=cc)
    costs = {c.name: c for c in kernel_costs(module)}
    launches, known = launch_counts(module)
    lower(module, "buffer", target=args.target, cc=cc)
    program = next(op for op in module.ops if isinstance(op, buffer.ProgramOp))
    most = {name: high for name, _, high in program.symbols.data}
    print(f"{sum(ops.values())} ops: " + ", ".join(f"{n} {name}" for name, n in ops.most_common()))
    _print_table(costs, launches)
    peak, bound = (f.data.evaluate(most) for f in (program.peak_bytes, program.lower_bound_bytes))
    if not known:
        print("a loop whose bounds are data counts as one iteration")
    if most:
        print("sizes are for " + ", ".join(f"{n} = {v}" for n, v in most.items()))
    print(f"intermediates {bytes_text(peak)} at the peak, lower bound {bytes_text(bound)}")


def graph_ops(module: ModuleOp) -> Counter[str]:
    """How often each op stands in a module at graph level, without constants."""
    names = (op.name for op in module.walk() if op.name.startswith("graph."))
    return Counter(n.removeprefix("graph.") for n in names if n not in ("graph.constant", "graph.yield"))


def kernel_costs(module: ModuleOp) -> Iterator[KernelCost]:
    """The costs of each kernel of a module at kernel level."""
    for op in module.ops:
        if isinstance(op, kernel.DefOp) and op.in_axes_form:
            yield kernel_cost(op)


def kernel_cost(op: kernel.DefOp) -> KernelCost:
    """The cost of one kernel."""
    most = {name: high for name, _, high in op.symbols.data}
    extents = {name: dim.evaluate(most) for name, dim in op.axes.data}
    axes = field_axes(op)
    ops = flops = 0
    for inner in op.body.walk():
        if not inner.results or isinstance(inner, kernel.ReduceOp) or _in_combine(inner):
            continue
        ops += not isinstance(inner, arith.ConstantOp | kernel.ReadOp | kernel.IndexOp)
        if _is_flop(inner):
            flops += math.prod(extents[a] for a in axes[inner.results[0]])
    size = sum(_bytes(a.type, most) for a in op.block.args)
    shown = " ".join(f"{n}:{d}" for n, d in op.axes.data)
    return KernelCost(op.sym_name.data, shown, ops, flops, size)


def launch_counts(module: ModuleOp) -> tuple[Counter[str], bool]:
    """How often each kernel is launched, and whether that is known.

    The body of a loop counts once for each iteration, and once in all where the bounds are data.
    """
    counts: Counter[str] = Counter()
    known = True
    for op in module.walk():
        if isinstance(op, kernel.LaunchOp):
            times = iterations(op)
            known = known and times is not None
            counts[op.callee.root_reference.data] += 1 if times is None else times
    return counts, known


def iterations(op: Operation) -> int | None:
    """How often the loops around an op run it; None where their bounds are no constants."""
    total, parent = 1, op.parent_op()
    while parent is not None:
        if isinstance(parent, ForOp):
            lower, upper = (b.data.value if b is not None else None for b in (parent.lower, parent.upper))
            if lower is None or upper is None or parent.conditional is not None:
                return None
            total *= max(0, upper - lower)
        parent = parent.parent_op()
    return total


def _is_flop(op: Operation) -> bool:
    type_ = op.results[0].type
    element = type_.get_element_type() if isinstance(type_, VectorType) else type_
    return op.name.startswith(("arith.", "math.")) and is_float(element) and not isinstance(op, FREE)


def _in_combine(op: Operation) -> bool:
    """Whether an op merges partial results of a reduction, which a sequential run never does."""
    region = op.parent_region()
    parent = op.parent_op()
    return isinstance(parent, kernel.ReduceOp) and region is parent.combine


def _bytes(type_: Attribute, most: Mapping[str, int]) -> int:
    return type_.bytes().evaluate(most) if isinstance(type_, RefType) else 0


def _print_table(costs: Mapping[str, KernelCost], launches: Counter[str]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("kernel", "axes"):
        table.add_column(title, overflow="fold")
    for title in ("scalar ops", "runs", "FLOPs", "bytes", "FLOP/byte"):
        table.add_column(title, justify="right", no_wrap=True)
    flops = size = runs = 0
    for cost in costs.values():
        count = launches[cost.name]
        intensity = f"{cost.flops / cost.bytes:.3g}" if cost.bytes else "-"
        numbers = (str(cost.ops), str(count), count_text(cost.flops), bytes_text(cost.bytes), intensity)
        table.add_row(cost.name, cost.axes, *numbers)
        runs, flops, size = runs + count, flops + count * cost.flops, size + count * cost.bytes
    table.add_section()
    total = f"{flops / size:.3g}" if size else "-"
    table.add_row("all runs", "", "", str(runs), count_text(flops), bytes_text(size), total)
    Console(highlight=False, soft_wrap=False).print(table)
