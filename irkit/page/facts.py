"""What the page shows, as plain values: nothing here knows of IR or of HTML."""

from __future__ import annotations

from dataclasses import dataclass

Place = tuple[str, int]
"""A source line: file and number, from 1."""


@dataclass(frozen=True)
class Mark:
    """What a thing on the page stands for: graph ops by number, source lines, kernels by name.

    Two things belong together where they share an op, a line or a kernel.
    """

    ops: tuple[int, ...] = ()
    lines: tuple[Place, ...] = ()
    kernels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Line:
    """A line of text at some level."""

    text: str
    mark: Mark


@dataclass(frozen=True)
class Section:
    """Lines that belong together: a source file, a kernel, a host program."""

    name: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Level:
    """A model at one level."""

    name: str
    about: str
    sections: tuple[Section, ...]


@dataclass(frozen=True)
class Node:
    """A box of the drawing: an op, a kernel, an argument or a result."""

    kind: str
    title: str
    mark: Mark


@dataclass(frozen=True)
class Edge:
    """A value on its way from one box (by index) to another; `back` leads to the next iteration of a loop."""

    source: int
    target: int
    value: str
    back: bool = False


@dataclass(frozen=True)
class Drawing:
    """A graph in topological order, but for the edges that lead back."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


@dataclass(frozen=True)
class Task:
    """A step of the host program."""

    name: str
    mark: Mark


@dataclass(frozen=True)
class Piece:
    """A piece of the arena: what it holds, where it lies in bytes, and the tasks begin <= t < end that need it."""

    name: str
    type: str
    size: int
    offset: int
    begin: int
    end: int
    mark: Mark


@dataclass(frozen=True)
class MemoryPlan:
    """The arena over time, symbolic dims at their greatest; scratch is what each thread needs beside it, prepared what
    kernels leave that run once."""

    tasks: tuple[Task, ...]
    pieces: tuple[Piece, ...]
    peak_bytes: int
    lower_bound_bytes: int
    scratch_bytes: int
    prepared_bytes: int = 0


@dataclass(frozen=True)
class Roof:
    """What a machine can do at most, per second, and where the figures come from."""

    flops: float
    bytes: float
    basis: str

    def bound(self, intensity: float) -> float:
        """The most FLOPs per second of a kernel that does so many FLOPs for each byte."""
        return min(self.flops, intensity * self.bytes)

    def seconds(self, flops: int, size: int) -> float:
        """The least time for so many FLOPs and bytes."""
        return max(flops / self.flops, size / self.bytes)


@dataclass(frozen=True)
class Kernel:
    """The cost of one run of a kernel, as `irkit show` prints it, and how often it runs; `once`
    is one of those that run before all runs."""

    name: str
    axes: str
    schedule: str
    ops: int
    runs: int
    flops: int
    bytes: int
    mark: Mark
    once: bool = False


@dataclass(frozen=True)
class Page:
    """Everything on the page."""

    title: str
    function: str
    target: str
    notes: tuple[str, ...]
    levels: tuple[Level, ...]
    graph: Drawing
    kernel_graph: Drawing
    kernels: tuple[Kernel, ...]
    memory: MemoryPlan
    roof: Roof
