"""From the syntax tree to the graph dialect: names, types, functions, statements.

One entry function is emitted; the functions that it calls are inlined. Errors are collected statement by statement: a
name whose statement failed is marked bad, and what uses it is skipped silently, so that each fault is told once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, ModuleOp, StringAttr, UnitAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Region, SSAValue

from dialects import graph
from dialects.dims import Dim
from dialects.errors import ErrorList, IrkitError, Loc
from dialects.graph.ranges import least
from dialects.syntax import SymbolsAttr
from dialects.types import DTYPES, AnyTensor, dims_of, tensor, type_text
from irkit.diagnostics import nearest
from irkit.lang import folding, operators, tree
from irkit.lang.builder import Builder, Value, describe, type_of
from irkit.lang.calls import emit_call, emit_subscript, known_value
from irkit.lang.control import emit_structure
from irkit.lang.custom import emit_custom
from irkit.lang.indexing import emit_index, has_reduction
from irkit.lang.program import Program, source_text
from irkit.lang.quantised import quant_type
from irkit.lang.transforms import Function, Made, made_function, without_idle_states
from irkit.lang.words import compared

MAX_CALLS = 100
MAX_INLINED = 10_000
MAX_NESTING = 200
MAX_ERRORS = 50


def to_graph(module: tree.Module, fn: str | None = None, dims: Mapping[str, int] | None = None) -> ModuleOp:
    """The graph of one function of a file; raises ErrorList.

    fn names the function: by default `main`, or else the last of the file. dims overrides the values of dims.
    """
    program = Program(module, dims or {})
    emitter = Emitter(program)
    entry = program.entry(fn)
    func = emitter.entry_of(entry) if entry is not None else None
    emitter.check_others()
    if program.errors or func is None:
        raise ErrorList(program.sorted_errors())
    out = ModuleOp([func])
    out.location = Loc(module.filename, 1, 1).attr()
    return out


class Skip(Exception):
    """The fault was reported where it arose; what depends on it is skipped."""


class Bad:
    """Stands for the value of a name whose statement failed."""


BAD = Bad()
Binding: TypeAlias = "Value | Bad"


@dataclass
class Frame:
    """The names of a function body, or of a loop inside it.

    locked are names of the function around a loop, which the loop may read but not assign; words are, in an op, the names
    of what is no number: settings, dtype variables, and `...`.
    """

    dims: dict[str, Dim]
    names: dict[str, Binding] = field(default_factory=dict)
    locked: frozenset[str] = frozenset()
    in_loop: bool = False
    words: dict[str, object] = field(default_factory=dict)


class Emitter:
    """Walks the tree and appends graph ops."""

    def __init__(self, program: Program):
        self.program = program
        self.loc = program.module.loc
        self.entry_block = Block()
        self.builder = Builder(self.entry_block, program.ranges)
        self.calls: list[str] = []
        self.ops: list[str] = []
        """The ops of the file whose formulas are being emitted."""
        self.inlined = 0
        self.structures = 0
        self.reached: set[str] = set()
        self.params: dict[str, SSAValue] = {}
        self.depth = 0

    # -- functions ----------------------------------------------------------------------------------------------

    def entry_of(self, decl: tree.FnDecl | tree.FnMade, emits: bool = True) -> FuncOp | None:
        """The func.func of a function by its declaration; None where it cannot be had."""
        with self.reporting():
            return self.entry(self.program.function(decl.name.id, decl), emits)
        return None

    def entry(self, fn: Function, emits: bool = True) -> FuncOp | None:
        """The func.func of a function: inputs, then the parameters that it uses, as declared.

        A function that is only checked takes its parameters as it meets them.
        """
        block = self.entry_block = Block()
        self.params = {}
        self.builder = Builder(block, self.program.ranges)
        frame = Frame(dict(self.program.dims))
        count = len(self.program.errors)
        attrs: list[dict[str, Attribute]] = []
        for item in fn.inputs:
            with self.reporting():
                frame.names[item.name.id] = BAD
                if emits:  # inputs and parameters stand side by side in the program's interface
                    self.program.check_new_name(item.name)
                self.program.bind_overrides(item.type, frame.dims)
                arg = block.insert_arg(self.type(item.type, frame), len(block.args))
                arg.name_hint = item.name.id
                frame.names[item.name.id] = arg
                kind = "state" if isinstance(fn, Made) and item.name.id in fn.states else "input"
                attrs.append(self.arg_attrs(item, kind, item.default))
        self.program.reject_unused_overrides(frame.dims)
        inputs = len(block.args)
        for param in self.program.params.values() if emits else ():
            with self.reporting():
                self.param(param)
                attrs.append(self.arg_attrs(param, "param", param.init))
        for result in fn.results if emits and not isinstance(fn, Made) else ():
            if result.name:
                with self.reporting():
                    self.program.check_new_name(tree.Name(result.name, result.span))
        results: list[SSAValue] | None = None
        with self.reporting():
            results = self.inlined_results(fn, frame, fn.name)
        if results is None or len(self.program.errors) > count or not emits:
            return None
        idle: set[str] = set()
        if isinstance(fn, Made):
            fn, results, idle = without_idle_states(fn, block.args, results)
        kept = [
            (a.index < inputs and a.name_hint not in idle) or a.first_use is not None or a in results
            for a in block.args
        ]
        attrs = [a for a, keep in zip(attrs, kept, strict=True) if keep]
        for arg, keep in zip(list(block.args), kept, strict=True):
            if not keep:
                block.erase_arg(arg)
        return self.func(fn, block, attrs, results)

    def func(
        self, fn: Function, block: Block, attrs: list[dict[str, Attribute]], results: list[SSAValue]
    ) -> FuncOp:
        self.builder.add(ReturnOp(*results), self.loc(fn.node if isinstance(fn, Made) else fn.body[-1]))
        names = result_names(fn, {a.name_hint for a in block.args if a.name_hint})
        facts: list[dict[str, Attribute]] = [{"graph.name": StringAttr(n)} for n in names]
        updates = fn.updates if isinstance(fn, Made) else ()
        for fact, updated in zip(facts, updates, strict=False):
            if updated is not None:
                fact["graph.updates"] = StringAttr(updated)
                own = next(a for a in attrs if a["graph.name"] == StringAttr(updated))
                own["graph.donated"] = UnitAttr()
        func = FuncOp(
            fn.name.id,
            ([a.type for a in block.args], [r.type for r in results]),
            Region(block),
            arg_attrs=ArrayAttr([DictionaryAttr(a) for a in attrs]),
            res_attrs=ArrayAttr([DictionaryAttr(f) for f in facts]),
        )
        symbols = self.program.used_symbols(func)
        if symbols:
            func.attributes["graph.symbols"] = SymbolsAttr(symbols)
        func.location = self.loc(fn.name).attr()
        return func

    def param(self, decl: tree.ParamDecl) -> SSAValue:
        """Makes a parameter an argument of the entry function."""
        arg = self.entry_block.insert_arg(
            self.type(decl.type, Frame(self.program.dims)), len(self.entry_block.args)
        )
        arg.name_hint = decl.name.id
        self.params[decl.name.id] = arg
        return arg

    def arg_attrs(
        self, item: tree.Input | tree.ParamDecl, kind: str, init: tree.Expr | None
    ) -> dict[str, Attribute]:
        attrs: dict[str, Attribute] = {"graph.name": StringAttr(item.name.id), "graph.kind": StringAttr(kind)}
        if init is not None:
            if item.type.quant is not None and not (isinstance(init, tree.Call) and init.callee.id == "load"):
                raise IrkitError(
                    f"'{item.name.id}' holds stored numbers, and no numbers that are expressed",
                    self.loc(init),
                    expected='load("weights.safetensors", "w") of integers',
                    hint="declare it as f32 and quantise it where it is used: cast(x, quant(...))",
                )
            attrs["graph.source"] = StringAttr(source_text(self.program, init))
            attrs["graph.loc"] = self.loc(item).attr()
        return attrs

    def check_others(self) -> None:
        """Reports the errors of functions that the entry does not reach and whose types are known."""
        for decl in self.program.functions.values():
            if decl.name.id in self.reached or len(self.program.errors) > MAX_ERRORS:
                continue
            with self.reporting():
                fn = self.program.function(decl.name.id, decl)
                names = {n for item in (*fn.inputs, *fn.results) for d in item.type.dims for n in d.names()}
                if names <= self.program.dims.keys():
                    self.entry(fn, emits=False)

    def inlined_results(self, fn: Function, frame: Frame, place: tree.Node) -> list[SSAValue]:
        """The results of a function whose inputs have values. Raises IrkitError, or Skip for a fault of its body."""
        self.check_no_recursion(fn.name.id, place)
        count = len(self.program.errors)
        if isinstance(fn, Made):
            args = [self.look_up(item.name, frame) for item in fn.inputs]
            self.reached.add(fn.name.id)
            self.calls.append(fn.name.id)
            try:
                results = fn.emit(self, [a for a in args if isinstance(a, SSAValue)])
            finally:
                self.calls.pop()
        else:
            results = self.body(fn, frame)
        if results is None or len(self.program.errors) > count:
            raise Skip
        return list(results)

    def apply(self, fn: Function, args: Sequence[Value], node: tree.Call | tree.Applied) -> list[SSAValue]:
        """The results of a function on values. Raises IrkitError or Skip."""
        return self.call_on(fn, [(a, node.callee) for a in args], node)

    def call_on(
        self, fn: Function, args: Sequence[tuple[Value, tree.Expr]], node: tree.Call | tree.Applied
    ) -> list[SSAValue]:
        inner = Frame(dict(self.program.dims))
        for item, (value, place) in zip(fn.inputs, args, strict=True):
            inner.names[item.name.id] = self.checked_argument(fn, item, value, place, inner)
        return self.inlined_results(fn, inner, node)

    def check_no_recursion(self, name: str, place: tree.Node) -> None:
        if name in self.calls:
            way = " -> ".join([*self.calls[self.calls.index(name) :], name])
            hint = "functions are inlined; a for loop repeats"
            raise IrkitError(f"'{name}' calls itself", self.loc(place), found=way, hint=hint)

    def body(self, fn: tree.FnDecl | tree.OpDecl, frame: Frame) -> list[SSAValue] | None:
        """Emits the statements of a function or an op; its results, or None where they cannot be had."""
        if len(self.calls) >= MAX_CALLS:
            raise IrkitError(
                "calls are nested too deeply", self.loc(fn.name), expected=f"at most {MAX_CALLS} levels"
            )
        self.inlined += 1
        if self.inlined > MAX_INLINED:
            raise IrkitError(
                "functions call functions too often",
                self.loc(fn.name),
                found=" -> ".join([*self.calls, fn.name.id]),
                expected=f"at most {MAX_INLINED} calls; each is inlined",
                hint="a for loop repeats",
            )
        self.reached.add(fn.name.id)
        self.calls.append(fn.name.id)
        try:
            return self.statements_of(fn, frame)
        finally:
            self.calls.pop()

    def statements_of(self, fn: tree.FnDecl | tree.OpDecl, frame: Frame) -> list[SSAValue] | None:
        results: list[SSAValue] | None = None
        for i, statement in enumerate(fn.body):
            if isinstance(statement, tree.Return):
                with self.reporting():
                    results = self.returned(fn, statement, frame)
                if i + 1 < len(fn.body):
                    self.error("this is never reached", fn.body[i + 1], hint="return ends the function")
                return results
            self.statement(statement, frame)
        types = ", ".join(str(r.type) for r in fn.results) or "..."
        self.error(f"'{fn.name.id}' does not return", fn.end, expected=f"return {types}")
        return None

    def returned(self, fn: tree.FnDecl | tree.OpDecl, statement: tree.Return, frame: Frame) -> list[SSAValue]:
        """The returned values, checked against the declared types; an op may declare none."""
        values: list[tuple[Value, tree.Expr]] = []
        for node in statement.values:
            values += [(v, node) for v in self.several(node, frame)]
        if not fn.results:
            return self.agree([v for v, _ in values], [n for _, n in values])
        if len(values) != len(fn.results):
            raise IrkitError(
                f"'{fn.name.id}' returns the wrong number of results",
                self.loc(statement),
                found=str(len(values)),
                expected=f"{len(fn.results)}: {', '.join(str(r.type) for r in fn.results)}",
            )
        out: list[SSAValue] = []
        for (value, node), declared in zip(values, fn.results, strict=True):
            with self.reporting():
                want = self.type(declared.type, frame)
                if not isinstance(value, SSAValue):
                    value = self.builder.number(value, want.element_type, self.loc(node))
                if value.type != want:
                    raise IrkitError(
                        f"'{fn.name.id}' returns another type than it declares",
                        self.loc(node),
                        found=type_text(type_of(value)),
                        expected=f"{type_text(want)}, declared in line {self.loc(declared).line}",
                        hint=difference(type_of(value), want),
                    )
                out.append(value)
        if len(out) < len(values):
            raise Skip
        return out

    # -- statements ---------------------------------------------------------------------------------------------

    def statement(self, node: tree.Statement, frame: Frame) -> None:
        match node:
            case tree.Assign():
                self.assign(node, frame)
            case tree.IndexAssign():
                with self.reporting():
                    try:
                        value = emit_index(self, node.axes, node.value, node.boundary, frame)
                        self.schedule(node.schedule, [value])
                    except (IrkitError, Skip):
                        self.mark_bad([node.target], frame)
                        raise
                    self.bind(node.target, value, frame)
            case tree.For() | tree.While() | tree.If():
                with self.reporting():
                    emit_structure(self, node, frame)
            case tree.Return():
                self.error(
                    "return inside a loop or a choice",
                    node,
                    hint="carry the value (with ...) and return it after",
                )

    def assign(self, node: tree.Assign, frame: Frame) -> None:
        with self.reporting():
            try:
                if has_reduction(node.value):
                    values: list[Value] = [emit_index(self, (), node.value, None, frame)]
                else:
                    values = self.several(node.value, frame)
                self.schedule(node.schedule, values)
                if len(values) != len(node.targets):
                    raise IrkitError(
                        "the number of names and of values differ",
                        self.loc(node),
                        found=f"{len(values)} values",
                        expected=f"{len(node.targets)} for {', '.join(t.id for t in node.targets)}",
                    )
            except (IrkitError, Skip):
                self.mark_bad(node.targets, frame)
                raise
            for target, value in zip(node.targets, values, strict=True):
                self.bind(target, value, frame)

    def schedule(self, node: tree.Text | None, values: Sequence[Value]) -> None:
        """Gives the op that a statement ends with a schedule for its kernel."""
        if node is None:
            return
        owner = values[0].owner if values and isinstance(values[0], SSAValue) else None
        if not isinstance(owner, graph.GraphOp | graph.IndexOp | graph.CustomOp):
            hint = "y = x @ w, schedule=..."
            raise IrkitError(
                "a schedule stands on an op", self.loc(node), expected="the result of an op", hint=hint
            )
        directives = [part.strip() for part in node.value.split(";") if part.strip()]
        if not directives:
            raise IrkitError("an empty schedule", self.loc(node), expected='"tile i 8; vector j 16"')
        owner.attributes["graph.schedule"] = ArrayAttr([StringAttr(d) for d in directives])

    def mark_bad(self, names: Sequence[tree.Name], frame: Frame) -> None:
        for name in names:
            frame.names[name.id] = BAD

    def bind(self, target: tree.Name, value: Value, frame: Frame) -> None:
        """Gives a name its value."""
        known = frame.names.get(target.id)
        if known is None or known is BAD:
            frame.names[target.id] = BAD
            self.program.check_new_name(target, in_op=bool(self.ops))
        if target.id in frame.locked:
            raise IrkitError(
                f"'{target.id}' belongs to what is around",
                self.loc(target),
                hint=f"carry it: with {target.id} {{ ... }}, or take another name",
            )
        if isinstance(value, SSAValue) and value.name_hint is None:
            value.name_hint = target.id
        frame.names[target.id] = value

    def integer(self, node: tree.Expr, frame: Frame) -> Value:
        """The value of an expression; among integers and dims, division rounds down and gives a Dim."""
        if not isinstance(node, tree.Binary):
            value = self.expr(node, frame)
            return Dim.of(value) if type(value) is int else value
        left, right = self.integer(node.left, frame), self.integer(node.right, frame)
        if isinstance(left, Dim) and isinstance(right, Dim):
            return folding.fold_integer(node.op, left, right, self.loc(node))
        known = [v.value if isinstance(v, Dim) and v.value is not None else v for v in (left, right)]
        return self.infix(node, *known)

    # -- expressions --------------------------------------------------------------------------------------------

    def several(self, node: tree.Expr, frame: Frame) -> list[Value]:
        """The values of an expression; a call may give several."""
        if isinstance(node, tree.Call | tree.Applied):
            return self.call(node, frame)
        return [self.expr(node, frame)]

    def expr(self, node: tree.Expr, frame: Frame) -> Value:
        """The one value of an expression. Raises IrkitError or Skip."""
        self.depth += 1
        try:
            if self.depth > MAX_NESTING:
                raise IrkitError("this is nested too deeply", self.loc(node), hint="give a part of it a name")
            match node:
                case tree.Number():
                    return node.value
                case tree.Name():
                    return self.look_up(node, frame)
                case tree.Binary():
                    return self.binary(node, frame)
                case tree.Call() | tree.Applied():
                    return self.single(node, frame)
                case tree.Unary():
                    return self.prefix(node, self.expr(node.operand, frame))
                case tree.Subscript():
                    return emit_subscript(self, node, frame)
                case tree.Reduction():
                    hint = (
                        f"give it a line of its own: y[i] = {node.kind}(...) ..., or s = {node.kind}(...) ..."
                    )
                    raise IrkitError("index notation inside another expression", self.loc(node), hint=hint)
                case _:
                    what = "a string" if isinstance(node, tree.Text) else "a list"
                    raise IrkitError(
                        f"{what} is no tensor",
                        self.loc(node),
                        hint=None if what == "a string" else "constant([1, 2], f32) makes one",
                    )
        finally:
            self.depth -= 1

    def single(self, node: tree.Call | tree.Applied, frame: Frame) -> Value:
        values = self.call(node, frame)
        if len(values) == 1:
            return values[0]
        hint = "take them apart first: a, b = f(x)"
        raise IrkitError(
            f"'{node.callee.id}' gives {len(values)} results", self.loc(node), expected="one", hint=hint
        )

    def look_up(self, name: tree.Name, frame: Frame) -> Value:
        """The value that a name has here: a local name, a parameter, or a dim."""
        value = frame.names.get(name.id)
        if isinstance(value, Bad):
            raise Skip
        if value is not None:
            return value
        if name.id in frame.words:
            raise IrkitError(
                f"'{name.id}' is no tensor", self.loc(name), found=word_text(frame.words[name.id])
            )
        if name.id in self.program.params:
            return self.param_value(name.id, name)
        if name.id in frame.dims:
            return folding.simplified(frame.dims[name.id])
        known = [*frame.names, *self.program.params, *frame.dims]
        hint = nearest(name.id, known)
        if name.id in self.program.functions or name.id in self.program.ops or name.id in graph.OPS:
            hint = f"'{name.id}' is a function: {name.id}(...)"
        raise IrkitError(f"unknown name '{name.id}'", self.loc(name), hint=hint)

    def param_value(self, name: str, node: tree.Node) -> SSAValue:
        """The value of a parameter here. Raises IrkitError."""
        if self.ops:
            raise IrkitError(
                f"an op cannot read the parameter '{name}'",
                self.loc(node),
                hint=f"make it an operand: {self.ops[-1]}(..., {name})",
            )
        return self.params.get(name) or self.param(self.program.params[name])

    def binary(self, node: tree.Binary, frame: Frame) -> Value:
        """An infix operator; a long chain of them leans to the left and is walked, not recursed into."""
        if (known := compared(node, frame)) is not None:
            return known
        chain = [node]
        while isinstance(left := chain[-1].left, tree.Binary) and compared(left, frame) is None:
            chain.append(left)
        value = self.expr(chain[-1].left, frame)
        for link in reversed(chain):
            value = self.infix(link, value, self.expr(link.right, frame))
        return value

    def prefix(self, node: tree.Unary, value: Value) -> Value:
        """`-x`, `~x`."""
        loc = self.loc(node)
        if isinstance(value, SSAValue):
            return self.builder.one(operators.prefix(node.op, type_of(value).element_type), [value], loc)
        return folding.prefix(node.op, value, loc)

    def infix(self, node: tree.Binary, left: Value, right: Value) -> Value:
        loc = self.loc(node)
        if not isinstance(left, SSAValue) and not isinstance(right, SSAValue):
            return folding.fold(node.op, left, right, loc)
        if node.op == "@":
            for side, value in ((node.left, left), (node.right, right)):
                if not isinstance(value, SSAValue):
                    raise IrkitError(
                        "@ multiplies tensors", self.loc(side), found=describe(value), hint="use *"
                    )
        left, right = self.agree([left, right], [node.left, node.right])
        if node.op in operators.COMPARISONS:
            return self.builder.one("compare", [left, right], loc, pred=operators.COMPARISONS[node.op])
        return self.builder.one(operators.infix(node.op, type_of(left).element_type), [left, right], loc)

    def agree(self, values: Sequence[Value], nodes: Sequence[tree.Expr]) -> list[SSAValue]:
        """Gives numbers the dtype of the tensors beside them. Raises IrkitError where there is no tensor."""
        tensors = [v for v in values if isinstance(v, SSAValue)]
        if not tensors:
            raise IrkitError(
                "numbers alone have no dtype", self.loc(nodes[0]), hint="give one a dtype: cast(2, f32)"
            )
        element = type_of(tensors[0]).element_type
        return [
            v if isinstance(v, SSAValue) else self.builder.number(v, element, self.loc(n))
            for v, n in zip(values, nodes, strict=True)
        ]

    # -- calls --------------------------------------------------------------------------------------------------

    def call(self, node: tree.Call | tree.Applied, frame: Frame) -> list[Value]:
        """The results of a call of a function of the file, of one that is made in place, or of an op."""
        if isinstance(node, tree.Call) and (op := self.program.ops.get(node.callee.id)) is not None:
            return emit_custom(self, op, node, frame)
        if isinstance(node, tree.Applied):
            fn = made_function(self.program, node.function)
        elif node.callee.id in self.program.functions:
            fn = self.program.function(node.callee.id, node)
        else:
            return emit_call(self, node, frame)
        return list(self.call_on(fn, self.arguments(fn, node, frame), node))

    def arguments(
        self, fn: Function, node: tree.Call | tree.Applied, frame: Frame
    ) -> list[tuple[Value, tree.Expr]]:
        """The arguments of a call in the order of the function's inputs."""
        given: dict[str, tree.Expr] = {}
        names = [i.name.id for i in fn.inputs]
        expected = f"{fn.name.id}({', '.join(f'{i.name.id}: {i.type}' for i in fn.inputs)})"
        if len(node.args) > len(names):
            found = f"{len(node.args)} arguments"
            raise IrkitError(
                f"too many arguments for '{fn.name.id}'", self.loc(node), found=found, expected=expected
            )
        given.update(zip(names, node.args, strict=False))
        for keyword in node.keywords:
            if keyword.name not in names:
                hint = nearest(keyword.name, names)
                message = f"'{fn.name.id}' has no input '{keyword.name}'"
                raise IrkitError(message, self.loc(keyword), expected=expected, hint=hint)
            if keyword.name in given:
                raise IrkitError(f"'{keyword.name}' is given twice", self.loc(keyword), expected=expected)
            given[keyword.name] = keyword.value
        given |= {
            i.name.id: i.default
            for i in fn.inputs
            if i.name.id not in given and isinstance(i.default, tree.Number)
        }
        if missing := [n for n in names if n not in given]:
            message = f"'{fn.name.id}' needs {', '.join(repr(m) for m in missing)}"
            raise IrkitError(message, self.loc(node), expected=expected)
        return [(self.expr(given[n], frame), given[n]) for n in names]

    def checked_argument(
        self, fn: Function, item: tree.Input, value: Value, place: tree.Expr, inner: Frame
    ) -> SSAValue:
        """An argument of the declared type; dims that only the function names take their size from it."""
        if not isinstance(value, SSAValue):
            want = self.type(item.type, inner)
            if dims_of(want):
                message = f"'{item.name.id}' of '{fn.name.id}' is a tensor"
                raise IrkitError(message, self.loc(place), found=describe(value), expected=str(item.type))
            return self.builder.number(value, want.element_type, self.loc(place))
        actual = type_of(value)
        if len(item.type.dims) != len(dims_of(actual)):
            raise IrkitError(
                f"'{item.name.id}' of '{fn.name.id}' has another rank",
                self.loc(place),
                found=type_text(actual),
                expected=str(item.type),
            )
        for declared, size in zip(item.type.dims, dims_of(actual), strict=True):
            name = str(declared)
            if name not in inner.dims and declared.names() == {name}:
                inner.dims[name] = size
        want = self.type(item.type, inner)
        if actual != want:
            raise IrkitError(
                f"'{item.name.id}' of '{fn.name.id}' has another type",
                self.loc(place),
                found=type_text(actual),
                expected=type_text(want)
                + ("" if str(item.type) == type_text(want) else f", declared as {item.type}"),
                hint=difference(actual, want),
            )
        return value

    # -- types and errors ---------------------------------------------------------------------------------------

    def type(self, node: tree.TypeRef, frame: Frame) -> AnyTensor:
        """The tensor type that a type in the text means here. Raises IrkitError."""
        dims: list[Dim] = []
        for dim in node.dims:
            if dim == tree.REST:
                dims += self.leading(frame, node)
                continue
            if unknown := sorted(dim.names() - frame.dims.keys()):
                hint = nearest(unknown[0], frame.dims) or f"declare it: dim {unknown[0]} = 32"
                raise IrkitError(f"unknown dim '{unknown[0]}'", self.loc(node), hint=hint)
            size = dim.subst(frame.dims)
            if least(size, self.program.ranges) < 0:
                raise IrkitError(
                    "a dim may be negative here",
                    self.loc(node),
                    found=f"{dim} = {size}" if str(dim) != str(size) else str(dim),
                )
            dims.append(size)
        if node.quant is not None:
            element = quant_type(node.quant, lambda n: known_value(self, n, frame), self.loc)
            if (fault := element.misfit(dims)) is not None:
                raise IrkitError(fault.message, self.loc(node), found=fault.found, expected=fault.expected)
            return tensor(element, dims)
        dtype = frame.words.get(node.dtype, node.dtype)
        if dtype not in DTYPES:
            hint = f"give it to an operand: x: {node.dtype}[...]"
            raise IrkitError(f"the dtype '{node.dtype}' is not known", self.loc(node), hint=hint)
        return tensor(str(dtype), dims)

    def leading(self, frame: Frame, node: tree.Node) -> list[Dim]:
        """What `...` stands for in an op. Raises IrkitError."""
        dims = frame.words.get("...")
        if not isinstance(dims, list):
            hint = "an op has them from an operand: op f(x: T[..., N])"
            raise IrkitError("'...' stands for no dims here", self.loc(node), hint=hint)
        return dims

    def error(self, message: str, node: tree.Node | tree.Span, **details: str | None) -> None:
        self.program.report(IrkitError(message, self.loc(node), **details))

    @contextmanager
    def reporting(self) -> Iterator[None]:
        """Collects the error of what is inside, and goes on after it."""
        try:
            yield
        except IrkitError as error:
            self.program.report(error)
        except Skip:
            pass


def word_text(value: object) -> str:
    """A word, a dtype or a list as a message names it."""
    if isinstance(value, str):
        return f"the dtype {value}" if value in DTYPES else f'the word "{value}"'
    return f"the list {value}"


def difference(found: AnyTensor, expected: AnyTensor) -> str | None:
    """In which dim two types differ."""
    a, b = dims_of(found), dims_of(expected)
    if found.element_type != expected.element_type:
        return "the dtypes differ; cast(x, dtype) converts"
    if len(a) != len(b):
        return f"the ranks differ: {len(a)} and {len(b)}"
    wrong = [i for i, (x, y) in enumerate(zip(a, b, strict=True)) if x != y]
    return f"dim {wrong[0]} is {a[wrong[0]]} and not {b[wrong[0]]}" if wrong else None


def result_names(fn: Function, taken: set[str]) -> list[str]:
    """Names for the results: as declared, or the name that is returned, or out (out0, out1, ... of several)."""
    last = None if isinstance(fn, Made) else fn.body[-1]
    values = last.values if isinstance(last, tree.Return) and len(last.values) == len(fn.results) else ()
    names: list[str] = []
    for i, result in enumerate(fn.results):
        value = values[i] if values else None
        wanted = [result.name, value.id if isinstance(value, tree.Name) else None]
        wanted += ["out"] if len(fn.results) == 1 else []
        wanted += [f"out{n}" for n in range(i, i + len(taken) + len(names) + 1)]
        names.append(next(w for w in wanted if w and w not in taken and w not in names))
    return names
