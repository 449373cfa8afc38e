"""A nest of the loop level as a func.func over memrefs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from xdsl.dialects import arith, memref, scf
from xdsl.dialects.builtin import IntegerAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue

from dialects import loop
from dialects.errors import IrkitError
from dialects.kernel import ExternOp
from dialects.loop_roles import GPU_ROLES
from dialects.types import RefType
from lowering.c.names import kernel_name
from lowering.loop.memory import ALIGNMENT
from lowering.upstream.accesses import load, prefetch, store
from lowering.upstream.build import INDEX, Build
from lowering.upstream.dims import all_positive, index_of
from lowering.upstream.private import outermost_parallel, private_arrays
from lowering.upstream.scalars import scalar
from lowering.upstream.types import memref_type
from lowering.upstream.vectors import broadcast, contract, fold, index


def export_kernel(func: loop.FuncOp) -> FuncOp:
    """The function of a kernel: its symbols as index arguments, then its arrays. Raises IrkitError."""
    return _Kernel(func).run()


class _Kernel:
    """Walks a nest once. `values` holds what stands for each value of the nest."""

    def __init__(self, func: loop.FuncOp):
        self.func = func
        symbols = [name for name, _, _ in func.symbols.data]
        types = [_memref(a) for a in func.block.args]
        self.entry = Block(arg_types=[*[INDEX] * len(symbols), *types])
        self.build = Build(self.entry, func.location)
        self.build.ranges.update(func.symbols.ranges())
        self.values: dict[SSAValue, SSAValue] = {}
        self.private = private_arrays(func)
        for name, value in zip(symbols, self.entry.args, strict=False):
            value.name_hint = name
            self.build.names[name] = value
        for old, new in zip(func.block.args, self.entry.args[len(symbols) :], strict=True):
            new.name_hint = old.name_hint
            self.values[old] = new
        self.rules: dict[type[Operation], Callable[..., None]] = {
            loop.ForOp: self._for,
            loop.IfOp: self._if,
            loop.LoadOp: self._load,
            loop.StoreOp: self._store,
            loop.PrefetchOp: self._prefetch,
            loop.AllocOp: lambda op: None,
            loop.BarrierOp: self._barrier,
            loop.FoldOp: self._fold,
            loop.YieldOp: lambda op: None,
            loop.ContractOp: lambda op: self._set(op, contract(self.build, *self._args(op))),
            loop.BroadcastOp: lambda op: self._set(op, broadcast(self.build, op, *self._args(op))),
            loop.IndexOp: lambda op: self._set(op, index(self.build, op)),
            arith.ConstantOp: lambda op: self._set(op, self.build.constant(op)),
            ExternOp: _refuse_extern,
        }

    def run(self) -> FuncOp:
        with self._arrays(None):
            self._block(self.func.block)
        self.build.location = self.func.location
        self.build.do(ReturnOp())
        types = [a.type for a in self.entry.args]
        out = FuncOp(kernel_name(self.func.sym_name.data), (types, []), Region(self.entry))
        out.location = self.func.location
        return out

    def _args(self, op: Operation) -> list[SSAValue]:
        return [self.values[v] for v in op.operands]

    def _set(self, op: Operation, value: SSAValue) -> None:
        self.values[op.results[0]] = value

    def _block(self, block: Block) -> None:
        for op in block.ops:
            self.build.location = op.location
            rule = self.rules.get(type(op))
            if rule is not None:
                rule(op)
            else:
                self._set(op, scalar(self.build, op, self._args(op)))

    # -- control --------------------------------------------------------------------------------------------------

    def _for(self, op: loop.ForOp) -> None:
        if op.role.data in GPU_ROLES:
            raise IrkitError(
                f"a {op.role.data} loop has no upstream form",
                op,
                expected="kernels for a CPU",
                hint="--emit=cuda prints what is mapped to a GPU; leave out loop-map-gpu, or the CUDA target",
            )
        build = self.build
        lower, upper, step = (index_of(build, d) for d in (op.lower, op.upper, op.step))
        low, high = op.lower.bounds(build.ranges)[0], op.upper.bounds(build.ranges)[1] - 1
        build.ranges[op.variable] = (low, max(low, high))
        inits = [self.values[v] for v in op.inits]
        body = Block(arg_types=[INDEX, *(v.type for v in inits)])
        splits = (
            op.role.data == "parallel" and outermost_parallel(op) is None and op not in self.private.serial
        )
        if splits and not inits:
            nest: Operation = scf.ParallelOp([lower], [upper], [step], Region(body))
        else:
            nest = scf.ForOp(lower, upper, step, inits, body)
        build.do(nest)
        with build.inside(body):
            body.args[0].name_hint = op.variable
            build.names[op.variable] = body.args[0]
            self.values.update(zip(op.block.args, body.args[1:], strict=True))
            with self._arrays(op):
                self._block(op.block)
            build.location = op.location
            last = op.block.last_op
            yielded = [self.values[v] for v in last.operands] if isinstance(last, loop.YieldOp) else []
            build.do(scf.ReduceOp() if isinstance(nest, scf.ParallelOp) else scf.YieldOp(*yielded))
        self.values.update(zip(op.results, nest.results, strict=True))
        del build.names[op.variable], build.ranges[op.variable]

    def _if(self, op: loop.IfOp) -> None:
        build = self.build
        condition = all_positive(build, op.conditions.data)
        has_else = op.otherwise.block.first_op is not None
        blocks = [Block() for _ in range(1 + has_else)]
        otherwise = Region(blocks[1]) if has_else else None
        build.do(scf.IfOp(condition, [], Region(blocks[0]), otherwise))
        for target, region in zip(blocks, (op.then, op.otherwise), strict=False):
            with build.inside(target):
                self._block(region.block)
                build.location = op.location
                build.do(scf.YieldOp())

    def _barrier(self, op: loop.BarrierOp) -> None:
        """The end of an scf.parallel is one; between serial ops there is nothing to wait for."""
        if outermost_parallel(op) is not None:
            raise IrkitError(
                "a barrier inside a parallel loop has no upstream form",
                op,
                expected="barriers between parallel loops",
                hint="split the loop where its threads wait",
            )

    # -- memory and values ----------------------------------------------------------------------------------------

    @contextmanager
    def _arrays(self, home: loop.ForOp | None) -> Iterator[None]:
        """The arrays of a loop's body, or of the function: made here, and freed in the end."""
        allocs = self.private.inside.get(home, ())
        for op in allocs:
            self.build.location = op.location
            dynamic = [index_of(self.build, d) for d in op.ref_type.shape.data if d.value is None]
            array = memref.AllocOp(dynamic, [], memref_type(op.ref_type), IntegerAttr(ALIGNMENT, 64))
            self._set(op, self.build.add(array))
        yield
        for op in allocs:
            self.build.location = op.location
            self.build.do(memref.DeallocOp.get(self.values[op.result]))

    def _load(self, op: loop.LoadOp) -> None:
        array, *indices = self._args(op)
        self._set(op, load(self.build, op, array, indices))

    def _store(self, op: loop.StoreOp) -> None:
        value, array, *indices = self._args(op)
        store(self.build, op, value, array, indices)

    def _prefetch(self, op: loop.PrefetchOp) -> None:
        array, *indices = self._args(op)
        prefetch(self.build, op, array, indices)

    def _fold(self, op: loop.FoldOp) -> None:
        self.values.update(zip(op.results, fold(self.build, op, self._args(op)), strict=True))


def _memref(value: SSAValue) -> Attribute:
    type_ = value.type
    assert isinstance(type_, RefType)
    return memref_type(type_)


def _refuse_extern(op: ExternOp) -> None:
    raise IrkitError(
        f"'{op.callee.data}' runs by C text, which has no upstream form",
        op,
        expected="a kernel of irkit's own ops",
        hint="ask for --emit=c, or leave the op out of what is exported",
    )
