"""A module at graph level as `.tg` text, the way back from `irkit.lang.emit`.

    text = unparse(module)

Reading the text gives a graph that computes the same. What the language cannot say is an error with its place: ops below
graph level, layouts and quantised types, random parameters whose name is no identifier, the least or greatest of dims in
a type or a list, index notation on complex numbers or four-bit integers.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping

from xdsl.dialects.builtin import DictionaryAttr, ModuleOp, StringAttr, TensorType
from xdsl.dialects.func import FuncOp, ReturnOp

from dialects import graph
from dialects.dims import Dim
from dialects.errors import IrkitError
from dialects.quant import QuantType
from dialects.types import DTYPE_NAMES, EncodingAttr, dims_of
from irkit.lang.format import format_text
from irkit.lang.unparse.custom import Customs
from irkit.lang.unparse.function import FunctionPrinter
from irkit.lang.unparse.text import MEANINGS, RESERVED, Expr, Names, identifier, type_text
from irkit.params import INITIALISERS

__all__ = ["unparse"]

RANDOM = frozenset({"normal", "uniform", "glorot", "he"})
"""Initialisers that draw by the name of their parameter."""


def unparse(module: ModuleOp, defaults: Mapping[str, int] | None = None) -> str:
    """The `.tg` text of a module at graph level; `defaults` are those of dims with a range. Raises IrkitError."""
    funcs = [op for op in module.ops if isinstance(op, FuncOp)]
    other = next((op for op in module.ops if not isinstance(op, FuncOp)), None)
    if other is not None or not funcs:
        found = f"'{other.name}'" if other is not None else "no function"
        raise IrkitError(
            "the module is not at graph level", other or module, found=found, expected="func.func"
        )
    return format_text("\n".join(_Module(funcs, defaults or {}).lines()) + "\n")


class _Module:
    """The declarations that the functions share."""

    def __init__(self, funcs: list[FuncOp], defaults: Mapping[str, int]):
        self.funcs = funcs
        self.defaults = defaults
        self.names = Names()
        self.dims: dict[str, str] = {}
        self.params: dict[str, str] = {}

    def lines(self) -> Iterator[str]:
        for func in self.funcs:
            self.declare_dims(func)
        facts = [f for func in self.funcs for f in _facts(func.arg_attrs, 0)]
        params = {identifier(_text(f, "graph.name")) for f in facts if _text(f, "graph.kind") == "param"}
        customs = self.customs = Customs(self.funcs, self.dims, params)
        functions = [self.function(func) for func in self.funcs]
        for group in (self.dims, self.params):
            yield from group.values()
            if group:
                yield ""
        yield from customs.lines
        for lines in functions:
            yield from lines
            yield ""

    def function(self, func: FuncOp) -> list[str]:
        names = Names({*self.dims, *self.params})
        facts = _facts(func.arg_attrs, len(func.args))
        args = list(zip(func.args, facts, strict=True))
        inputs: list[str] = []
        texts: list[tuple[object, Expr]] = []
        for number, (arg, fact) in enumerate(args):
            wanted = _text(fact, "graph.name") or arg.name_hint or f"arg{number}"
            source = _text(fact, "graph.source")
            if _text(fact, "graph.kind") == "param" and source is not None:
                name = self.param(func, wanted, source, _type(arg.type, func), names)
            else:
                name = names.fresh(wanted, "x", MEANINGS)
                default = "" if source is None else f" = {_initialiser(source, func, wanted, name)}"
                inputs.append(f"{name}: {_type(arg.type, func)}{default}")
            texts.append((arg, Expr(name)))
        own = Names(self.customs.names.taken).fresh(func.sym_name.data, "main", RESERVED | names.taken)
        results = self.results(func, names)
        names.taken |= self.customs.names.taken
        printer = FunctionPrinter(func, names, frozenset({*self.dims, *self.params}), self.customs)
        printer.exprs.update(texts)  # pyright: ignore
        printer.block(func.body.block)
        last = func.body.block.last_op
        if not isinstance(last, ReturnOp) or not last.operands:
            raise IrkitError("a function returns something", func)
        values = ", ".join(printer.expr(v).text for v in last.operands)
        return [f"fn {own}({', '.join(inputs)}) -> {results} {{", *printer.lines, f"  return {values}", "}"]

    def declare_dims(self, func: FuncOp) -> None:
        """A dim with its range for each symbol; its default is not in the IR."""
        for name, (low, high) in graph.symbol_ranges(func).items():
            if name in MEANINGS or not name.isidentifier():
                raise IrkitError(f"'{name}' cannot be the name of a dim", func, hint="choose another name")
            text = f"dim {name} = {self.defaults.get(name, int(high))} in {int(low)}..{int(high)}"
            if self.dims.setdefault(name, text) != text:
                raise IrkitError(f"two functions give dim '{name}' different ranges", func)
        names = {n for v in func.walk() for r in v.results for d in _dims(r.type) for n in d.names()}
        names |= {n for a in func.args for d in _dims(a.type) for n in d.names()}
        if unknown := sorted(names - self.dims.keys()):
            message = f"dim '{unknown[0]}' has no range"
            raise IrkitError(message, func, expected=f"graph.symbols = #dim.symbols<[{unknown[0]}: 1 to 64]>")

    def param(self, func: FuncOp, wanted: str, source: str, type_: str, names: Names) -> str:
        text = f": {type_} = {{}}"
        shared = identifier(wanted)
        if shared in self.params:
            name = shared
        else:
            name = names.fresh(wanted, "w", MEANINGS)
        line = f"param {name}" + text.format(_initialiser(source, func, wanted, name))
        if self.params.setdefault(name, line) != line:
            raise IrkitError(f"two functions declare parameter '{name}' differently", func)
        return name

    def results(self, func: FuncOp, names: Names) -> str:
        """The types of the results, with their names where these are stated."""
        types = [_type(t, func) for t in func.function_type.outputs]
        facts = _facts(func.res_attrs, len(types))
        words = [_text(f, "graph.name") for f in facts]
        if not any(words):
            return types[0] if len(types) == 1 else f"({', '.join(types)})"
        # Results are named like values or like nothing, so a name is kept for the head alone.
        labels = Names(names.taken)
        shown = [labels.fresh(w, "out", MEANINGS) for w in words]
        return "(" + ", ".join(f"{n}: {t}" for n, t in zip(shown, types, strict=True)) + ")"


def _facts(attrs: object, count: int) -> list[DictionaryAttr]:
    return list(attrs.data) if attrs is not None else [DictionaryAttr({})] * count  # pyright: ignore


def _text(facts: DictionaryAttr, key: str) -> str | None:
    value = facts.data.get(key)
    return value.data if isinstance(value, StringAttr) else None


def _dims(type_: object) -> tuple[Dim, ...]:
    return dims_of(type_) if isinstance(type_, TensorType) else ()


def _type(type_: object, func: FuncOp) -> str:
    """A type as the language writes it. Raises IrkitError for one that it lacks."""
    if isinstance(type_, TensorType) and isinstance(element := type_.element_type, QuantType):
        return type_text(element.written, dims_of(type_), func)
    if not isinstance(type_, TensorType) or type_.element_type not in DTYPE_NAMES:
        raise IrkitError("the language has no such type", func, found=str(type_))
    encoding = type_.encoding
    if isinstance(encoding, EncodingAttr) and any(
        isinstance(f, StringAttr) for f in (encoding.layout, encoding.sparse, encoding.shard)
    ):
        raise IrkitError("the language has no layouts", func, found=str(type_))
    return type_text(DTYPE_NAMES[type_.element_type], dims_of(type_), func)


def _initialiser(source: str, func: FuncOp, wanted: str, name: str) -> str:
    """`load("w.safetensors", "w")`, `glorot(seed=1)`, or a number, from the text of a graph.source."""
    kind, *words = shlex.split(source)
    if kind == "load" and len(words) == 2 and not any('"' in w or "\n" in w for w in words):
        return f'load("{words[0]}", "{words[1]}")'
    if kind not in INITIALISERS:
        raise IrkitError(f"the language has no source '{source}'", func)
    if kind in RANDOM and wanted != name:
        hint = "give the parameter a name that is an identifier"
        raise IrkitError(f"'{wanted}' draws its numbers by its name, which is no name here", func, hint=hint)
    if kind == "full" and len(words) == 1:
        return words[0].partition("=")[2] or words[0]
    return f"{kind}({', '.join(words)})"
