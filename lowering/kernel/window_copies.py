"""Copies of arrays that windows are read from: padded, and the points of each step side by side."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

from xdsl.dialects.builtin import ArrayAttr, ModuleOp
from xdsl.ir import Block, BlockArgument, Region, SSAValue
from xdsl.rewriter import Rewriter

from dialects.dims import Dim, DimsAttr, product
from dialects.kernel import DefOp, LaunchOp, ReadOp, WriteOp, arg
from dialects.names import unique
from dialects.types import RefType, ref, tensor
from lowering.graph.outline import symbols_of
from lowering.kernel.axes import plain
from lowering.kernel.builder import Builder
from lowering.remarks import label_of, listener


@dataclass(frozen=True)
class Part:
    """What a copy holds of one dim: `size` points, each `step` apart, of which the first lies `before` points ahead of the
    array. With `phases` it holds all points, those whose numbers leave the same remainder by `step` side by side."""

    before: int
    size: Dim
    step: int = 1
    phases: bool = False

    @property
    def shape(self) -> tuple[Dim, ...]:
        """The dims of the copy."""
        return (Dim.of(self.step), self.size) if self.phases else (self.size,)

    def place(self, index: Dim) -> tuple[Dim, ...]:
        """Where the copy has what the array has at an index."""
        moved = index + self.before
        return (moved % self.step, moved // self.step) if self.phases else (moved // self.step,)

    def source(self, place: Sequence[Dim]) -> Dim:
        """Which index of the array stands at a place of the copy."""
        return place[-1] * self.step + (place[0] if self.phases else 0) - self.before


@dataclass(frozen=True)
class Layout:
    """What a copy holds, dim by dim."""

    parts: tuple[Part, ...]

    @property
    def shape(self) -> tuple[Dim, ...]:
        """The dims of the copy."""
        return tuple(size for part in self.parts for size in part.shape)

    def place(self, index: Sequence[Dim]) -> tuple[Dim, ...]:
        """Where the copy has what the array has at an index."""
        return tuple(p for part, e in zip(self.parts, index, strict=True) for p in part.place(e))

    def source(self, place: Sequence[Dim]) -> list[Dim]:
        """Which index of the array stands at a place of the copy."""
        rest = list(place)
        return [part.source([rest.pop(0) for _ in part.shape]) for part in self.parts]


def layout_of(kernel: DefOp, read: ReadOp, column: str, columns: int) -> Layout | None:
    """The copy that spares a read its tests and its steps along the axis `column`, of which so many points are read at once.

    None where the array is read well as it is, where its place is not an expression over the axes, or where the points
    that are read outside of it have no limit that is known.
    """
    array = read.array.type
    assert isinstance(array, RefType)
    extents = {name: extent.value for name, extent in kernel.extents().items()}
    at = [d for d, e in enumerate(read.index.data) if column in e.names()]
    if not isinstance(read.array, BlockArgument) or read.indices or len(at) != 1 or extents[column] is None:
        return None
    step = read.index.data[at[0]].coefficient(column)
    if step is None or step.value is None or step.value < 1:
        return None
    extents[column] = -(-(extents[column] or 0) // columns) * columns
    parts: list[Part] = []
    for number, (expr, size) in enumerate(zip(read.index.data, array.shape.data, strict=True)):
        part = _part(expr, size, extents, step.value if number == at[0] else 1)
        if part is None:
            return None
        parts.append(part)
    inside = all(p.before == 0 for p in parts) and [p.size for p in parts] == [*array.shape.data]
    if step.value == 1 and (inside or read.otherwise is None):
        return None
    return Layout(tuple(parts))


def _part(expr: Dim, size: Dim, extents: Mapping[str, int | None], step: int) -> Part | None:
    """What a copy holds of a dim of a size that is read at an expression, in steps along the columns."""
    if plain(expr) is not None and size.value is None:
        return Part(0, size)  # an axis as it is, such as a batch of any size
    names = expr.names()
    name = next(iter(names)) if len(names) == 1 else ""
    factor = expr.coefficient(name) if name else None
    count = extents.get(name)
    if factor is not None and (factor.value or 0) > 1 and count is not None:
        return Part(-expr.constant, Dim.of(count), factor.value or 1)  # no other points are read
    ranges = {n: (0.0, e - 1.0) for n, e in extents.items() if e is not None}
    low, high = expr.bounds(ranges)
    if size.value is None or not -(2**31) < low <= high < 2**31:
        return None
    before = max(0, -int(low))
    whole = before + max(size.value, int(high) + 1)
    return Part(before, Dim.of(-(-whole // step)), step, phases=step > 1)


@dataclass
class Copies:
    """The kernels that copy arrays of a module, and the copies that they make."""

    module: ModuleOp
    kernels: dict[tuple[Hashable, ...], DefOp] = field(default_factory=dict)
    made: dict[tuple[SSAValue, DefOp, Block], LaunchOp] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.taken = symbols_of(self.module)

    def put(self, kernel: DefOp, read: ReadOp, layout: Layout, launches: Sequence[LaunchOp]) -> None:
        """Makes a kernel read a copy, and has each of its launches make it first."""
        array = read.array
        assert isinstance(array, BlockArgument)
        copier = self._copier(kernel, read, layout)
        copies = [self._copy(launch.inputs[array.index], copier, launch) for launch in launches]
        if len([*array.uses]) == 1:
            for launch, copy in zip(launches, copies, strict=True):
                launch.operands[array.index] = copy
            Rewriter.replace_value_with_new_type(array, copier.block.args[1].type)
        else:  # the kernel reads it elsewhere, as it is
            inputs = sum(not a.is_output for a in kernel.signature.data)
            added = kernel.block.insert_arg(copier.block.args[1].type, inputs)
            added.name_hint = "windows"
            signature = [*kernel.signature.data]
            kernel.properties["signature"] = ArrayAttr([*signature[:inputs], arg("in"), *signature[inputs:]])
            read.operands[0] = added
            for launch, copy in zip(launches, copies, strict=True):
                launch.operands = [*launch.inputs, copy]
        read.properties["index"] = DimsAttr(layout.place(read.index.data))
        read.properties.pop("otherwise", None)

    def _copy(self, value: SSAValue, copier: DefOp, user: LaunchOp) -> SSAValue:
        block = user.parent
        assert block is not None
        key = (value, copier, block)
        if key not in self.made:
            array = copier.block.args[1].type
            assert isinstance(array, RefType)
            type_ = tensor(value.type.element_type, array.shape.data)  # pyright: ignore[reportAttributeAccessIssue]
            made = LaunchOp(copier.sym_name.data, [value], [type_])
            made.location = user.location
            made.results[0].name_hint = f"{value.name_hint}_windows" if value.name_hint else "windows"
            block.insert_op_before(made, user)
            self.made[key] = made
        made = self.made[key]
        if not made.is_before_in_block(user):  # kernels come in another order than their launches
            made.detach()
            block.insert_op_before(made, user)
        return made.results[0]

    def _copier(self, kernel: DefOp, read: ReadOp, layout: Layout) -> DefOp:
        """The kernel that makes a copy."""
        array = read.array.type
        assert isinstance(array, RefType)
        # Points that no result depends on get a number too.
        otherwise = read.otherwise or Builder.number(0, array.element_type)
        key = (array, otherwise, layout)
        if key in self.kernels:
            return self.kernels[key]
        block = Block(arg_types=[array, ref(array.element_type, layout.shape)])
        block.args[0].name_hint, block.args[1].name_hint = read.array.name_hint, "windows"
        names = [f"d{number}" for number in range(len(layout.shape))]
        axes = [(n, s) for n, s in zip(names, layout.shape, strict=True) if s.value != 1]
        place = [Dim.of(n if s.value != 1 else 0) for n, s in zip(names, layout.shape, strict=True)]
        inner = ReadOp(block.args[0], layout.source(place), (), otherwise)
        block.add_ops([inner, WriteOp(inner.result, block.args[1], place)])
        used = product(layout.shape).names()
        symbols = [s for s in kernel.symbols.data if s[0] in used]
        name = unique(f"{kernel.sym_name.data}_windows", self.taken)
        copier = DefOp(name, Region(block), [arg("in"), arg("out")], axes, symbols)
        for op in (copier, *block.ops):
            op.location = read.location
        self.module.body.block.insert_op_before(copier, kernel)
        self.kernels[key] = copier
        if (tell := listener("fuse", "kernel-im2col")) is not None:
            what = f"copies {read.array.name_hint or 'an operand'} on its own"
            tell.analysis(copier, what, f"{label_of(kernel)} reads windows of it, whole vectors at once")
        return copier
