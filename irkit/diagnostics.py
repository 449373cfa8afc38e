"""Shows errors, and remarks, to a user: the place, the source line, a caret under the fault, what was found and expected,
what to do.

digits.tg:9:7: error: unknown name 'relo'
    h = relo(x @ w1 + b1)
        ^~~~
  help: did you mean 'relu'?
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

from dialects.errors import IrkitError, Loc
from lowering.remarks import Remark

MAX_WIDTH = 160
TAB = "    "


def render(errors: Sequence[IrkitError], sources: Mapping[str, str] | None = None) -> str:
    """The text for several errors, in the order given; `sources` holds texts that are not to be read from disk."""
    texts: dict[str, list[str] | None] = {}
    parts = [render_one(e, _lines(e.loc, sources or {}, texts)) for e in errors]
    if len(errors) > 1:
        parts.append(f"{len(errors)} errors")
    return "\n".join(parts)


def render_one(error: IrkitError, lines: Sequence[str] | None = None) -> str:
    """The text for one error; `lines` are those of its source file, where known."""
    return _message("error", error.message, error.loc, lines, error.details())


def render_remarks(remarks: Iterable[Remark], sources: Mapping[str, str] | None = None) -> str:
    """The text for remarks, in the order given; a pass' reason stands below, and the places that it speaks of."""
    texts: dict[str, list[str] | None] = {}
    parts: list[str] = []
    for r in remarks:
        lines = _lines(r.loc, sources or {}, texts)
        notes = (("because", r.reason), ("see", ", ".join(map(str, r.see))))
        named = f"{r.op}: {r.message}" if r.op.startswith("@") else r.message
        parts.append(_message("remark", f"{named} [{r.category}: {r.kind}]", r.loc, lines, notes))
    return "\n".join(parts)


def _message(
    kind: str,
    message: str,
    loc: Loc | None,
    lines: Sequence[str] | None,
    notes: Iterable[tuple[str, str | None]],
) -> str:
    """The place, the kind and the text; the source line with a caret; labelled notes."""
    out = [f"{loc}: {kind}: {message}" if loc else f"{kind}: {message}"]
    if loc is not None and lines is not None and 1 <= loc.line <= len(lines):
        out += _excerpt(lines[loc.line - 1], loc)
    for label, text in notes:
        if text:
            first, *rest = text.splitlines()
            out += [f"  {label}: {first}", *(f"  {' ' * len(label)}  {line}" for line in rest)]
    return "\n".join(out)


def _excerpt(line: str, loc: Loc) -> list[str]:
    """The source line and the caret line; a very long line is cut around the fault."""
    start = min(max(loc.col - 1, 0), len(line))
    end = max(min(loc.end_col - 1, len(line)), start + 1)
    begin = max(0, start - MAX_WIDTH // 2) if len(line) > MAX_WIDTH else 0
    shown = line[begin : begin + MAX_WIDTH]
    before = line[begin:start]
    marked = line[start : min(end, begin + MAX_WIDTH)] or " "
    # Tabs are widened in both lines alike, so that the caret stands where the reader looks.
    caret = " " * len(before.replace("\t", TAB)) + "^" + "~" * (len(marked.replace("\t", TAB)) - 1)
    return [f"{TAB}{shown.replace(chr(9), TAB).rstrip()}", f"{TAB}{caret}"]


def _lines(
    loc: Loc | None, sources: Mapping[str, str], texts: dict[str, list[str] | None]
) -> list[str] | None:
    """The lines of the file of a location; None where it cannot be read."""
    if loc is None:
        return None
    if loc.file not in texts:
        text = sources.get(loc.file)
        if text is None:
            try:
                text = Path(loc.file).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError, ValueError):
                text = None
        texts[loc.file] = None if text is None else text.split("\n")
    return texts[loc.file]


def nearest(word: str, known: Iterable[str], aliases: Mapping[str, str] | None = None) -> str | None:
    """A hint for a misspelt name, `did you mean 'relu'?`, or None where nothing is close."""
    if aliases and word in aliases:
        return f"did you mean '{aliases[word]}'?"
    known = list(known)
    # Case is the commonest slip that difflib rates low.
    close = [k for k in known if k.lower() == word.lower()] or get_close_matches(word, known, n=1, cutoff=0.6)
    return f"did you mean '{close[0]}'?" if close else None
