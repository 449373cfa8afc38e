"""Writes schedules onto the statements of a `.tg` file, `y = a @ b, schedule="tile i 6; tile j 16"`.

Which statement stands for a kernel is tried out: a schedule is put onto a statement whose lines the kernel comes from,
the last first, and stays there if the program then holds that kernel with that schedule, and all others as they were.
`return softmax(x)` becomes a statement and a return of its name. Comments and the rest of the text stay what they are.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dialects.errors import ErrorList, IrkitError
from irkit import pipeline
from irkit.api import graph_of
from irkit.collector import paused
from irkit.lang import tree
from irkit.lang.format import format_text
from irkit.lang.parser import parse_alone
from irkit.tuning.session import kernels_of
from lowering.c.record import SourceLine
from lowering.kernel.identity import kernel_hash
from lowering.kernel.mutation import Directives

Kernels = Counter[tuple[str, Directives | None]]
"""The kernels of a program: hash, and the schedule that a statement states."""


@dataclass(frozen=True)
class Wanted:
    """A kernel that is to get a schedule, and the lines of source that it comes from."""

    name: str
    hash: str
    directives: Directives
    sources: tuple[SourceLine, ...]


@dataclass(frozen=True)
class Exported:
    """The new text, the kernels whose schedules stand in it, and those that no statement stands for, with the reason."""

    text: str
    written: tuple[str, ...]
    missing: Mapping[str, str]


@dataclass(frozen=True)
class Source:
    """A program: its text, and what chooses its function and sizes."""

    text: str
    name: str
    fn: str | None
    dims: Mapping[str, int]
    target: str
    cc: str


def export(source: Source, kernels: Sequence[Wanted]) -> Exported:
    """Writes schedules into a text. Raises IrkitError or ErrorList where the text as it stands has a fault."""
    text, missing = source.text, dict[str, str]()
    was_laid_out = format_text(text) == text
    before = _kernels(source, text)
    written: list[str] = []
    for kernel in kernels:
        found = _placed(source, text, before, kernel)
        if isinstance(found, str):
            missing[kernel.name] = found
            continue
        text, before = found
        written.append(kernel.name)
    return Exported(format_text(text) if was_laid_out else text, tuple(written), missing)


def _placed(source: Source, text: str, before: Kernels, kernel: Wanted) -> tuple[str, Kernels] | str:
    """The text with a kernel's schedule and the kernels that it makes, or why there is no place for it."""
    lines = {s.line for s in kernel.sources if s.file == source.name}
    if not lines:
        files = ", ".join(sorted({s.file for s in kernel.sources}))
        return f"it comes from {files}" if files else "it comes from no line of the source"
    old = next((d for h, d in before if h == kernel.hash), None)
    wanted = before.copy()
    wanted[kernel.hash, kernel.directives] = wanted.pop((kernel.hash, old), 1)
    reason = "no statement ends with an op of it"
    for statement in reversed(list(_statements(source, text))):
        first, last = (text.count("\n", 0, at) + 1 for at in statement.span)
        # An earlier schedule may have put lines before these.
        grown = text.count("\n") - source.text.count("\n")
        if not any(first - grown <= line <= last for line in lines):
            continue
        changed = _with_schedule(text, statement, kernel.directives)
        if changed is None:
            continue
        try:
            after = _kernels(source, changed)
        except (IrkitError, ErrorList):  # the schedule is that of another kernel, for which it makes no sense
            continue
        if after == wanted:
            return changed, after
        if after[kernel.hash, kernel.directives]:
            reason = f"the statement in line {first} stands for other kernels too"
        elif any(d == kernel.directives for h, d in after if (h, d) not in before):
            reason = "its axes were merged, which a schedule on a statement prevents, or it is another kernel there"
    return reason


def _kernels(source: Source, text: str) -> Kernels:
    """The kernels of a text, before the cost model gives schedules to those without one."""
    with paused():
        module = graph_of(text, source.name, source.fn, source.dims)
        passes = pipeline.passes_to("graph", "kernel", source.target, source.cc)
        pipeline.run_passes(module, pipeline.split(passes, "kernel-schedule")[0])
        return Counter(
            (kernel_hash(k), None if k.schedule is None else k.schedule.data)
            for k in kernels_of(module)
            if k.in_axes_form
        )


def _statements(source: Source, text: str) -> Iterator[tree.Assign | tree.IndexAssign | tree.Return]:
    """All statements that a schedule may stand on, in their order."""
    work: list[tree.Statement] = []
    for fn in parse_alone(text, source.name).decls:
        if isinstance(fn, tree.FnDecl):
            work += fn.body
    while work:
        node = work.pop(0)
        if isinstance(node, tree.For | tree.While | tree.If):
            work[:0] = [*node.body, *(node.otherwise if isinstance(node, tree.If) else ())]
        else:
            yield node


def _with_schedule(
    text: str, node: tree.Assign | tree.IndexAssign | tree.Return, directives: Directives
) -> str | None:
    """The text with a schedule on a statement; None for one that cannot have any."""
    stated = f', schedule="{"; ".join(directives)}"'
    start, end = node.span
    if not directives:
        return None
    if isinstance(node, tree.Return):
        if len(node.values) != 1 or isinstance(node.values[0], tree.Name):
            return None
        name = next(n for n in _names() if not re.search(rf"\b{n}\b", text))
        value = text[node.values[0].span.start : end]
        line = text[text.rfind("\n", 0, start) + 1 : start]
        indent = line if line.isspace() else " "
        separator = f"\n{indent}" if line.isspace() else "\n"
        return f"{text[:start]}{name} = {value}{stated}{separator}return {name}{text[end:]}"
    if node.schedule is not None:
        return f"{text[: node.schedule.span.start]}{stated[len(', schedule=') :]}{text[node.schedule.span.end :]}"
    return f"{text[:end]}{stated}{text[end:]}"


def _names() -> Iterator[str]:
    """Names for a value that had none."""
    yield from ("result", "out")
    yield from (f"result_{n}" for n in range(1, 1000))
