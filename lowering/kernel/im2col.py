"""kernel-im2col: convolutions become contractions over one axis, whose right operand is read without tests.

Nothing is in memory as a matrix of windows (im2col): the contraction packs its columns panel by panel, in a cache. This is
"implicit" im2col, as in S. Chetlur et al., "cuDNN: Efficient Primitives for Deep Learning", 2014.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import prod

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, f32
from xdsl.passes import ModulePass

from dialects.dims import Opaque, product
from dialects.kernel import DefOp, LaunchOp, ReadOp
from dialects.types import RefType
from lowering.kernel.axes import merge_axes, plain, split_axis, walks_together
from lowering.kernel.contraction import Contraction, contractions, unit_stride_axis
from lowering.kernel.cost import extent_sizes
from lowering.kernel.fields import reads_of, reduced_axes
from lowering.kernel.schedule import register_tile, too_small
from lowering.kernel.window_copies import Copies, layout_of
from lowering.loop.contraction import can_pack
from lowering.target import Target, get_target

OVERLAP = 2
"""A window that is read directly is copied first where each element is read at least so many times."""

LEAST_READS = 1 << 14
LEAST_COLUMNS = 8
"""What makes less use of a copy is left as it is."""


@dataclass(frozen=True)
class KernelIm2col(ModulePass):
    """Brings contractions over several axes, such as those of a convolution's window, into a form that packs.

    Expects: kernels in axes form.
    Does: where a contraction is worth packing but for its form, (1) groups of filters get an axis of their own; (2) the
    axes that it sums over become one, if one operand has them as neighbouring, contiguous and whole dims; the other is
    read at quotients and remainders of the new axis; (3) an operand that is read outside of its array, or in steps along
    the columns, is copied ahead of it by a kernel of its own: with the padding around it, and the points of each step side
    by side, so that panels are packed vector by vector. (4) Windows that overlap, of poolings and of filters for each channel,
    are copied so too, where the kernel reads them outside of their array or in steps. Targets that pack nothing are left
    alone.
    Leaves: kernels in axes form, with the same numbers.
    """

    name = "kernel-im2col"

    target: str = "native"
    cc: str = "gcc"
    stats: dict[str, int] = field(default_factory=dict, compare=False, repr=False)

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        target = get_target(self.target, self.cc)
        if not target.packs:
            return
        launches: dict[str, list[LaunchOp]] = {}
        for launch in (o for o in op.walk() if isinstance(o, LaunchOp)):
            launches.setdefault(launch.callee.root_reference.data, []).append(launch)
        copies = Copies(op)
        for kernel in [k for k in op.ops if isinstance(k, DefOp)]:
            if not kernel.in_axes_form or kernel.schedule is not None:
                continue
            found = _flatten(kernel, target)
            if found is not None:
                self._count("sums flattened", len(found.k) > 1)
                column = found.n[0]
                columns = register_tile(found, extent_sizes(kernel), target)[1]
                reads = list(reads_of(found.rhs))
            else:
                column, columns = unit_stride_axis(kernel), 2 * target.lanes(f32)
                reads = list(_windows(kernel, column))
            for read in reads:
                layout = layout_of(kernel, read, column, columns) if column is not None else None
                if layout is not None:
                    copies.put(kernel, read, layout, launches.get(kernel.sym_name.data, []))
                    self._count("operands copied", True)

    def _count(self, what: str, fires: bool) -> None:
        self.stats[what] = self.stats.get(what, 0) + fires


def _windows(kernel: DefOp, column: str | None) -> Iterator[ReadOp]:
    """The reads under reductions whose windows overlap along the columns, so that each element is read several times."""
    sizes, reduced = extent_sizes(kernel), reduced_axes(kernel)
    if column is None or sizes.get(column, 0) < LEAST_COLUMNS:
        return
    for read in (op for op in kernel.block.ops if isinstance(op, ReadOp)):
        array = read.array.type
        assert isinstance(array, RefType)
        named = {name for e in read.index.data for name in e.names()}
        slides = any(column in e.names() and e.names() & reduced for e in read.index.data)
        elements = product(array.shape.data).bounds(kernel.symbols.ranges())[1]
        reads = prod(sizes.get(n, 0) for n in named)
        if slides and reads >= max(LEAST_READS, OVERLAP * elements):
            yield read


def _flatten(kernel: DefOp, target: Target) -> Contraction | None:
    """Gives the groups of a kernel that is worth packing an axis of their own, and its sum a single one. Returns the
    contraction as it was before the sum got that; None where the kernel stays as it is."""
    found = next(contractions(kernel), None)
    if found is None:
        return None
    if not found.m and (group := _group(kernel, found)) is not None:
        trial = kernel.clone()
        split_axis(trial, *group)
        if _packs(trial, next(contractions(trial)), target):
            split_axis(kernel, *group)
            found = next(contractions(kernel))
    if not _packs(kernel, found, target):
        return None
    first, *others = found.k
    for axis in others:
        merge_axes(kernel, first, axis)
    return found


def _packs(kernel: DefOp, c: Contraction, target: Target) -> bool:
    """Whether a contraction would be packed if the axes that it sums over were one, and can be brought into that form."""
    return (
        bool(c.m and c.n)
        and can_pack(kernel, replace(c, k=c.k[:1]))
        and _is_whole(kernel, c)
        and too_small(c, extent_sizes(kernel), target) is None
    )


def _group(kernel: DefOp, c: Contraction) -> tuple[str, int] | None:
    """The axis of the filters of a convolution in groups, and how many each group has: the one operand is read at them, the
    other at the number of their group."""
    extents = kernel.extents()
    for read in (read for v in (c.lhs, c.rhs) for read in reads_of(v)):
        for atom in (a for e in read.index.data for monomial, _ in e.terms for a in monomial):
            if isinstance(atom, Opaque) and atom.kind == "floordiv":
                name, size = plain(atom.args[0]), atom.args[1].value
                extent = extents[name].value if name in c.batch else None
                if name and size and extent and extent % size == 0:
                    return name, size
    return None


def _is_whole(kernel: DefOp, c: Contraction) -> bool:
    """Whether one operand is read at the axes of the sum in order, as neighbouring dims that are whole and contiguous."""
    reads = [v.owner for v in (c.lhs, c.rhs)]
    return len(c.k) == 1 or any(
        isinstance(r, ReadOp)
        and r.otherwise is None
        and all(walks_together(r, a, b, kernel) for a, b in pairwise(c.k))
        for r in reads
    )
