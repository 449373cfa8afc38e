"""C text of one loop.func."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
from xdsl.dialects import arith
from xdsl.dialects.builtin import (
    DenseIntOrFPElementsAttr,
    FloatAttr,
    IntegerAttr,
    IntegerType,
    VectorType,
    i1,
)
from xdsl.ir import Attribute, Block, BlockArgument, Operation, SSAValue

from dialects import loop
from dialects.dims import ONE, Dim
from dialects.errors import IrkitError, op_loc
from dialects.graph.kernels import CArray, Code, Kernel, Tensor
from dialects.kernel import CompareOp, ConvertOp, ExternOp, SelectOp
from dialects.loop_matrix import MmaOp
from dialects.loop_roles import GPU_ROLES
from dialects.types import RefType, element_bytes, np_dtype
from lowering.c.dims import c_dim, c_factor
from lowering.c.literals import c_comment
from lowering.c.names import c_local, kernel_name
from lowering.c.scalars import CMPF, CMPI, FUNCTIONS, INFIX, SUPPORTED, WRAPPING, scalar
from lowering.c.types import Vector, c_type, short_name, unsigned_vector, vector_layout
from lowering.kernel.extern import call, implementation
from lowering.loop.memory import alloc_offsets, prefetched_lines


class FunctionEmitter:
    """Walks a nest once and writes it down; all decisions were taken before."""

    ALIGNED = " __attribute__((aligned(64)))"
    UNROLL = "IRK_UNROLL "
    UNROLL_FOLD = ""
    TWICE = "IRK_TWICE "
    INDEX = "int64_t"
    RESTRICT = "restrict"

    def __init__(self, func: loop.FuncOp, vector_bytes: int, source_line: Callable[[str, int], str | None]):
        self.func = func
        self.vector_bytes = vector_bytes
        self.source_line = source_line
        self.lines: list[str] = []
        self.depth = 1
        self.names: dict[SSAValue, str] = {}
        loops = (op.variable for op in func.walk() if isinstance(op, loop.ForOp))
        self.variables: dict[str, str] = {name: self.local(name) for name, _, _ in func.symbols.data}
        self.used: set[str] = {*self.variables.values(), *map(self.local, loops)}
        self.ranges: dict[str, tuple[float, float]] = func.symbols.ranges()
        self.folded: set[SSAValue] = set()
        self.lanes: set[int] = set()
        self.rows: dict[SSAValue, str] = {}
        """Rows of scalars that are read where they are used: the text of the scalar of row `r`."""

    def local(self, name: str) -> str:
        """The C name of a dim, an axis or an array."""
        return c_local(name)

    # -- text -------------------------------------------------------------------------------------------------

    def line(self, text: str) -> None:
        self.lines.append("  " * self.depth + text)

    def fresh(self, hint: str) -> str:
        """A C name that is not in use."""
        base = re.sub(r"\W", "_", hint, flags=re.ASCII) or "v"
        if base[0].isdigit():
            base = "v" + base
        base = self.local(base)
        name, count = base, 0
        while name in self.used:
            count += 1
            name = f"{base}_{count}"
        self.used.add(name)
        return name

    def new(self, value: SSAValue) -> str:
        """The C name of an SSA value."""
        name = self.fresh(value.name_hint or f"v{len(self.names)}")
        self.names[value] = name
        return name

    def dim(self, expr: Dim) -> str:
        return c_dim(expr, self.ranges, self.variables)

    # -- the function -----------------------------------------------------------------------------------------

    def emit(self) -> str:
        """The whole function."""
        head = self._head()
        self._allocations()
        self._block(self.func.block)
        self._end_streams()
        return "\n".join([*head, *self.lines, "}"])

    def _end_streams(self) -> None:
        """Before others read what bypassed the caches."""
        if any(isinstance(op, loop.StoreOp) and op.stream is not None for op in self.func.walk()):
            self.line("irk_stream_end();")

    def _head(self) -> list[str]:
        func = self.func
        memory = ["char *scratch", "char *team_mem", "int tid", "int nthreads", "irk_team *team"]
        symbols = [self.variables[name] for name, _, _ in func.symbols.data]
        name = kernel_name(func.sym_name.data)
        params = (",\n" + " " * (len(name) + 13)).join([*self._params(), *memory])
        unused = (
            "  "
            + " ".join(f"(void){n};" for n in ("scratch", "team_mem", "tid", "nthreads", "team"))
            + "".join(f" (void){n};" for n in symbols)
            + "".join(f" (void){self.names[a]};" for a in func.block.args if a.first_use is None)
        )
        return [*self._source(), f"static void {name}({params}) {{", unused]

    def _params(self) -> list[str]:
        """Symbols and arrays, in the order of the signature."""
        func = self.func
        aliased = {
            i for p, f in enumerate(func.signature.data) if f.alias_of is not None for i in (p, f.alias_of)
        }
        params = [f"{self.INDEX} {self.variables[name]}" for name, _, _ in func.symbols.data]
        for position, (arg, facts) in enumerate(zip(func.block.args, func.signature.data, strict=True)):
            type_ = arg.type
            assert isinstance(type_, RefType)
            const = "" if facts.is_output else "const "
            restrict = "" if position in aliased else self.RESTRICT + " "
            params.append(f"{const}{c_type(type_.element_type)} *{restrict}{self.new(arg)}")
        return params

    def _source(self) -> list[str]:
        """The line that the function comes from, as a comment."""
        loc = op_loc(self.func)
        if loc is None:
            return []
        text = self.source_line(loc.file, loc.line)
        return [c_comment(f"{loc.file}:{loc.line}:{loc.col}" + (f"  {text.strip()}" if text else ""))]

    def _allocations(self) -> None:
        for op, offset in alloc_offsets(self.func):
            type_ = op.ref_type
            name, element = self.new(op.result), c_type(type_.element_type)
            if type_.space.data == "stack":
                size = (
                    self.dim(type_.bytes())
                    if type_.bytes().value is None
                    else str((type_.bytes().value or 0) // element_bytes(type_.element_type))
                )
                self.line(f"{element} {name}[{size}]{self.ALIGNED};")
                continue
            base = "scratch" if type_.space.data == "scratch" else "team_mem"
            self.line(f"{element} *restrict {name} = ({element} *)({base} + {self.dim(offset)});")

    def _block(self, block: Block) -> None:
        for op in block.ops:
            self._op(op)

    def _op(self, op: Operation) -> None:  # noqa: C901
        match op:
            case loop.AllocOp() | loop.YieldOp():
                pass
            case loop.ForOp():
                self._for(op)
            case loop.IfOp():
                self._if(op)
            case loop.LoadOp():
                self._load(op)
            case loop.StoreOp():
                self._store(op)
            case loop.PrefetchOp():
                self._prefetch(op)
            case loop.ContractOp():
                self._contract(op)
            case loop.BroadcastOp():
                self._broadcast(op)
            case loop.IndexOp():
                self._index(op)
            case loop.FoldOp():
                self._fold(op)
            case ExternOp():
                self._extern(op)
            case loop.BarrierOp():
                self._end_streams()
                self.line("irk_team_barrier(team);")
            case arith.ConstantOp():
                self._constant(op)
            case _ if type(op) in SUPPORTED or isinstance(op, CompareOp | SelectOp):
                self._pointwise(op)
            case _:
                raise IrkitError(
                    f"'{op.name}' has no C form in a kernel", op, expected="an op of the loop level"
                )

    # -- vectors ----------------------------------------------------------------------------------------------

    def layout(self, type_: Attribute) -> Vector:
        assert isinstance(type_, VectorType)
        found = vector_layout(type_, self.vector_bytes)
        self.lanes.add(found.lanes)
        return found

    def declare(self, value: SSAValue, name: str | None = None) -> tuple[str, Vector]:
        """Declares the variable of a vector value."""
        layout = self.layout(value.type)
        name = name or self.new(value)
        self.line(f"{layout.name} {name}{layout.dims if layout.count > 1 else ''};")
        return name, layout

    def at(self, value: SSAValue, layout: Vector) -> str:
        """One machine vector of a value inside the loops of `each`."""
        return self.names[value] + (self.subscript(layout) if layout.count > 1 else "")

    def splat(self, layout: Vector, text: str) -> str:
        """A machine vector whose lanes all hold a number."""
        return f"IRK_SPLAT({layout.name}, {text})"

    @staticmethod
    def subscript(layout: Vector) -> str:
        rows = "".join(f"[r{d}]" if d else "[r]" for d in range(len(layout.rows)))
        return rows + "[p]"

    def each(self, layout: Vector, body: str) -> None:
        """The statement for every machine vector of a value."""
        if layout.count == 1:
            self.line(re.sub(r"\b(r[12]?|p)\b", "0", body))
            return
        head = "".join(
            f"{self.UNROLL}for (int r{d or ''} = 0; r{d or ''} < {n}; r{d or ''}++) "
            for d, n in enumerate(layout.rows)
        )
        self.line(f"{head}{self.UNROLL}for (int p = 0; p < {layout.parts}; p++) {body}")

    # -- kernels written by hand ----------------------------------------------------------------------------------

    def _extern(self, op: ExternOp) -> None:
        whole = call(op)

        def arrays(values: Sequence[SSAValue], tensors: Sequence[Tensor]) -> tuple[CArray, ...]:
            return tuple(
                CArray(self.names[v], c_type(v.type.element_type), t.dtype, tuple(map(self.dim, t.dims)))  # pyright: ignore
                for v, t in zip(values, tensors, strict=True)
            )

        scratch = None if op.scratch is None else f"((char *){self.names[op.scratch]})"
        code = Code(whole, arrays(op.inputs, whole.operands), arrays(op.outputs_, whole.results), scratch)
        self.line("{")
        self.lines += [
            "  " * (self.depth + 1) + line for line in self.by_hand(op).build(code).strip().splitlines()
        ]
        self.line("}")

    def by_hand(self, op: ExternOp) -> Kernel:
        """The kernel whose text stands for an op."""
        return implementation(op)

    # -- loops ------------------------------------------------------------------------------------------------

    def _for(self, op: loop.ForOp) -> None:
        for arg, init, result in zip(op.block.args, op.inits, op.results, strict=True):
            name = self.fresh(result.name_hint or arg.name_hint or "acc")
            self._copy_into(name, init, arg.type, declare=True)
            self.names[arg] = self.names[result] = name
        variable = op.variable
        low, high = op.lower.bounds(self.ranges)[0], op.upper.bounds(self.ranges)[1] - 1
        outer = self.ranges.get(variable)
        lower, upper = self.dim(op.lower), self.dim(op.upper)
        if op.role.data in GPU_ROLES:
            raise IrkitError(
                f"a {op.role.data} loop has no C form",
                op,
                hint="--emit=cuda prints what is mapped to a GPU; leave out loop-map-gpu for a CPU",
            )
        if op.role.data == "parallel":
            self.line("{")
            self.depth += 1
            first, last = self.fresh(f"{variable}_first"), self.fresh(f"{variable}_last")
            self.line(f"int64_t {first}, {last};")
            self.line(f"irk_chunk({lower}, {upper}, {self.dim(op.step)}, tid, nthreads, &{first}, &{last});")
            lower, upper = first, last
        self.ranges[variable] = (low, max(low, high))
        name = self.variables[variable] = self.local(variable)
        single = (
            op.role.data != "parallel"
            and ((op.upper - op.lower).value or 0) > 0
            and (op.step - (op.upper - op.lower)).bounds({})[0] >= 0
        )
        step = f"{name}++" if op.step == ONE else f"{name} += {self.dim(op.step)}"
        unroll = self.UNROLL if op.role.data == "unrolled" else ""
        if op.role.data == "serial" and any(isinstance(each, loop.ContractOp) for each in op.block.ops):
            unroll = self.TWICE
        if single:
            self.line("{")
            self.depth += 1
            self.line(f"const {self.INDEX} {name} = {lower};")
            self.line(f"(void){name};")
        else:
            self.line(f"{unroll}for ({self.INDEX} {name} = {lower}; {name} < {upper}; {step}) {{")
            self.depth += 1
        self._share_variables(op)
        self._block(op.block)
        self._yield(op)
        self.depth -= 1
        self.line("}")
        if op.role.data == "parallel":
            self.depth -= 1
            self.line("}")
        if outer is None:
            del self.ranges[variable]
        else:
            self.ranges[variable] = outer

    def _share_variables(self, op: loop.ForOp) -> None:
        """A value computed from a carried one alone may be computed in its variable."""
        last = op.block.last_op
        if not isinstance(last, loop.YieldOp):
            return
        for arg, value in zip(op.block.args, last.operands, strict=True):
            owner = value.owner
            direct = isinstance(owner, Operation) and (
                isinstance(owner, loop.ContractOp | MmaOp) or type(owner) in SUPPORTED
            )
            if (
                direct
                and owner.parent is op.block
                and arg in owner.operands  # pyright: ignore[reportAttributeAccessIssue]
                and len(list(arg.uses)) == 1
                and len(list(value.uses)) == 1
            ):  # pyright: ignore
                self.folded.add(value)

    def _yield(self, op: loop.ForOp) -> None:
        last = op.block.last_op
        if not isinstance(last, loop.YieldOp):
            return
        pending = [
            (a, v)
            for a, v in zip(op.block.args, last.operands, strict=True)
            if self.names[a] != self.names[v]
        ]
        carried = {self.names[a] for a, _ in pending}
        if any(self.names[v] in carried for _, v in pending):
            temporary = {}
            for arg, value in pending:
                name = self.fresh("next")
                self._copy_into(name, value, arg.type, declare=True)
                temporary[arg] = name
            for arg, _ in pending:
                self._copy(self.names[arg], temporary[arg], arg.type)
            return
        for arg, value in pending:
            self._copy_into(self.names[arg], value, arg.type, declare=False)

    def _copy_into(self, name: str, value: SSAValue, type_: Attribute, *, declare: bool) -> None:
        if declare and not isinstance(type_, VectorType):
            self.line(f"{c_type(type_)} {name} = {self.names[value]};")
            return
        if declare:
            self.declare(value, name)
        self._copy(name, self.names[value], type_)

    def _copy(self, name: str, source: str, type_: Attribute) -> None:
        if not isinstance(type_, VectorType):
            self.line(f"{name} = {source};")
            return
        layout = self.layout(type_)
        sub = self.subscript(layout) if layout.count > 1 else ""
        self.each(layout, f"{name}{sub} = {source}{sub};")

    def _if(self, op: loop.IfOp) -> None:
        self.line(f"if ({self.condition(op.conditions.data)}) {{")
        self.depth += 1
        self._block(op.then.block)
        self.depth -= 1
        if op.otherwise.block.first_op is not None:
            self.line("} else {")
            self.depth += 1
            self._block(op.otherwise.block)
            self.depth -= 1
        self.line("}")

    def condition(self, conditions: Sequence[Dim]) -> str:
        """Every expression at least zero."""
        return " && ".join(f"{self.dim(c)} >= 0" for c in conditions) or "1"

    # -- memory -----------------------------------------------------------------------------------------------

    def offset(self, array: SSAValue, index: Sequence[Dim], operands: Sequence[str] = ()) -> str:
        """The element offset of an access."""
        type_ = array.type
        assert isinstance(type_, RefType)
        total, texts = Dim.of(0), []
        for expr, stride in zip(index, type_.strides.data, strict=True):
            names = {f"_{i}": text for i, text in enumerate(operands)}
            if expr.names() & names.keys():
                factor = "" if stride == ONE else f" * {c_factor(stride, self.ranges, self.variables)}"
                texts.append(f"({c_dim(expr, self.ranges, {**self.variables, **names})}){factor}")
            else:
                total = total + expr * stride
        if total != Dim.of(0) or not texts:
            texts.insert(0, self.dim(total))
        return " + ".join(texts)

    def _base(self, op: loop.LoadOp | loop.StoreOp) -> str:
        """The offset of an access, of its first lane."""
        return self.offset(op.array, op.index.data, [self.names[v] for v in op.indices])

    def _load(self, op: loop.LoadOp) -> None:
        array = self.names[op.array]
        if not isinstance(op.result.type, VectorType):
            self._load_scalar(op, array)
            return
        if op.indices and op.along is None:
            self._gather(op, array)
            return
        if self._is_row_of_scalars(op):
            self._load_rows(op, array)
            return
        name, layout = self.declare(op.result)
        if op.guard:
            self.line(f"if ({self.condition(op.guard.data)}) {{")
            self.depth += 1
        self._load_vector(op, name, layout, array)
        if op.guard:
            self.depth -= 1
            self.line("} else {")
            self.depth += 1
            value = self._literal(op.otherwise, layout.element, lane=True)
            sub = self.subscript(layout) if layout.count > 1 else ""
            self.each(layout, f"{name}{sub} = IRK_SPLAT({layout.name}, ({c_type(layout.element)}){value});")
            self.depth -= 1
            self.line("}")

    def _load_scalar(self, op: loop.LoadOp, array: str) -> None:
        element = c_type(op.result.type)
        text = f"{array}[{self._base(op)}]"
        if op.guard:
            text = f"{self.condition(op.guard.data)} ? {text} : ({element}){self._literal(op.otherwise, op.result.type)}"
        self.line(f"const {element} {self.new(op.result)} = {text};")

    def _steps(self, op: loop.LoadOp | loop.StoreOp) -> list[Dim]:
        """Memory steps of each vector dim."""
        type_ = op.array.type
        assert isinstance(type_, RefType) and op.along is not None
        return [type_.strides.data[d.value or 0] for d in op.along.data]

    def _row_offset(self, steps: Sequence[Dim]) -> str:
        parts = [
            f" + r{d or ''} * {c_factor(s, self.ranges, self.variables)}" for d, s in enumerate(steps[:-1])
        ]
        return "".join(parts)

    def _load_vector(self, op: loop.LoadOp, name: str, layout: Vector, array: str) -> None:
        steps, base = self._steps(op), self._base(op)
        sub = self.subscript(layout) if layout.count > 1 else ""
        pointer = f"{array} + {base}"
        fast = self._full(op)
        if fast is not None:
            self.line(f"if ({fast}) {{")
            self.depth += 1
        if steps[-1] == ONE:
            part = f" + {layout.lanes} * p" if layout.parts > 1 else ""
            self.each(
                layout,
                self._store_mask_or(
                    name + sub,
                    layout,
                    f"*(const {layout.memory_name}u *)({pointer}{self._row_offset(steps)}{part})",
                ),
            )
        else:
            self._lanewise_load(name, layout, array, base, steps, None)
        if fast is not None:
            self.depth -= 1
            self.line("} else {")
            self.depth += 1
            self._lanewise_load(name, layout, array, base, steps, op)
            self.depth -= 1
            self.line("}")

    def _store_mask_or(self, target: str, layout: Vector, source: str) -> str:
        """Assigns a machine vector that was read from memory; bools become masks."""
        if layout.element == i1:
            return f"{target} = -__builtin_convertvector({source}, {layout.name});"
        return f"{target} = {source};"

    def _full(self, op: loop.LoadOp | loop.StoreOp) -> str | None:
        """The condition under which all lanes exist; None where they always do."""
        if op.valid is None:
            return None
        type_ = op.result.type if isinstance(op, loop.LoadOp) else op.value.type
        assert isinstance(type_, VectorType)
        pairs = [(v, n) for v, n in zip(op.valid.data, type_.get_shape(), strict=True) if v != Dim.of(n)]
        return " && ".join(f"{self.dim(v)} == {n}" for v, n in pairs) or None

    def _lanewise_load(
        self, name: str, layout: Vector, array: str, base: str, steps: Sequence[Dim], op: loop.LoadOp | None
    ) -> None:
        """Through memory, one element after another; only the lanes that exist."""
        width = layout.parts * layout.lanes
        rows = 1
        for n in layout.rows:
            rows *= n
        tmp = self.fresh("lanes")
        element = c_type(layout.element)
        self.line("{")
        self.depth += 1
        zero = " = {0}" if op is not None else ""
        self.line(f"{element} {tmp}[{rows * width}] __attribute__((aligned(64))){zero};")
        counts = [*layout.rows, width]
        if op is not None and op.valid is not None:
            counts_text = [self.dim(v) for v in op.valid.data]
        else:
            counts_text = [str(c) for c in counts]
        names = [*(f"r{d or ''}" for d in range(len(layout.rows))), "l"]
        loops = "".join(
            f"for (int64_t {n} = 0; {n} < {c}; {n}++) " for n, c in zip(names, counts_text, strict=True)
        )
        source = (
            base
            + self._row_offset(steps)
            + (f" + l * {c_factor(steps[-1], self.ranges, self.variables)}" if steps[-1] != ONE else " + l")
        )
        self.line(f"{loops}{tmp}[{self._flat(layout, width)}] = {array}[{source}];")
        self._from_lanes(name, layout, tmp, width)
        self.depth -= 1
        self.line("}")

    @staticmethod
    def _flat(layout: Vector, width: int) -> str:
        text = ""
        for d, n in enumerate(layout.rows):
            row = f"r{d or ''}"
            text = row if not text else f"({text}) * {n} + {row}"
        return f"({text}) * {width} + l" if text else "l"

    def _from_lanes(self, name: str, layout: Vector, tmp: str, width: int) -> None:
        text = ""
        for d, n in enumerate(layout.rows):
            row = f"r{d or ''}"
            text = row if not text else f"({text}) * {n} + {row}"
        position = (f"({text}) * {width}" if text else "0") + (
            f" + {layout.lanes} * p" if layout.parts > 1 else ""
        )
        sub = self.subscript(layout) if layout.count > 1 else ""
        self.each(
            layout,
            self._store_mask_or(name + sub, layout, f"*(const {layout.memory_name}u *)({tmp} + {position})"),
        )

    def _is_row_of_scalars(self, op: loop.LoadOp) -> bool:
        """A vector that only serves one scalar at a time: broadcast along rows, or the left side of a contraction."""
        if (
            op.guard
            or not isinstance(op.result.type, VectorType)
            or op.result.type.get_num_dims() != 1
            or op.result.type.get_element_type() == i1
        ):
            return False
        for use in op.result.uses:
            user = use.operation
            if isinstance(user, loop.ContractOp) and use.index == 0:
                continue
            if isinstance(user, loop.BroadcastOp):
                target = user.result.type
                assert isinstance(target, VectorType)
                if target.get_num_dims() > 1 and user.along.data[0] != Dim.of(target.get_num_dims() - 1):
                    continue
            return False
        return True

    def _load_rows(self, op: loop.LoadOp, array: str) -> None:
        type_ = op.result.type
        assert isinstance(type_, VectorType)
        (count,), element = type_.get_shape(), c_type(type_.get_element_type())
        name = self.new(op.result)
        base, (step,) = self._base(op), self._steps(op)
        at = (
            f"{array}[{base} + r * {c_factor(step, self.ranges, self.variables)}]"
            if step != ONE
            else f"{array}[{base} + r]"
        )
        full = self._full(op)
        if full is None and not _written_before_use(op):
            # Read where it is multiplied: gcc keeps an array of scalars in memory.
            self.rows[op.result] = at
            self.folded.add(op.result)
            return
        self.line(f"{element} {name}[{count}];")
        loop_text = f"IRK_UNROLL for (int r = 0; r < {count}; r++) {name}[r] = "
        if full is None:
            self.line(f"{loop_text}{at};")
        else:
            assert op.valid is not None
            self.line(f"if ({full}) {loop_text}{at};")
            self.line(f"else {loop_text}r < {self.dim(op.valid.data[0])} ? {at} : 0;")
        self.folded.add(op.result)

    def _scalar_of_row(self, value: SSAValue, row: str) -> str:
        """The scalar of a row that is not kept as a vector."""
        text = self.rows.get(value)
        return f"{self.names[value]}[{row}]" if text is None else re.sub(r"\br\b", row, text)

    def _gather(self, op: loop.LoadOp, array: str) -> None:
        name, layout = self.declare(op.result)
        width = layout.parts * layout.lanes
        rows = layout.count // layout.parts
        self.line("{")
        self.depth += 1
        tmp = self.fresh("lanes")
        index: list[str] = []
        for value in op.indices:
            text = self.fresh("index")
            il = self.layout(value.type)
            self.line(f"int64_t {text}[{rows * width}] __attribute__((aligned(64)));")
            self._to_lanes(self.names[value], il, text, width)
            index.append(f"{text}[l]")
        self.line(f"{c_type(layout.element)} {tmp}[{rows * width}] __attribute__((aligned(64)));")
        self.line(
            f"for (int l = 0; l < {rows * width}; l++) {tmp}[l] = {array}[{self.offset(op.array, op.index.data, index)}];"
        )
        self._from_lanes(name, layout, tmp, width)
        self.depth -= 1
        self.line("}")

    def _to_lanes(self, name: str, layout: Vector, tmp: str, width: int) -> None:
        text = ""
        for d, n in enumerate(layout.rows):
            row = f"r{d or ''}"
            text = row if not text else f"({text}) * {n} + {row}"
        position = (f"({text}) * {width}" if text else "0") + (
            f" + {layout.lanes} * p" if layout.parts > 1 else ""
        )
        sub = self.subscript(layout) if layout.count > 1 else ""
        self.each(
            layout, f"*({layout.memory_name}u *)({tmp} + {position}) = {self._as_memory(name + sub, layout)};"
        )

    @staticmethod
    def _as_memory(text: str, layout: Vector) -> str:
        return f"__builtin_convertvector(-{text}, {layout.memory_name})" if layout.element == i1 else text

    def _prefetch(self, op: loop.PrefetchOp) -> None:
        """To be read, and kept in the second-level cache."""
        indices = [self.names[v] for v in op.indices]
        for index in prefetched_lines(op):
            place = f"{self.names[op.array]} + {self.offset(op.array, index, indices)}"
            self.line(f"__builtin_prefetch({place}, 0, 2);")

    def _store(self, op: loop.StoreOp) -> None:
        array = self.names[op.array]
        if not isinstance(op.value.type, VectorType):
            self.line(f"{array}[{self._base(op)}] = {self.names[op.value]};")
            return
        layout = self.layout(op.value.type)
        steps, base = self._steps(op), self._base(op)
        full = self._full(op)
        if full is not None:
            self.line(f"if ({full}) {{")
            self.depth += 1
        if steps[-1] == ONE:
            part = f" + {layout.lanes} * p" if layout.parts > 1 else ""
            place = f"{array} + {base}{self._row_offset(steps)}{part}"
            value = self._as_memory(self.at(op.value, layout), layout)
            if op.stream is not None and layout.fits_register(self.vector_bytes):
                self.each(layout, f"IRK_STREAM({layout.memory_name}, {place}, {value});")
            else:
                self.each(layout, f"*({layout.memory_name}u *)({place}) = {value};")
        else:
            self._lanewise_store(op, layout, array, base, steps, partial=False)
        if full is not None:
            self.depth -= 1
            self.line("} else {")
            self.depth += 1
            self._lanewise_store(op, layout, array, base, steps, partial=True)
            self.depth -= 1
            self.line("}")

    def _lanewise_store(
        self, op: loop.StoreOp, layout: Vector, array: str, base: str, steps: Sequence[Dim], *, partial: bool
    ) -> None:
        width = layout.parts * layout.lanes
        rows = layout.count // layout.parts
        tmp = self.fresh("lanes")
        self.line("{")
        self.depth += 1
        self.line(f"{c_type(layout.element)} {tmp}[{rows * width}] __attribute__((aligned(64)));")
        self._to_lanes(self.names[op.value], layout, tmp, width)
        counts = (
            [self.dim(v) for v in op.valid.data]
            if partial and op.valid is not None
            else [str(c) for c in (*layout.rows, width)]
        )
        names = [*(f"r{d or ''}" for d in range(len(layout.rows))), "l"]
        loops = "".join(
            f"for (int64_t {n} = 0; {n} < {c}; {n}++) " for n, c in zip(names, counts, strict=True)
        )
        target = (
            base
            + self._row_offset(steps)
            + (f" + l * {c_factor(steps[-1], self.ranges, self.variables)}" if steps[-1] != ONE else " + l")
        )
        self.line(f"{loops}{array}[{target}] = {tmp}[{self._flat(layout, width)}];")
        self.depth -= 1
        self.line("}")

    # -- values -----------------------------------------------------------------------------------------------

    def _literal(self, value: Attribute | None, element: Attribute, lane: bool = False) -> str:
        """A constant in C. A scalar bool is 1 where it is true, a lane of a mask -1."""
        if value is None:
            return "0"
        assert isinstance(value, FloatAttr | IntegerAttr)
        number = value.value.data
        if element == i1:
            return ("-1" if lane else "1") if number else "0"
        return number_text(number, element)

    def _constant(self, op: arith.ConstantOp) -> None:
        type_ = op.result.type
        if isinstance(type_, VectorType):
            value = op.value
            assert isinstance(value, DenseIntOrFPElementsAttr)
            name, layout = self.declare(op.result)
            text = number_text(value.get_values()[0], layout.element)  # pyright: ignore
            sub = self.subscript(layout) if layout.count > 1 else ""
            self.each(layout, f"{name}{sub} = {self.splat(layout, text)};")
            return
        self.line(f"const {c_type(type_)} {self.new(op.result)} = {self._literal(op.value, type_)};")

    def _contract(self, op: loop.ContractOp) -> None:
        layout = self.layout(op.result.type)
        name = self._target(op.result, op.acc, layout)
        (m,) = layout.rows
        lhs_layout = None if op.lhs in self.folded else self.layout(op.lhs.type)
        a = self._scalar_of_row(op.lhs, "r") if lhs_layout is None else self._element(op.lhs, lhs_layout, "r")
        b = self.names[op.rhs] + ("[p]" if layout.parts > 1 else "")
        own = f"{name}[r]" + ("[p]" if layout.count > 1 else "")
        acc = f"{self.names[op.acc]}[r]" + ("[p]" if layout.count > 1 else "")
        if layout.count == 1:
            own, acc = name, self.names[op.acc]
        add = f"{own} += {a} * {b};" if own == acc else f"{own} = {acc} + {a} * {b};"
        if layout.count == 1:
            self.line(re.sub(r"\br\b", "0", add))
            return
        self.line(
            f"{self.UNROLL}for (int r = 0; r < {m}; r++) {self.UNROLL}for (int p = 0; p < {layout.parts}; p++) {add}"
        )

    @staticmethod
    def _element_text(name: str, layout: Vector, position: str) -> str:
        if layout.count == 1:
            return f"{name}[{position}]"
        return f"{name}[{position} / {layout.lanes}][{position} % {layout.lanes}]"

    def _element(self, value: SSAValue, layout: Vector, position: str) -> str:
        return self._element_text(self.names[value], layout, position)

    def _target(self, result: SSAValue, carried: SSAValue | None, layout: Vector) -> str:
        """The variable to compute into: a carried value's own where that is safe, else a new one."""
        if result in self.folded and carried is not None:
            self.names[result] = self.names[carried]
            return self.names[carried]
        name, _ = self.declare(result)
        return name

    def _broadcast(self, op: loop.BroadcastOp) -> None:
        name, layout = self.declare(op.result)
        sub = self.subscript(layout) if layout.count > 1 else ""
        source = op.value.type
        if not isinstance(source, VectorType):
            text = (
                f"({'-' if source == i1 else ''}{self.names[op.value]})"
                if source == i1
                else self.names[op.value]
            )
            cast = "(int32_t)" if source == i1 else f"({c_type(source)})"
            self.each(layout, f"{name}{sub} = IRK_SPLAT({layout.name}, {cast}{text});")
            return
        rank = len(layout.rows) + 1
        along = [d.value or 0 for d in op.along.data]
        inner = self.layout(source) if op.value not in self.folded else None
        if along[-1] == rank - 1:  # the vector dim is kept: pick rows
            assert inner is not None
            rows = "".join(f"[r{d or ''}]" for d in along[:-1])
            part = "[p]" if inner.parts > 1 or inner.count > 1 else ""
            self.each(layout, f"{name}{sub} = {self.names[op.value]}{rows if inner.count > 1 else ''}{part};")
            return
        *outer, last = [f"r{d or ''}" for d in along]
        if inner is None:
            element = self._scalar_of_row(op.value, last)
        else:
            rows = "".join(f"[{r}]" for r in outer) if inner.count > 1 else ""
            element = self._element_text(f"{self.names[op.value]}{rows}", inner, last)
        self.each(layout, f"{name}{sub} = IRK_SPLAT({layout.name}, {element});")

    def _index(self, op: loop.IndexOp) -> None:
        type_ = op.result.type
        if not isinstance(type_, VectorType):
            self.line(f"const int64_t {self.new(op.result)} = {self.dim(op.expr.data)};")
            return
        name, layout = self.declare(op.result)
        sub = self.subscript(layout) if layout.count > 1 else ""
        lanes = ", ".join(str(n) for n in range(layout.lanes))
        part = f"{layout.lanes} * p + " if layout.parts > 1 else ""
        stride = c_factor(op.stride.data, self.ranges, self.variables)
        self.each(
            layout,
            f"{name}{sub} = ({part}({layout.name}){{{lanes}}}) * {stride} + ({self.dim(op.expr.data)});",
        )

    def _fold(self, op: loop.FoldOp) -> None:
        arrays: list[str] = []
        width = 0
        results = [self.new(r) for r in op.results]
        for result, value in zip(op.results, results, strict=True):
            self.line(f"{c_type(result.type)} {value};")
        self.line("{")
        self.depth += 1
        for value in op.inputs:
            layout = self.layout(value.type)
            width = layout.parts * layout.lanes
            name = self.fresh("lanes")
            self.line(f"{c_type(layout.element)} {name}[{width}]{self.ALIGNED};")
            self._to_lanes(self.names[value], layout, name, width)
            arrays.append(name)
        count = len(arrays)
        half = self.fresh("half")
        self.line(
            f"{self.UNROLL_FOLD}for (int {half} = {width // 2}; {half} > 0; {half} /= 2) "
            f"{self.UNROLL_FOLD}for (int l = 0; l < {half}; l++) {{"
        )
        self.depth += 1
        for position, arg in enumerate(op.combine.block.args):
            text = f"{arrays[position % count]}[l{'' if position < count else f' + {half}'}]"
            self.line(f"const {c_type(arg.type)} {self.new(arg)} = {text};")
        self._block(op.combine.block)
        last = op.combine.block.last_op
        assert last is not None
        for name, value in zip(arrays, last.operands, strict=True):
            self.line(f"{name}[l] = {self.names[value]};")
        self.depth -= 1
        self.line("}")
        for name, array in zip(results, arrays, strict=True):
            self.line(f"{name} = {array}[0];")
        self.depth -= 1
        self.line("}")

    def _pointwise(self, op: Operation) -> None:
        result = op.results[0]
        if not isinstance(result.type, VectorType):
            if _joins_sum(op):
                return  # written where its sum is
            product = _product_of(op)
            if product is None:
                text = scalar(op, [self.names[o] for o in op.operands])
            else:
                others = [*product.operands, *(o for o in op.operands if o.owner is not product)]
                text = f"irk_fma_{short_name(result.type)}({', '.join(self.names[o] for o in others)})"
            self.line(f"const {c_type(result.type)} {self.new(result)} = {text};")
            return
        carried = next(
            (o for o in op.operands if isinstance(o, BlockArgument) and result in self.folded), None
        )
        layout = self.layout(result.type)
        args = [self.at(o, self.layout(o.type)) for o in op.operands]
        name = self._target(result, carried, layout)
        self.each(
            layout,
            self._vector_statement(
                op, name + (self.subscript(layout) if layout.count > 1 else ""), layout, args
            ),
        )

    def _vector_statement(self, op: Operation, out: str, layout: Vector, args: list[str]) -> str:
        kind = type(op)
        if kind in INFIX:
            return f"{out} = {args[0]} {INFIX[kind]} {args[1]};"
        if kind in WRAPPING:
            wide = unsigned_vector(layout)
            return f"{out} = ({layout.name})(({wide}){args[0]} {WRAPPING[kind]} ({wide}){args[1]});"
        if kind is arith.NegfOp:
            return f"{out} = -{args[0]};"
        if kind in FUNCTIONS:
            inputs = ", ".join(f"&{a}" for a in args)
            return f"irk_{FUNCTIONS[kind]}_{short_name(layout.element)}x{layout.lanes}(&{out}, {inputs});"
        source = self.layout(op.operands[0].type)
        if isinstance(op, CompareOp):
            return self._compared(op.predicate.data, source, layout, out, args)
        if isinstance(op, SelectOp):
            if layout.element == i1:
                return f"{out} = ({args[0]} & {args[1]}) | (~{args[0]} & {args[2]});"
            return f"irk_select_{short_name(layout.element)}x{layout.lanes}(&{out}, &{args[0]}, &{args[1]}, &{args[2]});"
        if (
            isinstance(op, ConvertOp)
            and (text := self._converted(op.kind.data, source, layout, args[0])) is not None
        ):
            return f"{out} = {text};"
        return self._by_lanes(op, out, layout, args)

    @staticmethod
    def _compared(predicate: str, source: Vector, layout: Vector, out: str, args: list[str]) -> str:
        integer = isinstance(source.element, IntegerType)
        number = (CompareOp.INTEGER if integer else CompareOp.FLOAT).index(predicate)
        if not integer:
            test, is_negated = CMPF[number]
            text = ("~" if is_negated else "") + test.format(a=args[0], b=args[1])
            return f"{out} = __builtin_convertvector({text}, {layout.name});"
        infix, signed = CMPI[number]
        wide = "" if signed else f"({unsigned_vector(source)})"
        return f"{out} = __builtin_convertvector({wide}{args[0]} {infix} {wide}{args[1]}, {layout.name});"

    @staticmethod
    def _converted(kind: str, source: Vector, layout: Vector, value: str) -> str | None:
        """A conversion that the compiler knows; None for the others."""
        if kind == "bitcast":
            return f"({layout.name}){value}"
        if kind in ("extui", "uitofp"):
            value = f"-{value}" if source.element == i1 else f"({unsigned_vector(source)}){value}"
        known = {short_name(source.element), short_name(layout.element)} == {"f32", "f64"}
        if (
            (kind in ("extf", "truncf") and not known)
            or layout.element == i1
            or (kind == "extsi" and source.element == i1)
        ):
            return None
        return f"__builtin_convertvector({value}, {layout.name})"

    def _by_lanes(self, op: Operation, out: str, layout: Vector, args: list[str]) -> str:
        """An op without a vector form, lane by lane."""
        lanes = [
            f"{a}[l]" if self.layout(o.type).element != i1 else f"({a}[l] & 1)"
            for a, o in zip(args, op.operands, strict=True)
        ]
        loop_text = f"for (int l = 0; l < {layout.lanes}; l++)"
        if layout.element == i1:
            return f"{loop_text} {out}[l] = -{scalar(op, lanes)};"
        # Through memory: gcc 12 fails on some loops that set the elements of a vector one by one.
        tmp = self.fresh("lanes")
        return (
            f"{{ {c_type(layout.element)} {tmp}[{layout.lanes}]; {loop_text} {tmp}[l] = {scalar(op, lanes)}; "
            f"{out} = *(const {layout.memory_name}u *){tmp}; }}"
        )


def _product_of(op: Operation) -> arith.MulfOp | None:
    """The product that a scalar sum adds and that nothing else uses."""
    if not isinstance(op, arith.AddfOp):
        return None
    for operand in op.operands:
        product = operand.owner
        if isinstance(product, arith.MulfOp) and product.parent is op.parent and len(list(operand.uses)) == 1:
            return product
    return None


def _joins_sum(op: Operation) -> bool:
    """Whether a product is written together with the sum that adds it."""
    if not isinstance(op, arith.MulfOp):
        return False
    users = [use.operation for use in op.result.uses]
    return len(users) == 1 and _product_of(users[0]) is op


def _written_before_use(op: loop.LoadOp) -> bool:
    """Whether anything may be written between a load and the last of its uses, or a loop lies between them."""
    users = {use.operation for use in op.result.uses}
    following = op.next_op
    while users and following is not None and not following.regions:
        if isinstance(following, loop.StoreOp):
            return True
        users.discard(following)
        following = following.next_op
    return bool(users)


def number_text(value: float | int, element: Attribute) -> str:
    """A number as C writes it."""
    if isinstance(element, IntegerType):
        if element.width.data == 64:
            return f"INT64_C({value})" if value != -(2**63) else "INT64_MIN"
        return str(int(value)) if int(value) != -(2**31) else "INT32_MIN"
    if element_bytes(element) < 4:  # stored as bits
        return hex(int.from_bytes(np.float32(value).astype(np_dtype(element)).tobytes(), "little"))
    if value != value:
        return "(0.0f / 0.0f)" if short_name(element) == "f32" else "(0.0 / 0.0)"
    if value in (float("inf"), float("-inf")):
        return ("-" if value < 0 else "") + (
            "INFINITY" if short_name(element) == "f32" else "(double)INFINITY"
        )
    return f"{np.float32(value)}f" if short_name(element) == "f32" else repr(float(value))
