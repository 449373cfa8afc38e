"""The host program as a func.func: one arena, views of it, calls of kernels in order, those first that run once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from xdsl.dialects import arith, memref, scf
from xdsl.dialects.builtin import (
    IntegerAttr,
    MemRefType,
    StringAttr,
    UnitAttr,
    i1,
    i8,
    i64,
)
from xdsl.dialects.func import CallOp, FuncOp, ReturnOp
from xdsl.ir import Block, Operation, Region, SSAValue

from dialects import buffer, loop
from dialects.dims import Dim
from dialects.errors import IrkitError
from dialects.kernel import CompareOp
from dialects.types import RefType
from lowering.c.names import kernel_name
from lowering.loop.memory import ALIGNMENT
from lowering.upstream.build import INDEX, Build
from lowering.upstream.constants import constant_data
from lowering.upstream.dims import index_of
from lowering.upstream.types import memref_type, sizes


def export_program(
    program: buffer.ProgramOp, kernels: Mapping[str, loop.FuncOp]
) -> tuple[FuncOp, list[memref.GlobalOp]]:
    """The function of the host program, and the constants that it reads: its symbols as index arguments, then its arrays.

    It carries `llvm.emit_c_interface`, so that C can call what MLIR makes of it. Raises IrkitError.
    """
    return _Program(program, kernels).run()


class _Program:
    """Walks the tasks once. `values` holds the memref of each array."""

    def __init__(self, program: buffer.ProgramOp, kernels: Mapping[str, loop.FuncOp]):
        self.program = program
        self.kernels = kernels
        self.globals: list[memref.GlobalOp] = []
        symbols = [name for name, _, _ in program.symbols.data]
        types = [memref_type(_ref(a)) for a in program.block.args]
        self.entry = Block(arg_types=[*[INDEX] * len(symbols), *types])
        self.build = Build(self.entry, program.location)
        self.build.ranges.update(program.symbols.ranges())
        self.values: dict[SSAValue, SSAValue] = {}
        self.arena: SSAValue | None = None
        self.prepared: SSAValue | None = None
        for name, value in zip(symbols, self.entry.args, strict=False):
            value.name_hint = name
            self.build.names[name] = value
        for old, new in zip(program.block.args, self.entry.args[len(symbols) :], strict=True):
            new.name_hint = old.name_hint
            self.values[old] = new
        self.rules: dict[type[Operation], Callable[..., None]] = {
            buffer.ViewOp: self._view,
            buffer.ReshapeOp: self._reshape,
            buffer.ConstantOp: self._constant,
            buffer.CallOp: self._call,
            buffer.CopyOp: self._copy,
            buffer.ForOp: self._for,
            buffer.OnceOp: lambda op: self._block(op.block),
            buffer.BarrierOp: lambda op: None,
            buffer.LeaveOp: lambda op: None,
        }

    def run(self) -> tuple[FuncOp, list[memref.GlobalOp]]:
        build, program = self.build, self.program
        views = [op for op in program.body.walk() if isinstance(op, buffer.ViewOp)]
        if any(op.prepared is None for op in views):
            self.arena = self._memory(program.arena_bytes.data, "arena")
        if any(op.prepared is not None for op in views):
            self.prepared = self._memory(program.prepared_bytes.data, "prepared")
        self._block(program.block)
        build.location = program.location
        for memory in (self.arena, self.prepared):
            if memory is not None:
                build.do(memref.DeallocOp.get(memory))
        build.do(ReturnOp())
        out = FuncOp(program.sym_name.data, ([a.type for a in self.entry.args], []), Region(self.entry))
        out.attributes["llvm.emit_c_interface"] = UnitAttr()
        out.location = program.location
        return out, self.globals

    def _memory(self, size: Dim, name: str) -> SSAValue:
        dynamic = [index_of(self.build, size)] if size.value is None else []
        alloc = memref.AllocOp(dynamic, [], MemRefType(i8, sizes([size])), IntegerAttr(ALIGNMENT, 64))
        made = self.build.add(alloc)
        made.name_hint = name
        return made

    def _block(self, block: Block) -> None:
        for op in block.ops:
            self.build.location = op.location
            rule = self.rules.get(type(op))
            if rule is None:
                raise IrkitError(
                    f"'{op.name}' has no upstream form", op, expected="an op of the buffer level"
                )
            rule(op)

    # -- arrays ---------------------------------------------------------------------------------------------------

    def _view(self, op: buffer.ViewOp) -> None:
        memory = self.arena if op.prepared is None else self.prepared
        assert memory is not None
        type_ = _ref(op.result)
        dynamic = [index_of(self.build, d) for d in type_.shape.data if d.value is None]
        view = memref.ViewOp(memory, index_of(self.build, op.offset.data), dynamic, memref_type(type_))
        self.values[op.result] = self.build.add(view)

    def _reshape(self, op: buffer.ReshapeOp) -> None:
        self.values[op.result] = self._as(self.values[op.source], _ref(op.source), _ref(op.result))

    def _as(self, value: SSAValue, old: RefType, new: RefType) -> SSAValue:
        """The same memory under other dims."""
        if (old.shape, old.strides) == (new.shape, new.strides):
            return value

        def parts(dims: Sequence[Dim]) -> list[SSAValue | int]:
            return [index_of(self.build, d) if (v := d.value) is None else v for d in dims]

        cast = memref.ReinterpretCastOp.from_dynamic(
            value, [0], parts(new.shape.data), parts(new.strides.data), memref_type(new)
        )
        return self.build.add(cast)

    def _constant(self, op: buffer.ConstantOp) -> None:
        type_ = memref_type(_ref(op.result))
        name = f"{self.program.sym_name.data}_constant_{len(self.globals)}"
        data = constant_data(op.value, _ref(op.result))
        held = memref.GlobalOp.get(StringAttr(name), type_, data, constant=UnitAttr(), alignment=ALIGNMENT)
        held.location = op.location
        self.globals.append(held)
        self.values[op.result] = self.build.add(memref.GetGlobalOp(name, type_))

    # -- tasks ----------------------------------------------------------------------------------------------------

    def _call(self, op: buffer.CallOp) -> None:
        name = op.callee.root_reference.data
        if name not in self.kernels:
            raise IrkitError(f"the program calls @{name}, which is not in the module", op)
        kernel = self.kernels[name]
        wanted = [_ref(a).element_type for a in kernel.block.args]
        if [_ref(v).element_type for v in op.args_] != wanted:
            raise IrkitError(
                f"the call does not fit the signature of kernel @{name}",
                op,
                found=f"{len(op.args_)} arrays",
                expected=f"arrays of {', '.join(map(str, wanted)) or 'nothing'}",
            )
        arrays = [
            self._as(self.values[v], _ref(v), _ref(arg))
            for v, arg in zip(op.args_, kernel.block.args, strict=True)
        ]
        symbols = [self.build.names[symbol] for symbol, _, _ in kernel.symbols.data]
        self.build.do(CallOp(kernel_name(name), [*symbols, *arrays], []))

    def _copy(self, op: buffer.CopyOp) -> None:
        source = self._as(self.values[op.source], _ref(op.source), _ref(op.target))
        self.build.do(memref.CopyOp(source, self.values[op.target]))

    # -- loops ----------------------------------------------------------------------------------------------------

    def _bound(self, array: SSAValue | None, dim: Dim) -> SSAValue:
        if array is None:
            return index_of(self.build, dim)
        held = self.build.add(memref.LoadOp.get(self.values[array], []))
        return self.build.add(arith.IndexCastOp(held, INDEX))

    def _for(self, op: buffer.ForOp) -> None:
        """Arrays that change places are carried by the loop; one that is updated in place is the same all along."""
        build = self.build
        bounds = (self._bound(op.lower_ref, op.lower.data), self._bound(op.upper_ref, op.upper.data))
        counter = build.head(memref.AllocaOp.get(i64, shape=[]))  # once, however often the loop itself is run
        self.values[op.block.args[0]] = counter
        inits: list[SSAValue] = []
        for carry in op.carries():
            self.values[carry.current] = self.values[carry.init]
            if carry.spare is not None:
                inits += [self.values[carry.init], self.values[carry.spare]]
        leave = next((o for o in op.block.ops if isinstance(o, buffer.LeaveOp)), None)
        nest = (
            self._while(op, leave, counter, bounds, inits)
            if leave
            else self._counted(op, counter, bounds, inits)
        )
        swapped = iter(nest[::2])
        for carry, result in zip(op.carries(), op.results, strict=True):
            held = self.values[carry.init] if carry.spare is None else next(swapped)
            self.values[result] = held

    def _bind(self, op: buffer.ForOp, arrays: Sequence[SSAValue]) -> None:
        given = iter(arrays)
        for carry in op.carries():
            if carry.following is not None:
                self.values[carry.current], self.values[carry.following] = next(given), next(given)

    def _round(
        self, op: buffer.ForOp, counter: SSAValue, position: SSAValue, arrays: Sequence[SSAValue]
    ) -> list[SSAValue]:
        """The body; gives the arrays in the order of the next round."""
        build = self.build
        self._bind(op, arrays)
        build.do(memref.StoreOp.get(build.add(arith.IndexCastOp(position, i64)), counter, []))
        self._block(op.block)
        build.location = op.location
        return [array for pair in zip(arrays[1::2], arrays[::2], strict=True) for array in pair]

    def _counted(
        self,
        op: buffer.ForOp,
        counter: SSAValue,
        bounds: tuple[SSAValue, SSAValue],
        inits: Sequence[SSAValue],
    ) -> Sequence[SSAValue]:
        build = self.build
        with build.loop((*bounds, 1), inits) as (nest, block):
            position, *arrays = block.args
            build.do(scf.YieldOp(*self._round(op, counter, position, arrays)))
        return nest.results

    def _while(
        self,
        op: buffer.ForOp,
        leave: buffer.LeaveOp,
        counter: SSAValue,
        bounds: tuple[SSAValue, SSAValue],
        inits: Sequence[SSAValue],
    ) -> Sequence[SSAValue]:
        """Goes on below the upper bound while the bool that the loop carries is true."""
        build = self.build
        lower, upper = bounds
        types = [INDEX, *(v.type for v in inits)]
        before, after = Block(arg_types=types), Block(arg_types=types)
        build.do(nest := scf.WhileOp([lower, *inits], types, Region(before), Region(after)))
        with build.inside(before):
            position, *arrays = before.args
            self._bind(op, arrays)
            below = build.add(arith.CmpiOp(position, upper, "slt"))
            build.do(scf.ConditionOp(self._goes_on(leave, below), *before.args))
        with build.inside(after):
            position, *arrays = after.args
            arrays = self._round(op, counter, position, arrays)
            build.do(scf.YieldOp(build.add(arith.AddiOp(position, build.index(1))), *arrays))
        return nest.results[1:]

    def _goes_on(self, leave: buffer.LeaveOp, below: SSAValue) -> SSAValue:
        build = self.build
        then, otherwise = Block(), Block()
        with build.inside(then):
            held = build.add(memref.LoadOp.get(self.values[leave.condition], []))
            build.do(scf.YieldOp(build.compare(CompareOp.INTEGER.index("ne"), held, build.number(0, i8))))
        with build.inside(otherwise):
            build.do(scf.YieldOp(below))
        return build.add(scf.IfOp(below, [i1], Region(then), Region(otherwise)))


def _ref(value: SSAValue) -> RefType:
    type_ = value.type
    assert isinstance(type_, RefType)
    return type_
