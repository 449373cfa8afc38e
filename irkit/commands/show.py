"""`irkit show`: the kernels of a program with their operations, FLOPs and bytes, and the memory of the whole."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation

from dialects import buffer, kernel
from dialects.errors import IrkitError
from dialects.graph import CustomOp, ForOp, outside_customs
from irkit.api import lower
from irkit.commands.arguments import bytes_text, count_text, read_dims
from irkit.files import write_atomically
from irkit.remarks import asked_remarks, show_remarks
from irkit.runtime.compiler import find_compiler
from lowering.kernel import cost
from lowering.remarks import listening


@dataclass(frozen=True)
class KernelCost:
    """What one run of a kernel takes (`lowering.kernel.cost`), symbolic dims at their greatest."""

    name: str
    axes: str
    ops: int
    flops: int
    bytes: int


def execute(args: argparse.Namespace) -> None:
    """Prints the tables, or writes the page of `--html`; then the remarks, if asked for. Raises IrkitError."""
    remarks = asked_remarks(args)
    with listening(remarks):
        _show(args)
    if remarks is not None:
        show_remarks(remarks, args, sys.stdout)


def _show(args: argparse.Namespace) -> None:
    cc = find_compiler(args.cc).name
    if args.html is not None:
        _write_page(args, cc)
        return
    if args.roof is not None:
        raise IrkitError("--roof is for the page alone", hint="add --html FILE, or leave it out")
    module = lower(Path(args.file), "graph", args.fn, read_dims(args.dim), args.target, cc)
    ops = graph_ops(module)
    lower(module, "kernel", target=args.target, cc=cc)
    costs = {c.name: c for c in kernel_costs(module)}
    launches, known = launch_counts(module)
    once = once_kernels(module)
    lower(module, "buffer", target=args.target, cc=cc)
    program = next(op for op in module.ops if isinstance(op, buffer.ProgramOp))
    most = {name: high for name, _, high in program.symbols.data}
    print(f"{sum(ops.values())} ops: " + ", ".join(f"{n} {name}" for name, n in ops.most_common()))
    _print_table(costs, launches, once)
    peak, bound = (f.data.evaluate(most) for f in (program.peak_bytes, program.lower_bound_bytes))
    if not known:
        print("a loop whose bounds are data counts as one iteration")
    if most:
        print("sizes are for " + ", ".join(f"{n} = {v}" for n, v in most.items()))
    print(f"intermediates {bytes_text(peak)} at the peak, lower bound {bytes_text(bound)}")
    if prepared := program.prepared_bytes.data.evaluate(most):
        print(f"prepared {bytes_text(prepared)}, by kernels that run once")


def _write_page(args: argparse.Namespace, cc: str) -> None:
    from irkit.page.collect import collect
    from irkit.page.html import page_html

    page = page_html(collect(args.file, args.fn, read_dims(args.dim), args.target, cc, args.roof))
    write_atomically(args.html, page)
    print(f"wrote {args.html}, {bytes_text(len(page.encode()))}")


def graph_ops(module: ModuleOp) -> Counter[str]:
    """How often each op stands in a module at graph level, without constants; a custom op counts once, by its name."""
    ops = [op for op in outside_customs(module) if op.name.startswith("graph.")]
    names = [op.title.data if isinstance(op, CustomOp) else op.name.removeprefix("graph.") for op in ops]
    return Counter(n for n in names if n not in ("constant", "yield"))


def kernel_costs(module: ModuleOp) -> Iterator[KernelCost]:
    """The costs of each kernel of a module at kernel level."""
    for op in module.ops:
        if isinstance(op, kernel.DefOp) and op.in_axes_form:
            yield kernel_cost(op)


def kernel_cost(op: kernel.DefOp) -> KernelCost:
    """The cost of one kernel."""
    most = {name: high for name, _, high in op.symbols.data}
    found = cost.kernel_cost(op)
    shown = " ".join(f"{n}:{d}" for n, d in op.axes.data)
    flops, size = found.flops.evaluate(most), found.bytes.evaluate(most)
    return KernelCost(found.name, shown, found.ops, flops, size)


def launch_counts(module: ModuleOp) -> tuple[Counter[str], bool]:
    """How often each kernel is launched in a run, and whether that is known.

    The body of a loop counts once for each iteration, and once in all where the bounds are data.
    """
    counts: Counter[str] = Counter()
    known = True
    for op in module.walk():
        if isinstance(op, kernel.LaunchOp) and op.once is None:
            times = iterations(op)
            known = known and times is not None
            counts[op.callee.root_reference.data] += 1 if times is None else times
    return counts, known


def once_kernels(module: ModuleOp) -> frozenset[str]:
    """The kernels that are launched before all runs."""
    launches = (op for op in module.walk() if isinstance(op, kernel.LaunchOp) and op.once is not None)
    return frozenset(op.callee.root_reference.data for op in launches)


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


def _print_table(costs: Mapping[str, KernelCost], launches: Counter[str], once: frozenset[str]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("kernel", "axes"):
        table.add_column(title, overflow="fold")
    for title in ("scalar ops", "runs", "FLOPs", "bytes", "FLOP/byte"):
        table.add_column(title, justify="right", no_wrap=True)
    flops = size = runs = 0
    for row in costs.values():
        count = launches[row.name]
        intensity = f"{row.flops / row.bytes:.3g}" if row.bytes else "-"
        numbers = (
            str(row.ops),
            str(count) if count else "once",
            count_text(row.flops),
            bytes_text(row.bytes),
            intensity,
        )
        table.add_row(row.name, row.axes, *numbers)
        runs, flops, size = runs + count, flops + count * row.flops, size + count * row.bytes
    table.add_section()
    total = f"{flops / size:.3g}" if size else "-"
    table.add_row("all runs", "", "", str(runs), count_text(flops), bytes_text(size), total)
    Console(highlight=False, soft_wrap=False).print(table)
