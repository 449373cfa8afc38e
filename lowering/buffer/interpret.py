"""Runs a program of the buffer level in NumPy, on one thread: arrays at their places in one arena, kernels as loops.

What is placed wrongly shows here, and what the C text makes of a right program does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from xdsl.dialects.builtin import DictionaryAttr, ModuleOp, StringAttr
from xdsl.ir import Attribute, Block, Operation, SSAValue

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
from dialects.errors import IrkitError
from dialects.graph.base import array_of
from dialects.loop import FuncOp as LoopFunc
from dialects.types import RefType, np_dtype
from lowering.graph.scalars import signless
from lowering.loop.interpret import GARBAGE, run_function

Array = np.ndarray


def run_program(module: ModuleOp, arrays: Mapping[str, Array], symbols: Mapping[str, int]) -> list[Array]:
    """The results of the module's program, in order, for arrays by the names of its interface. Raises IrkitError."""
    program = next(op for op in module.ops if isinstance(op, ProgramOp))
    kernels = {op.sym_name.data: op for op in module.ops if isinstance(op, LoopFunc)}
    return _Machine(program, kernels, symbols).run(arrays)


@dataclass(frozen=True)
class _Place:
    """Where an array lies: in which memory, from which byte on."""

    memory: Array
    offset: int = 0


class _Machine:
    """The memory of a program and the place of every array in scope."""

    def __init__(self, program: ProgramOp, kernels: Mapping[str, LoopFunc], symbols: Mapping[str, int]):
        self.program, self.kernels, self.symbols = program, kernels, symbols
        self.arena = _garbage(program.arena_bytes.data.evaluate(symbols))
        self.prepared = _garbage(program.prepared_bytes.data.evaluate(symbols))
        self.places: dict[SSAValue, _Place] = {}

    def run(self, arrays: Mapping[str, Array]) -> list[Array]:
        outputs: list[tuple[_Place, SSAValue, str]] = []
        updated: list[tuple[int, tuple[_Place, SSAValue, str]]] = []
        for value, facts, entry in zip(
            self.program.block.args, self.program.signature, self.program.interface, strict=True
        ):
            name, dtype = _text(entry, "name"), _text(entry, "dtype")
            if facts.mode.data == "out":
                place = _Place(_garbage(self._type(value).bytes().evaluate(self.symbols)))
                outputs.append((place, value, dtype))
            else:
                place = _Place(np.frombuffer(bytearray(arrays[name].tobytes()), np.uint8))
                if result := _text(entry, "updated"):
                    updated.append((int(result), (place, value, dtype)))
            self.places[value] = place
        for result, output in sorted(updated, key=lambda item: item[0]):
            outputs.insert(result, output)
        self._block(self.program.block)
        return [self._result(*output) for output in outputs]

    def _result(self, place: _Place, value: SSAValue, dtype: str) -> Array:
        """A result in the dtype of the interface; complex numbers lie as pairs."""
        shape = [d.evaluate(self.symbols) for d in self._type(value).shape.data]
        kind = np_dtype(dtype)
        return place.memory.view(kind).reshape(shape[:-1] if kind.kind == "c" else shape)

    def _block(self, block: Block) -> bool:
        """Runs the ops; false where one of them leaves the loop around."""
        for op in block.ops:
            match op:
                case ViewOp():
                    memory = self.arena if op.prepared is None else self.prepared
                    self.places[op.result] = _Place(memory, op.offset.data.evaluate(self.symbols))
                case ReshapeOp():
                    self.places[op.result] = self.places[op.source]
                case ConstantOp():
                    data = signless(array_of(op.value))
                    self.places[op.result] = _Place(np.frombuffer(bytearray(data.tobytes()), np.uint8))
                case BarrierOp():
                    pass
                case CopyOp():
                    self.array(op.target)[...] = self.array(op.source).reshape(self.array(op.target).shape)
                case CallOp():
                    self._call(op)
                case OnceOp():
                    self._block(op.block)
                    self.arena[:] = GARBAGE  # a run finds what was prepared, and nothing else
                case ForOp():
                    self._loop(op)
                case LeaveOp():
                    if not self.array(op.condition):
                        return False
                case _:
                    raise IrkitError(f"'{op.name}' does not run at the buffer level", op)
        return True

    def _call(self, op: CallOp) -> None:
        name = op.callee.root_reference.data
        if (kernel := self.kernels.get(name)) is None:
            raise IrkitError(f"there is no kernel @{name}", op)
        if (
            op.team is not None
        ):  # arrays of the team: the kernel's interpreter has its own, the program's must be free
            start = op.team.data.evaluate(self.symbols)
            size = sum(a.ref_type.bytes().evaluate(self.symbols) for a in kernel.allocs("team"))
            self.arena[start : start + size] = GARBAGE
        run_function(kernel, [self.array(v) for v in op.args_], self.symbols)

    def _loop(self, op: ForOp) -> None:
        lower, upper = (
            int(self.array(array)) if array is not None else dim.data.evaluate(self.symbols)
            for array, dim in ((op.lower_ref, op.lower), (op.upper_ref, op.upper))
        )
        carries = op.carries()
        now = [(self.places[c.init], None if c.spare is None else self.places[c.spare]) for c in carries]
        for step in range(lower, upper):
            counter = np.array([step], np.int64).view(np.uint8)
            self.places[op.block.args[0]] = _Place(counter)
            for carry, (current, spare) in zip(carries, now, strict=True):
                self.places[carry.current] = current
                if carry.following is not None and spare is not None:
                    self.places[carry.following] = spare
            if not self._block(op.block):
                break
            now = [(a, b) if b is None else (b, a) for a, b in now]
        for result, (place, _) in zip(op.results, now, strict=True):
            self.places[result] = place

    def array(self, value: SSAValue) -> Array:
        """The elements of an array in scope, in its memory. Raises IrkitError for one that leaves its memory."""
        type_, place = self._type(value), self.places[value]
        dtype = np_dtype(type_.element_type)
        shape = [d.evaluate(self.symbols) for d in type_.shape.data]
        stop = place.offset + int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        if place.offset < 0 or stop > place.memory.size:
            owner = value.owner if isinstance(value.owner, Operation) else self.program
            raise IrkitError(
                "an array lies outside its memory",
                owner,
                found=f"bytes {place.offset} to {stop}",
                expected=f"at most {place.memory.size} bytes",
            )
        return place.memory[place.offset : stop].view(dtype).reshape(shape)

    @staticmethod
    def _type(value: SSAValue) -> RefType:
        assert isinstance(value.type, RefType)
        return value.type


def _garbage(size: int) -> Array:
    return np.full(size, GARBAGE, np.uint8)


def _text(entry: Attribute, key: str) -> str:
    found = entry.data.get(key) if isinstance(entry, DictionaryAttr) else None
    return found.data if isinstance(found, StringAttr) else ""
