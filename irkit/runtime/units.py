"""The C text of a large program as several translation units, which compilers work on side by side."""

from __future__ import annotations

from lowering.c.abi import ProgramSpec
from lowering.c.names import kernel_name
from lowering.target import available_cores

WORTH = 150_000
"""Characters of C for which one more compiler is worth its start."""

HIDDEN = '__attribute__((visibility("hidden"))) void '
"""Instead of `static void`: seen by the other units of a library, not from outside."""


def units(spec: ProgramSpec, most: int | None = None) -> list[str]:
    """The text as one unit, or as up to `most` of about the same length, by default one for each core. The first holds the
    program."""
    count = min(most or available_cores(), len(spec.source) // WORTH)
    if count < 2 or len(spec.cuts) < 2:
        return [spec.source]
    head, program = spec.source[: spec.cuts[0]], spec.source[spec.cuts[-1] :]
    texts = [spec.source[a:b] for a, b in zip(spec.cuts, spec.cuts[1:], strict=False)]
    kernels = {kernel_name(k): t for k, t in zip(spec.kernels, texts, strict=True)}
    parts: list[set[str]] = [set() for _ in range(count)]
    lengths = [len(program), *[0] * (count - 1)]
    for name in sorted(kernels, key=lambda k: -len(kernels[k])):  # the longest first, to where there is least
        place = lengths.index(min(lengths))
        parts[place].add(name)
        lengths[place] += len(kernels[name])
    first = [t if n in parts[0] else _prototype(n, t) for n, t in kernels.items()]
    rest = ([_visible(n, t) for n, t in kernels.items() if n in part] for part in parts[1:])
    return ["".join([head, *first, program]), *("".join([head, *body]) for body in rest)]


def _visible(name: str, text: str) -> str:
    return text.replace(f"static void {name}(", f"{HIDDEN}{name}(", 1)


def _prototype(name: str, text: str) -> str:
    start = text.index(f"static void {name}(")
    return _visible(name, text[start : text.index(") {", start)]) + ");\n\n"
