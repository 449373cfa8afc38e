"""Writes the `buffer.program` of a host function once arrays and places are decided."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
from xdsl.dialects.builtin import BytesAttr, DenseIntOrFPElementsAttr, DictionaryAttr, StringAttr, TensorType
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue

from dialects.buffer import CallOp, ConstantOp, CopyOp, ForOp, LeaveOp, OnceOp, ProgramOp, ReshapeOp, ViewOp
from dialects.dims import Dim
from dialects.errors import union_location
from dialects.graph import ConstantOp as GraphConstantOp, GraphOp
from dialects.graph.creation import constant_array
from dialects.kernel import ArgAttr, LaunchOp, arg
from dialects.loop import FuncOp as LoopFunc
from dialects.syntax import SymbolsAttr
from dialects.types import RefType, dtype_name, storage as storage_type
from lowering.buffer import remarks
from lowering.buffer.arrays import Array, ArrayTypes, Carried, Storage
from lowering.buffer.liveness import Liveness
from lowering.buffer.places import Places
from lowering.buffer.storage import argument_facts, result_facts
from lowering.kernel.once import runs_once

OpT = TypeVar("OpT", bound=Operation)


def write_program(
    func: FuncOp,
    kernels: Mapping[str, LoopFunc],
    live: Liveness,
    storage: Storage,
    places: Places,
    symbols: SymbolsAttr,
    type_of: ArrayTypes,
) -> ProgramOp:
    """The program: arguments, views, calls, loops and copies in the order of the function."""
    writer = _Writer(func, kernels, live, storage, places, type_of)
    signature, interface = writer.write_arguments()
    writer.write_once(func.body.block)
    writer.write_block(func.body.block)
    writer.write_results()
    program = ProgramOp(
        func.sym_name.data,
        Region(writer.block),
        signature,
        interface,
        symbols.data,
        arena_bytes=places.peak_bytes,
        scratch_bytes=places.scratch_bytes,
        peak_bytes=places.peak_bytes,
        lower_bound_bytes=places.lower_bound_bytes,
        prepared_bytes=places.prepared_bytes,
    )
    program.location = func.location
    return program


class _Writer:
    """Appends ops to a block; `known` are the arrays in scope, by loop nest."""

    def __init__(
        self,
        func: FuncOp,
        kernels: Mapping[str, LoopFunc],
        live: Liveness,
        storage: Storage,
        places: Places,
        type_of: ArrayTypes,
    ):
        self.kernels = kernels
        self.func, self.live, self.storage, self.places, self.type_of = func, live, storage, places, type_of
        self.known: list[dict[tuple[Array, RefType], SSAValue]] = [{}]
        self.block = Block()
        self.origin: Operation = func

    # -- arguments and results --------------------------------------------------------------------------------

    def write_arguments(self) -> tuple[list[ArgAttr], list[Attribute]]:
        signature: list[ArgAttr] = []
        interface: list[Attribute] = []
        body = self.func.body.block
        results = {arg: number for number, arg in self.storage.updated.items()}
        for number, value in enumerate(body.args):
            facts = argument_facts(self.func, number)
            array = self.storage.arrays[value]
            name = _text(facts.get("graph.name")) or value.name_hint or f"arg{number}"
            self._bind_argument(array, name)
            signature.append(arg("inout" if array.written else "in"))
            kind = _text(facts.get("graph.kind")) or "input"
            interface.append(_describe(name, facts, kind, value.type, results.get(value)))
        last = body.last_op
        assert last is not None
        for number, (array, value) in enumerate(zip(self.storage.outputs, last.operands, strict=True)):
            if number in self.storage.updated:
                continue
            facts = result_facts(self.func, number)
            name = _text(facts.get("graph.name")) or f"out{number}"
            self._bind_argument(array, name)
            signature.append(arg("out"))
            interface.append(_describe(name, facts, "output", value.type))
        return signature, interface

    def _bind_argument(self, array: Array, name: str) -> None:
        value = array.value = self.block.insert_arg(array.type, len(self.block.args))
        value.name_hint = name

    def write_results(self) -> None:
        """Copies what does not lie where it must: results, then what is set aside, then what arguments hold from now on."""
        last = self.func.body.block.last_op
        assert last is not None
        self.origin = last
        updated, aside = self.storage.updated, self.storage.aside
        for number, array in aside.items():
            self._copy(last.operands[number], array)
        for number in sorted(range(len(last.operands)), key=lambda n: n in updated):
            value, array = last.operands[number], self.storage.outputs[number]
            if number in aside:
                type_ = self.type_of(value)
                self._add(CopyOp(self._ref(aside[number], type_, None), self._ref(array, type_, None)))
            elif self._copy(value, array):
                made = self.storage.arrays[self.live.root(value)].find()
                remarks.copied_out(last, value, made, made in self.storage.outputs)

    # -- ops --------------------------------------------------------------------------------------------------

    def write_once(self, block: Block) -> None:
        """The launches that run once, behind the constants and views of them all: what is in a region is seen there alone."""
        launches = [op for op in block.ops if runs_once(op)]
        for op in launches:
            self.origin = op
            for value in (*op.operands, *op.results):
                maker = self.live.root(value).owner
                if isinstance(maker, GraphConstantOp):
                    self._write_constant(maker)
                self._array_of(value)
        if launches:
            outside, self.block = self.block, Block()
            self.known.append({})
            for op in launches:
                self.origin = op
                self._write_launch(op)  # pyright: ignore[reportArgumentType]
            self.known.pop()
            body, self.block = self.block, outside
            self.origin = launches[0]
            self._add(OnceOp(Region(body))).location = union_location(launches)

    def write_block(self, block: Block) -> None:
        for op in block.ops:
            self.origin = op
            if isinstance(op, LaunchOp):
                if not runs_once(op):
                    self._write_launch(op)
            elif op in self.live.loops:
                self._write_loop(op)
            elif isinstance(op, GraphConstantOp):
                self._write_constant(op)

    def _write_launch(self, op: LaunchOp) -> None:
        self._begin_with_operands(op)
        arrays = [self._array_of(v) for v in (*op.inputs, *op.results)]
        team = self.places.team.get(op)
        self._add(CallOp(op.callee.root_reference.data, arrays, None if team is None else Dim.of(team)))

    def _write_constant(self, op: GraphConstantOp) -> None:
        array = self.storage.arrays[op.results[0]]
        if array.value is None:
            constant = self._add(ConstantOp(_constant_value(op), array.type))
            constant.results[0].name_hint = op.results[0].name_hint
            array.value = constant.results[0]

    def _begin_with_operands(self, op: LaunchOp) -> None:
        """Copies what an `inout` result begins with, where it does not lie in the operand's memory."""
        facts = self.kernels[op.callee.root_reference.data].signature.data[len(op.inputs) :]
        for result, fact in zip(op.results, facts, strict=True):
            if fact.mode.data == "inout" and fact.alias_of is not None:
                self._copy(op.inputs[fact.alias_of], self.storage.arrays[self.live.root(result)])

    def _write_loop(self, op: Operation) -> None:
        loop, plans = self.live.loops[op], self.storage.loops[op]
        inits = [self._enter(loop.inits[p.number], p) for p in plans]
        spares = [None if p.spare is None else self._ref(p.spare, p.type, None) for p in plans]
        lower, upper = (self._array_of(b) if isinstance(b, SSAValue) else b for b in (loop.lower, loop.upper))
        outside, self.block = self.block, Block(arg_types=[self.storage.arrays[loop.induction].type])
        self.known.append({})
        self.storage.arrays[loop.induction].value = self.block.args[0]
        self.block.args[0].name_hint = loop.induction.name_hint
        for p in plans:
            self._bind_carried(p, loop.carried[p.number].name_hint)
        if loop.conditional:
            self.origin = op
            self._add(LeaveOp(self._array_of(loop.carried[0])))
        self.write_block(loop.body)
        self.origin = op
        for p in sorted(plans, key=lambda p: p.following is None):  # what is overwritten is read first
            self._copy(loop.yielded[p.number], p.target)
        body, self.block = self.block, outside
        self.known.pop()
        written = self._add(ForOp(lower, upper, inits, spares, Region(body)))
        for p, result in zip(plans, written.results, strict=True):
            result.name_hint = op.results[p.number].name_hint
            left = p.result.find()
            self.known[-1][left, p.type] = result
            if left.kind == "either":
                left.value = result

    def _enter(self, init: SSAValue, carried: Carried) -> SSAValue:
        """The array that holds a carried value first."""
        target = self._ref(carried.array, carried.type, None)
        if carried.copies_init:
            self._add(CopyOp(self._array_of(init), target))
        return target

    def _bind_carried(self, carried: Carried, hint: str | None) -> None:
        type_ = carried.type
        arrays = [carried.current] + ([carried.following] if carried.following is not None else [])
        for array, name in zip(arrays, (hint, f"{hint}_next" if hint else None), strict=False):
            value = self.block.insert_arg(type_, len(self.block.args))
            value.name_hint = name
            if array.kind == "loop":
                array.value = value
            self.known[-1][array.find(), type_] = value

    def _copy(self, value: SSAValue, target: Array) -> bool:
        """Copies a value to where it must be, unless it is there; returns whether it did."""
        if self.storage.arrays[self.live.root(value)].find() is target.find():
            return False
        self._add(CopyOp(self._array_of(value), self._ref(target, self.type_of(value), value.name_hint)))
        return True

    def _array_of(self, value: SSAValue) -> SSAValue:
        return self._ref(self.storage.arrays[self.live.root(value)], self.type_of(value), value.name_hint)

    def _ref(self, array: Array, type_: RefType, hint: str | None) -> SSAValue:
        """An array as seen by the program, under a given type."""
        array = array.find()
        for scope in reversed(self.known):
            if (found := scope.get((array, type_))) is not None:
                return found
        if array.kind in ("arena", "prepared"):
            made = self._add(ViewOp(self.places.arrays[array], type_, array.kind == "prepared")).results[0]
        else:
            assert array.value is not None
            if array.value.type == type_:
                return array.value
            made = self._add(ReshapeOp(array.value, type_)).results[0]
        made.name_hint = hint
        self.known[-1][array, type_] = made
        return made

    def _add(self, op: OpT) -> OpT:
        op.location = self.origin.location
        self.block.add_op(op)
        return op


def _constant_value(op: GraphOp) -> Attribute:
    """The elements as bytes of a dense attribute; a true bool is all ones there."""
    type_ = op.outputs[0].type
    assert isinstance(type_, TensorType)
    array = constant_array(op.values(), type_)
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * 255
    dense = TensorType(storage_type(type_.element_type), type_.get_shape())
    return DenseIntOrFPElementsAttr(dense, BytesAttr(np.ascontiguousarray(array).tobytes()))  # pyright: ignore


def _text(attr: Attribute | None) -> str | None:
    return attr.data if isinstance(attr, StringAttr) else None


def _describe(
    name: str, facts: Mapping[str, Attribute], kind: str, type_: Attribute, result: int | None = None
) -> DictionaryAttr:
    """What the C interface and the runtime know of an argument; `result` is the number of the one that updates it."""
    assert isinstance(type_, TensorType)
    entry: dict[str, Attribute] = {
        "name": StringAttr(name),
        "kind": StringAttr(kind),
        "dtype": facts.get("graph.dtype") or StringAttr(dtype_name(type_.element_type)),
    }
    if (source := facts.get("graph.source")) is not None:
        entry["source"] = source
    if (quantised := facts.get("graph.quantised")) is not None:
        entry["quantised"] = quantised
    if result is not None:
        entry["updated"] = StringAttr(str(result))
    return DictionaryAttr(entry)
