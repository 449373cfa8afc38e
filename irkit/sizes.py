"""Smaller sizes for the dims of a module, everywhere at once: in types, lists of dims, axes and parameters.

Sizes are changed in the text: it is the one form in which every level writes them in the same few ways. What then
contradicts itself does not verify.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_PLACES = re.compile(r"(?:tensor|vector)<[\dx]+x|\[[^\[\]\"]*\]|array<i64: [^>]*>")
"""Where sizes stand: the dims of a type, and lists in brackets."""

_NUMBER = re.compile(r"(?<![\w.%@#$-])\d+(?![\w.])|(?<=[<x])\d+(?=x)")


def sizes_of(text: str) -> list[int]:
    """The sizes greater than 1, the greatest first."""
    found = {int(n) for place in _PLACES.findall(text) for n in _NUMBER.findall(place)}
    return sorted((n for n in found if n > 1), reverse=True)


def smaller_sizes(text: str) -> Iterator[str]:
    """Texts with smaller sizes: all of them halved; then one size, with its multiples, made 1, 2 or half as large."""
    sizes = sizes_of(text)
    yield resized(text, {n: max(1, n // 2) for n in sizes})
    for size in sizes:
        for new in sorted({1, 2, size // 2}):
            if new < size:
                yield resized(text, {n: n // size * new for n in sizes if n % size == 0})
                yield resized(text, {size: new})


def resized(text: str, sizes: dict[int, int]) -> str:
    """The text with sizes replaced."""

    def number(found: re.Match[str]) -> str:
        return str(sizes.get(int(found[0]), found[0]))

    return _PLACES.sub(lambda place: _NUMBER.sub(number, place[0]), text)
