"""What the loops over a row read and compute again and again is kept by each thread, in an array that becomes registers.

Loops with the same steps give a thread the same elements each time. What one of them has read, or computed at some cost, the
later ones take from a `stack` array of the thread. The loops are unrolled, so that all places in the array are constants: a
first one has the steps that every thread takes, a second one the step that only some take. The order of sums stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from xdsl.dialects import arith
from xdsl.dialects.builtin import AnyFloat, IntegerType, VectorType
from xdsl.ir import Attribute, Block, Operation, SSAValue

from dialects import kernel, loop
from dialects.dims import Dim, DimAttr, DimsAttr, ceildiv
from dialects.types import element_bytes, element_of, ref, shape_of
from lowering.loop.gpu.chain import Mover
from lowering.loop.gpu.staging import zero_of

Numbers = dict[tuple[object, ...], int]
"""The numbers of values by what they are computed from."""

EFFECTS = (loop.StoreOp, loop.YieldOp, loop.PrefetchOp, loop.BarrierOp)


class Kept:
    """The loops of a row that have the same steps, and what is kept from each for those behind it."""

    def __init__(self, loops: Sequence[loop.ForOp]):
        self.loops = list(loops)
        self.steps = _steps(loops[0]) or 0
        self.keys: dict[Operation, int] = {}
        self.first: dict[int, tuple[int, Operation]] = {}
        self.last: dict[int, int] = {}
        numbers: Numbers = {}
        self.needed: list[set[Operation]] = []
        for number, op in enumerate(loops):
            self.keys |= _keys_of(op, numbers)
            self.needed.append(self._needed(number, op))
            for inner in op.block.ops:
                if inner in self.keys and _has_a_cost(inner):
                    self.first.setdefault(self.keys[inner], (number, inner))

    def _needed(self, number: int, op: loop.ForOp) -> set[Operation]:
        """The ops of a loop that are still wanted where what earlier loops had is kept."""
        work: list[Operation] = [inner for inner in op.block.ops if isinstance(inner, EFFECTS)]
        seen: set[Operation] = set()
        while work:
            inner = work.pop()
            if inner in seen:
                continue
            seen.add(inner)
            key = self.keys.get(inner)
            if key is not None and key in self.first and _has_a_cost(inner):
                self.last[key] = number
                continue
            owners = [v.owner for v in inner.operands]
            work += [o for o in owners if isinstance(o, Operation) and o.parent is op.block]
        return seen

    @property
    def bytes(self) -> int:
        """What is kept of a step at once, at most."""
        spans = [(self.first[key], last) for key, last in self.last.items()]
        return max(
            sum(
                prod(shape_of(op.results[0].type)) * element_bytes(element_of(op.results[0].type))
                for (first, op), last in spans
                if first <= number < last
            )
            for number in range(len(self.loops))
        )

    def held(self, threads: int) -> int:
        """The bytes that each of so many threads keeps."""
        return -(-self.steps // threads) * self.bytes

    def unroll(
        self, moved: Mapping[Operation, loop.ForOp], start: Operation, threads: int, name: str
    ) -> None:
        """Rewrites the loops, of which each thread has its steps; `start` is where the arrays are declared."""
        block = start.parent
        assert block is not None
        arrays: dict[int, SSAValue] = {}
        whole, more = divmod(self.steps, threads)
        for key in self.last:
            type_ = self.first[key][1].results[0].type
            count = -(-self.steps // threads) * prod(shape_of(type_))
            alloc = loop.AllocOp(ref(element_of(type_), [count], space="stack"))
            alloc.result.name_hint = "kept"
            block.insert_op_before(alloc, start)
            arrays[key] = alloc.result
            if more:
                block.insert_ops_before(_zeros(alloc.result, whole, type_), start)
        for number, old in enumerate(self.loops):
            new = moved[old]
            if not any(self.keys.get(op) in arrays for op in self.needed[number]):
                continue
            parts: list[loop.ForOp] = []
            carried: Sequence[SSAValue] = list(new.inits)
            if whole:
                part = loop.ForOp(name, 0, whole, role="unrolled", inits=carried)
                turn = Dim.of(name)
                self._fill(part, number, new, (new.lower + turn * new.step, turn), arrays)
                parts.append(part)
                carried = part.results
            if more:
                lower = new.lower + whole * new.step
                part = loop.ForOp(new.variable, lower, new.upper, step=new.step, inits=carried)
                self._fill(part, number, new, (Dim.of(new.variable), Dim.of(whole)), arrays)
                parts.append(part)
                carried = part.results
            around = new.parent
            assert around is not None
            around.insert_ops_before(parts, new)
            for result, now in zip(new.results, carried, strict=True):
                now.name_hint = result.name_hint
                result.replace_all_uses_with(now)
            around.erase_op(new)

    def _fill(
        self,
        part: loop.ForOp,
        number: int,
        new: loop.ForOp,
        place: tuple[Dim, Dim],
        arrays: Mapping[int, SSAValue],
    ) -> None:
        """The body of a part of a loop, at a point of the row and a turn of the thread."""
        point, turn = place
        values: dict[SSAValue, SSAValue] = dict(zip(new.block.args, part.block.args, strict=True))
        mover = Mover({new.variable: point}, values)
        for old, op in zip(self.loops[number].block.ops, new.block.ops, strict=True):
            if old not in self.needed[number]:
                continue
            key = self.keys.get(old)
            if key is None or key not in arrays or not _has_a_cost(old):
                mover.copy(op, part.block)
            elif self.first[key][0] < number:
                values[op.results[0]] = _kept(part.block, arrays[key], turn, op.results[0].type)
            else:
                mover.copy(op, part.block)
                if self.first[key][1] is old:
                    part.block.add_op(_keep(values[op.results[0]], arrays[key], turn))


def kept_in(loops: Sequence[loop.ForOp]) -> list[Kept]:
    """The loops among those that threads split of which some keep what others need again."""
    alike: dict[object, list[loop.ForOp]] = {}
    for op in loops:
        if _steps(op) and not any(inner.regions for inner in op.block.ops):
            alike.setdefault((op.lower, op.upper, op.step), []).append(op)
    found = [Kept(group) for group in alike.values() if len(group) > 1]
    return [kept for kept in found if kept.last]


def _steps(op: loop.ForOp) -> int | None:
    return ceildiv(op.upper - op.lower, op.step).value


def _keys_of(op: loop.ForOp, numbers: Numbers) -> dict[Operation, int]:
    """What each op of a loop computes, as far as that does not depend on what the loop carries. Vectors of one lane are the
    number in it."""
    keys: dict[Operation, int] = {}
    for inner in op.block.ops:
        if isinstance(inner, EFFECTS) or len(inner.results) != 1:
            continue
        operands: list[int] = []
        for value in inner.operands:
            owner = value.owner
            if isinstance(owner, Operation) and owner in keys:
                operands.append(keys[owner])
            elif owner is not op.block and not (isinstance(owner, Operation) and owner.parent is op.block):
                operands.append(numbers.setdefault((value,), len(numbers)))
        if len(operands) < len(inner.operands):
            continue
        if isinstance(inner, loop.BroadcastOp) and prod(shape_of(inner.result.type)) == 1:
            keys[inner] = operands[0]
        else:
            facts = (*_facts(inner, op.variable), *operands)
            keys[inner] = numbers.setdefault(facts, len(numbers))
    return keys


def _facts(op: Operation, variable: str) -> tuple[object, ...]:
    """What an op is, beside its operands, whatever the variable of its loop is called."""
    type_ = op.results[0].type
    lanes = prod(shape_of(type_))
    shape = tuple(type_.get_shape()) if isinstance(type_, VectorType) and lanes > 1 else ()
    if isinstance(op, kernel.ConvertOp):
        return (f"arith.{op.kind.data}", element_of(type_), shape)
    if isinstance(op, arith.ExtFOp | arith.TruncFOp):
        return (op.name, element_of(type_), shape)
    properties = sorted(op.properties.items(), key=lambda item: item[0])
    kept = [(name, _renamed(v, variable)) for name, v in properties if name != "along" or lanes > 1]
    return (op.name, *kept, element_of(type_), shape)


def _renamed(value: Attribute, variable: str) -> Attribute:
    """A property with a name for the loop's variable that all loops share."""
    here = {variable: Dim.of("here")}
    if isinstance(value, DimAttr):
        return DimAttr(value.data.subst(here))
    return DimsAttr(tuple(d.subst(here) for d in value.data)) if isinstance(value, DimsAttr) else value


def _has_a_cost(op: Operation) -> bool:
    """Whether a value is worth registers: what is read, and what takes many instructions."""
    if len(op.results) != 1:
        return False
    type_ = op.results[0].type
    flat = not isinstance(type_, VectorType) or type_.get_num_dims() == 1
    flat = flat and isinstance(element_of(type_), AnyFloat | IntegerType)
    return flat and (isinstance(op, loop.LoadOp | arith.DivfOp) or op.name.startswith("math."))


def _keep(value: SSAValue, array: SSAValue, turn: Dim) -> loop.StoreOp:
    along = [0] if isinstance(value.type, VectorType) else []
    return loop.StoreOp(value, array, [turn * prod(shape_of(value.type))], along=along)


def _zeros(array: SSAValue, turn: int, type_: Attribute) -> list[Operation]:
    """Something in the place of a step that only some threads take: what they read there goes nowhere."""
    zero = arith.ConstantOp(zero_of(element_of(type_)))  # pyright: ignore[reportArgumentType]
    if not isinstance(type_, VectorType):
        return [zero, _keep(zero.result, array, Dim.of(turn))]
    many = loop.BroadcastOp(zero.result, type_.get_shape())
    return [zero, many, _keep(many.result, array, Dim.of(turn))]


def _kept(block: Block, array: SSAValue, turn: Dim, type_: Attribute) -> SSAValue:
    shape, along = (list(type_.get_shape()), [0]) if isinstance(type_, VectorType) else ([], [])
    load = loop.LoadOp(array, [turn * prod(shape_of(type_))], shape=shape, along=along)
    block.add_op(load)
    return load.result
