"""loop-split-sums: few long sums are taken in parts, by many blocks, and what these have is added up by a second function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects import arith, builtin
from xdsl.dialects.builtin import AnyFloat, FloatAttr, IntegerAttr, IntegerType, Signedness
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.passes import ModulePass

from dialects import loop
from dialects.dims import Dim, DimAttr, dmin
from dialects.kernel import LaunchOp, arg
from dialects.names import unique
from dialects.types import element_of, ref, shape_of, tensor
from lowering.graph.outline import symbols_of
from lowering.loop.gpu.chain import Mover
from lowering.loop.gpu.long_sums import LongSum, long_sum
from lowering.loop.gpu.shared import combiner_of, constant_of
from lowering.loop.remade import fill_locations, fresh_name
from lowering.target import get_target


@dataclass(frozen=True)
class LoopSplitSums(ModulePass):
    """Makes of a long sum that few blocks would take, two functions that follow one another.

    Expects: functions at the loop level whose nests have nothing to wait for (`loop-split-nests`), and a host program that
    launches them.
    Does: (1) a new function takes parts of the sum (or the like), one in each iteration of a parallel loop, and leaves what
    each part has in an array; (2) in place of the sum the old function combines the parts, in their order; (3) a launch of
    the old function is preceded by one of the new. The parts depend on sizes and target alone, so results are the same
    in each run.
    Leaves: sums that are enough blocks' work. Functions with sizes that are not known, and those with several long loops, are
    left alone.
    """

    name = "loop-split-sums"

    target: str = "cuda"
    stats: dict[str, int] = field(default_factory=dict, compare=False, repr=False)

    def apply(self, ctx: Context, op: builtin.ModuleOp) -> None:
        gpu = get_target(self.target).gpu
        if gpu is None:
            return
        taken = symbols_of(op)
        launches = [inner for inner in op.walk() if isinstance(inner, LaunchOp)]
        for func in [f for f in op.ops if isinstance(f, loop.FuncOp)]:
            mine = [one for one in launches if one.callee.root_reference.data == func.sym_name.data]
            found = long_sum(func, gpu) if mine else None
            if found is None or not all(_is_number(v.type) for v in found.values):
                continue
            parts = _parts(func, found, unique(f"{func.sym_name.data}_sums", taken))
            op.body.block.insert_op_before(parts.func, func)
            _combine(func, found, parts)
            for one in mine:
                _relaunch(one, parts)
            self.stats["split"] = self.stats.get("split", 0) + 1


@dataclass(frozen=True)
class _Parts:
    """The function that takes the parts, which arguments of the old one it takes, and the types of what it makes."""

    func: loop.FuncOp
    inputs: tuple[int, ...]
    results: tuple[Attribute, ...]


def _is_number(type_: Attribute) -> bool:
    element = element_of(type_)
    return isinstance(element, AnyFloat) or (isinstance(element, IntegerType) and element.width.data >= 8)


def _parts(func: loop.FuncOp, found: LongSum, name: str) -> _Parts:
    """A function that leaves what each part of a sum has."""
    read = {a.array for op in (*found.needs, found.sum) for a in op.walk() if isinstance(a, loop.LoadOp)}
    inputs = [n for n, a in enumerate(func.block.args) if a in read]
    lanes = [() if found.along else shape_of(v.type) for v in found.values]
    shapes = [[found.parts, *found.sizes, *own] for own in lanes]
    arrays = [ref(element_of(v.type), shape) for v, shape in zip(found.values, shapes, strict=True)]
    block = Block(arg_types=[*(func.block.args[n].type for n in inputs), *arrays])
    values: dict[SSAValue, SSAValue] = {}
    for n, new in zip(inputs, block.args, strict=False):
        values[func.block.args[n]] = new
        new.name_hint = func.block.args[n].name_hint
    number = fresh_name("p", func)
    around = loop.ForOp(number, 0, found.parts, role="parallel")
    block.add_op(around)
    inside = around.block
    for axis in found.around:
        level = loop.ForOp(axis.variable, axis.lower, axis.upper, step=axis.step)
        inside.add_op(level)
        inside = level.block
    old, size = found.sum, found.size * (found.sum.step.value or 1)
    point = Dim.of(old.variable) + Dim.of(number) * size
    mover = Mover({}, values)
    for op in found.needs:
        mover.copy(op, inside)
    mover.names[old.variable] = point  # points are counted from the first of the part
    new = mover.copy(old, inside)
    length = old.upper - old.lower
    whole = length.value == size * found.parts
    new.properties["lower_"] = DimAttr(old.lower)
    rest = old.upper - Dim.of(number) * size
    new.properties["upper_"] = DimAttr(old.lower + size if whole else dmin(old.lower + size, rest))
    if found.fold is not None:
        mover.names.clear()
        mover.copy(found.fold, inside)
    for value, array in zip(found.values, block.args[len(inputs) :], strict=True):
        now = mover.values[value]
        index, along = _place(found, number, now.type)
        inside.add_op(loop.StoreOp(now, array, index, along=along))
    signature = [arg("in")] * len(inputs) + [arg("out")] * len(arrays)
    made = loop.FuncOp(name, Region(block), signature)
    made.attributes.update(func.attributes)
    made.location = func.location
    fill_locations(block, old)
    results = [
        tensor(_of_tensor(element_of(v.type)), shape) for v, shape in zip(found.values, shapes, strict=True)
    ]
    return _Parts(made, tuple(inputs), tuple(results))


def _of_tensor(element: Attribute) -> Attribute:
    return IntegerType(element.width.data, Signedness.SIGNED) if isinstance(element, IntegerType) else element


def _place(found: LongSum, number: str, type_: Attribute) -> tuple[list[Dim], list[int]]:
    """Where what a part has of a value is kept: index, and the dims that its lanes run along."""
    index = [Dim.of(number), *(Dim.of(a.variable) - a.lower for a in found.around)]
    if found.along:
        return index, [1 + axis for axis in found.along]
    lanes = len(shape_of(type_))
    return index + [Dim.of(0)] * lanes, [len(index) + n for n in range(lanes)]


def _combine(func: loop.FuncOp, found: LongSum, parts: _Parts) -> None:
    """Replaces a sum by one of its parts, which the function takes behind what it took."""
    inputs = sum(not facts.is_output for facts in func.signature.data)
    arrays: list[SSAValue] = []
    for n, type_ in enumerate(a.type for a in parts.func.block.args[len(parts.inputs) :]):
        arrays.append(func.block.insert_arg(type_, inputs + n))
        arrays[-1].name_hint = "parts"
    signature = list(func.signature.data)
    signature[inputs:inputs] = [arg("in")] * len(arrays)
    func.properties["signature"] = builtin.ArrayAttr(signature)
    old, last = found.sum, found.fold or found.sum
    number = fresh_name("p", func)
    new = loop.ForOp(number, 0, found.parts, inits=_starts(found, last))
    loads: list[SSAValue] = []
    for value, array in zip(found.values, arrays, strict=True):
        index, along = _place(found, number, value.type)
        load = loop.LoadOp(array, index, shape=shape_of(value.type), along=along)
        new.block.add_op(load)
        loads.append(load.result)
    new.block.add_op(loop.YieldOp(*_both(found, new.block, loads)))
    block = last.parent
    assert block is not None
    block.insert_op_before(new, last)
    for value, result in zip(found.values, new.results, strict=True):
        value.replace_all_uses_with(result)
    for op in dict.fromkeys((last, old)):
        block.erase_op(op)
    fill_locations(new.block, block.parent_op() or func)


def _starts(found: LongSum, last: Operation) -> Sequence[SSAValue]:
    """What a sum of parts begins with."""
    if found.fold is None:
        return list(found.sum.inits)
    out: list[SSAValue] = []
    for init, value in zip(found.sum.inits, found.values, strict=True):
        number, type_ = constant_of(init), value.type
        is_integer = isinstance(type_, IntegerType)
        start = arith.ConstantOp(
            IntegerAttr(int(number or 0), type_) if is_integer else FloatAttr(float(number or 0), type_)  # pyright: ignore
        )
        assert last.parent is not None
        last.parent.insert_op_before(start, last)
        out.append(start.result)
    return out


def _both(found: LongSum, block: Block, loads: Sequence[SSAValue]) -> list[SSAValue]:
    """What was found so far, with what a part has."""
    out: list[SSAValue] = []
    if found.fold is not None:
        inner = found.fold.combine.block
        values: dict[SSAValue, SSAValue] = dict(zip(inner.args, [*block.args, *loads], strict=True))
        for op in inner.ops:
            if isinstance(op, loop.YieldOp):
                return [values.get(v, v) for v in op.values]
            block.add_op(op.clone(values))
    for number, (now, load) in enumerate(zip(block.args, loads, strict=True)):
        op = combiner_of(found.sum, number)
        assert op is not None
        both = op.clone(dict(zip(op.operands, (now, load), strict=True)))
        block.add_op(both)
        out.append(both.results[0])
    return out


def _relaunch(launch: LaunchOp, parts: _Parts) -> None:
    """A launch of the parts before that of the rest."""
    block = launch.parent
    assert block is not None
    given = [launch.inputs[n] for n in parts.inputs]
    first = LaunchOp(parts.func.sym_name.data, given, parts.results, once=launch.once is not None)
    first.location = launch.location
    second = LaunchOp(
        launch.callee.root_reference.data,
        [*launch.inputs, *first.results],
        [r.type for r in launch.results],
        once=launch.once is not None,
    )
    second.attributes.update(launch.attributes)
    second.location = launch.location
    block.insert_ops_before([first, second], launch)
    for old, new in zip(launch.results, second.results, strict=True):
        new.name_hint = old.name_hint
        old.replace_all_uses_with(new)
    block.erase_op(launch)
