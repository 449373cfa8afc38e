"""A machine for tests: runs host functions by value and buffer programs in memory, and watches the latter for races.

Kernels are opaque: each mixes its operands and its own name into 32-bit integers, so that a wrong array shows.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

import numpy as np
from xdsl.dialects.builtin import DenseIntOrFPElementsAttr, IntegerType, ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, Block, Operation, SSAValue

from dialects import graph
from dialects.buffer import (
    BarrierOp,
    CallOp,
    ConstantOp,
    CopyOp,
    ForOp,
    LeaveOp,
    OnceOp,
    ProgramOp,
    ReshapeOp,
    ViewOp,
)
from dialects.graph import GraphOp
from dialects.kernel import LaunchOp
from dialects.loop import FuncOp as LoopFunc
from dialects.types import RefType, dims_of, np_dtype, ref
from lowering.buffer.liveness import read_loop


def compute(
    kernel: str, inputs: list[np.ndarray], shapes: list[tuple[int, ...]], updated: list[np.ndarray | None]
) -> list[np.ndarray]:
    """The outputs of the opaque kernel of a name; what an `inout` begins with counts too. One of rank 0 is a bool."""
    inputs = [*inputs, *(a for a in updated if a is not None)]
    state = np.uint32(zlib.crc32(kernel.encode()))
    for number, array in enumerate(inputs):
        total = np.uint32(zlib.crc32(array.tobytes()))
        state = np.uint32((int(state) * 31 + int(total) * (number + 1) + 7) % 2**32)
    words = [
        ((np.arange(int(np.prod(s)), dtype=np.uint32) * 2654435761 + state + n) % 1009).reshape(s)
        for n, s in enumerate(shapes)
    ]
    return [w.astype(np.int32) if w.ndim else np.asarray(w % 4 != 0) for w in words]


def shape_of(type_: Attribute) -> tuple[int, ...]:
    return tuple(d.value or 0 for d in dims_of(type_))


def constant_of(value: Attribute, type_: Attribute) -> np.ndarray:
    assert isinstance(value, DenseIntOrFPElementsAttr)
    values = np.array(value.get_values(), dtype=np.int32)
    return np.resize(values, shape_of(type_))


def run_host(func: FuncOp, inputs: list[np.ndarray], kernels: dict[str, LoopFunc]) -> list[np.ndarray]:
    """What a host function returns, by its definition."""
    values: dict[SSAValue, np.ndarray] = dict(zip(func.body.block.args, inputs, strict=True))

    def block(body: Block) -> list[np.ndarray]:
        for op in body.ops:
            if isinstance(op, LaunchOp):
                shapes = [shape_of(r.type) for r in op.results]
                name = op.callee.root_reference.data
                arrays = [values[v] for v in op.inputs]
                facts = kernels[name].signature.data[len(arrays) :]
                updated = [arrays[f.alias_of or 0] if f.mode.data == "inout" else None for f in facts]
                outputs = compute(name, arrays, shapes, updated)
                values.update(zip(op.results, outputs, strict=True))
            elif isinstance(op, GraphOp):
                values[op.results[0]] = op.run([values[v] for v in op.operands])[0]
            elif isinstance(op, graph.ForOp):
                loop = read_loop(op)
                low, high = (
                    int(values[b]) if isinstance(b, SSAValue) else b.evaluate({})
                    for b in (loop.lower, loop.upper)
                )
                carried = [values[v] for v in loop.inits]
                for step in range(low, high):
                    if loop.conditional and not carried[0]:
                        break
                    values[loop.induction] = np.array(step, dtype=np.int64)
                    values.update(zip(loop.carried, carried, strict=True))
                    carried = block(loop.body)
                values.update(zip(op.results, carried, strict=True))
            else:
                return [values[v] for v in op.operands]
        return []

    return block(func.body.block)


@dataclass(frozen=True)
class Place:
    """An array in memory: which memory, and where in it."""

    memory: np.ndarray
    offset: int
    type: RefType
    private: bool = False

    @property
    def array(self) -> np.ndarray:
        dtype = np_dtype(self.type.element_type)
        shape = shape_of(self.type)
        size = int(np.prod(shape)) * dtype.itemsize
        return self.memory[self.offset : self.offset + size].view(dtype).reshape(shape)

    def overlaps(self, other: Place) -> bool:
        mine, theirs = self.array, other.array
        return self.memory is other.memory and (
            self.offset < other.offset + theirs.nbytes and other.offset < self.offset + mine.nbytes
        )

    def same(self, other: Place) -> bool:
        return self.memory is other.memory and self.offset == other.offset


@dataclass
class Machine:
    """Runs one program; `races` lists what one op touched without waiting for another."""

    program: ProgramOp
    kernels: dict[str, LoopFunc]
    places: dict[SSAValue, Place] = field(default_factory=dict)
    pending: list[tuple[Place, bool]] = field(default_factory=list)
    races: list[str] = field(default_factory=list)
    idle_barriers: int = 0
    after_barrier: list[tuple[Place, bool]] | None = None

    def run(self, inputs: list[np.ndarray]) -> list[np.ndarray]:
        self.arena = np.full(self.program.arena_bytes.data.value or 0, 0xA5, dtype=np.uint8)
        self.prepared = np.full(self.program.prepared_bytes.data.value or 0, 0xA5, dtype=np.uint8)
        outputs: list[Place] = []
        given = iter(inputs)
        before: list[tuple[Place, np.ndarray]] = []
        for value, facts in zip(self.program.block.args, self.program.signature, strict=True):
            assert isinstance(value.type, RefType)
            if facts.mode.data == "out":
                size = value.type.bytes().value or 0
                self.places[value] = Place(np.full(size, 0x5A, dtype=np.uint8), 0, value.type)
                outputs.append(self.places[value])
            else:
                array = next(given)
                memory = np.frombuffer(array.tobytes(), dtype=np.uint8).copy()
                self.places[value] = place = Place(memory, 0, value.type)
                if facts.mode.data == "in":
                    before.append((place, array))
        if (once := self.program.once) is not None:
            self._places_before(once)
            self._block(once.block)
            self.arena[:], self.pending, self.after_barrier = 0xA5, [], None
        kept = self.prepared.copy()
        self._block(self.program.block)
        assert np.array_equal(kept, self.prepared), "a run wrote into what it may only read"
        for place, array in before:
            assert np.array_equal(place.array, array), "the program wrote into an input"
        return [p.array for p in outputs]

    def _places_before(self, once: OnceOp) -> None:
        """The views and constants that stand ahead of what runs once."""
        for op in self.program.block.ops:
            if op is once:
                return
            assert isinstance(op, ViewOp | ReshapeOp | ConstantOp)
            self._op(op)

    def _block(self, block: Block) -> bool:
        """Runs the ops; false where one of them leaves the loop around."""
        return all(self._op(op) for op in block.ops)

    def _op(self, op: Operation) -> bool:
        if isinstance(op, ViewOp):
            assert isinstance(op.result.type, RefType)
            memory = self.arena if op.prepared is None else self.prepared
            self.places[op.result] = Place(memory, op.offset.data.value or 0, op.result.type)
        elif isinstance(op, ReshapeOp):
            source, type_ = self.places[op.source], op.result.type
            assert isinstance(type_, RefType) and source.array.nbytes == type_.bytes().value
            self.places[op.result] = Place(source.memory, source.offset, type_, source.private)
        elif isinstance(op, ConstantOp):
            assert isinstance(op.result.type, RefType)
            data = constant_of(op.value, op.result.type)
            self.places[op.result] = Place(data.reshape(-1).view(np.uint8), 0, op.result.type)
        elif isinstance(op, BarrierOp):
            self.after_barrier, self.pending = self.pending, []
        elif isinstance(op, CopyOp):
            self._copy(op)
        elif isinstance(op, CallOp):
            self._call(op)
        elif isinstance(op, ForOp):
            self._loop(op)
        elif isinstance(op, LeaveOp):
            if not self._read(op.condition):
                return False
        elif not isinstance(op, OnceOp):  # which has run
            raise AssertionError(op.name)
        return True

    def _touch(self, accesses: list[tuple[Place, bool]]) -> None:
        accesses = [a for a in accesses if not a[0].private]

        def clash(pending: list[tuple[Place, bool]]) -> bool:
            return any((w or v) and a.overlaps(b) for a, w in accesses for b, v in pending)

        if clash(self.pending):
            self.races.append("an op touches what another has not finished with")
        if self.after_barrier is not None:
            self.idle_barriers += not clash(self.after_barrier)
            self.after_barrier = None
        self.pending += accesses

    def _copy(self, op: CopyOp) -> None:
        source, target = self.places[op.source], self.places[op.target]
        if source.same(target):
            return
        assert not source.overlaps(target)
        assert source.array.shape == target.array.shape
        self._touch([(source, False), (target, True)])
        target.array[...] = source.array

    def _call(self, op: CallOp) -> None:
        name = op.callee.root_reference.data
        facts = self.kernels[name].signature.data
        arrays = [self.places[v] for v in op.args_]
        accesses = [(p, f.is_output) for p, f in zip(arrays, facts, strict=True)]
        for number, (place, entry) in enumerate(zip(arrays, facts, strict=True)):
            if not entry.is_output:
                continue
            for other, (that, _) in enumerate(zip(arrays, facts, strict=True)):
                if other != number and place.overlaps(that):
                    assert entry.alias_of == other and place.same(that), (
                        f"{name}: argument {number} overlaps {other}"
                    )
        inputs = [p.array.copy() for p, f in zip(arrays, facts, strict=True) if f.mode.data == "in"]
        if op.team is not None:
            size = sum(a.ref_type.bytes().value or 0 for a in self.kernels[name].allocs("team"))
            team = Place(self.arena, op.team.data.value or 0, _bytes_type(size))
            assert not any(team.overlaps(p) for p in arrays)
            accesses.append((team, True))
            team.array[...] = 0x77
        self._touch(accesses)
        outs = [p for p, f in zip(arrays, facts, strict=True) if f.is_output]
        updated = [
            p.array.copy() if f.mode.data == "inout" else None
            for p, f in zip(outs, facts[len(inputs) :], strict=True)
        ]
        for place, data in zip(
            outs, compute(name, inputs, [p.array.shape for p in outs], updated), strict=True
        ):
            place.array[...] = data

    def _loop(self, op: ForOp) -> None:
        bounds = [
            self._read(a) if a is not None else d.data.evaluate({})
            for a, d in ((op.lower_ref, op.lower), (op.upper_ref, op.upper))
        ]
        state = [
            (self.places[c.init], None if c.spare is None else self.places[c.spare]) for c in op.carries()
        ]
        for step in range(*bounds):
            induction = np.array([step], dtype=np.int64).view(np.uint8)
            type_ = op.block.args[0].type
            assert isinstance(type_, RefType)
            self.places[op.block.args[0]] = Place(induction, 0, type_, private=True)
            for carry, (current, spare) in zip(op.carries(), state, strict=True):
                self.places[carry.current] = current
                if carry.following is not None and spare is not None:
                    self.places[carry.following] = spare
            if not self._block(op.block):
                break
            state = [(a, b) if b is None else (b, a) for a, b in state]
        for result, (place, _) in zip(op.results, state, strict=True):
            self.places[result] = place

    def _read(self, array: SSAValue) -> int:
        self._touch([(self.places[array], False)])
        return int(self.places[array].array)


def _bytes_type(size: int) -> RefType:
    return ref(IntegerType(8), [size])


def programs(module: ModuleOp) -> list[Machine]:
    """A machine for each program of a module."""
    kernels = {f.sym_name.data: f for f in module.ops if isinstance(f, LoopFunc)}
    return [Machine(p, kernels) for p in module.ops if isinstance(p, ProgramOp)]
