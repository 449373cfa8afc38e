"""Schedules: ordered lists of directives that name axes.

| directive | meaning |
|---|---|
| `tile i 14` | a register tile of 14 points along axis i |
| `vector j 32` | 32 points along axis j at once; j is contiguous in memory |
| `split k 256` | visit axis k in blocks of 256 (cache blocking) |
| `pack lhs`, `pack rhs` | copy an operand of a contraction into panels in the order in which the tile reads it |
| `parallel i` | split axis i between the threads |
| `order i j` | loops from the outermost inwards |
| `whole e` | take the whole axis at once, as a vector |

`parse_schedule` reads them and `Schedule` answers the questions that the lowering asks; a directive that is malformed
or illegal for its kernel raises an IrkitError that quotes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from dialects.errors import IrkitError
from dialects.kernel import DefOp, ReduceOp

FORMS = {
    "tile": "tile AXIS SIZE",
    "vector": "vector AXIS LANES",
    "split": "split AXIS SIZE",
    "pack": "pack lhs|rhs",
    "parallel": "parallel AXIS",
    "order": "order AXIS...",
    "whole": "whole AXIS",
}


@dataclass(frozen=True)
class Schedule:
    """The directives of one kernel, by what they decide."""

    tile: dict[str, int] = field(default_factory=dict)
    vector: dict[str, int] = field(default_factory=dict)
    split: dict[str, int] = field(default_factory=dict)
    pack: frozenset[str] = frozenset()
    parallel: str | None = None
    order: tuple[str, ...] = ()
    whole: frozenset[str] = frozenset()


def parse_schedule(kernel: DefOp, directives: Sequence[str]) -> Schedule:  # noqa: C901
    """Reads and checks a kernel's directives."""
    axes = {name for name, _ in kernel.axes.data}
    reduced = {a for op in kernel.block.ops if isinstance(op, ReduceOp) for a in op.axes}
    sizes: dict[str, dict[str, int]] = {"tile": {}, "vector": {}, "split": {}}
    pack: set[str] = set()
    whole: set[str] = set()
    parallel: str | None = None
    order: tuple[str, ...] = ()
    for text in directives:
        verb, *words = text.split() or [""]
        if verb not in FORMS:
            raise _bad(kernel, text, f"unknown directive '{verb}'", "one of " + ", ".join(FORMS))
        if verb == "pack":
            if len(words) != 1 or words[0] not in ("lhs", "rhs"):
                raise _bad(kernel, text, "pack names no operand of a contraction", FORMS[verb])
            pack.add(words[0])
            continue
        names = words if verb == "order" else words[:1]
        if not names or len(words) != {"order": len(names), "parallel": 1, "whole": 1}.get(verb, 2):
            raise _bad(kernel, text, f"malformed '{verb}'", FORMS[verb])
        for name in names:
            if name not in axes:
                raise _bad(
                    kernel, text, f"the kernel has no axis '{name}'", "one of " + ", ".join(sorted(axes))
                )
        if verb in sizes:
            if not words[1].isdigit() or int(words[1]) == 0:
                raise _bad(kernel, text, f"'{words[1]}' is no positive size", FORMS[verb])
            sizes[verb][words[0]] = int(words[1])
        elif verb == "whole":
            if dict(kernel.axes.data)[words[0]].value is None:
                raise _bad(
                    kernel,
                    text,
                    f"the extent of axis '{words[0]}' is not known",
                    "an axis of constant extent",
                )
            whole.add(words[0])
        elif verb == "parallel":
            if words[0] in reduced:
                raise _bad(
                    kernel,
                    text,
                    f"axis '{words[0]}' carries a reduction: each point needs the state that the one before leaves",
                    "an axis that no reduction removes",
                )
            parallel = words[0]
        else:
            order = tuple(names)
    return Schedule(
        sizes["tile"], sizes["vector"], sizes["split"], frozenset(pack), parallel, order, frozenset(whole)
    )


def _bad(kernel: DefOp, text: str, message: str, expected: str) -> IrkitError:
    return IrkitError(
        f"schedule of @{kernel.sym_name.data}: {message}",
        kernel,
        found=f'"{text}"',
        expected=expected,
        hint="directives are listed in docs/architecture.md",
    )
