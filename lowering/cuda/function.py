"""CUDA text of one loop.func that is mapped to blocks and threads: a `__global__` function.

The C99 emitter with parts overridden: a vector is an array of numbers that the compiler keeps in registers, an access whose
lanes lie side by side moves as many bytes at once as it can be proved to be aligned to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import gcd

from xdsl.ir import Operation

from dialects import loop
from dialects.dims import ONE, ZERO, Dim, DimAttr, DimsAttr
from dialects.errors import IrkitError
from dialects.graph.kernels import Kernel
from dialects.kernel import ExternOp
from dialects.types import RefType, element_bytes
from lowering.c.dims import c_factor
from lowering.c.names import c_local, kernel_name
from lowering.c.types import Vector, c_type
from lowering.cuda.matrix import MatrixEmitter
from lowering.kernel.extern import implementation
from lowering.loop.gpu.aligned import divisor, offset
from lowering.loop.memory import alloc_offsets, kernel_memory, scratch_memory
from lowering.target import Gpu

SHARED_ALIGN = 16
"""Bytes at whose multiples shared arrays begin."""

MOST = 1 << 30
"""Places up to here, and sums of a few of them, are counted by an int."""

WORDS = frozenset(
    ["threadIdx", "blockIdx", "blockDim", "gridDim", "warpSize", "stream", "blocks", "memory", "throw"]
)
"""What CUDA and the emitted launch functions give a meaning, beside the words that C and C++ do."""


@dataclass(frozen=True)
class Launch:
    """How a kernel is launched: a grid of blocks, the threads of each, the shared memory that they have (bytes); and the bytes
    of memory that it is given beside its arguments, where it needs any."""

    kernel: str
    symbols: tuple[str, ...]
    blocks: Dim
    threads: int
    shared: int
    memory: Dim = ZERO


def launch_of(func: loop.FuncOp) -> Launch:
    """The launch of a mapped function. Raises IrkitError where it is not mapped."""
    symbols = tuple(n for n, _, _ in func.symbols.data)
    name = kernel_name(func.sym_name.data)
    nests = [op for op in func.block.ops if isinstance(op, loop.ForOp)]
    if not nests:
        return Launch(name, symbols, ZERO, 1, 0)
    threads = [op for op in nests[0].block.ops if isinstance(op, loop.ForOp) and op.role.data == "thread"]
    if len(nests) > 1 or nests[0].role.data != "block" or len(threads) != 1:
        raise IrkitError(
            f"@{func.sym_name.data} is not mapped to blocks and threads",
            func,
            expected="one block loop around one thread loop",
            hint="run loop-map-gpu first",
        )
    shared = max((end for _, end in shared_places(func).values()), default=0)
    memory = kernel_memory(func)[1]
    return Launch(name, symbols, nests[0].upper, threads[0].upper.value or 1, shared, memory)


def shared_places(func: loop.FuncOp) -> dict[loop.AllocOp, tuple[int, int]]:
    """Where each shared array of a block begins and ends, in bytes."""
    places: dict[loop.AllocOp, tuple[int, int]] = {}
    end = 0
    for array in func.allocs("shared"):
        start = -(-end // SHARED_ALIGN) * SHARED_ALIGN
        end = start + _elements(array.ref_type) * element_bytes(array.ref_type.element_type)
        places[array] = start, end
    return places


def _elements(type_: RefType) -> int:
    """From the first element of an array to one past its last."""
    places = zip(type_.shape.data, type_.strides.data, strict=True)
    last = sum(((size.value or 1) - 1) * (stride.value or 0) for size, stride in places)
    return last + 1


class CudaEmitter(MatrixEmitter):
    """The emitter for targets with blocks and threads."""

    LINKAGE = 'extern "C"'
    UNROLL = UNROLL_FOLD = "IRK_UNROLL "
    RESTRICT = "__restrict__"

    def __init__(self, func: loop.FuncOp, gpu: Gpu, source_line: Callable[[str, int], str | None]):
        super().__init__(func, gpu.access, source_line)
        self.gpu = gpu
        self.launch = launch_of(func)
        self.is_large = self.launch.shared > gpu.shared
        self.places = shared_places(func)
        self.INDEX = "int" if _is_small(func, self.ranges) else "int64_t"
        self.multiples: dict[str, int] = {}

    def local(self, name: str) -> str:
        return f"{name}_" if name.rstrip("_") in WORDS else c_local(name)

    # -- the function -----------------------------------------------------------------------------------------

    def _head(self) -> list[str]:
        launch = self.launch
        name = launch.kernel
        pad = ",\n" + " " * 8
        shape = f"// {self.dim(launch.blocks)} blocks of {launch.threads} threads, {launch.shared} bytes of shared memory"
        params = pad.join(self._params())
        start = f"{self.LINKAGE} __global__ void __launch_bounds__({launch.threads}) {name}(\n{' ' * 8}{params}) {{"
        unused = [
            *(self.variables[s] for s in launch.symbols),
            *(self.names[a] for a in self.func.block.args if a.first_use is None),
        ]
        return [*self._source(), shape, start, *(f"  (void){name};" for name in unused)]

    def _params(self) -> list[str]:
        return [*super()._params(), *(["char *memory"] if self.launch.memory != ZERO else [])]

    def _allocations(self) -> None:
        """Arrays stand where they are made; those of a block that are large together are parts of one."""
        if self.is_large:
            self.line(f"IRK_SHARED({self.launch.shared})")

    def _op(self, op: Operation) -> None:
        match op:
            case loop.AllocOp():
                self._alloc(op)
            case loop.BarrierOp():
                self.line("__syncthreads();")
            case loop.FoldThreadsOp():
                self._fold_threads(op)
            case _ if self.matrix_op(op):
                pass
            case _:
                super()._op(op)

    def _alloc(self, op: loop.AllocOp) -> None:
        """An array of the block, of the thread, or in memory: those of all threads first, then those of each."""
        type_, space = op.ref_type, op.ref_type.space.data
        name, element = self.new(op.result), c_type(type_.element_type)
        if space == "shared" and self.is_large:
            self.line(f"{element} *const {name} = ({element} *)(irk_shared + {self.places[op][0]});")
            return
        if space in ("shared", "stack"):
            shared = "__shared__ " if space == "shared" else ""
            self.line(f"{shared}__align__(16) {element} {name}[{_elements(type_)}];")
            return
        offset = next(offset for alloc, offset in alloc_offsets(self.func) if alloc is op)
        place = self.dim(offset)
        if space == "scratch":
            each, team = scratch_memory(self.func)
            number = "(int64_t)(blockIdx.x * blockDim.x + threadIdx.x)"
            place = f"{self.dim(team + offset)} + {number} * {c_factor(each, self.ranges, self.variables)}"
        self.line(f"{element} *const __restrict__ {name} = ({element} *)(memory + {place});")

    # -- kernels written by hand ----------------------------------------------------------------------------------

    def by_hand(self, op: ExternOp) -> Kernel:
        found = implementation(op, "cuda")
        if found.target != "cuda":  # the thread of a team that is the whole grid
            self.line("  const int tid = (int)(blockIdx.x * blockDim.x + threadIdx.x);")
            self.line("  const int nthreads = (int)(gridDim.x * blockDim.x);")
        return found

    # -- loops ------------------------------------------------------------------------------------------------

    def _for(self, op: loop.ForOp) -> None:
        self.multiples[op.variable] = divisor(op.lower, self.multiples)
        if op.upper - op.lower != ONE:
            step = divisor(op.step, self.multiples)
            self.multiples[op.variable] = gcd(self.multiples[op.variable], step)
        if op.role.data not in ("block", "thread"):
            if op.role.data == "parallel":
                raise IrkitError("a parallel loop has no CUDA form", op, hint="run loop-map-gpu first")
            super()._for(op)
            return
        name = self.variables[op.variable] = self.local(op.variable)
        self.ranges[op.variable] = (0, max(0, op.upper.bounds(self.ranges)[1] - 1))
        source = "blockIdx.x" if op.role.data == "block" else "threadIdx.x"
        self.line(f"const {self.INDEX} {name} = {source};")
        if not _is_named(op):
            self.line(f"(void){name};")
        self._block(op.block)

    # -- memory -----------------------------------------------------------------------------------------------

    def declare(self, value, name=None):  # pyright: ignore
        layout = self.layout(value.type)
        name = name or self.new(value)
        self.line(
            f"__align__({self._align(layout)}) {layout.name} {name}{layout.dims if layout.count > 1 else ''};"
        )
        return name, layout

    def _align(self, layout: Vector) -> int:
        """The bytes at once that a variable's last dim may be moved in."""
        size = layout.parts * element_bytes(layout.element)
        return min(self.gpu.access, size & -size)

    def _all_lanes(self, op: loop.LoadOp | loop.StoreOp, layout: Vector, statement: str) -> None:
        lanes = self._at_once(op, layout)
        if lanes == 1:
            super()._all_lanes(op, layout, statement)
            return
        size = lanes * element_bytes(layout.element)
        value = self.names[op.result if isinstance(op, loop.LoadOp) else op.value]
        rows = "".join(f"[r{d or ''}]" for d in range(len(layout.rows)))
        step = f" + p * {lanes}" if lanes < layout.parts else ""
        outside = f"{self.names[op.array]} + {self._base(op)}{self._row_offset(self._steps(op))}{step}"
        inside = f"{value}{rows}{step}"
        to, source = (inside, outside) if isinstance(op, loop.LoadOp) else (outside, inside)
        moved = Moved(layout.element, layout.rows, layout.parts // lanes, lanes)
        self.each(moved, f"irk_move<{size}>({to}, {source});")

    def each(self, layout: Vector, body: str) -> None:
        if isinstance(layout, Moved) and layout.count == 1 and not layout.rows:
            self.line(body.replace(" + p * ", " + 0 * "))
            return
        super().each(layout, body)

    def _at_once(self, op: loop.LoadOp | loop.StoreOp, layout: Vector) -> int:
        """How many lanes an access moves at once."""
        array, steps = op.array.type, self._steps(op)
        assert isinstance(array, RefType)
        if steps[-1] != ONE or op.indices or not self._is_array(op, layout):
            return 1
        most = min(self._align(layout), self._aligned_to(op)) // element_bytes(array.element_type)
        common = gcd(divisor(offset(array, op.index.data), self.multiples), most)
        for step in steps[:-1]:
            common = gcd(common, divisor(step, self.multiples))
        return max(1, common & -common)

    def _is_array(self, op: loop.LoadOp | loop.StoreOp, layout: Vector) -> bool:
        """Whether the value is a variable of several lanes."""
        return layout.parts > 1 and (isinstance(op, loop.LoadOp) or op.value not in self.same)

    def _aligned_to(self, op: loop.LoadOp | loop.StoreOp) -> int:
        """Bytes of which the array's address is a multiple."""
        for arg, facts in zip(self.func.block.args, self.func.signature.data, strict=True):
            if arg is op.array:
                return facts.align.data.value or 1
        return 16

    # -- values -----------------------------------------------------------------------------------------------

    def _fold_threads(self, op: loop.FoldThreadsOp) -> None:
        """A tree over the bits of the threads' numbers; the lower thread of each pair comes first."""
        states = [self.new(r) for r in op.results]
        for name, value in zip(states, op.inputs, strict=True):
            self.line(f"{c_type(value.type)} {name} = {self.names[value]};")
        if op.threads == 1:
            return
        distance = self.fresh("distance")
        self.line(
            f"{self.UNROLL}for (int {distance} = {op.threads // 2}; {distance} > 0; {distance} /= 2) {{"
        )
        self.depth += 1
        args, count = op.combine.block.args, len(states)
        for position, name in enumerate(states):
            low, high = self.new(args[position]), self.new(args[position + count])
            self.line(f"{c_type(args[position].type)} {low}, {high};")
            self.line(f"irk_pair({name}, {distance}, &{low}, &{high});")
        self._block(op.combine.block)
        last = op.combine.block.last_op
        assert last is not None
        for name, value in zip(states, last.operands, strict=True):
            self.line(f"{name} = {self.names[value]};")
        self.depth -= 1
        self.line("}")


@dataclass(frozen=True)
class Moved(Vector):
    """A vector in parts that are moved at once."""


def _is_named(op: loop.ForOp) -> bool:
    """Whether anything in a loop depends on its variable."""
    for inner in op.body.walk():
        for value in inner.properties.values():
            exprs = value.data if isinstance(value, DimsAttr) else ()
            exprs = (value.data,) if isinstance(value, DimAttr) else exprs
            if any(op.variable in e.names() for e in exprs):
                return True
    return False


def _is_small(func: loop.FuncOp, ranges: dict[str, tuple[float, float]]) -> bool:
    """Whether an int counts all elements of each array, and all that loops and indices count."""
    known = dict(ranges)
    exprs = [arg.type.bytes() for arg in func.block.args if isinstance(arg.type, RefType)]
    exprs += [op.ref_type.bytes() for op in func.body.walk() if isinstance(op, loop.AllocOp)]
    for op in func.body.walk():
        if isinstance(op, loop.ForOp):
            low, high = op.lower.bounds(known)[0], op.upper.bounds(known)[1]
            known[op.variable] = (low, max(low, high))
            exprs += [op.lower, op.upper]
        elif isinstance(op, loop.IndexOp):
            exprs.append(op.expr.data)
    return all(max(map(abs, expr.bounds(known))) < MOST for expr in exprs)
