"""kernel-collapse-axes: neighbouring axes that every access walks together become one."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from xdsl.context import Context
from xdsl.dialects import builtin
from xdsl.dialects.builtin import ArrayAttr, StringAttr
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from dialects.dims import Dim, DimsAttr
from dialects.kernel import DefOp, IndexOp, ReadOp, ReduceOp, ScanOp, WriteOp
from dialects.syntax import AxesAttr
from dialects.types import RefType, ref

Access = ReadOp | WriteOp


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
                    _merge(kernel, *pair)
                    self.stats["axes merged"] = self.stats.get("axes merged", 0) + 1


def _accesses(kernel: DefOp) -> list[Access]:
    return [op for op in kernel.body.walk() if isinstance(op, ReadOp | WriteOp)]


def _mergeable(kernel: DefOp) -> tuple[str, str] | None:
    """The first pair of axes that may become one."""
    accesses = _accesses(kernel)
    blocked = {n for op in kernel.body.walk() if isinstance(op, IndexOp) for n in op.expr.data.names()}
    blocked |= {op.along.data for op in kernel.body.walk() if isinstance(op, ScanOp)}
    for first, second in _neighbours(accesses):
        if first in blocked or second in blocked or not _reduced_alike(kernel, first, second):
            continue
        if all(_walks_together(op, first, second, kernel) for op in accesses) and _arrays_agree(
            accesses, first, second
        ):
            return first, second
    return None


def _neighbours(accesses: list[Access]) -> list[tuple[str, str]]:
    """Pairs of plain axes in neighbouring dims of some access."""
    pairs: dict[tuple[str, str], None] = {}
    for op in accesses:
        plain = [_plain(e) for e in op.index.data]
        pairs.update(((a, b), None) for a, b in pairwise(plain) if a and b and a != b)
    return list(pairs)


def _plain(expr: Dim) -> str | None:
    """The name that an expression is, if it is just a name."""
    names = expr.names()
    name = next(iter(names)) if len(names) == 1 else None
    return name if name is not None and expr == Dim.of(name) and not name.startswith("_") else None


def _reduced_alike(kernel: DefOp, first: str, second: str) -> bool:
    """Whether every reduction removes both axes or neither."""
    return all(
        (first in op.axes) == (second in op.axes) for op in kernel.body.walk() if isinstance(op, ReduceOp)
    )


def _walks_together(op: Access, first: str, second: str, kernel: DefOp) -> bool:
    """Whether an access names neither axis, or both as whole neighbouring contiguous dims."""
    names = [e.names() & {first, second} for e in op.index.data]
    if not any(names):
        return True
    position = next(i for i, n in enumerate(names) if n)
    type_ = op.array.type
    assert isinstance(type_, RefType)
    if sum(bool(n) for n in names) != 2 or position + 1 >= len(names):
        return False
    if _plain(op.index.data[position]) != first or _plain(op.index.data[position + 1]) != second:
        return False
    extents, shape, strides = kernel.extents(), type_.shape.data, type_.strides.data
    whole = shape[position] == extents[first] and shape[position + 1] == extents[second]
    return whole and strides[position] == strides[position + 1] * shape[position + 1]


def _arrays_agree(accesses: list[Access], first: str, second: str) -> bool:
    """Whether all accesses of an array walk the pair in the same dims, so that one new shape serves them."""
    position: dict[SSAValue, int | None] = {}
    for op in accesses:
        where = next((i for i, e in enumerate(op.index.data) if _plain(e) == first), None)
        if position.setdefault(op.array, where) != where:
            return False
    return True


def _merge(kernel: DefOp, first: str, second: str) -> None:
    extents = kernel.extents()
    merged = extents[first] * extents[second]
    axes = [(n, merged if n == first else e) for n, e in kernel.axes.data if n != second]
    kernel.properties["axes"] = AxesAttr(tuple(axes))
    for op in kernel.body.walk():
        if isinstance(op, ReduceOp):
            op.properties["over"] = ArrayAttr([StringAttr(a) for a in op.axes if a != second])
    joined: dict[SSAValue, int] = {}
    for op in _accesses(kernel):
        index = op.index.data
        at = next((i for i, e in enumerate(index) if _plain(e) == first), None)
        if at is not None:
            joined[op.array] = at
            op.properties["index"] = DimsAttr((*index[: at + 1], *index[at + 2 :]))
    for array, at in joined.items():
        type_ = array.type
        assert isinstance(type_, RefType)
        shape, strides = type_.shape.data, type_.strides.data
        new_shape = (*shape[:at], shape[at] * shape[at + 1], *shape[at + 2 :])
        Rewriter.replace_value_with_new_type(
            array, ref(type_.element_type, new_shape, (*strides[:at], *strides[at + 1 :]), type_.space.data)
        )
