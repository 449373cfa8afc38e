"""What one run of a kernel takes: FLOPs, bytes and transcendental functions, read off its axes form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from xdsl.dialects import arith
from xdsl.dialects.builtin import Float64Type
from xdsl.ir import Operation, SSAValue

from dialects import kernel
from dialects.dims import Dim, DimLike, dmin, product
from dialects.types import RefType, element_bytes, element_of, is_float
from lowering.kernel.fields import Axes, field_axes

CACHED_ROW = 1 << 16
"""Elements of a row that a second-level cache holds: reading them again costs less than arithmetic that avoids it."""

LONG_SUM = 512
"""Sums of more terms one after another are summed in blocks."""

FREE = (
    arith.ConstantOp,
    arith.SelectOp,
    arith.CmpfOp,
    arith.CmpiOp,
    arith.ExtFOp,
    arith.TruncFOp,
    arith.BitcastOp,
)
"""Ops on floats that are no floating-point arithmetic."""

POLYNOMIALS = frozenset(
    f"math.{name}" for name in ("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "tanh", "erf")
)
"""Functions that cost about as much as exp, which is many times a multiply-add."""


@dataclass(frozen=True)
class KernelCost:
    """What one run of a kernel takes, over its symbolic dims.

    A multiply and an add count as two FLOPs, a transcendental function as one. `bytes` counts every element that the
    kernel touches once, however often it is read; `written` of them are in arrays that it writes. `exps` counts calls
    of exp, log, tanh, erf and their like; one that the text repeats for another pass over the same points counts once,
    as a kernel may keep its value. `ops` counts the scalar operations in the kernel's text. `is_double` says
    whether it computes in f64.
    """

    name: str
    ops: int
    flops: Dim
    bytes: Dim
    is_double: bool
    written: Dim
    exps: Dim


def kernel_costs(ops: Iterable[Operation]) -> dict[str, KernelCost]:
    """The cost of each kernel in axes form among some ops, by name."""
    found = (op for op in ops if isinstance(op, kernel.DefOp) and op.in_axes_form)
    return {op.sym_name.data: kernel_cost(op) for op in found}


def kernel_cost(op: kernel.DefOp) -> KernelCost:
    """The cost of one kernel in axes form."""
    extents = dict(op.axes.data)
    axes = field_axes(op)
    terms, counted = terms_of(op, extents), set[int]()
    ops, flops, exps, is_double = 0, Dim.of(0), Dim.of(0), False
    for inner in op.body.walk():
        if not inner.results or isinstance(inner, kernel.ReduceOp) or _in_combine(inner):
            continue
        ops += not isinstance(inner, arith.ConstantOp | kernel.ReadOp | kernel.IndexOp)
        if is_flop(inner):
            points = product(extents[a] for a in sorted(axes[inner.results[0]]))
            flops = flops + points
            if inner.name in POLYNOMIALS and terms[inner.results[0]] not in counted:
                counted.add(terms[inner.results[0]])
                exps = exps + points
            is_double = is_double or isinstance(element_of(inner.results[0].type), Float64Type)
    size = written = Dim.of(0)
    for array in op.block.args:
        touched = _touched(array, extents, axes)
        size = size + touched
        written = written + touched if _is_written(array) else written
    return KernelCost(op.sym_name.data, ops, flops, size, is_double, written, exps)


def extent_sizes(op: kernel.DefOp) -> dict[str, int]:
    """Each axis' extent at the maximum of the symbols."""
    maxima = {name: Dim.of(high) for name, high in op.symbols.maxima().items()}
    return {name: extent.subst(maxima).value or 1 for name, extent in op.axes.data}


def terms_of(op: kernel.DefOp, names: Mapping[str, DimLike]) -> dict[SSAValue, int]:
    """A number for each value of a kernel: the same for what the same ops make of the same reads, where axes are the same
    that `names` puts the same in the place of."""
    numbers: dict[object, int] = {}
    terms: dict[SSAValue, int] = {}
    for inner in op.body.walk():
        operands = tuple(terms.get(v, v) for v in inner.operands)
        what: object = inner
        if isinstance(inner, kernel.ReadOp):
            what = (tuple(e.subst(names) for e in inner.index.data), inner.otherwise)
        elif isinstance(inner, kernel.IndexOp):
            what = inner.expr.data.subst(names)
        elif not inner.regions:
            what = tuple(sorted(inner.properties.items(), key=lambda item: item[0]))
        for number, result in enumerate(inner.results):
            terms[result] = numbers.setdefault((inner.name, what, operands, number), len(numbers))
    return terms


def is_flop(op: Operation) -> bool:
    """Whether an op is floating-point arithmetic."""
    known = op.name.startswith(("arith.", "math.")) and not isinstance(op, FREE)
    return known and is_float(element_of(op.results[0].type))


def _in_combine(op: Operation) -> bool:
    """Whether an op merges partial results of a reduction, which a sequential run never does."""
    region, parent = op.parent_region(), op.parent_op()
    return isinstance(parent, kernel.ReduceOp) and region is parent.combine


def _is_written(array: SSAValue) -> bool:
    return any(isinstance(use.operation, kernel.WriteOp) for use in array.uses)


def _touched(array: SSAValue, extents: Mapping[str, Dim], axes: Mapping[SSAValue, Axes]) -> Dim:
    """The bytes of an array that a kernel touches: no more than it has, and no more than its points reach."""
    if not isinstance(array.type, RefType):
        return Dim.of(0)
    reached = Dim.of(0)
    for use in array.uses:
        access = use.operation
        if not isinstance(access, kernel.ReadOp | kernel.WriteOp):
            return array.type.bytes()
        names = {n for expr in access.index.data for n in expr.names() & extents.keys()}
        names.update(*(axes[v] for v in access.indices))
        reached = reached + product(extents[n] for n in sorted(names))
    return dmin(array.type.bytes(), reached * element_bytes(array.type.element_type))
