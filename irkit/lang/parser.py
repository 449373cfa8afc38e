"""Reads `.tg` text into a syntax tree.

The grammar (`grammar.lark`) builds the tree while it parses. When a file has a syntax error it is read again piece by
piece, declaration by declaration and statement by statement, so that one run reports one error for each.
"""

from __future__ import annotations

import logging
import math
import os
import re
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

from lark import Lark, Token, Transformer
from lark.exceptions import LarkError, UnexpectedCharacters, UnexpectedInput, UnexpectedToken, VisitError
from lark.utils import TextSlice

from dialects.dims import Dim
from dialects.errors import ErrorList, IrkitError
from dialects.types import DTYPES
from irkit.collector import paused
from irkit.diagnostics import nearest
from irkit.files import read_text
from irkit.imports import beside, identity
from irkit.lang import tree
from irkit.lang.tree import Span

PRECEDENCE = {
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">="), 1),
    "|": 2,
    "^": 3,
    "&": 4,
    **dict.fromkeys(("<<", ">>"), 5),
    **dict.fromkeys("+-", 6),
    **dict.fromkeys("*/%@", 7),
    "**": 9,
}
"""How tightly infix operators bind; `-x` and `~x` are 8, and a reduction takes a product: `sum(j) a[j] * b[j] + c`."""

COMPARISON = 1
PRODUCT = 7
UNARY = 8
MAX_NESTING = 100

CONSTANTS: dict[str, float | bool] = {
    "true": True,
    "false": False,
    "inf": float("inf"),
    "nan": float("nan"),
    "pi": 3.141592653589793,
}
"""Names that are numbers."""

DTYPE_SLIPS = {
    "float": "f32",
    "double": "f64",
    "half": "f16",
    "bfloat16": "bf16",
    "int": "i32",
    **{f"float{bits}": f"f{bits}" for bits in (16, 32, 64)},
    **{f"{kind}{bits}": f"{kind[0]}{bits}" for kind in ("int", "uint") for bits in (2, 4, 8, 16, 32, 64)},
}
"""What other languages call our dtypes."""


LIBRARY = Path(__file__).resolve().parents[1] / "optimisers"
"""The folder of the optimisers, schedules and ways of clipping, which are ops of the language."""


class BadText(Exception):
    """A syntax error at a span; some are found by the grammar, some while the tree is built."""

    def __init__(self, message: str, span: Span, expected: str | None = None, hint: str | None = None):
        super().__init__(message)
        self.span = span
        self.expected = expected
        self.hint = hint


def parse(text: str, filename: str = "<text>") -> tree.Module:
    """The syntax tree of a file and of those that it imports; raises ErrorList with every syntax error, in source order."""
    module = parse_alone(text, filename)
    if any(isinstance(d, tree.Import) for d in module.decls):
        module = with_imports(module)
    return with_library(module) if "minimize" in module.text else module


def parse_alone(text: str, filename: str = "<text>") -> tree.Module:
    """The syntax tree of a file, its imports not followed; raises ErrorList with every syntax error, in source order."""
    return tree.Module(filename, text, _declarations(text, filename, 0))


def _declarations(text: str, filename: str, start: int) -> tuple[tree.Declaration, ...]:
    """What stands in a text from `start` on, the file of that name. Raises ErrorList."""
    try:
        with paused():
            return _run(TextSlice(text, start, len(text)))
    except (LarkError, BadText, RecursionError):
        pass
    raise ErrorList(_collect_errors(text[start:], filename))


def with_imports(module: tree.Module) -> tree.Module:
    """The module with the declarations of the files that it imports before its own, each file once. Raises ErrorList."""
    text = module.text
    sources = [tree.Source(module.filename, 0)]
    known = {identity(module.filename)}
    errors: list[IrkitError] = []

    def expanded(decls: tuple[tree.Declaration, ...], filename: str) -> list[tree.Declaration]:
        nonlocal text
        found: list[tree.Declaration] = []
        for decl in decls:
            if not isinstance(decl, tree.Import):
                continue
            path = beside(decl.path.value, filename)
            if (same := identity(path)) in known:
                continue
            known.add(same)
            try:
                added = read_text(path)
                text += "" if text.endswith("\n") else "\n"
                start = len(text)
                text += added
                sources.append(tree.Source(path, start))
                found += expanded(_declarations(text, path, start), path)
            except ErrorList as fault:
                errors.extend(fault.errors)
            except IrkitError as fault:
                loc = tree.Module(filename, text, (), tuple(sources)).loc(decl.path)
                errors.append(
                    IrkitError(
                        fault.message, loc, found=fault.found, expected=fault.expected, hint=fault.hint
                    )
                )
        return [*found, *(d for d in decls if not isinstance(d, tree.Import))]

    decls = tuple(expanded(module.decls, module.filename))
    if errors:
        raise ErrorList(errors)
    return tree.Module(module.filename, text, decls, tuple(sources))


def with_library(module: tree.Module) -> tree.Module:
    """The module with the ops that irkit brings for training, but those whose name the file gives to something else."""
    text, sources = module.text, list(module.sources or (tree.Source(module.filename, 0),))
    taken = {d.name.id for d in module.decls if not isinstance(d, tree.Import)}
    found: list[tree.Declaration] = []
    for path in sorted(LIBRARY.glob("*.tg")):
        text += "" if text.endswith("\n") else "\n"
        sources.append(tree.Source(str(path), len(text)))
        text += read_text(str(path))
        found += _declarations(text, str(path), sources[-1].start)
    kept = [d for d in found if not isinstance(d, tree.Import) and d.name.id not in taken]
    return tree.Module(module.filename, text, (*module.decls, *kept), tuple(sources))


# -- the parser -------------------------------------------------------------------------------------------------


def _run(text: TextSlice, rule: str = "start") -> tuple[tree.Declaration, ...]:
    try:
        return _parser().parse(text, start=rule)  # pyright: ignore[reportReturnType, reportArgumentType]
    except VisitError as error:
        raise error.orig_exc from None


@cache
def _parser() -> Lark:
    """The parser, from the cached analysis of the grammar where there is one (3 ms instead of 30)."""
    grammar = Path(__file__).with_name("grammar.lark").read_text()
    logging.getLogger("lark").setLevel(
        logging.CRITICAL
    )  # a cache that cannot be written is no news for the user
    rules = ["start", "statements"]
    return Lark(grammar, parser="lalr", start=rules, transformer=_Builder(), cache=_cache_file() or False)


def _cache_file() -> str | None:
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "irkit"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return str(folder / "grammar.lark-cache")


# -- building the tree ------------------------------------------------------------------------------------------


class _Builder(Transformer[Token, tuple[tree.Declaration, ...]]):
    """One method for each rule of the grammar; children are tokens and finished nodes."""

    def start(self, children: list) -> tuple[tree.Declaration, ...]:
        return tuple(children)

    def import_(self, children: list) -> tree.Import:
        head, path = children
        return tree.Import(tree.Text(path[1:-1], _span(path)), Span(head.start_pos, path.end_pos))

    def dim(self, children: list) -> tree.DimDecl:
        name, _, value, low, high = children
        return tree.DimDecl(_name(name), value, low, high, Span(name.start_pos, (high or value).span.end))

    def param(self, children: list) -> tree.ParamDecl:
        name, type_, _, init = children
        span = Span(name.start_pos, init.span.end)
        return tree.ParamDecl(_name(name), _check_concrete(_type(type_)), init, span)

    def op(self, children: list) -> tree.OpDecl:
        head, name, *rest, body, brace, rule = children
        operands = tuple(c for c in rest if isinstance(c, tree.Operand))
        settings = tuple(c for c in rest if isinstance(c, tree.Setting))
        results = tuple(c for c in rest if isinstance(c, tree.Result))
        if settings and operands and operands[-1].span.start > settings[0].span.start:
            hint = "a setting is what has a default"
            raise BadText("operands stand before settings", operands[-1].span, hint=hint)
        end = _span(brace)
        span = Span(head.start_pos, end.end if rule is None else rule.span.end)
        return tree.OpDecl(_name(name), operands, settings, results, body, end, span, rule)

    def rule(self, children: list) -> tree.Rule:
        head, names, body, brace = children
        return tree.Rule(names, body, _span(brace), Span(head.start_pos, brace.end_pos))

    def made(self, children: list) -> tree.FnMade:
        head, name, _, value = children
        return tree.FnMade(_name(name), value, Span(head.start_pos, value.span.end))

    def operand(self, children: list) -> tree.Operand | tree.Setting:
        name, type_, _, default = children
        if default is None:
            known = None if type_ is None else _type(type_)
            span = Span(name.start_pos, name.end_pos if known is None else known.span.end)
            return tree.Operand(_name(name), known, span)
        if type_ is not None:
            known = _type(type_)
            hint = f"leave one out: {name}=..., or {name}: {known}"
            raise BadText("an operand has no default, and a setting no type", known.span, hint=hint)
        return tree.Setting(_name(name), default, Span(name.start_pos, default.span.end))

    def fn(self, children: list) -> tree.FnDecl:
        head, name, *rest, body, brace = children
        inputs = tuple(c for c in rest if isinstance(c, tree.Input))
        results = tuple(c for c in rest if isinstance(c, tree.Result))
        for item in (*inputs, *results):
            _check_concrete(item.type)
        end = _span(brace)
        return tree.FnDecl(_name(name), inputs, results, body, end, Span(head.start_pos, end.end))

    def input(self, children: list) -> tree.Input:
        name, written, _, default = children
        type_ = _type(written)
        end = (default or type_).span.end
        return tree.Input(_name(name), type_, default, Span(name.start_pos, end))

    def result(self, children: list) -> tree.Result:
        type_ = _type(children[0])
        return tree.Result(None, type_, type_.span)

    def labelled(self, children: list) -> tree.Result:
        label, written = children
        type_ = _type(written)
        if label is None:
            return tree.Result(None, type_, type_.span)
        return tree.Result(str(label), type_, Span(label.start_pos, type_.span.end))

    def quantised(self, children: list) -> tree.TypeRef:
        *parts, dims = children
        call = self.call(parts)
        span = Span(call.span.start, call.span.end if dims is None else dims.end_pos)
        sizes = () if dims is None else _sizes(dims[1:-1], span)
        return tree.TypeRef(tree.text_of(call), sizes, span, call)

    def statements(self, children: list) -> tuple[tree.Statement, ...]:
        return tuple(children)

    def assign(self, children: list) -> tree.Assign:
        targets, _, value, _, schedule = children
        schedule = None if schedule is None else tree.Text(schedule[1:-1], _span(schedule))
        end = (schedule or value).span.end
        return tree.Assign(targets, value, schedule, Span(targets[0].span.start, end))

    def index_assign(self, children: list) -> tree.IndexAssign:
        target, axes, _, value, _, boundary, _, schedule = children
        if isinstance(boundary, Token):
            boundary = _name(boundary)
        schedule = None if schedule is None else tree.Text(schedule[1:-1], _span(schedule))
        span = Span(target.start_pos, (schedule or boundary or value).span.end)
        return tree.IndexAssign(_name(target), axes, value, boundary, schedule, span)

    def for_(self, children: list) -> tree.For:
        head, var, start, stop, carried, collected, body, brace = children
        span = Span(head.start_pos, brace.end_pos)
        if not carried and not collected:
            expected = (
                "with, then the names that go from round to round, or collect, then those to keep of each"
            )
            raise BadText("this loop leaves nothing behind", _span(head), expected)
        return tree.For(_name(var), start, stop, carried or (), collected or (), body, span)

    def while_(self, children: list) -> tree.While:
        head, condition, limit, carried, body, brace = children
        return tree.While(condition, limit, carried, body, Span(head.start_pos, brace.end_pos))

    def if_(self, children: list) -> tree.If:
        head, condition, carried, body, brace, *rest = children
        rest = [r for r in rest if r is not None]
        end, otherwise = brace.end_pos, ()
        if len(rest) == 1:
            otherwise, end = (rest[0],), rest[0].span.end
        elif rest:
            otherwise, end = rest[0], rest[1].end_pos
        return tree.If(condition, carried, body, otherwise, Span(head.start_pos, end))

    def return_(self, children: list) -> tree.Return:
        head, *values = children
        return tree.Return(tuple(values), Span(head.start_pos, values[-1].span.end))

    def names(self, children: list) -> tuple[tree.Name, ...]:
        return tuple(map(_name, children))

    def expr(self, children: list) -> tree.Expr:
        if len(children) == 1 and type(children[0]) is not _Prefixed:
            return _operand(children[0])
        return _Grouper(children).group()

    def prefixed(self, children: list) -> _Prefixed:
        return _Prefixed(*children)

    def call(self, children: list) -> tree.Call:
        name, *arguments, end = children
        return tree.Call(_name(name), *_arguments(arguments), Span(name.start_pos, end.end_pos))

    def applied(self, children: list) -> tree.Applied:
        function, *arguments, end = children
        return tree.Applied(function, *_arguments(arguments), Span(function.span.start, end.end_pos))

    def keyword(self, children: list) -> tree.Keyword:
        name, _, value = children
        return tree.Keyword(str(name), value, Span(name.start_pos, value.span.end))

    def subscript(self, children: list) -> tree.Subscript:
        base, *index, end = children
        base = _operand(base)
        return tree.Subscript(base, tuple(index), Span(base.span.start, end.end_pos))

    def range(self, children: list) -> tree.Range:
        start, colon, stop, second, step = children
        last = next((c.span.end for c in (step, stop) if c is not None), (second or colon).end_pos)
        return tree.Range(
            start, stop, step, Span(colon.start_pos if start is None else start.span.start, last)
        )


# `import`, `for`, `while`, `if` and `return` are words of Python too.
for _word in ("import", "for", "while", "if", "return"):
    setattr(_Builder, _word, getattr(_Builder, f"{_word}_"))


def _arguments(given: list) -> tuple[tuple[tree.Expr, ...], tuple[tree.Keyword, ...]]:
    """What stands between the brackets of a call: by place, and by name."""
    args = tuple(a for a in given if not isinstance(a, tree.Keyword) and a is not None)
    return args, tuple(a for a in given if isinstance(a, tree.Keyword))


def _span(token: Token) -> Span:
    return Span(token.start_pos, token.end_pos)  # pyright: ignore[reportArgumentType]


def _name(token: Token) -> tree.Name:
    return tree.Name(str(token), _span(token))


def _operand(piece: _Piece) -> tree.Expr:
    """A finished node; literal tokens become nodes here."""
    if not isinstance(piece, Token):
        assert not isinstance(piece, _Prefixed)
        return piece
    match piece.type:
        case "NAME":
            return tree.Number(CONSTANTS[piece], _span(piece)) if piece in CONSTANTS else _name(piece)
        case "NUMBER":
            return tree.Number(_number(piece), _span(piece))
        case "STRING":
            return tree.Text(piece[1:-1], _span(piece))
        case _:
            return tree.ListOf(_list_items(piece[1:-1], _span(piece)), _span(piece))


def _number(piece: Token) -> int | float:
    """The number that a literal stands for; no dtype holds more digits than its longest."""
    value = float(piece)
    if math.isinf(value):
        raise BadText("this number is too large", _span(piece), "one that f64 holds, or inf")
    return int(piece) if piece.isdigit() else value


@dataclass(slots=True)
class _Prefixed:
    """A minus, a tilde or a reduction before a term, not yet grouped."""

    head: Token
    term: _Piece


_Piece: TypeAlias = "tree.Expr | Token | _Prefixed"


class _Grouper:
    """Groups a flat sequence `a + b * -c` by PRECEDENCE (precedence climbing)."""

    def __init__(self, pieces: list[_Piece]):
        self.pieces = pieces
        self.at = 0
        self.depth = 0

    def group(self) -> tree.Expr:
        return self.binary(0)

    def binary(self, least: int) -> tree.Expr:
        self.depth += 1
        if self.depth > MAX_NESTING:
            raise BadText(
                "this expression is nested too deeply", self.place(), hint="give a part of it a name"
            )
        left = self.unary()
        while self.at < len(self.pieces):
            op = str(self.pieces[self.at])
            level = PRECEDENCE[op]
            if level < least:
                break
            self.at += 1
            right = self.binary(level if op == "**" else level + 1)  # ** groups from the right
            left = tree.Binary(op, left, right, Span(left.span.start, right.span.end))
            if (
                level == COMPARISON
                and self.at < len(self.pieces)
                and PRECEDENCE[str(self.pieces[self.at])] == level
            ):
                hint = "compare twice: (a < b) & (b < c)"
                raise BadText("comparisons do not chain", self.place(), hint=hint)
        self.depth -= 1
        return left

    def unary(self) -> tree.Expr:
        piece = self.pieces[self.at]
        if not isinstance(piece, _Prefixed):
            self.at += 1
            return _operand(piece)
        self.pieces[self.at] = piece.term
        if piece.head == "-":
            return _negated(piece.head, self.binary(UNARY))
        if piece.head == "~":
            body = self.binary(UNARY)
            return tree.Unary("~", body, Span(piece.head.start_pos or 0, body.span.end))
        return _reduction(piece.head, self.binary(PRODUCT))

    def place(self) -> Span:
        piece = self.pieces[self.at]
        piece = piece.head if isinstance(piece, _Prefixed) else piece
        return _span(piece) if isinstance(piece, Token) else piece.span


def _negated(minus: Token, body: tree.Expr) -> tree.Expr:
    span = Span(minus.start_pos or 0, body.span.end)
    if isinstance(body, tree.Number) and not isinstance(body.value, bool):
        return tree.Number(-body.value, span)
    return tree.Unary("-", body, span)


def _reduction(head: Token, body: tree.Expr) -> tree.Reduction:
    start = head.start_pos or 0
    words = [tree.Name(m[0], Span(start + m.start(), start + m.end())) for m in re.finditer(r"\w+", head)]
    return tree.Reduction(words[0].id, tuple(words[1:]), body, Span(start, body.span.end))


# -- types and lists --------------------------------------------------------------------------------------------

_FLOAT = re.compile(r"-?\d+(\.\d+([eE][-+]?\d+)?|[eE][-+]?\d+)")


@cache
def _dims(text: str) -> tuple[Dim, ...]:
    """`B, 2*S + 1` as dims; division is written `/` (`//` starts a comment) and rounds down. Raises ValueError."""
    return tuple(map(_dim, text.split(","))) if text.strip() else ()


def _dim(text: str) -> Dim:
    return tree.REST if text.strip() == "..." else Dim.parse(text.replace("/", " floordiv "))


def _sizes(text: str, span: Span) -> tuple[Dim, ...]:
    try:
        return _dims(text)
    except (ValueError, ZeroDivisionError) as error:
        raise BadText(str(error), span, "dims: numbers and names joined by + - * / %") from None


def _type(token: Token | tree.TypeRef) -> tree.TypeRef:
    """A type as an op may have it: `T[..., N]`."""
    if isinstance(token, tree.TypeRef):
        return token
    span = _span(token)
    dtype, bracket, inside = token.partition("[")
    dtype = dtype.strip()
    if dtype not in DTYPES and not _is_variable(dtype):
        raise _unknown_dtype(dtype, span)
    dims = _sizes(inside[:-1], span) if bracket else ()
    if tree.REST in dims[1:]:
        raise BadText("'...' stands for leading dims", span, "the named dims after it: T[..., N]")
    return tree.TypeRef(dtype, dims, span)


def _is_variable(dtype: str) -> bool:
    """Whether a name in the place of a dtype is a variable: `T`, but not `F32`."""
    return dtype[0].isupper() and dtype.lower() not in (*DTYPES, *DTYPE_SLIPS)


def _check_concrete(type_: tree.TypeRef) -> tree.TypeRef:
    """A type that is no op's: its dtype and its rank are known."""
    if type_.quant is None and type_.dtype not in DTYPES:
        raise _unknown_dtype(type_.dtype, type_.span)
    if tree.REST in type_.dims:
        raise BadText(
            "'...' outside of an op", type_.span, hint="an op takes any leading dims: op f(x: T[..., N])"
        )
    return type_


def _unknown_dtype(dtype: str, span: Span) -> BadText:
    at, expected = Span(span.start, span.start + len(dtype)), f"one of {', '.join(DTYPES)}"
    return BadText(f"unknown dtype '{dtype}'", at, expected, nearest(dtype, DTYPES, DTYPE_SLIPS))


def _list_items(text: str, span: Span) -> tuple[tree.Item, ...]:
    parts = re.findall(r"\[[^\[\]]*\]|[^,\[\]]+", text) if "[" in text else text.split(",")
    return (
        tuple(_list_item(p.strip(), span) for p in parts if p.strip() or "[" not in text)
        if text.strip()
        else ()
    )


def _list_item(text: str, span: Span) -> tree.Item:
    if text.startswith("["):
        return _list_items(text[1:-1], span)
    if (word := text.lstrip("-")) in CONSTANTS:
        return -CONSTANTS[word] if text.startswith("-") else CONSTANTS[word]
    try:
        if _FLOAT.fullmatch(text):
            return float(text)
        (dim,) = _dims(text)
        return dim
    except (ValueError, ZeroDivisionError):
        expected = "numbers, or dims joined by + - * / %"
        raise BadText(f"cannot read '{text}' in a list", span, expected) from None


# -- recovery ---------------------------------------------------------------------------------------------------

_DECLARATION = re.compile(r"^[ \t]*(?:(?:fn|dim|param|import)\b(?![ \t]*=)|op[ \t]+[A-Za-z_])", re.MULTILINE)
_STATEMENT = re.compile(
    r"^[ \t]*(?:return\b|for\b|while\b|if\b|[A-Za-z_]\w*[ \t]*(?:\[[^\]\n]*\])?(?:[ \t]*,[ \t]*[A-Za-z_]\w*)*[ \t]*=(?!=))",
    re.MULTILINE,
)
_BRACKET = re.compile(r"[()\[\]{}]")


def _collect_errors(text: str, filename: str) -> list[IrkitError]:
    """Every syntax error of a file that has at least one."""
    plain = _without_comments(text)
    edges = sorted({0, len(text), *(m.start() for m in _DECLARATION.finditer(plain))})
    found = [e for start, end in pairwise(edges) for e in _in_declaration(text, plain, start, end)]
    lines = tree.line_starts(text)
    return [
        IrkitError(str(e), tree.make_loc(filename, text, lines, e.span), expected=e.expected, hint=e.hint)
        for e in found
    ]


def _in_declaration(text: str, plain: str, start: int, end: int) -> list[BadText]:
    whole = _fault(text, start, end, "start")
    brace = plain.find("{", start, end)
    if whole is None or brace < 0:
        return [whole] if whole else []
    head = _fault(text[: brace + 1] + "}", start, brace + 2, "start")
    close = _closing(plain, brace, end)
    found = [head, *_in_body(text, plain, brace + 1, close), *_after(text, plain, close + 1, end)]
    return [f for f in found if f is not None] or [whole]


def _after(text: str, plain: str, start: int, end: int) -> list[BadText | None]:
    """What is wrong after the first body of a declaration: with the rule of an op, or with what belongs nowhere."""
    if start >= end or not plain[start:end].lstrip().startswith("backward"):
        return [_fault(text, start, end, "start")] if start < end else []
    brace = plain.find("{", start, end)
    short = "op x(){}"  # stands for the op before, so that a rule may follow
    upto = end if brace < 0 else brace + 1
    before = text[: start - len(short)] + short + text[start:upto] + ("" if brace < 0 else "}")
    head = _fault(before, start - len(short), upto + (brace >= 0), "start")
    if brace < 0:
        return [head]
    close = _closing(plain, brace, end)
    rest = _fault(text, close + 1, end, "start") if close < end else None
    return [head, *_in_body(text, plain, brace + 1, close), rest]


def _closing(plain: str, brace: int, end: int) -> int:
    """Where the brace is that closes the one given; `end` where there is none."""
    depth = 0
    for match in _BRACKET.finditer(plain, brace, end):
        depth += (match[0] == "{") - (match[0] == "}")
        if depth == 0:
            return match.start()
    return end


def _in_body(text: str, plain: str, start: int, end: int) -> list[BadText]:
    """The first error of each statement; a statement is what stands from one line that looks like one to the next."""
    edges = [*(m.start() for m in _STATEMENT.finditer(plain, start, end)), end]
    if plain[start : edges[0]].strip(" \t\n}"):
        edges.insert(0, start)
    found: list[BadText] = []
    i = 0
    while i < len(edges) - 1:
        # A line such as `stride=2)` looks like a statement but belongs to a call that is still open.
        last = next((k for k in range(i + 1, len(edges)) if not _is_open(plain, edges[i], edges[k])), i + 1)
        fault = _in_statement(text, plain, edges[i], edges[last])
        found += [fault] if fault else []
        i = last
    return found


def _in_statement(text: str, plain: str, start: int, end: int) -> BadText | None:
    """The error of one statement, or of the head of a loop; braces of what is around it are blanked out."""
    kept = list(text[start:end])
    depth = 0
    for k, char in enumerate(plain[start:end]):
        if char == "}" and depth == 0:
            kept[k] = " "
        else:
            depth += (char == "{") - (char == "}")
    return _fault(text[:start] + "".join(kept) + "\n" + "}" * depth, start, end + 1 + depth, "statements")


def _fault(text: str, start: int, end: int, rule: str) -> BadText | None:
    """What is wrong with a part of the text, read as a rule of the grammar."""
    try:
        _run(TextSlice(text, start, end), rule)
    except BadText as error:
        return error
    except UnexpectedInput as error:
        return _explain(error, text, start, end)
    except RecursionError:
        return BadText("this is nested too deeply", Span(start, start + 1), hint="give parts of it names")
    return None


def _is_open(plain: str, start: int, end: int) -> bool:
    """Whether a round or square bracket that opens here is not closed here."""
    depth = 0
    for match in _BRACKET.finditer(plain, start, end):
        depth += (match[0] in "([") - (match[0] in ")]")
    return depth > 0


def _without_comments(text: str) -> str:
    """The text with comments and strings replaced by as many spaces."""
    return re.sub(r'"[^"\n]*"|//[^\n]*', lambda m: " " * len(m[0]), text)


# -- explaining -------------------------------------------------------------------------------------------------

_SPOKEN = {
    "NAME": "a name",
    "NUMBER": "a number",
    "STRING": "a string",
    "LIST": "a list",
    "TYPE": "a type",
    "LABEL": "a result's name",
    "OPERATOR": "an operator",
    "MINUS": "'-'",
    "TILDE": "'~'",
    "REDUCE": "a reduction",
    "EQUAL": "'='",
    "COLON": "':'",
    "RPAR": "')'",
    "RSQB": "']'",
    "RBRACE": "'}'",
    "LPAR": "'('",
    "LSQB": "'['",
    "LBRACE": "'{'",
    "COMMA": "','",
    "$END": "the end of the file",
}
_EXPRESSION = {"NAME", "NUMBER", "STRING", "LIST", "MINUS", "TILDE", "LPAR", "REDUCE"}
_CHARACTER_HINTS = {
    "'": 'strings take double quotes: "name"',
    '"': "a string ends on the line where it starts",
    "#": "comments start with //",
    ";": "statements need no ';'",
    "!": "'not equal' is written '!='",
}


def _explain(error: UnexpectedInput, text: str, start: int, end: int) -> BadText:
    """What a syntax error means to a reader."""
    if isinstance(error, UnexpectedCharacters):
        at = error.pos_in_stream or start
        hint = _CHARACTER_HINTS.get(text[at])
        return BadText(f"unexpected {text[at]!r}", Span(at, at + 1), _spoken(set(error.allowed or ())), hint)
    names = set(error.accepts or error.expected) if isinstance(error, UnexpectedToken) else set()
    expected = _spoken(names)
    token: Token | None = getattr(error, "token", None)
    if token is not None and token.type != "$END" and not (token == "}" and token.end_pos == end):
        return BadText(f"unexpected '{token}'", _span(token), expected, _hint(token, names))
    # The end of the piece: point at the last thing that stands there.
    last = max(start + 1, len(_without_comments(text[: end - (token == "}")]).rstrip()))
    hint = _unclosed(text, start, end) or (_hint(token, names) if token is not None else None)
    return BadText("this ends too early", Span(last - 1, last), _spoken(names - {"RBRACE"} or names), hint)


def _spoken(names: set[str]) -> str | None:
    words: list[str] = []
    if {"NAME", "NUMBER", "LPAR"} <= names:
        words.append("an expression")
        names = names - _EXPRESSION
    names = names - {"QUANT"}  # a type too
    words += sorted(_SPOKEN.get(n, f"'{n.lower()}'" if n.isalpha() else "'..'") for n in names if n[0] != "_")
    return f"{', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else words[0] if words else None


def _hint(token: Token, expected: set[str]) -> str | None:
    word = str(token)
    if word in ("def", "func", "function"):
        return "functions start with 'fn'"
    if word == "else":
        return "'else' follows the closing brace of an 'if'"
    if word == "{" and "WITH" in expected:
        return "name what changes inside: with x, y { ... }"
    if word.isidentifier() and "PARAM" in expected:
        return nearest(word, ("fn", "op", "dim", "param", "import"))
    if word == "=" and "OPERATOR" in expected:
        return "comparison is written '=='"
    if expected == {"COMMA", "EQUAL", "LSQB"}:
        return "a statement starts with a name and '='; is an operator missing before it?"
    if word == "[" and "TYPE" in expected:
        return "a type is a dtype and dims: f32[B, 64]"
    return _CHARACTER_HINTS.get(word)


def _unclosed(text: str, start: int, end: int) -> str | None:
    """Names the bracket that is still open at the end."""
    stack: list[re.Match[str]] = []
    for match in _BRACKET.finditer(_without_comments(text), start, end):
        if match[0] in "([{":
            stack.append(match)
        elif stack:
            stack.pop()
    if not stack:
        return None
    return f"the '{stack[-1][0]}' of line {text.count(chr(10), 0, stack[-1].start()) + 1} is not closed"
