"""Axes of a kernel made one, or two of one; the arrays that they walk get other dims, and keep their memory."""

from __future__ import annotations

from collections.abc import Callable

from xdsl.dialects.builtin import ArrayAttr, StringAttr
from xdsl.ir import SSAValue
from xdsl.rewriter import Rewriter

from dialects.dims import ONE, Dim, DimAttr, DimsAttr, Opaque
from dialects.kernel import DefOp, IndexOp, ReadOp, ReduceOp, WriteOp
from dialects.names import unique
from dialects.syntax import AxesAttr
from dialects.types import RefType, ref

Access = ReadOp | WriteOp


def accesses(kernel: DefOp) -> list[Access]:
    """Every read and write of a kernel."""
    return [op for op in kernel.body.walk() if isinstance(op, ReadOp | WriteOp)]


def plain(expr: Dim) -> str | None:
    """The name that an expression is, if it is just a name."""
    names = expr.names()
    name = next(iter(names)) if len(names) == 1 else None
    return name if name is not None and expr == Dim.of(name) and not name.startswith("_") else None


def walks_together(op: Access, first: str, second: str, kernel: DefOp) -> bool:
    """Whether an access names neither axis, or both as whole neighbouring contiguous dims."""
    names = [e.names() & {first, second} for e in op.index.data]
    if not any(names):
        return True
    position = next(i for i, n in enumerate(names) if n)
    type_ = _array_type(op.array)
    if sum(bool(n) for n in names) != 2 or position + 1 >= len(names):
        return False
    if plain(op.index.data[position]) != first or plain(op.index.data[position + 1]) != second:
        return False
    extents, shape, strides = kernel.extents(), type_.shape.data, type_.strides.data
    whole = shape[position] == extents[first] and shape[position + 1] == extents[second]
    return whole and strides[position] == strides[position + 1] * shape[position + 1]


def merge_axes(kernel: DefOp, first: str, second: str) -> None:
    """Makes one axis of two, under the name of the first. Arrays of which every access walks the two together lose a dim;
    others are accessed at quotients and remainders of the new axis."""
    extents = kernel.extents()
    merged, inner = extents[first] * extents[second], extents[second]
    divisor = ONE if inner.value == 0 else inner  # no point of an empty axis is ever accessed
    parts = {first: Dim.of(first) // divisor, second: Dim.of(first) % divisor}
    found = accesses(kernel)
    apart = {op.array for op in found if not walks_together(op, first, second, kernel)}
    places: dict[SSAValue, int | None] = {}
    for op in found:  # an array has one new shape
        at = next((i for i, e in enumerate(op.index.data) if plain(e) == first), None)
        if places.setdefault(op.array, at) != at:
            apart.add(op.array)
    joined: dict[SSAValue, int] = {}
    for op in found:
        index = op.index.data
        at = next((i for i, e in enumerate(index) if plain(e) == first), None)
        if op.array in apart:
            op.properties["index"] = DimsAttr(tuple(e.subst(parts) for e in index))
        elif at is not None:
            joined[op.array] = at
            op.properties["index"] = DimsAttr((*index[: at + 1], *index[at + 2 :]))
    _rename(kernel, {first: (first,), second: ()}, lambda expr: expr.subst(parts))
    axes = [(n, merged if n == first else e) for n, e in kernel.axes.data if n != second]
    kernel.properties["axes"] = AxesAttr(tuple(axes))
    for array, at in joined.items():
        shape, strides = _array_type(array).shape.data, _array_type(array).strides.data
        _reshape(
            array,
            (*shape[:at], shape[at] * shape[at + 1], *shape[at + 2 :]),
            (*strides[:at], *strides[at + 1 :]),
        )


def split_axis(kernel: DefOp, axis: str, inner: int) -> None:
    """Makes two axes of one: the second has `inner` points, which divide the extent, and keeps the name. Arrays that are only
    accessed at the axis as it is, along one whole dim, get two dims for it."""
    extent = kernel.extents()[axis]
    outer = unique(f"{axis}o", {*kernel.extents(), *(name for name, _, _ in kernel.symbols.data)})
    quotient, remainder = (Opaque(kind, (Dim.of(axis), Dim.of(inner))) for kind in ("floordiv", "mod"))

    def placed(expr: Dim) -> Dim:
        marked = expr.replace_atom(quotient, Dim.of(outer)).replace_atom(remainder, Dim.of("*"))
        return marked.subst({axis: Dim.of(outer) * inner + Dim.of(axis), "*": Dim.of(axis)})

    found = [op for op in accesses(kernel) if any(axis in e.names() for e in op.index.data)]
    dims: dict[SSAValue, int | None] = {}
    for op in found:
        at = _whole_dim(op, axis, extent)
        dims[op.array] = at if dims.setdefault(op.array, at) == at else None
    for op in found:
        index, at = op.index.data, dims[op.array]
        if at is None:
            op.properties["index"] = DimsAttr(tuple(map(placed, index)))
        else:
            op.properties["index"] = DimsAttr((*index[:at], Dim.of(outer), *index[at:]))
    _rename(kernel, {axis: (outer, axis)}, placed)
    axes: list[tuple[str, Dim]] = []
    for name, size in kernel.axes.data:
        axes += [(outer, extent // inner), (axis, Dim.of(inner))] if name == axis else [(name, size)]
    kernel.properties["axes"] = AxesAttr(tuple(axes))
    for array, at in dims.items():
        if at is not None:
            shape, strides = _array_type(array).shape.data, _array_type(array).strides.data
            _reshape(
                array,
                (*shape[:at], extent // inner, Dim.of(inner), *shape[at + 1 :]),
                (*strides[:at], strides[at] * inner, *strides[at:]),
            )


def join_dims(kernel: DefOp) -> int:
    """Makes one dim of neighbouring ones that every read of an array walks in a row, at quotients and remainders of one
    expression, as those of what a reshape joins. Returns how many dims went; arrays that are written keep theirs."""
    reads: dict[SSAValue, list[Access]] = {}
    for op in accesses(kernel):
        reads.setdefault(op.array, []).append(op)
    count = 0
    for found in reads.values():
        if any(isinstance(op, WriteOp) for op in found):
            continue
        for at in reversed(range(len(found[0].index.data) - 1)):
            array = found[0].array  # another value when it has another type
            shape, strides = _array_type(array).shape.data, _array_type(array).strides.data
            places = [_in_a_row(op.index.data, shape, at) for op in found]
            if strides[at] != strides[at + 1] * shape[at + 1] or any(p is None for p in places):
                continue
            for op, place in zip(found, places, strict=True):
                index = op.index.data
                op.properties["index"] = DimsAttr((*index[:at], place, *index[at + 2 :]))  # pyright: ignore
            sizes = (*shape[:at], shape[at] * shape[at + 1], *shape[at + 2 :])
            _reshape(array, sizes, (*strides[:at], *strides[at + 1 :]))
            count += 1
    return count


def _in_a_row(index: tuple[Dim, ...], shape: tuple[Dim, ...], at: int) -> Dim | None:
    """The place along a dim and the next one as one, where the second is a remainder and the first its quotient."""
    outer, inner, size = index[at], index[at + 1], shape[at + 1]
    match inner.terms:
        case (((Opaque("mod", (whole, divisor)),), 1),) if divisor == size:
            pass
        case _:
            return None
    if outer == whole // size:
        return whole
    return whole % (shape[at] * size) if outer == (whole // size) % shape[at] else None


def _whole_dim(op: Access, axis: str, extent: Dim) -> int | None:
    """The only dim that an access names an axis in, as it is and as long as the dim."""
    dims = [d for d, e in enumerate(op.index.data) if axis in e.names()]
    whole = len(dims) == 1 and plain(op.index.data[dims[0]]) == axis
    return dims[0] if whole and _array_type(op.array).shape.data[dims[0]] == extent else None


def _rename(kernel: DefOp, axes: dict[str, tuple[str, ...]], placed: Callable[[Dim], Dim]) -> None:
    """Puts other axes in the place of some in reductions, and other expressions in that of indices as values."""
    for op in kernel.body.walk():
        if isinstance(op, ReduceOp):
            over = [new for name in op.axes for new in axes.get(name, (name,))]
            op.properties["over"] = ArrayAttr([StringAttr(name) for name in over])
        elif isinstance(op, IndexOp):
            op.properties["expr"] = DimAttr(placed(op.expr.data))


def _array_type(array: SSAValue) -> RefType:
    assert isinstance(array.type, RefType)
    return array.type


def _reshape(array: SSAValue, shape: tuple[Dim, ...], strides: tuple[Dim, ...]) -> None:
    type_ = _array_type(array)
    Rewriter.replace_value_with_new_type(array, ref(type_.element_type, shape, strides, type_.space.data))
