"""Which source lines, graph ops and kernels a thing stands for, read from locations.

Every pass hands locations on, unions where ops are merged. Each op of the graph gets one more part in its location, its
number; so at every level below, an op names the graph ops that it stands for, and not their source lines alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from xdsl.dialects.builtin import (
    ArrayAttr,
    FileLineColLoc,
    FusedLoc,
    IntAttr,
    LocationAttr,
    ModuleOp,
    NoneAttr,
    StringAttr,
)
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation

from dialects import kernel
from irkit.page.facts import Mark, Place
from lowering.buffer.storage import argument_facts

NUMBER = "<graph op>"
"""The file of the location part that holds a graph op's number; no file of the user is called so."""

UNNUMBERED = ("graph.yield",)


def number_ops(module: ModuleOp) -> None:
    """Gives each graph op of a module its number, as a part of its location; ops inside it get the same."""
    tags: dict[Operation | None, FileLineColLoc] = {}
    count = 0
    for op in module.walk():
        if op.name.startswith("graph.") and op.name not in UNNUMBERED:
            tags[op] = FileLineColLoc(StringAttr(NUMBER), IntAttr(count), IntAttr(1))
            count += 1
        elif (outer := tags.get(op.parent_op())) is not None:
            tags[op] = outer
        if op in tags:
            op.location = FusedLoc(ArrayAttr((*parts(op.location), tags[op])), NoneAttr())


def parts(location: LocationAttr) -> Iterator[FileLineColLoc]:
    """The file locations inside a location, in order."""
    waiting = [location]
    while waiting:
        part = waiting.pop()
        if isinstance(part, FileLineColLoc):
            yield part
        else:
            waiting.extend(reversed(tuple(getattr(part, "locations", ()))))


class Marks:
    """Reads locations, once each; knows the kernels of every graph op once it has seen their launches."""

    def __init__(self) -> None:
        self.known: dict[int, tuple[LocationAttr, Mark]] = {}
        self.kernels_of_op: dict[int, dict[str, None]] = {}
        self.kernels_of_line: dict[Place, dict[str, None]] = {}
        self.ops_of_line: dict[Place, dict[int, None]] = {}
        self.arguments: set[Place] = set()
        self.launches: dict[str, list[Mark]] = {}

    def read(self, location: LocationAttr) -> Mark:
        """The ops and lines of a location."""
        found = self.known.get(id(location))
        if found is None:
            ops: dict[int, None] = {}
            lines: dict[Place, None] = {}
            for part in parts(location):
                if part.filename.data == NUMBER:
                    ops[part.line.data] = None
                else:
                    lines[part.filename.data, part.line.data] = None
            # Kept beside its location, whose id is another's once it is gone.
            found = self.known[id(location)] = location, Mark(tuple(ops), tuple(lines))
        return found[1]

    def see_graph(self, module: ModuleOp) -> None:
        """Takes in the numbered ops of a module at graph level, and where its arguments are declared."""
        for op in module.walk():
            if isinstance(op, FuncOp):
                self.arguments.update(
                    p for n in range(len(op.body.block.args)) for p in argument_places(op, n)
                )
            mark = self.read(op.location)
            for place in mark.lines:
                self.ops_of_line.setdefault(place, {}).update(dict.fromkeys(mark.ops))

    def see_kernels(self, module: ModuleOp) -> None:
        """Takes in the kernels of a module at kernel level: a kernel stands for what all of its launches stand for."""
        for op in module.walk():
            name = None
            if isinstance(op, kernel.LaunchOp):
                name = op.callee.root_reference.data
            elif isinstance(op, kernel.DefOp):
                name = op.sym_name.data
            if name is not None:
                self._see_kernel(name, self.read(op.location))

    def _see_kernel(self, name: str, mark: Mark) -> None:
        for number in mark.ops:
            self.kernels_of_op.setdefault(number, {})[name] = None
        for place in mark.lines:
            self.kernels_of_line.setdefault(place, {})[name] = None
        self.launches.setdefault(name, [Mark(kernels=(name,))]).append(mark)

    def whole(self, name: str) -> Mark:
        """The mark of a kernel as a whole."""
        seen = self.launches.get(name, [Mark(kernels=(name,))])
        if len(seen) > 1:
            seen[:] = [merged(seen)]
        return seen[0]

    def with_kernels(self, mark: Mark) -> Mark:
        """The mark of a thing at graph level with the kernels that hold its ops."""
        kernels = {k: None for number in mark.ops for k in self.kernels_of_op.get(number, ())}
        return Mark(mark.ops, mark.lines, tuple(kernels))

    def kernel(self, name: str, location: LocationAttr) -> Mark:
        """The mark of an op inside a kernel, or of a task that runs it."""
        mark = self.read(location)
        return Mark(mark.ops, mark.lines, (name,))

    def source(self, place: Place) -> Mark:
        """The mark of a source line; an empty one where nothing came of the line."""
        ops, kernels = self.ops_of_line.get(place, {}), self.kernels_of_line.get(place, {})
        known = ops or kernels or place in self.arguments
        return Mark(tuple(ops), (place,), tuple(kernels)) if known else Mark()


def argument_places(func: FuncOp, number: int) -> tuple[Place, ...]:
    """Where an argument of a function is declared."""
    location = argument_facts(func, number).get("graph.loc")
    found = parts(location) if isinstance(location, LocationAttr) else ()
    return tuple((p.filename.data, p.line.data) for p in found)


def merged(marks: Iterable[Mark]) -> Mark:
    """The mark of what stands for several things."""
    ops: dict[int, None] = {}
    lines: dict[Place, None] = {}
    kernels: dict[str, None] = {}
    for mark in marks:
        ops.update(dict.fromkeys(mark.ops))
        lines.update(dict.fromkeys(mark.lines))
        kernels.update(dict.fromkeys(mark.kernels))
    return Mark(tuple(ops), tuple(lines), tuple(kernels))
