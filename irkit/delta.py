"""Delta debugging: the smallest part of a list that still shows something."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

ItemT = TypeVar("ItemT")


def minimal(items: Sequence[ItemT], shows: Callable[[list[ItemT]], bool]) -> list[ItemT]:
    """A part that shows it and of which no single item can be left out; `items` as a whole has to show it.

    The `ddmin` of Zeller and Hildebrandt (Simplifying and Isolating Failure-Inducing Input, 2002), which leaves out ever
    smaller chunks, from the last one on: what comes late depends on what comes early.
    """
    kept, size = list(items), max(1, len(items) // 2)
    while kept:
        left_out = False
        for start in reversed(range(0, len(kept), size)):
            rest = kept[:start] + kept[start + size :]
            if shows(rest):
                kept, left_out = rest, True
        if size == 1 and not left_out:
            break
        size = size if left_out and size == 1 else max(1, min(size, len(kept)) // 2)
    return kept


def shortest_prefix(items: Sequence[ItemT], shows: Callable[[list[ItemT]], bool]) -> list[ItemT]:
    """A prefix that shows it, found by halves; the shortest one where longer prefixes of it show it too."""
    low, high = 0, len(items)
    while low + 1 < high:
        middle = (low + high) // 2
        if shows(list(items[:middle])):
            high = middle
        else:
            low = middle
    return list(items[:high])
