"""The text of the pages: one for each op, and the index with the table of dtypes."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence

from dialects.graph import OPS, GraphOp, Param
from dialects.graph.base import KINDS
from dialects.graph.kernels import KERNELS
from dialects.types import DTYPES, STORAGE
from irkit.lang.calls import _spell
from irkit.lang.usage import spellings
from tools.ops_docs.errors import messages
from tools.ops_docs.examples import Shown
from tools.ops_docs.facts import Group, chosen, groups, stated_by
from tools.ops_docs.torch_table import VERSION

FLOATS = tuple(d for d in DTYPES if d[0] in "fb" and d != "bool" and d not in STORAGE)
INTEGERS = tuple(d for d in DTYPES if d[0] in "iu" and d not in STORAGE)
SETS = (("floats", FLOATS), ("integers", INTEGERS))
"""Words for dtypes that mostly come together."""

LANGUAGE = "language.md"
ELSEWHERE = {
    "index": "[index notation](../language.md#index-notation)",
    "for": "[a loop](../language.md#loops)",
    "if": "[a choice](../language.md#loops)",
}
NOTICE = "<!-- Written by `python -m tools.ops_docs` from the ops themselves. -->\n"


# -- the page of an op ----------------------------------------------------------------------------------------------


def page(example: Shown) -> str:
    """What is to be known of an op."""
    name, cls = example.name, type(example.op)
    parts = [NOTICE, f"# {name}\n", _doc(cls), _block("text", "\n".join(spellings(name)))]
    parts += ["\n".join(_facts(example)) + "\n"]
    if cls.PARAMS:
        parts.append("\n".join(_parameters(cls)) + "\n")
    parts += [
        "## Example\n",
        _block("tg", example.text.rstrip()),
        "gives\n",
        _block("text", "\n".join(example.lines())),
        "At the graph level:\n",
        _block("mlir", example.ir()),
    ]
    if found := messages(cls):
        parts += ["## Errors\n", "\n".join(f"- `{message}`" for message in found) + "\n"]
    parts.append("[All ops](../ops.md)\n")
    return "\n".join(parts)


def _doc(cls: type[GraphOp]) -> str:
    return inspect.cleandoc(cls.__doc__ or "") + "\n"


def _block(kind: str, text: str) -> str:
    return f"```{kind}\n{text}\n```\n"


def _facts(example: Shown) -> Iterator[str]:
    """A table: operands and results with their dtypes, and what the op is made of."""
    cls, found = type(example.op), groups(example.op)
    yield "| | |"
    yield "|---|---|"
    yield f"| operands | {_operands(cls)} |"
    for group in found:
        what = "dtypes of" if group.places else "dtypes for"
        yield f"| {what} {group.label} | {dtypes_text(list(group.results))} |"
    for i in range(len(example.results)):
        which = "result" if len(example.results) == 1 else f"result {i}"
        yield f"| dtype of the {which} | {_result(found, i, example)} |"
    yield f"| made of | {_made_of(example)} |"


def _operands(cls: type[GraphOp]) -> str:
    low, high = cls.ARITY
    words = [f"`{o}`" + ("" if i < low else ", optional") for i, o in enumerate(cls.OPERANDS)]
    if high > len(cls.OPERANDS):
        words.append(f"up to {high}" if high < 1000 else "any number")
    return "; ".join(words) or "none"


def dtypes_text(dtypes: Sequence[str]) -> str:
    """`floats, i8`: dtypes, by the names of those that come together."""
    if len(dtypes) == len(DTYPES):
        return "all"
    words: list[str] = []
    rest = list(dtypes)
    for word, members in SETS:
        if set(members) <= set(rest):
            words.append(word)
            rest = [d for d in rest if d not in members]
    return ", ".join([*words, *(f"`{d}`" for d in rest)])


def _result(found: Sequence[Group], i: int, example: Shown) -> str:
    """The dtype of a result: that of a group, or one that stays."""
    for group in found:
        if len(group.results) > 1 and all(r[i] == d for d, r in group.results.items() if i < len(r)):
            return f"that of {group.label}"
    tried = [*(r for group in found for r in group.results.values()), *chosen(example.op)]
    seen = {r[i] for r in tried if i < len(r)}
    return ", ".join(f"`{d}`" for d in DTYPES if d in seen)


def _made_of(example: Shown) -> str:
    others = stated_by(example.op)
    by_hand = f"{'; ' if others else ''}kernels written by hand" if example.name in KERNELS else ""
    if others is None:
        return f"primitive{', with ' + by_hand if by_hand else ''}"
    words = [ELSEWHERE.get(o, f"[{o}]({o}.md)") for o in others]
    return f"derived: stated by {', '.join(words)}{by_hand}"


SHORT = {"dtype": "a dtype", "element": "a dtype or a [quantised type](../language.md#quantised-types)"}
"""Kinds of parameters that a message spells out at length."""


def _parameters(cls: type[GraphOp]) -> Iterator[str]:
    yield "| parameter | is | default |"
    yield "|---|---|---|"
    for key, param in cls.PARAMS.items():
        default = "needed" if param.default is Param.REQUIRED else f"`{_spell(param.default)}`"
        kind = (
            "one of " + ", ".join(f"`{c}`" for c in param.choices)
            if param.choices
            else SHORT[param.kind]
            if param.kind in SHORT
            else KINDS[param.kind].text
        )
        yield f"| `{key}` | {kind} | {default} |"


# -- the index ------------------------------------------------------------------------------------------------------


def summary(cls: type[GraphOp]) -> str:
    """The first sentence of what an op says of itself, without its IR form."""
    text = " ".join(inspect.cleandoc(cls.__doc__ or "").split("\n\n")[0].split())
    text = re.sub(r":?\s*`[^`]*\bgraph\.[^`]*`[,;]?", "", text)
    return re.split(r"(?<=[^.])\.(?:\s|$)|;\s", text)[0].replace("|", "\\|")


Cells = Mapping[str, Mapping[str, str]]
"""The mark of each dtype, and what is said of torch, for each row of the table."""

TORCH = "torch"

HEAD = f"""{NOTICE}
# Ops

Every op has a page: what it computes, how it is called, what it takes, and an example with its result. The
[language](language.md) tells how calls are written.

| op | written | computes |
|---|---|---|
"""

TABLE = """
## Dtypes

Floats are {floats}; integers are {integers}.

Each cell was found by compiling the op for the dtype and comparing its results with those of its NumPy reference.
What NumPy has no function for was compared with torch too: the last column has its function and the dtypes in which the
compiled C agrees with it, which are all that both take (torch {torch}; `F` is `torch.nn.functional`).

| | |
|---|---|
| `✓` | the compiled C agrees with the reference |
| `ref` | only the reference runs; below the graph level the op is refused with a message |
| `✗` | the compiled C differs |
| `·` | the op refuses the dtype |

A row with an operand or a parameter after the op tells of the dtypes of that one.

"""


def index(examples: Sequence[Shown], cells: Cells) -> str:
    """The list of ops and the table of dtypes."""
    rows = []
    for example in examples:
        forms = "<br>".join(f"`{form}`" for form in spellings(example.name)).replace("|", "\\|")
        rows.append(f"| {_link(example.name)} | {forms} | {summary(OPS[example.name])} |\n")
    table = TABLE.format(floats=_listed(FLOATS), integers=_listed(INTEGERS), torch=VERSION)
    columns = [*DTYPES, TORCH]
    table += f"| | {' | '.join(columns)} |\n|---|{':-:|' * len(DTYPES)}---|\n"
    for row, marks in cells.items():
        name, _, rest = row.partition(" ")
        label = _link(name) + (f" `{rest}`" if rest else "")
        table += f"| {label} | {' | '.join(marks[d] for d in columns)} |\n"
    return HEAD + "".join(rows) + table


def _link(name: str) -> str:
    return f"[{name}](ops/{name}.md)"


def _listed(dtypes: Sequence[str]) -> str:
    return " ".join(f"`{d}`" for d in dtypes)


_ROW = re.compile(r"^\| \[(\w+)\]\(ops/\w+\.md\)(?: `([^`]+)`)? \| (.*) \|$", re.MULTILINE)


def read_cells(text: str) -> dict[str, dict[str, str]]:
    """The table of dtypes in the text of an index."""
    _, _, table = text.partition("\n## Dtypes\n")
    found: dict[str, dict[str, str]] = {}
    for match in _ROW.finditer(table):
        marks = match[3].split(" | ")
        if len(marks) == len(DTYPES) + 1:
            label = f"{match[1]} {match[2]}" if match[2] else match[1]
            found[label] = dict(zip([*DTYPES, TORCH], marks, strict=True))
    return found
