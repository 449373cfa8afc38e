"""kernel-simplify: common fields, dead fields and unused axes."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects import builtin
from xdsl.ir import Block, Operation, SSAValue
from xdsl.passes import ModulePass

from dialects.kernel import DefOp, IndexOp, ReadOp, ReduceOp, ScanOp, WriteOp
from dialects.syntax import AxesAttr
from lowering.kernel.axes import join_dims


@dataclass(frozen=True)
class KernelSimplify(ModulePass):
    """Tidies kernels after their ops were unfolded.

    Expects: kernels in axes form.
    Does: (1) keeps one of equal fields, in the body and in each region of a reduction; (2) erases fields that nothing
    uses; (3) drops axes that no access names; (4) makes one dim of those of an array that is read in a row, at quotients and
    remainders: behind a reshape that joins dims, axes walk them as they lie.
    Leaves: kernels that compute the same with no more ops.
    """

    name = "kernel-simplify"

    stats: dict[str, int] = field(default_factory=dict, compare=False, repr=False)

    def apply(self, ctx: Context, op: builtin.ModuleOp) -> None:
        for kernel in op.ops:
            if isinstance(kernel, DefOp) and kernel.in_axes_form:
                self._count("fields merged", _merge_equal(kernel.block))
                for reduce in [o for o in kernel.block.ops if isinstance(o, ReduceOp)]:
                    for region in reduce.regions:
                        self._count("fields merged", _merge_equal(region.block))
                        self._count("fields erased", _erase_dead(region.block))
                self._count("fields erased", _erase_dead(kernel.block))
                _drop_axes(kernel)
                self._count("dims joined", join_dims(kernel))

    def _count(self, what: str, number: int) -> None:
        if number:
            self.stats[what] = self.stats.get(what, 0) + number


def _key(op: Operation) -> Hashable:
    return (
        op.name,
        tuple(op.operands),
        tuple(sorted(op.properties.items(), key=lambda p: p[0])),
        tuple(r.type for r in op.results),
    )


def _merge_equal(block: Block) -> int:
    seen: dict[Hashable, Operation] = {}
    merged = 0
    for op in list(block.ops):
        if op.regions or not op.results or isinstance(op, WriteOp):
            continue
        first = seen.setdefault(_key(op), op)
        if first is not op:
            for old, new in zip(op.results, first.results, strict=True):
                old.replace_all_uses_with(new)
            block.erase_op(op)
            merged += 1
    return merged


def _erase_dead(block: Block) -> int:
    erased = 0
    for op in reversed(list(block.ops)):
        if op.results and not any(_used(r) for r in op.results):
            block.erase_op(op)
            erased += 1
    return erased


def _used(value: SSAValue) -> bool:
    return next(iter(value.uses), None) is not None


def _drop_axes(kernel: DefOp) -> None:
    named: set[str] = set()
    for op in kernel.body.walk():
        if isinstance(op, ReadOp | WriteOp):
            named |= {n for e in op.index.data for n in e.names()}
        elif isinstance(op, IndexOp):
            named |= op.expr.data.names()
        elif isinstance(op, ReduceOp):
            named |= set(op.axes)
        elif isinstance(op, ScanOp):
            named.add(op.along.data)
    kept = tuple((n, e) for n, e in kernel.axes.data if n in named)
    if kept != kernel.axes.data:
        kernel.properties["axes"] = AxesAttr(kept)
