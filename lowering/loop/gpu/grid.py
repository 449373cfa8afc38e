"""A grid of blocks, and what each of its blocks does: one nest, or one of several that know nothing of one another."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xdsl.ir import Block, SSAValue

from dialects import loop
from dialects.dims import ZERO, Dim
from lowering.loop.remade import fresh_name


@dataclass(frozen=True)
class Grid:
    """Where a form puts its nest: the number of the block among those of the nest, that of the thread, the threads of each
    block; where arrays of all blocks and those of one are declared, and where its threads begin; the ranges of all names; what
    stands for the arguments."""

    number: Dim
    thread: Dim
    threads: int
    team: Block
    shared: Block
    inside: Block
    ranges: Mapping[str, tuple[float, float]]
    values: Mapping[SSAValue, SSAValue]


class Form(ABC):
    """How a nest is run by blocks and threads."""

    kind: ClassVar[str]
    threads: int
    """The threads of a block that the nest asks for; it may be given more."""

    @abstractmethod
    def blocks(self, threads: int) -> Dim:
        """The blocks of so many threads that the nest needs."""

    @abstractmethod
    def fill(self, grid: Grid) -> None:
        """Writes what a thread does."""


def fill_grid(func: loop.FuncOp, forms: Sequence[Form], body: Block) -> None:
    """Fills a body: the first blocks run the first nest, those behind them the second, and so on."""
    size = max(form.threads for form in forms)
    counts = [form.blocks(size) for form in forms]
    total = sum(counts, ZERO)
    blocks = loop.ForOp(fresh_name("b", func), 0, total, role="block")
    threads = loop.ForOp(fresh_name("t", func), 0, size, role="thread")
    number, thread = Dim.of(blocks.variable), Dim.of(threads.variable)
    values: dict[SSAValue, SSAValue] = dict(zip(func.block.args, body.args, strict=True))
    inside, first = threads.block, ZERO
    for form, count in zip(forms, counts, strict=True):
        ranges = func.symbols.ranges()
        before, after = first.bounds(ranges)[0], (first + count).bounds(ranges)[1]
        ranges |= {blocks.variable: (before, max(before, after - 1)), threads.variable: (0, size - 1)}
        here = inside
        if form is not forms[-1]:
            branch = loop.IfOp([first + count - 1 - number])
            inside.add_op(branch)
            here, inside = branch.then.block, branch.otherwise.block
        form.fill(Grid(number - first, thread, size, body, blocks.block, here, ranges, values))
        first = first + count
    blocks.block.add_op(threads)
    body.add_op(blocks)
