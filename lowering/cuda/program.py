"""CUDA text of a module's host program: a C++ function with C linkage that launches the tasks on a stream.

It is the C back end's program with parts overridden. Arrays are memory of the device: those of the caller, one arena, what is
prepared once. Tasks run in the order of their stream, so that barriers have no text; small ones between two barriers run on
streams side by side. The host waits in two places alone: where the bound of a loop, or the condition of leaving it, is a
number on the device.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import Block, SSAValue

from dialects import buffer, loop
from dialects.dims import Dim, align
from dialects.errors import IrkitError, op_loc
from dialects.types import RefType, element_bytes
from lowering.c.emit import ProgramEmitter, constant_words
from lowering.c.names import c_field, c_local, kernel_name
from lowering.c.types import c_type
from lowering.cuda.function import WORDS, launch_of
from lowering.target import Gpu

CELL = 8
"""Bytes of the number of an iteration, which kernels read."""

ABREAST = 4
"""Streams on which independent tasks run side by side, at most: IRK_ABREAST of irk_cuda_host.h."""


class CudaProgram(ProgramEmitter):
    """The functions of a host program; `plan` tells, line by line, what a run does."""

    def __init__(
        self, program: buffer.ProgramOp, name: str, kernels: Sequence[loop.FuncOp], prepared: str, gpu: Gpu
    ):
        super().__init__(program, name, kernels, prepared=prepared)
        self.used |= {"stream"}
        self.stream = "stream"
        self.gpu = gpu
        self.plan: list[str] = []
        self.waits = 0
        counted = [op for op in program.walk() if isinstance(op, buffer.ForOp) and op.block.args[0].first_use]
        end = align(program.arena_bytes.data, 64)
        self.cells = {op: end + CELL * number for number, op in enumerate(counted)}
        self.arena = end + CELL * len(counted)

    def local(self, name: str) -> str:
        return f"{name}_" if name.rstrip("_") in WORDS else c_local(name)

    def emit(self) -> str:
        name = self.name
        self._bind()
        self._block(self.program.block)
        checks = [f"  if (!args) return {name.upper()}_NULL_ARGUMENT;", *self._checks()]
        symbols = [f"  const int64_t {v} = args->{c_field(s)}; (void){v};" for s, v in self.symbols.items()]
        return "\n".join(
            [
                *self.statics,
                *([] if self.once is None else self._tasks("once", self.once)),
                *self._tasks("program", self.lines),
                f"size_t {name}_arena_bytes(const {name}_args *args) {{",
                "  (void)args;",
                *symbols,
                f"  return (size_t)({self.dim(self.arena)});",
                "}",
                "",
                *([] if self.once is None else self._init()),
                *self._entry("run", "program", checks),
                *([] if self.waits else self._graph(checks)),
                f"const char *{name}_error(int code) {{ return irk_error(code); }}",
            ]
        )

    def _tasks(self, function: str, lines: Sequence[str]) -> list[str]:
        """A function that launches tasks. Raises no error but by its code."""
        prepared = f"  char *prepared = (char *)args->{self.prepared};"
        return [
            f"static int {self.name}_{function}(const {self.name}_args *args, char *arena, void *stream) {{",
            *([prepared] if self.prepared else []),
            "  (void)args; (void)arena; (void)stream;",
            *lines,
            "  return 0;",
            "}",
            "",
        ]

    def _entry(self, entry: str, function: str, checks: Sequence[str]) -> list[str]:
        name = self.name
        return [
            f"int {name}_{entry}(const {name}_args *args, void *arena, void *stream) {{",
            *checks,
            self._arena_check(),
            f"  return {name}_{function}(args, (char *)arena, stream);",
            "}",
            "",
        ]

    def _arena_check(self) -> str:
        name = self.name
        test = f"{name}_arena_bytes(args) && (!arena || (uintptr_t)arena % 64)"
        return f"  if ({test}) return {name.upper()}_BAD_ARENA;"

    def _graph(self, checks: Sequence[str]) -> list[str]:
        """The entries of a program whose launches are always the same: they are taken down as one graph."""
        name = self.name
        return [
            f"int {name}_capture(const {name}_args *args, void *arena, void **graph) {{",
            *checks,
            self._arena_check(),
            f"  return irk_capture([=](void *stream) {{ return {name}_program(args, (char *)arena, stream); }}, graph);",
            "}",
            "",
            f"int {name}_replay(void *graph, void *stream) {{ return irk_replay(graph, stream); }}",
            f"void {name}_forget(void *graph) {{ irk_forget(graph); }}",
            "",
        ]

    # -- tasks ------------------------------------------------------------------------------------------------

    def _block(self, block: Block) -> None:
        """Between barriers tasks do not depend on one another, as `buffer-place-barriers` has found."""
        tasks: list[buffer.CallOp | buffer.CopyOp] = []
        for op in block.ops:
            if isinstance(op, buffer.CallOp | buffer.CopyOp):
                tasks.append(op)
                continue
            if not isinstance(op, buffer.ViewOp | buffer.ReshapeOp | buffer.ConstantOp):
                self._together(tasks)
                tasks = []
            self._op(op)
        self._together(tasks)

    def _together(self, tasks: Sequence[buffer.CallOp | buffer.CopyOp]) -> None:
        """Independent tasks: on streams side by side where at least two leave room for others."""
        if sum(map(self._is_small, tasks)) < 2:
            for op in tasks:
                self._op(op)
            return
        count = min(ABREAST, len(tasks))
        self._tell(f"side by side, on {count} streams:")
        self.line("{")
        self.depth += 1
        self.line("irk_abreast irk_side;")
        self.line(f"IRK_TRY(irk_fork(&irk_side, stream, {count}));")
        for number, op in enumerate(tasks):
            self.stream = f"irk_side.streams[{number % count}]"
            self._op(op)
        self.stream = "stream"
        self.line("IRK_TRY(irk_join(&irk_side, stream));")
        self.depth -= 1
        self.line("}")

    def _is_small(self, op: buffer.CallOp | buffer.CopyOp) -> bool:
        """Whether a task is a kernel with fewer blocks than the device has multiprocessors."""
        func = self.kernels.get(op.callee.root_reference.data) if isinstance(op, buffer.CallOp) else None
        if func is None:
            return False
        return launch_of(func).blocks.bounds(func.symbols.ranges())[1] < self.gpu.processors

    def _tell(self, text: str) -> None:
        self.plan.append("  " * self.depth + text)

    def _once(self, op: buffer.OnceOp) -> None:
        self._tell(f"once, by {self.name}_init:")
        self.depth += 1
        super()._once(op)
        self.depth -= 1

    def _constant(self, op: buffer.ConstantOp) -> None:
        type_ = op.result.type
        assert isinstance(type_, RefType)
        name = self.names[op.result] = self.fresh(f"constant_{len(self.statics)}")
        data, element = f"{self.name}_{name}", c_type(type_.element_type)
        words = constant_words(op.value, type_) or ["0"]
        unsigned = f"uint{8 * element_bytes(type_.element_type)}_t"
        self.statics.append(f"IRK_CONSTANT __align__(64) {unsigned} {data}[] = {{{', '.join(words)}}};")
        self.line(f"const void *{name}_place;")
        self.line(f"IRK_TRY(irk_find(&{name}_place, {data}));")
        self.line(f"const {element} *{name} = (const {element} *){name}_place;")
        self.line(f"(void){name};")

    def _call(self, op: buffer.CallOp) -> None:
        kernel = op.callee.root_reference.data
        if kernel not in self.kernels:
            raise IrkitError(f"the program calls @{kernel}, which is not in the module", op)
        func, loc = self.kernels[kernel], op_loc(op)
        names = [self.names[v] for v in op.args_]
        symbols = [self.symbols[name] for name, _, _ in func.symbols.data]
        memory = [] if op.team is None else [f"arena + {self.dim(op.team.data)}"]
        words = ", ".join([*symbols, *names, *memory, self.stream])
        self.line(f"IRK_TRY({kernel_name(kernel)}_launch({words}));")
        modes = [facts.is_output for facts in func.signature.data]
        read, written = (
            ", ".join(n for n, out in zip(names, modes, strict=True) if out is wanted)
            for wanted in (False, True)
        )
        where = f"  {loc.file}:{loc.line}" if loc is not None else ""
        self._tell(f"{kernel_name(kernel)} ({read} -> {written}){where}")

    def _copy(self, op: buffer.CopyOp) -> None:
        source, target = self.names[op.source], self.names[op.target]
        type_ = op.source.type
        assert isinstance(type_, RefType)
        self.line(f"IRK_TRY(irk_copy({target}, {source}, {self.dim(type_.bytes())}, {self.stream}));")
        self._tell(f"copy {source} to {target}, where they differ")

    def _barrier(self, op: buffer.BarrierOp) -> None:
        pass  # where tasks ran side by side, they are joined by now; others run one after another

    def _for(self, op: buffer.ForOp) -> None:
        bounds = (
            str(dim.data) if array is None else f"what {self.names[array]} holds"
            for array, dim in ((op.lower_ref, op.lower), (op.upper_ref, op.upper))
        )
        self._tell(f"loop from {' to '.join(bounds)}:")
        super()._for(op)
        for carry in op.carries():
            if carry.following is not None:
                self._tell(f"  {self.names[carry.current]} and {self.names[carry.following]} change places")

    def _bound(self, array: SSAValue | None, dim: Dim) -> str:
        return super()._bound(array, dim) if array is None else f"(int64_t){self._read(array)}"

    def _read(self, array: SSAValue) -> str:
        """A variable with what an array of one element holds."""
        self.waits += 1
        name = self.fresh(f"{self.names[array]}_read")
        self.line(f"{self._pointer(array)} {name};")
        self.line(f"IRK_TRY(irk_read(&{name}, {self.names[array]}, sizeof {name}, stream));")
        return name

    def _count(self, op: buffer.ForOp, position: str, counter: str) -> None:
        if op not in self.cells:
            return
        self.line(f"int64_t *{position} = (int64_t *)(arena + {self.dim(self.cells[op])});")
        self.line(f"IRK_TRY(irk_set({position}, {counter}, stream));")

    def _leave(self, op: buffer.LeaveOp) -> None:
        self.line(f"if (!{self._read(op.condition)}) break;")
        self._tell(f"leave the loop unless {self.names[op.condition]} holds true")
