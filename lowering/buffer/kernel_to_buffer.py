"""kernel-to-buffer: the host function becomes a program on arrays, and every array gets its place."""

from __future__ import annotations

from collections.abc import Mapping

from xdsl.context import Context
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, ModuleOp, StringAttr, TensorType
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.passes import ModulePass

from dialects.buffer import CallOp, ConstantOp, CopyOp, ForOp, ProgramOp, ReshapeOp, ViewOp
from dialects.dims import Dim
from dialects.errors import IrkitError
from dialects.kernel import ArgAttr, DefOp, LaunchOp, arg
from dialects.loop import FuncOp as LoopFunc
from dialects.syntax import SymbolsAttr
from dialects.types import RefType, dtype_name
from lowering.buffer.liveness import Liveness, analyse_liveness
from lowering.buffer.planner import ALIGNMENT, Interval, plan
from lowering.buffer.storage import Array, Carried, Storage, argument_facts, assign_storage
from lowering.buffer.memory_tmp import kernel_memory

Ranges = Mapping[str, tuple[float, float]]
HOST_OPS = ("graph.for", "graph.constant", "graph.reshape", "graph.yield", "func.return", "kernel.launch")


class KernelToBuffer(ModulePass):
    """Turns each host function into a `buffer.program` with a memory plan.

    *Expects* `loop.func` kernels, and a `func.func` of one block that holds kernel.launch, graph.constant,
    graph.reshape and graph.for on tensors.

    *Does*, for each function:
    1. finds when each value is used last (`liveness`);
    2. decides which values share an array, and where a copy is needed (`storage`);
    3. gives every array of the arena an offset, at the greatest size that the symbols allow (`planner`);
    4. writes the program: views, calls, loops and copies in the order of the function.

    *Leaves* no `func.func` and no tensor; the program states arena, peak and bound. Barriers are still missing.
    """

    name = "kernel-to-buffer"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        kernels = {f.sym_name.data: f for f in op.ops if isinstance(f, LoopFunc)}
        for func in [f for f in op.ops if isinstance(f, FuncOp)]:
            check_host(func, op, kernels)
            program = lower_function(func, kernels)
            op.body.block.insert_op_before(program, func)
            func.detach()
            func.erase()


def lower_function(func: FuncOp, kernels: Mapping[str, LoopFunc]) -> ProgramOp:
    """The program of one host function."""
    live = analyse_liveness(func)
    storage = assign_storage(func, kernels, live)
    return _ProgramBuilder(func, kernels, live, storage).build()


def check_host(func: FuncOp, module: ModuleOp, kernels: Mapping[str, LoopFunc]) -> None:
    """Raises IrkitError for an op that a program cannot hold, or a launch that does not fit its kernel."""
    pending = {k.sym_name.data for k in module.ops if isinstance(k, DefOp)}
    for op in func.body.walk():
        if op.name not in HOST_OPS:
            raise IrkitError(
                f"'{op.name}' op in host function @{func.sym_name.data} is not part of a kernel",
                op,
                expected=f"one of {', '.join(HOST_OPS)}",
                hint="run graph-fuse and graph-outline first",
            )
        if not isinstance(op, LaunchOp):
            continue
        name = op.callee.root_reference.data
        if name not in kernels:
            hint = "run kernel-to-loop first" if name in pending else None
            raise IrkitError(
                f"kernel @{name} is not a loop.func", op, expected="a lowered kernel in the module", hint=hint
            )
        modes = [f.mode.data for f in kernels[name].signature.data]
        expected = ["in"] * len(op.inputs) + ["out"] * len(op.results)
        if modes != expected:
            raise IrkitError(
                f"the launch does not fit the signature of kernel @{name}",
                op,
                found=f"{len(op.inputs)} operands and {len(op.results)} results",
                expected=f"arguments ({', '.join(modes)})",
            )


class _ProgramBuilder:
    """Writes the program of a function whose storage has been decided."""

    def __init__(self, func: FuncOp, kernels: Mapping[str, LoopFunc], live: Liveness, storage: Storage):
        symbols = func.attributes.get("graph.symbols")
        self.symbols = symbols if isinstance(symbols, SymbolsAttr) else SymbolsAttr(())
        self.ranges: Ranges = self.symbols.ranges()
        self.func, self.kernels, self.live, self.storage = func, kernels, live, storage
        self.memory: dict[str, tuple[int, int]] = {}
        self.offsets: dict[Array, int] = {}
        self.team_offsets: dict[Operation, int] = {}
        self.known: list[dict[tuple[Array, RefType], SSAValue]] = [{}]
        self.block = Block()
        self.origin: Operation = func

    def build(self) -> ProgramOp:
        facts = self._place()
        signature, interface = self._arguments()
        program_block = self.block
        self._write_block(self.func.body.block)
        self._write_results()
        program = ProgramOp(
            self.func.sym_name.data, Region(program_block), signature, interface, self.symbols.data, **facts
        )
        program.location = self.func.location
        return program

    # -- places -----------------------------------------------------------------------------------------------

    def _place(self) -> dict[str, int]:
        """Plans the arena: the arrays for as long as they live, team arrays of kernels for the time of a call."""
        intervals = [Interval(a.begin, a.end + 1, self._most(a.type.bytes())) for a in self.storage.arena]
        launches: list[Operation] = []
        scratch = 0
        for op, time in self.live.begin.items():
            if isinstance(op, LaunchOp):
                own, team = self._memory_of(op.callee.root_reference.data)
                scratch = max(scratch, own)
                if team:
                    launches.append(op)
                    intervals.append(Interval(time, time + 1, team))
        placed = plan(intervals)
        arrays = len(self.storage.arena)
        self.offsets = dict(zip(self.storage.arena, placed.offsets[:arrays], strict=True))
        self.team_offsets = dict(zip(launches, placed.offsets[arrays:], strict=True))
        return {
            "arena_bytes": placed.peak_bytes,
            "scratch_bytes": scratch,
            "peak_bytes": placed.peak_bytes,
            "lower_bound_bytes": placed.lower_bound_bytes,
        }

    def _memory_of(self, kernel: str) -> tuple[int, int]:
        """Bytes of scratch for each thread, and of team arrays, that a kernel needs at most."""
        if kernel not in self.memory:
            scratch, team = (self._most(d) for d in kernel_memory(self.kernels[kernel]))
            self.memory[kernel] = (-(-scratch // ALIGNMENT) * ALIGNMENT, team)
        return self.memory[kernel]

    def _most(self, size: Dim) -> int:
        if (value := size.value) is not None:
            return value
        most = size.bounds(self.ranges)[1]
        if most == float("inf"):
            raise IrkitError(
                f"the size {size} of an array has no upper bound",
                self.func,
                expected="a range for each dim symbol",
                hint=f"state ranges for {', '.join(sorted(size.names()))}: `dim N = 8 in 1..64`",
            )
        return int(most)

    # -- arguments and results --------------------------------------------------------------------------------

    def _arguments(self) -> tuple[list[ArgAttr], list[Attribute]]:
        signature: list[ArgAttr] = []
        interface: list[Attribute] = []
        body = self.func.body.block
        for number, value in enumerate(body.args):
            facts = argument_facts(self.func, number)
            array = self.storage.arrays[value]
            name = _text(facts.get("graph.name")) or value.name_hint or f"arg{number}"
            self._bind_argument(array, name)
            signature.append(arg("inout" if array.written else "in"))
            interface.append(_describe(name, facts, _text(facts.get("graph.kind")) or "input", value.type))
        last = body.last_op
        assert last is not None
        results = self.func.res_attrs.data if self.func.res_attrs is not None else ()
        for number, (array, value) in enumerate(zip(self.storage.outputs, last.operands, strict=True)):
            facts = results[number].data if number < len(results) else {}
            name = _text(facts.get("graph.name")) or f"out{number}"
            self._bind_argument(array, name)
            signature.append(arg("out"))
            interface.append(_describe(name, facts, "output", value.type))
        return signature, interface

    def _bind_argument(self, array: Array, name: str) -> None:
        array.value = self.block.insert_arg(array.type, len(self.block.args))
        array.value.name_hint = name

    def _write_results(self) -> None:
        last = self.func.body.block.last_op
        assert last is not None
        self.origin = last
        for array, value in zip(self.storage.outputs, last.operands, strict=True):
            self._copy(value, array)

    # -- ops --------------------------------------------------------------------------------------------------

    def _write_block(self, block: Block) -> None:
        for op in block.ops:
            self.origin = op
            if isinstance(op, LaunchOp):
                arrays = [self._array_of(v) for v in (*op.inputs, *op.results)]
                team = self.team_offsets.get(op)
                self._add(
                    CallOp(op.callee.root_reference.data, arrays, None if team is None else Dim.of(team))
                )
            elif op in self.live.loops:
                self._write_loop(op)
            elif op.name == "graph.constant":
                array = self.storage.arrays[op.results[0]]
                constant = self._add(ConstantOp(_constant_value(op), array.type))
                constant.results[0].name_hint = op.results[0].name_hint
                array.value = constant.results[0]

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
        self._write_block(loop.body)
        self.origin = op
        for p in sorted(
            plans, key=lambda p: p.following is None
        ):  # what is overwritten in place is read before
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

    def _copy(self, value: SSAValue, target: Array) -> None:
        """Copies a value to where it must be, unless it is there."""
        if self.storage.arrays[self.live.root(value)].find() is not target.find():
            self._add(
                CopyOp(self._array_of(value), self._ref(target, self.storage.ref(value), value.name_hint))
            )

    def _array_of(self, value: SSAValue) -> SSAValue:
        return self._ref(self.storage.arrays[self.live.root(value)], self.storage.ref(value), value.name_hint)

    def _ref(self, array: Array, type_: RefType, hint: str | None) -> SSAValue:
        """An array as seen by the program, under a given type."""
        array = array.find()
        for scope in reversed(self.known):
            if (found := scope.get((array, type_))) is not None:
                return found
        if array.kind == "arena":
            made = self._add(ViewOp(self.offsets[array], type_)).results[0]
        else:
            assert array.value is not None
            if array.value.type == type_:
                return array.value
            made = self._add(ReshapeOp(array.value, type_)).results[0]
        made.name_hint = hint
        self.known[-1][array, type_] = made
        return made

    def _add(self, op: Operation) -> Operation:
        op.location = self.origin.location
        self.block.add_op(op)
        return op


def _constant_value(op: Operation) -> Attribute:
    value = op.properties.get("value") or op.attributes.get("value")
    assert value is not None, "graph.constant has a value"
    return value


def _text(attr: Attribute | None) -> str | None:
    return attr.data if isinstance(attr, StringAttr) else None


def _describe(name: str, facts: Mapping[str, Attribute], kind: str, type_: Attribute) -> DictionaryAttr:
    """What the C interface and the runtime know of an argument."""
    assert isinstance(type_, TensorType)
    entry: dict[str, Attribute] = {
        "name": StringAttr(name),
        "kind": StringAttr(kind),
        "dtype": StringAttr(dtype_name(type_.element_type)),
    }
    if (source := facts.get("graph.source")) is not None:
        entry["source"] = source
    return DictionaryAttr(entry)
