"""Pass pipelines as text, nested as in MLIR: `builtin.module(func.func(graph-cse),kernel.def(kernel-simplify{n=2}))`.

A bare list (`graph-cse,graph-dce`) runs on the whole module; a pass inside `anchor(...)` runs on each op of that name
that lies directly inside the op around it, and sees nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import groupby

from xdsl.passes import ModulePass, PassOptionInfo, get_pass_option_infos
from xdsl.utils.arg_spec import parse_pipeline as parse_specs
from xdsl.utils.exceptions import ArgSpecParseError

from dialects.errors import IrkitError, Loc

Registry = Mapping[str, Callable[[], type[ModulePass]]]

ROOT = "builtin.module"
SOURCE_NAME = "<passes>"
"""What error messages call the text of a pipeline."""

_TOKEN = re.compile(
    r"""\s*(?:(?P<name>[A-Za-z_][\w.-]*)\s*(?P<options>\{(?:"[^"]*"|[^{}"])*\})?|(?P<mark>[(),]))"""
)


@dataclass(frozen=True)
class Step:
    """One pass, and the names of the ops to go down through from the module to the ops that it runs on."""

    run: ModulePass
    path: tuple[str, ...] = ()


def parse_pipeline(text: str, registry: Registry) -> list[Step]:
    """Reads a pipeline. Raises IrkitError at a column of the text."""
    steps: list[Step] = []
    path: list[str] = []
    expect_item = True
    position = 0
    text = text.rstrip().removesuffix(",")
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            found = text[position:].lstrip()[:1]
            raise _fault(
                f"unexpected '{found}' in the pass pipeline", text, len(text) - len(text[position:].lstrip())
            )
        start = token.start("name") if token["name"] else token.start("mark")
        position = token.end()
        if token["name"] and not expect_item:
            raise _fault(
                f"unexpected '{token['name']}' in the pass pipeline", text, start, "a comma before it"
            )
        if token["name"]:
            opens = not token["options"] and re.match(r"\s*\(", text[position:])
            if opens:
                path.append(token["name"])
                position += opens.end()
            else:
                steps.append(Step(_make_pass(token, text, registry), _below_root(path)))
            expect_item = bool(opens)
        elif token["mark"] == ")" and path:
            path.pop()
            expect_item = False
        elif token["mark"] == "," and not expect_item:
            expect_item = True
        else:
            raise _fault(
                f"unexpected '{token['mark']}' in the pass pipeline", text, start, "the name of a pass"
            )
    if path:
        raise _fault(f"'{path[-1]}(' is not closed in the pass pipeline", text, len(text), "')'")
    return steps


def _below_root(path: Sequence[str]) -> tuple[str, ...]:
    return tuple(path[1:] if path and path[0] == ROOT else path)


def _make_pass(token: re.Match[str], text: str, registry: Registry) -> ModulePass:
    name, start = token["name"], token.start("name")
    if name not in registry:
        near = get_close_matches(name, registry, n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}'?" if near else "irkit-opt --list-passes shows what there is"
        raise _fault(f"unknown pass '{name}'", text, start, "the name of a pass", hint, len(name))
    cls = registry[name]()
    try:
        (spec,) = parse_specs(name + (token["options"] or ""))
        known = [option for option, _, _ in _options(cls)]
        if unknown := [option for option in spec.parameters if option.replace("-", "_") not in known]:
            raise ValueError(f"it has no option '{unknown[0]}'")
        return cls.from_spec(spec)
    except (ValueError, ArgSpecParseError, IrkitError) as fault:
        message = fault.message if isinstance(fault, IrkitError) else str(fault).strip().splitlines()[-1]
        raise _fault(
            f"bad options of pass '{name}': {message}",
            text,
            token.start("options") if token["options"] else start,
            expected=describe_options(cls) or "no options",
        ) from None


def _options(cls: type[ModulePass]) -> list[PassOptionInfo]:
    return [info for info in get_pass_option_infos(cls) if info.name not in ("name", "stats")]


def describe_options(cls: type[ModulePass]) -> str:
    """The options of a pass with their types and defaults, in one line; empty when there are none."""
    return ", ".join(
        f"{name.replace('_', '-')}: {kind}" + (f" = {default}" if default is not None else "")
        for name, kind, default in _options(cls)
    )


def _fault(
    message: str, text: str, column: int, expected: str | None = None, hint: str | None = None, width: int = 1
) -> IrkitError:
    return IrkitError(
        message, Loc(SOURCE_NAME, 1, column + 1, column + 1 + width), expected=expected, hint=hint
    )


def format_pipeline(steps: Sequence[Step]) -> str:
    """The text that `parse_pipeline` reads back."""
    return f"{ROOT}({_format_group(steps, 0)})"


def _format_group(steps: Sequence[Step], depth: int) -> str:
    parts: list[str] = []
    for anchor, group in groupby(steps, lambda s: s.path[depth] if len(s.path) > depth else None):
        members = list(group)
        if anchor is None:
            parts.extend(_spec_text(step.run) for step in members)
        else:
            parts.append(f"{anchor}({_format_group(members, depth + 1)})")
    return ",".join(parts)


def _spec_text(run: ModulePass) -> str:
    """A pass with its options; what it counted while it ran is none of them."""
    spec = run.spec()
    spec.parameters.pop("stats", None)
    return str(spec)
