"""kernel-prepack: what depends on parameters alone runs once, and products read their weights from panels made then."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, TensorType
from xdsl.dialects.func import FuncOp
from xdsl.ir import Block, BlockArgument, Region, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from dialects.dims import Dim, DimsAttr, ceildiv
from dialects.kernel import DefOp, LaunchOp, ReadOp, ScheduleAttr, WriteOp, arg
from dialects.names import unique
from dialects.types import RefType, ref
from lowering.graph.outline import symbols_of
from lowering.kernel.builder import Builder
from lowering.kernel.contraction import Contraction, panel_index
from lowering.kernel.fields import field_axes
from lowering.kernel.once import insert_once, is_constant, mark_once
from lowering.kernel.schedule import choose
from lowering.loop.kernel_to_loop import tiled_contraction
from lowering.remarks import label_of, listener
from lowering.schedule import parse_schedule
from lowering.target import get_target

RHS = "pack rhs"


@dataclass(frozen=True)
class KernelPrepack(ModulePass):
    """Moves what depends on parameters and constants alone out of the runs.

    Expects: kernels in axes form with schedules, and the host functions that launch them.
    Does: (1) marks a launch `once` whose operands are all parameters, constants or results of such launches, unless its
    results are much larger; (2) where the right operand of a contraction that the schedule packs is a plain read of an
    argument, and every launch passes a constant there, the argument becomes an array of panels, `pack rhs` leaves the
    schedule, and for each constant one launch of a new kernel makes its panels `once`. `off` turns the pass off; targets
    that copy no operand are left alone, but for GPUs, which have (1).
    Leaves: kernels in axes form with schedules; the same numbers.
    """

    name = "kernel-prepack"

    target: str = "native"
    cc: str = "gcc"
    off: bool = False
    stats: dict[str, int] = field(default_factory=dict, compare=False, repr=False)

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        target = get_target(self.target, self.cc)
        if self.off or (not target.packs and target.gpu is None):
            return
        kernels = {k.sym_name.data: k for k in op.ops if isinstance(k, DefOp) and k.in_axes_form}
        self.stats["once"] = mark_once(op, kernels, self.name)
        launches: dict[str, list[tuple[LaunchOp, FuncOp]]] = defaultdict(list)
        for func in [o for o in op.ops if isinstance(o, FuncOp)]:
            for launch in [o for o in func.body.walk() if isinstance(o, LaunchOp)]:
                launches[launch.callee.root_reference.data].append((launch, func))
        packers = _Packers(op, symbols_of(op), lambda k: choose(k, target))
        for name, kernel in kernels.items():
            if kernel.schedule is None or RHS not in kernel.schedule.data or name not in launches:
                continue
            found = _weights(kernel, launches[name])
            tell = listener("pack", self.name)
            if isinstance(found, str):
                if tell is not None:
                    tell.missed(kernel, "packs its right operand in each run", found)
                continue
            packers.replace(kernel, found, launches[name])
            self.stats["prepacked"] = self.stats.get("prepacked", 0) + 1
            if tell is not None:
                tell.applied(
                    kernel, "reads its right operand from panels that are packed once", "it is a parameter"
                )


@dataclass(frozen=True)
class _Weights:
    """The right operand of a contraction as a kernel reads it: from an argument, over columns and the reduced axis, with
    panels of so many columns."""

    read: ReadOp
    array: BlockArgument
    column: str
    reduced: str
    size: int


def _weights(kernel: DefOp, launches: list[tuple[LaunchOp, FuncOp]]) -> _Weights | str:
    """The operand that panels can stand for; a text that says why there is none."""
    assert kernel.schedule is not None
    schedule = parse_schedule(kernel, kernel.schedule.data)
    c = tiled_contraction(kernel, schedule)
    if c is None or len(c.n) != 1 or len(c.k) != 1 or c.n[0] not in schedule.tile:
        return "its schedule does not fit it"
    if c.batch:
        moves = set(c.batch) & field_axes(kernel)[c.rhs]
        return f"{'it is another one' if moves else 'a product runs'} at each point of {', '.join(c.batch)}"
    if isinstance(found := _plain_read(kernel, c), str):
        return found
    read, array = found
    for launch, func in launches:
        if not is_constant(launch.inputs[array.index], func):
            return f"{array.name_hint or 'it'} is no parameter or constant wherever the kernel runs"
    return _Weights(read, array, c.n[0], c.k[0], schedule.tile[c.n[0]])


def _plain_read(kernel: DefOp, c: Contraction) -> tuple[ReadOp, BlockArgument] | str:
    """The read of the right operand and the argument that it reads, alone in its use."""
    read, pair = c.rhs.owner, {c.n[0], c.k[0]}
    if not isinstance(read, ReadOp) or not isinstance(read.array, BlockArgument):
        return "its elements are computed while they are packed"
    if read.otherwise is not None or read.indices:
        return "it is read at places that are data, or outside of its array"
    names = [e.names() for e in read.index.data if e.value is None]
    if len(names) != 2 or any(len(n) != 1 for n in names) or set().union(*names) != pair:
        return f"its dims are not {' and '.join(sorted(pair))}"
    if len([*read.array.uses]) != 1:
        return "the kernel reads it elsewhere too"
    if not all((kernel.extents()[a].value or 0) > 0 for a in pair):
        return "its size is known in a run alone"
    return read, read.array


@dataclass
class _Packers:
    """The kernels that make panels, and the panels of each constant."""

    module: ModuleOp
    taken: set[str]
    schedule: Callable[[DefOp], list[str]]
    kernels: dict[tuple[Hashable, ...], DefOp] = field(default_factory=dict)
    panels: dict[tuple[SSAValue, DefOp], SSAValue] = field(default_factory=dict)
    last: dict[FuncOp, LaunchOp] = field(default_factory=dict)
    """Of the launches at the start of each function, which come before those that may read what they make."""

    def replace(self, kernel: DefOp, weights: _Weights, launches: list[tuple[LaunchOp, FuncOp]]) -> None:
        """Makes a kernel read panels, and gives each of its launches the panels of its constant."""
        packer = self._packer(kernel, weights)
        for launch, func in launches:
            at = weights.array.index
            launch.operands[at] = self._panels(launch.inputs[at], packer, launch, func)
        Rewriter.replace_value_with_new_type(weights.array, packer.block.args[1].type)
        weights.read.properties["index"] = DimsAttr(
            panel_index(weights.column, weights.reduced, weights.size)
        )
        assert kernel.schedule is not None
        kernel.properties["schedule"] = ScheduleAttr(tuple(d for d in kernel.schedule.data if d != RHS))

    def _panels(self, value: SSAValue, packer: DefOp, user: LaunchOp, func: FuncOp) -> SSAValue:
        if (value, packer) not in self.panels:
            made = packer.block.args[1].type
            assert isinstance(made, RefType)
            type_ = TensorType(value.type.element_type, [d.value or 0 for d in made.shape.data])  # pyright: ignore
            launch = LaunchOp(packer.sym_name.data, [value], [type_], once=True)
            launch.location = user.location
            launch.results[0].name_hint = f"{value.name_hint}_panels" if value.name_hint else "panels"
            insert_once(launch, func, self.last.get(func))
            if isinstance(value, BlockArgument):
                self.last[func] = launch
            self.panels[value, packer] = launch.results[0]
        return self.panels[value, packer]

    def _packer(self, kernel: DefOp, weights: _Weights) -> DefOp:
        """The kernel that makes such panels: columns of an array side by side, reduced point by reduced point, zeros past
        the last column."""
        extents, type_ = kernel.extents(), weights.array.type
        assert isinstance(type_, RefType)
        columns, depth = extents[weights.column], extents[weights.reduced]
        points = {weights.column: Dim.of("p") * weights.size + Dim.of("c"), weights.reduced: Dim.of("k")}
        # Names of axes are those of the new kernel at once: one of the old could be a new one's.
        index = tuple(e.subst(points) for e in weights.read.index.data)
        key = (type_, index, columns, depth, weights.size)
        if key in self.kernels:
            return self.kernels[key]
        shape = [ceildiv(columns, weights.size), depth, Dim.of(weights.size)]
        block = Block(arg_types=[type_, ref(type_.element_type, shape)])
        block.args[0].name_hint, block.args[1].name_hint = weights.array.name_hint, "panels"
        full = (columns.value or 0) % weights.size == 0
        read = ReadOp(block.args[0], index, (), None if full else Builder.number(0, type_.element_type))
        axes = [(name, size) for name, size in zip("pkc", shape, strict=True)]
        block.add_ops([read, WriteOp(read.result, block.args[1], [Dim.of(a) for a, _ in axes])])
        name = unique(f"{kernel.sym_name.data}_panels", self.taken)
        packer = DefOp(name, Region(block), [arg("in"), arg("out")], axes)
        for op in (packer, *block.ops):
            op.location = weights.read.location
        packer.properties["schedule"] = ScheduleAttr(tuple(self.schedule(packer)))
        self.module.body.block.insert_op_before(packer, kernel)
        self.kernels[key] = packer
        if (tell := listener("once", KernelPrepack.name)) is not None:
            reason = f"{label_of(kernel)} reads its right operand from them"
            tell.applied(packer, f"makes panels of {weights.size} columns once, before all runs", reason)
        return packer
