"""kernel-collapse-axes: neighbouring axes that every access walks together become one."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from xdsl.context import Context
from xdsl.dialects import builtin
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass

from dialects.kernel import DefOp, IndexOp, ReduceOp, ScanOp
from lowering.kernel.axes import Access, accesses, merge_axes, plain, walks_together


@dataclass(frozen=True)
class KernelCollapseAxes(ModulePass):
    """Merges axes, so that loops are longer and a short last dim does not limit the vector length.

    Expects: kernels in axes form.
    Does: where every access that names axis a or b has the plain indices `a, b` in two neighbouring dims that are
    contiguous and whole, (1) replaces them by one axis of the product of their extents and (2) joins the two dims of
    each array so accessed. Arrays keep their memory; only the shape in the kernel's signature changes.
    Leaves: kernels in axes form with no more axes than before.
    """

    name = "kernel-collapse-axes"

    stats: dict[str, int] = field(default_factory=dict, compare=False, repr=False)

    def apply(self, ctx: Context, op: builtin.ModuleOp) -> None:
        for kernel in op.ops:
            if isinstance(kernel, DefOp) and kernel.in_axes_form and kernel.schedule is None:
                while (pair := _mergeable(kernel)) is not None:
                    merge_axes(kernel, *pair)
                    self.stats["axes merged"] = self.stats.get("axes merged", 0) + 1


def _mergeable(kernel: DefOp) -> tuple[str, str] | None:
    """The first pair of axes that may become one."""
    found = accesses(kernel)
    blocked = {n for op in kernel.body.walk() if isinstance(op, IndexOp) for n in op.expr.data.names()}
    blocked |= {op.along.data for op in kernel.body.walk() if isinstance(op, ScanOp)}
    for first, second in _neighbours(found):
        if first in blocked or second in blocked or not _reduced_alike(kernel, first, second):
            continue
        if all(walks_together(op, first, second, kernel) for op in found) and _arrays_agree(
            found, first, second
        ):
            return first, second
    return None


def _neighbours(found: list[Access]) -> list[tuple[str, str]]:
    """Pairs of plain axes in neighbouring dims of some access."""
    pairs: dict[tuple[str, str], None] = {}
    for op in found:
        names = [plain(e) for e in op.index.data]
        pairs.update(((a, b), None) for a, b in pairwise(names) if a and b and a != b)
    return list(pairs)


def _reduced_alike(kernel: DefOp, first: str, second: str) -> bool:
    """Whether every reduction removes both axes or neither."""
    return all(
        (first in op.axes) == (second in op.axes) for op in kernel.body.walk() if isinstance(op, ReduceOp)
    )


def _arrays_agree(found: list[Access], first: str, second: str) -> bool:
    """Whether all accesses of an array walk the pair in the same dims, so that one new shape serves them."""
    position: dict[SSAValue, int | None] = {}
    for op in found:
        where = next((i for i, e in enumerate(op.index.data) if plain(e) == first), None)
        if position.setdefault(op.array, where) != where:
            return False
    return True
