"""The syntax tree of a `.tg` file: what was written, with the place of each piece.

A `Span` is a pair of character offsets into `Module.text`; `Module.loc` turns it into file, line and column. Dims
inside types are `dialects.dims.Dim` expressions over names; everything else is still just names and expressions.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

from dialects.dims import Dim, dims_text
from dialects.errors import Loc


class Span(NamedTuple):
    """Offsets of the first character and of one past the last."""

    start: int
    end: int


# -- expressions ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Number:
    """`2`, `0.5`, `1e-3`, `true`."""

    value: int | float | bool
    span: Span


@dataclass(frozen=True, slots=True)
class Text:
    """`"weights.safetensors"`."""

    value: str
    span: Span


@dataclass(frozen=True, slots=True)
class Name:
    id: str
    span: Span


@dataclass(frozen=True, slots=True)
class ListOf:
    """`[0, 2*B]`, `[[1.0, 2.0], [3.0, 4.0]]`: dim expressions (REST among them), or nested numbers."""

    items: tuple[Item, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Unary:
    """`-x`, or `~x`."""

    op: str
    operand: Expr
    span: Span


@dataclass(frozen=True, slots=True)
class Binary:
    """`x + y`; op is one of + - * / % ** @ << >> & ^ | == != < <= > >=."""

    op: str
    left: Expr
    right: Expr
    span: Span


@dataclass(frozen=True, slots=True)
class Keyword:
    """`axis=-1` in a call."""

    name: str
    value: Expr
    span: Span


@dataclass(frozen=True, slots=True)
class Call:
    """`softmax(x, axis=-1)`."""

    callee: Name
    args: tuple[Expr, ...]
    keywords: tuple[Keyword, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Applied:
    """`grad(loss, wrt=[w])(x, y)`: a call of a function that is made of another one."""

    function: Call
    args: tuple[Expr, ...]
    keywords: tuple[Keyword, ...]
    span: Span

    @property
    def callee(self) -> Name:
        return self.function.callee


@dataclass(frozen=True, slots=True)
class Range:
    """`1:3`, `:-1`, `::2` inside a subscript."""

    start: Expr | None
    stop: Expr | None
    step: Expr | None
    span: Span


@dataclass(frozen=True, slots=True)
class Subscript:
    """`x[1:3, :]`, or `x[i - 1, j]` in index notation."""

    base: Expr
    index: tuple[Expr | Range, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Reduction:
    """`sum(j, k) a[i, j, k]` in index notation."""

    kind: str
    axes: tuple[Name, ...]
    body: Expr
    span: Span


REST = Dim.of("...")
"""Stands in types and lists for the leading dims that the head of an op leaves open."""

Item: TypeAlias = "Dim | float | bool | tuple[Item, ...]"
Expr: TypeAlias = "Number | Text | Name | ListOf | Unary | Binary | Call | Applied | Subscript | Reduction"


# -- statements -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Assign:
    """`h = relu(x @ w)`; `a, b = f(x)`; `y = x @ w, schedule="tile i 8; tile j 32"`."""

    targets: tuple[Name, ...]
    value: Expr
    schedule: Text | None
    span: Span


@dataclass(frozen=True, slots=True)
class IndexAssign:
    """`y[i] = sum(j) a[i, j] * x[j], boundary=zero`; boundary is a name or a call `value(c)`."""

    target: Name
    axes: tuple[Name, ...]
    value: Expr
    boundary: Name | Call | None
    schedule: Text | None
    span: Span


@dataclass(frozen=True, slots=True)
class For:
    """`for t in 0..steps with u, v collect y { ... }`."""

    var: Name
    start: Expr
    stop: Expr
    carried: tuple[Name, ...]
    collected: tuple[Name, ...]
    body: tuple[Statement, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class While:
    """`while error > 0.001 max 100 with u, error { ... }`."""

    condition: Expr
    limit: Expr | None
    carried: tuple[Name, ...]
    body: tuple[Statement, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class If:
    """`if n > 0 with u { ... } else { ... }`; what stands after `else if` is one more of these."""

    condition: Expr
    carried: tuple[Name, ...]
    body: tuple[Statement, ...]
    otherwise: tuple[Statement, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Return:
    values: tuple[Expr, ...]
    span: Span


Statement: TypeAlias = "Assign | IndexAssign | For | While | If | Return"


# -- declarations -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TypeRef:
    """`f32[B, 64]`; a scalar has no dims. In an op, the dtype may be a variable, and the first dim REST: `T[..., N]`.

    Of a quantised type, `quant` is the call that says which, and dtype its text.
    """

    dtype: str
    dims: tuple[Dim, ...]
    span: Span
    quant: Call | None = None

    def __str__(self) -> str:
        return self.dtype + (dims_text(self.dims) if self.dims else "")


@dataclass(frozen=True, slots=True)
class Import:
    """`import "layers.tg"`."""

    path: Text
    span: Span


@dataclass(frozen=True, slots=True)
class DimDecl:
    """`dim B = 32 in 1..64`; the range makes it symbolic."""

    name: Name
    value: Expr
    low: Expr | None
    high: Expr | None
    span: Span


@dataclass(frozen=True, slots=True)
class ParamDecl:
    """`param w: f32[64, 10] = glorot(seed=1)`."""

    name: Name
    type: TypeRef
    init: Expr
    span: Span


@dataclass(frozen=True, slots=True)
class Input:
    """`x: f32[B, 64]` in a function's head; a default is an initialiser, as for a parameter."""

    name: Name
    type: TypeRef
    default: Expr | None
    span: Span


@dataclass(frozen=True, slots=True)
class Result:
    """One result in a function's head; the name is optional."""

    name: str | None
    type: TypeRef
    span: Span


@dataclass(frozen=True, slots=True)
class FnDecl:
    """`fn f(x: f32[B]) -> f32[B] { ... }`; end is the closing brace."""

    name: Name
    inputs: tuple[Input, ...]
    results: tuple[Result, ...]
    body: tuple[Statement, ...]
    end: Span
    span: Span


@dataclass(frozen=True, slots=True)
class FnMade:
    """`fn g = grad(loss, wrt=[w])`: a function that is made of another one."""

    name: Name
    value: Call
    span: Span


@dataclass(frozen=True, slots=True)
class Operand:
    """`x`, or `x: T[..., N]`, in the head of an op."""

    name: Name
    type: TypeRef | None
    span: Span


@dataclass(frozen=True, slots=True)
class Setting:
    """`beta=1.0` in the head of an op; known at compile time."""

    name: Name
    default: Expr
    span: Span


@dataclass(frozen=True, slots=True)
class Rule:
    """`backward(y, dy) { ... }` after an op: names for its results and their cotangents, and what gives those of operands."""

    names: tuple[Name, ...]
    body: tuple[Statement, ...]
    end: Span
    span: Span


@dataclass(frozen=True, slots=True)
class OpDecl:
    """`op swish(x, beta=1.0) { ... }`; results are empty where the head states none; end is the closing brace."""

    name: Name
    operands: tuple[Operand, ...]
    settings: tuple[Setting, ...]
    results: tuple[Result, ...]
    body: tuple[Statement, ...]
    end: Span
    span: Span
    rule: Rule | None = None


Declaration: TypeAlias = "Import | DimDecl | ParamDecl | OpDecl | FnDecl | FnMade"
Node: TypeAlias = (
    Number
    | Text
    | Name
    | ListOf
    | Unary
    | Binary
    | Keyword
    | Call
    | Applied
    | Range
    | Subscript
    | Reduction
    | Assign
    | IndexAssign
    | For
    | While
    | If
    | Return
    | TypeRef
    | Import
    | DimDecl
    | ParamDecl
    | Input
    | Result
    | FnDecl
    | FnMade
    | Operand
    | Setting
    | Rule
    | OpDecl
)


@dataclass(frozen=True)
class Source:
    """A file that is part of a module: its name, and where its text begins in the module's."""

    filename: str
    start: int


@dataclass(frozen=True)
class Module:
    """A file and what it imports: one text in which the files follow one another, and spans are offsets into it."""

    filename: str
    text: str = field(repr=False)
    decls: tuple[Declaration, ...]
    sources: tuple[Source, ...] = ()
    """The files in the order of their texts; just `filename` where there are none."""

    @cached_property
    def _files(self) -> list[tuple[Source, str, list[int]]]:
        """Each file with its own text and the offsets of its lines."""
        sources = self.sources or (Source(self.filename, 0),)
        ends = [*(s.start for s in sources[1:]), len(self.text)]
        texts = [self.text[s.start : end] for s, end in zip(sources, ends, strict=True)]
        return [(s, text, line_starts(text)) for s, text in zip(sources, texts, strict=True)]

    def loc(self, node: Node | Span) -> Loc:
        """Where a node stands: file, line and columns from 1; a span over several lines ends with its first."""
        span = node if isinstance(node, Span) else node.span
        at = bisect_right(self._files, span.start, key=lambda f: f[0].start) - 1
        source, text, starts = self._files[at]
        return make_loc(
            source.filename, text, starts, Span(span.start - source.start, span.end - source.start)
        )


def line_starts(text: str) -> list[int]:
    """The offset of each line's first character."""
    starts = [0]
    position = text.find("\n")
    while position >= 0:
        starts.append(position + 1)
        position = text.find("\n", position + 1)
    return starts


def make_loc(filename: str, text: str, starts: list[int], span: Span) -> Loc:
    """The location of a span in a text whose lines begin at `starts`."""
    line = bisect_right(starts, span.start)
    first = starts[line - 1]
    last = starts[line] - 1 if line < len(starts) else len(text)
    return Loc(filename, line, span.start - first + 1, min(span.end, last) - first + 1)


def text_of(node: Expr) -> str:
    """An expression of numbers, names and lists as it may be written."""
    match node:
        case Number():
            return str(node.value).lower()
        case Name():
            return node.id
        case ListOf():
            return f"[{', '.join(map(str, node.items))}]"
        case Unary():
            return node.op + text_of(node.operand)
        case Binary():
            return f"{text_of(node.left)} {node.op} {text_of(node.right)}"
        case Call():
            words = [*map(text_of, node.args), *(f"{k.name}={text_of(k.value)}" for k in node.keywords)]
            return f"{node.callee.id}({', '.join(words)})"
        case _:
            return "..."


# -- printing ---------------------------------------------------------------------------------------------------


MAX_INDENT = 60


def dump(module: Module) -> str:
    """The tree as indented text, one node a line with its line and column (`irkit-opt --emit=ast`)."""
    lines: list[str] = []
    stack: list[tuple[Node, int, str]] = [(decl, 0, "") for decl in reversed(module.decls)]
    while stack:
        node, depth, label = stack.pop()
        flat, nested = _parts(node)
        loc = module.loc(node)
        words = " ".join([type(node).__name__, *flat])
        lines.append(f"{'  ' * min(depth, MAX_INDENT)}{label}{words} @{loc.line}:{loc.col}")
        stack += [(child, depth + 1, f"{name}: ") for name, child in reversed(nested)]
    return "\n".join(lines) + "\n"


def _parts(node: Node) -> tuple[list[str], list[tuple[str, Node]]]:
    """What a node shows on its own line, and its children by field."""
    flat: list[str] = []
    nested: list[tuple[str, Node]] = []
    for f in fields(node):
        value: Any = getattr(node, f.name)
        if f.name in ("span", "end") or value is None or value == ():
            continue
        if isinstance(value, Name):
            flat.append(f"{f.name}={value.id}")
        elif isinstance(value, TypeRef):
            flat.append(f"{f.name}={value}")
        elif isinstance(value, tuple) and all(isinstance(v, Name) for v in value):
            flat.append(f"{f.name}=({', '.join(v.id for v in value)})")
        elif isinstance(value, tuple) and hasattr(value[0], "span"):
            nested += [(f.name, v) for v in value]
        elif isinstance(value, Node):
            nested.append((f.name, value))
        else:
            flat.append(f"{f.name}={value!r}" if isinstance(value, str) else f"{f.name}={value}")
    return flat, nested
