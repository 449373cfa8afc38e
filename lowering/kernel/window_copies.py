"""Copies of arrays that windows are read from: padded, and the points of each step side by side."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from xdsl.dialects.builtin import ArrayAttr, ModuleOp, StringAttr
from xdsl.ir import Block, BlockArgument, Region, SSAValue
from xdsl.rewriter import Rewriter

from dialects.dims import Dim, DimsAttr, ceildiv, product
from dialects.kernel import DefOp, LaunchOp, ReadOp, WriteOp, arg
from dialects.types import RefType, ref, tensor
from lowering.graph.outline import unique
from lowering.kernel.builder import Builder


@dataclass(frozen=True)
class Layout:
    """What a copy holds: `before` points of padding ahead of each dim, `sizes` of the dims with their padding. The dim
    `stepped` is in phases: the points whose numbers leave the same remainder by `step` are neighbours."""

    before: tuple[int, ...]
    sizes: tuple[Dim, ...]
    stepped: int
    step: int

    @property
    def shape(self) -> tuple[Dim, ...]:
        """The dims of the copy."""
        if self.step == 1:
            return self.sizes
        at = self.stepped
        return (
            *self.sizes[:at],
            Dim.of(self.step),
            ceildiv(self.sizes[at], self.step),
            *self.sizes[at + 1 :],
        )

    def place(self, index: Sequence[Dim]) -> tuple[Dim, ...]:
        """Where the copy has what the array has at an index."""
        moved = [e + b for e, b in zip(index, self.before, strict=True)]
        if self.step == 1:
            return tuple(moved)
        at = self.stepped
        return (*moved[:at], moved[at] % self.step, moved[at] // self.step, *moved[at + 1 :])

    def source(self, place: Sequence[Dim]) -> list[Dim]:
        """Which index of the array stands at a place of the copy."""
        at = self.stepped
        if self.step > 1:
            place = [*place[:at], place[at + 1] * self.step + place[at], *place[at + 2 :]]
        return [e - b for e, b in zip(place, self.before, strict=True)]


def layout_of(kernel: DefOp, read: ReadOp, column: str, columns: int) -> Layout | None:
    """The copy that spares a read its tests and its steps along the axis `column`, of which so many points are read at once.

    None where the array is read well as it is, where its place is not an expression over the axes, or where the points
    that are read outside of it have no limit that is known.
    """
    array = read.array.type
    assert isinstance(array, RefType)
    if not isinstance(read.array, BlockArgument) or read.indices:
        return None
    extents = kernel.extents()
    ranges = {name: (0.0, extent.bounds({})[1] - 1) for name, extent in extents.items()}
    size = extents[column].value
    at = [d for d, e in enumerate(read.index.data) if column in e.names()]
    if size is None or len(at) != 1:
        return None
    step = read.index.data[at[0]].coefficient(column)
    if step is None or step.value is None or step.value < 1:
        return None
    before, sizes = [], []
    for number, (expr, extent) in enumerate(zip(read.index.data, array.shape.data, strict=True)):
        if number == at[0]:
            ranges = ranges | {column: (0.0, -(-size // columns) * columns - 1.0)}
        low, high = expr.bounds(ranges)
        if extent.value is None and expr.names() and all(_is_name(expr, n) for n in expr.names()):
            before.append(0)  # an axis as it is, such as a batch of any size
            sizes.append(extent)
            continue
        if extent.value is None or not -(2**31) < low <= high < 2**31:
            return None
        before.append(max(0, -int(low)))
        sizes.append(Dim.of(before[-1] + max(extent.value, int(high) + 1)))
    inside = all(b == 0 for b in before) and tuple(sizes) == tuple(array.shape.data)
    if step.value == 1 and (inside or read.otherwise is None):
        return None
    return Layout(tuple(before), tuple(sizes), at[0], step.value)


def _is_name(expr: Dim, name: str) -> bool:
    return expr == Dim.of(name)


@dataclass
class Copies:
    """The kernels that copy arrays of a module, and the copies that they make."""

    module: ModuleOp
    kernels: dict[tuple[Hashable, ...], DefOp] = field(default_factory=dict)
    made: dict[tuple[SSAValue, DefOp, Block | None], SSAValue] = field(default_factory=dict)

    def __post_init__(self) -> None:
        symbols = (op.properties.get("sym_name") for op in self.module.ops)
        self.taken = {symbol.data for symbol in symbols if isinstance(symbol, StringAttr)}

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
        key = (value, copier, user.parent)
        if key not in self.made:
            array = copier.block.args[1].type
            assert isinstance(array, RefType)
            type_ = tensor(value.type.element_type, array.shape.data)  # pyright: ignore[reportAttributeAccessIssue]
            launch = LaunchOp(copier.sym_name.data, [value], [type_])
            launch.location = user.location
            launch.results[0].name_hint = f"{value.name_hint}_windows" if value.name_hint else "windows"
            assert user.parent is not None
            user.parent.insert_op_before(launch, user)
            self.made[key] = launch.results[0]
        return self.made[key]

    def _copier(self, kernel: DefOp, read: ReadOp, layout: Layout) -> DefOp:
        """The kernel that makes a copy."""
        array = read.array.type
        assert isinstance(array, RefType)
        otherwise = read.otherwise or Builder.number(
            0, array.element_type
        )  # of points that no result depends on
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
        return copier
