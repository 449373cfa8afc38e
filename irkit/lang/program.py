"""The declarations of a file: dims and their values, parameters and what they are filled with, functions."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping

from xdsl.dialects.builtin import TensorType
from xdsl.dialects.func import FuncOp

from dialects import graph
from dialects.dims import Dim
from dialects.errors import IrkitError
from dialects.types import dims_of
from irkit.diagnostics import nearest
from irkit.lang import folding, tree
from irkit.lang.builder import Number
from irkit.lang.calls import SPECIAL
from irkit.lang.parser import CONSTANTS
from irkit.lang.transforms import Function, Made, made_function
from irkit.params import INITIALISERS

MAX_DIM = 2**47


class Program:
    """What a file declares, with the values of its dims; faults are collected in `errors`."""

    def __init__(self, module: tree.Module, overrides: Mapping[str, int]):
        self.module = module
        self.overrides = dict(overrides)
        self.used_overrides: set[str] = set()
        self.errors: list[IrkitError] = []
        self.dims: dict[str, Dim] = {}
        self.ranges: dict[str, tuple[float, float]] = {}
        self.params: dict[str, tree.ParamDecl] = {}
        self.functions: dict[str, tree.FnDecl | tree.FnMade] = {}
        self.made: dict[str, Made | IrkitError] = {}
        """What declarations of made functions stand for, as far as that was asked."""
        self.making: list[str] = []
        self.depth = 0
        """How many transformations stand inside each other where one is read."""
        self.ops: dict[str, tree.OpDecl] = {}
        for decl in module.decls:
            try:
                self._declare(decl)
            except IrkitError as error:
                self.report(error)
        for decl in (*self.functions.values(), *self.ops.values()):
            if not isinstance(decl, tree.FnMade):
                self._check_head(decl)

    # -- declarations -------------------------------------------------------------------------------------------

    def _declare(self, decl: tree.Declaration) -> None:
        assert not isinstance(decl, tree.Import), "imports are read with the file"
        name = decl.name.id
        first = self.dims.keys() | self.params.keys() | self.functions.keys() | self.ops.keys()
        if name in first:
            raise IrkitError(
                f"'{name}' is declared twice", self.module.loc(decl.name), hint="choose another name"
            )
        if (
            name in CONSTANTS
            or (isinstance(decl, tree.FnDecl | tree.FnMade | tree.OpDecl) and name in graph.OPS)
            or (isinstance(decl, tree.OpDecl) and name in SPECIAL)
        ):
            raise IrkitError(
                f"'{name}' has a meaning already", self.module.loc(decl.name), hint="choose another name"
            )
        match decl:
            case tree.DimDecl():
                self.dims[name] = Dim.of(1)  # where the value is at fault
                self._declare_dim(decl)
            case tree.ParamDecl():
                self.params[name] = decl
            case tree.FnDecl() | tree.FnMade():
                self.functions[name] = decl
            case tree.OpDecl():
                self.ops[name] = decl

    def _declare_dim(self, decl: tree.DimDecl) -> None:
        name = decl.name.id
        if name.startswith("_"):
            message = f"'{name}' cannot be the name of a dim"
            raise IrkitError(message, self.module.loc(decl.name), expected="a name that begins with a letter")
        value = self.integer(decl.value)
        limits: tuple[int, int] | None = None
        if decl.low is not None and decl.high is not None:
            low, high = self.integer(decl.low).value, self.integer(decl.high).value
            if low is None or high is None or not 0 <= low <= high <= MAX_DIM:
                message = f"bad range of dim '{name}'"
                raise IrkitError(
                    message,
                    self.module.loc(decl.low),
                    expected=f"least..greatest, as in 1..64, from 0 to {MAX_DIM}",
                )
            limits = (low, high)
            if value.value is not None and not low <= value.value <= high:
                message = f"the default of dim '{name}' is outside of its range"
                raise IrkitError(
                    message, self.module.loc(decl.value), found=str(value), expected=f"{low} to {high}"
                )
        if name in self.overrides:
            self.dims[name] = self._override(name, limits, decl)
        elif limits is not None:
            self.dims[name] = Dim.of(name)
            self.ranges[name] = limits
        else:
            if (low := value.bounds(self.ranges)[0]) < 0 or low > MAX_DIM:
                raise IrkitError(
                    f"'{value}' is no size", self.module.loc(decl.value), expected=f"0 to {MAX_DIM}"
                )
            self.dims[name] = value

    def _override(self, name: str, limits: tuple[int, int] | None, decl: tree.DimDecl | None) -> Dim:
        """The value that the caller gives to a dim, checked."""
        self.used_overrides.add(name)
        value = self.overrides[name]
        low, high = limits or (0, MAX_DIM)
        if not low <= value <= high:
            loc = self.module.loc(decl) if decl else None
            message = f"{name}={value} is outside of the range of dim '{name}'"
            raise IrkitError(message, loc, found=f"--dim {name}={value}", expected=f"{low} to {high}")
        return Dim.of(value)

    def _check_head(self, decl: tree.FnDecl | tree.OpDecl) -> None:
        """Reports names of a function's or an op's head that stand for two things."""
        is_op = isinstance(decl, tree.OpDecl)
        items = (*decl.operands, *decl.settings) if is_op else decl.inputs
        seen: set[str] = set()
        rule = decl.rule.names if is_op and decl.rule is not None else ()
        results = [tree.Name(r.name, r.span) for r in decl.results if r.name]
        for name in [*(i.name for i in items), *results, *(n for n in rule if n.id not in map(_id, results))]:
            fault = "is declared twice" if name.id in seen else None
            fault = "is a dim" if name.id in self.dims and not is_op else fault
            fault = "is a number" if name.id in CONSTANTS else fault
            if fault is not None:
                message = f"'{name.id}' {fault}"
                self.report(IrkitError(message, self.module.loc(name), hint="choose another name"))
            seen.add(name.id)

    def bind_overrides(self, type_: tree.TypeRef, dims: dict[str, Dim]) -> None:
        """Takes dims that only the entry function names from the overrides."""
        for name in sorted({n for d in type_.dims for n in d.names()} - dims.keys()):
            if name in self.overrides:
                dims[name] = self._override(name, None, None)

    def reject_unused_overrides(self, dims: Mapping[str, Dim]) -> None:
        """Reports a `--dim` that names no dim, once."""
        for name in self.overrides.keys() - self.used_overrides:
            self.used_overrides.add(name)
            hint = nearest(name, dims) or (
                f"the dims are {', '.join(dims)}" if dims else "the file declares no dims"
            )
            self.report(
                IrkitError(
                    f"there is no dim '{name}'", None, found=f"--dim {name}={self.overrides[name]}", hint=hint
                )
            )

    # -- queries ------------------------------------------------------------------------------------------------

    def function(self, name: str, node: tree.Node) -> Function:
        """A function by its name. Raises IrkitError, for one that is made of others each time the same."""
        decl = self.functions[name]
        if isinstance(decl, tree.FnDecl):
            return decl
        if name in self.making:
            way = " -> ".join([*self.making[self.making.index(name) :], name])
            hint = "make it of a function with a body"
            raise IrkitError(f"'{name}' is made of itself", self.module.loc(node), found=way, hint=hint)
        if name not in self.made:
            self.making.append(name)
            try:
                self.made[name] = made_function(self, decl.value, decl.name)
            except IrkitError as error:
                self.made[name] = error
            finally:
                self.making.pop()
        found = self.made[name]
        if isinstance(found, IrkitError):
            raise found
        return found

    def entry(self, name: str | None) -> tree.FnDecl | tree.FnMade | None:
        """The function to compile: the one asked for, or `main`, or the last of the file."""
        if name is not None and name in self.functions:
            return self.functions[name]
        known = ", ".join(self.functions)
        if name is not None:
            error = IrkitError(
                f"there is no function '{name}'",
                None,
                found=known or "none",
                hint=nearest(name, self.functions),
            )
        elif self.functions:
            return self.functions.get("main") or list(self.functions.values())[-1]
        else:
            where = tree.Span(0, 1)
            error = IrkitError(
                "the file has no function",
                self.module.loc(where),
                hint="fn f(x: f32[4]) -> f32[4] { return x }",
            )
        self.report(error)
        return None

    def check_new_name(self, name: tree.Name, in_op: bool = False) -> None:
        """Raises IrkitError for a local name that would hide a declaration; an op does not know what files declare."""
        kinds = (
            (self.params, "a parameter"),
            (self.dims, "a dim"),
            (CONSTANTS, "a number"),
        )
        for known, what in kinds[-1:] if in_op else kinds:
            if name.id in known:
                raise IrkitError(f"'{name.id}' is {what}", self.module.loc(name), hint="choose another name")

    def used_symbols(self, func: FuncOp) -> tuple[tuple[str, int, int], ...]:
        """The symbolic dims that a function names, with their ranges, as declared."""
        return used_symbols(func, self.ranges)

    def number(self, node: tree.Expr) -> Number:
        """The value of an expression of numbers and dims. Raises IrkitError."""
        match node:
            case tree.Number():
                return node.value
            case tree.Name() if node.id in self.dims:
                return folding.simplified(self.dims[node.id])
            case tree.Name():
                hint = nearest(node.id, self.dims)
                raise IrkitError(f"unknown dim '{node.id}'", self.module.loc(node), hint=hint)
            case tree.Unary():
                return folding.prefix(node.op, self.number(node.operand), self.module.loc(node))
            case tree.Binary():
                return folding.fold(
                    node.op, self.number(node.left), self.number(node.right), self.module.loc(node)
                )
        raise IrkitError(
            "this is no number", self.module.loc(node), expected="numbers and dims joined by + - * / %"
        )

    def integer(self, node: tree.Expr) -> Dim:
        """An integer expression over dims; division rounds down. Raises IrkitError."""
        if isinstance(node, tree.Binary):
            return folding.fold_integer(
                node.op, self.integer(node.left), self.integer(node.right), self.module.loc(node)
            )
        value = self.number(node)
        if isinstance(value, Dim) or type(value) is int:
            return Dim.of(value)
        raise IrkitError("this is no size", self.module.loc(node), found=str(value), expected="an integer")

    # -- errors -------------------------------------------------------------------------------------------------

    def report(self, error: IrkitError) -> None:
        """Keeps an error, once: a function that is inlined twice fails twice at one place."""
        if all(str(error.loc) != str(e.loc) or error.message != e.message for e in self.errors):
            self.errors.append(error)

    def sorted_errors(self) -> list[IrkitError]:
        return sorted(self.errors, key=lambda e: (e.loc.line, e.loc.col) if e.loc else (0, 0))


def _id(name: tree.Name) -> str:
    return name.id


def used_symbols(func: FuncOp, ranges: Mapping[str, tuple[float, float]]) -> tuple[tuple[str, int, int], ...]:
    """The dims with a range that the types and attributes of a function name, in the order of `ranges`."""
    used: set[str] = set()
    for type_ in func.function_type.inputs:
        used |= {n for d in dims_of(type_) for n in d.names()}
    for op in func.body.walk():
        for result in op.results:
            if isinstance(result.type, TensorType):
                used |= {n for d in dims_of(result.type) for n in d.names()}
        for attr in (*op.attributes.values(), *op.properties.values()):
            used |= graph.dim_names(attr)
    return tuple((n, int(low), int(high)) for n, (low, high) in ranges.items() if n in used)


def source_text(program: Program, init: tree.Expr) -> str:
    """What fills a parameter, as `graph.source` writes it: `load w.safetensors w1`. Raises IrkitError."""
    loc = program.module.loc(init)
    if isinstance(init, tree.Number | tree.Unary | tree.Binary):
        return f"full value={program.number(init)}"
    if not isinstance(init, tree.Call):
        known = f"load, {', '.join(INITIALISERS)}"
        raise IrkitError("this cannot fill a parameter", loc, expected=f"one of {known}, or a number")
    name = init.callee.id
    if name == "load":
        texts = [a.value for a in init.args if isinstance(a, tree.Text)]
        if len(texts) != 2 or len(init.args) != 2 or init.keywords:
            raise IrkitError(
                "load takes a file and the name of a tensor",
                loc,
                expected='load("weights.safetensors", "w1")',
            )
        return " ".join(["load", shlex.quote(_beside(program, loc.file, texts[0])), shlex.quote(texts[1])])
    if name not in INITIALISERS:
        known = ["load", *INITIALISERS]
        hint = nearest(name, known)
        raise IrkitError(
            f"unknown initialiser '{name}'",
            program.module.loc(init.callee),
            expected=f"one of {', '.join(known)}",
            hint=hint,
        )
    return " ".join([name, *_settings(program, init)])


def _beside(program: Program, file: str, path: str) -> str:
    """A path of an imported file as the importing file would write it."""
    main = program.module.filename
    if file == main or os.path.isabs(path):
        return path
    folder = os.path.relpath(
        os.path.dirname(file) or ".", "." if main.startswith("<") else os.path.dirname(main) or "."
    )
    return os.path.normpath(os.path.join(folder, path))


def _settings(program: Program, init: tree.Call) -> list[str]:
    known = INITIALISERS[init.callee.id].settings
    loc = program.module.loc(init)
    wanted = f"{init.callee.id}({', '.join(k if v is None else f'{k}={v}' for k, v in known.items())})"
    if len(init.args) > len(known):
        raise IrkitError("too many settings", loc, expected=wanted)
    given = dict(zip(known, init.args, strict=False))
    for keyword in init.keywords:
        if keyword.name not in known or keyword.name in given:
            fault = "is given twice" if keyword.name in given else "is no setting"
            hint = nearest(keyword.name, known)
            raise IrkitError(
                f"'{keyword.name}' {fault}", program.module.loc(keyword), expected=wanted, hint=hint
            )
        given[keyword.name] = keyword.value
    if missing := [k for k, v in known.items() if v is None and k not in given]:
        raise IrkitError(f"{init.callee.id} needs '{missing[0]}'", loc, expected=wanted)
    return [f"{k}={program.number(v)}" for k, v in given.items()]
