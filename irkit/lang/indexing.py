"""Index notation: `y[i, f] = sum(j) a[i, j] * x[j, f]` as graph.index ops.

Two walks over the expression. The first collects every access and finds the range of each axis; the second emits one
graph.index for the whole, and one for each reduction inside it, whose result the outer one reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from xdsl.ir import Attribute, Block, Region, SSAValue

from dialects import graph
from dialects.dims import ZERO, Dim
from dialects.errors import IrkitError, Loc
from dialects.types import DTYPES, dims_of, dtype_name, is_integer, storage, type_text
from irkit.diagnostics import nearest
from irkit.lang import folding, operators, tree
from irkit.lang.builder import Number, describe, fitting, type_of
from irkit.lang.elements import HINT, call_on_elements
from irkit.lang.ranges import Component, Interval, Unsolvable, solve, stays_inside
from irkit.lang.scalars import BINARY, INDEX, UNARY, Scalar, ScalarBuilder
from irkit.lang.words import compared, dtype_of

if TYPE_CHECKING:
    from irkit.lang.emit import Emitter, Frame

BOUNDARIES = ("zero", "clamp", "wrap", "reflect", "value")
ALIASES = {"maximum": "max", "minimum": "min"}
MAX_DEPTH = 200

Scope: TypeAlias = "dict[str, str]"
"""Axis names as written, to names that are unique in the statement."""


def has_reduction(node: tree.Expr) -> bool:
    """Whether an expression holds a reduction of index notation."""
    stack: list[object] = [node]
    while stack:
        item = stack.pop()
        match item:
            case tree.Reduction():
                return True
            case tree.Binary():
                stack += (item.left, item.right)
            case tree.Unary():
                stack.append(item.operand)
            case tree.Call() | tree.Applied():
                stack += item.args
    return False


def emit_index(
    emitter: Emitter,
    axes: Sequence[tree.Name],
    value: tree.Expr,
    boundary: tree.Name | tree.Call | None,
    frame: Frame,
) -> SSAValue:
    """The tensor that a statement in index notation defines. Raises IrkitError."""
    return IndexStatement(emitter, frame, boundary).emit(axes, value)


@dataclass(frozen=True)
class Boundary:
    """What lies outside: one of BOUNDARIES, with the number of `value`."""

    kind: str
    value: float = 0.0


@dataclass(frozen=True)
class Read:
    """An access as collected: indices over unique axis names; `@3` stands for the value that read 3 gives."""

    tensor: SSAValue
    index: tuple[Dim, ...]
    loc: Loc
    text: str

    @property
    def gathers(self) -> bool:
        return any(n.startswith("@") for d in self.index for n in d.names())


@dataclass
class Op:
    """One graph.index in the making."""

    axes: list[str]
    reduced: list[str]
    combiner: str | None
    block: Block = field(default_factory=Block)
    inputs: list[SSAValue] = field(default_factory=list)
    accesses: list[graph.Access] = field(default_factory=list)
    known: dict[graph.Access, Scalar] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.scalars = ScalarBuilder(self.block)
        for _ in (*self.axes, *self.reduced):
            self.block.insert_arg(storage(INDEX), 0)


class IndexStatement:
    """One statement in index notation."""

    def __init__(self, emitter: Emitter, frame: Frame, boundary: tree.Name | tree.Call | None):
        self.emitter = emitter
        self.frame = frame
        self.loc = emitter.loc
        self.boundary = self._boundary(boundary)
        self.reads: list[Read] = []
        self.read_of: dict[int, int] = {}
        self.scope_of: dict[int, Scope] = {}
        self.own_of: dict[int, set[str]] = {}
        self.free_in: dict[int, set[str]] = {}
        self.places: dict[str, Loc] = {}
        self.ranges: dict[str, Interval] = {}
        self.reduced: list[str] = []
        self.depth = 0

    def emit(self, axes: Sequence[tree.Name], value: tree.Expr) -> SSAValue:
        scope: Scope = {}
        for axis in axes:
            self.add_axis(axis, scope)
        outer = list(scope.values())
        self.collect(value, scope)
        self.find_ranges(outer)
        if isinstance(value, tree.Reduction):
            return self.reduction(value, outer)
        return self.finish(Op(outer, [], None), value, scope, self.loc(value))

    def _boundary(self, node: tree.Name | tree.Call | None) -> Boundary | None:
        if node is None:
            return None
        name = node.id if isinstance(node, tree.Name) else node.callee.id
        expected = "zero, clamp, wrap, reflect or value(c)"
        if name not in BOUNDARIES or (name == "value") != isinstance(node, tree.Call):
            raise IrkitError(
                f"unknown boundary '{name}'",
                self.loc(node),
                expected=expected,
                hint=nearest(name, BOUNDARIES),
            )
        if isinstance(node, tree.Name):
            return Boundary(name)
        number = (
            self.emitter.expr(node.args[0], self.frame) if len(node.args) == 1 and not node.keywords else None
        )
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise IrkitError("value takes one number", self.loc(node), expected="value(0.5)")
        return Boundary(name, float(number))

    # -- first walk: accesses and axes --------------------------------------------------------------------------

    def add_axis(self, axis: tree.Name, scope: Scope) -> None:
        if axis.id in scope:
            raise IrkitError(f"'{axis.id}' is an axis already", self.loc(axis), hint="choose another name")
        self.emitter.program.check_new_name(axis, in_op=bool(self.emitter.ops))
        base = (
            f"a{axis.id}" if axis.id.startswith("_") else axis.id
        )  # in an index, `_0` is the first gathered place
        name, number = base, 1
        while name in self.places or name in self.emitter.program.ranges:
            number += 1
            name = f"{base}_{number}"
        scope[axis.id] = name
        self.places[name] = self.loc(axis)

    def collect(self, value: tree.Expr, scope: Scope) -> None:
        """Finds every access; a long chain of operators is walked, not recursed into."""
        stack: list[tuple[tree.Expr, Scope, tuple[int, ...]]] = [(value, scope, ())]
        while stack:
            node, names, inside = stack.pop()
            match node:
                case tree.Binary():
                    stack += ((node.right, names, inside), (node.left, names, inside))
                case tree.Unary():
                    stack.append((node.operand, names, inside))
                case tree.Call() | tree.Applied():
                    given = (*node.args, *(k.value for k in node.keywords))
                    stack += [(a, names, inside) for a in reversed(given) if not _is_dtype(a)]
                case tree.Reduction():
                    inner = dict(names)
                    for axis in node.axes:
                        self.add_axis(axis, inner)
                    own = [inner[a.id] for a in node.axes]
                    self.reduced += own
                    self.scope_of[id(node)], self.own_of[id(node)], self.free_in[id(node)] = (
                        inner,
                        set(own),
                        set(),
                    )
                    stack.append((node.body, inner, (*inside, id(node))))
                case tree.Subscript():
                    read = self.access(node, names)
                    self.use(self.axes_of(read), inside)
                case tree.Name() if node.id in names:
                    self.use({names[node.id]}, inside)

    def use(self, axes: set[str], inside: Sequence[int]) -> None:
        """Notes axes as free in the reductions around their use, up to the one that reduces them."""
        for axis in axes:
            for reduction in reversed(inside):
                if axis in self.own_of[reduction]:
                    break
                self.free_in[reduction].add(axis)

    def axes_of(self, read: int) -> set[str]:
        """The axes that an access depends on, through gathered indices too."""
        names = {n for d in self.reads[read].index for n in d.names()}
        for name in [n for n in names if n.startswith("@")]:
            names |= self.axes_of(int(name[1:]))
        return names & self.places.keys()

    def access(self, node: tree.Subscript, scope: Scope) -> int:
        """The number of the read that `x[i, j + 1]` is."""
        tensor = self.emitter.expr(node.base, self.frame)
        if not isinstance(tensor, SSAValue):
            raise IrkitError("only tensors have indices", self.loc(node.base), found=describe(tensor))
        dims = dims_of(tensor.type)
        if len(dims) != len(node.index):
            found = f"{len(node.index)} indices for {type_text(type_of(tensor))}"
            raise IrkitError("wrong number of indices", self.loc(node), found=found, expected=str(len(dims)))
        index: list[Dim] = []
        for part in node.index:
            if isinstance(part, tree.Range):
                raise IrkitError(
                    "no ranges in index notation",
                    self.loc(part),
                    hint="name the axis, or slice in a line before",
                )
            index.append(self.index(part, scope))
        return self.remember(node, Read(tensor, tuple(index), self.loc(node), self.text(node)))

    def remember(self, node: tree.Expr, read: Read) -> int:
        self.read_of[id(node)] = len(self.reads)
        self.reads.append(read)
        return len(self.reads) - 1

    def text(self, node: tree.Expr) -> str:
        return self.emitter.program.module.text[node.span.start : node.span.end]

    def index(self, node: tree.Expr, scope: Scope) -> Dim:
        """An index expression over axes, dims and gathered values."""
        match node:
            case tree.Number() if type(node.value) is int:
                return Dim.of(node.value)
            case tree.Name() if node.id in scope:
                return Dim.of(scope[node.id])
            case tree.Unary() if node.op == "-":
                return -self.index(node.operand, scope)
            case tree.Binary() if node.op in "+-*/%":
                return self.index_operation(node, scope)
            case tree.Subscript():
                number = self.access(node, scope)
                self.check_gathered(self.reads[number].tensor, node)
                return Dim.of(f"@{number}")
            case tree.Name():
                value = self.emitter.look_up(node, self.frame)
                if isinstance(value, SSAValue) and not dims_of(value.type):
                    self.check_gathered(value, node)
                    return Dim.of(f"@{self.remember(node, Read(value, (), self.loc(node), node.id))}")
                if isinstance(value, Dim) or type(value) is int:
                    return Dim.of(value)
        raise IrkitError(
            "this is no index", self.loc(node), expected="axes, dims and integers joined by + - * / %"
        )

    def index_operation(self, node: tree.Binary, scope: Scope) -> Dim:
        a, b = self.index(node.left, scope), self.index(node.right, scope)
        if node.op in "/%" and (b.value is None or b.value <= 0):
            raise IrkitError("an index is divided by a positive number", self.loc(node.right), found=str(b))
        match node.op:
            case "+":
                return a + b
            case "-":
                return a - b
            case "*":
                return a * b
            case "/":
                return a // b
            case _:
                return a % b

    def check_gathered(self, tensor: SSAValue, node: tree.Expr) -> None:
        element = type_of(tensor).element_type
        if not is_integer(element):
            raise IrkitError(
                "an index is an integer",
                self.loc(node),
                found=dtype_name(element),
                hint="cast it: cast(x, i32)",
            )

    # -- ranges -------------------------------------------------------------------------------------------------

    def components(self) -> Iterator[tuple[int, Component]]:
        """The indices that hold no gathered value, with the number of their read."""
        for number, read in enumerate(self.reads):
            for expr, size in zip(read.index, dims_of(read.tensor.type), strict=True):
                if not any(n.startswith("@") for n in expr.names()):
                    yield number, Component(expr, size, read.text, read.loc)

    def find_ranges(self, outer: Sequence[str]) -> None:
        symbols = self.emitter.program.ranges
        components = [c for _, c in self.components()]
        try:
            self.ranges = solve([*self.reduced, *outer], components, symbols, self.boundary is not None)
        except Unsolvable as fault:
            name = str(fault)
            hint = f"use it alone in an index, as in x[{name}]"
            raise IrkitError(f"the range of '{name}' is not known", self.places[name], hint=hint) from None
        for axis, (low, _) in self.ranges.items():
            if low.value is None:
                raise IrkitError(f"'{axis}' does not start at a number", self.places[axis], found=str(low))
        if self.boundary is None or self.boundary.kind == "reflect":
            for _, c in self.components():
                if not stays_inside(c, self.ranges, symbols, mirrored=self.boundary is not None):
                    raise self.out_of_range(c)

    def out_of_range(self, c: Component) -> IrkitError:
        """The error for an access that may leave its tensor."""
        axes = sorted(c.expr.names() & self.ranges.keys())
        return IrkitError(
            f"{c.text} may be out of range",
            c.loc,
            found=", ".join([f"index {c.expr}", *(f"{n} in {self.range_text(n)}" for n in axes)]),
            expected=f"0 to {c.size - 1}" if self.boundary is None else f"{1 - c.size} to {2 * c.size - 2}",
            hint="state a boundary: ..., boundary=zero" if self.boundary is None else "reflect mirrors once",
        )

    def range_text(self, axis: str) -> str:
        low, high = self.ranges[axis]
        return f"{low}..{high}"

    # -- second walk: ops ---------------------------------------------------------------------------------------

    def finish(self, op: Op, value: tree.Expr, scope: Scope, loc: Loc) -> SSAValue:
        """Emits a graph.index with a body."""
        result = self.scalar(value, op, scope)
        if not isinstance(result, Scalar):
            raise IrkitError(
                "numbers alone have no dtype", self.loc(value), hint="give one a dtype: cast(2, f32)"
            )
        if op.combiner is not None and not (
            is_integer(result.element)
            or (dtype_name(result.element)[0] in "fb" and result.element != DTYPES["bool"])
        ):
            raise IrkitError(
                f"{op.combiner} takes numbers",
                self.loc(value),
                found=dtype_name(result.element),
                hint="cast(x, i32)",
            )
        op.block.add_op(graph.YieldOp(op.scalars.stored(result, loc)))
        extents = {a: self.ranges[a][1] - self.ranges[a][0] for a in (*op.axes, *op.reduced)}
        built = graph.IndexOp(
            op.inputs,
            [(a, extents[a]) for a in op.axes],
            op.accesses,
            result.element,
            Region(op.block),
            op.combiner,
            [(a, extents[a]) for a in op.reduced],
        )
        last = op.block.last_op
        assert last is not None
        last.location = loc.attr()
        return self.emitter.builder.add(built, loc).results[0]

    def reduction(self, node: tree.Reduction, axes: Sequence[str]) -> SSAValue:
        scope = self.scope_of[id(node)]
        own = [scope[a.id] for a in node.axes]
        return self.finish(Op(list(axes), own, node.kind), node.body, scope, self.loc(node))

    def scalar(self, node: tree.Expr, op: Op, scope: Scope) -> Scalar | Number:
        """The value of an expression at one point. Raises IrkitError."""
        self.depth += 1
        try:
            if self.depth > MAX_DEPTH:
                raise IrkitError("this is nested too deeply", self.loc(node), hint="give a part of it a name")
            return self.scalar_of(node, op, scope)
        finally:
            self.depth -= 1

    def scalar_of(self, node: tree.Expr, op: Op, scope: Scope) -> Scalar | Number:
        loc = self.loc(node)
        match node:
            case tree.Number():
                return node.value
            case tree.Subscript() if id(node) in self.read_of:
                return self.read(self.read_of[id(node)], op)
            case tree.Name() if node.id in scope:
                return self.axis_value(scope[node.id], op, loc)
            case tree.Name():
                return self.name(node, op)
            case tree.Unary():
                value = self.scalar(node.operand, op, scope)
                if not isinstance(value, Scalar):
                    return folding.prefix(node.op, value, loc)
                return op.scalars.unary(operators.prefix(node.op, value.element), value, loc)
            case tree.Binary():
                return self.binary(node, op, scope)
            case tree.Call():
                return self.call(node, op, scope)
            case tree.Applied():
                fault = f"'{tree.text_of(node.function)}' does not work on elements"
                raise IrkitError(fault, loc, hint="call it in a line before, and index the result")
            case tree.Reduction() if id(node) in self.free_in:
                axes = [a for a in self.places if a in self.free_in[id(node)]]
                tensor = self.reduction(node, axes)
                return self.read_tensor(tensor, tuple(map(Dim.of, axes)), Boundary("none"), op, loc)
            case tree.Subscript() | tree.Reduction():  # in the formula of an op, which has elements already
                raise IrkitError("this does not work on elements", loc, hint=HINT)
        raise IrkitError("this is no number", loc, expected="a number or an element of a tensor")

    def binary(self, node: tree.Binary, op: Op, scope: Scope) -> Scalar | Number:
        if (known := compared(node, self.frame)) is not None:
            return known
        chain = [node]
        while isinstance(left := chain[-1].left, tree.Binary) and compared(left, self.frame) is None:
            chain.append(left)
        value = self.scalar(chain[-1].left, op, scope)
        for link in reversed(chain):
            value = self.infix(link, value, self.scalar(link.right, op, scope), op)
        return value

    def infix(
        self, node: tree.Binary, left: Scalar | Number, right: Scalar | Number, op: Op
    ) -> Scalar | Number:
        loc = self.loc(node)
        if node.op == "@":
            raise IrkitError("@ multiplies tensors", loc, hint="in index notation: sum(k) a[i, k] * b[k, j]")
        if not isinstance(left, Scalar) and not isinstance(right, Scalar):
            return folding.fold(node.op, left, right, loc)
        a, b = op.scalars.agree([left, right], loc)
        if node.op in operators.COMPARISONS:
            return op.scalars.compare(operators.COMPARISONS[node.op], a, b, loc)
        return op.scalars.binary(operators.infix(node.op, a.element), a, b, loc)

    def call(self, node: tree.Call, op: Op, scope: Scope) -> Scalar | Number:
        name = ALIASES.get(node.callee.id, node.callee.id)
        loc = self.loc(node)
        if (decl := self.emitter.program.ops.get(node.callee.id)) is not None:
            return call_on_elements(self, decl, node, op, scope)
        counts = {"cast": 2, "where": 3} | dict.fromkeys(UNARY, 1) | dict.fromkeys(BINARY, 2)
        if name not in counts:
            hint = (
                nearest(name, [*counts, *self.emitter.program.ops])
                or "call it in a line before, and index the result"
            )
            raise IrkitError(f"'{name}' does not work on elements", self.loc(node.callee), hint=hint)
        if len(node.args) != counts[name] or node.keywords:
            raise IrkitError(
                f"wrong arguments for {name}", loc, found=str(len(node.args)), expected=str(counts[name])
            )
        if name == "cast":
            return self.cast(node, op, scope)
        args = [self.scalar(a, op, scope) for a in node.args]
        if not any(isinstance(a, Scalar) for a in args) and name in folding.FUNCTIONS:
            return folding.call(name, [a for a in args if not isinstance(a, Scalar)], loc)
        if name == "where":
            (condition,), (a, b) = op.scalars.agree(args[:1], loc), op.scalars.agree(args[1:], loc)
            return op.scalars.where(condition, a, b, loc)
        values = op.scalars.agree(args, loc)
        if len(values) == 1:
            return op.scalars.unary(name, values[0], loc)
        return op.scalars.binary(name, values[0], values[1], loc)

    def cast(self, node: tree.Call, op: Op, scope: Scope) -> Scalar:
        value, dtype = self.scalar(node.args[0], op, scope), node.args[1]
        if (name := dtype_of(dtype, self.frame)) is None:
            raise IrkitError("cast takes a dtype", self.loc(dtype), expected=", ".join(DTYPES))
        element = DTYPES[name]
        if not isinstance(value, Scalar):
            return op.scalars.number(value, element, self.loc(node))
        return op.scalars.cast(value, element, self.loc(node))

    # -- leaves -------------------------------------------------------------------------------------------------

    def name(self, node: tree.Name, op: Op) -> Scalar | Number:
        value = self.emitter.look_up(node, self.frame)
        if not isinstance(value, SSAValue):
            return value
        if dims_of(value.type):
            hint = f"give it indices: {node.id}[{', '.join('ijkl'[: len(dims_of(value.type))])}]"
            raise IrkitError(
                f"'{node.id}' has no indices here", self.loc(node), found=describe(value), hint=hint
            )
        return self.read_tensor(value, (), Boundary("none"), op, self.loc(node))

    def axis_value(self, axis: str, op: Op, loc: Loc) -> Scalar:
        """The index along an axis, as the text counts it."""
        position = len(op.accesses) + [*op.axes, *op.reduced].index(axis)
        low = self.ranges[axis][0].value
        value: SSAValue = op.block.args[position]
        if low:
            value = op.scalars.binary(
                "add", Scalar(value, INDEX), op.scalars.number(low, INDEX, loc), loc
            ).value
        return Scalar(value, INDEX, weak=True)

    def read(self, number: int, op: Op) -> Scalar:
        """Reads an access, after the accesses that its indices are gathered by."""
        read = self.reads[number]
        values: dict[str, Dim] = {a: Dim.of(a) + low for a, (low, _) in self.ranges.items() if low != ZERO}
        for name in sorted({n for d in read.index for n in d.names() if n.startswith("@")}):
            self.read(int(name[1:]), op)
            values[name] = Dim.of(f"_{op.accesses.index(self.access_of(int(name[1:]), op))}")
        index = tuple(d.subst(values) for d in read.index)
        return self.read_tensor(read.tensor, index, self.outside(number), op, read.loc)

    def access_of(self, number: int, op: Op) -> graph.Access:
        """The access of a read that this op has made."""
        scalar = self.read(number, op)
        return next(a for a, s in op.known.items() if s is scalar)

    def outside(self, number: int) -> Boundary:
        """What an access needs: nothing where it is proved to stay inside; gathered indices are clamped."""
        read = self.reads[number]
        if read.gathers:  # without a boundary, the index that comes from a tensor is clamped
            return self.boundary or Boundary("none")
        mine = [c for n, c in self.components() if n == number]
        if self.boundary is None or all(
            stays_inside(c, self.ranges, self.emitter.program.ranges) for c in mine
        ):
            return Boundary("none")
        return self.boundary

    def read_tensor(
        self, tensor: SSAValue, index: tuple[Dim, ...], boundary: Boundary, op: Op, loc: Loc
    ) -> Scalar:
        """An element as a value of the body; the same access twice is one."""
        element: Attribute = type_of(tensor).element_type
        if boundary.kind == "value":
            fitting(boundary.value, element, loc)
        if tensor not in op.inputs:
            op.inputs.append(tensor)
        access = graph.Access(op.inputs.index(tensor), index, boundary.kind, boundary.value)
        if access not in op.known:
            arg = op.block.insert_arg(storage(element), len(op.accesses))
            op.accesses.append(access)
            op.known[access] = op.scalars.read(arg, element, loc)
        return op.known[access]


def _is_dtype(node: tree.Expr) -> bool:
    return isinstance(node, tree.Name) and node.id in DTYPES
