"""The tables of `irkit compile --size`."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from irkit.commands.arguments import bytes_text
from irkit.footprint import Footprint, Stack

FRAMES = 12
"""No more functions are listed."""


def print_footprint(found: Footprint) -> None:
    """Prints what a program takes: the object files, memory, stack."""
    console = Console(highlight=False, soft_wrap=True)
    table = _table("file", "text", "rodata", "data", "bss")
    for row in found.objects:
        s = row.sizes
        table.add_row(row.file, str(s.text), str(s.rodata), str(s.data), str(s.bss))
    console.print(table)
    weights = f"{found.const_bytes} in C" if found.const_bytes else "0 in C"
    print(f"weights {weights}" + (f", {found.file_bytes} in a file" if found.file_bytes else ""))
    print(f"arena {found.arena_bytes}, of which intermediates {found.peak_bytes} at the peak")
    if found.prepared_bytes:
        print(f"prepared {found.prepared_bytes}, made of the weights once")
    if found.stack is None:
        print(f"stack unknown: '{found.compiler}' does not write -fstack-usage")
    else:
        _print_stack(console, found.stack)
    print(f"flash {found.flash} ({bytes_text(found.flash)}), RAM {found.ram} ({bytes_text(found.ram)})")


def _print_stack(console: Console, stack: Stack) -> None:
    table = _table("function", "stack")
    for frame in stack.frames[:FRAMES]:
        table.add_row(frame.name, f"{frame.bytes}{'' if frame.is_bounded else ' or more'}")
    console.print(table)
    more = f", without that of {', '.join(stack.outside)}" if stack.outside else ""
    bound = "at most" if stack.is_bounded else "at least"
    print(f"stack {bound} {stack.bytes}: {' -> '.join(stack.chain)}{more}")


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(first, overflow="fold")
    for title in others:
        table.add_column(title, justify="right", no_wrap=True)
    return table
