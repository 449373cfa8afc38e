"""The text of each level, line by line, with what each line stands for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from io import StringIO

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation
from xdsl.printer import Printer

from dialects import buffer, kernel, loop
from irkit.page.facts import Line, Mark, Section
from irkit.page.marks import Marks
from lowering.c.names import kernel_name

LONGEST = 20_000
"""Characters of a line that are shown; longer ones are constant data."""

MarkOf = Callable[[Operation], Mark]


class _Counted(StringIO):
    """Text that knows the number of the line it is at."""

    line = 0

    def write(self, text: str) -> int:
        self.line += text.count("\n")
        return super().write(text)


class _LinePrinter(Printer):
    """A printer that remembers the innermost op of every line."""

    def __init__(self) -> None:
        self.text = _Counted()
        self.owners: dict[int, Operation] = {}
        super().__init__(self.text)

    def print_op(self, op: Operation) -> None:
        first = self.text.line
        super().print_op(op)
        # The ops inside have taken their lines already.
        for number in range(first, self.text.line + 1):
            self.owners.setdefault(number, op)


def printed(op: Operation) -> list[tuple[str, Operation]]:
    """The lines of an op's text, each with the innermost op that it belongs to."""
    printer = _LinePrinter()
    printer.print_op(op)
    texts = printer.text.getvalue().split("\n")
    return [(shortened(text), printer.owners.get(number, op)) for number, text in enumerate(texts)]


def section(name: str, op: Operation, mark_of: MarkOf) -> Section:
    """The text of an op, with its marks."""
    marks: dict[Operation, Mark] = {}
    lines: list[Line] = []
    for text, owner in printed(op):
        if owner not in marks:
            marks[owner] = mark_of(owner)
        lines.append(Line(text, marks[owner]))
    return Section(name, tuple(lines))


def shortened(text: str) -> str:
    """A line without the end of a constant's data."""
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]} ... ({len(text) - LONGEST} more characters)"


def source_sections(files: Iterable[tuple[str, str]], marks: Marks) -> Iterator[Section]:
    """Source files, by name and text."""
    for name, text in files:
        lines = text.removesuffix("\n").split("\n")
        yield Section(
            name, tuple(Line(shortened(t), marks.source((name, n))) for n, t in enumerate(lines, 1))
        )


def graph_sections(module: ModuleOp, marks: Marks) -> Iterator[Section]:
    """The functions of a module at graph level; their kernels are not known yet."""
    for op in module.ops:
        if isinstance(op, FuncOp):
            yield section(op.sym_name.data, op, lambda inner: marks.read(inner.location))


def kernel_sections(module: ModuleOp, marks: Marks) -> Iterator[Section]:
    """The kernels of a module at kernel or loop level."""
    for op in module.ops:
        if isinstance(op, kernel.DefOp | loop.FuncOp):
            name = op.sym_name.data
            yield section(name, op, _inside(op, name, marks))


def _inside(whole: Operation, name: str, marks: Marks) -> MarkOf:
    return lambda op: marks.whole(name) if op is whole else marks.kernel(name, op.location)


def host_section(op: Operation, name: str, marks: Marks) -> Section:
    """The host program, at whatever level it is."""
    return section(name, op, lambda inner: host_mark(inner, marks))


def host_mark(op: Operation, marks: Marks) -> Mark:
    """The mark of an op of the host program."""
    if isinstance(op, kernel.LaunchOp | buffer.CallOp):
        return marks.kernel(op.callee.root_reference.data, op.location)
    return marks.read(op.location)


def c_sections(
    source: str, kernels: Sequence[str], program: buffer.ProgramOp, marks: Marks
) -> Iterator[Section]:
    """The C text: what stands before the kernels, each kernel, and the host program.

    The calls in the host program are those of the `buffer.program`, in its order.
    """
    names = {kernel_name(name): name for name in kernels}
    calls = iter([op for op in program.walk() if isinstance(op, buffer.CallOp)])
    texts = source.removesuffix("\n").split("\n")
    starts = [n for n, text in enumerate(texts) if _C_KERNEL.match(text)]
    begin = 0
    for start in starts:
        found = _C_KERNEL.match(texts[start])
        assert found is not None
        name = names[found[1]]
        head = start - texts[start - 1].startswith("// ")
        end = texts.index("}", start) + 1
        if any(texts[begin:head]):  # but for the empty line between two
            yield _plain("host", texts[begin:head])
        inside, whole = Mark(kernels=(name,)), marks.whole(name)
        yield Section(
            name,
            tuple(
                Line(shortened(t), whole if n <= start else inside)
                for n, t in enumerate(texts[head:end], head)
            ),
        )
        begin = end
    lines: list[Line] = []
    for text in texts[begin:]:
        found = _C_CALL.match(text)
        lines.append(Line(shortened(text), host_mark(next(calls), marks) if found else Mark()))
    yield Section("host", tuple(lines))


_C_KERNEL = re.compile(r"static void (k_\w+)\(")
_C_CALL = re.compile(r"\s+k_\w+\(")


def _plain(name: str, texts: Iterable[str]) -> Section:
    return Section(name, tuple(Line(shortened(t), Mark()) for t in texts))
