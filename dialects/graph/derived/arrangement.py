"""Ops that move elements, or make them from their places: each is index notation with one read, or none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from xdsl.dialects import arith
from xdsl.dialects.builtin import FloatAttr, IntegerAttr, IntegerType
from xdsl.ir import Attribute, Block, Operation, SSAValue

from dialects.dims import ZERO, Dim, dims_text, dmax, dmin
from dialects.graph.base import Array, Mismatch, Param, Value, Values, register_op
from dialects.graph.derived.base import Derived
from dialects.graph.elementwise import check_kind, kind_of
from dialects.graph.shapes import axis_of, dims, extent, extents, integer, ints, number, static_shape
from dialects.graph.sketch import Sketch, Term, axis
from dialects.graph.structure import Access
from dialects.types import DTYPES, AnyTensor, dims_of, is_complex, is_float, storage, tensor, type_text


def _axes(x: Term) -> list[Dim]:
    return [axis(i) for i in range(len(x.dims))]


def _check_length(what: str, key: str, found: Sequence[object], x: AnyTensor, factor: int = 1) -> None:
    rank = len(dims_of(x))
    if len(found) != factor * rank:
        raise Mismatch(
            f"{key} of {what} has {len(found)} numbers",
            found=type_text(x),
            expected=f"{factor * rank}"
            + (", before and after each dim" if factor == 2 else ", one for each dim"),
        )


PAD_MODES = {"constant": "value", "edge": "clamp", "reflect": "reflect", "wrap": "wrap"}


@register_op
class PadOp(Derived):
    """Elements around a tensor: `graph.pad %x {pads = array<i64: 1, 1, 0, 2>, mode = "reflect"}`.

    pads has the number of elements before and after each dim, in order, integers or dims. mode is constant (`value`),
    edge (the nearest element), reflect (the mirror image, the edge not repeated) or wrap (the other side).
    """

    name = "graph.pad"
    PARAMS: ClassVar = {
        "pads": Param("sizes"),
        "mode": Param("str", "constant", tuple(PAD_MODES)),
        "value": Param("float", 0.0),
    }

    @classmethod
    def complete(cls, types: Sequence[AnyTensor], values: dict[str, Value]) -> None:
        pads = extents(values, "pads")
        _check_length("pad", "pads", pads, types[0], 2)
        if any((p.value or 0) < 0 for p in pads):
            raise Mismatch("pads are not negative", found=dims_text(pads), hint="x[1:] takes elements away")
        for i, size in enumerate(dims_of(types[0])):
            if values["mode"] != "constant" and any(p.value is None for p in pads[2 * i : 2 * i + 2]):
                message = f'pads of the mode "{values["mode"]}" are numbers'
                raise Mismatch(message, found=dims_text(pads))
            widest = max(p.value or 0 for p in pads[2 * i : 2 * i + 2])
            if values["mode"] == "reflect" and size.value is not None and widest and widest >= size.value:
                message = f"a dim of size {size} cannot be reflected {widest} wide"
                raise Mismatch(message, found=type_text(types[0]), expected=f"at most {size.value - 1}")
            if values["mode"] in ("edge", "wrap") and size.value == 0 and widest:
                raise Mismatch("a dim of size 0 has no elements to repeat", found=type_text(types[0]))

    @classmethod
    def formula(cls, x: Sequence[Term], values: Values) -> Sequence[Term]:
        (a,), pads = x, extents(values, "pads")
        sizes = [d + (pads[2 * i] + pads[2 * i + 1]) for i, d in enumerate(a.dims)]
        index = [axis(i) - pads[2 * i] for i in range(len(a.dims))]
        return [a.sketch.moved(a, sizes, index, PAD_MODES[str(values["mode"])], number(values, "value"))]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        pads = np.reshape(ints(values, "pads"), (-1, 2))
        mode = str(values["mode"])
        if not pads.size:
            return [arrays[0]]
        given = {"constant_values": number(values, "value")} if mode == "constant" else {}
        return [np.pad(arrays[0], pads, mode, **given)]  # pyright: ignore


@register_op
class TileOp(Derived):
    """The tensor repeated along each dim: `graph.tile %x {repeats = array<i64: 1, 3>}`."""

    name = "graph.tile"
    PARAMS: ClassVar = {"repeats": Param("sizes")}

    @classmethod
    def complete(cls, types: Sequence[AnyTensor], values: dict[str, Value]) -> None:
        repeats = extents(values, "repeats")
        _check_length("tile", "repeats", repeats, types[0])
        if any((r.value or 0) < 0 for r in repeats):
            raise Mismatch("repeats are not negative", found=dims_text(repeats))

    @classmethod
    def formula(cls, x: Sequence[Term], values: Values) -> Sequence[Term]:
        (a,), repeats = x, extents(values, "repeats")
        sizes = [d * r for d, r in zip(a.dims, repeats, strict=True)]
        return [a.sketch.moved(a, sizes, _axes(a), "wrap")]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        return [np.tile(arrays[0], ints(values, "repeats"))]


@register_op
class FlipOp(Derived):
    """The order reversed along dims, all where none are given: `graph.flip %x {axes = array<i64: 1>}`."""

    name = "graph.flip"
    PARAMS: ClassVar = {"axes": Param("ints", None)}

    @classmethod
    def complete(cls, types: Sequence[AnyTensor], values: dict[str, Value]) -> None:
        rank = len(dims_of(types[0]))
        given = values["axes"]
        axes = range(rank) if given is None else ints(values, "axes")
        values["axes"] = tuple(sorted({axis_of(a, rank, "flip") for a in axes}))

    @classmethod
    def formula(cls, x: Sequence[Term], values: Values) -> Sequence[Term]:
        (a,), axes = x, ints(values, "axes")
        index = [d - 1 - axis(i) if i in axes else axis(i) for i, d in enumerate(a.dims)]
        return [a.sketch.moved(a, a.dims, index)]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        return [np.flip(arrays[0], ints(values, "axes"))]


@register_op
class RollOp(Derived):
    """Elements moved along a dim, those that leave it coming in at the other end: `graph.roll %x {shift = 1, axis = 0}`."""

    name = "graph.roll"
    PARAMS: ClassVar = {"shift": Param("size"), "axis": Param("int", 0)}

    @classmethod
    def complete(cls, types: Sequence[AnyTensor], values: dict[str, Value]) -> None:
        values["axis"] = axis_of(values["axis"], len(dims_of(types[0])), "roll")

    @classmethod
    def formula(cls, x: Sequence[Term], values: Values) -> Sequence[Term]:
        (a,), along = x, integer(values, "axis")
        index = [axis(i) - extent(values, "shift") if i == along else axis(i) for i in range(len(a.dims))]
        return [a.sketch.moved(a, a.dims, index, "wrap")]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        return [np.roll(arrays[0], integer(values, "shift"), integer(values, "axis"))]


MAX_PARTS = 4096
"""Results of one split."""


@register_op
class SplitOp(Derived):
    """Equal parts along a dim, as several results: `%a, %b = graph.split %x {parts = 2, axis = 1}`."""

    name = "graph.split"
    PARAMS: ClassVar = {"parts": Param("int"), "axis": Param("int", 0)}

    @classmethod
    def complete(cls, types: Sequence[AnyTensor], values: dict[str, Value]) -> None:
        values["axis"] = axis_of(values["axis"], len(dims_of(types[0])), "split")
        size, parts = dims_of(types[0])[integer(values, "axis")], integer(values, "parts")
        if parts < 1 or size % parts != ZERO:
            message = f"a dim of size {size} does not split into {parts} equal parts"
            hint = "x[:, 0:2] takes any part" if size.value is not None else "declare it as a multiple: 2 * H"
            raise Mismatch(message, found=type_text(types[0]), hint=hint)
        if parts > MAX_PARTS:
            raise Mismatch(f"{parts} parts are too many results", expected=f"at most {MAX_PARTS}")

    @classmethod
    def formula(cls, x: Sequence[Term], values: Values) -> Sequence[Term]:
        (a,), along, parts = x, integer(values, "axis"), integer(values, "parts")
        each = a.dims[along] // parts
        sizes = [each if i == along else d for i, d in enumerate(a.dims)]
        return [
            a.sketch.moved(
                a, sizes, [axis(i) + each * part if i == along else axis(i) for i in range(len(sizes))]
            )
            for part in range(parts)
        ]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        return list(np.split(arrays[0], integer(values, "parts"), integer(values, "axis")))


# -- from places --------------------------------------------------------------------------------------------------


def _number(block: Block, place: SSAValue, element: Attribute) -> SSAValue:
    """An index as a scalar of a dtype."""
    target = storage(element)
    if is_float(element):
        return _op(block, arith.SIToFPOp(place, target))  # pyright: ignore[reportArgumentType]
    assert isinstance(target, IntegerType)
    return place if target.width.data == 64 else _op(block, arith.TruncIOp(place, target))


def _op(block: Block, op: Operation) -> SSAValue:
    block.add_op(op)
    return op.results[0]


def _constant(block: Block, value: float, element: Attribute) -> SSAValue:
    type_ = storage(element)
    attr = IntegerAttr(int(value), type_) if isinstance(type_, IntegerType) else FloatAttr(value, type_)  # pyright: ignore
    return _op(block, arith.ConstantOp(attr))


@register_op
class IotaOp(Derived):
    """Each element is its place along one dim: `graph.iota {shape = #dim.list<[B, 4]>, axis = 1, dtype = "i32"}`."""

    name = "graph.iota"
    PARAMS: ClassVar = {"shape": Param("dims"), "axis": Param("int", -1), "dtype": Param("dtype", "i64")}
    ARITY: ClassVar = (0, 0)
    OPERANDS: ClassVar = ()

    @classmethod
    def complete(cls, types: Sequence[AnyTensor], values: dict[str, Value]) -> None:
        values["axis"] = axis_of(values["axis"], len(dims(values, "shape")), "iota")
        if kind_of(DTYPES[str(values["dtype"])]) not in "fi":
            raise Mismatch(f"iota has no {values['dtype']} form", expected="a float or an integer dtype")

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        return [tensor(str(values["dtype"]), dims(values, "shape"))]

    def decomposed(self) -> tuple[list[Operation], list[SSAValue]]:
        values = self.values()
        element, along = DTYPES[str(values["dtype"])], integer(values, "axis")
        sketch = Sketch(self.location)  # pyright: ignore[reportArgumentType]
        axes = [(str(axis(i)), d) for i, d in enumerate(dims(values, "shape"))]
        out = sketch.points([], axes, [], element, lambda block: _number(block, block.args[along], element))
        return sketch.ops, [out.value]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        shape, along = static_shape(results[0]), integer(values, "axis")
        row = np.arange(shape[along]).reshape([-1 if i == along else 1 for i in range(len(shape))])
        return [np.broadcast_to(row, shape)]


@register_op
class OneHotOp(Derived):
    """1 where the place along a new last dim is the index, else 0: `graph.one_hot %i {classes = 10, dtype = "f32"}`."""

    name = "graph.one_hot"
    PARAMS: ClassVar = {"classes": Param("size"), "dtype": Param("dtype", "f32")}
    OPERANDS: ClassVar = ("index",)

    @classmethod
    def formula(cls, x: Sequence[Term], values: Values) -> Sequence[Term]:
        (index,) = x
        check_kind("one_hot", "i", [index.type], index.type.element_type)
        sizes = [*index.dims, extent(values, "classes")]
        axes = [(str(axis(i)), d) for i, d in enumerate(sizes)]
        wide = index.cast("i64")

        def body(block: Block) -> SSAValue:
            return _op(block, arith.CmpiOp(block.args[0], block.args[len(sizes)], "eq"))

        read = Access(0, tuple(axis(i) for i in range(len(index.dims))))
        return [index.sketch.points([wide], axes, [read], DTYPES["bool"], body).cast(str(values["dtype"]))]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        return [arrays[0][..., None].astype(np.int64) == np.arange(integer(values, "classes"))]


class Triangle(Derived):
    """Base: keeps one side of diagonal k of the last two dims, and puts zero on the other."""

    PARAMS: ClassVar = {"k": Param("int", 0)}
    PREDICATE: ClassVar[str]

    @classmethod
    def complete(cls, types: Sequence[AnyTensor], values: dict[str, Value]) -> None:
        what = cls.name.partition(".")[2]
        if len(dims_of(types[0])) < 2:
            raise Mismatch(f"{what} needs a tensor of rank 2 or more", found=type_text(types[0]))
        if is_complex(types[0].element_type):
            expected = "a real dtype, or bool"
            raise Mismatch(f"{what} has no complex form", found=type_text(types[0]), expected=expected)
        if types[0].element_type == DTYPES["f8e8m0"]:
            expected = "a dtype that has a zero"
            raise Mismatch(f"{what} has no f8e8m0 form", found=type_text(types[0]), expected=expected)

    @classmethod
    def formula(cls, x: Sequence[Term], values: Values) -> Sequence[Term]:
        (a,) = x
        rank, element = len(a.dims), a.type.element_type

        def body(block: Block) -> SSAValue:
            row, column = block.args[rank - 1], block.args[rank]
            edge = _op(block, arith.AddiOp(row, _constant(block, integer(values, "k"), DTYPES["i64"])))
            kept = _op(block, arith.CmpiOp(column, edge, cls.PREDICATE))
            return _op(block, arith.SelectOp(kept, block.args[0], _constant(block, 0, element)))

        axes = [(str(axis(i)), d) for i, d in enumerate(a.dims)]
        return [a.sketch.points([a], axes, [Access(0, tuple(_axes(a)))], element, body)]


@register_op
class TrilOp(Triangle):
    """The lower triangle, up to diagonal k: `graph.tril %x {k = 0}`."""

    name = "graph.tril"
    PREDICATE: ClassVar = "sle"

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        return [np.tril(arrays[0], integer(values, "k"))]


@register_op
class TriuOp(Triangle):
    """The upper triangle, from diagonal k on: `graph.triu %x {k = 0}`."""

    name = "graph.triu"
    PREDICATE: ClassVar = "sge"

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        return [np.triu(arrays[0], integer(values, "k"))]


@register_op
class TakeAlongOp(Derived):
    """Elements picked along one dim by an index of the same rank: `graph.take_along %x, %i {axis = 1}`.

    The other dims of the index are those of x. Negative places count from the end; what lies outside is taken at the
    nearest end.
    """

    name = "graph.take_along"
    PARAMS: ClassVar = {"axis": Param("int", -1)}
    ARITY: ClassVar = (2, 2)
    OPERANDS: ClassVar = ("x", "index")

    @classmethod
    def complete(cls, types: Sequence[AnyTensor], values: dict[str, Value]) -> None:
        check_kind("take_along", "i", types[1:], types[1].element_type)
        sizes, index = dims_of(types[0]), dims_of(types[1])
        along = values["axis"] = axis_of(values["axis"], len(sizes), "take_along")
        if len(sizes) != len(index) or any(
            a != b for i, (a, b) in enumerate(zip(sizes, index, strict=True)) if i != along
        ):
            raise Mismatch(
                "the index of take_along has other dims",
                found=f"{type_text(types[0])} and {type_text(types[1])}",
                expected=f"equal sizes but along dim {along}",
            )

    @classmethod
    def formula(cls, x: Sequence[Term], values: Values) -> Sequence[Term]:
        (a, index), along = x, integer(values, "axis")
        return [picked(a, index.cast("i64"), along, from_end(Dim.of("_0"), a.dims[along]))]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        x, index = arrays
        along = integer(values, "axis")
        return [np.take_along_axis(x, nearest_place(index, x.shape[along]), along)]


@register_op
class GatherNdOp(Derived):
    """Slices picked by several indices at once: the last dim of the index holds places along the first dims of x.

    `graph.gather_nd %x, %i`: x [A, B, C] and index [N, 2] give [N, C]. Negative places count from the end; what lies
    outside is taken at the nearest end.
    """

    name = "graph.gather_nd"
    ARITY: ClassVar = (2, 2)
    OPERANDS: ClassVar = ("x", "index")

    @classmethod
    def complete(cls, types: Sequence[AnyTensor], values: dict[str, Value]) -> None:
        check_kind("gather_nd", "i", types[1:], types[1].element_type)
        sizes, index = dims_of(types[0]), dims_of(types[1])
        depth = index[-1].value if index else None
        if depth is None or not 1 <= depth <= len(sizes):
            raise Mismatch(
                "the index of gather_nd does not fit",
                found=f"{type_text(types[0])} and {type_text(types[1])}",
                expected=f"a last dim of 1 to {len(sizes)}, a place along each of so many dims",
            )

    @classmethod
    def formula(cls, x: Sequence[Term], values: Values) -> Sequence[Term]:
        a, index = x
        depth, lead = index.dims[-1].value or 0, len(index.dims) - 1
        sizes = [*index.dims[:-1], *a.dims[depth:]]
        front = [axis(i) for i in range(lead)]
        reads = [Access(1, (*front, Dim.of(k))) for k in range(depth)]
        place = [from_end(Dim.of(f"_{k}"), a.dims[k]) for k in range(depth)]
        reads.append(Access(0, (*place, *(axis(i) for i in range(lead, len(sizes))))))
        axes = [(str(axis(i)), d) for i, d in enumerate(sizes)]
        wide = index.cast("i64")
        return [a.sketch.points([a, wide], axes, reads, a.type.element_type, lambda block: block.args[depth])]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        x, index = arrays
        return [x[tuple(nearest_place(index[..., k], x.shape[k]) for k in range(index.shape[-1]))]]


def picked(a: Term, index: Term, along: int, place: Dim) -> Term:
    """Elements along a dim at a place that is computed from `_0`, an element of the index; the nearest end outside."""
    axes = [(str(axis(i)), d) for i, d in enumerate(index.dims)]
    at = [place if i == along else axis(i) for i in range(len(a.dims))]
    reads = [Access(1, tuple(_axes(index))), Access(0, tuple(at))]
    return a.sketch.points([a, index], axes, reads, a.type.element_type, lambda block: block.args[1])


def from_end(place: Dim, size: Dim) -> Dim:
    """A place of which a negative one counts from the end."""
    return place - dmin(0, dmax(-1, place)) * size


def nearest_place(index: Array, size: int) -> Array:
    """The places that an index means: negative ones count from the end, and what lies outside is the nearest end."""
    place = index.astype(np.int64)
    return np.clip(np.where(place < 0, place + size, place), 0, max(size - 1, 0))


@register_op
class PixelShuffleOp(Derived):
    """Channels laid out as pixels: [N, C * r * r, H, W] to [N, C, H * r, W * r]: `graph.pixel_shuffle %x {factor = 2}`."""

    name = "graph.pixel_shuffle"
    PARAMS: ClassVar = {"factor": Param("int")}

    @classmethod
    def complete(cls, types: Sequence[AnyTensor], values: dict[str, Value]) -> None:
        sizes, r = dims_of(types[0]), integer(values, "factor")
        channels = sizes[1].value if len(sizes) == 4 else None
        if len(sizes) != 4 or r < 1 or (channels is not None and channels % (r * r)):
            raise Mismatch(
                f"pixel_shuffle by {r} does not fit",
                found=type_text(types[0]),
                expected=f"[N, C * {r * r}, H, W]",
            )

    @classmethod
    def formula(cls, x: Sequence[Term], values: Values) -> Sequence[Term]:
        (a,), r = x, integer(values, "factor")
        n, c, h, w = a.dims
        split = a.reshape([n, c // (r * r), r, r, h, w])
        return [split.of("transpose", perm=(0, 1, 4, 2, 5, 3)).reshape([n, c // (r * r), h * r, w * r])]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        (x,), r = arrays, integer(values, "factor")
        n, c, h, w = x.shape
        split = x.reshape(n, c // (r * r), r, r, h, w)
        return [split.transpose(0, 1, 4, 2, 5, 3).reshape(n, c // (r * r), h * r, w * r)]
