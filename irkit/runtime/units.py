"""The C text of a large program as several translation units, which compilers work on side by side."""

from __future__ import annotations

import os

from lowering.c.abi import ProgramSpec
from lowering.c.names import kernel_name

WORTH = 150_000
"""Characters of C for which one more compiler is worth its start."""

HIDDEN = '__attribute__((visibility("hidden"))) void '
"""Instead of `static void`: seen by the other units of a library, not from outside."""


def units(spec: ProgramSpec, most: int | None = None) -> list[str]:
    """The text as one unit, or as up to `most` of about the same length, by default one for each core. The first holds the
    program."""
    count = min(most or len(os.sched_getaffinity(0)), len(spec.source) // WORTH)
    if count < 2 or len(spec.cuts) < 2:
        return [spec.source]
    head, program = spec.source[: spec.cuts[0]], spec.source[spec.cuts[-1] :]
    texts = [spec.source[a:b] for a, b in zip(spec.cuts, spec.cuts[1:], strict=False)]
    kernels = {kernel_name(k): t for k, t in zip(spec.kernels, texts, strict=True)}
    parts: list[list[str]] = [[] for _ in range(count)]
    lengths = [len(program), *[0] * (count - 1)]
    for name in sorted(kernels, key=lambda k: -len(kernels[k])):  # the longest first, to where there is least
        place = lengths.index(min(lengths))
        parts[place].append(name)
        lengths[place] += len(kernels[name])
    mine = set(parts[0])
    first = [_prototype(n, t) for n, t in kernels.items() if n not in mine]
    first += [t for n, t in kernels.items() if n in mine]
    rest = ([_visible(n, kernels[n]) for n in kernels if n in set(names)] for names in parts[1:])
    return ["".join([head, *first, program]), *("".join([head, *body]) for body in rest)]


def _visible(name: str, text: str) -> str:
    return text.replace(f"static void {name}(", f"{HIDDEN}{name}(", 1)


def _prototype(name: str, text: str) -> str:
    start = text.index(f"static void {name}(")
    return _visible(name, text[start : text.index(") {", start)]) + ");\n\n"
