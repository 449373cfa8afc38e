"""Lays `.tg` text out in one way: spaces, indentation, empty lines and columns. Lines stay what they are.

The text is taken as tokens and put together again, so that comments and the spelling of numbers survive.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

INDENT = "  "

_TOKEN = re.compile(
    r"""(?P<comment>//[^\n]*) | (?P<string>"[^"\n]*") | (?P<number>\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)
    | (?P<name>[A-Za-z_]\w*) | (?P<rest>\.\.\.)
    | (?P<infix>\*\*|==|!=|<=|>=|<<|>>|->|\.\.|[-+*/%@<>=&|^~]) | (?P<mark>[()\[\]{},:])""",
    re.VERBOSE,
)
_WORDS = frozenset(
    {"import", "dim", "param", "fn", "return", "for", "while", "if", "else", "in", "with", "collect"}
)
_OPEN = frozenset("([{")
_CLOSE = frozenset(")]}")
_REDUCTIONS = frozenset({"sum", "max", "min", "prod"})
_MINUS_BEFORE = frozenset({"(", "[", "{", ",", ":", "=", "..", "return", "in", "if", "while"})
"""After these, and after an infix operator, a minus is a sign."""


@dataclass(eq=False)
class Token:
    """A piece of the text. `place` is the bracket around it, or `head` for the inputs of a function; `is_tight` asks
    for no spaces around an operator; `before` is what a closing bracket's opening one follows."""

    text: str
    kind: str
    place: str = ""
    is_tight: bool = False
    is_function_name: bool = False
    before: str = ""


@dataclass
class Line:
    """A line of the source: its tokens, the comment at its end, and how deep it stands."""

    tokens: list[Token]
    comment: str = ""
    depth: int = 0
    code: str = field(default="", init=False)

    @property
    def is_empty(self) -> bool:
        return not self.tokens and not self.comment


def format_text(text: str) -> str:
    """The text of a valid `.tg` file, laid out. Formatting twice changes nothing."""
    lines = _without_spare_empty_lines(list(_lines(text)))
    _mark_operators([t for line in lines for t in line.tokens])
    for line in lines:
        line.code = _joined(line.tokens)
    _align_equals(lines)
    return "".join(f"{row}\n" for row in _rows(lines))


def _lines(text: str) -> Iterator[Line]:
    """The lines of a text; a line stands as deep as the number of lines above that left a bracket open."""
    open_brackets: list[tuple[str, int, str]] = []
    before = Token("", "")
    for number, row in enumerate(text.split("\n")):
        line = Line([])
        is_leading = True
        line.depth = len({where for _, where, _ in open_brackets})
        for match in _TOKEN.finditer(row):
            kind, piece = match.lastgroup or "", match[0]
            if kind == "comment":
                line.comment = piece.rstrip()
                break
            token = Token(piece, kind)
            if piece in _CLOSE and open_brackets:
                token.before = open_brackets.pop()[2]
                if is_leading:
                    line.depth = len({where for _, where, _ in open_brackets})
            is_leading = is_leading and piece in _CLOSE
            token.place = open_brackets[-1][0] if open_brackets else ""
            if piece in _OPEN:
                is_head = piece == "(" and before.is_function_name
                open_brackets.append(("head" if is_head else piece, number, before.text))
            token.is_function_name = before.text == "fn"
            line.tokens.append(token)
            before = token
        yield line


def _without_spare_empty_lines(lines: list[Line]) -> list[Line]:
    """No empty line at either end, after an opening brace or before a closing one, and never two."""
    kept: list[Line] = []
    for number, line in enumerate(lines):
        if line.is_empty:
            after = next((rest for rest in lines[number:] if not rest.is_empty), None)
            before = kept[-1] if kept else None
            if before is None or after is None or before.is_empty:
                continue
            if (before.tokens and before.tokens[-1].text == "{") or (
                after.tokens and after.tokens[0].text == "}"
            ):
                continue
        kept.append(line)
    return kept


# -- spaces -----------------------------------------------------------------------------------------------------


def _mark_operators(tokens: Sequence[Token]) -> None:
    """Finds signs, and the operators that stand tight."""
    for last, before, token in zip([None, None, *tokens], [None, *tokens], tokens, strict=False):
        if token.text == "~" or (
            token.text == "-"
            and (before is None or before.kind in ("infix", "sign") or before.text in _MINUS_BEFORE)
        ):
            token.kind = "sign"
        if token.text == "=":
            is_setting = (
                before is not None
                and before.text in ("boundary", "schedule")
                and last is not None
                and last.text == ","
            )
            token.is_tight = token.place == "(" or is_setting
    items: list[list[Token]] = []
    for token in tokens:
        if token.text == "[":
            items.append([])
        elif token.text == "]" and items:
            _tighten(items.pop())
        elif items and token.text in (",", ":") and token.place == "[":
            _tighten(items[-1])
            items[-1] = []
        elif items and token.kind == "infix" and token.place == "[":
            items[-1].append(token)


def _tighten(operators: Sequence[Token]) -> None:
    """`i-1`, `2*i`, but `2*i + 1`: products are tight, and sums too where there is no product."""
    products = [t for t in operators if t.text in ("*", "/", "%")]
    for token in products or [t for t in operators if t.text in ("+", "-")]:
        token.is_tight = True


def _joined(tokens: Sequence[Token]) -> str:
    parts: list[str] = []
    for before, token in zip([None, *tokens], tokens, strict=False):
        if before is not None and _is_spaced(before, token):
            parts.append(" ")
        parts.append(token.text)
    return "".join(parts)


def _is_spaced(left: Token, right: Token) -> bool:
    """Whether a space stands between two tokens of a line."""
    if left.text == ",":
        return right.text not in _CLOSE
    if left.is_tight or right.is_tight or left.kind == "sign" or ".." in (left.text, right.text):
        return False
    if left.text in ("(", "[") or right.text in (")", "]", ",", ":"):
        return False
    if left.text == ":":
        return left.place != "["
    is_name = left.kind == "name" and left.text not in _WORDS
    if right.text == "(":
        is_made = left.text == ")" and left.before not in _REDUCTIONS  # grad(f)(x)
        return not is_name and not is_made
    if right.text == "[":
        return not (is_name or left.text in _CLOSE)
    return True


# -- columns ----------------------------------------------------------------------------------------------------


def _align_equals(lines: Sequence[Line]) -> None:
    """The `=` of neighbouring parameters, and of neighbouring dims, stand in one column."""
    for word, run in groupby(lines, lambda line: line.tokens[0].text if line.tokens else ""):
        block = [line for line in run if " = " in line.code] if word in ("param", "dim") else []
        width = max((line.code.index(" = ") for line in block), default=0)
        for line in block:
            head, tail = line.code.split(" = ", 1)
            line.code = f"{head:<{width}} = {tail}"


def _rows(lines: Sequence[Line]) -> Iterator[str]:
    """The finished text of each line; comments at the ends of neighbouring lines stand in one column."""
    for has_both, run in groupby(lines, lambda line: bool(line.tokens and line.comment)):
        block = list(run)
        heads = [INDENT * line.depth + line.code if line.tokens else "" for line in block]
        width = max(map(len, heads)) if has_both else 0
        for line, head in zip(block, heads, strict=True):
            if has_both:
                yield f"{head:<{width}}  {line.comment}"
            else:
                yield (INDENT * line.depth + line.comment) if line.comment else head
